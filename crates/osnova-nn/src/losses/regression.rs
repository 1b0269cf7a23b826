//! Losses between numbers.

use super::{Loss, alike, reduce};
use crate::wide::rounded_once;
use osnova_tensor::{Error, ReductionKind, Result, Tensor};

/// The mean of (y − ŷ)².
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn mean_squared_error(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    MseLoss::default().forward(prediction, target)
}

/// The mean of |y − ŷ|; its gradient is 0 where both are equal.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn mean_absolute_error(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    L1Loss::default().forward(prediction, target)
}

/// The mean of ½e² where |e| ≤ δ, else δ·|e| − ½δ², with e = y − ŷ.
///
/// # Errors
/// Shapes or dtypes that differ, a δ that is not positive.
pub fn huber(prediction: &Tensor, target: &Tensor, delta: f64) -> Result<Tensor> {
    HuberLoss { delta, ..HuberLoss::default() }.forward(prediction, target)
}

/// The mean of ½e²/β where |e| < β, else |e| − ½β, with e = y − ŷ.
///
/// # Errors
/// Shapes or dtypes that differ, a negative β.
pub fn smooth_l1(prediction: &Tensor, target: &Tensor, beta: f64) -> Result<Tensor> {
    SmoothL1Loss { beta, ..SmoothL1Loss::default() }.forward(prediction, target)
}

/// (y − ŷ)².
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MseLoss {
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for MseLoss {
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("mean_squared_error", prediction, target)?;
        rounded_once([prediction, target], |[prediction, target]| {
            reduce((prediction - target)?.square()?, self.reduction)
        })
    }
}

/// |y − ŷ|.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct L1Loss {
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for L1Loss {
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("mean_absolute_error", prediction, target)?;
        rounded_once([prediction, target], |[prediction, target]| reduce((prediction - target)?.abs()?, self.reduction))
    }
}

/// ½e² where |e| ≤ δ, else δ·|e| − ½δ²: like the squared error near the target, like the absolute one far away. Huber 1964.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HuberLoss {
    /// Where the parabola becomes a line; positive.
    pub delta: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for HuberLoss {
    fn default() -> Self {
        Self { delta: 1.0, reduction: ReductionKind::Mean }
    }
}

impl Loss for HuberLoss {
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("huber", prediction, target)?;
        let delta = self.delta;
        if !(delta > 0.0 && delta.is_finite()) {
            return Err(Error::argument("huber", format!("δ is {delta}"), "Give a positive number such as 1"));
        }
        rounded_once([prediction, target], |[prediction, target]| {
            let error = (prediction - target)?;
            let distance = error.abs()?;
            let near = distance.less_equal(delta)?;
            let line = ((&distance * delta)? - 0.5 * delta * delta)?;
            reduce(near.where_((near_square(&near, &error)? * 0.5)?, line)?, self.reduction)
        })
    }
}

/// ½e²/β where |e| < β, else |e| − ½β: [`HuberLoss`] over β. Girshick 2015.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothL1Loss {
    /// Where the parabola becomes a line; 0 for the absolute error.
    pub beta: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for SmoothL1Loss {
    fn default() -> Self {
        Self { beta: 1.0, reduction: ReductionKind::Mean }
    }
}

impl Loss for SmoothL1Loss {
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("smooth_l1", prediction, target)?;
        let beta = self.beta;
        if !(beta >= 0.0 && beta.is_finite()) {
            return Err(Error::argument("smooth_l1", format!("β is {beta}"), "Give 0 or a positive number such as 1"));
        }
        rounded_once([prediction, target], |[prediction, target]| {
            let error = (prediction - target)?;
            let distance = error.abs()?;
            if beta == 0.0 {
                return reduce(distance, self.reduction);
            }
            let near = distance.less(beta)?;
            let line = (&distance - 0.5 * beta)?;
            reduce(near.where_((near_square(&near, &error)? * (0.5 / beta))?, line)?, self.reduction)
        })
    }
}

/// The squares of small errors. Large ones are left out before: where they are infinite the slope of a square would be
/// NaN, selected or not.
fn near_square(near: &Tensor, error: &Tensor) -> Result<Tensor> {
    near.where_(error, 0.0)?.square()
}
