//! Layers and initialisers where no golden value can stand: randomness, kinks, bad input.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::{
    Dropout, Embedding, Fan, Flatten, Forward, Gelu, Initializer, LayerNorm, Linear, Module, Nonlinearity, Param,
    Prelu, Sigmoid, Silu, Tanh,
};
use osnova_tensor::{DType, Device, Error, Generator, Tensor};
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
    for (low, high) in [(1.0, 1.0), (f64::NAN, 1.0), (40.0, 41.0), (-1.0, -0.999_999)] {
        let truncated = Initializer::TruncatedNormal { mean: 0.0, standard_deviation: 1.0, low, high };
        assert!(matches!(make(truncated, &[3], DType::F32), Error::Argument { .. }));
    }
}

#[test]
fn he_keeps_the_variance_through_twenty_relu_layers() {
    let (device, generator) = (Device::cpu(), Generator::new(8));
    let mut signal = Tensor::normal([64, 1024], 0.0, 1.0, DType::F32, &generator, device).unwrap();
    let mut squares = Vec::new();
    for _ in 0..20 {
        let layer = Linear::options(1024, 1024)
            .weight(Initializer::HE)
            .bias(Initializer::Zeros)
            .build(&generator, device)
            .unwrap();
        signal = layer.forward(&signal).unwrap();
        squares.push(signal.square().unwrap().mean(.., false).unwrap().item().unwrap());
        signal = signal.relu().unwrap();
    }
    // E[z²] is 2 before the first ReLU and stays so; a layer of finite width only comes near.
    assert!(squares.iter().all(|square| (1.0..4.0).contains(square)), "{squares:?}");
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

#[test]
fn activations_have_their_textbook_landmarks() {
    let device = Device::cpu().autodiff();
    let points = Tensor::linspace(-6.0, 6.0, 12_001, DType::F64, device).unwrap().into_tracked().unwrap();
    let slope = |layer: &dyn Forward| {
        let gradients = layer.forward(&points).unwrap().sum(.., false).unwrap().backward().unwrap();
        gradients.get(&points).unwrap().max(.., false).unwrap().item().unwrap()
    };
    assert!((slope(&Sigmoid) - 0.25).abs() < 1e-9);
    assert!((slope(&Tanh) - 1.0).abs() < 1e-9);
    let lowest = |layer: &dyn Forward| layer.forward(&points).unwrap().min(.., false).unwrap().item().unwrap();
    assert!((lowest(&Silu) + 0.278).abs() < 1e-3);
    let both = [false, true].map(|approximate| Gelu { approximate }.forward(&points).unwrap());
    let difference = (&both[0] - &both[1]).unwrap().abs().unwrap().max(.., false).unwrap().item().unwrap();
    assert!(difference > 0.0 && difference < 1e-3, "{difference}");
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
