//! The layers.

mod activations;
mod checkpointed;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;
mod sequential;
mod shaping;

pub use activations::{
    Celu, Elu, Gelu, Hardsigmoid, Hardswish, Hardtanh, LeakyRelu, LogSigmoid, LogSoftmax, Mish, Prelu, Relu, Relu6,
    Selu, Sigmoid, Silu, Softmax, Softmin, Softplus, Softsign, Tanh,
};
pub use checkpointed::Checkpointed;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use layer_norm::{LayerNorm, LayerNormOptions};
pub use linear::{Linear, LinearOptions};
pub use sequential::Sequential;
pub use shaping::{Flatten, Identity};
