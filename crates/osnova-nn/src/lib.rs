//! Modules, layers, losses and initialisers for Osnova
