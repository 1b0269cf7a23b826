//! Numbers at the ends of their range: the shift goes before the logarithm, and what a mask or a weight of 0 leaves out is left out
//! whatever it holds. On the CPU's kernels and, on the oracle, by the decompositions; on nested recorders by the decompositions too.

use osnova_autodiff::{AutodiffDevice, jvp, vjp};
use osnova_cpu::CpuDevice;
use osnova_reference::ReferenceDevice;
use osnova_tensor::{
    Activation, BinaryCrossEntropy, CrossEntropy, Device, NestedArray, Real, ReductionKind, Result, Tensor,
};
use std::f64::consts::LN_2;

const INFINITY: f32 = f32::INFINITY;

fn devices() -> [Device; 3] {
    [Device::cpu(), Device::reference(), Device::cpu().autodiff()]
}

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
    assert!(values.iter().zip(expected).all(near), "{values:?} against {expected:?} on {}", tensor.device());
}

/// The gradient of `function` at `x`, for the gradient `g` of its result.
fn pulled(function: impl Fn(&Tensor) -> Result<Tensor>, x: &Tensor, g: &Tensor) -> Tensor {
    vjp(|inputs| function(&inputs[0]), std::slice::from_ref(x), g).unwrap().1.remove(0)
}

#[test]
fn the_logarithm_survives_large_logits() {
    for device in devices() {
        for level in [0.0f32, 1e4, -1e4, 1e7, 1e8, 1e30, -1e30] {
            let x = tensor([[level, level]], device);
            close(&x.log_softmax(1).unwrap(), &[-LN_2; 2]);
            close(&x.log_softmax(0).unwrap(), &[0.0; 2]);
            let target = tensor([0i64], device);
            close(&x.cross_entropy(&target).unwrap(), &[LN_2]);
            let options = CrossEntropy { label_smoothing: Real::new(0.3), ..CrossEntropy::default() };
            close(&x.cross_entropy_with(&target, None, options).unwrap(), &[LN_2]);
            let weight = tensor([2.0f32, 1.0], device);
            let options = CrossEntropy { reduction: ReductionKind::Sum, ..options };
            // 0.7·2·ln 2 + 0.15·(2 + 1)·ln 2
            close(&x.cross_entropy_with(&target, Some(&weight), options).unwrap(), &[1.85 * LN_2]);
            let one = tensor([1.0f32], device);
            close(&pulled(|x| x.logsumexp(1, false), &x, &one), &[0.5; 2]);
            let ones = tensor([[1.0f32, 0.0]], device);
            close(&pulled(|x| x.log_softmax(1), &x, &ones), &[0.5, -0.5]);
            close(&pulled(|x| x.softmax(1), &x, &ones), &[0.25, -0.25]);
        }
    }
}

#[test]
fn the_share_of_a_large_logit_on_the_wrong_side_keeps_its_digits() {
    for device in devices() {
        // 1e8·(1 − 0.99999994) = 1e8·2⁻²⁴, and the same from the other side.
        let x = tensor([1e8f32, -1e8], device);
        let y = tensor([1.0f32 - f32::EPSILON / 2.0, f32::EPSILON / 2.0], device);
        let options = BinaryCrossEntropy { reduction: ReductionKind::None, with_gradient: false };
        close(&x.binary_cross_entropy_with(&y, options).unwrap(), &[1e8 / 16_777_216.0; 2]);
    }
}

#[test]
fn a_certain_and_right_logit_costs_nothing() {
    for device in devices() {
        let x = tensor([INFINITY, -INFINITY, INFINITY, -INFINITY], device);
        let y = tensor([1.0f32, 0.0, 0.0, 1.0], device);
        let options = BinaryCrossEntropy { reduction: ReductionKind::None, with_gradient: false };
        let values = |x: &Tensor| x.binary_cross_entropy_with(&y, options);
        close(&values(&x).unwrap(), &[0.0, 0.0, f64::INFINITY, f64::INFINITY]);
        close(&pulled(values, &x, &x.ones_like().unwrap()), &[0.0, 0.0, 1.0, -1.0]);
    }
}

#[test]
fn a_logit_of_zero_has_a_gradient_by_the_parts_too() {
    let device = Device::cpu();
    let (x, y) = (tensor([0.0f32], device), tensor([0.25f32], device));
    // A target that moves keeps the fused kernel away.
    let both = vjp(|inputs| inputs[0].binary_cross_entropy_with_logits(&inputs[1]), &[x, y], &tensor(1.0f32, device));
    let gradients = both.unwrap().1;
    close(&gradients[0], &[0.25]);
    close(&gradients[1], &[0.0]);
}

