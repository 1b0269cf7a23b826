//! The default CPU backend of Osnova
