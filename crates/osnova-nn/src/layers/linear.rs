//! The fully connected layer.

use crate::{Forward, Initializer, Module, Param};
use osnova_tensor::{Activation, DType, Device, Generator, Result, Shape, Tensor};

/// `activation(x·Wᵀ + b)`: `[…, in_features]` to `[…, out_features]`. Without an activation it is PyTorch's `Linear`.
///
/// Parameters: `weight` `[out_features, in_features]`, and `bias` `[out_features]` unless there is none.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Param,
    /// `[out_features]`.
    pub bias: Option<Param>,
    /// Applied to the result in the same kernel.
    pub activation: Activation,
}

impl Linear {
    /// A layer with bias and without activation, its values drawn as PyTorch draws them: evenly from ±1/√in_features.
    ///
    /// # Errors
    /// Sizes that do not fit in memory.
    pub fn new(in_features: usize, out_features: usize, generator: &Generator, device: Device) -> Result<Self> {
        Self::options(in_features, out_features).build(generator, device)
    }

    /// All that can be chosen about the layer; finish with [`LinearOptions::build`].
    pub fn options(in_features: usize, out_features: usize) -> LinearOptions {
        let bound = if in_features > 0 { 1.0 / (in_features as f64).sqrt() } else { 0.0 };
        LinearOptions {
            in_features,
            out_features,
            bias: Some(Initializer::Uniform { low: -bound, high: bound }),
            weight: Initializer::linear_default(),
            activation: Activation::Identity,
            dtype: DType::F32,
        }
    }

    /// A layer of given parameters.
    ///
    /// # Errors
    /// A weight that is not `[out, in]`, a bias that is not `[out]`, dtypes that differ.
    pub fn from_parameters(weight: Param, bias: Option<Param>) -> Result<Self> {
        // Inference knows the rules: ask it what an empty batch would give.
        let input = weight.shape().last().copied().unwrap_or_default();
        let metas = [osnova_tensor::Meta::new(Shape::new(&[0, input])?, weight.dtype()), weight.meta()];
        let metas: Vec<_> = metas.into_iter().chain(bias.as_ref().map(Param::meta)).collect();
        let op = osnova_tensor::Op::Linear { bias: bias.is_some(), activation: Activation::Identity };
        osnova_tensor::infer::infer(&op, &metas)?;
        Ok(Self { weight, bias, activation: Activation::Identity })
    }

    /// The same layer with an activation on its result.
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// The size of the input's last axis.
    pub fn in_features(&self) -> usize {
        self.weight.shape()[1]
    }

    /// The size of the output's last axis.
    pub fn out_features(&self) -> usize {
        self.weight.shape()[0]
    }
}

impl Module for Linear {
    fn kind(&self) -> &'static str {
        "Linear"
    }

    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        let (last, batch) = input.split_last()?;
        if *last != self.in_features() {
            return None;
        }
        Shape::new(&[batch, &[self.out_features()]].concat()).ok()
    }
}

impl Forward for Linear {
    #[inline]
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.linear(&self.weight, self.bias.as_deref(), self.activation)
    }

    fn forward_activated(&self, input: &Tensor, activation: Activation) -> Result<Tensor> {
        if self.activation != Activation::Identity {
            return self.forward(input)?.activate(activation);
        }
        input.linear(&self.weight, self.bias.as_deref(), activation)
    }
}

/// What can be chosen about a [`Linear`] layer.
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct LinearOptions {
    in_features: usize,
    out_features: usize,
    bias: Option<Initializer>,
    weight: Initializer,
    activation: Activation,
    dtype: DType,
}

impl LinearOptions {
    /// How the bias starts, or `None` for no bias.
    pub fn bias(mut self, initializer: impl Into<Option<Initializer>>) -> Self {
        self.bias = initializer.into();
        self
    }

    /// How the weights start.
    pub fn weight(mut self, initializer: Initializer) -> Self {
        self.weight = initializer;
        self
    }

    /// An activation on the result, in the same kernel.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
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
    /// Sizes that do not fit in memory, a dtype that is no float, an initialiser that does not fit.
    pub fn build(self, generator: &Generator, device: Device) -> Result<Linear> {
        let weight = self.weight.make([self.out_features, self.in_features], self.dtype, generator, device)?;
        let bias = self.bias.map(|initializer| initializer.make([self.out_features], self.dtype, generator, device));
        Ok(Linear {
            weight: Param::new(weight)?,
            bias: bias.transpose()?.map(Param::new).transpose()?,
            activation: self.activation,
        })
    }
}
