//! Layers and initialisers where no golden value can stand: randomness, kinks, bad input.

use osnova_autodiff::{AutodiffDevice, Settings, gradcheck};
use osnova_cpu::CpuDevice;
use osnova_nn::{
    BatchNorm, Celu, Dropout, Elu, Embedding, Fan, Flatten, Forward, Gelu, Glu, GroupNorm, Hardshrink, Hardsigmoid,
    Hardswish, Hardtanh, Initializer, InstanceNorm, LayerNorm, LeakyRelu, Linear, LogSigmoid, LogSoftmax, Mish, Module,
    Nonlinearity, Param, Prelu, Relu, Relu6, RmsNorm, Selu, Sigmoid, Silu, Softmax, Softplus, Softshrink, Softsign,
    SwiGlu, Tanh, Tanhshrink, Threshold,
};
use osnova_tensor::{Activation, DType, Device, Error, Generator, Tensor};
use proptest::prelude::*;
use serde_json::Value;

fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

fn draw(initializer: Initializer, shape: &[usize]) -> Vec<f64> {
    let tensor = initializer.make(shape, DType::F32, &Generator::new(17), Device::cpu()).unwrap();
    assert_eq!(tensor.dims(), shape);
    tensor.to_host().unwrap().to_f64()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn dropout_preserves_the_mean_and_drops_its_share(probability in 0.0..0.9_f64, seed: u64) {
        let layer = Dropout::new(probability, &Generator::new(seed)).unwrap();
        let count = 40_000;
        let input = Tensor::ones(count, DType::F32, Device::cpu()).unwrap();
        let output = layer.forward(&input).unwrap().to_host().unwrap().to_f64();
        let (mean, _) = moments(&output);
        // Six standard deviations of the mean of independent elements.
        let tolerance = 6.0 * (probability / (1.0 - probability) / count as f64).sqrt() + 1e-6;
        prop_assert!((mean - 1.0).abs() <= tolerance, "{mean} ± {tolerance}");
        let scale = 1.0 / (1.0 - probability);
        prop_assert!(output.iter().all(|&value| value == 0.0 || (value - scale).abs() < 1e-5 * scale));
    }
}

#[test]
fn dropout_passes_gradients_where_it_passes_values() {
    let device = Device::cpu().autodiff();
    let input = Tensor::ones(1000, DType::F32, device).unwrap().into_tracked().unwrap();
    let mut layer = Dropout::new(0.3, &Generator::new(1)).unwrap();
    let output = layer.forward(&input).unwrap();
    let gradients = output.sum(.., false).unwrap().backward().unwrap();
    assert_eq!(gradients.get(&input).unwrap().to_vec::<f32>().unwrap(), output.to_vec::<f32>().unwrap());
    layer.eval();
    assert!(layer.forward(&input).unwrap().same(&input));
    let all = Dropout::new(1.0, &Generator::new(1)).unwrap();
    assert_eq!(all.forward(&input).unwrap().to_vec::<f32>().unwrap(), [0.0; 1000]);
    for probability in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(*Dropout::new(probability, &Generator::new(1)).unwrap_err(), Error::Argument { .. }));
    }
}

