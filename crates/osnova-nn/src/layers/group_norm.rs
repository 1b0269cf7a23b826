//! Normalisation of the channels of each sample: by groups of them, or each alone.

use super::batch_norm::{along_channels, check_channels, check_epsilon};
use crate::wide::{rounded_once, widened};
use crate::{Forward, Module, Param};
use osnova_tensor::{DType, Device, Error, Result, Shape, Tensor};

/// `(x − mean)/√(variance + ε) · weight + bias`, with mean and variance over each group of channels of each sample, so that
/// the batch may be as small as one. Wu & He 2018.
///
/// Inputs are `[batch, channels, …]`. Parameters: `weight` (ones) and `bias` (zeros), `[channels]`.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct GroupNorm {
    /// A factor for each channel.
    pub weight: Option<Param>,
    /// Added to each channel.
    pub bias: Option<Param>,
    groups: usize,
    channels: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// A layer of `channels` in `groups` of equal size, with weights and biases; ε is 1e-5.
    ///
    /// # Errors
    /// Groups that do not divide the channels.
    pub fn new(groups: usize, channels: usize, device: Device) -> Result<Self> {
        Self::options(groups, channels).build(device)
    }

    /// All that can be chosen about the layer; finish with [`GroupNormOptions::build`].
    pub fn options(groups: usize, channels: usize) -> GroupNormOptions {
        GroupNormOptions { groups, channels, epsilon: 1e-5, affine: true, dtype: DType::F32 }
    }
}

impl Module for GroupNorm {
    fn kind(&self) -> &'static str {
        "GroupNorm"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        (input.rank() >= 2 && input[1] == self.channels).then_some(*input)
    }
}

impl Forward for GroupNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_channels("group_norm", input, self.channels, 2)?;
        let group = input.dims()[1..].iter().product::<usize>() / self.groups;
        rounded_once([input], |[input]| {
            let grouped = input.reshape([input.dims()[0], self.groups, group])?;
            let normal = grouped.layer_norm(1, None, self.epsilon)?.reshape(*input.shape())?;
            scale_and_shift(normal, self.weight.as_ref(), self.bias.as_ref())
        })
    }
}

/// What can be chosen about a [`GroupNorm`].
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct GroupNormOptions {
    groups: usize,
    channels: usize,
    epsilon: f64,
    affine: bool,
    dtype: DType,
}

impl GroupNormOptions {
    /// Added to the variance.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there are a weight and a bias.
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
    /// Groups that do not divide the channels, an ε that is negative or not finite, a dtype that is no float.
    pub fn build(self, device: Device) -> Result<GroupNorm> {
        let Self { groups, channels, epsilon, affine, dtype } = self;
        if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::argument(
                "group_norm",
                format!("{channels} channels do not make {groups} groups of equal size"),
                "Choose a number of groups that divides the number of channels",
            ));
        }
        check_epsilon("group_norm", epsilon)?;
        let (weight, bias) = affine_parameters(affine, channels, dtype, device)?;
        Ok(GroupNorm { weight, bias, groups, channels, epsilon })
    }
}

/// `(x − mean)/√(variance + ε)`, with mean and variance over all places of each channel of each sample. Ulyanov et al. 2016.
///
/// Inputs are `[batch, channels, length]`, `[batch, channels, height, width]`, …. As in PyTorch there are no parameters unless
/// asked for: `weight` (ones) and `bias` (zeros), `[channels]`.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct InstanceNorm {
    /// A factor for each channel.
    pub weight: Option<Param>,
    /// Added to each channel.
    pub bias: Option<Param>,
    channels: usize,
    epsilon: f64,
}

impl InstanceNorm {
    /// A layer without parameters; ε is 1e-5.
    ///
    /// # Errors
    /// No channels.
    pub fn new(channels: usize, device: Device) -> Result<Self> {
        Self::options(channels).build(device)
    }

    /// All that can be chosen about the layer; finish with [`InstanceNormOptions::build`].
    pub fn options(channels: usize) -> InstanceNormOptions {
        InstanceNormOptions { channels, epsilon: 1e-5, affine: false, dtype: DType::F32 }
    }
}

impl Module for InstanceNorm {
    fn kind(&self) -> &'static str {
        "InstanceNorm"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        (input.rank() >= 3 && input[1] == self.channels).then_some(*input)
    }
}

impl Forward for InstanceNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_channels("instance_norm", input, self.channels, 3)?;
        rounded_once([input], |[input]| {
            let normal = input.layer_norm(input.rank() - 2, None, self.epsilon)?;
            scale_and_shift(normal, self.weight.as_ref(), self.bias.as_ref())
        })
    }
}

/// What can be chosen about an [`InstanceNorm`].
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct InstanceNormOptions {
    channels: usize,
    epsilon: f64,
    affine: bool,
    dtype: DType,
}

impl InstanceNormOptions {
    /// Added to the variance.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there are a weight and a bias.
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
    /// No channels, an ε that is negative or not finite, a dtype that is no float.
    pub fn build(self, device: Device) -> Result<InstanceNorm> {
        let Self { channels, epsilon, affine, dtype } = self;
        if channels == 0 {
            return Err(Error::argument(
                "instance_norm",
                "there are no channels",
                "Give the size of the input's axis 1",
            ));
        }
        check_epsilon("instance_norm", epsilon)?;
        let (weight, bias) = affine_parameters(affine, channels, dtype, device)?;
        Ok(InstanceNorm { weight, bias, channels, epsilon })
    }
}

fn affine_parameters(
    affine: bool,
    channels: usize,
    dtype: DType,
    device: Device,
) -> Result<(Option<Param>, Option<Param>)> {
    if !affine {
        return Ok((None, None));
    }
    let make = |value: f64| Param::new(Tensor::full(channels, value, dtype, device)?);
    Ok((Some(make(1.0)?), Some(make(0.0)?)))
}

fn scale_and_shift(mut values: Tensor, weight: Option<&Param>, bias: Option<&Param>) -> Result<Tensor> {
    let rank = values.rank();
    if let Some(weight) = weight {
        values = (values * along_channels(&widened(weight)?, rank)?)?;
    }
    if let Some(bias) = bias {
        values = (values + along_channels(&widened(bias)?, rank)?)?;
    }
    Ok(values)
}
