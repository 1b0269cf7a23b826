//! The Vulkan devices of this machine with their limits: `cargo run -p osnova-vulkan --example devices`.
//!
//! Without any, it says how to get one and exits with 1.

use osnova_tensor::Device;
use osnova_vulkan::VulkanDevice;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Device::available() {
        Ok(devices) => {
            devices.iter().for_each(|device| println!("{device}"));
            if devices.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