#[test]
fn dropout_repeats_with_its_seed() {
    let input = Tensor::ones(100, DType::F32, Device::cpu()).unwrap();
    let run =
        |seed| Dropout::new(0.5, &Generator::new(seed)).unwrap().forward(&input).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn initialisers_have_the_variance_of_their_formula() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/initialisers.json")).unwrap();
    let document: Value = serde_json::from_slice(&file).unwrap();
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let nonlinearity = match case["nonlinearity"].as_str().unwrap_or("linear") {
            "linear" => Nonlinearity::Linear,
            "sigmoid" => Nonlinearity::Sigmoid,
            "tanh" => Nonlinearity::Tanh,
            "relu" => Nonlinearity::Relu,
            "selu" => Nonlinearity::Selu,
            other => Nonlinearity::LeakyRelu(other.strip_prefix("leaky_relu_").unwrap().parse().unwrap()),
        };
        let gain = nonlinearity.gain();
        let fan = if case["mode"] == "fan_out" { Fan::Out } else { Fan::In };
        let initializer = match case["initialiser"].as_str().unwrap() {
            "xavier_normal" => Initializer::XavierNormal { gain },
            "xavier_uniform" => Initializer::XavierUniform { gain },
            "he_normal" => Initializer::HeNormal { fan, nonlinearity },
            "he_uniform" => Initializer::HeUniform { fan, nonlinearity },
            "pytorch_linear" => Initializer::linear_default(),
            "lecun_normal" => Initializer::LecunNormal,
            "lecun_uniform" => Initializer::LecunUniform,
            other => panic!("{other}"),
        };
        let size = |name: &str| case[name].as_u64().unwrap() as usize;
        let values = draw(initializer, &[size("fan_out"), size("fan_in")]);
        let (mean, variance) = moments(&values);
        let deviation = case["std"].as_f64().unwrap();
        // Few numbers vary more: four standard deviations of a sample variance, and no less than 3 %.
        let tolerance = (4.0 * (2.0 / values.len() as f64).sqrt()).max(0.03);
        assert!((variance / deviation.powi(2) - 1.0).abs() < tolerance, "{case}: {variance}");
        assert!(mean.abs() < 6.0 * deviation / (values.len() as f64).sqrt(), "{case}: mean {mean}");
        if let Some(bound) = case["bound"].as_f64() {
            let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            assert!(
                largest <= bound * (1.0 + 1e-6) && (values.len() < 1000 || largest > 0.98 * bound),
                "{case}: {largest}"
            );
        }
    }
}

#[test]
fn other_initialisers_give_what_they_say() {
    assert_eq!(draw(Initializer::Zeros, &[3]), [0.0; 3]);
    assert_eq!(draw(Initializer::Ones, &[3]), [1.0; 3]);
    assert_eq!(draw(Initializer::Constant(0.5), &[2, 1]), [0.5; 2]);
    let (mean, variance) = moments(&draw(Initializer::Uniform { low: -1.0, high: 3.0 }, &[40_000]));
    assert!((mean - 1.0).abs() < 0.03 && (variance / (16.0 / 12.0) - 1.0).abs() < 0.03);
    let (mean, variance) = moments(&draw(Initializer::Normal { mean: 2.0, standard_deviation: 0.5 }, &[40_000]));
    assert!((mean - 2.0).abs() < 0.02 && (variance / 0.25 - 1.0).abs() < 0.03);
    let truncated = Initializer::TruncatedNormal { mean: 0.0, standard_deviation: 1.0, low: -2.0, high: 2.0 };
    let values = draw(truncated, &[200, 200]);
    let (mean, variance) = moments(&values);
    // The variance of the standard normal distribution cut off at ±2 is 1 − 4φ(2)/(2Φ(2) − 1) = 0.7737.
    assert!(
        values.iter().all(|value| value.abs() <= 2.0) && mean.abs() < 0.02 && (variance / 0.7737 - 1.0).abs() < 0.03
    );
}

#[test]
fn orthogonal_matrices_are_orthogonal() {
    for shape in [[6, 6], [4, 9], [9, 4]] {
        let device = Device::cpu();
        let matrix = Initializer::Orthogonal { gain: 2.0 }.make(shape, DType::F64, &Generator::new(3), device).unwrap();
        let product = if shape[0] <= shape[1] {
            matrix.matmul(&matrix.t().unwrap()).unwrap()
        } else {
            matrix.t().unwrap().matmul(&matrix).unwrap()
        };
        let size = shape[0].min(shape[1]);
        let expected = (Tensor::eye(size, DType::F64, device).unwrap() * 4.0).unwrap();
        let difference = (product - expected).unwrap().abs().unwrap().max(.., false).unwrap().item().unwrap();
        assert!(difference < 1e-12, "{difference}");
    }
}

