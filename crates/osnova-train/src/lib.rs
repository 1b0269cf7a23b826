//! The training loop of Osnova: callbacks, metrics, early stopping, cross-validation
