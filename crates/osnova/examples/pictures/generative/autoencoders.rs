//! Plain, sparse and denoising autoencoders.

use super::{Digits, PIXELS, SHAPE, perceptron, trained};
use crate::panels::panels;
use osnova::generative::{
    Autoencoder, Corruption, DenoisingAutoencoder, Generation, GenerativeModel, SparseAutoencoder, Sparsity,
    evaluation, pictures,
};
use osnova::nn::{Linear, Relu, Sequential};
use osnova::prelude::*;
use osnova::train::Result;
use osnova::train::plot::LineChart;

/// Digits above what came back of them by a code of eight numbers.
pub(crate) fn reconstructions() -> Result<String> {
    let (mut data, generator) = (Digits::load()?, Generator::new(0));
    let model = Autoencoder::new(perceptron(PIXELS, 8, &generator)?, perceptron(8, PIXELS, &generator)?, 8)?;
    let (model, _) = trained(model, &mut Generation::new(), &mut data, 40)?;
    Ok(pictures::reconstructions(&model, &data.some(12)?.0, None, SHAPE)?.to_svg()?)
}

/// Codes of two numbers, by class.
pub(crate) fn codes() -> Result<String> {
    let (mut data, generator) = (Digits::load()?, Generator::new(0));
    let model = Autoencoder::new(perceptron(PIXELS, 2, &generator)?, perceptron(2, PIXELS, &generator)?, 2)?;
    let (model, _) = trained(model, &mut Generation::new(), &mut data, 60)?;
    let codes = evaluation::encode_all(&model, &mut data.train)?;
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    Ok(pictures::latent_scatter(&codes.codes, codes.classes.as_deref(), &names, (0, 1))?.to_svg())
}

/// A wide code held sparse by the L1 penalty.
fn sparse(lambda: f64, data: &mut Digits) -> Result<SparseAutoencoder> {
    let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
    let encoder = Sequential::new().with(Linear::new(PIXELS, 96, &generator, device)?).with(Relu);
    let decoder = Linear::new(96, PIXELS, &generator, device)?;
    let model = SparseAutoencoder::options(encoder, decoder, 96, Sparsity::L1).weight(lambda).build()?;
    Ok(trained(model, &mut Generation::new(), data, 40)?.0)
}

/// Active units and error for several weights of the penalty.
pub(crate) fn sparse_tradeoff() -> Result<String> {
    let mut data = Digits::load()?;
    let mut points = Vec::new();
    for lambda in [0.0, 0.01, 0.02, 0.05, 0.1, 0.2] {
        let model = sparse(lambda, &mut data)?;
        let error = evaluation::reconstruction(&model, &mut data.held_out, 1.0)?.squared_error;
        let active = evaluation::sparseness(&evaluation::encode_all(&model, &mut data.held_out)?)?.active_per_sample;
        points.push((active, error));
    }
    let chart = LineChart::new("From λ = 0 (right) to λ = 0.2 (left): fewer units, more error")
        .x_label("active units a sample, of 96")
        .y_label("squared error a sample")
        .series("held-out digits", points);
    Ok(chart.to_svg())
}

/// What the decoder adds to a picture for each of some units, those used most.
pub(crate) fn sparse_features() -> Result<String> {
    let mut data = Digits::load()?;
    let model = sparse(0.05, &mut data)?;
    let codes = evaluation::encode_all(&model, &mut data.held_out)?.codes;
    let (_, most_used) = codes.mean(0, false)?.topk(36, 0, true)?;
    let ones = Tensor::eye(96, DType::F32, codes.device())?.index_select(0, &most_used)?;
    // The decoder is linear: what one unit adds is its output without the bias.
    let nothing = model.decode(&Tensor::zeros([1, 96], DType::F32, codes.device())?, None)?;
    let features = (model.decode(&ones, None)? - nothing)?;
    let largest = features.abs()?.max(.., false)?.item()?;
    let grid = pictures::ImageGrid::new("What each of 36 units adds (grey: nothing)", SHAPE)
        .rows_of(12, &features)?
        .range(-largest, largest);
    Ok(grid.to_svg()?)
}

fn denoiser(data: &mut Digits) -> Result<DenoisingAutoencoder> {
    let (generator, noise) = (Generator::new(0), Corruption::Gaussian { standard_deviation: 0.3 });
    let (encoder, decoder) = (perceptron(PIXELS, 24, &generator)?, perceptron(24, PIXELS, &generator)?);
    let model = DenoisingAutoencoder::options(encoder, decoder, 24, noise).build(&generator)?;
    Ok(trained(model, &mut Generation::new(), data, 60)?.0)
}

/// Clean, corrupted and restored digits.
pub(crate) fn denoising() -> Result<String> {
    let mut data = Digits::load()?;
    let model = denoiser(&mut data)?;
    Ok(pictures::restorations(&model, &data.some(12)?.0, &Generator::new(1), SHAPE)?.to_svg()?)
}

/// The PSNR before and after, by the amount of noise.
pub(crate) fn denoising_gain() -> Result<String> {
    let mut data = Digits::load()?;
    let model = denoiser(&mut data)?;
    let (clean, _) = data.some(360)?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let psnr = |picture: &Tensor| -> Result<f64> {
        Ok(evaluation::psnr((picture - &clean)?.square()?.mean(.., false)?.item()?, 1.0))
    };
    for step in 1..=12 {
        let deviation = 0.05 * f64::from(step);
        let noise = Corruption::Gaussian { standard_deviation: deviation };
        let corrupted = noise.apply(&clean, &Generator::new(2))?;
        before.push((deviation, psnr(&corrupted)?));
        after.push((deviation, psnr(&model.reconstruct(&corrupted, None)?)?));
    }
    let chart = LineChart::new("A model trained at σ = 0.3")
        .x_label("deviation of the noise")
        .y_label("PSNR, dB")
        .series("corrupted", before)
        .series("restored", after);
    Ok(panels(1, &[chart.to_svg()]))
}
