//! Accuracy and log-loss.

use super::check_lengths;
use crate::{Result, TrainError};

/// The share of samples whose predicted class is the true one.
///
/// # Errors
/// The lengths differ, or there are no samples.
///
/// ```
/// use osnova_train::metrics::accuracy;
///
/// assert_eq!(accuracy(&[0, 1, 2, 2], &[0, 1, 2, 1])?, 0.75);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
pub fn accuracy(targets: &[i64], predictions: &[i64]) -> Result<f64> {
    check_lengths("accuracy", targets.len(), predictions.len())?;
    let right = targets.iter().zip(predictions).filter(|(target, prediction)| target == prediction).count();
    Ok(right as f64 / targets.len() as f64)
}

/// The mean of −ln p(true class). `probabilities` is row-major `[samples, classes]`; they are held ε ≈ 2.2·10⁻¹⁶ away from
/// 0 and 1, as in scikit-learn for `f64`, so that one wrong certainty is not infinite.
///
/// # Errors
/// The lengths do not fit, a target is no class, a probability is outside 0 … 1, or a row does not add up to 1.
///
/// ```
/// use osnova_train::metrics::log_loss;
///
/// let loss = log_loss(&[0, 1], &[0.5, 0.5, 0.25, 0.75], 2)?;
/// assert!((loss - (0.5f64.ln() + 0.75f64.ln()) / -2.0).abs() < 1e-15);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
pub fn log_loss(targets: &[i64], probabilities: &[f64], classes: usize) -> Result<f64> {
    let operation = "log_loss";
    if classes == 0 || !probabilities.len().is_multiple_of(classes) {
        return Err(TrainError::argument(
            operation,
            format!("{} probabilities do not make rows of {classes} classes", probabilities.len()),
            "Give one probability for each sample and class",
        ));
    }
    check_lengths(operation, targets.len(), probabilities.len() / classes)?;
    let mut sum = 0.0;
    for (sample, (&target, row)) in targets.iter().zip(probabilities.chunks_exact(classes)).enumerate() {
        if let Some(bad) = row.iter().find(|probability| !(0.0..=1.0).contains(*probability)) {
            return Err(TrainError::argument(
                operation,
                format!("sample {sample} has the probability {bad}"),
                "Probabilities lie between 0 and 1: give the softmax of logits",
            ));
        }
        let total: f64 = row.iter().sum();
        // Probabilities that come from f32 add up to 1 within some 1e-7 a class.
        if (total - 1.0).abs() > 1e-5 {
            return Err(TrainError::argument(
                operation,
                format!("the probabilities of sample {sample} add up to {total}"),
                "They must add up to 1: give the softmax of logits",
            ));
        }
        let Some(probability) = usize::try_from(target).ok().and_then(|class| row.get(class)) else {
            return Err(TrainError::argument(
                operation,
                format!("sample {sample} has class {target}, but there are {classes} classes"),
                "Classes are indices from 0",
            ));
        };
        sum -= probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    }
    Ok(sum / targets.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scikit_learns() {
        let (targets, predictions) = ([0, 1, 2, 2, 1, 0, 2, 1, 1, 3], [0, 2, 2, 2, 1, 0, 1, 1, 0, 3]);
        assert_eq!(accuracy(&targets, &predictions).unwrap(), 0.7);
        let probabilities = [0.9, 0.05, 0.05, 0.1, 0.6, 0.3, 0.2, 0.2, 0.6, 0.0, 1.0, 0.0, 0.3, 0.4, 0.3];
        // One certainty is wrong: 7.67 instead of infinity.
        let loss = log_loss(&[0, 1, 2, 2, 0], &probabilities, 3).unwrap();
        assert!((loss - 7.674927591326579).abs() < 1e-12, "{loss}");
    }

    #[test]
    fn bad_input_is_named() {
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        assert!(message(accuracy(&[], &[])).contains("no samples"));
        assert!(message(accuracy(&[1], &[1, 2])).contains("1 targets, but 2 predictions"));
        assert!(message(log_loss(&[0], &[0.5, 0.5, 0.5], 2)).contains("rows of 2"));
        assert!(message(log_loss(&[2], &[0.5, 0.5], 2)).contains("class 2"));
        assert!(message(log_loss(&[-1], &[0.5, 0.5], 2)).contains("class -1"));
        assert!(message(log_loss(&[0], &[f64::NAN, 0.5], 2)).contains("NaN"));
        assert!(message(log_loss(&[0], &[0.25, 0.5], 2)).contains("add up to 0.75"));
        assert!(message(log_loss(&[0], &[], 0)).contains("0 classes"));
    }
}
