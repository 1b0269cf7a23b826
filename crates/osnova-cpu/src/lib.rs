//! The default backend of Osnova: the CPU.
//!
//! ```
//! use osnova_cpu::CpuDevice;
//! use osnova_tensor::{Device, Tensor};
//!
//! let device = Device::cpu();
//! let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device)?;
//! assert_eq!(x.matmul(&x)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
//! # Ok::<(), Box<osnova_tensor::Error>>(())
//! ```
//!
//! - Kernels are plain loops, compiled for several instruction sets and chosen at run time ([`dispatch`]).
//! - Work is cut into pieces that depend on the shapes alone: results have the same bits at any number of threads.
//! - Buffers come from a caching allocator: after its first step, training asks the system for no memory.
//! - Fused: linear layers with bias and activation, softmax, cross-entropies with their gradients, layer norm, optimizer
//!   updates of a whole model in place.
//!
//! All dtypes are supported. Half types are stored as such and computed in `f32`.

mod backend;
mod environment;
mod failure;
mod kernels;
mod native;
mod parallel;
mod storage;

#[doc(hidden)]
pub mod dispatch;
#[doc(hidden)]
pub mod gemm;
pub mod memory;
#[doc(hidden)]
pub mod pool;
#[doc(hidden)]
pub mod vector;

use osnova_tensor::{Device, Error, Result};
use parallel::Parallel;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The CPU as a device.
pub trait CpuDevice: Sized {
    /// The CPU with as many threads as it has cores, or as the environment variable `OSNOVA_NUM_THREADS` says (nonsense there
    /// is told on the standard error and ignored).
    ///
    /// The first two threads that compute on it become workers of a rayon pool for as long as the program runs: only so is a
    /// fork cheap. A program with a pool of its own for such a thread builds it first (`ThreadPoolBuilder::use_current_thread`),
    /// and kernels fork there; or computes on [`cpu_with_threads`](Self::cpu_with_threads), which takes over no thread.
    fn cpu() -> Self;

    /// The CPU with this many threads (at least one), apart from [`cpu`](Self::cpu) and its tensors. Two calls with one
    /// number give the same device.
    ///
    /// # Errors
    /// More threads than this crate starts (256, or four for every core), or than the system has.
    fn cpu_with_threads(threads: usize) -> Result<Self>;

    /// Runs `work` inside the device's threads. Programs whose main thread computes need not do this; others save the
    /// hand-over at every kernel. On a device that is no CPU `work` just runs.
    fn run<R: Send>(self, work: impl FnOnce() -> R + Send) -> R;
}

/// The devices of this crate with their threads: the default one, and one for each number asked for.
struct Known {
    device: Device,
    threads: Option<usize>,
    parallel: &'static Parallel,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CpuDevice for Device {
    fn cpu() -> Device {
        static DEVICE: OnceLock<Device> = OnceLock::new();
        *DEVICE.get_or_init(|| {
            let parallel: &'static Parallel = Box::leak(Box::new(Parallel::shared()));
            let device = Device::intern(backend::Cpu::new(parallel, "cpu".to_owned()));
            known().push(Known { device, threads: None, parallel });
            device
        })
    }

    fn cpu_with_threads(threads: usize) -> Result<Device> {
        let threads = threads.max(1);
        let mut known = known();
        if let Some(found) = known.iter().find(|known| known.threads == Some(threads)) {
            return Ok(found.device);
        }
        let name = format!("cpu({threads} threads)");
        let parallel = Parallel::with_threads(threads)
            .map_err(|error| Error::device(&name, error.to_string(), "Use fewer threads"))?;
        let parallel: &'static Parallel = Box::leak(Box::new(parallel));
        let device = Device::intern(backend::Cpu::new(parallel, name));
        known.push(Known { device, threads: Some(threads), parallel });
        Ok(device)
    }

    fn run<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        let device = self.innermost();
        let parallel = known().iter().find(|known| known.device == device).map(|known| known.parallel);
        match parallel {
            Some(parallel) => parallel.run(work),
            None => work(),
        }
    }
}

/// The book's chapter runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tensors.md")]
struct Tensors;
