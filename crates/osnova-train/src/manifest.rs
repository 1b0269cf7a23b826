//! The record of a run: everything that is needed to make it again, and what came out.

use crate::history::numbers;
use crate::metrics::ConfusionMatrix;
use crate::{Diagnosis, EpochRecord, History, Result, TrainError, files};
use osnova_data::{Dataset, Source, TestRecord};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The version of the manifest's layout.
const FORMAT: u32 = 1;

/// The record of a run, written as `manifest.json` beside its results.
///
/// ```
/// use osnova_train::Manifest;
///
/// let mut manifest = Manifest::new(42, "cpu").dataset("digits", &osnova_data::digits()?);
/// manifest.hyperparameter("learning_rate", 1e-3)?;
/// let total = manifest.phase("nothing", || 1 + 1);
/// assert_eq!((total, manifest.dataset.sources[0].bytes), (2, 57_523));
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this layout.
    format: u32,
    /// The version of Osnova that made the run.
    pub osnova_version: String,
    /// When it began, in seconds since 1970-01-01 UTC.
    pub started_at: u64,
    /// The seed of everything random.
    pub seed: u64,
    /// The device's name.
    pub device: String,
    /// The data.
    pub dataset: DatasetRecord,
    /// How many samples each part has.
    pub split: SplitSizes,
    /// What the user chose, by name.
    pub hyperparameters: BTreeMap<String, serde_json::Value>,
    /// Each epoch.
    pub epochs: Vec<EpochRecord>,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: Option<usize>,
    /// Why training ended before the last epoch, if it did.
    pub stopped: Option<String>,
    /// What a [`Doctor`](crate::Doctor) has found wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosis>,
    /// The final evaluation, once it was made.
    pub test: Option<TestResult>,
    /// How long each phase took.
    pub seconds: BTreeMap<String, f64>,
}

/// Which data a run used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Its name.
    pub name: String,
    /// The files it came from, with their SHA-256.
    pub sources: Vec<Source>,
}

/// How many samples each part has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSizes {
    /// Samples to train on.
    pub train: usize,
    /// Samples to choose by.
    pub validation: usize,
    /// Samples under the seal.
    pub test: usize,
}

/// The final evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The opening of the seal.
    pub opened: TestRecord,
    /// What was predicted for which class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion_matrix: Option<ConfusionMatrix>,
    /// The test metrics by name, such as `accuracy` and `loss`.
    #[serde(flatten, with = "numbers")]
    pub metrics: BTreeMap<String, f64>,
}

impl Manifest {
    /// The manifest of a run that begins now.
    pub fn new(seed: u64, device: impl Into<String>) -> Self {
        Self {
            format: FORMAT,
            osnova_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            seed,
            device: device.into(),
            dataset: DatasetRecord::default(),
            split: SplitSizes::default(),
            hyperparameters: BTreeMap::new(),
            epochs: Vec::new(),
            best_epoch: None,
            stopped: None,
            diagnoses: Vec::new(),
            test: None,
            seconds: BTreeMap::new(),
        }
    }

    /// Records where the data came from.
    pub fn dataset(mut self, name: impl Into<String>, data: &dyn Dataset) -> Self {
        self.dataset = DatasetRecord { name: name.into(), sources: data.sources().to_vec() };
        self
    }

