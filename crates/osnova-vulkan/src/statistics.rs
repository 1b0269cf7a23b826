//! What a device has done so far, to see whether a program keeps it busy.

use crate::opened;
use osnova_tensor::{Device, Error, Result};

/// What a device has done since the program began. See [`statistics`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Kernels recorded.
    pub dispatches: u64,
    /// Uploads and downloads recorded.
    pub copies: u64,
    /// Barriers between them; each submission begins with one more.
    pub barriers: u64,
    /// Batches given to the device.
    pub submissions: u64,
    /// How often the host waited for the device: downloads, and `synchronize`.
    pub waits: u64,
    /// How often the host waited because it was too many batches ahead.
    pub throttles: u64,
    /// Pipelines made: each takes the driver some milliseconds, once.
    pub pipelines: u64,
    /// How often the driver was asked for memory.
    pub allocations: u64,
    /// Bytes in buffers that are in use.
    pub bytes_in_use: u64,
    /// Bytes in buffers that wait to be used again.
    pub bytes_pooled: u64,
}

/// What a Vulkan device, or the one inside a wrapping device, has done so far. It waits for nothing.
///
/// ```no_run
/// use osnova_tensor::{Device, Tensor};
/// use osnova_vulkan::{VulkanDevice, statistics};
///
/// let device = Device::vulkan(0)?;
/// let x = Tensor::ones([1000], osnova_tensor::DType::F32, device)?;
/// let before = statistics(device)?;
/// for _ in 0..100 {
///     x.exp()?;
/// }
/// let after = statistics(device)?;
/// assert_eq!(after.dispatches - before.dispatches, 100);
/// assert_eq!(after.waits, before.waits);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// # Errors
/// The device is not a Vulkan one.
pub fn statistics(device: Device) -> Result<Statistics> {
    let innermost = device.innermost();
    let Some(engine) = opened().iter().find(|known| known.device == innermost).map(|known| known.engine) else {
        return Err(Error::device(device.name(), "it is not a Vulkan device", "Get one by `Device::vulkan(0)`"));
    };
    let counts = engine.stream.counts();
    Ok(Statistics {
        dispatches: counts.dispatches,
        copies: counts.copies,
        barriers: counts.barriers,
        submissions: counts.submissions,
        waits: counts.waits,
        throttles: counts.throttles,
        pipelines: engine.pipelines() as u64,
        allocations: engine.pool.allocations(),
        bytes_in_use: engine.pool.used(),
        bytes_pooled: engine.pool.pooled(),
    })
}
