//! The spine of [Osnova](https://docs.rs/osnova): tensors, operations as data, and the interface every backend offers.
//!
//! One idea carries everything here: **an operation is a value**, [`Op`]. Shape inference ([`infer`]) reads it, a
//! [`Backend`] executes it, autodiff looks up its derivative, the profiler names it, the conformance kit enumerates it.
//! Adding an operation means one variant, one inference rule, one derivative rule, one line in the oracle, and one kernel
//! per backend that wants a fast path.
//!
//! - [`Tensor`] is one non-generic handle of 16 bytes: device, layout, dtype and a backend's own storage behind one allocation.
//! - [`Device`] is a `Copy` handle to a backend that lives as long as the program. Devices wrap devices: autodiff, NaN
//!   checks and profiling are backends that hold another device.
//! - Every fallible operation returns [`Result`]; errors name the operation, shapes and dtypes, and what would fix it.
//! - Random numbers are counter-based ([`random`]): the same seed gives the same numbers everywhere.
//!
//! Limits: a tensor has at most [`MAX_RANK`] dimensions and at most `isize::MAX` bytes. Two inputs of one operation must
//! have the same dtype; only plain numbers adapt (`&x * 2.0`).
//!
//! The crate runs nothing by itself: a backend such as `osnova-cpu` does.
#![forbid(unsafe_code)]

mod backend;
mod checkpoint;
mod custom;
mod decompose;
mod device;
mod dtype;
mod error;
mod gradients;
mod host;
pub mod infer;
mod kind;
mod layout;
mod op;
pub mod random;
mod scalar;
mod shape;
mod tensor;
mod view;

pub use backend::{Backend, Capabilities, Inputs, Outputs, Recompute, Recorder, Wrapper};
pub use checkpoint::{checkpoint, checkpoint_many, checkpoint_with};
pub use custom::{Custom, CustomOp};
pub use decompose::decompose;
pub use device::Device;
pub use dtype::{DType, DTypeSet, Element};
pub use error::{Error, Result};
pub use gradients::{Gradients, NodeId};
pub use half::{bf16, f16};
pub use host::HostData;
pub use kind::OpKind;
pub use layout::{Layout, Strides};
pub use op::{
    Activation, ArgReduction, Binary, BinaryCrossEntropy, Comparison, CrossEntropy, LayerNorm, Meta, Metas, Op,
    Optimize, Reduction, ReductionKind, SliceRange, Unary,
};
pub use random::Generator;
pub use scalar::{Real, Scalar};
pub use shape::{Axes, IntoAxes, IntoReshape, IntoShape, MAX_RANK, Shape};
pub use tensor::{NestedArray, Operand, Tensor};
pub use view::{view, view_layout};
