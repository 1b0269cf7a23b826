//! Parameters of half types: every optimizer computes in `f32` and rounds once.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::{Module, Param};
use osnova_optim::{
    AdaGrad, Adafactor, Adam, AdamW, Lbfgs, Lion, NAdam, Norm, Optimizer, RAdam, RmsProp, Sgd, WeightAverage,
    accumulate, clip_by_norm, total_norm,
};
use osnova_tensor::{DType, Device, Gradients, Result, Tensor};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

#[derive(Module)]
struct Point {
    x: Param,
}

fn point(values: &[f32], dims: &[usize], dtype: DType) -> Point {
    let device = Device::cpu().autodiff();
    let tensor = Tensor::from_vec(values.to_vec(), dims, device).unwrap().to_dtype(dtype).unwrap();
    Point { x: Param::new(tensor).unwrap() }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_host().unwrap().to_f64()
}

/// A gradient of the parameter with these values, held in `dtype`.
fn gradients(point: &Point, values: &[f32], dtype: DType) -> Gradients {
    let gradient = Tensor::from_vec(values.to_vec(), point.x.shape().dims(), Device::cpu()).unwrap();
    let mut gradients = Gradients::new();
    // Rounded to the parameter's dtype in any case, so that both see the same numbers.
    let gradient = gradient.to_dtype(point.x.dtype()).unwrap().to_dtype(dtype).unwrap();
    gradients.insert(point.x.node_id().unwrap(), gradient);
    gradients
}

fn step(optimizer: &mut dyn Optimizer, point: &mut Point, values: &[f32], dtype: DType) {
    let gradients = gradients(point, values, dtype);
    optimizer.step(point, &gradients).unwrap();
}

/// Every kind of update, with settings at which a step computed in a half type goes wrong.
fn all() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(Sgd::new(1e-3)),
        Box::new(Sgd::new(1e-3).weight_decay(0.1)),
        Box::new(Sgd::new(1e-4).momentum(0.99).nesterov(true)),
        Box::new(Sgd::new(1e-4).momentum(0.9).dampening(0.5)),
        Box::new(Adam::new(0.01).weight_decay(0.01)),
        Box::new(Adam::new(0.01).epsilon(0.0)),
        Box::new(Adam::new(0.01).epsilon(1e-300)),
        Box::new(AdamW::new(0.01)),
        Box::new(AdamW::new(0.01).amsgrad(true)),
        Box::new(NAdam::new(0.01)),
        Box::new(NAdam::new(0.01).epsilon(0.0).weight_decay(0.1).decoupled(true)),
        Box::new(RAdam::new(0.01).betas(0.9, 0.99)),
        Box::new(RAdam::new(0.01).betas(0.9, 0.99).epsilon(0.0)),
        Box::new(AdaGrad::new(0.1)),
        Box::new(AdaGrad::new(0.1).epsilon(0.0)),
        Box::new(RmsProp::new(0.01)),
        Box::new(RmsProp::new(0.01).momentum(0.9)),
        Box::new(RmsProp::new(0.01).centred(true)),
        Box::new(RmsProp::new(0.01).centred(true).momentum(0.9).epsilon(0.0)),
        Box::new(Lion::new(0.01).weight_decay(0.1)),
        Box::new(Adafactor::new(0.05).gradient_epsilon(1e-7)),
        Box::new(Adafactor::new(0.05).gradient_epsilon(0.0)),
    ]
}

/// What no half type squares well: nothing, tiny, subnormal in f16, ordinary, near f16's end.
const EXTREMES: [f32; 12] = [0.0, 1e-7, -6e4, 6e-8, -3e-5, 1e-3, 0.0, -1.0, 300.0, 6e4, -1e-7, 0.25];

/// The gradient of a step: each element meets every extreme, but the first, which is always 0.
fn steep(step: usize) -> Vec<f32> {
    (0..12).map(|index| if index == 0 { 0.0 } else { EXTREMES[(index + step) % 12] }).collect()
}

#[test]
fn fifty_steps_are_those_of_f32_rounded_once_each() {
    let start: Vec<f32> = (0..12).map(|index| (index as f32 - 5.5) / 3.0).collect();
    for dtype in HALVES {
        // A gradient of the parameter's dtype meets the kernel of the device, a wider one the definition.
        for held in [dtype, DType::F32] {
            for (mut optimizer, mut exact) in all().into_iter().zip(all()) {
                let mut half = point(&start, &[3, 4], dtype);
                let mut single = point(&start, &[3, 4], DType::F32);
                for number in 0..50 {
                    let rounded = half.x.value().to_dtype(DType::F32).unwrap();
                    single.x.set_value(rounded).unwrap();
                    let gradient = gradients(&half, &steep(number), held);
                    let known = values(gradient.get(&half.x).unwrap());
                    let known: Vec<f32> = known.into_iter().map(|value| value as f32).collect();
                    step(&mut exact, &mut single, &known, DType::F32);
                    optimizer.step(&mut half, &gradient).unwrap();

                    let expected = values(&single.x.value().to_dtype(dtype).unwrap());
                    let actual = values(&half.x.value());
                    assert!(actual.iter().all(|value| value.is_finite()), "{optimizer:?} {dtype} {number}: {actual:?}");
                    // The definition may differ from the kernel in the last bit of f32, and so fall to the other side.
                    let slack = if held == dtype { 0.0 } else { dtype.epsilon() };
                    for (actual, expected) in actual.iter().zip(&expected) {
                        let near = (actual - expected).abs() <= slack * expected.abs().max(1e-3);
                        assert!(near, "{optimizer:?} {dtype} {held} {number}: {actual} instead of {expected}");
                    }
                }
                for (name, state) in optimizer.state_dict().tensors.iter() {
                    assert_eq!(state.dtype(), DType::F32, "{optimizer:?} {name}");
                }
            }
        }
    }
}

