//! What the tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader, MinMaxScaler, Transform, digits};
use osnova_generative::{Likelihood, VariationalAutoencoder, VariationalAutoencoderOptions};
use osnova_nn::{Head, Linear, Mlp, Module, Sequential, Tanh};
use osnova_tensor::{DType, Device, Generator, Result, Tensor};

/// A device that does not record.
pub(crate) fn plain() -> Device {
    Device::cpu()
}

/// A device that does.
pub(crate) fn recording() -> Device {
    plain().autodiff()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_host().unwrap().to_f64()
}

/// The numbers' bits, so that equal means equal.
pub(crate) fn bits(tensor: &Tensor) -> Vec<u64> {
    values(tensor).into_iter().map(f64::to_bits).collect()
}

/// All of a model's parameters and buffers.
pub(crate) fn state_bits(model: &dyn Module) -> Vec<u64> {
    let state = model.state_dict();
    assert!(!state.is_empty());
    state.iter().flat_map(|(_, tensor)| bits(tensor)).collect()
}

#[track_caller]
pub(crate) fn near(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} instead of {expected}");
}

/// Evenly drawn from 0 to 1.
pub(crate) fn greys(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    Tensor::uniform(shape, 0.0, 1.0, dtype, &Generator::new(seed), plain()).unwrap()
}

/// The embedded digits with pixels from 0 to 1.
pub(crate) fn scaled_digits() -> ArrayDataset {
    let data = digits().unwrap();
    MinMaxScaler::new().fit(&data).unwrap().apply(&data).unwrap()
}

pub(crate) fn loader(batch: usize) -> DataLoader {
    DataLoader::new(scaled_digits(), batch).unwrap().shuffle(0)
}

/// 64 – 64 – outputs.
pub(crate) fn mlp(inputs: usize, outputs: usize, seed: u64, device: Device) -> Mlp {
    Mlp::new(inputs, &[64], Head::Regression(outputs), &Generator::new(seed), device).unwrap()
}

/// For the digits.
pub(crate) fn digit_options(latent: usize, device: Device) -> VariationalAutoencoderOptions {
    VariationalAutoencoder::options(mlp(64, 2 * latent, 1, device), mlp(latent, 64, 2, device), latent)
        .likelihood(Likelihood::Bernoulli)
}

/// Smooth, in f64, 6 – 5 – outputs, for derivatives.
pub(crate) fn smooth(inputs: usize, outputs: usize, generator: &Generator, device: Device) -> Sequential {
    let linear = |inputs, outputs| Linear::options(inputs, outputs).dtype(DType::F64).build(generator, device).unwrap();
    Sequential::new().with(linear(inputs, 5)).with(Tanh).with(linear(5, outputs))
}

/// Six features, two in the code.
pub(crate) fn smooth_options(seed: u64, device: Device) -> VariationalAutoencoderOptions {
    let generator = Generator::new(seed);
    VariationalAutoencoder::options(smooth(6, 4, &generator, device), smooth(2, 6, &generator, device), 2)
}

/// Holds the gradient of a loss by every parameter against central differences. The loss must give the same at each call.
#[track_caller]
pub(crate) fn check_gradients<M: Module>(model: &mut M, loss: impl Fn(&M) -> Result<Tensor>) {
    let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
    let gradients = loss(model).unwrap().backward().unwrap();
    let analytic: Vec<Vec<f64>> =
        model.parameters().iter().map(|parameter| values(gradients.get(parameter.tensor()).unwrap())).collect();
    assert!(analytic.iter().all(|gradient| gradient.iter().any(|&value| value != 0.0)), "a gradient is 0 all over");
    let epsilon = 1e-5;
    for (index, gradient) in analytic.iter().enumerate() {
        let start = model.parameters()[index].value();
        let (shape, device) = (*start.shape(), start.device());
        for (element, &derivative) in gradient.iter().enumerate() {
            let mut at = |offset: f64| {
                let mut moved = values(&start);
                moved[element] += offset;
                let moved = Tensor::from_vec(moved, shape, device).unwrap();
                model.parameters_mut()[index].set_value(moved).unwrap();
                loss(model).unwrap().item().unwrap()
            };
            let difference = (at(epsilon) - at(-epsilon)) / (2.0 * epsilon);
            let tolerance = 1e-6 * derivative.abs().max(1.0);
            assert!(
                (difference - derivative).abs() < tolerance,
                "{}[{element}]: {derivative} against {difference}",
                names[index]
            );
        }
        model.parameters_mut()[index].set_value(start).unwrap();
    }
}
