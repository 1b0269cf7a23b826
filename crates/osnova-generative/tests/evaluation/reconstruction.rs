//! Reconstruction error, PSNR, denoising.

use crate::common::{empty, linear, loader, normal, refusal, shift};
use osnova_cpu::CpuDevice;
use osnova_data::{DataLoader, digits};
use osnova_generative::evaluation::{denoising, psnr, reconstruction};
use osnova_generative::{Autoencoder, GenerativeModel, LossParts, VariationalAutoencoder};
use osnova_nn::{Dropout, Forward, Head, Linear, Mlp, Module, Sequential};
use osnova_tensor::{Device, Generator, Result, Tensor};
use proptest::prelude::*;

/// Spoils with noise about an offset of `offset`, and takes `offset` away.
#[derive(Module, Clone, Debug)]
struct Offset {
    decoder: Linear,
    noise: f64,
    offset: f64,
}

impl GenerativeModel for Offset {
    fn latent_features(&self) -> usize {
        3
    }
    fn loss(&self, _: &Tensor, _: Option<&Tensor>) -> Result<LossParts> {
        Ok(LossParts::new())
    }
    fn encode(&self, input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        Ok(input.clone())
    }
    fn decode(&self, code: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        self.decoder.forward(code)
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        Tensor::normal([count, 3], 0.0, 1.0, self.decoder.weight.dtype(), generator, Device::cpu())
    }
    fn corrupt(&self, input: &Tensor, generator: &Generator) -> Result<Option<Tensor>> {
        let device = input.device();
        let noise = Tensor::normal(*input.shape(), self.offset, self.noise, input.dtype(), generator, device)?;
        (input + noise).map(Some)
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        Box::new(self.clone())
    }
}

proptest! {
    #[test]
    fn the_ratio_of_noise_is_twenty_decibels_a_factor_of_ten(deviation in 1e-4..10.0_f64, peak in 0.1..300.0_f64) {
        prop_assert!((psnr(deviation.powi(2), peak) - 20.0 * (peak / deviation).log10()).abs() < 1e-9);
        prop_assert!((psnr((deviation / 10.0).powi(2), peak) - psnr(deviation.powi(2), peak) - 20.0).abs() < 1e-9);
    }

    /// x̂ = x + δ: Σ(x − x̂)² = n δ² for every sample, however they are batched.
    #[test]
    fn the_error_is_that_of_every_element(
        samples in 1_usize..20, width in 1_usize..6, batch in 1_usize..8, delta in 0.01..0.5_f64,
    ) {
        let model = Autoencoder::new(shift(width, 0.0), shift(width, delta), width).unwrap();
        let mut loader = loader(normal(samples * width, 1), width, batch);
        let found = reconstruction(&model, &mut loader, 1.0).unwrap();
        let expected = width as f64 * delta * delta;
        prop_assert_eq!(found.samples, samples);
        prop_assert!((found.squared_error - expected).abs() < 1e-4 * expected, "{found:?}, not {expected}");
        prop_assert!((found.mean_squared_error - delta * delta).abs() < 1e-4 * delta * delta);
        prop_assert_eq!(found.psnr, psnr(found.mean_squared_error, 1.0));
    }
}

#[test]
fn known_ratios() {
    assert_eq!(psnr(0.0, 1.0), f64::INFINITY);
    assert_eq!(psnr(1.0, 1.0), 0.0);
    // skimage.metrics.peak_signal_noise_ratio of an error of 5/255 everywhere.
    assert!((psnr(25.0, 255.0) - 34.151_403_521_958_72).abs() < 1e-9);
}

#[test]
fn the_ratio_is_of_the_mean_error_and_not_the_mean_of_ratios() {
    // One sample comes back whole, the other with an error of 1.
    let model = Autoencoder::new(shift(1, 0.0), linear(&[vec![0.0]], &[0.0]), 1).unwrap();
    let found = reconstruction(&model, &mut loader(vec![0.0, 1.0], 1, 1), 1.0).unwrap();
    assert_eq!((found.mean_squared_error, found.squared_error), (0.5, 0.5));
    assert!((found.psnr - 10.0 * 2_f64.log10()).abs() < 1e-12);
}