#[test]
fn states_of_a_half_type_are_refused_and_those_of_f32_go_on_bit_by_bit() {
    for dtype in HALVES {
        for (mut straight, mut resumed) in all().into_iter().zip(all()) {
            let mut model = point(&[1.0; 12], &[3, 4], dtype);
            for number in 0..3 {
                step(&mut straight, &mut model, &steep(number), dtype);
            }
            let state = straight.state_dict();
            let mut twin = point(&[0.0; 12], &[3, 4], dtype);
            twin.load_state_dict(&model.state_dict()).unwrap();
            resumed.load_state_dict(&twin, &state).unwrap();
            for number in 3..6 {
                step(&mut straight, &mut model, &steep(number), dtype);
                step(&mut resumed, &mut twin, &steep(number), dtype);
            }
            assert_eq!(values(&model.x), values(&twin.x), "{straight:?}");

            // As they were kept once: in the parameter's own dtype.
            let mut narrow = state.clone();
            let cast = |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.to_dtype(dtype).unwrap());
            narrow.tensors = state.tensors.iter().map(cast).collect();
            if !narrow.tensors.is_empty() {
                let error = resumed.load_state_dict(&twin, &narrow).unwrap_err().to_string();
                assert!(error.contains("instead of f32"), "{error}");
            }
        }
    }
}

#[test]
fn lbfgs_finds_the_minimum_to_the_last_digit() {
    let target = [3.0f32, -0.5, 40.0, 0.125];
    let curvature = [1.0f32, 100.0, 0.01, 10.0];
    for dtype in HALVES {
        for search in [false, true] {
            let mut model = point(&[0.0; 4], &[4], dtype);
            let tensor = |values: [f32; 4]| Tensor::new(values, Device::cpu()).unwrap();
            let loss = |point: &Point| -> Result<Tensor> {
                let distance = (point.x.to_dtype(DType::F32)? - tensor(target))?;
                (distance.square()? * tensor(curvature))?.sum(.., false)
            };
            let mut optimizer = Lbfgs::new(1.0).strong_wolfe(search);
            for _ in 0..5 {
                optimizer.step_with(&mut model, loss).unwrap();
            }
            for (actual, expected) in values(&model.x.value()).into_iter().zip(target) {
                let distance = (actual - f64::from(expected)).abs();
                assert!(distance <= 2.0 * dtype.epsilon() * f64::from(expected.abs()), "{dtype}: {actual} {expected}");
            }
            assert_eq!(model.x.dtype(), dtype);
            assert!(optimizer.state_dict().tensors.iter().all(|(_, tensor)| tensor.dtype() == DType::F32));
        }
    }
}

#[test]
fn norms_and_factors_of_half_gradients_are_computed_wide() {
    for (dtype, size) in [(DType::F16, 6e4f32), (DType::BF16, 3e37), (DType::F16, 6e-8), (DType::BF16, 3e-38)] {
        let model = point(&[0.0; 4], &[4], dtype);
        let mut clipped = gradients(&model, &[size; 4], dtype);
        let one = values(clipped.get(&model.x).unwrap())[0];
        for (norm, expected) in [(Norm::L2, 2.0), (Norm::P(3.0), 4_f64.cbrt()), (Norm::L1, 4.0), (Norm::Infinity, 1.0)]
        {
            let total = total_norm(&clipped, norm).unwrap().item().unwrap();
            assert!((total / one - expected).abs() < 1e-6, "{dtype} {norm:?} of {one}: {total}");
        }
        if size > 1.0 {
            clip_by_norm(&mut clipped, 1.0).unwrap();
            // Each is half of the norm 1, rounded once.
            assert_eq!(values(clipped.get(&model.x).unwrap()), [0.5; 4]);
        }
    }
}

#[test]
fn accumulated_gradients_do_not_stall() {
    for dtype in HALVES {
        let mut model = point(&[1.0; 2], &[2], dtype);
        let mut total = gradients(&model, &[1.0, 0.0], dtype);
        for _ in 0..5000 {
            accumulate(&mut total, gradients(&model, &[1.0 / 1024.0, 1.0], dtype)).unwrap();
        }
        assert_eq!(values(total.get(&model.x).unwrap()), [1.0 + 5000.0 / 1024.0, 5000.0]);
        Sgd::new(1e-4).step(&mut model, &total).unwrap();
        assert_eq!(model.x.dtype(), dtype);
        let moved = values(&model.x.value())[1];
        assert!((moved - 0.5).abs() < dtype.epsilon(), "{moved}");
    }
}

/// At a decay of 0.9999 an average in bf16 would never move.
#[test]
fn slow_averages_of_half_weights_move() {
    for dtype in HALVES {
        let mut model = point(&[1.0; 2], &[2], dtype);
        let mut average = WeightAverage::exponential(0.9999);
        average.update(&model).unwrap();
        model.x.set_value(point(&[2.0; 2], &[2], dtype).x.value()).unwrap();
        for _ in 0..1000 {
            average.update(&model).unwrap();
        }
        let expected = 2.0 - 0.9999_f64.powi(1000);
        let (_, kept) = average.state_dict().into_iter().next().unwrap();
        assert_eq!(kept.dtype(), DType::F32);
        assert!((values(&kept)[0] - expected).abs() < 1e-4, "{kept}");
        average.swap_in(&mut model).unwrap();
        assert!((values(&model.x.value())[0] - expected).abs() < dtype.epsilon());
    }
}
