//! Activation functions as layers.

use crate::{Forward, Module, Param, functions};
use osnova_tensor::{Activation, DType, Device, Error, Result, Shape, Tensor};

/// A struct with public fields, or one without any that is written as its bare name: `Relu`.
macro_rules! declare {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* }) => {
        $(#[$doc])*
        #[derive(Module, Clone, Copy, Debug, PartialEq)]
        #[module(manual)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind),* }
    };
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Module, Clone, Copy, Debug, PartialEq)]
        #[module(manual)]
        pub struct $name;
    };
}

/// Layers that change each element and keep the shape.
macro_rules! activations {
    ($(
        $(#[$doc:meta])*
        $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty = $default:expr),* $(,)? })?
        => |$layer:ident, $input:ident| $value:expr, $fused:expr;
    )*) => {$(
        declare! { $(#[$doc])* $name $({ $($(#[$field_doc])* $field: $kind),* })? }

        impl Default for $name {
            fn default() -> Self {
                Self { $($($field: $default),*)? }
            }
        }

        impl Module for $name {
            fn kind(&self) -> &'static str {
                stringify!($name)
            }
            fn output_shape(&self, input: &Shape) -> Option<Shape> {
                Some(*input)
            }
        }

        impl Forward for $name {
            fn forward(&self, $input: &Tensor) -> Result<Tensor> {
                let $layer = self;
                let _ = $layer;
                $value
            }
            fn activation(&self) -> Option<Activation> {
                let $layer = self;
                let _ = $layer;
                $fused
            }
        }
    )*};
}

activations! {
    /// max(x, 0). Fused into a linear layer before it.
    Relu => |layer, input| input.relu(), Some(Activation::Relu);
    /// 1/(1 + e⁻ˣ): slope at most ¼. Fused into a linear layer before it.
    Sigmoid => |layer, input| input.sigmoid(), Some(Activation::Sigmoid);
    /// The hyperbolic tangent: slope at most 1. Fused into a linear layer before it.
    Tanh => |layer, input| input.tanh(), Some(Activation::Tanh);
    /// x·sigmoid(x), also called swish; its minimum is about −0.278. Elfwing et al. 2017.
    Silu => |layer, input| input.silu(), Some(Activation::Silu);
    /// ½x(1 + erf(x/√2)), or its approximation by a tanh. Hendrycks & Gimpel 2016.
    Gelu {
        /// Approximate by a tanh.
        approximate: bool = false,
    } => |layer, input| input.gelu(layer.approximate),
        Some(if layer.approximate { Activation::GeluTanh } else { Activation::Gelu });
    /// x where positive, else slope · x. Maas et al. 2013.
    LeakyRelu {
        /// The slope on the negative side.
        slope: f64 = 0.01,
    } => |layer, input| functions::leaky_relu(input, layer.slope), None;
    /// x where positive, else α(eˣ − 1). Clevert et al. 2015.
    Elu {
        /// Minus the limit on the negative side.
        alpha: f64 = 1.0,
    } => |layer, input| functions::elu(input, layer.alpha), None;
    /// x where positive, else α(e^(x/α) − 1). Barron 2017.
    Celu {
        /// Minus the limit on the negative side; not 0.
        alpha: f64 = 1.0,
    } => |layer, input| functions::celu(input, layer.alpha), None;
    /// The self-normalising ELU. Klambauer et al. 2017.
    Selu => |layer, input| functions::selu(input), None;
    /// ln(1 + e^(βx))/β: a smooth ReLU.
    Softplus {
        /// The steepness; not 0.
        beta: f64 = 1.0,
        /// Where βx is above it, x itself is taken.
        threshold: f64 = 20.0,
    } => |layer, input| functions::softplus_with(input, layer.beta, layer.threshold), None;
    /// x·tanh(softplus(x)). Misra 2019.
    Mish => |layer, input| functions::mish(input), None;
    /// x/(1 + |x|).
    Softsign => |layer, input| functions::softsign(input), None;
    /// ln sigmoid(x).
    LogSigmoid => |layer, input| functions::log_sigmoid(input), None;
    /// min(max(x, low), high).
    Hardtanh {
        /// The lower bound.
        low: f64 = -1.0,
        /// The upper bound.
        high: f64 = 1.0,
    } => |layer, input| input.clamp(layer.low, layer.high), None;
    /// The sigmoid in three straight pieces.
    Hardsigmoid => |layer, input| functions::hardsigmoid(input), None;
    /// x·hardsigmoid(x). Howard et al. 2019.
    Hardswish => |layer, input| functions::hardswish(input), None;
    /// min(max(x, 0), 6).
    Relu6 => |layer, input| functions::relu6(input), None;
    /// x − tanh x.
    Tanhshrink => |layer, input| functions::tanhshrink(input), None;
    /// x brought nearer to 0 by λ, and 0 within it.
    Softshrink {
        /// Up to where the output is 0; not negative.
        lambda: f64 = 0.5,
    } => |layer, input| functions::softshrink(input, layer.lambda), None;
    /// x, but 0 where |x| ≤ λ.
    Hardshrink {
        /// Up to where the output is 0; not negative.
        lambda: f64 = 0.5,
    } => |layer, input| functions::hardshrink(input, layer.lambda), None;
    /// x where it is above a threshold, else a value.
    Threshold {
        /// The threshold.
        threshold: f64 = 0.0,
        /// The output elsewhere.
        value: f64 = 0.0,
    } => |layer, input| functions::threshold(input, layer.threshold, layer.value), None;
    /// exp(x_i/T) / Σ_j exp(x_j/T) along an axis. In front of a cross-entropy leave it out: that takes logits.
    Softmax {
        /// The axis; negative counts from the back.
        axis: isize = -1,
        /// T: towards 0 all goes to the largest element, towards ∞ it is spread evenly. Positive.
        temperature: f64 = 1.0,
    } => |layer, input| functions::softmax_with_temperature(input, layer.axis, layer.temperature), None;
    /// ln softmax(x) along an axis.
    LogSoftmax {
        /// The axis; negative counts from the back.
        axis: isize = -1,
    } => |layer, input| input.log_softmax(layer.axis), None;
    /// softmax(−x) along an axis.
    Softmin {
        /// The axis; negative counts from the back.
        axis: isize = -1,
    } => |layer, input| functions::softmin(input, layer.axis), None;
}

