//! What can go wrong, by cause. Every message names the operation, what it got, and what would mend it.
//!
//! Messages fit a screen and hold no control characters, whatever they quote: a device's name, the error of another crate, a hundred thousand shapes.

use crate::{DType, Shape};
use std::fmt;

/// The result of a fallible tensor operation. `Result<Tensor>` is 16 bytes.
pub type Result<T, E = Box<Error>> = std::result::Result<T, E>;

/// An error of a tensor operation. It is boxed in [`Result`] so that the happy path stays small.
///
/// `Debug` shows the message too, which is what a failed `unwrap` prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes do not fit each other or the operation.
    #[error("{operation}: shapes {} do not fit: {}. {}", Several(.shapes, " and "), Text(.problem), Text(.advice))]
    Shape {
        /// The operation's name, as in [`crate::Op::name`].
        operation: &'static str,
        /// The shapes of the operation's inputs.
        shapes: Vec<Shape>,
        /// What does not fit.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// Element types do not fit each other or the operation.
    #[error("{operation}: dtypes {} do not fit: {}. {}", Several(.dtypes, " and "), Text(.problem), Text(.advice))]
    DType {
        /// The operation's name.
        operation: &'static str,
        /// The dtypes of the operation's inputs.
        dtypes: Vec<DType>,
        /// What does not fit.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// An axis, index, range, count or other argument is out of bounds.
    #[error("{operation}: {}. {}", Text(.problem), Text(.advice))]
    Argument {
        /// The operation's name.
        operation: &'static str,
        /// What is out of bounds, with the value and the bound.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// The tensors live on devices that have nothing to do with each other.
    #[error(
        "{operation}: one input lives on {}, another on {}. Move one with `tensor.to_device(device)`",
        Name(.left),
        Name(.right)
    )]
    Devices {
        /// The operation's name.
        operation: &'static str,
        /// One device's name.
        left: String,
        /// The other device's name.
        right: String,
    },
    /// The device cannot do this: a missing feature, too little memory, a lost device.
    #[error("{}: {}. {}", Name(.device), Text(.problem), Text(.advice))]
    Device {
        /// The device's name.
        device: String,
        /// What went wrong.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// Automatic differentiation was asked for something it cannot give.
    #[error("{operation}: {}. {}", Text(.problem), Text(.advice))]
    Gradient {
        /// The operation's name.
        operation: &'static str,
        /// What is missing.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// A value check failed: the `checked` device met the first NaN or infinity.
    #[error("{operation}: {}. {}", Text(.problem), Text(.advice))]
    NotFinite {
        /// The operation that made the first value that is not finite.
        operation: &'static str,
        /// Which value, where, and a summary of the operation's inputs.
        problem: String,
        /// What usually helps.
        advice: String,
    },
    /// An error of another crate that passed through a tensor operation (a custom operation, a third-party backend).
    #[error("{operation}: {}", Text(&.source.to_string()))]
    External {
        /// The operation's name.
        operation: &'static str,
        /// The other crate's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// A boxed [`Error::Shape`].
    #[cold]
    pub fn shape(
        operation: &'static str,
        shapes: impl IntoIterator<Item = Shape>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self::Shape {
            operation,
            shapes: shapes.into_iter().collect(),
            problem: problem.into(),
            advice: advice.into(),
        })
    }

    /// A boxed [`Error::DType`].
    #[cold]
    pub fn dtype(
        operation: &'static str,
        dtypes: impl IntoIterator<Item = DType>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Self::DType {
            operation,
            dtypes: dtypes.into_iter().collect(),
            problem: problem.into(),
            advice: advice.into(),
        })
    }

    /// A boxed [`Error::Argument`].
    #[cold]
    pub fn argument(operation: &'static str, problem: impl Into<String>, advice: impl Into<String>) -> Box<Self> {
        Box::new(Self::Argument { operation, problem: problem.into(), advice: advice.into() })
    }

    /// A boxed [`Error::Argument`] where the host has no room for `count` values of `size` bytes.
    #[cold]
    pub fn host_memory(operation: &'static str, count: usize, size: usize) -> Box<Self> {
        Self::argument(
            operation,
            format!("out of memory: there is no room for {count} values of {size} bytes on the host"),
            "Work on fewer at a time, or free memory",
        )
    }

    /// A boxed [`Error::Device`].
    #[cold]
    pub fn device(device: impl Into<String>, problem: impl Into<String>, advice: impl Into<String>) -> Box<Self> {
        Box::new(Self::Device { device: device.into(), problem: problem.into(), advice: advice.into() })
    }

    /// A boxed [`Error::Device`] where a device has no kernel for the operation, function or activation of this name: how a backend ends
    /// its `match` on what grows.
    #[cold]
    pub fn unknown(device: impl Into<String>, name: &str) -> Box<Self> {
        Self::device(
            device,
            format!("it does not know the operation {name}"),
            "Use a version of the backend that matches osnova-tensor, or another device",
        )
    }

    /// A boxed [`Error::Gradient`].
    #[cold]
    pub fn gradient(operation: &'static str, problem: impl Into<String>, advice: impl Into<String>) -> Box<Self> {
        Box::new(Self::Gradient { operation, problem: problem.into(), advice: advice.into() })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self {
            Self::Shape { .. } => "Shape",
            Self::DType { .. } => "DType",
            Self::Argument { .. } => "Argument",
            Self::Devices { .. } => "Devices",
            Self::Device { .. } => "Device",
            Self::Gradient { .. } => "Gradient",
            Self::NotFinite { .. } => "NotFinite",
            Self::External { .. } => "External",
        };
        write!(f, "{cause}({self})")
    }
}

/// How many of a list a message shows.
const SHOWN: usize = 8;

/// The first of a list, and how many more there are.
pub(crate) struct Several<'a, T>(pub(crate) &'a [T], pub(crate) &'static str);

impl<T: fmt::Display> fmt::Display for Several<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(all, between) = self;
        for (index, one) in all.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str(between)?;
            }
            write!(f, "{one}")?;
        }
        match all.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "{between}{more} more"),
        }
    }
}

