//! The loss for rare positives.

use super::{Loss, alike, reduce};
use crate::functions::softplus;
use crate::wide::{product_with_limit, rounded_once};
use osnova_tensor::{Error, ReductionKind, Result, Tensor};

/// The mean focal loss of logits and targets 0 or 1, with α = 0.25 and γ = 2.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn focal(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    FocalLoss::default().forward(logits, target)
}

/// −α_t·(1 − p_t)^γ·ln p_t for logits and targets 0 or 1, with p_t the probability of what is true: binary cross-entropy in which
/// what is known well counts little, so that a few positives are not lost among many easy negatives. Lin et al. 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FocalLoss {
    /// The weight of the positive class, 1 − α that of the negative; `None` to weigh both by 1.
    pub alpha: Option<f64>,
    /// How little an easy sample counts: 0 for plain cross-entropy.
    pub gamma: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for FocalLoss {
    fn default() -> Self {
        Self { alpha: Some(0.25), gamma: 2.0, reduction: ReductionKind::Mean }
    }
}

impl Loss for FocalLoss {
    fn forward(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("focal", logits, target)?;
        if !(self.gamma >= 0.0 && self.gamma.is_finite()) {
            return Err(Error::argument(
                "focal",
                format!("γ is {}", self.gamma),
                "Give 0 or a positive number such as 2",
            ));
        }
        // With z = x for a positive and −x for a negative, p_t = sigmoid(z): ln p_t = −softplus(−z), ln(1 − p_t) = −softplus(z).
        rounded_once([logits, target], |[logits, target]| {
            let signed = (logits * ((target * 2.0)? - 1.0)?)?;
            let mut values = softplus(&(-&signed)?)?;
            if self.gamma != 0.0 {
                values = (values * (softplus(&signed)? * -self.gamma)?.exp()?)?;
            }
            if let Some(alpha) = self.alpha {
                let weight = ((target * (2.0 * alpha - 1.0))? + (1.0 - alpha))?;
                values = product_with_limit(&weight, &values)?;
            }
            reduce(values, self.reduction)
        })
    }
}