#[test]
fn initialisers_refuse_what_makes_no_sense() {
    let make = |initializer: Initializer, shape: &[usize], dtype| {
        let generator = Generator::new(0);
        let result = initializer.make(shape, dtype, &generator, Device::cpu());
        assert_eq!(generator.position().counter, 0, "a refused call draws nothing");
        *result.unwrap_err()
    };
    assert!(matches!(make(Initializer::XAVIER, &[3], DType::F32), Error::Shape { .. }));
    assert!(matches!(make(Initializer::Orthogonal { gain: 1.0 }, &[3], DType::F32), Error::Shape { .. }));
    assert!(matches!(make(Initializer::Zeros, &[3], DType::I64), Error::DType { .. }));
    assert!(matches!(make(Initializer::Uniform { low: 1.0, high: 0.0 }, &[3], DType::F32), Error::Argument { .. }));
    for (low, high) in [(1.0, 1.0), (f64::NAN, 1.0), (2.0, 1.0), (f64::INFINITY, f64::INFINITY)] {
        let truncated = Initializer::TruncatedNormal { mean: 0.0, standard_deviation: 1.0, low, high };
        assert!(matches!(make(truncated, &[3], DType::F32), Error::Argument { .. }));
    }
}

/// Bounds that leave nearly nothing of the distribution, each with the mean that calculus gives:
/// μ = (φ(a) − φ(b)) / (Φ(b) − Φ(a)), far out about a + 1/a − 2/a³.
#[test]
fn truncated_normals_are_drawn_in_tails_and_slits() {
    let bounds = [
        (3.5, 4.0, 3.676_654),
        (-4.0, -3.5, -3.676_654),
        (0.0, 0.25, 0.124_351),
        (2.0, 2.5, 2.204_452),
        (40.0, f64::INFINITY, 40.024_969),
        (f64::NEG_INFINITY, -8.0, -8.121_368),
        (-1.0, -0.999_999, -0.999_999_5),
        (-1e-3, 1e-3, 0.0),
        (1e12, 1e12 + 1.0, 1e12),
        (1e200, f64::INFINITY, 1e200),
    ];
    for (low, high, expected) in bounds {
        for dtype in [DType::F64, DType::F32, DType::BF16, DType::F16] {
            let truncated = Initializer::TruncatedNormal { mean: 0.0, standard_deviation: 1.0, low, high };
            let values = truncated.make(20_000, dtype, &Generator::new(1), Device::cpu()).unwrap();
            let values = values.to_host().unwrap().to_f64();
            if dtype == DType::F64 {
                assert!(values.iter().all(|value| (low..=high).contains(value)), "{low} to {high}");
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                // The deviation is at most 0.5 or a quarter of the width; that of the mean √20000 times less.
                let spread = 0.5_f64.min((high - low) / 4.0);
                let distance = (mean - expected).abs();
                assert!(
                    distance < 4.0 * spread / 141.0 + 1e-6 + 1e-12 * expected.abs(),
                    "{low}: {mean} for {expected}"
                );
            }
        }
    }
    // A bound that bf16 does not have: no number rounds over it.
    let truncated = Initializer::TruncatedNormal { mean: 0.0, standard_deviation: 1.0, low: -0.3, high: 0.3 };
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let values = truncated.make(50_000, dtype, &Generator::new(1), Device::cpu()).unwrap();
        assert!(values.to_host().unwrap().to_f64().iter().all(|value| value.abs() <= 0.3), "{dtype}");
    }
}

