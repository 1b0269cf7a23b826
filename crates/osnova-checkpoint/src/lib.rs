//! Atomic, verified, resumable checkpoints for [Osnova](https://docs.rs/osnova).
//!
//! ```
//! use osnova_autodiff::AutodiffDevice;
//! use osnova_checkpoint::{Checkpoint, CheckpointDirectory};
//! use osnova_cpu::CpuDevice;
//! use osnova_nn::{Forward, Linear};
//! use osnova_optim::{Adam, Optimizer};
//! use osnova_tensor::{Device, Generator, Tensor};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("checkpoints");
//! let device = Device::cpu().autodiff();
//! let mut model = Linear::new(2, 1, &Generator::new(0), device)?;
//! let mut optimizer = Adam::new(0.05);
//! let checkpoints = CheckpointDirectory::create(&path)?.keep_last(3)?;
//!
//! // Goes on where an earlier run was killed, with the same bits.
//! let mut step = 0;
//! if let Some(checkpoint) = checkpoints.load_latest()? {
//!     checkpoint.restore(&mut model, &mut optimizer)?;
//!     step = checkpoint.step();
//! }
//! let input = Tensor::new([[0.0f32, 1.0], [1.0, 0.0]], device)?;
//! while step < 10 {
//!     let loss = model.forward(&input)?.square()?.mean(.., false)?;
//!     optimizer.step(&mut model, &loss.backward()?)?;
//!     step += 1;
//!     if step % 5 == 0 {
//!         checkpoints.save(&Checkpoint::capture(step, 0, &model, &optimizer)?)?;
//!     }
//! }
//! # assert_eq!(checkpoints.entries()?.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what | where |
//! |---|---|
//! | a model's values | [`save_model`], [`load_model`]: safetensors as PyTorch's users write and read them |
//! | any named tensors | [`save_tensors`], [`load_tensors`], [`TensorFile`] |
//! | any small file, whole or not at all | [`write_file`], [`read_file`] |
//! | a whole run | [`Checkpoint`]: model, optimizer, random state, position in the epoch, anything else |
//! | the checkpoints of a run | [`CheckpointDirectory`]: keeps the last ones and the best, finds the newest |
//!
//! **Choices.** A save is written under a temporary name, synced, and renamed: a crash at any moment leaves the old state or
//! the new one. Everything has its SHA-256 beside it, in the format of `sha256sum`, and every load verifies it and names
//! the damaged file. Files may be hostile: every rule of the format is checked before anything is allocated that the
//! file's length does not warrant. Nothing is ever executed, as a pickle would be. Taking a snapshot shares the tensors
//! and copies nothing; training may go on while it is saved.
//!
//! **Limits.** Optimizer settings that are code, such as betas and groups, are not in a checkpoint: build the optimizer as
//! it was. A directory of checkpoints is for one run. JSON has no NaN and no infinity:
//! [`put`](Checkpoint::put) refuses them, [metrics](Checkpoint::set_metric) may have them.
#![forbid(unsafe_code)]

mod atomic;
mod bounded;
mod checkpoint;
mod directory;
mod error;
mod files;
mod hash;
mod header;
mod lock;
mod metadata;
mod model;
mod temporary;
mod tensors;
mod text;

pub use atomic::write_file;
pub use checkpoint::{Checkpoint, RandomState};
pub use directory::{CheckpointDirectory, CheckpointEntry, Goal};
pub use error::{CheckpointError, Result};
pub use files::read_file;
pub use model::{load_model, save_model};
pub use tensors::{HostTensor, TensorFile, TensorMap, load_tensors, save_tensors};

/// Keeps the programs of the book's chapter compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/checkpoints.md")]
struct Chapter;
