//! The test set, sealed until the one final evaluation.

use crate::source::hexadecimal;
use crate::{Dataset, Source, Subset};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A test set that nothing can look at until it is [opened](Self::open), which consumes it.
///
/// Whoever tunes on the test set measures luck. So a split hands the test samples out sealed: the seal is no
/// [`Dataset`], has no accessor but its length, cannot be cloned, and opening it moves it. What is opened comes with a
/// [`TestRecord`] for the run's manifest.
///
/// ```
/// use osnova_data::{digits, train_validation_test_split, Dataset, SplitOptions};
///
/// let split = train_validation_test_split(digits()?, [0.6, 0.2, 0.2], &SplitOptions::stratified(42))?;
/// // … train on `split.train`, choose by `split.validation`, and at the very end:
/// let (test, record) = split.test.open("final evaluation");
/// assert_eq!((test.len(), record.samples), (360, 360));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
///
/// Opening twice does not compile:
///
/// ```compile_fail,E0382
/// # let split = osnova_data::train_validation_test_split(osnova_data::digits().unwrap(), [0.6, 0.2, 0.2],
/// #     &osnova_data::SplitOptions::stratified(42)).unwrap();
/// let (test, record) = split.test.open("first look");
/// let (again, record) = split.test.open("second look");
/// ```
///
/// Nor does reading the sealed data,
///
/// ```compile_fail,E0599
/// # use osnova_data::Dataset;
/// # let split = osnova_data::train_validation_test_split(osnova_data::digits().unwrap(), [0.6, 0.2, 0.2],
/// #     &osnova_data::SplitOptions::stratified(42)).unwrap();
/// split.test.classes();
/// ```
///
/// taking them out by the back door,
///
/// ```compile_fail,E0616
/// # let split = osnova_data::train_validation_test_split(osnova_data::digits().unwrap(), [0.6, 0.2, 0.2],
/// #     &osnova_data::SplitOptions::stratified(42)).unwrap();
/// let test = split.test.data;
/// ```
///
/// or making a copy to open twice:
///
/// ```compile_fail,E0599
/// # let split = osnova_data::train_validation_test_split(osnova_data::digits().unwrap(), [0.6, 0.2, 0.2],
/// #     &osnova_data::SplitOptions::stratified(42)).unwrap();
/// let copy = split.test.clone();
/// ```
#[must_use = "the sealed test set is opened once, by the final evaluation"]
pub struct SealedTest<D> {
    data: D,
    samples: usize,
    sources: Vec<Source>,
    /// Which samples of the sources, if not all.
    indices_sha256: Option<String>,
    seed: Option<u64>,
}

/// That a test set was opened, what it was and when: an entry of the run's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRecord {
    /// What it was opened for, in the caller's words.
    pub purpose: String,
    /// The number of test samples.
    pub samples: usize,
    /// The files behind the data set.
    pub sources: Vec<Source>,
    /// SHA-256 over the test samples' indices in the data set (each as 8 little-endian bytes): two runs with the same
    /// value were tested on the same samples. `None` if the test set is a data set of its own.
    pub indices_sha256: Option<String>,
    /// The split's seed; `None` if nothing was drawn.
    pub seed: Option<u64>,
    /// When it was opened, in seconds since 1970-01-01 UTC.
    pub opened_at: u64,
}

impl<D: Dataset> SealedTest<D> {
    /// Seals a data set that is a test set of its own, such as MNIST's.
    pub fn seal(data: D) -> Self {
        Self { samples: data.len(), sources: data.sources().to_vec(), indices_sha256: None, seed: None, data }
    }
}

impl<D: Dataset> SealedTest<Subset<D>> {
    pub(crate) fn seal_subset(data: Subset<D>, seed: Option<u64>) -> Self {
        let mut hash = Sha256::new();
        for &index in data.indices() {
            hash.update((index as u64).to_le_bytes());
        }
        let indices_sha256 = Some(hexadecimal(&hash.finalize()));
        Self { seed, indices_sha256, ..Self::seal(data) }
    }
}

impl<D> SealedTest<D> {
    /// The number of samples under the seal.
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether there is no sample under the seal.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Breaks the seal: the data, and the record that belongs into the run's manifest.
    pub fn open(self, purpose: impl Into<String>) -> (D, TestRecord) {
        let opened_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let record = TestRecord {
            purpose: purpose.into(),
            samples: self.samples,
            sources: self.sources,
            indices_sha256: self.indices_sha256,
            seed: self.seed,
            opened_at,
        };
        (self.data, record)
    }
}

impl<D> fmt::Debug for SealedTest<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedTest").field("len", &self.samples).finish_non_exhaustive()
    }
}