/// A sentence in a message.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, 800)
    }
}

/// A name in a message.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, 100)
    }
}

/// At most `limit` characters of a text, those that move the cursor or change its direction written as escapes.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str, limit: usize) -> fmt::Result {
    // Marks of direction and invisible characters, which could make a message read as another.
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut letters = text.chars();
    for letter in letters.by_ref().take(limit) {
        if hidden(letter) {
            write!(f, "{}", letter.escape_default())?;
        } else {
            write!(f, "{letter}")?;
        }
    }
    match letters.count() {
        0 => Ok(()),
        more => write!(f, "… ({more} characters more)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_fit_a_screen() {
        let long = "x".repeat(1_000_000);
        let shapes = vec![Shape::new(&[usize::MAX / 16, 1, 1, 1, 1, 1, 1, 1]).unwrap(); 100_000];
        let source = || std::io::Error::other(long.clone());
        for error in [
            *Error::shape("concat", shapes, &*long, &*long),
            *Error::dtype("concat", vec![DType::BF16; 100_000], &*long, &*long),
            *Error::argument("slice", &*long, &*long),
            *Error::device(&*long, &*long, &*long),
            *Error::gradient("backward", &*long, &*long),
            Error::Devices { operation: "add", left: long.clone(), right: long.clone() },
            Error::NotFinite { operation: "add", problem: long.clone(), advice: long.clone() },
            Error::External { operation: "own", source: Box::new(source()) },
        ] {
            assert!(error.to_string().chars().count() < 2100, "{error}");
            assert!(format!("{error:?}").chars().count() < 2100);
        }
    }

    #[test]
    fn messages_hold_no_control_characters() {
        let forged = "w\u{1b}[2J\r\n\u{0}\u{7f}\u{9b}\u{202e}ok";
        for error in [
            *Error::argument("slice", forged, forged),
            *Error::device(forged, forged, forged),
            Error::External { operation: "own", source: forged.into() },
        ] {
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(|letter: char| letter.is_control() || letter == '\u{202e}'), "{text:?}");
                assert!(text.contains("w\\u{1b}[2J\\r\\n"), "{text}");
            }
        }
    }

    #[test]
    fn a_short_list_is_shown_whole() {
        assert_eq!(Several(&[1, 2, 3], ", ").to_string(), "1, 2, 3");
        assert_eq!(Several(&[7; 10], ", ").to_string(), "7, 7, 7, 7, 7, 7, 7, 7, 2 more");
        assert_eq!(Several::<u8>(&[], ", ").to_string(), "");
        let error = Error::dtype("add", [DType::F32, DType::F64], "they differ", "Convert one").to_string();
        assert_eq!(error, "add: dtypes f32 and f64 do not fit: they differ. Convert one");
    }
}
