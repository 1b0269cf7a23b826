//! Losses between probabilities, or logits, and classes.

use super::{Loss, alike, classes, floats, reduce};
use crate::functions::softplus;
use crate::wide::{product_with_limit, rounded_once, weighted, widened};
use osnova_tensor::{
    BinaryCrossEntropy, CrossEntropy, Custom, CustomOp, Error, Inputs, Meta, Metas, Outputs, Real, ReductionKind,
    Result, Scalar, Tensor,
};
use std::sync::LazyLock;

/// The mean of −[y ln p + (1 − y) ln(1 − p)] for probabilities. From logits use
/// [`binary_cross_entropy_with_logits`], which loses no digits.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn binary_cross_entropy(probability: &Tensor, target: &Tensor) -> Result<Tensor> {
    BceLoss::default().forward(probability, target)
}

/// The mean binary cross-entropy of logits and targets from 0 to 1, stable at any logit.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn binary_cross_entropy_with_logits(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    BceWithLogitsLoss::default().forward(logits, target)
}

/// The mean softmax cross-entropy of logits `[batch, classes, …]` and targets: class indices `[batch, …]` (`i64`, `i32` or `u32`), or
/// probabilities of the logits' shape.
///
/// # Errors
/// Shapes or dtypes that do not fit, a class out of range.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    CrossEntropyLoss::default().forward(logits, target)
}

/// The mean of −ln p_y for log-probabilities `[batch, classes, …]` and class indices `[batch, …]`.
///
/// # Errors
/// Shapes or dtypes that do not fit, a class out of range.
pub fn negative_log_likelihood(log_probabilities: &Tensor, target: &Tensor) -> Result<Tensor> {
    NllLoss::default().forward(log_probabilities, target)
}

/// −[y ln p + (1 − y) ln(1 − p)] for probabilities. As in PyTorch each logarithm is at least −100, so that p = 0 and p = 1
/// are no catastrophe, and the gradient (p − y)/(p(1 − p)) divides by at least 1e-12.
#[derive(Clone, Debug, Default)]
pub struct BceLoss {
    /// A factor for each value, broadcast.
    pub weight: Option<Tensor>,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for BceLoss {
    fn forward(&self, probability: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("binary_cross_entropy", probability, target)?;
        static VALUES: LazyLock<Custom> = LazyLock::new(|| Custom::new(BceValues));
        rounded_once([probability, target], |[probability, target]| {
            let mut values = VALUES.apply([probability.clone(), target.clone()])?.remove(0);
            if let Some(weight) = &self.weight {
                values = weighted(&values, weight)?;
            }
            reduce(values, self.reduction)
        })
    }
}

/// The values of [`BceLoss`], as an operation because their gradient at p = 0 and 1 is a convention.
#[derive(Debug)]
struct BceValues;

impl CustomOp for BceValues {
    fn name(&self) -> &'static str {
        "binary_cross_entropy"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        Ok(inputs[..1].iter().copied().collect())
    }

    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        let (probability, target) = (&inputs[0], &inputs[1]);
        let bounded = |logarithm: Tensor| logarithm.maximum(-100.0);
        let yes = (target * bounded(probability.ln()?)?)?;
        let no = ((1.0 - target)? * bounded((-probability)?.ln_1p()?)?)?;
        Ok([(-(yes + no)?)?].into_iter().collect())
    }

    fn has_backward(&self) -> bool {
        true
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        gradients: &[Option<Tensor>],
    ) -> Result<Option<Vec<Option<Tensor>>>> {
        let (probability, target) = (&inputs[0], &inputs[1]);
        let Some(gradient) = &gradients[0] else { return Ok(Some(vec![None, None])) };
        let spread = (probability * (1.0 - probability)?)?.maximum(1e-12)?;
        let slope = ((probability - target)? / spread)?;
        let bounded = |logarithm: Tensor| logarithm.maximum(-100.0);
        let odds = (bounded((-probability)?.ln_1p()?)? - bounded(probability.ln()?)?)?;
        Ok(Some(vec![Some((gradient * slope)?), Some((gradient * odds)?)]))
    }
}

