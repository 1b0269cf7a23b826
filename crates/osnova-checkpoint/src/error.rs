//! What can go wrong with checkpoints, by cause. Every message names the file, the place in it, and what would mend it.

use crate::text;
use osnova_nn::StateDictMismatch;
use osnova_tensor::DType;
use std::io;
use std::path::{Path, PathBuf};

/// The result of saving or loading.
pub type Result<T, E = CheckpointError> = std::result::Result<T, E>;

/// An error in saving or loading tensors, models and checkpoints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused to read or write.
    #[error("{}{}: cannot {action}: {source}. {}{}", Saving(left), text::path(file), advice(source, left.is_some()), Left(left))]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
        /// What is there now, if something was to be saved.
        left: Option<&'static str>,
    },
    /// There is nothing to load.
    #[error("{}: {problem}. {advice}", text::path(file))]
    Missing {
        /// The file or directory.
        file: PathBuf,
        /// What is missing.
        problem: String,
        /// What would mend it.
        advice: &'static str,
    },
    /// A safetensors file ends before everything its header promises.
    #[error(
        "{}: the file ends at byte {found}, but {what} reaches to byte {needed}. \
         It was cut short: copy or download it again, or use an older checkpoint",
        text::path(file)
    )]
    Truncated {
        /// The file.
        file: PathBuf,
        /// What does not fit in.
        what: String,
        /// The bytes the file should have at least.
        needed: u64,
        /// The bytes it has.
        found: u64,
    },
    /// A safetensors file breaks the format.
    #[error("{}, byte {offset}{}: {problem}. {advice}", text::path(file), InTensor(tensor))]
    Format {
        /// The file.
        file: PathBuf,
        /// Where in the file, counted from 0.
        offset: u64,
        /// The tensor, if it is about one.
        tensor: Option<String>,
        /// What is wrong.
        problem: String,
        /// What would mend it.
        advice: &'static str,
    },
    /// A safetensors file holds a dtype that Osnova does not have.
    #[error(
        "{}: tensor {} has dtype {}, which Osnova does not have. \
         Convert it where the file was made, for example with `tensor.to(torch.float32)`",
        text::path(file),
        text::name(tensor),
        text::name(dtype)
    )]
    DType {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype's name in the file.
        dtype: String,
    },
    /// A file's content is not what its SHA-256 says: it is damaged.
    #[error(
        "{} is damaged: its SHA-256 is {found}, but {} says {expected}. \
         Use another checkpoint or copy the file again{}",
        text::path(file),
        text::path(source_of_hash),
        Detail(detail)
    )]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// The file that holds the expected hash.
        source_of_hash: PathBuf,
        /// The expected hash (or hashes, where a save was interrupted).
        expected: String,
        /// The hash of the content.
        found: String,
        /// What else was found to be wrong with the content.
        detail: Option<Box<CheckpointError>>,
    },
    /// A hash file is malformed.
    #[error(
        "{}: {problem}. Make it anew with `sha256sum` if you trust the file beside it, or remove it to load unverified",
        text::path(file)
    )]
    HashFile {
        /// The hash file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A checkpoint's `checkpoint.json` is malformed.
    #[error("{}: {problem}. Use another checkpoint", text::path(file))]
    Metadata {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A checkpoint was written by a later version of Osnova.
    #[error(
        "{}: the checkpoint has format version {found}, this program reads up to {supported}. Update Osnova",
        text::path(file)
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// The file's version.
        found: u32,
        /// The latest version this program knows.
        supported: u32,
    },
    /// The checkpoint belongs to another model. The model is unchanged.
    #[error(
        "{}: {mismatch}. Build the model with the same layers and sizes as the one that was saved",
        text::path(file)
    )]
    Mismatch {
        /// The file or checkpoint.
        file: PathBuf,
        /// Everything that differs.
        mismatch: Box<StateDictMismatch>,
    },
    /// The checkpoint lacks a part that was asked for, or the part cannot be used by what it is given to.
    #[error("{}: {problem}. {advice}", text::path(file))]
    Part {
        /// The checkpoint.
        file: PathBuf,
        /// What is wrong.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// What is to be saved cannot be saved: a reserved or repeated name, a value JSON cannot hold.
    #[error("cannot save to {}: {problem}. {advice}", text::path(file))]
    Unsaveable {
        /// The file that was to be written.
        file: PathBuf,
        /// What is wrong.
        problem: String,
        /// What would mend it.
        advice: &'static str,
    },
    /// A tensor could not be moved from or to its device.
    #[error("{}: tensor {}: {source}", text::path(file), text::name(tensor))]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor.
        tensor: String,
        /// What the device said.
        source: Box<osnova_tensor::Error>,
    },
    /// The tensor asked for is not in the file.
    #[error("there is no tensor {} in the file; it holds {}", text::name(name), text::names(known.iter().map(String::as_str)))]
    NoTensor {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
}