#[test]
fn initialisers_of_huge_sizes_and_without_a_number_are_refused() {
    let generator = Generator::new(0);
    let (big, device) = (1 << 20, Device::cpu());
    let all = [
        Initializer::Identity,
        Initializer::Orthogonal { gain: 1.0 },
        Initializer::TruncatedNormal { mean: 0.0, standard_deviation: 1.0, low: -2.0, high: 2.0 },
        Initializer::XAVIER,
        Initializer::HE,
        Initializer::Zeros,
    ];
    for initializer in all {
        for shape in [[big, big], [usize::MAX, 2], [usize::MAX, usize::MAX]] {
            assert!(initializer.make(shape, DType::F32, &generator, device).is_err(), "{initializer:?} {shape:?}");
        }
        let empty = initializer.make([0, 1 << 20, 1 << 20, 1 << 20], DType::F32, &generator, device);
        assert!(empty.map_or_else(|_| true, |tensor| tensor.count() == 0), "{initializer:?}");
    }
    let nonlinearity = Nonlinearity::LeakyRelu(f64::NAN);
    for bad in [
        Initializer::XavierUniform { gain: f64::NAN },
        Initializer::XavierNormal { gain: f64::INFINITY },
        Initializer::HeUniform { fan: Fan::In, nonlinearity },
        Initializer::HeNormal { fan: Fan::Out, nonlinearity },
        Initializer::Orthogonal { gain: f64::NAN },
    ] {
        let error = bad.make([3, 3], DType::F32, &generator, device).unwrap_err();
        assert!(matches!(*error, Error::Argument { .. }) && error.to_string().contains("gain"), "{bad:?}: {error}");
    }
}

#[test]
fn layers_of_sizes_that_make_no_sense_are_refused() {
    let (generator, device) = (Generator::new(0), Device::cpu());
    assert!(Linear::new(usize::MAX, usize::MAX, &generator, device).is_err());
    assert!(Linear::new(1 << 30, 1 << 30, &generator, device).is_err());
    assert!(Embedding::new(usize::MAX, 3, &generator, device).is_err());
    assert!(BatchNorm::new(usize::MAX, device).is_err());
    assert!(LayerNorm::new([1 << 40, 1 << 40], device).is_err());
    assert!(RmsNorm::new(usize::MAX, device).is_err());
    assert!(GroupNorm::new(1, usize::MAX, device).is_err());
    for probability in [f64::NAN, -0.1, 1.1, f64::INFINITY] {
        assert!(Dropout::new(probability, &generator).is_err(), "{probability}");
    }
    for epsilon in [f64::NAN, -1e-5, f64::INFINITY] {
        assert!(BatchNorm::options(3).epsilon(epsilon).build(device).is_err());
        assert!(LayerNorm::options(3).unwrap().epsilon(epsilon).build(device).is_err());
        assert!(RmsNorm::options(3).unwrap().epsilon(epsilon).build(device).is_err());
        assert!(GroupNorm::options(1, 3).epsilon(epsilon).build(device).is_err());
        assert!(InstanceNorm::options(3).epsilon(epsilon).build(device).is_err());
    }
}

/// E[z²] of each of twenty layers of this width, before the activation.
fn squares_by_layer(initializer: Initializer, activation: Activation) -> Vec<f64> {
    let (device, generator) = (Device::cpu(), Generator::new(8));
    let mut signal = Tensor::normal([64, 256], 0.0, 1.0, DType::F32, &generator, device).unwrap();
    let layer = |signal: &Tensor| {
        let options = Linear::options(256, 256).weight(initializer).bias(Initializer::Zeros);
        options.build(&generator, device).unwrap().forward(signal).unwrap()
    };
    let mut squares = Vec::new();
    for _ in 0..20 {
        let sums = layer(&signal);
        squares.push(sums.square().unwrap().mean(.., false).unwrap().item().unwrap());
        signal = sums.activate(activation).unwrap();
    }
    squares
}

#[test]
fn textbook_5_the_right_scheme_keeps_the_variance_through_twenty_layers() {
    let tanh = Initializer::XavierNormal { gain: Nonlinearity::Tanh.gain() };
    let orthogonal = Initializer::Orthogonal { gain: std::f64::consts::SQRT_2 };
    for (initializer, activation) in [
        (Initializer::HE, Activation::Relu),
        (Initializer::HeUniform { fan: Fan::Out, nonlinearity: Nonlinearity::Relu }, Activation::Relu),
        (orthogonal, Activation::Relu),
        (Initializer::LecunNormal, Activation::Identity),
        (Initializer::XAVIER, Activation::Identity),
        (tanh, Activation::Tanh),
    ] {
        let squares = squares_by_layer(initializer, activation);
        // The first layer sees the data; from then on within a factor of 2, but for tanh, which first settles.
        let settled = &squares[if activation == Activation::Tanh { 5 } else { 1 }..];
        let ratio = |square: &f64| (0.5..2.0).contains(&(square / settled[0]));
        assert!(settled.iter().all(ratio), "{initializer:?}, {activation:?}: {squares:?}");
    }
}

