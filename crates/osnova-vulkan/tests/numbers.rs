//! Numbers at the ends of their range: the shift goes before the logarithm, what a weight of 0 leaves out is left out whatever it holds, and
//! half types are rounded once.

mod common;

use osnova_autodiff::vjp;
use osnova_tensor::{BinaryCrossEntropy, CrossEntropy, DType, Device, NestedArray, Real, ReductionKind, Tensor};
use std::f64::consts::LN_2;

const INFINITY: f32 = f32::INFINITY;

fn tensor(values: impl NestedArray, device: Device) -> Tensor {
    Tensor::new(values, device).unwrap()
}

#[track_caller]
fn close(tensor: &Tensor, expected: &[f64]) {
    let values = tensor.to_host().unwrap().to_f64();
    assert_eq!(values.len(), expected.len(), "{values:?} against {expected:?}");
    let near = |(value, expected): (&f64, &f64)| {
        value == expected || (value - expected).abs() <= 2e-6 * expected.abs().max(1e-3)
    };
    assert!(values.iter().zip(expected).all(near), "{values:?} against {expected:?}");
}

#[test]
fn the_logarithm_survives_large_logits() {
    let Some(device) = common::device() else { return };
    for level in [1e4f32, 1e7, 1e8, -1e30] {
        let x = tensor([[level, level]], device);
        close(&x.log_softmax(1).unwrap(), &[-LN_2; 2]);
        close(&x.cross_entropy(&tensor([0i64], device)).unwrap(), &[LN_2]);
        let ones = tensor([1.0f32], device);
        close(&vjp(|x| x[0].logsumexp(1, false), &[x], &ones).unwrap().1[0], &[0.5; 2]);
    }
}

#[test]
fn what_has_no_weight_may_be_infinite() {
    let Some(device) = common::device() else { return };
    let options =
        CrossEntropy { reduction: ReductionKind::None, label_smoothing: Real::new(0.3), ..CrossEntropy::default() };
    for classes in [3, 300, 10_000] {
        // All but two classes are impossible and have no weight, first of all the last one.
        let mut logits = vec![-INFINITY; 2 * classes];
        let mut weight = vec![0.0f32; classes];
        for at in 0..2 {
            logits[at] = 1.0;
            logits[classes + at] = 1e8;
            weight[at] = 1.0;
        }
        let x = Tensor::from_vec(logits, [2, classes], device).unwrap();
        let weight = Tensor::from_vec(weight, [classes], device).unwrap();
        let target = tensor([0i64, classes as i64 - 1], device);
        let spread = 0.3 / classes as f64 * 2.0 * LN_2;
        let losses = x.cross_entropy_with(&target, Some(&weight), options).unwrap();
        close(&losses, &[0.7 * LN_2 + spread, spread]);
    }
    let x = tensor([INFINITY, -INFINITY, INFINITY, 1e8], device);
    let y = tensor([1.0f32, 0.0, 0.0, 1.0 - f32::EPSILON / 2.0], device);
    let options = BinaryCrossEntropy { reduction: ReductionKind::None, with_gradient: false };
    close(&x.binary_cross_entropy_with(&y, options).unwrap(), &[0.0, 0.0, f64::INFINITY, 1e8 / 16_777_216.0]);
}

#[test]
fn layer_norm_of_numbers_whose_squares_overflow() {
    let Some(device) = common::device() else { return };
    if !device.capabilities().dtypes.contains(DType::BF16) {
        return;
    }
    for (dtype, size) in [(DType::F16, 60_000.0f32), (DType::BF16, 300.0), (DType::BF16, 1e30), (DType::BF16, 1e34)] {
        for width in [2, 400, 20_000] {
            let values: Vec<f32> = (0..width).map(|at| if at % 2 == 0 { size } else { -size }).collect();
            let x = Tensor::from_vec(values, [width], device).unwrap();
            let y = x.to_dtype(dtype).unwrap().layer_norm(1, None, 1e-12).unwrap();
            let y = y.to_host().unwrap().to_f64();
            let wrong = (0..width).find(|&at| y[at] != if at % 2 == 0 { 1.0 } else { -1.0 });
            assert!(wrong.is_none(), "{size} in {dtype}, {width} of them: {wrong:?} is {}", y[wrong.unwrap_or(0)]);
        }
    }
}
