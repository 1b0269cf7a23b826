//! Osnova: a modular machine-learning framework
