//! Layer normalisation.

use super::batch_norm::check_epsilon;
use crate::wide::{rounded_once, widened};
use crate::{Forward, Module, Param};
use osnova_tensor::{DType, Device, Error, IntoShape, Result, Shape, Tensor};

/// `(x − mean)/√(variance + ε) · weight + bias`, with mean and variance over the last axes of each sample. Ba et al. 2016.
///
/// Parameters: `weight` (ones) and `bias` (zeros), of the shape of those axes.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct LayerNorm {
    /// The sizes of the axes that are normalised together.
    #[module(skip)]
    shape: Shape,
    #[module(skip)]
    epsilon: f64,
    /// A factor for each element.
    pub weight: Option<Param>,
    /// Added to each element.
    pub bias: Option<Param>,
}

impl LayerNorm {
    /// A layer over the last axes, which have these sizes; ε is 1e-5.
    ///
    /// # Errors
    /// No axes, sizes that do not fit in memory.
    pub fn new(shape: impl IntoShape, device: Device) -> Result<Self> {
        Self::options(shape)?.build(device)
    }

    /// All that can be chosen about the layer; finish with [`LayerNormOptions::build`].
    ///
    /// # Errors
    /// No axes.
    pub fn options(shape: impl IntoShape) -> Result<LayerNormOptions> {
        let shape = shape.into_shape()?;
        if shape.rank() == 0 {
            return Err(Error::shape("layer_norm", [shape], "there is no axis to normalise", "Give at least one size"));
        }
        Ok(LayerNormOptions { shape, epsilon: 1e-5, weight: true, bias: true, dtype: DType::F32 })
    }
}

impl Module for LayerNorm {
    fn kind(&self) -> &'static str {
        "LayerNorm"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        input.ends_with(&self.shape).then_some(*input)
    }
}

impl Forward for LayerNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if !input.dims().ends_with(&self.shape) {
            return Err(Error::shape(
                "layer_norm",
                [*input.shape(), self.shape],
                "the input must end with the layer's sizes",
                "Make the layer with the sizes of the input's last axes",
            ));
        }
        let axes = self.shape.rank();
        match (&self.weight, &self.bias) {
            (Some(weight), Some(bias)) => input.layer_norm(axes, Some((weight.tensor(), bias.tensor())), self.epsilon),
            (weight, bias) => rounded_once([input], |[input]| {
                let mut output = input.layer_norm(axes, None, self.epsilon)?;
                if let Some(weight) = weight {
                    output = (output * widened(weight.tensor())?)?;
                }
                if let Some(bias) = bias {
                    output = (output + widened(bias.tensor())?)?;
                }
                Ok(output)
            }),
        }
    }
}

/// What can be chosen about a [`LayerNorm`].
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct LayerNormOptions {
    shape: Shape,
    epsilon: f64,
    weight: bool,
    bias: bool,
    dtype: DType,
}

impl LayerNormOptions {
    /// Added to the variance.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there are a weight and a bias.
    pub fn affine(mut self, affine: bool) -> Self {
        (self.weight, self.bias) = (affine, affine);
        self
    }

    /// Whether there is a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
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
    pub fn build(self, device: Device) -> Result<LayerNorm> {
        check_epsilon("layer_norm", self.epsilon)?;
        let make = |value: f64| Param::new(Tensor::full(self.shape, value, self.dtype, device)?);
        Ok(LayerNorm {
            shape: self.shape,
            epsilon: self.epsilon,
            weight: self.weight.then(|| make(1.0)).transpose()?,
            bias: self.bias.then(|| make(0.0)).transpose()?,
        })
    }
}
