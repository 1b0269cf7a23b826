//! The oracle against PyTorch.

use osnova_reference::ReferenceDevice;
use osnova_tensor::Device;
use std::path::Path;

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens/operations.safetensors")
}

#[test]
fn the_oracle_agrees_with_pytorch() {
    let report = osnova_conformance::goldens(Device::reference(), &file());
    report.assert();
    assert!(report.cases() >= 700, "{} cases", report.cases());
}

#[test]
fn a_missing_file_and_a_broken_one_are_failures() {
    assert!(!osnova_conformance::goldens(Device::reference(), Path::new("no such file")).passed());
    let report = osnova_conformance::goldens(
        Device::reference(),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path(),
    );
    assert!(!report.passed());
}
