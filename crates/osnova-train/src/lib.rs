//! The training loop of Osnova: callbacks, metrics, early stopping, cross-validation

pub mod plot;
