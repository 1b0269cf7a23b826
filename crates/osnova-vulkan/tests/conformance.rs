//! Every operation on Vulkan against the oracle.
//!
//! Skipped, with a message, where there is no Vulkan device; with `OSNOVA_REQUIRE_VULKAN=1` that is a failure.

mod common;

use std::path::Path;

osnova_conformance::conformance_tests!(common::device());

/// Values and gradients that PyTorch computed.
#[test]
fn goldens() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens/operations.safetensors");
    if let Some(device) = common::device() {
        osnova_conformance::goldens(device, &file).assert();
    }
}
