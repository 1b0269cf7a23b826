//! Every operation on Vulkan against the oracle.
//!
//! Skipped, with a message, where there is no Vulkan device; with `OSNOVA_REQUIRE_VULKAN=1` that is a failure.

mod common;

use osnova_conformance::{Report, Settings};
use osnova_tensor::Device;
use std::path::Path;

/// Runs a family on the first device.
fn on_device(family: impl FnOnce(Device) -> Report) {
    if let Some(device) = common::device() {
        family(device).assert();
    }
}

macro_rules! families {
    ($($(#[$attribute:meta])* $family:ident)*) => {$(
        #[test]
        $(#[$attribute])*
        fn $family() {
            on_device(|device| osnova_conformance::$family(device, &Settings::default()));
        }
    )*};
}

families! {
    creation
    movement
    elementwise
    reductions
    contraction
    indexing
    composites
    special_values
    bad_input
    gradients
}

/// Values and gradients that PyTorch computed.
#[test]
fn goldens() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens/operations.safetensors");
    on_device(|device| osnova_conformance::goldens(device, &file));
}
