//! What the tests of this crate share.

use osnova_tensor::Device;
use osnova_vulkan::VulkanDevice;

/// The first device; none where there is no Vulkan and nobody insists on it.
pub(crate) fn device() -> Option<Device> {
    match Device::vulkan(0) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED, for want of a Vulkan device: {error}");
            None
        }
    }
}
