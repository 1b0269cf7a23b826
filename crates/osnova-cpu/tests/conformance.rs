//! Every operation on the CPU against the oracle.

use osnova_cpu::CpuDevice;
use osnova_tensor::Device;
use std::path::Path;

osnova_conformance::conformance_tests!(Device::cpu());

/// Values and gradients that PyTorch computed.
#[test]
fn goldens() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens/operations.safetensors");
    osnova_conformance::goldens(Device::cpu(), &file).assert();
}
