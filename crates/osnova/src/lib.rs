#![doc = include_str!("../../../README.md")]
//!
//! # The crates behind this one
//!
//! | module | crate | what |
//! |---|---|---|
//! | [`tensor`] | `osnova-tensor` | tensors, operations as data, devices, errors, random streams |
//! | [`cpu`] | `osnova-cpu` | the default backend (feature `cpu`) |
//! | [`autodiff`] | `osnova-autodiff` | gradients, `grad`, `jvp`, `jacobian`, `hessian`, checkpoints, gradient checks, the `checked` and `profiled` devices |
//! | [`nn`] | `osnova-nn` | modules, layers, losses, initialisers |
//! | [`optim`] | `osnova-optim` | optimizers, schedules, clipping |
//! | [`data`] | `osnova-data` | data sets, readers, preprocessing, splits, loaders |
//! | [`checkpoint`] | `osnova-checkpoint` | safetensors, atomic and verified checkpoints |
//! | `vulkan` | `osnova-vulkan` | GPUs, by Vulkan (feature `vulkan`) |
//! | [`generative`] | `osnova-generative` | autoencoders: plain, sparse, denoising, variational; their evaluation and pictures |
//! | [`train`] | `osnova-train` | the trainer, callbacks, metrics, plots, cross-validation |
#![forbid(unsafe_code)]

pub use osnova_autodiff as autodiff;
pub use osnova_checkpoint as checkpoint;
#[cfg(feature = "cpu")]
pub use osnova_cpu as cpu;
pub use osnova_data as data;
pub use osnova_generative as generative;
pub use osnova_optim as optim;
pub use osnova_tensor as tensor;
pub use osnova_train as train;
#[cfg(feature = "vulkan")]
pub use osnova_vulkan as vulkan;

mod default_device;
pub use default_device::{default_device, device};

/// Modules, layers, losses and initialisers: `osnova-nn`, with a derive macro that works through this crate.
pub mod nn {
    pub use osnova_nn::*;
}

/// What almost every program needs: `use osnova::prelude::*;`.
pub mod prelude {
    pub use crate::autodiff::{AutodiffDevice, CheckedDevice, ForwardDevice, ProfiledDevice};
    #[cfg(feature = "cpu")]
    pub use crate::cpu::CpuDevice;
    pub use crate::nn::{
        BatchNorm, Dropout, Forward, Head, LayerNorm, Linear, Mlp, Module, Relu, Residual, Sequential, Sigmoid, Tanh,
    };
    pub use crate::optim::{Adam, AdamW, Optimizer, Sgd};
    pub use crate::tensor::{Activation, DType, Device, Generator, Gradients, Result, Tensor};
    #[cfg(feature = "vulkan")]
    pub use crate::vulkan::VulkanDevice;
}
