//! Losses that ask for a distance: between scores, or between embeddings.

use super::{Loss, alike, classes, floats, reduce};
use crate::wide::{magnitude, rounded_once, weighted};
use osnova_tensor::{Error, ReductionKind, Result, Tensor};

/// The mean of max(0, 1 − y·x) for scores and targets ±1.
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn hinge(score: &Tensor, target: &Tensor) -> Result<Tensor> {
    HingeLoss::default().forward(score, target)
}

/// The mean multi-class hinge loss of scores `[batch, classes]` and class indices `[batch]`.
///
/// # Errors
/// Shapes or dtypes that do not fit, a class out of range.
pub fn multi_margin(scores: &Tensor, target: &Tensor) -> Result<Tensor> {
    MultiMarginLoss::default().forward(scores, target)
}

/// The mean of 1 − cos for pairs that belong together (target 1), max(0, cos) for those that do not (target −1).
///
/// # Errors
/// Shapes or dtypes that do not fit.
pub fn cosine_embedding(first: &Tensor, second: &Tensor, target: &Tensor) -> Result<Tensor> {
    CosineEmbeddingLoss::default().forward(first, second, target)
}

/// The mean of max(0, |anchor − positive| − |anchor − negative| + 1).
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn triplet_margin(anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
    TripletMarginLoss::default().forward(anchor, positive, negative)
}

/// max(0, margin − y·x) for a score x and a target y of 1 or −1: no loss beyond the margin. The support vector machine's;
/// Cortes & Vapnik 1995.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HingeLoss {
    /// From which score on there is no loss.
    pub margin: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for HingeLoss {
    fn default() -> Self {
        Self { margin: 1.0, reduction: ReductionKind::Mean }
    }
}

impl Loss for HingeLoss {
    fn forward(&self, score: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike("hinge", score, target)?;
        rounded_once([score, target], |[score, target]| {
            reduce((self.margin - (score * target)?)?.relu()?, self.reduction)
        })
    }
}

/// Σ_{c≠y} max(0, margin − x_y + x_c)^p / C for scores `[batch, classes]` and class indices `[batch]` (`i64`, `i32` or `u32`): the true class is
/// to stand above each other by the margin. Crammer & Singer 2001, summed over the classes as in Weston & Watkins 1999.
#[derive(Clone, Debug)]
pub struct MultiMarginLoss {
    /// How far the true class's score is to stand above the others.
    pub margin: f64,
    /// Whether each distance counts by its square, PyTorch's `p = 2`.
    pub squared: bool,
    /// A factor for samples of each class: `[classes]`.
    pub weight: Option<Tensor>,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for MultiMarginLoss {
    fn default() -> Self {
        Self { margin: 1.0, squared: false, weight: None, reduction: ReductionKind::Mean }
    }
}

impl Loss for MultiMarginLoss {
    fn forward(&self, scores: &Tensor, target: &Tensor) -> Result<Tensor> {
        floats("multi_margin", scores.dtype())?;
        classes("multi_margin", target.dtype())?;
        if scores.rank() != 2 || target.dims() != &scores.dims()[..1] {
            return Err(Error::shape(
                "multi_margin",
                [*scores.shape(), *target.shape()],
                "they are not [batch, classes] and [batch]",
                "Give a score for each class along axis 1, and one class index for each sample",
            ));
        }
        let count = scores.dims()[1];
        let index = target.unsqueeze(1)?;
        rounded_once([scores], |[scores]| {
            let mut distances = ((scores - scores.gather(1, &index)?)? + self.margin)?.relu()?;
            if self.squared {
                distances = distances.square()?;
            }
            let others = (1.0 - target.one_hot(count, scores.dtype())?)?;
            let mut values = (weighted(&distances, &others)?.sum(1, false)? / count as f64)?;
            if let Some(weight) = &self.weight {
                values = weighted(&values, &weight.index_select(0, target)?)?;
            }
            reduce(values, self.reduction)
        })
    }
}

/// 1 − cos(a, b) where the target is 1, max(0, cos(a, b) − margin) where it is −1, for vectors `[batch, size]` and targets
/// `[batch]`: brings the directions of what belongs together together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CosineEmbeddingLoss {
    /// The cosine up to which a pair that does not belong together costs nothing; from −1 to 1.
    pub margin: f64,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl CosineEmbeddingLoss {
    /// The loss of two batches of vectors and a target (1 or −1, a float) for each pair.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit.
    pub fn forward(&self, first: &Tensor, second: &Tensor, target: &Tensor) -> Result<Tensor> {
        const NAME: &str = "cosine_embedding";
        /// Keeps the cosine of a zero vector finite: PyTorch's number.
        const TINY: f64 = 1e-12;
        alike(NAME, first, second)?;
        if first.rank() != 2 || target.dims() != &first.dims()[..1] {
            return Err(Error::shape(
                NAME,
                [*first.shape(), *target.shape()],
                "they are not [batch, size] and [batch]",
                "Give two vectors and one target for each sample",
            ));
        }
        let together = target.greater(0.0)?;
        rounded_once([first, second], |[first, second]| {
            // The cosine does not depend on lengths, whose product might overflow.
            let (first, second) = ((first / magnitude(first, 1)?)?, (second / magnitude(second, 1)?)?);
            let length = |vectors: &Tensor| vectors.square()?.sum(1, false)? + TINY;
            let lengths = (length(&first)? * length(&second)?)?;
            let cosine = ((first * second)?.sum(1, false)? * lengths.rsqrt()?)?;
            let apart = (&cosine - self.margin)?.relu()?;
            reduce(together.where_((1.0 - cosine)?, apart)?, self.reduction)
        })
    }
}

/// max(0, |a − p| − |a − n| + margin) for an anchor a, a positive p and a negative n, vectors along the last axis: the positive is
/// to be nearer than the negative by the margin. Schroff et al. 2015.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripletMarginLoss {
    /// How much nearer the positive is to be.
    pub margin: f64,
    /// Whether the distance from the positive to the negative counts where it is the smaller one. Balntas et al. 2016.
    pub swap: bool,
    /// What becomes of the values.
    pub reduction: ReductionKind,
}

impl Default for TripletMarginLoss {
    fn default() -> Self {
        Self { margin: 1.0, swap: false, reduction: ReductionKind::Mean }
    }
}

impl TripletMarginLoss {
    /// The loss of three batches of vectors of one shape.
    ///
    /// # Errors
    /// Shapes or dtypes that differ.
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        /// Added to each difference, so that the distance of equal vectors has a slope: PyTorch's number.
        const TINY: f64 = 1e-6;
        alike("triplet_margin", anchor, positive)?;
        alike("triplet_margin", anchor, negative)?;
        if anchor.rank() == 0 {
            let advice = "Give vectors along the last axis";
            return Err(Error::shape("triplet_margin", [*anchor.shape()], "they are no vectors", advice));
        }
        let distance = |left: &Tensor, right: &Tensor| {
            let difference = ((left - right)? + TINY)?;
            let scale = magnitude(&difference, -1)?;
            (difference / &scale)?.square()?.sum(-1, false)?.sqrt()? * scale.squeeze(-1)?
        };
        rounded_once([anchor, positive, negative], |[anchor, positive, negative]| {
            let mut away = distance(anchor, negative)?;
            if self.swap {
                away = away.minimum(distance(positive, negative)?)?;
            }
            reduce(((distance(anchor, positive)? - away)? + self.margin)?.relu()?, self.reduction)
        })
    }
}
