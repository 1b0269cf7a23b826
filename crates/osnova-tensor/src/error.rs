//! What can go wrong, by cause. Every message names the operation, what it got, and what would mend it.

use crate::{DType, Shape};
use std::fmt;

/// The result of a fallible tensor operation. `Result<Tensor>` is 16 bytes.
pub type Result<T, E = Box<Error>> = std::result::Result<T, E>;

/// An error of a tensor operation. It is boxed in [`Result`] so that the happy path stays small.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes do not fit each other or the operation.
    #[error("{operation}: shapes {} do not fit: {problem}. {advice}", Shapes(.shapes))]
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
    #[error("{operation}: dtypes {dtypes:?} do not fit: {problem}. {advice}")]
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
    #[error("{operation}: {problem}. {advice}")]
    Argument {
        /// The operation's name.
        operation: &'static str,
        /// What is out of bounds, with the value and the bound.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// The tensors live on devices that have nothing to do with each other.
    #[error("{operation}: one input lives on {left}, another on {right}. Move one with `tensor.to_device(device)`")]
    Devices {
        /// The operation's name.
        operation: &'static str,
        /// One device's name.
        left: String,
        /// The other device's name.
        right: String,
    },
    /// The device cannot do this: a missing feature, too little memory, a lost device.
    #[error("{device}: {problem}. {advice}")]
    Device {
        /// The device's name.
        device: String,
        /// What went wrong.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// Automatic differentiation was asked for something it cannot give.
    #[error("{operation}: {problem}. {advice}")]
    Gradient {
        /// The operation's name.
        operation: &'static str,
        /// What is missing.
        problem: String,
        /// What would mend it.
        advice: String,
    },
    /// A value check failed: the `checked` device met the first NaN or infinity.
    #[error("{operation}: {problem}. {advice}")]
    NotFinite {
        /// The operation that made the first value that is not finite.
        operation: &'static str,
        /// Which value, where, and a summary of the operation's inputs.
        problem: String,
        /// What usually helps.
        advice: String,
    },
    /// An error of another crate that passed through a tensor operation (a custom operation, a third-party backend).
    #[error("{operation}: {source}")]
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

struct Shapes<'a>(&'a [Shape]);

impl fmt::Display for Shapes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, shape) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" and ")?;
            }
            write!(f, "{shape}")?;
        }
        Ok(())
    }
}