/// A batch of which the second row is ignored and holds what no formula survives.
fn ignoring(hostile: f32, device: Device) -> (Tensor, Tensor, CrossEntropy) {
    let x = tensor([[1.0f32, 2.0], [hostile, hostile], [0.5, -0.5]], device);
    let target = tensor([1i64, -100, 0], device);
    (x, target, CrossEntropy { ignore_index: Some(-100), reduction: ReductionKind::None, ..CrossEntropy::default() })
}

#[test]
fn what_is_ignored_is_ignored_whatever_it_holds() {
    let loss = (1.0 + (-1.0f64).exp()).ln();
    let slope = 1.0 - 1.0 / (1.0 + (-1.0f64).exp());
    for device in devices() {
        for hostile in [-INFINITY, INFINITY, f32::NAN] {
            for (smoothing, weighted) in [(0.0, false), (0.0, true), (0.2, false), (0.2, true)] {
                let (x, target, options) = ignoring(hostile, device);
                let options = CrossEntropy { label_smoothing: Real::new(smoothing), ..options };
                let weight = weighted.then(|| tensor([1.0f32, 1.0], device));
                let losses = |x: &Tensor| x.cross_entropy_with(&target, weight.as_ref(), options);
                // A share s/2 goes to the other class, whose loss is larger by 1.
                let loss = loss + smoothing / 2.0;
                close(&losses(&x).unwrap(), &[loss, 0.0, loss]);
                let mean = CrossEntropy { reduction: ReductionKind::Mean, ..options };
                close(&x.cross_entropy_with(&target, weight.as_ref(), mean).unwrap(), &[loss]);
                let slope = slope - smoothing / 2.0;
                let expected = [slope, -slope, 0.0, 0.0, -slope, slope];
                close(&pulled(losses, &x, &tensor([1.0f32; 3], device)), &expected);
                // Not even an infinite gradient moves it.
                close(&pulled(losses, &x, &tensor([1.0f32, INFINITY, 1.0], device)), &expected);
            }
        }
    }
}

#[test]
fn a_class_of_weight_zero_may_be_impossible() {
    for device in devices() {
        let x = tensor([[1.0f32, 1.0, -INFINITY], [-INFINITY, 0.0, 0.0]], device);
        let target = tensor([0i64, 0], device);
        let weight = tensor([1.0f32, 1.0, 0.0], device);
        let options =
            CrossEntropy { reduction: ReductionKind::None, label_smoothing: Real::new(0.3), ..CrossEntropy::default() };
        // 0.7·ln 2 + 0.1·2·ln 2; the second sample's own class is impossible and has a weight.
        let losses = x.cross_entropy_with(&target, Some(&weight), options).unwrap();
        close(&losses, &[0.9 * LN_2, f64::INFINITY]);
        let weight = tensor([0.0f32, 1.0, 0.0], device);
        let options = CrossEntropy { label_smoothing: Real::new(0.0), ..options };
        close(&x.cross_entropy_with(&target, Some(&weight), options).unwrap(), &[0.0, 0.0]);
    }
}

