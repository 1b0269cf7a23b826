//! Losses, layers and functions in half types: computed in `f32`, rounded once. Held against `f64` of the same numbers.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::losses::{
    BceLoss, BceWithLogitsLoss, CosineEmbeddingLoss, CrossEntropyLoss, FocalLoss, GaussianNllLoss, HingeLoss,
    HuberLoss, KlDivergenceLoss, L1Loss, Loss, MseLoss, MultiMarginLoss, NllLoss, PoissonNllLoss, SmoothL1Loss,
    TripletMarginLoss,
};
use osnova_nn::{BatchNorm, Dropout, Forward, GroupNorm, InstanceNorm, LayerNorm, Module, RmsNorm, functions};
use osnova_tensor::{DType, Device, Generator, HostData, ReductionKind, Result, Tensor};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

/// Numbers as they are in `rounded`, held in `dtype`, on a recording device.
fn held(values: &[f64], dims: &[usize], rounded: DType, dtype: DType) -> Tensor {
    let values = HostData::from_f64(rounded, values);
    let tensor = Tensor::from_host(values, dims, Device::cpu()).unwrap();
    tensor.to_dtype(dtype).unwrap().to_device(Device::cpu().autodiff()).unwrap().into_tracked().unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_host().unwrap().to_f64()
}

/// A few numbers of all sizes up to `largest`, of both signs, the same at each call.
fn spread(count: usize, largest: f64) -> Vec<f64> {
    let wave = |index: usize| ((index as f64 + 1.0) * 0.754_877_67).fract() * 2.0 - 1.0;
    (0..count).map(|index| wave(index) * largest * 10_f64.powi(-((index % 4) as i32))).collect()
}

fn assert_close(name: &str, dtype: DType, actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (actual, &exact) in actual.iter().zip(expected) {
        // Half a unit of the half type, and what f32 loses of sums.
        let bound = 0.51 * dtype.epsilon() * exact.abs() + 2e-5 * largest + 1e-7;
        let rounded = HostData::from_f64(dtype, &[exact]).to_f64()[0];
        assert!((actual - exact).abs() <= bound || *actual == rounded, "{name} {dtype}: {actual} instead of {exact}");
    }
}