impl CheckpointError {
    pub(crate) fn io(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { file, action, source, left: None }
    }

    /// Nothing has been changed where `file` was to be saved.
    pub(crate) fn save(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        Self::save_leaving(file, action, "What was there before is untouched")
    }

    pub(crate) fn save_leaving(
        file: &Path,
        action: &'static str,
        left: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { file, action, source, left: Some(left) }
    }

    pub(crate) fn format(
        file: &Path,
        offset: u64,
        tensor: Option<&str>,
        problem: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        Self::Format {
            file: file.to_owned(),
            offset,
            tensor: tensor.map(str::to_owned),
            problem: problem.into(),
            advice,
        }
    }

    pub(crate) fn unsaveable(file: &Path, problem: impl Into<String>, advice: &'static str) -> Self {
        Self::Unsaveable { file: file.to_owned(), problem: problem.into(), advice }
    }

    pub(crate) fn tensor(file: &Path, tensor: &str) -> impl FnOnce(Box<osnova_tensor::Error>) -> Self {
        let (file, tensor) = (file.to_owned(), tensor.to_owned());
        move |source| Self::Tensor { file, tensor, source }
    }
}

/// As [`Display`](std::fmt::Display): the fields may hold whatever a file does, and a program that ends by an error prints
/// it so.
impl std::fmt::Debug for CheckpointError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckpointError({self})")
    }
}

struct Saving<'a>(&'a Option<&'static str>);

impl std::fmt::Display for Saving<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "cannot save to " } else { "" })
    }
}

struct Left<'a>(&'a Option<&'static str>);

impl std::fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |left| write!(f, ". {left}"))
    }
}

struct InTensor<'a>(&'a Option<String>);

impl std::fmt::Display for InTensor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, ", tensor {}", text::name(name)))
    }
}

struct Detail<'a>(&'a Option<Box<CheckpointError>>);

impl std::fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |error| write!(f, " (first sign of it: {error})"))
    }
}

/// What to do about an error of the system.
fn advice(error: &io::Error, saving: bool) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "Check the path: its directory must be there",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if saving => {
            "Choose a place where you may write, or mend its permissions"
        }
        io::ErrorKind::PermissionDenied => "Mend its permissions",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => "Free some space",
        io::ErrorKind::InvalidFilename => "Give a shorter name",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "A file stands where a directory should be: choose another place"
        }
        io::ErrorKind::OutOfMemory => "Free some memory",
        io::ErrorKind::InvalidData => "Check that this is the right file",
        io::ErrorKind::WouldBlock => "Wait for it to end, or choose another directory",
        _ => "Check the disk and its connection",
    }
}

/// The names of dtypes in safetensors files.
pub(crate) const DTYPE_NAMES: [(&str, DType); 9] = [
    ("F32", DType::F32),
    ("F64", DType::F64),
    ("F16", DType::F16),
    ("BF16", DType::BF16),
    ("I64", DType::I64),
    ("I32", DType::I32),
    ("U32", DType::U32),
    ("U8", DType::U8),
    ("BOOL", DType::Bool),
];