#[test]
fn masks_select() {
    for device in devices() {
        let g = tensor([1.0f32, INFINITY, -INFINITY, f32::NAN, 1.0], device);
        let x = tensor([1.0f32, 0.0, 0.0, 0.0, -2.0], device);
        close(&pulled(Tensor::abs, &x, &g), &[1.0, 0.0, 0.0, 0.0, -1.0]);
        close(&pulled(Tensor::relu, &x, &g), &[1.0, 0.0, 0.0, 0.0, 0.0]);
        close(&pulled(|x| x.clamp(0.5, 3.0), &x, &g), &[1.0, 0.0, 0.0, 0.0, 0.0]);
        close(&pulled(|x| x.maximum(0.5), &x, &g), &[1.0, 0.0, 0.0, 0.0, 0.0]);
        close(&pulled(|x| x.greater(0.0)?.where_(x, 1.0), &x, &g), &[1.0, 0.0, 0.0, 0.0, 0.0]);
        close(&pulled(|x| x.activate(Activation::Relu), &x, &g), &[1.0, 0.0, 0.0, 0.0, 0.0]);
        let g = tensor([INFINITY, 1.0], device);
        let x = tensor([[1.0f32, 3.0, 2.0], [5.0, 4.0, 5.0]], device);
        close(&pulled(|x| x.max(1, false), &x, &g), &[0.0, f64::INFINITY, 0.0, 0.5, 0.0, 0.5]);
        close(&pulled(|x| x.min(1, true), &x, &g.reshape([2, 1]).unwrap()), &[f64::INFINITY, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }
}

#[test]
fn in_forward_mode_masks_select_too() {
    let device = Device::cpu();
    let x = tensor([1.0f32, 3.0, 2.0], device);
    let moved = tensor([INFINITY, 1.0, f32::NAN], device);
    close(&jvp(|x| x[0].max(.., false), &[x], &[moved]).unwrap().1, &[1.0]);
    let (x, target, options) = ignoring(-INFINITY, device);
    let moved = tensor([[1.0f32, 0.0], [INFINITY, f32::NAN], [0.0, 0.0]], device);
    let slope = 1.0 - 1.0 / (1.0 + (-1.0f64).exp());
    let losses = |x: &[Tensor]| x[0].cross_entropy_with(&target, None, options);
    close(&jvp(losses, &[x], &[moved]).unwrap().1, &[slope, 0.0, 0.0]);
}

#[test]
fn a_maximum_that_is_not_a_number_has_no_gradient() {
    for device in devices() {
        let x = tensor([1.0f32, f32::NAN], device);
        let gradient = pulled(|x| x.max(.., false), &x, &tensor(1.0f32, device)).to_vec::<f32>().unwrap();
        assert!(gradient.iter().all(|value| value.is_nan()), "{gradient:?}");
    }
}

#[test]
fn a_product_with_zeros_has_a_gradient() {
    for device in devices() {
        let one = tensor(1.0f32, device);
        let product = |x: &Tensor| x.prod(.., false);
        let two = tensor([1e20f32, 1e20, 0.0, 1e20, 1e20, 0.0, 1e20], device);
        close(&pulled(product, &two, &one), &[0.0; 7]);
        let single = tensor([1e20f32, 1e20, 0.0, 1e20], device);
        close(&pulled(product, &single, &one), &[0.0, 0.0, f64::INFINITY, 0.0]);
        let plain = tensor([2.0f32, 0.0, 3.0], device);
        close(&pulled(product, &plain, &one), &[0.0, 6.0, 0.0]);
        // An infinite factor is no overflow: 0 · ∞ is what the product itself says.
        let infinite = tensor([0.0f32, INFINITY, 3.0], device);
        assert!(pulled(product, &infinite, &one).to_vec::<f32>().unwrap()[2].is_nan());
    }
}

#[test]
fn powers_at_the_ends() {
    for device in devices() {
        let x = tensor([0.0f32, INFINITY, -INFINITY, 1e-45, 2.0], device);
        let ones = x.ones_like().unwrap();
        close(&pulled(|x| x.pow(0.0), &x, &ones), &[0.0; 5]);
        // ∂xʸ/∂y = xʸ·ln x
        let y = tensor([2.0f32, -1.0], device);
        let base = tensor([0.0f32, INFINITY], device);
        close(&pulled(|y| base.pow(y), &y, &y.ones_like().unwrap()), &[0.0, 0.0]);
    }
}

#[test]
fn squares_that_overflow() {
    for device in devices() {
        let x = tensor([1e30f32, -1e30, 3e38, -3e38], device).reshape([2, 2]).unwrap();
        close(&x.layer_norm(1, None, 1e-5).unwrap(), &[1.0, -1.0, 1.0, -1.0]);
        let x = tensor([1e30f32, -1e30], device);
        let ones = x.ones_like().unwrap();
        close(&pulled(|x| x.gelu(true), &x, &ones), &[1.0, 0.0]);
        close(&pulled(|x| x.gelu(false), &x, &ones), &[1.0, 0.0]);
        close(&pulled(Tensor::silu, &x, &ones), &[1.0, 0.0]);
        // (x^−½)′ = −½x^(−3/2), which alone is −5e44.
        let (x, g) = (tensor([1e-30f32], device), tensor([1e-10f32], device));
        close(&pulled(Tensor::rsqrt, &x, &g), &[-5e34]);
        let (x, g) = (tensor([1e-25f32], device), tensor([1e-20f32], device));
        close(&pulled(Tensor::recip, &x, &g), &[-1e30]);
    }
}
