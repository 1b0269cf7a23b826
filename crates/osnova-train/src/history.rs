//! What happened in each epoch.

use crate::{Diagnosis, Result, TrainError, files};
use osnova_checkpoint::Goal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Whether `value` is better than `best` by more than `min_delta`. NaN is never better, and anything is better than NaN.
pub(crate) fn is_better(goal: Goal, value: f64, best: f64, min_delta: f64) -> bool {
    let margin = if best.is_nan() { 0.0 } else { min_delta };
    match goal {
        Goal::Lowest => goal.prefers(value + margin, best),
        Goal::Highest => goal.prefers(value - margin, best),
    }
}

/// One epoch of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Optimizer steps of the whole run up to its end.
    pub step: u64,
    /// The learning rate of its last step.
    #[serde(with = "number")]
    pub learning_rate: f64,
    /// How long it took, validation included.
    pub seconds: f64,
    /// Means over the epoch by name: `train_loss`, `validation_loss`, `train_accuracy`, `validation_accuracy`, …
    #[serde(with = "numbers")]
    pub metrics: BTreeMap<String, f64>,
}

impl EpochRecord {
    /// A metric by name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name).copied()
    }

    /// A metric by name, for `operation`.
    ///
    /// # Errors
    /// [`TrainError::Monitor`] if the epoch does not have it.
    pub fn monitored(&self, operation: &'static str, name: &str) -> Result<f64> {
        self.metric(name).ok_or_else(|| TrainError::Monitor {
            operation,
            wanted: name.to_owned(),
            available: self.metrics.keys().cloned().collect(),
        })
    }
}

/// All epochs of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The epochs in order.
    pub epochs: Vec<EpochRecord>,
    /// Why training ended before the last epoch, if it did.
    pub stopped: Option<String>,
    /// The epoch whose weights the model has at the end, if a callback went back to an earlier one.
    pub restored_epoch: Option<usize>,
    /// What a [`Doctor`](crate::Doctor) has found wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosis>,
}

impl History {
    /// A metric epoch by epoch; NaN where an epoch does not have it.
    pub fn series(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().map(|epoch| epoch.metric(name).unwrap_or(f64::NAN)).collect()
    }

    /// The last epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// The first of the epochs with the best value of a metric.
    pub fn best(&self, name: &str, goal: Goal) -> Option<&EpochRecord> {
        let mut best: Option<(&EpochRecord, f64)> = None;
        for record in &self.epochs {
            if let Some(value) = record.metric(name)
                && best.is_none_or(|(_, best)| is_better(goal, value, best, 0.0))
            {
                best = Some((record, value));
            }
        }
        best.map(|(record, _)| record)
    }

    /// The names of all metrics, in alphabetical order.
    pub fn metric_names(&self) -> Vec<&str> {
        let names: BTreeSet<&str> =
            self.epochs.iter().flat_map(|epoch| epoch.metrics.keys().map(String::as_str)).collect();
        names.into_iter().collect()
    }

    /// The history as comma-separated values: a row an epoch, a column a metric.
    pub fn to_csv(&self) -> String {
        let names = self.metric_names();
        let quote = |name: &str| match name.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.to_owned(),
        };
        let mut text = String::from("epoch,step,learning_rate,seconds");
        names.iter().for_each(|name| text.push_str(&format!(",{}", quote(name))));
        text.push('\n');
        for record in &self.epochs {
            let EpochRecord { epoch, step, learning_rate, seconds, .. } = record;
            text.push_str(&format!("{epoch},{step},{learning_rate},{seconds}"));
            for name in &names {
                let value = record.metric(name).map_or_else(String::new, |value| value.to_string());
                text.push_str(&format!(",{value}"));
            }
            text.push('\n');
        }
        text
    }

    /// Writes [`to_csv`](Self::to_csv) to a file, in one piece.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write(path.as_ref(), self.to_csv().as_bytes())
    }

    /// Writes the history as JSON, in one piece.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_json(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write_json(path.as_ref(), self)
    }

    /// Reads what [`save_json`](Self::save_json) wrote.
    ///
    /// # Errors
    /// The file cannot be read or is no history.
    pub fn load_json(path: impl AsRef<Path>) -> Result<Self> {
        files::read_json(path.as_ref())
    }
}

