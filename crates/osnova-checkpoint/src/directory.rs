//! A directory of numbered checkpoints.

use crate::checkpoint::verify;
use crate::lock::Lock;
use crate::metadata::{FORMAT, METADATA_FILE, read_metadata};
use crate::{Checkpoint, CheckpointError, Result, files, temporary};
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The checkpoints of one run: each save adds one, and old ones go.
///
/// Checkpoints are directories named `<number>-step-<step>`, numbered in the order they were saved. There is no list and no
/// pointer that could disagree with them: what is there, under its name, is complete.
///
/// ```
/// use osnova_checkpoint::{Checkpoint, CheckpointDirectory, Goal};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("checkpoints");
/// let checkpoints = CheckpointDirectory::create(&path)?.keep_last(2)?.keep_best("loss", Goal::Lowest);
/// for (step, loss) in [(10, 0.5), (20, 0.2), (30, 0.3), (40, 0.4)] {
///     let mut checkpoint = Checkpoint::new(step, 0);
///     checkpoint.set_metric("loss", loss);
///     checkpoints.save(&checkpoint)?;
/// }
/// let steps: Vec<u64> = checkpoints.entries()?.iter().map(|entry| entry.step()).collect();
/// assert_eq!(steps, [20, 30, 40]);
/// assert_eq!(checkpoints.best()?.unwrap().step(), 20);
/// assert_eq!(checkpoints.load_latest()?.unwrap().step(), 40);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A directory is for one run. Several may save into it at once without harm to any checkpoint, but their checkpoints are
/// then mixed, and each may remove the others' old ones. Only what [`save`](Self::save) wrote is ever removed.
#[derive(Clone, Debug)]
pub struct CheckpointDirectory {
    path: PathBuf,
    keep_last: Option<usize>,
    best: Option<(String, Goal)>,
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Low ones, as of a loss.
    Lowest,
    /// High ones, as of an accuracy.
    Highest,
}

impl Goal {
    /// Whether `value` is better than `other`. NaN is never better, and anything else is better than NaN.
    pub fn prefers(self, value: f64, other: f64) -> bool {
        match self {
            _ if value.is_nan() => false,
            _ if other.is_nan() => true,
            Self::Lowest => value < other,
            Self::Highest => value > other,
        }
    }
}

/// A checkpoint in a [`CheckpointDirectory`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointEntry {
    number: u64,
    step: u64,
    path: PathBuf,
}

impl CheckpointEntry {
    /// Its number in the order of saving.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The run's optimizer steps when it was saved.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Loads and verifies it.
    ///
    /// # Errors
    /// Those of [`Checkpoint::load`].
    pub fn load(&self) -> Result<Checkpoint> {
        Checkpoint::load(&self.path)
    }

    /// Verifies every byte of it.
    ///
    /// # Errors
    /// Those of [`Checkpoint::load`].
    pub fn verify(&self) -> Result<()> {
        verify(&self.path)
    }

    /// A metric it was saved with.
    ///
    /// # Errors
    /// Its `checkpoint.json` is missing or damaged.
    pub fn metric(&self, name: &str) -> Result<Option<f64>> {
        Ok(read_metadata(&self.path)?.metrics.get(name).copied())
    }
}