/// Binary cross-entropy of logits: `max(x, 0) − x·y + ln(1 + exp(−|x|))`, stable at any logit.
#[derive(Clone, Debug, Default)]
pub struct BceWithLogitsLoss {
    /// A factor for each value, broadcast.
    pub weight: Option<Tensor>,
    /// A factor for the part of the positive class, broadcast: above 1 it raises recall, below 1 precision.
    pub pos_weight: Option<Tensor>,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for BceWithLogitsLoss {
    fn forward(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("binary_cross_entropy_with_logits", logits, target)?;
        let options = |reduction| BinaryCrossEntropy { reduction, with_gradient: false };
        if self.weight.is_none() && self.pos_weight.is_none() {
            return logits.binary_cross_entropy_with(target, options(self.reduction));
        }
        rounded_once([logits, target], |[logits, target]| {
            let mut values = match &self.pos_weight {
                None => logits.binary_cross_entropy_with(target, options(ReductionKind::None))?,
                // (1 − y)·ln(1 + eˣ) + w·y·ln(1 + e⁻ˣ): no large number stands where another takes it away again.
                Some(positive) => {
                    let no = product_with_limit(&(1.0 - target)?, &softplus(logits)?)?;
                    let yes = product_with_limit(&(target * widened(positive)?)?, &softplus(&(-logits)?)?)?;
                    (no + yes)?
                }
            };
            if let Some(weight) = &self.weight {
                values = weighted(&values, weight)?;
            }
            reduce(values, self.reduction)
        })
    }
}

/// Softmax cross-entropy of logits `[batch, classes, …]` and targets: class indices `[batch, …]` (`i64`, `i32` or `u32`), or probabilities
/// of the logits' shape (one-hot rows, say).
///
/// With a weight for each class, the mean over class indices is the weighted one, as in PyTorch. PyTorch ignores targets
/// of −100 unless told otherwise; here a class out of range is an error unless it is the [`ignore_index`](Self::ignore_index).
#[derive(Clone, Debug, Default)]
pub struct CrossEntropyLoss {
    /// A factor for each class: `[classes]`.
    pub weight: Option<Tensor>,
    /// How much of each target is spread evenly over the classes: 0 for none, 0.1 is usual. Szegedy et al. 2016.
    pub label_smoothing: f64,
    /// Samples with this class count nothing.
    pub ignore_index: Option<i64>,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for CrossEntropyLoss {
    fn forward(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        if target.dtype().is_float() {
            return self.soft(logits, target);
        }
        let rows = Rows::new("cross_entropy", logits, target)?;
        let options = CrossEntropy {
            reduction: self.reduction,
            label_smoothing: Real::new(self.label_smoothing),
            ignore_index: self.ignore_index,
            ..CrossEntropy::default()
        };
        rows.restore(rows.values.cross_entropy_with(&rows.target, self.weight.as_ref(), options)?)
    }
}

impl CrossEntropyLoss {
    /// −Σ_c w_c·((1 − s)·q_c + s/C)·ln p_c for probabilities q; the mean is over the samples.
    fn soft(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("cross_entropy", logits, target)?;
        if logits.rank() < 2 {
            return Err(not_rows("cross_entropy", logits, target));
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            let problem = format!("label smoothing {} is outside 0 to 1", self.label_smoothing);
            return Err(Error::argument("cross_entropy", problem, "Use a small share such as 0.1"));
        }
        let classes = logits.dims()[1];
        let weight = self.weight.as_ref().map(|weight| widened(&along_classes(weight, logits)?)).transpose()?;
        rounded_once([logits, target], |[logits, target]| {
            let mut log_probabilities = logits.log_softmax(1)?;
            if let Some(weight) = &weight {
                log_probabilities = product_with_limit(weight, &log_probabilities)?;
            }
            let smoothing = self.label_smoothing;
            let target = match smoothing > 0.0 {
                true => ((target * (1.0 - smoothing))? + smoothing / classes as f64)?,
                false => target.clone(),
            };
            let products = product_with_limit(&target, &log_probabilities)?;
            reduce((-products.sum(1, false)?)?, self.reduction)
        })
    }
}

/// −w_y·ln p_y for log-probabilities `[batch, classes, …]` and class indices `[batch, …]`; the mean is weighted.
#[derive(Clone, Debug, Default)]
pub struct NllLoss {
    /// A factor for each class: `[classes]`.
    pub weight: Option<Tensor>,
    /// Samples with this class count nothing.
    pub ignore_index: Option<i64>,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Loss for NllLoss {
    fn forward(&self, log_probabilities: &Tensor, target: &Tensor) -> Result<Tensor> {
        let rows = Rows::new("negative_log_likelihood", log_probabilities, target)?;
        let Rows { values, target, .. } = &rows;
        // A number that the target's dtype does not have occurs nowhere.
        let ignored = self.ignore_index.filter(|&ignored| Scalar::from(ignored).fits(target.dtype()));
        let counted = ignored.map(|ignored| target.not_equal(ignored)).transpose()?;
        let target = match &counted {
            Some(counted) => counted.where_(target, 0)?,
            None => target.clone(),
        };
        // One number a row: from here on in the dtype that sums are made in.
        let losses = widened(&(-values.gather(1, &target.unsqueeze(1)?)?.squeeze(1)?)?)?;
        let weight = self.weight.as_ref().map(|weight| widened(&weight.index_select(0, &target)?)).transpose()?;
        let factors = match (weight, counted) {
            (Some(weight), Some(counted)) => Some(counted.where_(weight, 0.0)?),
            (Some(weight), None) => Some(weight),
            (None, Some(counted)) => Some(counted.to_dtype(losses.dtype())?),
            (None, None) => None,
        };
        let loss = match &factors {
            None => reduce(losses, self.reduction)?,
            Some(factors) => {
                let losses = weighted(&losses, factors)?;
                match self.reduction {
                    ReductionKind::Mean => (losses.sum(.., false)? / factors.sum(.., false)?)?,
                    _ => reduce(losses, self.reduction)?,
                }
            }
        };
        rows.restore(loss.to_dtype(values.dtype())?)
    }
}

/// Values `[batch, classes, …]` as rows `[n, classes]`, and their class indices as `[n]`.
struct Rows {
    values: Tensor,
    target: Tensor,
    shape: osnova_tensor::Shape,
}

impl Rows {
    fn new(name: &'static str, values: &Tensor, target: &Tensor) -> Result<Self> {
        floats(name, values.dtype())?;
        classes(name, target.dtype())?;
        let fits = values.rank() >= 2
            && target.rank() + 1 == values.rank()
            && target.dims()[0] == values.dims()[0]
            && target.dims()[1..] == values.dims()[2..];
        if !fits {
            return Err(not_rows(name, values, target));
        }
        let shape = *target.shape();
        if values.rank() == 2 {
            return Ok(Self { values: values.clone(), target: target.clone(), shape });
        }
        // The classes last, then all other axes as one.
        let rank = values.rank();
        let order: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
        let rows = values.permute(order.as_slice())?.reshape([target.count(), values.dims()[1]])?;
        Ok(Self { values: rows, target: target.reshape([target.count()])?, shape })
    }

    /// One value a row in the target's shape; a scalar as it is.
    fn restore(&self, losses: Tensor) -> Result<Tensor> {
        if losses.rank() == 0 || *losses.shape() == self.shape { Ok(losses) } else { losses.reshape(self.shape) }
    }
}

#[cold]
fn not_rows(name: &'static str, values: &Tensor, target: &Tensor) -> Box<Error> {
    Error::shape(
        name,
        [*values.shape(), *target.shape()],
        "they are not [batch, classes, …] and [batch, …]",
        "Give a score for each class along axis 1, and one class index for each sample",
    )
}

/// A weight `[classes]` as it broadcasts along axis 1.
fn along_classes(weight: &Tensor, logits: &Tensor) -> Result<Tensor> {
    if weight.dims() != [logits.dims()[1]] {
        return Err(Error::shape(
            "cross_entropy",
            [*logits.shape(), *weight.shape()],
            "there must be one weight for each class",
            "Give weights of shape [classes]",
        ));
    }
    let mut dims = vec![1; logits.rank() - 1];
    dims[0] = weight.count();
    weight.reshape(dims)
}