#[test]
fn textbook_5_the_wrong_scheme_makes_signals_vanish_or_explode() {
    let last = |initializer, activation| *squares_by_layer(initializer, activation).last().unwrap();
    // ReLU halves E[z²], which LeCun's variance 1/n does not make up for: 2⁻¹⁹ of 1.
    let halved = last(Initializer::LecunNormal, Activation::Relu) * 2.0_f64.powi(19);
    assert!((0.2..5.0).contains(&halved), "{halved}");
    let small = Initializer::Normal { mean: 0.0, standard_deviation: 0.01 };
    assert!(last(small, Activation::Tanh) < 1e-20);
    let large = Initializer::Normal { mean: 0.0, standard_deviation: 0.15 };
    // Each layer multiplies by ½·256·0.0225 = 2.88.
    assert!(last(large, Activation::Relu) > 1e7);
}

#[test]
fn textbook_5_identities_give_their_input_back() {
    let device = Device::cpu();
    let layer = Linear::options(3, 3).weight(Initializer::Identity).bias(None::<Initializer>);
    let input = Tensor::normal([4, 3], 0.0, 1.0, DType::F32, &Generator::new(1), device).unwrap();
    let output = layer.build(&Generator::new(0), device).unwrap().forward(&input).unwrap();
    assert_eq!(output.to_vec::<f32>().unwrap(), input.to_vec::<f32>().unwrap());
    assert_eq!(draw(Initializer::Identity, &[2, 3]), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(draw(Initializer::Identity, &[3, 2]), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    // As PyTorch's `dirac_`: in the middle of each kernel, behind it if its size is even.
    let kernels = draw(Initializer::Identity, &[2, 2, 3, 2]);
    assert_eq!(
        kernels.iter().enumerate().filter(|(_, value)| **value == 1.0).map(|(at, _)| at).collect::<Vec<_>>(),
        [3, 21]
    );
    assert!(draw(Initializer::Identity, &[2, 2, 0]).is_empty());
}

#[test]
fn prelu_learns_a_slope_for_each_channel() {
    let device = Device::cpu().autodiff();
    let mut layer = Prelu::new(2, DType::F64, device).unwrap();
    layer.weight.set_value(Tensor::new([0.1, 0.5], device).unwrap()).unwrap();
    let input =
        Tensor::new([[[-1.0, 2.0], [-3.0, 0.0]], [[4.0, -5.0], [6.0, -7.0]]], device).unwrap().into_tracked().unwrap();
    let output = layer.forward(&input).unwrap();
    assert_eq!(output.to_vec::<f64>().unwrap(), [-0.1, 2.0, -1.5, 0.0, 4.0, -0.5, 6.0, -3.5]);
    let gradients = output.sum(.., false).unwrap().backward().unwrap();
    assert_eq!(gradients.get(&layer.weight).unwrap().to_vec::<f64>().unwrap(), [-6.0, -10.0]);
    assert_eq!(gradients.get(&input).unwrap().to_vec::<f64>().unwrap(), [0.1, 1.0, 0.5, 0.5, 1.0, 0.1, 1.0, 0.5]);
    assert!(matches!(
        *layer.forward(&Tensor::zeros([2, 3], DType::F64, device).unwrap()).unwrap_err(),
        Error::Shape { .. }
    ));
    let one = Prelu::new(1, DType::F64, device).unwrap();
    assert_eq!(one.forward(&Tensor::new([-4.0, 4.0], device).unwrap()).unwrap().to_vec::<f64>().unwrap(), [-1.0, 4.0]);
}

/// A layer's values and slopes at these points.
fn curve(layer: &dyn Forward, points: &Tensor) -> (Vec<f64>, Vec<f64>) {
    let points = points.to_device(Device::cpu().autodiff()).unwrap().into_tracked().unwrap();
    let output = layer.forward(&points).unwrap();
    let slopes = output.sum(.., false).unwrap().backward().unwrap().get(&points).unwrap().to_vec::<f64>().unwrap();
    (output.to_vec::<f64>().unwrap(), slopes)
}

#[test]
fn textbook_10_activations_have_their_landmarks() {
    let points = Tensor::linspace(-6.0, 6.0, 12_001, DType::F64, Device::cpu()).unwrap();
    let of = |values: &[f64], start: f64, choose: fn(f64, f64) -> f64| values.iter().copied().fold(start, choose);
    let most = |values: &[f64]| of(values, f64::NEG_INFINITY, f64::max);
    let least = |values: &[f64]| of(values, f64::INFINITY, f64::min);
    let slope = |layer: &dyn Forward| most(&curve(layer, &points).1);
    let lowest = |layer: &dyn Forward| least(&curve(layer, &points).0);
    assert!((slope(&Sigmoid) - 0.25).abs() < 1e-9 && (slope(&Tanh) - 1.0).abs() < 1e-9);
    assert!((lowest(&Silu) + 0.278_465).abs() < 1e-6);
    assert!((lowest(&Mish) + 0.308_84).abs() < 1e-5);
    assert!((lowest(&Gelu::default()) + 0.169_971).abs() < 1e-6);
    assert!((lowest(&Hardswish) + 0.375).abs() < 1e-9, "−3/8 at −3/2");
    assert!((lowest(&Elu::default()) - (-6.0_f64).exp_m1()).abs() < 1e-12);
    assert!((lowest(&LeakyRelu::default()) + 0.06).abs() < 1e-12);
    let [exact, approximate] = [false, true].map(|approximate| curve(&Gelu { approximate }, &points).0);
    let apart = exact.iter().zip(&approximate).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max);
    assert!(apart > 0.0 && apart < 1e-3, "{apart}");
}

#[test]
fn textbook_10_relu_has_slope_0_at_0_and_softplus_a_half() {
    let at_zero = |layer: &dyn Forward| {
        let (values, slopes) = curve(layer, &Tensor::new([0.0], Device::cpu()).unwrap());
        (values[0], slopes[0])
    };
    assert_eq!(at_zero(&Relu), (0.0, 0.0));
    assert_eq!(at_zero(&LeakyRelu::default()), (0.0, 0.01));
    assert_eq!(at_zero(&Sigmoid), (0.5, 0.25));
    assert_eq!(at_zero(&Tanh), (0.0, 1.0));
    let (value, slope) = at_zero(&Softplus::default());
    assert!((value - 2.0_f64.ln()).abs() < 1e-12 && (slope - 0.5).abs() < 1e-12);
    for layer in [&Gelu::default() as &dyn Forward, &Silu] {
        assert_eq!(at_zero(layer), (0.0, 0.5));
    }
}

#[test]
fn textbook_10_ten_sigmoids_let_a_millionth_of_a_gradient_through() {
    // Each is steepest, ¼, at 0: σ shifted by ½ brings 0 to 0 again, and ten of them have the slope .25¹⁰.
    let input = Tensor::new([0.0], Device::cpu().autodiff()).unwrap().into_tracked().unwrap();
    let output = (0..10).try_fold(input.clone(), |signal, _| signal.sigmoid()? - 0.5).unwrap();
    let slope = output.sum(.., false).unwrap().backward().unwrap().get(&input).unwrap().item().unwrap();
    assert!((slope - 9.5e-7).abs() < 0.05e-7 && (slope - 0.25_f64.powi(10)).abs() < 1e-18, "{slope}");
}

#[test]
fn textbook_9_softmax_has_its_worked_numbers_and_limits() {
    let device = Device::cpu();
    let logits = Tensor::new([2.0, 1.0, 0.1], device).unwrap();
    let at = |temperature: f64| {
        Softmax { temperature, ..Softmax::default() }.forward(&logits).unwrap().to_vec::<f64>().unwrap()
    };
    let near = |values: &[f64], expected: [f64; 3], tolerance: f64| {
        assert!(
            values.iter().zip(expected).all(|(value, expected)| (value - expected).abs() < tolerance),
            "{values:?}"
        );
    };
    near(&at(1.0), [0.659, 0.242, 0.099], 5e-4);
    near(&at(1e-3), [1.0, 0.0, 0.0], 1e-12);
    near(&at(1e-320), [1.0, 0.0, 0.0], 1e-12);
    near(&at(1e6), [1.0 / 3.0; 3], 1e-6);
    for dtype in DType::FLOATS {
        let coldest = Softmax { temperature: 1e-300, ..Softmax::default() };
        let shares = coldest.forward(&logits.to_dtype(dtype).unwrap()).unwrap().to_host().unwrap().to_f64();
        assert_eq!(shares, [1.0, 0.0, 0.0], "{dtype}");
    }
    let huge = Softmax::default().forward(&Tensor::new([1e4, 0.0, -1e4], device).unwrap()).unwrap();
    near(&huge.to_vec::<f64>().unwrap(), [1.0, 0.0, 0.0], 1e-12);
    for temperature in [0.0, -1.0, f64::NAN] {
        assert!(matches!(
            *Softmax { temperature, ..Softmax::default() }.forward(&logits).unwrap_err(),
            Error::Argument { .. }
        ));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn softmax_is_a_monotone_distribution(values in prop::collection::vec(-20.0..20.0_f64, 1..8), temperature in 0.1..10.0_f64) {
        let logits = Tensor::from_slice(&values, values.len(), Device::cpu()).unwrap();
        let softmax = Softmax { temperature, ..Softmax::default() };
        let shares = softmax.forward(&logits).unwrap().to_vec::<f64>().unwrap();
        prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && shares.iter().all(|share| *share >= 0.0));
        for (left, right) in values.iter().zip(&shares) {
            for (other, share) in values.iter().zip(&shares) {
                prop_assert!(left >= other || right <= share);
            }
        }
    }

    #[test]
    fn activations_have_the_derivatives_of_differences(seed: u64) {
        // Kept away from the kinks at multiples of a half.
        let generator = Generator::new(seed);
        let whole = Tensor::from_values((0..16).map(|at| (at - 8) as f64 * 0.5), Device::cpu()).unwrap();
        let input = [(whole + Tensor::uniform(16, 0.05, 0.45, DType::F64, &generator, Device::cpu()).unwrap()).unwrap()];
        let layers: [&dyn Forward; 26] = [
            &Relu, &Sigmoid, &Tanh, &Silu, &Gelu { approximate: false }, &Gelu { approximate: true }, &LeakyRelu { slope: 0.2 },
            &Elu { alpha: 0.7 }, &Celu { alpha: 0.7 }, &Selu, &Softplus { beta: 2.0, threshold: 20.0 }, &Mish, &Softsign, &LogSigmoid,
            &Hardtanh { low: -1.0, high: 1.5 }, &Hardsigmoid, &Hardswish, &Relu6, &Tanhshrink, &Softshrink { lambda: 0.5 },
            &Hardshrink { lambda: 0.5 }, &Threshold { threshold: 0.5, value: 3.0 }, &Glu { axis: 0 }, &SwiGlu { axis: -1 },
            &Softmax { axis: 0, temperature: 0.5 }, &LogSoftmax { axis: 0 },
        ];
        for (number, layer) in layers.iter().enumerate() {
            let check = gradcheck(|x| layer.forward(&x[0]), &input, Settings::default());
            prop_assert!(check.is_ok(), "{number}: {}", check.unwrap_err());
        }
    }
}

#[test]
fn gates_halve_an_axis_and_refuse_an_odd_one() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, Device::cpu()).unwrap();
    for (axis, shape, expected) in [(-1, [3, 4], [3, 2]), (0, [6, 5], [3, 5])] {
        let layer = SwiGlu { axis };
        assert_eq!(layer.forward(&zeros(&shape)).unwrap().dims(), expected);
        assert_eq!(layer.output_shape(zeros(&shape).shape()).unwrap().dims(), expected);
    }
    assert!(matches!(*Glu::default().forward(&zeros(&[3, 5])).unwrap_err(), Error::Shape { .. }));
    assert!(Glu::default().output_shape(zeros(&[3, 5]).shape()).is_none());
    assert!(
        Glu { axis: 2 }.forward(&zeros(&[4, 4])).is_err()
            && Glu { axis: 2 }.output_shape(zeros(&[4, 4]).shape()).is_none()
    );
    for lambda in [-0.1, f64::NAN] {
        assert!(
            Softshrink { lambda }.forward(&zeros(&[2])).is_err()
                && Hardshrink { lambda }.forward(&zeros(&[2])).is_err()
        );
    }
}

