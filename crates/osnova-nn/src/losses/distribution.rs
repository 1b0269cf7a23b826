//! Losses between distributions, and likelihoods of numbers.

use super::{Loss, alike, reduce};
use crate::wide::{product_with_limit, rounded_once};
use osnova_tensor::{Error, ReductionKind, Result, Tensor};
use std::f64::consts::TAU;

/// KL(target ‖ prediction), summed over the classes and averaged over the batch, for log-probabilities and probabilities.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn kl_divergence(log_probabilities: &Tensor, target: &Tensor) -> Result<Tensor> {
    KlDivergenceLoss::default().forward(log_probabilities, target)
}

/// The mean of λ − y·ln λ for the logarithms of rates λ and counts y.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn poisson_negative_log_likelihood(log_rate: &Tensor, target: &Tensor) -> Result<Tensor> {
    PoissonNllLoss::default().forward(log_rate, target)
}

/// The mean of ½(ln σ² + (y − μ)²/σ²) for means μ and variances σ² that the model gives.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn gaussian_negative_log_likelihood(mean: &Tensor, target: &Tensor, variance: &Tensor) -> Result<Tensor> {
    GaussianNllLoss::default().forward(mean, target, variance)
}

/// p·(ln p − q) for log-probabilities q and probabilities p of one shape, `[batch, …]`: 0 where p is 0. Kullback & Leibler 1951.
///
/// The mean is over the batch, the first axis: it is the divergence itself, PyTorch's `batchmean`. (PyTorch's own `mean` divides
/// by the number of elements, and its documentation advises against it.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KlDivergenceLoss {
    /// Whether the target holds logarithms of probabilities, too.
    pub log_target: bool,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for KlDivergenceLoss {
    fn forward(&self, log_probabilities: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("kl_divergence", log_probabilities, target)?;
        rounded_once([log_probabilities, target], |[log_probabilities, target]| {
            let (share, logarithm) = if self.log_target {
                // Finite, so that −∞ of both is no NaN beside a share of 0.
                (target.exp()?, target.maximum(f64::from(f32::MIN))?)
            } else {
                // p·ln p is 0 at 0, and the logarithm of 1 keeps infinities out of the gradient.
                (target.clone(), target.greater(0.0)?.where_(target, 1.0)?.ln()?)
            };
            let values = product_with_limit(&share, &(logarithm - log_probabilities)?)?;
            match self.reduction {
                ReductionKind::None => Ok(values),
                ReductionKind::Sum => values.sum(.., false),
                ReductionKind::Mean => {
                    let batch = values.dims().first().copied().unwrap_or(1);
                    values.sum(.., false)? / batch as f64
                }
            }
        })
    }
}

/// λ − y·ln λ for rates λ and counts y: the negative logarithm of Poisson's distribution without its constant ln y!.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoissonNllLoss {
    /// Whether the prediction is ln λ (the start), which may be any number, or λ.
    pub log_input: bool,
    /// Whether to add Stirling's approximation of ln y!, y·ln y − y + ½ ln 2πy, where y is above 1.
    pub full: bool,
    /// Added to λ under the logarithm where the prediction is λ.
    pub epsilon: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for PoissonNllLoss {
    fn default() -> Self {
        Self { log_input: true, full: false, epsilon: 1e-8, reduction: ReductionKind::Mean }
    }
}

impl Loss for PoissonNllLoss {
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("poisson_negative_log_likelihood", prediction, target)?;
        rounded_once([prediction, target], |[prediction, target]| {
            // A rate of 0 is right where the count is.
            let mut values = if self.log_input {
                (prediction.exp()? - product_with_limit(target, prediction)?)?
            } else {
                (prediction - product_with_limit(target, &(prediction + self.epsilon)?.ln()?)?)?
            };
            if self.full {
                let large = target.greater(1.0)?;
                let count = large.where_(target, 1.0)?;
                let stirling = (((&count * count.ln()?)? - &count)? + ((count * TAU)?.ln()? * 0.5)?)?;
                values = (values + large.where_(stirling, 0.0)?)?;
            }
            reduce(values, self.reduction)
        })
    }
}

/// ½(ln σ² + (y − μ)²/σ²): the negative logarithm of the normal distribution, for a model that also says how sure it is.
/// Nix & Weigend 1994.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNllLoss {
    /// Whether to add the constant ½ ln 2π.
    pub full: bool,
    /// The least variance. Smaller ones count as this, yet have a gradient, as in PyTorch.
    pub epsilon: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for GaussianNllLoss {
    fn default() -> Self {
        Self { full: false, epsilon: 1e-6, reduction: ReductionKind::Mean }
    }
}

impl GaussianNllLoss {
    /// The loss of means and targets with a variance for each.
    ///
    /// # Errors
    /// Shapes or dtypes that differ, an ε that is not positive.
    pub fn forward(&self, mean: &Tensor, target: &Tensor, variance: &Tensor) -> Result<Tensor> {
        const NAME: &str = "gaussian_negative_log_likelihood";
        alike(NAME, mean, target)?;
        alike(NAME, mean, variance)?;
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Error::argument(NAME, format!("ε is {}", self.epsilon), "Give a small number such as 1e-6"));
        }
        rounded_once([mean, target, variance], |[mean, target, variance]| {
            let lift = (variance.detach().maximum(self.epsilon)? - variance.detach())?;
            let variance = (variance + lift)?;
            let squares = (mean - target)?.square()?;
            let mut values = ((variance.ln()? + (squares / &variance)?)? * 0.5)?;
            if self.full {
                values = (values + 0.5 * TAU.ln())?;
            }
            reduce(values, self.reduction)
        })
    }
}
