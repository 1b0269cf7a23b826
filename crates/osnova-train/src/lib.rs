//! The training loop of Osnova: callbacks, metrics, early stopping, cross-validation
#![forbid(unsafe_code)]

mod error;
mod files;
mod history;
mod manifest;
pub mod metrics;
pub mod plot;

pub use error::{Result, TrainError};
pub use history::{EpochRecord, Goal, History};
pub use manifest::{DatasetRecord, Manifest, SplitSizes, TestResult};
