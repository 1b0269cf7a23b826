//! What the tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use osnova_autodiff::AutodiffDevice;
use osnova_reference::ReferenceDevice;
use osnova_tensor::{Device, NestedArray, Tensor};

/// A device that does not record.
pub(crate) fn plain() -> Device {
    Device::reference()
}

/// A device that does.
pub(crate) fn recording() -> Device {
    plain().autodiff()
}

/// A constant.
pub(crate) fn constant(values: impl NestedArray) -> Tensor {
    Tensor::new(values, plain()).unwrap()
}

/// A leaf.
pub(crate) fn leaf(values: impl NestedArray) -> Tensor {
    Tensor::new(values, recording()).unwrap().into_tracked().unwrap()
}

/// Holds values against expected ones, both absolutely and relatively to 1e-9.
#[track_caller]
pub(crate) fn close(tensor: &Tensor, expected: &[f64]) {
    let values = tensor.to_host().unwrap().to_f64();
    assert_eq!(values.len(), expected.len(), "{values:?} against {expected:?}");
    let near = |(value, expected): (&f64, &f64)| (value - expected).abs() <= 1e-9 * expected.abs().max(1.0);
    assert!(values.iter().zip(expected).all(near), "{values:?} against {expected:?}");
}
