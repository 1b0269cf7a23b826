//! What networks are made of: products, activations, normalisation, losses.

use super::{dispatch, only, run};
use crate::shape::resolve_axis;
use crate::{Activation, BinaryCrossEntropy, CrossEntropy, LayerNorm, Op, Real, Result, Tensor};
use smallvec::smallvec;

impl Tensor {
    /// The matrix product `[…, m, k] × […, k, n] → […, m, n]`; leading axes broadcast. A vector on either side counts as one row or one
    /// column, which the result then lacks.
    ///
    /// # Errors
    /// Inner sizes that differ, leading axes that do not broadcast, dtypes that differ, a scalar.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        if self.rank() != 1 && other.rank() != 1 {
            return run(&Op::Matmul, smallvec![self.clone(), other.clone()]);
        }
        let left = if self.rank() == 1 { self.unsqueeze(0)? } else { self.clone() };
        let right = if other.rank() == 1 { other.unsqueeze(1)? } else { other.clone() };
        let mut product = run(&Op::Matmul, smallvec![left, right])?;
        if other.rank() == 1 {
            product = product.squeeze(-1)?;
        }
        if self.rank() == 1 {
            product = product.squeeze(if other.rank() == 1 { -1 } else { -2 })?;
        }
        Ok(product)
    }

    /// `x·Wᵀ` for `x: […, in]` and `W: [out, in]`, by the matmul primitive: leading axes are one batch of rows.
    pub(crate) fn linear_product(&self, weight: &Self) -> Result<Self> {
        let transposed = weight.t()?;
        if self.rank() == 2 {
            return self.matmul(&transposed);
        }
        let features = weight.dims()[1];
        let rows = self.dims()[..self.rank() - 1].iter().product::<usize>();
        let mut dims: smallvec::SmallVec<[usize; 8]> = self.dims().into();
        dims[self.rank() - 1] = weight.dims()[0];
        self.reshape([rows, features])?.matmul(&transposed)?.reshape(&dims[..])
    }

    /// `activation(x·Wᵀ + b)` for `x: […, in]`, `W: [out, in]` and `b: [out]`.
    ///
    /// # Errors
    /// Sizes or dtypes that do not fit.
    pub fn linear(&self, weight: &Self, bias: Option<&Self>, activation: Activation) -> Result<Self> {
        let op = Op::Linear { bias: bias.is_some(), activation };
        let inputs = match bias {
            Some(bias) => smallvec![self.clone(), weight.clone(), bias.clone()],
            None => smallvec![self.clone(), weight.clone()],
        };
        run(&op, inputs)
    }

    /// An activation function of each element.
    ///
    /// # Errors
    /// A tensor that is no float.
    pub fn activate(&self, activation: Activation) -> Result<Self> {
        run(&Op::Activate(activation), smallvec![self.clone()])
    }

    /// `½x(1 + erf(x/√2))`, or the tanh approximation.
    ///
    /// # Errors
    /// A tensor that is no float.
    pub fn gelu(&self, approximate: bool) -> Result<Self> {
        self.activate(if approximate { Activation::GeluTanh } else { Activation::Gelu })
    }

    /// `x·sigmoid(x)`.
    ///
    /// # Errors
    /// A tensor that is no float.
    pub fn silu(&self) -> Result<Self> {
        self.activate(Activation::Silu)
    }

    /// `exp(x_i) / Σ_j exp(x_j)` along `axis`, without overflow.
    ///
    /// # Errors
    /// An axis out of range, a tensor that is no float.
    pub fn softmax(&self, axis: isize) -> Result<Self> {
        let axis = resolve_axis("softmax", axis, self.rank())?;
        run(&Op::Softmax { axis }, smallvec![self.clone()])
    }

    /// `x_i − ln Σ_j exp(x_j)` along `axis`, without overflow.
    ///
    /// # Errors
    /// An axis out of range, a tensor that is no float.
    pub fn log_softmax(&self, axis: isize) -> Result<Self> {
        let axis = resolve_axis("log_softmax", axis, self.rank())?;
        run(&Op::LogSoftmax { axis }, smallvec![self.clone()])
    }

    /// `(x − mean) / √(variance + epsilon)` over the last `axes` axes, then `· weight + bias` if given.
    ///
    /// # Errors
    /// More axes than there are, a weight and bias of another shape.
    pub fn layer_norm(&self, axes: usize, affine: Option<(&Self, &Self)>, epsilon: f64) -> Result<Self> {
        let op = Op::LayerNorm(LayerNorm { axes, epsilon: Real::new(epsilon), affine: affine.is_some() });
        let (weight, bias) = affine.unzip();
        run(&op, std::iter::once(self).chain(weight).chain(bias).cloned().collect())
    }

    /// Mean softmax cross-entropy of logits `[batch, classes]` and class indices `[batch]` (`i64`, `i32` or `u32`).
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit, a class out of range.
    pub fn cross_entropy(&self, target: &Self) -> Result<Self> {
        self.cross_entropy_with(target, None, CrossEntropy::default())
    }

    /// Softmax cross-entropy with all options; `weight` holds one number for each class.
    ///
    /// # Errors
    /// Shapes or dtypes that do not fit, a class out of range.
    pub fn cross_entropy_with(&self, target: &Self, weight: Option<&Self>, options: CrossEntropy) -> Result<Self> {
        let op = Op::CrossEntropy(CrossEntropy { weighted: weight.is_some(), with_gradient: false, ..options });
        only(dispatch(&op, [self, target].into_iter().chain(weight).cloned().collect())?)
    }

    /// Mean binary cross-entropy of logits and targets (0 to 1) of one shape, stable at any logit.
    ///
    /// # Errors
    /// Shapes or dtypes that differ.
    pub fn binary_cross_entropy_with_logits(&self, target: &Self) -> Result<Self> {
        self.binary_cross_entropy_with(target, BinaryCrossEntropy::default())
    }

    /// Binary cross-entropy on logits with a choice of reduction.
    ///
    /// # Errors
    /// Shapes or dtypes that differ.
    pub fn binary_cross_entropy_with(&self, target: &Self, options: BinaryCrossEntropy) -> Result<Self> {
        let op = Op::BinaryCrossEntropy(BinaryCrossEntropy { with_gradient: false, ..options });
        only(dispatch(&op, smallvec![self.clone(), target.clone()])?)
    }
}
