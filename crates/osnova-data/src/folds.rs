//! Cross-validation: ways to divide samples into folds, with scikit-learn's names and semantics.
//!
//! Every method gives [`Folds`], an iterator of `(train, validation)` indices. They work on counts, classes or groups
//! alone, so nothing is copied; make the data with [`Subset`](crate::Subset).

mod division;

pub use division::Folds;

use crate::dataset::classes_of;
use crate::random::{Purpose, permutation, shuffle};
use crate::{DataError, Dataset, Result, memory};
use division::{Assigned, Division, Repeat};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// A way to divide a data set into folds.
pub trait CrossValidator: std::fmt::Debug + Send + Sync {
    /// The folds of `data`.
    ///
    /// # Errors
    /// The data do not allow these folds: too few samples, no classes, too few groups.
    fn folds(&self, data: &dyn Dataset) -> Result<Folds>;
}

fn check_folds(operation: &'static str, folds: usize, samples: usize, what: &str) -> Result<()> {
    let (problem, advice) = if folds < 2 {
        (format!("{folds} folds were asked for"), "Cross-validation needs at least 2")
    } else if folds > samples {
        (format!("{folds} folds were asked for, but there are {samples} {what}"), "Ask for fewer folds")
    } else {
        return Ok(());
    };
    Err(DataError::argument(operation, problem, advice))
}

/// Fails if there is no memory for the indices of all samples, which is what the iterator then needs.
fn check_indices(operation: &'static str, samples: usize) -> Result<()> {
    memory::room::<usize>(operation, "the indices of the samples", Some(samples)).map(drop)
}

/// K folds of (nearly) equal size: every sample validates exactly once. The first `samples % folds` folds hold one more.
///
/// ```
/// use osnova_data::KFold;
///
/// let folds: Vec<_> = KFold::new(3).split(7)?.collect();
/// assert_eq!(folds[0], (vec![3, 4, 5, 6], vec![0, 1, 2]));
/// assert_eq!(folds[2].1, [5, 6]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KFold {
    folds: usize,
    shuffle: Option<u64>,
}

impl KFold {
    /// This many folds, of consecutive samples.
    pub fn new(folds: usize) -> Self {
        Self { folds, shuffle: None }
    }

    /// Draws the folds at random.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.shuffle = Some(seed);
        self
    }

    /// The folds of `samples` samples.
    ///
    /// # Errors
    /// Fewer than 2 folds, or more folds than samples.
    pub fn split(&self, samples: usize) -> Result<Folds> {
        Ok(Folds::new(samples, Division::Assigned(self.divide("KFold", samples, 0)?), self.folds))
    }

    fn divide(&self, operation: &'static str, samples: usize, repetition: u64) -> Result<Assigned> {
        check_folds(operation, self.folds, samples, "samples")?;
        let order = match self.shuffle {
            Some(seed) => permutation(operation, samples, seed, Purpose::Folds, repetition)?,
            None => memory::indices(operation, samples)?,
        };
        let (size, larger) = (samples / self.folds, samples % self.folds);
        let mut fold_of = memory::indices(operation, samples)?;
        for (position, sample) in order.into_iter().enumerate() {
            fold_of[sample] = match position.checked_sub(larger * (size + 1)) {
                None => position / (size + 1),
                Some(position) => larger + position / size,
            };
        }
        Assigned::new(operation, &fold_of, self.folds)
    }
}

impl CrossValidator for KFold {
    fn folds(&self, data: &dyn Dataset) -> Result<Folds> {
        self.split(data.len())
    }
}

/// K folds that each hold every class in the proportion of the whole, to within one sample: 70/30 stays 70/30.
///
/// ```
/// use osnova_data::StratifiedKFold;
///
/// let classes: Vec<i64> = (0..100).map(|sample| i64::from(sample >= 70)).collect();
/// for (_, validation) in StratifiedKFold::new(5).shuffle(1).split(&classes)? {
///     assert_eq!(validation.iter().filter(|&&sample| classes[sample] == 0).count(), 14);
/// }
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StratifiedKFold {
    folds: usize,
    shuffle: Option<u64>,
}

impl StratifiedKFold {
    /// This many folds, samples of a class in the order they come.
    pub fn new(folds: usize) -> Self {
        Self { folds, shuffle: None }
    }