/// A number that may be NaN or infinite, which JSON has no word for: as a string then.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Finite(f64),
    Other(String),
}

impl From<f64> for Written {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Finite(value) } else { Self::Other(value.to_string()) }
    }
}

impl Written {
    fn read<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Finite(value) => Ok(value),
            Self::Other(text) => text.parse().map_err(|_| E::custom(format!("`{text}` is not a number"))),
        }
    }
}

pub(crate) mod number {
    use super::Written;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(*value).serialize(serializer)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<f64, D::Error> {
        Written::deserialize(deserializer)?.read()
    }
}

pub(crate) mod numbers {
    use super::Written;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(crate) fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, Written::from(*value))))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let values = BTreeMap::<String, Written>::deserialize(deserializer)?;
        values.into_iter().map(|(name, value)| Ok((name, value.read()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn record(epoch: usize, metrics: &[(&str, f64)]) -> EpochRecord {
        let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        EpochRecord { epoch, step: 10 * epoch as u64, learning_rate: 0.1, seconds: 0.5, metrics }
    }

    fn history() -> History {
        let epochs = vec![
            record(1, &[("validation_loss", f64::NAN)]),
            record(2, &[("validation_loss", 0.5), ("a,b", f64::INFINITY)]),
            record(3, &[("validation_loss", 0.5)]),
            record(4, &[("validation_loss", 0.75)]),
        ];
        History { epochs, stopped: Some("tired".into()), restored_epoch: Some(2), ..History::default() }
    }

    #[test]
    fn the_best_epoch_is_the_first_of_equals_and_never_nan() {
        let history = history();
        assert_eq!(history.best("validation_loss", Goal::Lowest).unwrap().epoch, 2);
        assert_eq!(history.best("validation_loss", Goal::Highest).unwrap().epoch, 4);
        assert!(history.best("none", Goal::Lowest).is_none());
        assert_eq!(history.series("validation_loss")[1..], [0.5, 0.5, 0.75]);
    }

    #[test]
    fn csv_has_a_row_an_epoch() {
        let csv = history().to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "epoch,step,learning_rate,seconds,\"a,b\",validation_loss");
        assert_eq!(lines[2], "2,20,0.1,0.5,inf,0.5");
        assert_eq!(lines[3], "3,30,0.1,0.5,,0.5");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_missing_metric_is_named_with_those_there_are() {
        let message = record(1, &[("train_loss", 1.0)]).monitored("EarlyStopping", "val_loss").unwrap_err().to_string();
        assert!(message.contains("`val_loss`") && message.contains("`train_loss`"), "{message}");
        let message = record(1, &[]).monitored("EarlyStopping", "val_loss").unwrap_err().to_string();
        assert!(message.contains("no metrics"), "{message}");
    }

    #[test]
    fn json_keeps_what_is_not_finite() {
        let text = serde_json::to_string(&history()).unwrap();
        let back: History = serde_json::from_str(&text).unwrap();
        assert!(back.epochs[0].metrics["validation_loss"].is_nan());
        assert_eq!(back.epochs[1..], history().epochs[1..]);
        assert_eq!((back.stopped.as_deref(), back.restored_epoch), (Some("tired"), Some(2)));
        assert!(serde_json::from_str::<History>(&text.replace("\"inf\"", "\"x\"")).is_err());
    }

    proptest! {
        #[test]
        fn json_keeps_every_bit(value in any::<f64>()) {
            let first = record(1, &[("m", value)]);
            let text = serde_json::to_string(&first).unwrap();
            let back: EpochRecord = serde_json::from_str(&text).unwrap();
            let value = back.metrics["m"];
            prop_assert!(value.to_bits() == first.metrics["m"].to_bits() || value.is_nan());
        }

        #[test]
        fn the_best_is_not_beaten(values in prop::collection::vec(-1e3f64..1e3, 1..30)) {
            let epochs = values.iter().enumerate().map(|(epoch, value)| record(epoch + 1, &[("m", *value)])).collect();
            let history = History { epochs, ..History::default() };
            let best = history.best("m", Goal::Lowest).unwrap();
            prop_assert!(values.iter().all(|value| *value >= best.metrics["m"]));
            prop_assert!(values[..best.epoch - 1].iter().all(|value| *value > best.metrics["m"]));
        }
    }
}
