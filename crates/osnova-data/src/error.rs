//! What can go wrong with data, by cause. Every message says where (file, row, column, byte) and what would mend it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a fallible data operation.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// An error in reading, splitting, preprocessing or loading data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be opened or read, or its gzip stream is damaged.
    #[error("{}: {source}. {advice}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What would mend it.
        advice: String,
    },
    /// A table (CSV) is malformed or holds a cell that cannot be used.
    #[error("{}{}: {problem}. {advice}", file.display(), Place { row: *row, column: column.as_deref() })]
    Table {
        /// The file.
        file: PathBuf,
        /// The line of the file, counted from 1 as editors do (the header is line 1).
        row: Option<u64>,
        /// The column: its number counted from 1, and its name if there is a header.
        column: Option<Box<str>>,
        /// What is wrong.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// A binary file (IDX) is malformed.
    #[error("{}, byte {offset}: {problem}. {advice}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Where in the (decompressed) content, counted from 0.
        offset: u64,
        /// What is wrong.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// A file declares or holds more than the reader's limit allows.
    #[error(
        "{}: it needs {} bytes of memory, the limit is {limit}. \
         If the file is trusted, raise the limit with `max_bytes`", file.display(), Count(*bytes)
    )]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The bytes its header declares; `None` if the number does not even fit in 64 bits.
        bytes: Option<u64>,
        /// The reader's limit in bytes.
        limit: u64,
    },
    /// Two files that belong together hold different numbers of samples.
    #[error(
        "{} holds {count} samples, but {} holds {other_count}. Both files must come from the same release of the data set",
        file.display(), other.display()
    )]
    CountsDisagree {
        /// The one file.
        file: PathBuf,
        /// Its number of samples.
        count: usize,
        /// The other file.
        other: PathBuf,
        /// The other's number of samples.
        other_count: usize,
    },
    /// An argument does not fit the data: a size, a fraction, an index, a number of folds.
    #[error("{operation}: {problem}. {advice}")]
    Argument {
        /// The function that was called.
        operation: &'static str,
        /// What does not fit, with the value and the bound.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// A worker thread of a data loader panicked in the data set's code.
    #[error(
        "DataLoader: a worker panicked while reading batch {batch}: {message}. Mend the data set's `read_…` methods"
    )]
    Worker {
        /// The batch's number in the epoch.
        batch: usize,
        /// The panic's message.
        message: String,
    },
    /// A tensor could not be made from a batch.
    #[error(transparent)]
    Tensor(#[from] Box<osnova_tensor::Error>),
}

impl DataError {
    /// An [`Argument`](Self::Argument).
    #[cold]
    pub fn argument(operation: &'static str, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Argument { operation, problem: problem.into(), advice: advice.into() }
    }

    /// An [`Io`](Self::Io) whose advice follows from the kind of `source`.
    #[cold]
    pub(crate) fn io(file: &Path, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::NotFound => "Check the path",
            io::ErrorKind::PermissionDenied => "Check the file's permissions",
            io::ErrorKind::UnexpectedEof => "The file is cut off; fetch it again",
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "The file is damaged; fetch it again",
            _ => "Check that the file can be read",
        };
        Self::Io { file: file.to_owned(), source, advice: advice.to_owned() }
    }
}

struct Place<'a> {
    row: Option<u64>,
    column: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        Ok(())
    }
}

struct Count(Option<u64>);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{bytes}"),
            None => f.write_str("more than 2^64"),
        }
    }
}
