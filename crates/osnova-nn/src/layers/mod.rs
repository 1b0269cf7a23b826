//! The layers.

mod activations;
mod batch_norm;
mod checkpointed;
mod dropout;
mod embedding;
mod group_norm;
mod layer_norm;
mod linear;
mod mlp;
mod residual;
mod rms_norm;
mod sequential;
mod shaping;

pub use activations::{
    Celu, Elu, Gelu, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyRelu, LogSigmoid, LogSoftmax, Mish, Prelu,
    Relu, Relu6, Selu, Sigmoid, Silu, Softmax, Softmin, Softplus, Softshrink, Softsign, SwiGlu, Tanh, Tanhshrink,
    Threshold,
};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormOptions};
pub use checkpointed::Checkpointed;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use group_norm::{GroupNorm, GroupNormOptions, InstanceNorm, InstanceNormOptions};
pub use layer_norm::{LayerNorm, LayerNormOptions};
pub use linear::{Linear, LinearOptions};
pub use mlp::{Head, Mlp, MlpOptions, Normalisation};
pub use residual::Residual;
pub use rms_norm::{RmsNorm, RmsNormOptions};
pub use sequential::Sequential;
pub use shaping::{Flatten, Identity};
