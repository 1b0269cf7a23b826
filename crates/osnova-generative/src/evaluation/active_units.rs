//! Which units of a code say something.

use super::matrix::Matrix;
use super::{ACTIVE_VARIANCE, Codes};
use osnova_train::Result;

/// How much each unit of a code varies over the data.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveUnits {
    /// The variance of each unit's mean over the samples, divided by their number.
    pub variances: Vec<f64>,
}

impl ActiveUnits {
    /// How many units vary by more than [`ACTIVE_VARIANCE`].
    pub fn count(&self) -> usize {
        self.variances.iter().filter(|&&variance| variance > ACTIVE_VARIANCE).count()
    }

    /// What part of the units that is, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.count() as f64 / self.variances.len().max(1) as f64
    }

    /// The units' indices, the most active first: the order in which a latent traversal is worth looking at.
    pub fn by_activity(&self) -> Vec<usize> {
        let mut units: Vec<(usize, f64)> = self.variances.iter().copied().enumerate().collect();
        units.sort_by(|left, right| right.1.total_cmp(&left.1));
        units.into_iter().map(|(unit, _)| unit).collect()
    }
}

/// The variance of each unit over the samples. A unit whose posterior has collapsed on the prior has the same mean for every
/// sample and so none; above 0.01 a unit counts as active (Burda, Grosse and Salakhutdinov 2016).
///
/// # Errors
/// Fewer than two samples, codes that are not finite.
pub fn active_units(codes: &Codes) -> Result<ActiveUnits> {
    let codes = Matrix::of("active_units", &codes.codes, 2)?;
    Ok(ActiveUnits { variances: codes.variances(&codes.means()) })
}
