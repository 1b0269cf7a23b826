//! The default CPU backend of Osnova

mod backend;
mod kernels;
mod native;
mod parallel;
mod storage;

#[doc(hidden)]
pub mod dispatch;
#[doc(hidden)]
pub mod memory;
#[doc(hidden)]
pub mod pool;
#[doc(hidden)]
pub mod vector;

use osnova_tensor::Device;
use std::sync::OnceLock;

/// The CPU as a device.
pub trait CpuDevice {
    /// The CPU with as many threads as it has cores, or as `OSNOVA_NUM_THREADS` says.
    fn cpu() -> Device;
}

impl CpuDevice for Device {
    fn cpu() -> Device {
        static DEVICE: OnceLock<Device> = OnceLock::new();
        *DEVICE.get_or_init(|| Device::intern(backend::Cpu::new(parallel::Parallel::new(), "cpu".to_owned())))
    }
}