#[test]
fn a_model_is_evaluated_without_dropout_and_stays_in_training() {
    let encoder = Sequential::new().with(shift(4, 0.0)).with(Dropout::new(0.5, &Generator::new(0)).unwrap());
    let model = Autoencoder::new(encoder, shift(4, 0.0), 4).unwrap();
    let mut data = loader(normal(40, 2), 4, 5);
    assert_eq!(reconstruction(&model, &mut data, 1.0).unwrap().squared_error, 0.0);
    let input = Tensor::ones([8, 4], osnova_tensor::DType::F32, Device::cpu()).unwrap();
    assert_ne!(model.reconstruct(&input, None).unwrap().to_vec::<f32>().unwrap(), [1.0; 32]);
}

#[test]
fn conditional_and_boxed_models_are_evaluated_too() {
    let (generator, device) = (Generator::new(0), Device::cpu());
    let encoder = Mlp::new(64 + 10, &[8], Head::Regression(4), &generator, device).unwrap();
    let decoder = Mlp::new(2 + 10, &[8], Head::Regression(64), &generator, device).unwrap();
    let model = VariationalAutoencoder::options(encoder, decoder, 2).classes(10).build(&generator).unwrap();
    let mut data = DataLoader::new(digits().unwrap(), 500).unwrap();
    let direct = reconstruction(&model, &mut data, 16.0).unwrap();
    assert_eq!(direct.samples, 1797);
    assert_eq!(reconstruction(&model.clone_box(), &mut data, 16.0).unwrap(), direct);
    let unlabelled = reconstruction(&model, &mut loader(vec![0.0; 64], 64, 1), 1.0);
    assert!(refusal(unlabelled).contains("targets"));
}

#[test]
fn what_denoising_gains_is_in_decibels() {
    // An offset of 0.2, of which half is taken away: 20 log₁₀ 2 dB.
    let half = Offset { decoder: shift(3, -0.1), noise: 0.0, offset: 0.2 };
    let mut data = loader(normal(33, 3), 3, 4);
    let found = denoising(&half, &mut data, 1.0, &Generator::new(0)).unwrap();
    assert!((found.corrupted_psnr - psnr(0.04, 1.0)).abs() < 1e-4, "{found:?}");
    assert!((found.gain() - 20.0 * 2_f64.log10()).abs() < 1e-4, "{found:?}");

    // Noise of deviation 0.3 that is left as it was: 10.46 dB, and no gain.
    let idle = Offset { decoder: shift(3, 0.0), noise: 0.3, offset: 0.0 };
    let mut data = loader(normal(30_000, 4), 3, 512);
    let found = denoising(&idle, &mut data, 1.0, &Generator::new(1)).unwrap();
    assert!((found.corrupted_psnr - psnr(0.09, 1.0)).abs() < 0.1, "{found:?}");
    assert!(found.gain().abs() < 1e-4, "{found:?}");
    assert_eq!(found, denoising(&idle, &mut data, 1.0, &Generator::new(1)).unwrap());
    assert_ne!(found, denoising(&idle, &mut data, 1.0, &Generator::new(2)).unwrap());
}

#[test]
fn bad_input_is_refused() {
    let whole = Autoencoder::new(shift(3, 0.0), shift(3, 0.0), 3).unwrap();
    let generator = Generator::new(0);
    assert!(refusal(reconstruction(&whole, &mut empty(3), 1.0)).contains("no samples"));
    assert!(refusal(denoising(&whole, &mut loader(vec![0.0; 3], 3, 1), 1.0, &generator)).contains("whole"));
    for peak in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refusal(reconstruction(&whole, &mut loader(vec![0.0; 3], 3, 1), peak)).contains("peak"));
    }
    let spoiled = Autoencoder::new(shift(3, 0.0), shift(3, f64::NAN), 3).unwrap();
    assert!(refusal(reconstruction(&spoiled, &mut loader(vec![0.0; 3], 3, 1), 1.0)).contains("NaN"));
    let narrow = Autoencoder::new(shift(3, 0.0), linear(&[vec![1.0; 3]], &[0.0]), 3).unwrap();
    assert!(refusal(reconstruction(&narrow, &mut loader(vec![0.0; 3], 3, 1), 1.0)).contains("differ"));
    let spoiling = Offset { decoder: shift(3, 0.0), noise: 0.0, offset: f64::NAN };
    assert!(refusal(denoising(&spoiling, &mut loader(vec![0.0; 3], 3, 1), 1.0, &generator)).contains("NaN"));
    assert!(refusal(denoising(&spoiling, &mut empty(3), 1.0, &generator)).contains("no samples"));
}