    /// Draws the folds at random.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.shuffle = Some(seed);
        self
    }

    /// The folds of samples with these classes.
    ///
    /// # Errors
    /// Fewer than 2 folds, or every class has fewer samples than there are folds. (A single small class is allowed, as in
    /// scikit-learn: some folds lack it.)
    pub fn split(&self, classes: &[i64]) -> Result<Folds> {
        let assigned = self.divide("StratifiedKFold", classes, 0)?;
        Ok(Folds::new(classes.len(), Division::Assigned(assigned), self.folds))
    }

    fn divide(&self, operation: &'static str, classes: &[i64], repetition: u64) -> Result<Assigned> {
        // Classes are numbered by first appearance, as scikit-learn does, so that unshuffled folds are the same.
        let mut seen: Vec<i64> = Vec::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut number_of = std::collections::HashMap::new();
        for (sample, &class) in classes.iter().enumerate() {
            let number = *number_of.entry(class).or_insert_with(|| {
                seen.push(class);
                members.push(Vec::new());
                members.len() - 1
            });
            memory::reserve(operation, "the samples of a class", &mut members[number], 1)?;
            members[number].push(sample);
        }
        let largest = members.iter().map(Vec::len).max().unwrap_or(0);
        check_folds(operation, self.folds, largest, "samples in the largest class")?;
        let mut fold_of = memory::indices(operation, classes.len())?;
        // Samples sorted by class are dealt to the folds in turn: that fixes how many of a class each fold gets.
        let mut dealt = 0;
        for (class, members) in seen.into_iter().zip(members) {
            let mut folds: Vec<usize> = memory::room(operation, "the folds of a class", Some(members.len()))?;
            folds.extend((dealt..dealt + members.len()).map(|turn| turn % self.folds));
            folds.sort_unstable();
            dealt += members.len();
            if let Some(seed) = self.shuffle {
                // Class and repetition share the epoch's 64 bits: there are at most 2^32 repetitions.
                shuffle(&mut folds, seed, Purpose::Folds, (class as u64) << 32 | repetition);
            }
            for (sample, fold) in members.into_iter().zip(folds) {
                fold_of[sample] = fold;
            }
        }
        Assigned::new(operation, &fold_of, self.folds)
    }
}

impl CrossValidator for StratifiedKFold {
    fn folds(&self, data: &dyn Dataset) -> Result<Folds> {
        self.split(&classes_of("StratifiedKFold", data)?)
    }
}

/// So many shuffles differ by their numbers; see [`StratifiedKFold::divide`].
const MOST_REPETITIONS: u64 = 1 << 32;

/// [`KFold`] or [`StratifiedKFold`] several times, each time with another shuffle.
#[derive(Clone, Copy, Debug)]
pub struct RepeatedKFold {
    folds: usize,
    repetitions: usize,
    seed: u64,
    stratified: bool,
}

impl RepeatedKFold {
    /// `repetitions` times `folds` folds.
    pub fn new(folds: usize, repetitions: usize, seed: u64) -> Self {
        Self { folds, repetitions, seed, stratified: false }
    }

    /// Keeps each class's proportion in every fold.
    pub fn stratified(mut self) -> Self {
        self.stratified = true;
        self
    }

    /// The divisions, of which the first is made at once: what it refuses, all would.
    fn repeat(&self, samples: usize, again: Repeat) -> Result<Folds> {
        const NAME: &str = "RepeatedKFold";
        if self.repetitions == 0 {
            return Err(DataError::argument(NAME, "0 repetitions were asked for", "Ask for at least 1"));
        }
        let current = again.divide(samples, 0)?;
        let count = self.folds.checked_mul(self.repetitions).filter(|_| self.repetitions as u64 <= MOST_REPETITIONS);
        let Some(count) = count else {
            let problem = format!("{} repetitions of {} folds were asked for", self.repetitions, self.folds);
            return Err(DataError::argument(NAME, problem, format!("Ask for at most {MOST_REPETITIONS}")));
        };
        Ok(Folds::new(samples, Division::Repeated { current, repetition: 0, folds: self.folds, again }, count))
    }

    /// The folds of `samples` samples, repetition by repetition, without stratification.
    ///
    /// # Errors
    /// No repetition or more than 2³², fewer than 2 folds, or more folds than samples.
    pub fn split(&self, samples: usize) -> Result<Folds> {
        self.repeat(samples, Repeat::Plain(KFold::new(self.folds).shuffle(self.seed)))
    }
}

impl CrossValidator for RepeatedKFold {
    fn folds(&self, data: &dyn Dataset) -> Result<Folds> {
        if !self.stratified {
            return self.split(data.len());
        }
        let classes = classes_of("RepeatedKFold", data)?;
        let folds = StratifiedKFold::new(self.folds).shuffle(self.seed);
        self.repeat(classes.len(), Repeat::Stratified(folds, classes))
    }
}

/// K folds in which a group (a patient, a writer, a session) never both trains and validates.
///
/// Folds are balanced by size: groups go, largest first, to the fold that holds the fewest samples.
///
/// ```
/// use osnova_data::GroupKFold;
///
/// let folds: Vec<_> = GroupKFold::new(2, vec![7, 7, 8, 8, 8, 9]).split()?.collect();
/// assert_eq!(folds[0], (vec![0, 1, 5], vec![2, 3, 4]));
/// assert_eq!(folds[1], (vec![2, 3, 4], vec![0, 1, 5]));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GroupKFold {
    folds: usize,
    groups: Arc<[u64]>,
}

impl GroupKFold {
    /// This many folds; `groups` has one number a sample.
    pub fn new(folds: usize, groups: impl Into<Arc<[u64]>>) -> Self {
        Self { folds, groups: groups.into() }
    }

