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
//! | `OSNOVA_VULKAN_VALIDATION=1` | run under the validation layers, with synchronisation validation; a complaint is an error |
//! | `OSNOVA_VULKAN_DESCRIPTOR_SETS=1` | do without push descriptors although the device has them |
//! | `OSNOVA_VULKAN_NO_SHUFFLES=1` | reduce through shared memory although the device has subgroup shuffles |
//! | `VK_ICD_FILENAMES` | which drivers the loader offers (the loader's own variable) |

mod backend;
mod engine;
mod faults;
mod gpu;
mod instance;
mod kernels;
mod memory;
mod pipeline;
mod shaders;
mod storage;
mod stream;
mod walk;

pub use gpu::{Info, Kind, available};

use osnova_tensor::{Device, Result};
use std::sync::{Mutex, PoisonError};

/// Vulkan devices.
pub trait VulkanDevice: Sized {
    /// The Vulkan device of this number, as [`available`] lists them: 0 is a discrete GPU if there is one. Two calls
    /// with one number give the same device.
    ///
    /// # Errors
    /// There is no Vulkan loader or driver, or no such device.
    fn vulkan(index: usize) -> Result<Self>;
}

impl VulkanDevice for Device {
    fn vulkan(index: usize) -> Result<Device> {
        static KNOWN: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&(_, device)) = known.iter().find(|(number, _)| *number == index) {
            return Ok(device);
        }
        let device = Device::intern(backend::Vulkan(engine::Engine::open(index)?));
        known.push((index, device));
        Ok(device)
    }
}