impl CheckpointDirectory {
    /// The directory at `path`, made if it is not there. Nothing is removed unless [`keep_last`](Self::keep_last) says so.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        fs::create_dir_all(&path).map_err(CheckpointError::save(&path, "create the directory"))?;
        files::sync_directory(files::parent(&path))?;
        Ok(Self { path, keep_last: None, best: None })
    }

    /// Keeps only the `count` newest checkpoints, and the best one besides if [`keep_best`](Self::keep_best) is set. The old
    /// ones go after a new one is safe.
    ///
    /// # Errors
    /// A count of zero.
    pub fn keep_last(mut self, count: usize) -> Result<Self> {
        if count == 0 {
            let advice = "Keep at least one: the newest is what a run resumes from";
            return Err(CheckpointError::unsaveable(&self.path, "no checkpoint would be kept", advice));
        }
        self.keep_last = Some(count);
        Ok(self)
    }

    /// Says which metric makes a checkpoint the best, and keeps that one whatever its age.
    pub fn keep_best(mut self, metric: impl Into<String>, goal: Goal) -> Self {
        self.best = Some((metric.into(), goal));
        self
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Saves a checkpoint under the next number, then removes those that are not to be kept. Programs that save at once
    /// take turns, and each gets a number of its own.
    ///
    /// # Errors
    /// Those of [`Checkpoint::save`]. A checkpoint that cannot be removed is no error: the next save tries again.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<CheckpointEntry> {
        let step = checkpoint.step();
        let written = checkpoint.write(&self.path.join("checkpoint"), &self.path)?;
        let _turn = Lock::to_save(&self.path)?;
        let last = self.latest()?.map(|entry| entry.number);
        let number = last.map_or(Some(0), |last| last.checked_add(1)).ok_or_else(|| {
            CheckpointError::unsaveable(&self.path, "the numbers are used up", "Start another directory")
        })?;
        let path = self.path.join(name(number, step));
        written.publish(&path)?;
        let entry = CheckpointEntry { number, step, path };
        self.remove_old(&entry);
        Ok(entry)
    }

    /// The checkpoints, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn entries(&self) -> Result<Vec<CheckpointEntry>> {
        let listing = fs::read_dir(&self.path).map_err(CheckpointError::io(&self.path, "list"))?;
        let mut entries = Vec::new();
        for entry in listing {
            let entry = entry.map_err(CheckpointError::io(&self.path, "list"))?;
            if let Some((number, step)) = parse(&entry.file_name()) {
                entries.push(CheckpointEntry { number, step, path: entry.path() });
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// The checkpoint saved last, `None` if there is none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn latest(&self) -> Result<Option<CheckpointEntry>> {
        Ok(self.entries()?.pop())
    }

    /// The checkpoint that is best by the metric given to [`keep_best`](Self::keep_best), the earliest of equals; `None` if
    /// no checkpoint has that metric.
    ///
    /// # Errors
    /// No metric was given; a checkpoint is damaged.
    pub fn best(&self) -> Result<Option<CheckpointEntry>> {
        let Some((metric, goal)) = &self.best else {
            return Err(CheckpointError::Part {
                file: self.path.clone(),
                problem: "no metric says which checkpoint is best".to_owned(),
                advice: "Name one with `keep_best`".to_owned(),
            });
        };
        let mut best: Option<(f64, CheckpointEntry)> = None;
        for entry in self.entries()? {
            let value = match entry.metric(metric) {
                Ok(Some(value)) if !value.is_nan() => value,
                Ok(_) => continue,
                // Removed by the saving program since the listing.
                Err(_) if !entry.path.exists() => continue,
                Err(error) => return Err(error),
            };
            if best.as_ref().is_none_or(|(other, _)| goal.prefers(value, *other)) {
                best = Some((value, entry));
            }
        }
        Ok(best.map(|(_, entry)| entry))
    }

    /// Loads and verifies the checkpoint saved last, `None` if there is none.
    ///
    /// # Errors
    /// It is damaged: the error says which file. [`load_latest_valid`](Self::load_latest_valid) falls back to an older one.
    pub fn load_latest(&self) -> Result<Option<Checkpoint>> {
        let mut newest = self.latest()?;
        while let Some(entry) = newest {
            let result = entry.load();
            newest = self.latest()?;
            // Removed by the saving program since the listing? Then a newer one is there.
            if result.is_ok() || newest.as_ref() == Some(&entry) || entry.path.exists() {
                return result.map(Some);
            }
        }
        Ok(None)
    }

    /// Loads the newest checkpoint that is undamaged, and tells what is wrong with the newer ones.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn load_latest_valid(&self) -> Result<(Option<Checkpoint>, Vec<CheckpointError>)> {
        let mut damages = Vec::new();
        for entry in self.entries()?.into_iter().rev() {
            match entry.load() {
                Ok(checkpoint) => return Ok((Some(checkpoint), damages)),
                Err(_) if !entry.path.exists() => {}
                Err(error) => damages.push(error),
            }
        }
        Ok((None, damages))
    }

    /// Removes all checkpoints, so that another run can begin here, whose best must not be one of an earlier run. What
    /// else lies in the directory stays.
    ///
    /// # Errors
    /// The system refuses; then some checkpoints may be left.
    pub fn clear(&self) -> Result<()> {
        // A name alone makes no checkpoint.
        let own = self.entries()?.into_iter().filter(|entry| read_metadata(&entry.path).is_ok());
        own.map(|entry| entry.path).try_for_each(|path| remove(&path))
    }

    /// Removes what is not to be kept, and what killed programs left behind. Best effort.
    fn remove_old(&self, newest: &CheckpointEntry) {
        temporary::remove_abandoned(&self.path, None);
        let (Some(count), Ok(entries)) = (self.keep_last, self.entries()) else { return };
        let old = &entries[..entries.len().saturating_sub(count)];
        if old.is_empty() {
            return;
        }
        // If one of the checkpoints cannot be read, it is unknown which is best: then none is removed.
        let best = match self.best.as_ref().map(|_| self.best()).transpose() {
            Ok(best) => best.flatten(),
            Err(_) => return,
        };
        for entry in old {
            if entry != newest && Some(entry) != best.as_ref() {
                let _ = remove(&entry.path);
            }
        }
    }
}

