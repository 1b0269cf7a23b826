//! How good a generative model is, in numbers.
//!
//! | question | measured by | unit, and where the best is |
//! |---|---|---|
//! | how near are reconstructions? | [`reconstruction`]: squared error, [`psnr`] | dB, high |
//! | does it take noise away? | [`denoising`]: PSNR before and after | dB gained, high |
//! | how likely are the data? | [`evidence_lower_bound`], part by part | nats a sample, −ELBO low |
//! | the same, nearer the truth | [`importance_weighted_bound`] | nats a sample, high; tighter as k grows |
//! | how many code units say something? | [`active_units`] | units whose mean varies |
//! | how few speak at once? | [`sparseness`] | Hoyer's measure, 0 to 1 |
//! | does a code know the class? | [`linear_probe`] | accuracy, high |
//! | do samples look like data? | [`FeatureExtractor::frechet_distance`] | low; only within one extractor |
//!
//! The functions that take a loader run once over it, batch by batch from the start of its epoch 0, with a copy of the model
//! in evaluation mode that does not record, on the model's device. Sums are kept in `f64`. Chance comes from the generator
//! they are given: one seed and one batch size give the same numbers.
//!
//! ```
//! use osnova_cpu::CpuDevice;
//! use osnova_data::{DataLoader, MinMaxScaler, Transform, digits};
//! use osnova_generative::{Likelihood, VariationalAutoencoder, evaluation};
//! use osnova_nn::{Head, Mlp};
//! use osnova_tensor::{Device, Generator};
//!
//! let data = digits()?;
//! let mut loader = DataLoader::new(MinMaxScaler::new().fit(&data)?.apply(&data)?, 128)?;
//! let (generator, device) = (Generator::new(0), Device::cpu());
//! let encoder = Mlp::new(64, &[32], Head::Regression(2 * 8), &generator, device)?;
//! let decoder = Mlp::new(8, &[32], Head::Regression(64), &generator, device)?;
//! let model = VariationalAutoencoder::options(encoder, decoder, 8).likelihood(Likelihood::Bernoulli).build(&generator)?;
//!
//! let bound = evaluation::evidence_lower_bound(&model, &mut loader, 1, &generator)?;
//! let tighter = evaluation::importance_weighted_bound(&model, &mut loader, 10, &generator)?;
//! assert!(-bound.negative_elbo() < tighter);
//! let codes = evaluation::encode_all(&model, &mut loader)?;
//! println!("{} of 8 units are active", evaluation::active_units(&codes)?.count());
//! # Ok::<(), osnova_train::TrainError>(())
//! ```

mod active_units;
mod bounds;
mod codes;
mod eigen;
mod feature_extractor;
mod frechet;
mod matrix;
mod probe;
mod reconstruction;
mod sparseness;

pub use crate::task::ACTIVE_VARIANCE;
pub use active_units::{ActiveUnits, active_units};
pub use bounds::{LowerBound, evidence_lower_bound, importance_weighted_bound, importance_weighted_bounds};
pub use codes::{Codes, encode_all, fit_code_prior};
pub use feature_extractor::FeatureExtractor;
pub use frechet::frechet_distance;
pub use probe::linear_probe;
pub use reconstruction::{Denoising, Reconstruction, denoising, psnr, reconstruction};
pub use sparseness::{ACTIVE_SHARE, Sparseness, sparseness, sparseness_above};

use crate::gaussian::wide;
use osnova_data::{DataLoader, TensorBatch};
use osnova_nn::Module;
use osnova_tensor::{Device, Tensor};
use osnova_train::{Result, TrainError};

/// A copy of a model to evaluate with, and the device its data are needed on.
fn evaluated<M: Module + Clone>(operation: &'static str, model: &M) -> Result<(M, Device)> {
    let model = model.inference()?;
    let device = model.device().map(Device::without_recording).ok_or_else(|| {
        TrainError::argument(
            operation,
            "the model has no parameters",
            "Give a model with parameters, which say the device",
        )
    })?;
    Ok((model, device))
}

/// Shows every batch of an epoch to `look`, and counts the samples.
fn each_batch(
    operation: &'static str,
    loader: &mut DataLoader,
    device: Device,
    mut look: impl FnMut(&TensorBatch) -> Result<()>,
) -> Result<usize> {
    loader.start_epoch(0);
    let mut samples = 0;
    for batch in loader.tensors(device) {
        let batch = batch?;
        look(&batch)?;
        samples += batch.indices.len();
    }
    match samples {
        0 => Err(TrainError::argument(operation, "there are no samples", "Give at least one")),
        samples => Ok(samples),
    }
}

/// The sum of all elements, in `f64`.
fn total(values: &Tensor) -> Result<f64> {
    Ok(values.to_host()?.to_f64().iter().sum())
}

/// The sum of the squared differences, each sample's on the device and those of the samples in `f64`.
fn squared_error(left: &Tensor, right: &Tensor) -> Result<f64> {
    if left.shape() != right.shape() || left.rank() == 0 {
        return Err(osnova_tensor::Error::shape(
            "squared_error",
            [*left.shape(), *right.shape()],
            "the model's output and the sample differ",
            "Give the decoder as many outputs as a sample has elements, in its shape",
        )
        .into());
    }
    let batch = left.dims().first().copied().unwrap_or_default();
    let squares = (wide(left)? - wide(right)?)?.square()?.reshape([batch, left.count() / batch.max(1)])?;
    total(&squares.sum(1, false)?)
}

/// The number itself, if it is one.
fn finite(operation: &'static str, what: &str, value: f64) -> Result<f64> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(TrainError::argument(
            operation,
            format!("{what} is {value}"),
            "Look for NaN or infinite values in the data or the model's parameters",
        )),
    }
}

/// Refuses to draw or learn nothing.
fn at_least_one(operation: &'static str, what: &str, count: usize) -> Result<()> {
    match count {
        0 => Err(TrainError::argument(operation, format!("{what} is 0"), "Give at least 1")),
        _ => Ok(()),
    }
}
