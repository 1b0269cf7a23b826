//! Atomic, verified, resumable checkpoints for [Osnova](https://docs.rs/osnova).
#![forbid(unsafe_code)]

mod atomic;
mod checkpoint;
mod directory;
mod error;
mod hash;
mod header;
mod model;
mod tensors;

pub use checkpoint::{Checkpoint, RandomState};
pub use directory::{CheckpointDirectory, CheckpointEntry, Goal};
pub use error::{CheckpointError, Result};
pub use model::{load_model, save_model};
pub use tensors::{HostTensor, TensorFile, TensorMap, load_tensors, save_tensors};