    /// The folds.
    ///
    /// # Errors
    /// Fewer than 2 folds, or more folds than groups.
    pub fn split(&self) -> Result<Folds> {
        const NAME: &str = "GroupKFold";
        let groups = &self.groups;
        let mut order = memory::indices(NAME, groups.len())?;
        order.sort_unstable_by_key(|&sample| (groups[sample], sample));
        let mut members: Vec<&[usize]> = order.chunk_by(|&left, &right| groups[left] == groups[right]).collect();
        check_folds(NAME, self.folds, members.len(), "groups")?;
        // Among groups of one size the last comes first: scikit-learn reverses an ascending sort.
        members.sort_by_key(|members| members.len());
        // The smallest fold is on top, and of several the first.
        let mut sizes: BinaryHeap<Reverse<(usize, usize)>> = (0..self.folds).map(|fold| Reverse((0, fold))).collect();
        let mut fold_of = memory::indices(NAME, groups.len())?;
        for group in members.into_iter().rev() {
            let Some(Reverse((size, fold))) = sizes.pop() else { unreachable!("there are at least two folds") };
            sizes.push(Reverse((size + group.len(), fold)));
            for &sample in group {
                fold_of[sample] = fold;
            }
        }
        let assigned = Assigned::new(NAME, &fold_of, self.folds)?;
        Ok(Folds::new(groups.len(), Division::Assigned(assigned), self.folds))
    }
}

impl CrossValidator for GroupKFold {
    fn folds(&self, data: &dyn Dataset) -> Result<Folds> {
        if self.groups.len() != data.len() {
            let problem = format!("{} groups for {} samples", self.groups.len(), data.len());
            return Err(DataError::argument("GroupKFold", problem, "Give one group a sample"));
        }
        self.split()
    }
}

/// Folds for samples in time order: each validates on what follows its training samples, never on the past.
///
/// ```
/// use osnova_data::TimeSeriesSplit;
///
/// let folds: Vec<_> = TimeSeriesSplit::new(2).gap(1).split(9)?.collect();
/// assert_eq!(folds[0], (vec![0, 1], vec![3, 4, 5]));
/// assert_eq!(folds[1], (vec![0, 1, 2, 3, 4], vec![6, 7, 8]));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeSeriesSplit {
    folds: usize,
    max_train_size: Option<usize>,
    validation_size: Option<usize>,
    gap: usize,
}

impl TimeSeriesSplit {
    /// This many folds, growing from fold to fold.
    pub fn new(folds: usize) -> Self {
        Self { folds, max_train_size: None, validation_size: None, gap: 0 }
    }

    /// Trains on at most this many of the latest samples.
    pub fn max_train_size(mut self, samples: usize) -> Self {
        self.max_train_size = Some(samples);
        self
    }

    /// Validates on this many samples a fold instead of `samples / (folds + 1)`.
    pub fn validation_size(mut self, samples: usize) -> Self {
        self.validation_size = Some(samples);
        self
    }

    /// Leaves out this many samples between training and validation.
    pub fn gap(mut self, samples: usize) -> Self {
        self.gap = samples;
        self
    }

    /// The folds of `samples` samples.
    ///
    /// # Errors
    /// Fewer than 2 folds, or the first fold would have nothing to train on.
    pub fn split(&self, samples: usize) -> Result<Folds> {
        check_folds("TimeSeriesSplit", self.folds, samples.saturating_sub(1), "samples after the first")?;
        let size = self.validation_size.unwrap_or(samples / (self.folds + 1));
        let first = self.folds.checked_mul(size).and_then(|all| samples.checked_sub(all));
        let first = first.filter(|&first| size > 0 && first > self.gap && self.max_train_size != Some(0));
        let Some(first) = first else {
            return Err(DataError::argument(
                "TimeSeriesSplit",
                format!(
                    "{} folds of {size} with a gap of {} leave nothing to train on out of {samples} samples",
                    self.folds, self.gap
                ),
                "Ask for fewer or smaller folds, or a smaller gap",
            ));
        };
        check_indices("TimeSeriesSplit", samples)?;
        let max_train_size = self.max_train_size.unwrap_or(usize::MAX);
        Ok(Folds::new(samples, Division::Series { first, size, gap: self.gap, max_train_size }, self.folds))
    }
}

impl CrossValidator for TimeSeriesSplit {
    fn folds(&self, data: &dyn Dataset) -> Result<Folds> {
        self.split(data.len())
    }
}

/// As many folds as samples: each validates alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeaveOneOut;

impl LeaveOneOut {
    /// The folds of `samples` samples.
    ///
    /// # Errors
    /// Fewer than 2 samples.
    pub fn split(&self, samples: usize) -> Result<Folds> {
        check_folds("LeaveOneOut", samples, samples, "samples")?;
        check_indices("LeaveOneOut", samples)?;
        Ok(Folds::new(samples, Division::Single, samples))
    }
}

impl CrossValidator for LeaveOneOut {
    fn folds(&self, data: &dyn Dataset) -> Result<Folds> {
        self.split(data.len())
    }
}
