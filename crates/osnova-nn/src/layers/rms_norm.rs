//! Normalisation by the root of the mean square.

use super::batch_norm::check_epsilon;
use crate::wide::{rounded_once, widened};
use crate::{Forward, Module, Param};
use osnova_tensor::{Axes, DType, Device, Error, IntoShape, Result, Shape, Tensor};

/// `x/√(mean(x²) + ε) · weight` over the last axes: layer normalisation without the mean, which transformers do without.
/// Zhang & Sennrich 2019.
///
/// Parameter: `weight` (ones), of the shape of those axes.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct RmsNorm {
    /// A factor for each element.
    pub weight: Option<Param>,
    shape: Shape,
    epsilon: Option<f64>,
}

impl RmsNorm {
    /// A layer over the last axes, which have these sizes, with weights; ε is the distance from 1 to the next number of the
    /// input's dtype, as in PyTorch.
    ///
    /// # Errors
    /// No axes, sizes that do not fit in memory.
    pub fn new(shape: impl IntoShape, device: Device) -> Result<Self> {
        Self::options(shape)?.build(device)
    }

    /// All that can be chosen about the layer; finish with [`RmsNormOptions::build`].
    ///
    /// # Errors
    /// No axes.
    pub fn options(shape: impl IntoShape) -> Result<RmsNormOptions> {
        let shape = shape.into_shape()?;
        if shape.rank() == 0 {
            return Err(Error::shape("rms_norm", [shape], "there is no axis to normalise", "Give at least one size"));
        }
        Ok(RmsNormOptions { shape, epsilon: None, affine: true, dtype: DType::F32 })
    }
}

impl Module for RmsNorm {
    fn kind(&self) -> &'static str {
        "RmsNorm"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        input.ends_with(&self.shape).then_some(*input)
    }
}

impl Forward for RmsNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if !input.dims().ends_with(&self.shape) {
            return Err(Error::shape(
                "rms_norm",
                [*input.shape(), self.shape],
                "the input must end with the layer's sizes",
                "Make the layer with the sizes of the input's last axes",
            ));
        }
        let epsilon = self.epsilon.unwrap_or(input.dtype().epsilon());
        let axes: Axes = (input.rank() - self.shape.rank()..input.rank()).collect();
        rounded_once([input], |[input]| {
            let factor = (input.square()?.mean(&axes, true)? + epsilon)?.rsqrt()?;
            let normal = (input * factor)?;
            match &self.weight {
                Some(weight) => normal * widened(weight.tensor())?,
                None => Ok(normal),
            }
        })
    }
}

/// What can be chosen about an [`RmsNorm`].
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct RmsNormOptions {
    shape: Shape,
    epsilon: Option<f64>,
    affine: bool,
    dtype: DType,
}

impl RmsNormOptions {
    /// Added to the mean square.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = Some(epsilon);
        self
    }

    /// Whether there is a weight.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// The parameters' dtype; `f32` unless said otherwise.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// Sizes that do not fit in memory, a dtype that is no float, an ε that is negative or not finite.
    pub fn build(self, device: Device) -> Result<RmsNorm> {
        check_epsilon("rms_norm", self.epsilon.unwrap_or_default())?;
        let make = || Param::new(Tensor::ones(self.shape, self.dtype, device)?);
        Ok(RmsNorm { weight: self.affine.then(make).transpose()?, shape: self.shape, epsilon: self.epsilon })
    }
}
