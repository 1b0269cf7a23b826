//! What can go wrong in training, by cause. Every message says what would mend it.

use crate::{diagnose, text};
use std::io;
use std::path::{Path, PathBuf};

/// The result of a fallible training operation.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// An error of metrics, callbacks, the trainer or the manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss became NaN or infinite. The model is left as it was before the step, and checkpoints are untouched.
    #[error(
        "epoch {epoch}, step {step}: the loss is {loss}; the first bad tensor: {}. {}{}",
        text::shown(.tensor, 1000), kept(.checkpoint.as_deref()), cure(.tensor)
    )]
    NotFinite {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The optimizer step of the whole run, counted from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The first tensor that is not finite, or the operation that made it.
        tensor: String,
        /// The last good checkpoint, if any was written.
        checkpoint: Option<PathBuf>,
    },
    /// An argument does not fit.
    #[error("{operation}: {problem}. {advice}")]
    Argument {
        /// The function that was called.
        operation: &'static str,
        /// What does not fit.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// A callback or a search asks for a metric that the epoch does not have.
    #[error("{operation} monitors `{}`, but an epoch has {}. Monitor one of these, or return it from the task", text::shown(.wanted, 64), list(.available))]
    Monitor {
        /// Who asks.
        operation: &'static str,
        /// The metric's name.
        wanted: String,
        /// The names there are.
        available: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{}: {source}. {advice}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What would mend it.
        advice: String,
    },
    /// A file is not what it should be.
    #[error(
        "{}: {}. Use a file that this version of Osnova has written", text::shown(&.path.to_string_lossy(), 500),
        text::shown(&.source.to_string(), 400)
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A fold of a cross-validation failed.
    #[error("fold {fold} of {folds}: {source}")]
    Fold {
        /// The fold, counted from 1.
        fold: usize,
        /// How many folds there are.
        folds: usize,
        /// What went wrong.
        source: Box<TrainError>,
    },
    /// An operation on tensors failed.
    #[error(transparent)]
    Tensor(#[from] Box<osnova_tensor::Error>),
    /// The data could not be delivered.
    #[error(transparent)]
    Data(#[from] osnova_data::DataError),
    /// A checkpoint could not be saved or loaded.
    #[error(transparent)]
    Checkpoint(#[from] Box<osnova_checkpoint::CheckpointError>),
    /// An error of a user's task or callback.
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

fn kept(checkpoint: Option<&Path>) -> String {
    checkpoint.map_or_else(String::new, |path| format!("The last good checkpoint is {}. ", path.display()))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no metrics".to_owned() } else { text::list(names) }
}

/// What to do about a loss that is not finite.
fn cure(tensor: &str) -> &'static str {
    // What this crate says when data and model are finite: then the loss function overflows by itself.
    if tensor.starts_with(diagnose::THE_LOSS_ITSELF) {
        "Look at the options of the task and its loss (weights, temperatures, β): one of them may be far too large or small"
    } else {
        "Lower the learning rate, clip gradients, or look for bad values in the data"
    }
}

impl From<osnova_checkpoint::CheckpointError> for TrainError {
    fn from(error: osnova_checkpoint::CheckpointError) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

impl TrainError {
    /// An [`Argument`](Self::Argument).
    #[cold]
    pub fn argument(operation: &'static str, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Argument { operation, problem: problem.into(), advice: advice.into() }
    }

    /// An error of a user's own code.
    #[cold]
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// An [`Io`](Self::Io) whose advice follows from the kind of `source`.
    #[cold]
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::NotFound => "Check the path",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "Choose a place where you may write, or mend its permissions"
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "A file stands where a directory should be; choose another place"
            }
            io::ErrorKind::StorageFull => "Free some space",
            _ => "Check that the file can be read and written",
        };
        Self::Io { path: path.to_owned(), source, advice: advice.to_owned() }
    }
}