/// The formula in a half type, value and gradients, against `f64`.
fn check(name: &str, inputs: &[(Vec<f64>, Vec<usize>)], formula: impl Fn(&[Tensor]) -> Result<Tensor>) {
    for dtype in HALVES {
        let run = |computed: DType| {
            let inputs: Vec<Tensor> = inputs.iter().map(|(data, dims)| held(data, dims, dtype, computed)).collect();
            let result = formula(&inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(result.dtype(), computed, "{name}");
            // Weights that every half type has, so that gradients differ from element to element.
            let weight: Vec<f64> = (0..result.count()).map(|index| 0.25 + (index % 3) as f64 * 0.25).collect();
            let weight = Tensor::from_host(HostData::from_f64(DType::F64, &weight), result.dims(), Device::cpu());
            let total = (result.to_dtype(DType::F64).unwrap() * weight.unwrap()).unwrap().sum(.., false).unwrap();
            let gradients = total.backward().unwrap();
            let gradient = |input: &Tensor| gradients.get(input).map(values);
            (values(&result), inputs.iter().map(gradient).collect::<Vec<_>>())
        };
        let (half, exact) = (run(dtype), run(DType::F64));
        assert_close(name, dtype, &half.0, &exact.0);
        for (half, exact) in half.1.iter().zip(&exact.1) {
            let name = format!("the gradient of {name}");
            assert_close(&name, dtype, half.as_deref().unwrap_or(&[]), exact.as_deref().unwrap_or(&[]));
        }
    }
}

#[test]
fn losses_between_numbers() {
    let (count, dims) = (4000, vec![4000]);
    let prediction = (spread(count, 200.0), dims.clone());
    let target = (spread(count, 150.0).into_iter().rev().collect::<Vec<_>>(), dims.clone());
    let pair = [prediction.clone(), target.clone()];
    for reduction in [ReductionKind::Mean, ReductionKind::None] {
        let losses: [(&str, Box<dyn Loss>); 5] = [
            ("mse", Box::new(MseLoss { reduction })),
            ("l1", Box::new(L1Loss { reduction })),
            ("huber", Box::new(HuberLoss { delta: 3.3, reduction })),
            ("smooth_l1", Box::new(SmoothL1Loss { beta: 0.1, reduction })),
            ("hinge", Box::new(HingeLoss { margin: 0.1, reduction })),
        ];
        for (name, loss) in losses {
            check(name, &pair, |inputs| loss.forward(&inputs[0], &inputs[1]));
        }
    }
    let rates: Vec<f64> = spread(count, 5.0);
    let counts: Vec<f64> = (0..count).map(|index| (index % 60) as f64).collect();
    let poisson = PoissonNllLoss { full: true, ..PoissonNllLoss::default() };
    check("poisson", &[(rates.clone(), dims.clone()), (counts.clone(), dims.clone())], |inputs| {
        poisson.forward(&inputs[0], &inputs[1].detach())
    });
    let rates: Vec<f64> = rates.into_iter().map(|rate| rate.abs() + 1e-3).collect();
    let poisson = PoissonNllLoss { log_input: false, ..poisson };
    check("poisson of rates", &[(rates.clone(), dims.clone()), (counts, dims.clone())], |inputs| {
        poisson.forward(&inputs[0], &inputs[1].detach())
    });
    let variances: Vec<f64> = rates.iter().map(|rate| rate * 1000.0).collect();
    check("gaussian", &[prediction, target, (variances, dims)], |inputs| {
        GaussianNllLoss { full: true, ..GaussianNllLoss::default() }.forward(&inputs[0], &inputs[1], &inputs[2])
    });
}

#[test]
fn losses_between_classes() {
    let (rows, classes) = (500, 7);
    let (count, dims) = (rows * classes, vec![rows, classes]);
    let logits = (spread(count, 20.0), dims.clone());
    let truth: Vec<f64> = (0..count).map(|index| ((index * 7) % 3 == 0) as u8 as f64).collect();
    let binary = [logits.clone(), (truth.clone(), dims.clone())];
    let weight =
        Tensor::from_vec((0..classes).map(|class| 0.125 + class as f64).collect::<Vec<_>>(), classes, Device::cpu());
    let weight = weight.unwrap();
    let of = |like: &Tensor| weight.to_dtype(like.dtype()).ok();

    check("bce with logits", &binary, |inputs| {
        let loss = BceWithLogitsLoss { weight: of(&inputs[0]), pos_weight: of(&inputs[0]), ..Default::default() };
        loss.forward(&inputs[0], &inputs[1].detach())
    });
    check("focal", &binary, |inputs| FocalLoss::default().forward(&inputs[0], &inputs[1].detach()));
    let share: Vec<f64> = (0..count).map(|index| ((index as f64 * 0.37).fract() * 0.98) + 0.01).collect();
    check("bce", &[(share.clone(), dims.clone()), (truth, dims.clone())], |inputs| {
        BceLoss { weight: of(&inputs[0]), ..BceLoss::default() }.forward(&inputs[0], &inputs[1].detach())
    });
    check("soft cross-entropy", &[logits.clone(), (share.clone(), dims.clone())], |inputs| {
        let loss = CrossEntropyLoss { weight: of(&inputs[0]), label_smoothing: 0.1, ..Default::default() };
        loss.forward(&inputs[0], &inputs[1].detach())
    });
    let logarithms = spread(count, 20.0).into_iter().map(|value| -value.abs()).collect::<Vec<_>>();
    for log_target in [false, true] {
        let target = if log_target { share.iter().map(|value| value.ln()).collect() } else { share.clone() };
        check("kl", &[(logarithms.clone(), dims.clone()), (target, dims.clone())], |inputs| {
            let loss = KlDivergenceLoss { log_target, ..KlDivergenceLoss::default() };
            loss.forward(&inputs[0], &inputs[1].detach())
        });
    }
    let target: Vec<i64> = (0..rows as i64).map(|row| row % classes as i64).collect();
    let target = Tensor::from_vec(target, rows, Device::cpu()).unwrap();
    check("nll", &[(logarithms, dims.clone())], |inputs| {
        let loss = NllLoss { weight: of(&inputs[0]), ignore_index: Some(3), ..NllLoss::default() };
        loss.forward(&inputs[0], &target)
    });
    check("multi margin", &[(spread(count, 200.0), dims)], |inputs| {
        let loss = MultiMarginLoss { squared: true, weight: of(&inputs[0]), ..MultiMarginLoss::default() };
        (loss.forward(&inputs[0], &target)? * 0.125)?.to_dtype(inputs[0].dtype())
    });
}

#[test]
fn losses_between_vectors() {
    let dims = vec![6, 300];
    let data = |start: usize| spread(1800 + start, 250.0).split_off(start);
    let vectors = [0, 5, 11].map(|start| (data(start), dims.clone()));
    let target = Tensor::new([1.0f32, -1.0, 1.0, -1.0, 1.0, -1.0], Device::cpu()).unwrap();
    let reduction = ReductionKind::None;
    check("cosine", &vectors[..2], |inputs| {
        let target = target.to_dtype(inputs[0].dtype())?;
        CosineEmbeddingLoss { margin: -1.0, reduction }.forward(&inputs[0], &inputs[1], &target)
    });
    check("triplet", &vectors, |inputs| {
        let loss = TripletMarginLoss { margin: 9000.0, swap: true, reduction };
        loss.forward(&inputs[0], &inputs[1], &inputs[2])
    });
}

/// Directions of vectors of any length that f32 has.
#[test]
fn lengths_and_cosines_beyond_the_range_of_squares() {
    for size in [1e18f32, 3e30] {
        let device = Device::cpu().autodiff();
        let vector = |values: [f32; 2]| (Tensor::new([values], device).unwrap() * f64::from(size)).unwrap();
        let first = vector([3.0, 4.0]).into_tracked().unwrap();
        let target = Tensor::new([1.0f32], device).unwrap();
        let loss = CosineEmbeddingLoss::default().forward(&first, &vector([4.0, 3.0]), &target).unwrap();
        assert!((loss.item().unwrap() - 0.04).abs() < 1e-6, "{loss}");
        let slope = values(loss.backward().unwrap().get(&first).unwrap());
        // ∂(1 − cos)/∂a = −(b/|b| − cos·a/|a|)/|a|.
        let expected = [-(0.8 - 0.96 * 0.6) / 5.0, -(0.6 - 0.96 * 0.8) / 5.0];
        for (slope, expected) in slope.iter().zip(expected) {
            assert!((slope * f64::from(size) - expected).abs() < 1e-6, "{slope}");
        }
        let zero = vector([0.0, 0.0]);
        let loss = TripletMarginLoss { margin: 0.0, ..Default::default() }.forward(&zero, &first, &zero).unwrap();
        assert!((loss.item().unwrap() / f64::from(size) - 5.0).abs() < 1e-5, "{loss}");
        let slope = values(loss.backward().unwrap().get(&first).unwrap());
        assert!((slope[0] - 0.6).abs() < 1e-6 && (slope[1] - 0.8).abs() < 1e-6, "{slope:?}");
    }
}

#[test]
fn activation_functions() {
    type Function = fn(&Tensor) -> Result<Tensor>;
    let all: [(&str, Function); 17] = [
        ("leaky_relu", |x| functions::leaky_relu(x, 0.01)),
        ("elu", |x| functions::elu(x, 0.7)),
        ("celu", |x| functions::celu(x, 0.7)),
        ("selu", functions::selu),
        ("softplus", functions::softplus),
        ("softplus_with", |x| functions::softplus_with(x, 0.3, 20.0)),
        ("log_sigmoid", functions::log_sigmoid),
        ("mish", functions::mish),
        ("softsign", functions::softsign),
        ("hardsigmoid", functions::hardsigmoid),
        ("hardswish", functions::hardswish),
        ("tanhshrink", functions::tanhshrink),
        ("softshrink", |x| functions::softshrink(x, 0.1)),
        ("glu", |x| functions::glu(x, -1)),
        ("swiglu", |x| functions::swiglu(x, -1)),
        ("softmax_with_temperature", |x| functions::softmax_with_temperature(x, -1, 0.3)),
        ("softmin", |x| functions::softmin(x, -1)),
    ];
    for (name, function) in all {
        for largest in [1.0, 300.0] {
            check(name, &[(spread(400, largest), vec![4, 100])], |inputs| function(&inputs[0]));
        }
    }
}

#[test]
fn normalisations() {
    let device = Device::cpu();
    let dims = vec![16, 12, 250];
    // Squares that overflow f16, thousands of terms.
    let input = [(spread(48_000, 300.0), dims)];
    let ramp = |like: &Tensor| -> Result<Tensor> {
        (Tensor::arange(0, 12, 1, Device::cpu())?.to_dtype(DType::F32)? * 0.25)?.to_dtype(like.dtype())
    };
    for (weight, bias) in [(true, true), (true, false), (false, false)] {
        check("layer_norm", &input, |inputs| {
            let layer = LayerNorm::options(250)?.affine(weight).bias(bias).dtype(inputs[0].dtype());
            layer.build(device)?.forward(&inputs[0])
        });
    }
    check("rms_norm", &input, |inputs| {
        RmsNorm::options(250)?.epsilon(1e-6).dtype(inputs[0].dtype()).build(device)?.forward(&inputs[0])
    });
    check("group_norm", &input, |inputs| {
        let mut layer = GroupNorm::options(3, 12).dtype(inputs[0].dtype()).build(device)?;
        layer.weight.as_mut().map(|weight| weight.set_value(ramp(&inputs[0])?)).transpose()?;
        layer.bias.as_mut().map(|bias| bias.set_value(ramp(&inputs[0])?)).transpose()?;
        layer.forward(&inputs[0])
    });
    check("instance_norm", &input, |inputs| {
        let mut layer = InstanceNorm::options(12).affine(true).dtype(inputs[0].dtype()).build(device)?;
        layer.weight.as_mut().map(|weight| weight.set_value(ramp(&inputs[0])?)).transpose()?;
        layer.forward(&inputs[0])
    });
    for training in [true, false] {
        check("batch_norm", &input, |inputs| {
            let mut layer = BatchNorm::options(12).dtype(inputs[0].dtype()).build(device)?;
            layer.weight.as_mut().map(|weight| weight.set_value(ramp(&inputs[0])?)).transpose()?;
            layer.running_var.as_ref().map(|variance| variance.set((variance.value() * 1e4)?)).transpose()?;
            if !training {
                layer.eval();
            }
            layer.forward(&inputs[0])
        });
    }
}

/// A running mean in bf16 that starts from 256 would never see a change of 1, of which a tenth counts.
#[test]
fn running_statistics_of_half_layers_are_f32() {
    for dtype in HALVES {
        let layer = BatchNorm::options(2).dtype(dtype).build(Device::cpu()).unwrap();
        let (mean, variance) = (layer.running_mean.as_ref().unwrap(), layer.running_var.as_ref().unwrap());
        mean.set(Tensor::new([256.0f32, 0.0], Device::cpu()).unwrap()).unwrap();
        let batch = Tensor::new([[256.0f32, -1.0], [258.0, 1.0]], Device::cpu()).unwrap().to_dtype(dtype).unwrap();
        for _ in 0..1000 {
            layer.forward(&batch).unwrap();
        }
        assert!((values(&mean.value())[0] - 257.0).abs() < 1e-3, "{}", mean.value());
        assert!((values(&variance.value())[1] - 2.0).abs() < 1e-3, "{}", variance.value());
        assert_eq!((mean.value().dtype(), variance.value().dtype()), (DType::F32, DType::F32));
        assert_eq!(layer.weight.as_ref().unwrap().dtype(), dtype);
    }
}

/// 1/0.9 in bf16 is off by a sixth of a percent; a number times that, rounded once, is not.
#[test]
fn dropout_scales_in_f32() {
    for dtype in HALVES {
        let layer = Dropout::new(0.1, &Generator::new(3)).unwrap();
        let input = held(&spread(4000, 300.0), &[4000], dtype, dtype);
        let kept = values(&layer.forward(&input).unwrap());
        for (kept, input) in kept.iter().zip(values(&input)) {
            let scaled = HostData::from_f64(dtype, &[f64::from(input as f32 * (1.0 / 0.9) as f32)]).to_f64()[0];
            assert!(*kept == 0.0 || *kept == scaled, "{kept} of {input}");
        }
    }
}
