//! What can go wrong with data, by cause. Every message says where (file, row, column, byte) and what would mend it, on
//! one line that fits a screen, whatever the file or the caller put into it.

use crate::text::OneLine;
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
    #[error("{}: {}. {}", Shown(file), OneLine(&source.to_string(), LONGEST), OneLine(advice, LONGEST))]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What would mend it.
        advice: String,
    },
    /// A table (CSV) is malformed or holds a cell that cannot be used.
    #[error(
        "{}{}: {}. {}", Shown(file), Place { row: *row, column: column.as_deref() }, OneLine(problem, LONGEST),
        OneLine(advice, LONGEST)
    )]
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
    #[error("{}, byte {offset}: {}. {}", Shown(file), OneLine(problem, LONGEST), OneLine(advice, LONGEST))]
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
         If the file is trusted, raise the limit with `max_bytes`", Shown(file), Count(*bytes)
    )]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The bytes that its header declares, or that it was found to need at least; `None` if the number does not even
        /// fit in 64 bits.
        bytes: Option<u64>,
        /// The reader's limit in bytes.
        limit: u64,
    },
    /// Two files that belong together hold different numbers of samples.
    #[error(
        "{} holds {count} samples, but {} holds {other_count}. Both files must come from the same release of the data set",
        Shown(file),
        Shown(other)
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
    #[error("{operation}: {}. {}", OneLine(problem, LONGEST), OneLine(advice, LONGEST))]
    Argument {
        /// The function that was called.
        operation: &'static str,
        /// What does not fit, with the value and the bound.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// There is no memory for what a file or a caller asks for.
    #[error(
        "{operation}: out of memory: {} would take {} bytes. Use fewer or smaller samples",
        OneLine(what, LONGEST), Count(*bytes)
    )]
    OutOfMemory {
        /// The function that was called.
        operation: &'static str,
        /// What the memory was for.
        what: String,
        /// How much it was; `None` if the number does not even fit in 64 bits.
        bytes: Option<u64>,
    },
    /// A data set's code panicked while a data loader read a batch, on a worker thread or the caller's.
    #[error(
        "DataLoader: the data set panicked while batch {batch} was read: {}. Mend its `read_…` methods",
        OneLine(message, LONGEST)
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
            io::ErrorKind::OutOfMemory => "Free some memory",
            _ => "Check that the file can be read",
        };
        Self::Io { file: file.to_owned(), source, advice: advice.to_owned() }
    }
}

/// The most characters of a problem or an advice; a message of four such parts still fits a screen.
const LONGEST: usize = 400;

/// A path; of a very long one the end, which says most.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.to_string_lossy();
        match path.char_indices().rev().nth(LONGEST - 1) {
            Some((start, _)) if start > 0 => write!(f, "…{}", OneLine(&path[start..], LONGEST)),
            _ => write!(f, "{}", OneLine(&path, LONGEST)),
        }
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
            write!(f, ", column {}", OneLine(column, LONGEST))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fit_a_screen_and_forge_nothing() {
        let (long, hostile) = ("x".repeat(1_000_000), "a\n\u{1b}[31mERROR: all is lost\r".to_owned());
        for text in [long, hostile] {
            let (file, advice) = (PathBuf::from(&text), text.clone());
            let io = io::Error::other(text.clone());
            let errors = [
                DataError::Io { file: file.clone(), source: io, advice: advice.clone() },
                DataError::Table {
                    file: file.clone(),
                    row: Some(3),
                    column: Some(text.clone().into()),
                    problem: text.clone(),
                    advice: advice.clone(),
                },
                DataError::Format { file: file.clone(), offset: 7, problem: text.clone(), advice: advice.clone() },
                DataError::TooLarge { file: file.clone(), bytes: Some(1), limit: 1 },
                DataError::CountsDisagree { file: file.clone(), count: 1, other: file, other_count: 2 },
                DataError::argument("test", text.clone(), advice),
                DataError::OutOfMemory { operation: "test", what: text.clone(), bytes: None },
                DataError::Worker { batch: 1, message: text },
            ];
            for error in errors {
                let message = error.to_string();
                assert!(message.chars().count() < 1900, "{} characters", message.chars().count());
                assert!(!message.contains(char::is_control), "{message:?}");
            }
        }
    }
}
