//! Variational autoencoders.

use super::{Digits, PIXELS, SHAPE, perceptron, trained};
use crate::panels::panels;
use osnova::generative::pictures::{self, Interpolation};
use osnova::generative::{
    BetaSchedule, Generation, Likelihood, VariationalAutoencoder, VariationalAutoencoderOptions, evaluation,
};
use osnova::prelude::*;
use osnova::train::plot::LineChart;
use osnova::train::{History, Result};

const EPOCHS: usize = 60;

/// A model of the digits with Bernoulli likelihood.
fn options(latent: usize, classes: usize, generator: &Generator) -> Result<VariationalAutoencoderOptions> {
    let encoder = perceptron(PIXELS + classes, 2 * latent, generator)?;
    let decoder = perceptron(latent + classes, PIXELS, generator)?;
    Ok(VariationalAutoencoder::options(encoder, decoder, latent).likelihood(Likelihood::Bernoulli))
}

fn model(latent: usize, data: &mut Digits) -> Result<(VariationalAutoencoder, History)> {
    let generator = Generator::new(0);
    trained(options(latent, 0, &generator)?.build(&generator)?, &mut Generation::new(), data, EPOCHS)
}

/// Reconstruction and KL over the epochs.
pub(crate) fn curves() -> Result<String> {
    let (_, history) = model(8, &mut Digits::load()?)?;
    Ok(pictures::training_curves(&history).to_svg())
}

/// New digits.
pub(crate) fn samples() -> Result<String> {
    let (model, _) = model(8, &mut Digits::load()?)?;
    Ok(pictures::samples(&model, 48, None, &Generator::new(1), SHAPE)?.to_svg()?)
}

/// From digit to digit, straight and by the sphere.
pub(crate) fn interpolation() -> Result<String> {
    let mut data = Digits::load()?;
    let (model, _) = model(8, &mut data)?;
    let (images, _) = data.some(6)?;
    let (from, to) = (images.narrow(0, 0, 3)?, images.narrow(0, 3, 3)?);
    let draw =
        |kind| -> Result<String> { Ok(pictures::interpolation(&model, &from, &to, 11, kind, None, SHAPE)?.to_svg()?) };
    Ok(panels(1, &[draw(Interpolation::Linear)?, draw(Interpolation::Spherical)?]))
}

/// One feature at a time.
pub(crate) fn traversal() -> Result<String> {
    let mut data = Digits::load()?;
    let (model, _) = model(8, &mut data)?;
    let active = evaluation::active_units(&evaluation::encode_all(&model, &mut data.train)?)?.by_activity();
    let image = data.some(1)?.0;
    Ok(pictures::traversal(&model, &image, &active[..5], (-2.5, 2.5), 11, None, SHAPE)?.to_svg()?)
}

/// The space of two features.
pub(crate) fn manifold() -> Result<String> {
    let (model, _) = model(2, &mut Digits::load()?)?;
    Ok(pictures::manifold(&model, (0, 1), 16, None, SHAPE)?.to_svg()?)
}

/// A class in each row, a code in each column.
pub(crate) fn conditional() -> Result<String> {
    let (mut data, generator) = (Digits::load()?, Generator::new(0));
    let model = options(4, 10, &generator)?.classes(10).build(&generator)?;
    let (model, _) = trained(model, &mut Generation::new(), &mut data, EPOCHS)?;
    let names: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    Ok(pictures::class_samples(&model, &names, 12, &Generator::new(1), SHAPE)?.to_svg()?)
}

/// The schedules of β.
pub(crate) fn schedules() -> Result<String> {
    let mut chart = LineChart::new("Weight of the KL part").x_label("epoch").y_label("weight");
    for (name, schedule) in [
        ("linear, warm_up 10", BetaSchedule::Linear { warm_up: 10.0 }),
        ("cyclical, period 10, ramp 0.5", BetaSchedule::Cyclical { period: 10.0, ramp: 0.5 }),
        ("sigmoid, midpoint 15, steepness 0.5", BetaSchedule::Sigmoid { midpoint: 15.0, steepness: 0.5 }),
    ] {
        let points = (0..400).map(|step| f64::from(step) * 0.1).map(|epoch| (epoch, schedule.at(epoch)));
        chart = chart.series(name, points);
    }
    Ok(chart.to_svg())
}

/// The importance-weighted bound by the number of draws.
pub(crate) fn bound() -> Result<String> {
    let mut data = Digits::load()?;
    let (model, _) = model(8, &mut data)?;
    let draws = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    let bounds = evaluation::importance_weighted_bounds(&model, &mut data.held_out, &draws, &Generator::new(3))?;
    let points = draws.iter().zip(bounds).map(|(draws, bound)| (*draws as f64, bound));
    let chart = LineChart::new("The bound tightens with the number of draws")
        .x_label("k, draws a sample")
        .y_label("bound of ln p(x), nats")
        .log_x()
        .series("held-out digits", points);
    Ok(chart.to_svg())
}

/// Active units over the epochs, with β in full from the start and let in slowly.
pub(crate) fn collapse() -> Result<String> {
    let mut chart = LineChart::new("Active units of 8").x_label("epoch").y_label("active units");
    for (name, schedule) in [
        ("in full from the start", BetaSchedule::Constant),
        ("warm-up over 40 epochs", BetaSchedule::Linear { warm_up: 40.0 }),
    ] {
        let (mut data, generator) = (Digits::load()?, Generator::new(0));
        let model = options(8, 0, &generator)?.beta(3.0).build(&generator)?;
        let mut task = Generation::new().schedule("kl", schedule)?;
        let (_, history) = trained(model, &mut task, &mut data, EPOCHS)?;
        chart = chart.values(name, history.series("validation_active_units"));
    }
    Ok(chart.to_svg())
}
