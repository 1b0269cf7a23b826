//! The Vulkan backend of Osnova: tensors on any GPU with a Vulkan 1.2 driver, and on software drivers.
//!
//! ```no_run
//! use osnova_tensor::{Device, Tensor};
//! use osnova_vulkan::VulkanDevice;
//!
//! let device = Device::vulkan(0)?;
//! let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device)?;
//! assert_eq!((&x * &x)?.to_vec::<f32>()?, [1.0, 4.0, 9.0, 16.0]);
//! # Ok::<(), Box<osnova_tensor::Error>>(())
//! ```
//!
//! - Operations are recorded and return at once; batches of them run in order on one queue. Reading a tensor waits.
//! - Buffers come from a pool. A tensor that goes leaves its buffer to the next one.
//! - Shaders are GLSL in `shaders/`, compiled by `cargo xtask shaders` and embedded: nothing is needed to build or to run but a driver.
//! - Half types are stored as such and computed in `f32`. Which dtypes there are is up to the device: see [`Info::dtypes`].
//!
//! | variable | meaning |
//! |---|---|
//! | `OSNOVA_VULKAN_VALIDATION=1` | run under the validation layers, with synchronisation validation; a complaint is an error at the next wait, or with the value `abort` the end of the program |
//! | `OSNOVA_VULKAN_WITHOUT=f64,f16` | pretend that the device lacks these: `f16` (and bf16), `f16-arithmetic`, `f64`, `i8` (u8 and bool), `i16`, `i64`, `cooperative-matrix`, `push-descriptors`, `subgroup-sizes` (and shuffles) |
//! | `OSNOVA_VULKAN_AUTOTUNE=0` | choose the tiles of matrix products by a rule, without measuring; the results are the same |
//! | `VK_ICD_FILENAMES` | which drivers the loader offers (the loader's own variable) |

mod backend;
mod commands;
mod engine;
mod faults;
mod fragments;
mod gpu;
mod hash;
mod hazards;
mod instance;
mod kernels;
mod memory;
mod pipeline;
mod shaders;
mod statistics;
mod storage;
mod stream;
mod walk;
mod without;

pub use gpu::{Info, Kind};
pub use statistics::{Statistics, statistics};

use engine::Engine;
use osnova_tensor::{Device, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Vulkan devices.
pub trait VulkanDevice: Sized {
    /// The Vulkan devices of this machine with their limits: cards first, software drivers last. Empty if none is fit for computing.
    ///
    /// ```no_run
    /// use osnova_tensor::Device;
    /// use osnova_vulkan::VulkanDevice;
    ///
    /// for device in Device::available()? {
    ///     println!("{device}");
    /// }
    /// # Ok::<(), Box<osnova_tensor::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no Vulkan loader, or no driver answers.
    fn available() -> Result<Vec<Info>> {
        gpu::available()
    }

    /// The Vulkan device of this number, as [`available`](Self::available) lists them: 0 is a discrete GPU if there is one. Two calls
    /// with one number give the same device.
    ///
    /// # Errors
    /// There is no Vulkan loader or driver, or no such device.
    fn vulkan(index: usize) -> Result<Self>;
}

impl VulkanDevice for Device {
    fn vulkan(index: usize) -> Result<Device> {
        let mut opened = opened();
        if let Some(known) = opened.iter().find(|known| known.index == index) {
            return Ok(known.device);
        }
        let engine = Engine::open(index)?;
        let device = Device::intern(backend::Vulkan(engine));
        opened.push(Opened { index, device, engine });
        Ok(device)
    }
}

/// A device that somebody asked for.
struct Opened {
    index: usize,
    device: Device,
    engine: &'static Engine,
}

fn opened() -> MutexGuard<'static, Vec<Opened>> {
    static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}
