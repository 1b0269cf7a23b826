//! How good predictions are, with scikit-learn's semantics.
//!
//! | task | metrics |
//! |---|---|
//! | classes | [`accuracy`], [`ConfusionMatrix`] (precision, recall, F1 by [`Average`]; a report), [`log_loss`] |
//! | two classes, by score | [`roc_auc`], [`average_precision`] |
//! | numbers | [`mean_absolute_error`], [`mean_squared_error`], [`root_mean_squared_error`], [`r2_score`], batch by batch [`RegressionScores`] |
//! | any | [`RunningMean`] |
//!
//! Functions take slices of host memory; the scores are sums over samples, so they are gathered batch by batch where a
//! type offers `update`. Nothing to judge is an error, not a NaN.

mod classification;
mod confusion;
mod ranking;
mod regression;
mod running;

pub use classification::{accuracy, log_loss};
pub use confusion::{Average, ClassScores, ConfusionMatrix};
pub use ranking::{average_precision, roc_auc};
pub use regression::{RegressionScores, mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error};
pub use running::RunningMean;

use crate::{Result, TrainError};

/// Fails unless there is something to judge and both slices are of one length.
fn check_lengths(operation: &'static str, targets: usize, predictions: usize) -> Result<()> {
    if targets != predictions {
        return Err(TrainError::argument(
            operation,
            format!("{targets} targets, but {predictions} predictions"),
            "Give one prediction for each target",
        ));
    }
    if targets == 0 {
        return Err(TrainError::argument(operation, "there are no samples", "Give at least one"));
    }
    Ok(())
}