/// Takes a checkpoint out of sight at once, then removes it piece by piece. What is not all ours is left as it is: a
/// directory that only has such a name, or one in which someone has put a file of his own.
fn remove(path: &Path) -> Result<()> {
    if !is_ours(path) {
        return Ok(());
    }
    let temporary = temporary::beside(path)?;
    fs::rename(path, &temporary).map_err(CheckpointError::save(path, "remove"))?;
    temporary::remove(&temporary).map_err(CheckpointError::save(path, "remove"))
}

/// Whether a directory holds a checkpoint, damaged or not, and nothing else.
fn is_ours(path: &Path) -> bool {
    let signed = || -> Result<bool> {
        let (file, _) = files::open(&path.join(METADATA_FILE))?;
        let mut begin = Vec::new();
        file.take(256).read_to_end(&mut begin).map_err(CheckpointError::io(path, "read"))?;
        Ok(begin.windows(FORMAT.len()).any(|window| window == FORMAT.as_bytes()))
    };
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
        && temporary::holds_only_a_checkpoint(path)
        && signed().unwrap_or(false)
}

/// A checkpoint's name.
fn name(number: u64, step: u64) -> String {
    format!("{number:06}-step-{step}")
}

/// The number and step in a checkpoint's name, if it is one that [`name`] gives.
fn parse(text: &OsStr) -> Option<(u64, u64)> {
    let text = text.to_str()?;
    let (number, step) = text.split_once("-step-")?;
    let (number, step) = (number.parse().ok()?, step.parse().ok()?);
    (name(number, step) == text).then_some((number, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_never_the_best() {
        for goal in [Goal::Lowest, Goal::Highest] {
            assert!(!goal.prefers(f64::NAN, 1.0) && !goal.prefers(f64::NAN, f64::NAN) && !goal.prefers(1.0, 1.0));
            assert!(goal.prefers(1.0, f64::NAN));
        }
        assert!(Goal::Lowest.prefers(1.0, 2.0) && Goal::Highest.prefers(2.0, 1.0));
        let directory = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDirectory::create(directory.path())
            .unwrap()
            .keep_last(1)
            .unwrap()
            .keep_best("accuracy", Goal::Highest);
        for (step, accuracy) in [f64::NAN, 0.7, 0.9, 0.9, f64::NAN, 0.8].into_iter().enumerate() {
            let mut checkpoint = Checkpoint::new(step as u64, 0);
            checkpoint.set_metric("accuracy", accuracy);
            checkpoints.save(&checkpoint).unwrap();
        }
        let steps: Vec<u64> = checkpoints.entries().unwrap().iter().map(CheckpointEntry::step).collect();
        assert_eq!(steps, [2, 5]);
        assert_eq!(checkpoints.best().unwrap().unwrap().step(), 2);
    }
}