    /// Records a choice.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn hyperparameter(&mut self, name: impl Into<String>, value: impl Serialize) -> Result<()> {
        let name = name.into();
        let value = serde_json::to_value(value).map_err(|error| {
            TrainError::argument(
                "Manifest::hyperparameter",
                format!("`{name}` cannot be written as JSON: {error}"),
                "Give numbers, strings, lists, or maps with string keys",
            )
        })?;
        self.hyperparameters.insert(name, value);
        Ok(())
    }

    /// Records what training did.
    pub fn record(&mut self, history: &History) {
        self.epochs.clone_from(&history.epochs);
        self.best_epoch = history.restored_epoch.or_else(|| history.last().map(|record| record.epoch));
        self.stopped.clone_from(&history.stopped);
        self.diagnoses.clone_from(&history.diagnoses);
    }

    /// Runs `work` and records how long it took. Phases of one name add up.
    pub fn phase<R>(&mut self, name: &str, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        *self.seconds.entry(name.to_owned()).or_default() += start.elapsed().as_secs_f64();
        result
    }

    /// Records the final evaluation. There is one: the record comes from breaking the seal.
    ///
    /// # Errors
    /// The manifest holds one already.
    pub fn record_test(&mut self, result: TestResult) -> Result<()> {
        if let Some(test) = &self.test {
            return Err(TrainError::argument(
                "Manifest::record_test",
                format!("the run was tested already, for \"{}\"", test.opened.purpose),
                "The test set is used once; start a new run, and choose by validation data",
            ));
        }
        self.test = Some(result);
        Ok(())
    }

    /// Writes the manifest in one piece: a crash leaves the old file or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write_json(path.as_ref(), self)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The file cannot be read, or is no manifest, or one of a later version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let manifest: Self = files::read_json(path.as_ref())?;
        if manifest.format > FORMAT {
            return Err(TrainError::argument(
                "Manifest::load",
                format!("{} has format {}, this version knows {FORMAT}", path.as_ref().display(), manifest.format),
                "Use a later version of Osnova",
            ));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osnova_data::{SplitOptions, digits, train_validation_test_split};

    fn manifest() -> Manifest {
        let split =
            train_validation_test_split(digits().unwrap(), [0.6, 0.2, 0.2], &SplitOptions::stratified(1)).unwrap();
        let mut manifest = Manifest::new(1, "cpu").dataset("digits", &split.train);
        manifest.split =
            SplitSizes { train: split.train.len(), validation: split.validation.len(), test: split.test.len() };
        manifest.hyperparameter("hidden", [128]).unwrap();
        let metrics = BTreeMap::from([("train_loss".to_owned(), 0.1)]);
        let epochs = vec![EpochRecord { epoch: 1, step: 3, learning_rate: 1e-3, seconds: 0.25, metrics }];
        manifest.record(&History { epochs, ..History::default() });
        let (_, opened) = split.test.open("final evaluation");
        let metrics = BTreeMap::from([("accuracy".to_owned(), 0.98), ("loss".to_owned(), f64::INFINITY)]);
        let confusion_matrix = Some(ConfusionMatrix::of(&[0, 1], &[0, 0], 2).unwrap());
        manifest.record_test(TestResult { opened, confusion_matrix, metrics }).unwrap();
        manifest
    }

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs/digits/manifest.json");
        let manifest = manifest();
        manifest.save(&path).unwrap();
        assert_eq!(Manifest::load(&path).unwrap(), manifest);
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["test"]["accuracy"], 0.98);
        assert_eq!(json["test"]["opened"]["samples"], 360);
        assert_eq!(json["split"]["train"], 1078);
        assert_eq!(json["best_epoch"], 1);
        let hash = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22";
        assert_eq!(json["dataset"]["sources"][0]["sha256"], hash);
    }

    #[test]
    fn a_second_test_is_refused() {
        let mut manifest = manifest();
        let again = manifest.test.clone().unwrap();
        let message = manifest.record_test(again).unwrap_err().to_string();
        assert!(message.contains("tested already"), "{message}");
    }

    #[test]
    fn phases_add_up() {
        let mut manifest = manifest();
        for _ in 0..2 {
            manifest.phase("wait", || std::thread::sleep(std::time::Duration::from_millis(2)));
        }
        assert!(manifest.seconds["wait"] >= 0.004);
    }

    #[test]
    fn later_formats_and_odd_values_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("manifest.json");
        let mut manifest = manifest();
        manifest.format = FORMAT + 1;
        manifest.save(&path).unwrap();
        assert!(Manifest::load(&path).unwrap_err().to_string().contains("later version"));
        std::fs::write(&path, "{}").unwrap();
        assert!(Manifest::load(&path).is_err());
        let odd = BTreeMap::from([(vec![1], 2)]);
        assert!(manifest.hyperparameter("odd", odd).unwrap_err().to_string().contains("odd"));
    }
}
