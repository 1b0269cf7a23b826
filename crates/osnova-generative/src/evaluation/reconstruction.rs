//! How near a model comes to the samples it is given, whole or spoiled.

use super::{each_batch, evaluated, finite, squared_error};
use crate::GenerativeModel;
use crate::task::classes;
use osnova_data::DataLoader;
use osnova_tensor::Generator;
use osnova_train::{Result, TrainError};

/// How far reconstructions are from the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconstruction {
    /// Σ(x − x̂)² over a sample, the mean over the samples.
    pub squared_error: f64,
    /// The mean of (x − x̂)² over all elements of all samples.
    pub mean_squared_error: f64,
    /// The peak signal-to-noise ratio in dB, of the mean squared error of all samples together.
    pub psnr: f64,
    /// How many samples there were.
    pub samples: usize,
}

/// The peak signal-to-noise ratio in dB, 10 log₁₀(peak²/MSE): `peak` is the largest value an element can have, 1 for
/// pixels from 0 to 1. Infinite where there is no error.
///
/// ```
/// use osnova_generative::evaluation::psnr;
///
/// // Noise of deviation 0.1 on pixels from 0 to 1.
/// assert!((psnr(0.01, 1.0) - 20.0).abs() < 1e-12);
/// // The same on pixels from 0 to 255.
/// assert!((psnr(25.5 * 25.5, 255.0) - 20.0).abs() < 1e-12);
/// ```
pub fn psnr(mean_squared_error: f64, peak: f64) -> f64 {
    10.0 * (peak * peak / mean_squared_error).log10()
}

/// The error of [`reconstruct`](GenerativeModel::reconstruct) over a loader's samples. The ratio is that of the mean squared
/// error of all samples, not the mean of their ratios, which one perfect sample would make infinite.
///
/// # Errors
/// A peak that is not positive, no data, data that does not fit the model, an error that is not finite.
pub fn reconstruction<M: GenerativeModel + Clone>(
    model: &M,
    loader: &mut DataLoader,
    peak: f64,
) -> Result<Reconstruction> {
    const OPERATION: &str = "reconstruction";
    positive_peak(OPERATION, peak)?;
    let (model, device) = evaluated(OPERATION, model)?;
    let mut sum = 0.0;
    let samples = each_batch(OPERATION, loader, device, |batch| {
        let input = &batch.features;
        sum += squared_error(&model.reconstruct(input, classes(&model, batch)?)?, input)?;
        Ok(())
    })?;
    let squared_error = finite(OPERATION, "the squared error", sum / samples as f64)?;
    let mean_squared_error = squared_error / loader.dataset().feature_count().max(1) as f64;
    Ok(Reconstruction { squared_error, mean_squared_error, psnr: psnr(mean_squared_error, peak), samples })
}

/// What a denoising model makes of spoiled samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denoising {
    /// The peak signal-to-noise ratio of the spoiled samples, in dB.
    pub corrupted_psnr: f64,
    /// That of what the model makes of them.
    pub restored_psnr: f64,
}

impl Denoising {
    /// How many dB the model adds; below 0 it spoils more than it mends.
    pub fn gain(&self) -> f64 {
        self.restored_psnr - self.corrupted_psnr
    }
}

/// Spoils the samples of a loader as the model would have them in training ([`corrupt`](GenerativeModel::corrupt)), and
/// compares them and their reconstructions with the clean ones. Both ratios are those of the mean squared error of all
/// samples.
///
/// # Errors
/// A model that spoils nothing, a peak that is not positive, no data, data that does not fit the model, an error that is
/// not finite.
pub fn denoising<M: GenerativeModel + Clone>(
    model: &M,
    loader: &mut DataLoader,
    peak: f64,
    generator: &Generator,
) -> Result<Denoising> {
    const OPERATION: &str = "denoising";
    positive_peak(OPERATION, peak)?;
    let (model, device) = evaluated(OPERATION, model)?;
    let (mut before, mut after) = (0.0, 0.0);
    let samples = each_batch(OPERATION, loader, device, |batch| {
        let clean = &batch.features;
        let corrupted = model.corrupt(clean, generator)?.ok_or_else(|| {
            TrainError::argument(
                OPERATION,
                "the model is given its samples whole",
                "Give a denoising model, or measure this one with `reconstruction`",
            )
        })?;
        before += squared_error(&corrupted, clean)?;
        after += squared_error(&model.reconstruct(&corrupted, classes(&model, batch)?)?, clean)?;
        Ok(())
    })?;
    let elements = (samples * loader.dataset().feature_count().max(1)) as f64;
    let ratio = |sum| finite(OPERATION, "the squared error", sum).map(|sum| psnr(sum / elements, peak));
    Ok(Denoising { corrupted_psnr: ratio(before)?, restored_psnr: ratio(after)? })
}

fn positive_peak(operation: &'static str, peak: f64) -> Result<()> {
    match peak > 0.0 && peak.is_finite() {
        true => Ok(()),
        false => Err(TrainError::argument(
            operation,
            format!("the peak is {peak}"),
            "Give the largest value an element can have: 1 for pixels from 0 to 1",
        )),
    }
}
