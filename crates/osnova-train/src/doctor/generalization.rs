//! Training against validation, epoch by epoch.

use super::diagnosis::{Disease, Finding, Place, Severity};
use crate::EpochRecord;

/// A training accuracy so far above that of validation is a gap. Healthy networks measured: at most 0.02.
const ACCURACY_GAP: f64 = 0.12;
/// For so many epochs.
const GAP_EPOCHS: usize = 2;
/// Validation losses above the best one before by this factor have risen …
const RISEN: f64 = 1.5;
/// … if so many epochs in a row are that high …
const RISEN_EPOCHS: usize = 3;
/// … and the training loss is below this part of the validation loss. Healthy networks measured: 0.47 at least.
const TRAIN_PART: f64 = 0.25;
/// A validation accuracy from here on in the first epochs is too good to be true …
const TOO_GOOD: f64 = 0.999;
/// … up to this epoch.
const TOO_SOON: usize = 2;

pub(super) fn judge(epochs: &[EpochRecord]) -> Vec<Finding> {
    let leaked = epochs.last().and_then(too_good);
    accuracy_gap(epochs).or_else(|| rising(epochs)).into_iter().chain(leaked).collect()
}

const OVERFITTING: &str = "more data or augmentation, dropout, weight decay, a smaller model, or `EarlyStopping`, which \
                           goes back to the best epoch";

fn accuracy_gap(epochs: &[EpochRecord]) -> Option<Finding> {
    let gap = |epoch: &EpochRecord| Some(epoch.metric("train_accuracy")? - epoch.metric("validation_accuracy")?);
    let last = epochs.last_chunk::<GAP_EPOCHS>()?;
    if !last.iter().all(|epoch| gap(epoch).is_some_and(|gap| gap > ACCURACY_GAP)) {
        return None;
    }
    let epoch = epochs.last()?;
    let (train, validation) = (epoch.metric("train_accuracy")?, epoch.metric("validation_accuracy")?);
    let text = format!(
        "{:.1} % of the training samples are right, but only {:.1} % of those for validation",
        100.0 * train,
        100.0 * validation
    );
    let finding = Finding::new(Disease::Overfitting, Place::Run, Severity::Warning, text, OVERFITTING);
    Some(finding.evidence("train accuracy", train).evidence("validation accuracy", validation))
}

fn rising(epochs: &[EpochRecord]) -> Option<Finding> {
    let (before, last) = epochs.split_last_chunk::<RISEN_EPOCHS>()?;
    let losses = before.iter().filter_map(|record| Some((record.epoch, record.metric("validation_loss")?)));
    let (best_epoch, best) = losses.min_by(|left, right| left.1.total_cmp(&right.1))?;
    let has_risen = |epoch: &EpochRecord| {
        let (train, validation) = (epoch.metric("train_loss")?, epoch.metric("validation_loss")?);
        // A loss that can be negative, the logarithm of a density, has no 0 to measure its parts from.
        Some(best > 0.0 && train >= 0.0 && validation > RISEN * best && train < TRAIN_PART * validation)
    };
    if !last.iter().all(|epoch| has_risen(epoch) == Some(true)) {
        return None;
    }
    let epoch = epochs.last()?;
    let (train, validation) = (epoch.metric("train_loss")?, epoch.metric("validation_loss")?);
    let text = format!(
        "the validation loss has risen to {validation:.4} from {best:.4} in epoch {best_epoch}, while the training loss \
         is {train:.4}"
    );
    let finding = Finding::new(Disease::Overfitting, Place::Run, Severity::Warning, text, OVERFITTING);
    Some(finding.evidence("train loss", train).evidence("validation loss", validation).evidence("best", best))
}

fn too_good(epoch: &EpochRecord) -> Option<Finding> {
    let accuracy = epoch.metric("validation_accuracy")?;
    if epoch.epoch > TOO_SOON || accuracy < TOO_GOOD {
        return None;
    }
    let text = format!("{:.2} % of the validation samples are right after epoch {}", 100.0 * accuracy, epoch.epoch);
    let advice = "a search for a feature that holds the label, for samples that stand in both parts, and for preprocessing \
                  that was fitted on all of the data; if the task is that easy, all is well";
    let finding = Finding::new(Disease::LeakedLabels, Place::Run, Severity::Notice, text, advice);
    Some(finding.evidence("validation accuracy", accuracy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn epochs(name: [&str; 2], values: &[[f64; 2]]) -> Vec<EpochRecord> {
        let record = |(index, pair): (usize, &[f64; 2])| EpochRecord {
            epoch: index + 1,
            step: 0,
            learning_rate: 0.1,
            seconds: 0.0,
            metrics: BTreeMap::from([(name[0].to_owned(), pair[0]), (name[1].to_owned(), pair[1])]),
        };
        values.iter().enumerate().map(record).collect()
    }

    #[test]
    fn a_validation_loss_must_rise_for_some_time() {
        let names = ["train_loss", "validation_loss"];
        let rising = [[0.5, 0.5], [0.2, 0.3], [0.1, 0.5], [0.05, 0.6], [0.01, 0.7]];
        assert!(judge(&epochs(names, &rising[..4])).is_empty());
        // A single bad epoch, and a training loss that is high too.
        assert!(judge(&epochs(names, &[[0.5, 0.3], [0.01, 0.6], [0.01, 0.3], [0.01, 0.6]])).is_empty());
        assert!(judge(&epochs(names, &[[0.2, 0.1], [0.1, 0.2], [0.1, 0.2], [0.1, 0.2]])).is_empty());
        let found = judge(&epochs(names, &rising));
        assert_eq!(found[0].disease, Disease::Overfitting);
        // Logarithms of densities: the same course, a few nats lower.
        let lower = rising.map(|pair| pair.map(|loss| loss - 1.0));
        assert!(judge(&epochs(names, &lower)).is_empty());
        assert!(
            judge(&epochs(names, &[[1.0, 1.0], [-2.0, -2.1], [-2.3, -1.9], [-2.5, -2.0], [-2.7, -2.2]])).is_empty()
        );
        // Both rise together: something else.
        assert!(judge(&epochs(names, &[[0.2, 0.3], [0.4, 0.4], [0.5, 0.6], [0.6, 0.7]])).is_empty());
    }

    #[test]
    fn a_gap_in_accuracy_must_last_and_be_wide() {
        let names = ["train_accuracy", "validation_accuracy"];
        assert!(judge(&epochs(names, &[[0.9, 0.8], [1.0, 0.9]])).is_empty());
        assert!(judge(&epochs(names, &[[0.9, 0.85], [1.0, 0.8]])).is_empty());
        let found = judge(&epochs(names, &[[0.9, 0.7], [1.0, 0.8]]));
        assert_eq!(found[0].disease, Disease::Overfitting);
    }

    #[test]
    fn perfection_in_the_first_epochs_is_told_and_later_is_not() {
        let names = ["train_accuracy", "validation_accuracy"];
        assert_eq!(judge(&epochs(names, &[[0.9, 1.0]]))[0].disease, Disease::LeakedLabels);
        assert!(judge(&epochs(names, &[[0.9, 0.9], [0.9, 0.95], [1.0, 1.0]])).is_empty());
    }
}