/// Layers that halve an axis: one half lets the other through.
macro_rules! gates {
    ($($(#[$doc:meta])* $name:ident => $function:path;)*) => {$(
        $(#[$doc])*
        #[derive(Module, Clone, Copy, Debug, PartialEq, Eq)]
        #[module(manual)]
        pub struct $name {
            /// The axis that is halved; negative counts from the back.
            pub axis: isize,
        }

        impl Default for $name {
            fn default() -> Self {
                Self { axis: -1 }
            }
        }

        impl Module for $name {
            fn kind(&self) -> &'static str {
                stringify!($name)
            }
            fn output_shape(&self, input: &Shape) -> Option<Shape> {
                let axis = if self.axis < 0 { self.axis + input.rank() as isize } else { self.axis };
                let mut dims = input.dims().to_vec();
                let size = dims.get_mut(usize::try_from(axis).ok()?)?;
                if !size.is_multiple_of(2) {
                    return None;
                }
                *size /= 2;
                Shape::new(&dims).ok()
            }
        }

        impl Forward for $name {
            fn forward(&self, input: &Tensor) -> Result<Tensor> {
                $function(input, self.axis)
            }
        }
    )*};
}

gates! {
    /// a·sigmoid(b) for the halves a and b of an axis. Dauphin et al. 2017.
    Glu => functions::glu;
    /// silu(a)·b for the halves a and b of an axis: behind a linear layer of twice the width it is the gated layer of many
    /// transformers. Shazeer 2020.
    SwiGlu => functions::swiglu;
}

/// x where positive, else weight · x, with a slope that is learned: one for all, or one for each channel (axis 1).
/// He et al. 2015.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Prelu {
    /// The slopes: `[1]` or `[channels]`.
    pub weight: Param,
}

impl Prelu {
    /// One slope for all elements (`channels` 1) or one for each channel, all 0.25 at first.
    ///
    /// # Errors
    /// No channels, a dtype that is no float.
    pub fn new(channels: usize, dtype: DType, device: Device) -> Result<Self> {
        if channels == 0 {
            return Err(Error::argument("prelu", "there are no channels", "Give 1 for one slope for all elements"));
        }
        Ok(Self { weight: Param::new(Tensor::full(channels, 0.25, dtype, device)?)? })
    }
}

impl Module for Prelu {
    fn kind(&self) -> &'static str {
        "Prelu"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        Some(*input)
    }
}

impl Forward for Prelu {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let channels = self.weight.count();
        if channels == 1 {
            return functions::prelu(input, &self.weight);
        }
        if input.rank() < 2 || input.dims()[1] != channels {
            return Err(Error::shape(
                "prelu",
                [*input.shape(), *self.weight.shape()],
                "axis 1 of the input must have one channel for each slope",
                "Make the layer with as many channels as the input has, or with 1 for all",
            ));
        }
        let mut dims = vec![1; input.rank() - 1];
        dims[0] = channels;
        functions::prelu(input, &self.weight.reshape(dims)?)
    }
}
