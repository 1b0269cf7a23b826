//! Checkpoints while training goes on.

use crate::callback::{Callback, Context, Stage};
use crate::{Goal, Result, TrainError};
use osnova_checkpoint::{Checkpoint, CheckpointDirectory};
use std::path::{Path, PathBuf};

/// Saves checkpoints of the whole run: model, optimizer, random state, position in the epoch, history, and the state of
/// the callbacks. A run that [resumes](crate::Trainer::resume) from one goes on with the same bits.
///
/// It saves after every epoch unless said otherwise, and keeps the last two and the best.
///
/// A directory is for one run: one that begins, rather than resumes, is refused where checkpoints lie already.
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    directory: CheckpointDirectory,
    every_steps: Option<u64>,
    every_epochs: usize,
    last: Option<PathBuf>,
}

impl ModelCheckpoint {
    /// Saves into this directory, which is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::into_directory(CheckpointDirectory::create(directory)?.keep_last(2)?))
    }

    /// Saves into a checkpoint directory, which says what is kept.
    pub fn into_directory(directory: CheckpointDirectory) -> Self {
        Self { directory, every_steps: None, every_epochs: 1, last: None }
    }

    /// Keeps the best checkpoint by this metric of an epoch too.
    pub fn keep_best(mut self, metric: impl Into<String>, goal: Goal) -> Self {
        self.directory = self.directory.keep_best(metric, goal);
        self
    }

    /// How many of the last checkpoints to keep, at least 1.
    ///
    /// # Errors
    /// 0 would keep none.
    pub fn keep_last(mut self, count: usize) -> Result<Self> {
        self.directory = self.directory.keep_last(count)?;
        Ok(self)
    }

    /// Saves after every this many optimizer steps too, within epochs.
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.every_steps = (steps > 0).then_some(steps);
        self
    }

    /// Saves after every this many epochs (and after the last one).
    pub fn every_epochs(mut self, epochs: usize) -> Self {
        self.every_epochs = epochs.max(1);
        self
    }

    /// The directory, to load from.
    pub fn directory(&self) -> &CheckpointDirectory {
        &self.directory
    }
}

impl Callback for ModelCheckpoint {
    fn reset(&mut self) {
        self.last = None;
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        let begins = context.progress.step == 0 && context.history.epochs.is_empty();
        match self.directory.latest()? {
            Some(entry) if begins => Err(TrainError::argument(
                "ModelCheckpoint",
                format!(
                    "{} holds checkpoints of another run, the last of step {}: its best would pass for this run's",
                    self.directory.path().display(),
                    entry.step()
                ),
                "Go on from it with `Trainer::resume`, remove them with `CheckpointDirectory::clear`, or choose another directory",
            )),
            _ => Ok(()),
        }
    }

    fn wants_checkpoint(&self, stage: Stage, context: &Context<'_>) -> bool {
        let progress = context.progress;
        match stage {
            Stage::Step => self.every_steps.is_some_and(|steps| progress.step.is_multiple_of(steps)),
            Stage::Epoch => {
                let last = progress.epoch == progress.max_epochs || context.is_stopping();
                last || progress.epoch.is_multiple_of(self.every_epochs)
            }
        }
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.last = Some(self.directory.save(checkpoint)?.path().to_owned());
        Ok(())
    }

    fn last_checkpoint(&self) -> Option<&Path> {
        self.last.as_deref()
    }
}
