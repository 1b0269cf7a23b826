//! The training loop of [Osnova](https://docs.rs/osnova), with Lightning's words: [`Trainer`], [`EarlyStopping`],
//! [`ModelCheckpoint`].
//!
//! | what | where |
//! |---|---|
//! | the loop | [`Trainer`] |
//! | what is learned: forward pass, loss, metrics | [`TrainingStep`]; ready-made [`Classification`], [`Regression`] |
//! | what looks on or steps in | [`Callback`]; [`ProgressBar`], [`EarlyStopping`], [`ModelCheckpoint`], [`LearningRateMonitor`], [`HistoryWriter`], [`ReduceOnPlateau`], [`WeightAveraging`] |
//! | what is wrong with a run, where, and what to try | [`Doctor`], [`Diagnosis`] |
//! | scores of a trained model | [`evaluate`], [`predict`], [`predict_classes`], [`metrics`] |
//! | scores of a recipe | [`cross_validate`] |
//! | the record of a run | [`History`], [`Manifest`] |
//! | pictures | [`plot`] |
//!
//! Names of metrics in a history have a prefix: `train_loss`, `validation_loss`, `train_accuracy`, … Epochs and steps
//! count from 1 wherever a person reads them.
//!
//! **Choices.** A step reads one number from the device, the loss, which must be checked before the optimizer acts on it;
//! other metrics wait on the device and are read in bulk. Checkpoints are taken between optimizer steps, after all
//! callbacks have had their turn, so that one resumes with the same bits. No backend is named here: the model's device
//! decides. On the CPU the main thread takes part in the work itself; a program that trains from another thread may wrap
//! the whole of `fit` in the CPU device's `run`.
#![forbid(unsafe_code)]

mod accumulate;
mod callback;
mod callbacks;
mod cross_validation;
mod diagnose;
mod doctor;
mod error;
mod files;
mod history;
mod manifest;
mod means;
pub mod metrics;
pub mod plot;
mod predict;
mod resume;
mod task;
mod text;
mod trainer;

pub use callback::{Callback, CallbackState, Context, Progress, Stage, StepResults};
pub use callbacks::{
    EarlyStopping, HistoryWriter, LearningRateMonitor, ModelCheckpoint, ProgressBar, ReduceOnPlateau, WeightAveraging,
};
pub use cross_validation::{CrossValidation, Fold, cross_validate};
pub use doctor::{ActivationStatistics, Diagnosis, Disease, Doctor, Evidence, Finding, Place, Severity};
pub use error::{Result, TrainError};
pub use history::{EpochRecord, History};
pub use manifest::{DatasetRecord, Manifest, SplitSizes, TestResult};
pub use osnova_checkpoint::Goal;
pub use predict::{predict, predict_classes};
pub use task::{Classification, Regression, StepOutput, TrainingStep};
pub use trainer::{Trainer, evaluate};

/// Keeps the programs of the book's chapter compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/training.md")]
struct Chapter;

/// The perceptron's chapter trains one.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/mlp.md")]
struct Perceptron;

/// The same for the chapter on the doctor.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/training-doctor.md")]
struct DoctorChapter;
