//! Activation functions that are made of others.
