//! Why a kernel gave no result.

use crate::memory::{OutOfMemory, Size};
use osnova_tensor::{Error, Meta};

/// What a kernel cannot go on after.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was too little memory for a result, or for what the kernel works with.
    Memory(OutOfMemory),
    /// What only a look at the values shows: an index out of range.
    Input(Box<Error>),
    /// The function or activation of this name has no kernel here: it is newer than this crate.
    Unknown(&'static str),
}

impl From<OutOfMemory> for Failure {
    fn from(refused: OutOfMemory) -> Self {
        Self::Memory(refused)
    }
}

impl From<Box<Error>> for Failure {
    fn from(error: Box<Error>) -> Self {
        Self::Input(error)
    }
}

impl Failure {
    /// The error that the user sees: what `operation`, with these results on `device`, wanted memory for.
    #[cold]
    pub(crate) fn explain(self, device: &str, operation: &str, results: &[Meta]) -> Box<Error> {
        let refused = match self {
            Self::Memory(refused) => refused,
            Self::Input(error) => return error,
            Self::Unknown(name) => return Error::unknown(device, name),
        };
        let size = Size(refused.bytes);
        let takes_so_much = |meta: &&Meta| meta.shape.count().checked_mul(meta.dtype.size()) == Some(refused.bytes);
        let wanted = match results.iter().find(takes_so_much) {
            Some(Meta { shape, dtype, .. }) => format!("a tensor of shape {shape} and dtype {dtype} takes {size}"),
            None => format!("{size} more are needed to work in"),
        };
        Error::device(
            device,
            format!("out of memory: {operation}: {wanted}"),
            "Use smaller batches, a smaller model or a narrower dtype, or drop tensors that are no longer needed",
        )
    }
}
