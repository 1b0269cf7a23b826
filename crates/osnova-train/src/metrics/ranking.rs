//! Metrics of a score that should be higher for one class than for the other.

use super::check_lengths;
use crate::{Result, TrainError};

/// Positive and negative samples at each distinct score, from the highest score down.
fn by_score(operation: &'static str, targets: &[bool], scores: &[f64]) -> Result<Vec<(f64, f64)>> {
    check_lengths(operation, targets.len(), scores.len())?;
    if let Some(sample) = scores.iter().position(|score| score.is_nan()) {
        return Err(TrainError::argument(operation, format!("the score of sample {sample} is NaN"), "Give numbers"));
    }
    let positive = targets.iter().filter(|&&target| target).count();
    if positive == 0 || positive == targets.len() {
        let problem = format!("all {} samples are of one class", targets.len());
        return Err(TrainError::argument(operation, problem, "Give samples of both classes"));
    }
    let mut order: Vec<usize> = (0..targets.len()).collect();
    order.sort_by(|&left, &right| scores[right].total_cmp(&scores[left]));
    // −0 and 0 are equal scores, though `total_cmp` tells them apart; they stand side by side all the same.
    let ties = order.chunk_by(|&left, &right| scores[left] == scores[right]);
    Ok(ties
        .map(|tie| {
            let positive = tie.iter().filter(|&&sample| targets[sample]).count();
            (positive as f64, (tie.len() - positive) as f64)
        })
        .collect())
}

/// The area under the ROC curve: how likely a sample of the positive class scores higher than one of the other (ties
/// count half).
///
/// # Errors
/// The lengths differ, a score is NaN, or all samples are of one class.
///
/// ```
/// use osnova_train::metrics::roc_auc;
///
/// assert_eq!(roc_auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?, 0.75);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
pub fn roc_auc(targets: &[bool], scores: &[f64]) -> Result<f64> {
    let ties = by_score("roc_auc", targets, scores)?;
    let (mut above, mut negatives, mut area) = (0.0, 0.0, 0.0);
    for (positive, negative) in ties {
        area += negative * (above + positive / 2.0);
        above += positive;
        negatives += negative;
    }
    Ok(area / (above * negatives))
}

/// The area under the precision–recall curve as scikit-learn's `average_precision_score` has it: the precision at each
/// threshold, by the recall it adds.
///
/// # Errors
/// The lengths differ, a score is NaN, or all samples are of one class.
pub fn average_precision(targets: &[bool], scores: &[f64]) -> Result<f64> {
    let ties = by_score("average_precision", targets, scores)?;
    let (mut found, mut taken, mut sum) = (0.0, 0.0, 0.0);
    for (positive, negative) in ties {
        found += positive;
        taken += positive + negative;
        sum += positive * found / taken;
    }
    Ok(sum / found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scikit_learns() {
        let targets = [false, false, true, true, true, false];
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.4];
        assert!((roc_auc(&targets, &scores).unwrap() - 0.6666666666666667).abs() < 1e-15);
        assert!((average_precision(&targets, &scores).unwrap() - 0.7).abs() < 1e-15);
        assert_eq!(roc_auc(&[false, true], &[0.0, -0.0]).unwrap(), 0.5);
        assert_eq!(roc_auc(&[false, true], &[-1.0, 1.0]).unwrap(), 1.0);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(roc_auc(&[true], &[0.5]).unwrap_err().to_string().contains("one class"));
        assert!(
            average_precision(&[true, false], &[0.5, f64::NAN]).unwrap_err().to_string().contains("sample 1 is NaN")
        );
        assert!(roc_auc(&[true, false], &[0.5]).is_err());
    }
}
