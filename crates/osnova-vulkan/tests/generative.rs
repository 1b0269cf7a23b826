//! Generative models: the same seed gives the same samples, losses and training on a GPU as on the CPU, within rounding.

mod common;

use common::device;
use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_generative::{
    Autoencoder, Corruption, DenoisingAutoencoder, GenerativeModel, Likelihood, SparseAutoencoder, Sparsity,
    VariationalAutoencoder, VariationalAutoencoderOptions,
};
use osnova_nn::{Head, Linear, Mlp, Module, Sequential, Sigmoid};
use osnova_optim::{Adam, Optimizer};
use osnova_tensor::{DType, Device, Generator, Result, Tensor};

const PIXELS: usize = 49;
const LATENT: usize = 5;
const BATCH: usize = 32;

fn models(device: Device) -> Result<Vec<Box<dyn GenerativeModel>>> {
    let generator = Generator::new(3);
    let mlp = |inputs, outputs| Mlp::new(inputs, &[40], Head::Regression(outputs), &generator, device);
    let sigmoid = Sequential::new().with(Linear::new(PIXELS, LATENT, &generator, device)?).with(Sigmoid);
    let kl = Sparsity::Kl { target: 0.1, momentum: Some(0.1) };
    let salt = Corruption::SaltAndPepper { probability: 0.2 };
    let learned = Likelihood::LearnedGaussian { standard_deviation: 0.5 };
    let variational = |more: usize| -> Result<VariationalAutoencoderOptions> {
        let (encoder, decoder) = (mlp(PIXELS + more, 2 * LATENT)?, mlp(LATENT + more, PIXELS)?);
        Ok(VariationalAutoencoder::options(encoder, decoder, LATENT))
    };
    let denoising = |corruption| {
        DenoisingAutoencoder::options(mlp(PIXELS, LATENT)?, mlp(LATENT, PIXELS)?, LATENT, corruption).build(&generator)
    };
    let absolute = SparseAutoencoder::options(mlp(PIXELS, LATENT)?, mlp(LATENT, PIXELS)?, LATENT, Sparsity::L1);
    Ok(vec![
        Box::new(Autoencoder::new(mlp(PIXELS, LATENT)?, mlp(LATENT, PIXELS)?, LATENT)?),
        Box::new(absolute.weight(0.01).build()?),
        Box::new(SparseAutoencoder::options(sigmoid, mlp(LATENT, PIXELS)?, LATENT, kl).weight(0.1).build()?),
        Box::new(denoising(salt)?),
        Box::new(denoising(Corruption::Gaussian { standard_deviation: 0.3 })?),
        Box::new(denoising(Corruption::Masking { probability: 0.3 })?),
        Box::new(variational(0)?.likelihood(Likelihood::Bernoulli).build(&generator)?),
        Box::new(variational(0)?.likelihood(learned).beta(0.5).free_bits(0.05).build(&generator)?),
        Box::new(variational(3)?.likelihood(Likelihood::Bernoulli).classes(3).build(&generator)?),
    ])
}

fn batch(device: Device) -> Result<(Tensor, Tensor)> {
    // Uploaded, so that both devices get the same bits.
    let input = Tensor::uniform([BATCH, PIXELS], 0.0, 1.0, DType::F32, &Generator::new(1), Device::cpu())?;
    let classes = Tensor::from_values((0..BATCH as i64).map(|index| index % 3), Device::cpu())?;
    Ok((input.to_device(device)?, classes.to_device(device)?))
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_host()?.to_f64())
}

#[track_caller]
fn assert_close(left: &[f64], right: &[f64], tolerance: f64, what: &str) {
    assert_eq!(left.len(), right.len(), "{what}");
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        let distance = tolerance * right.abs().max(1.0);
        assert!((left - right).abs() <= distance, "{what}: element {index} is {left} instead of {right}");
    }
}

/// What a fresh model computes: samples, corrupted input, codes, and each part of the loss in training and in evaluation.
fn outputs(model: &mut Box<dyn GenerativeModel>, device: Device) -> Result<Vec<f64>> {
    let (input, classes) = batch(device)?;
    let classes = Some(&classes);
    let mut all = numbers(&model.sample(BATCH, classes, &Generator::new(9))?)?;
    if let Some(spoiled) = model.corrupt(&input, &Generator::new(7))? {
        all.extend(numbers(&spoiled)?);
    }
    all.extend(numbers(&model.encode(&input, classes)?)?);
    for training in [true, false] {
        if training {
            model.train()
        } else {
            model.eval()
        }
        for part in model.loss(&input, classes)?.iter() {
            all.push(part.value.item()?);
        }
    }
    model.train();
    Ok(all)
}

#[test]
fn the_same_seed_gives_the_same_samples_and_losses_as_on_the_cpu() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for (mut on_cpu, mut on_gpu) in models(Device::cpu())?.into_iter().zip(models(device)?) {
        let name = on_cpu.kind();
        // The weights themselves are drawn alike; so are a fresh model's outputs.
        assert_close(&outputs(&mut on_gpu, device)?, &outputs(&mut on_cpu, Device::cpu())?, 2e-4, name);
        // A model that has moved gives the same too.
        on_cpu.to_device(device)?;
        let moved = outputs(&mut on_cpu, device)?;
        assert_close(&moved[..BATCH * PIXELS], &outputs(&mut on_gpu, device)?[..BATCH * PIXELS], 2e-4, name);
    }
    Ok(())
}

fn train(model: &mut Box<dyn GenerativeModel>, device: Device) -> Result<Vec<f64>> {
    let (input, classes) = batch(device)?;
    let mut optimizer = Adam::new(1e-3);
    let mut losses = Vec::new();
    for _ in 0..10 {
        let loss = model.loss(&input, Some(&classes))?.total(|_| 1.0)?;
        losses.push(loss.item()?);
        optimizer.step(model, &loss.backward()?)?;
    }
    Ok(losses)
}

#[test]
fn training_follows_that_on_the_cpu() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let (cpu, gpu) = (Device::cpu().autodiff(), device.autodiff());
    for (mut on_cpu, mut on_gpu) in models(cpu)?.into_iter().zip(models(gpu)?) {
        let (expected, losses) = (train(&mut on_cpu, Device::cpu())?, train(&mut on_gpu, device)?);
        assert!(expected[9] < expected[0], "{}: {expected:?}", on_cpu.kind());
        assert_close(&losses, &expected, 1e-3, on_cpu.kind());
    }
    Ok(())
}

#[test]
fn a_class_that_there_is_none_of_is_refused_at_the_latest_where_its_sample_is_read() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let model = models(device)?.pop().expect("there is a conditional model");
    let classes = Tensor::new([0i64, 3], device)?;
    let read = model.sample(2, Some(&classes), &Generator::new(1)).and_then(|sample| sample.to_host());
    assert!(read.is_err());
    Ok(())
}