#[test]
fn an_embedding_looks_rows_up_and_adds_their_gradients() {
    let device = Device::cpu().autodiff();
    let mut layer = Embedding::new(4, 2, &Generator::new(0), device).unwrap();
    layer.weight.set_value(Tensor::new([[0.0f32, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]], device).unwrap()).unwrap();
    let index = Tensor::new([[1i64, 3], [1, 0]], device).unwrap();
    let output = layer.forward(&index).unwrap();
    assert_eq!((output.dims(), layer.output_shape(index.shape()).unwrap().dims()), (&[2, 2, 2][..], &[2, 2, 2][..]));
    assert_eq!(output.to_vec::<f32>().unwrap(), [2.0, 3.0, 6.0, 7.0, 2.0, 3.0, 0.0, 1.0]);
    let gradients = output.sum(.., false).unwrap().backward().unwrap();
    let expected = [1.0, 1.0, 2.0, 2.0, 0.0, 0.0, 1.0, 1.0];
    assert_eq!(gradients.get(&layer.weight).unwrap().to_vec::<f32>().unwrap(), expected);
    assert!(layer.forward(&Tensor::new([4i64], device).unwrap()).is_err());
    assert!(layer.forward(&Tensor::new([1.0f32], device).unwrap()).is_err());
}

#[test]
fn flatten_predicts_its_shape() {
    let input = Tensor::zeros([2, 3, 4, 5], DType::F32, Device::cpu()).unwrap();
    for (start, end) in [(1, -1), (0, 1), (2, 2), (0, -1), (-2, -1)] {
        let layer = Flatten { start, end };
        assert_eq!(Some(*layer.forward(&input).unwrap().shape()), layer.output_shape(input.shape()));
    }
    let layer = Flatten { start: 3, end: 1 };
    assert!(layer.forward(&input).is_err() && layer.output_shape(input.shape()).is_none());
}

#[test]
fn layers_refuse_inputs_that_do_not_fit() {
    let (device, generator) = (Device::cpu(), Generator::new(0));
    let linear = Linear::new(4, 3, &generator, device).unwrap();
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, device).unwrap();
    assert!(matches!(*linear.forward(&zeros(&[2, 5], DType::F32)).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*linear.forward(&zeros(&[2, 4], DType::F64)).unwrap_err(), Error::DType { .. }));
    let param = |shape: &[usize]| Param::new(zeros(shape, DType::F32)).unwrap();
    assert!(Linear::from_parameters(param(&[3, 4]), Some(param(&[4]))).is_err());
    assert!(Linear::from_parameters(param(&[3]), None).is_err());
    let norm = LayerNorm::options([4]).unwrap().affine(false).build(device).unwrap();
    assert!(matches!(*norm.forward(&zeros(&[2, 5], DType::F32)).unwrap_err(), Error::Shape { .. }));
    assert!(LayerNorm::new((), device).is_err());
    assert!(LayerNorm::options([4]).unwrap().epsilon(f64::NAN).build(device).is_err());
}
