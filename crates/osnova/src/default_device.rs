//! Devices by name.

use crate::tensor::{Device, Error, Result};

/// The device that the environment variable `OSNOVA_DEVICE` names, as [`device`] understands it; the CPU if it is not set or empty.
///
/// ```
/// let device = osnova::default_device()?;
/// # Ok::<(), Box<osnova::tensor::Error>>(())
/// ```
///
/// # Errors
/// The name is unknown, or the device is not there.
pub fn default_device() -> Result<Device> {
    match std::env::var_os("OSNOVA_DEVICE") {
        Some(name) if !name.is_empty() => device(&name.to_string_lossy()),
        _ => device("cpu"),
    }
}

/// A device by its name: `cpu`, `vulkan` (the first one) or `vulkan:1`.
///
/// # Errors
/// The name is unknown, the crate was built without the device's feature, or the device is not there.
pub fn device(name: &str) -> Result<Device> {
    let (kind, index) = name.split_once(':').map_or((name, None), |(kind, index)| (kind, Some(index)));
    match (kind, index) {
        ("cpu", None) => cpu(),
        ("vulkan", None) => vulkan(0),
        ("vulkan", Some(index)) => match index.parse() {
            Ok(index) => vulkan(index),
            Err(_) => Err(unknown(name)),
        },
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Box<Error> {
    let problem = format!("there is no device of this name: {name:?}");
    Error::argument("device", problem, "Use cpu, vulkan or vulkan:1 (also in OSNOVA_DEVICE)")
}

#[cfg(feature = "cpu")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
fn cpu() -> Result<Device> {
    Ok(crate::cpu::CpuDevice::cpu())
}

#[cfg(not(feature = "cpu"))]
fn cpu() -> Result<Device> {
    Err(Error::device("cpu", "this program was built without the CPU backend", "Build it with `--features cpu`"))
}

#[cfg(feature = "vulkan")]
fn vulkan(index: usize) -> Result<Device> {
    crate::vulkan::VulkanDevice::vulkan(index)
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(_: usize) -> Result<Device> {
    Err(Error::device(
        "vulkan",
        "this program was built without the Vulkan backend",
        "Build it with `--features vulkan`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!(device("cpu").unwrap().name(), "cpu");
        for name in ["", "gpu", "cpu:1", "vulkan:", "vulkan:x", "vulkan:-1"] {
            let message = device(name).unwrap_err().to_string();
            assert!(message.contains("there is no device of this name"), "{message}");
        }
    }
}
