//! Atomic, verified, resumable checkpoints for [Osnova](https://docs.rs/osnova).
#![forbid(unsafe_code)]

mod atomic;
mod difference;
mod error;
mod hash;
mod header;
mod tensors;

pub use difference::Differences;
pub use error::{CheckpointError, Result};
pub use tensors::{HostTensor, TensorFile, TensorMap, load_tensors, save_tensors};
