//! Losses: functions for the usual case (the mean, no weights), structs for all options.
//!
//! Predictions come first, targets second, as in PyTorch. Shapes must agree: a target `[batch]` beside predictions
//! `[batch, 1]` is refused, not broadcast to `[batch, batch]`.

mod classification;
mod distribution;
mod focal;
mod margin;
mod regression;

pub use classification::{
    BceLoss, BceWithLogitsLoss, CrossEntropyLoss, NllLoss, binary_cross_entropy, binary_cross_entropy_with_logits,
    cross_entropy, negative_log_likelihood,
};
pub use distribution::{
    GaussianNllLoss, KlDivergenceLoss, PoissonNllLoss, gaussian_negative_log_likelihood, kl_divergence,
    poisson_negative_log_likelihood,
};
pub use focal::{FocalLoss, focal};
pub use margin::{
    CosineEmbeddingLoss, HingeLoss, MultiMarginLoss, TripletMarginLoss, cosine_embedding, hinge, multi_margin,
    triplet_margin,
};
pub use regression::{
    HuberLoss, L1Loss, MseLoss, SmoothL1Loss, huber, mean_absolute_error, mean_squared_error, smooth_l1,
};

use osnova_tensor::{DType, Error, ReductionKind, Result, Tensor};
use std::fmt::Debug;

/// What tells how far predictions are from targets.
pub trait Loss: Debug + Send + Sync {
    /// The loss: a scalar, or one value a sample or element with [`ReductionKind::None`].
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit.
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor>;
}

impl<L: Loss + ?Sized> Loss for Box<L> {
    fn forward(&self, prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
        (**self).forward(prediction, target)
    }
}

/// One number of many, or not.
fn reduce(values: Tensor, reduction: ReductionKind) -> Result<Tensor> {
    match reduction {
        ReductionKind::Mean => values.mean(.., false),
        ReductionKind::Sum => values.sum(.., false),
        ReductionKind::None => Ok(values),
    }
}

/// Refuses shapes or dtypes that differ: broadcasting would hide a mistake.
fn alike(name: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
    if prediction.shape() != target.shape() {
        return Err(Error::shape(
            name,
            [*prediction.shape(), *target.shape()],
            "prediction and target differ",
            "Give one target for each prediction: `reshape` or `unsqueeze` one of them",
        ));
    }
    if prediction.dtype() != target.dtype() {
        return Err(Error::dtype(
            name,
            [prediction.dtype(), target.dtype()],
            "prediction and target differ",
            "Convert the target with `to_dtype`",
        ));
    }
    floats(name, prediction.dtype())
}

/// Refuses targets that are no class indices.
fn classes(name: &'static str, dtype: DType) -> Result<()> {
    if dtype.is_index() {
        return Ok(());
    }
    Err(Error::dtype(name, [dtype], "classes are i64, i32 or u32", "Convert class indices with `to_dtype(DType::I64)`"))
}

fn floats(name: &'static str, dtype: DType) -> Result<()> {
    if dtype.is_float() {
        return Ok(());
    }
    Err(Error::dtype(name, [dtype], "a loss is made of floats", "Convert with `to_dtype`"))
}
