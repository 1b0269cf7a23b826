//! Reverse-mode automatic differentiation for Osnova, as a device that wraps a device.
#![forbid(unsafe_code)]

mod backward;
mod device;
mod node;
mod rules;

pub use device::AutodiffDevice;
