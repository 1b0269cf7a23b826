//! How few units of a code speak at once.

use super::Codes;
use super::matrix::Matrix;
use osnova_train::{Result, TrainError};

/// The share of the largest |z| of all codes above which a unit counts as active.
pub const ACTIVE_SHARE: f64 = 0.01;

/// How sparse codes are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparseness {
    /// How many units are active, the mean over the samples.
    pub active_per_sample: f64,
    /// What part of the units that is, from 0 to 1.
    pub active_share: f64,
    /// Hoyer's sparseness, (√n − ‖z‖₁/‖z‖₂)/(√n − 1), the mean over the samples: 0 where all n units are equally large, 1
    /// where a single one speaks (Hoyer 2004).
    pub hoyer: f64,
    /// How many units are active for no sample.
    pub dead: usize,
}

/// How sparse codes are, with [`ACTIVE_SHARE`] as the threshold.
///
/// # Errors
/// No codes, codes that are not finite.
pub fn sparseness(codes: &Codes) -> Result<Sparseness> {
    sparseness_above(codes, ACTIVE_SHARE)
}

/// How sparse codes are. A unit is active for a sample where |z| is more than `share` of the largest |z| of all units and
/// samples: an autoencoder may give its codes any scale, its decoder taking it back, so a fixed threshold would compare
/// scales and not sparseness.
///
/// Codes of nothing but zeros have no Hoyer sparseness and are left out of its mean, which is 0 if there are no others; with
/// a single unit it is 0 as well.
///
/// # Errors
/// No codes, codes that are not finite, a share outside 0 to 1.
pub fn sparseness_above(codes: &Codes, share: f64) -> Result<Sparseness> {
    if !(0.0..1.0).contains(&share) {
        return Err(TrainError::argument(
            "sparseness",
            format!("the share of the largest activation is {share}"),
            "Give a number from 0 to less than 1",
        ));
    }
    let codes = Matrix::of("sparseness", &codes.codes, 1)?;
    let threshold = share * codes.values().iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let mut active_samples = vec![0_usize; codes.width()];
    let (mut hoyer, mut counted) = (0.0, 0_usize);
    for row in codes.rows() {
        for (count, _) in active_samples.iter_mut().zip(row).filter(|(_, value)| value.abs() > threshold) {
            *count += 1;
        }
        if let Some(sparseness) = hoyer_sparseness(row) {
            hoyer += sparseness;
            counted += 1;
        }
    }
    let active_per_sample = active_samples.iter().sum::<usize>() as f64 / codes.samples() as f64;
    Ok(Sparseness {
        active_per_sample,
        active_share: active_per_sample / codes.width() as f64,
        hoyer: hoyer / counted.max(1) as f64,
        dead: active_samples.iter().filter(|&&count| count == 0).count(),
    })
}

/// `None` for zeros and single units.
fn hoyer_sparseness(code: &[f64]) -> Option<f64> {
    // Relative to the largest, so that no square overflows or vanishes.
    let largest = code.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || code.len() < 2 {
        return None;
    }
    let sum: f64 = code.iter().map(|value| value.abs() / largest).sum();
    let norm = code.iter().map(|value| (value / largest).powi(2)).sum::<f64>().sqrt();
    let root = (code.len() as f64).sqrt();
    Some(((root - sum / norm) / (root - 1.0)).clamp(0.0, 1.0))
}
