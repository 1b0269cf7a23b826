//! Automatic differentiation for Osnova, in reverse and in forward mode, each as a device that wraps a device.
//!
//! ```
//! use osnova_autodiff::AutodiffDevice;
//! use osnova_reference::ReferenceDevice;
//! use osnova_tensor::{Device, Tensor};
//!
//! // ∇(x₁² + 2x₂²) = (2x₁, 4x₂)
//! let device = Device::reference().autodiff();
//! let x = Tensor::new([3.0f32, -5.0], device)?.tracked()?;
//! let scale = Tensor::new([1.0f32, 2.0], device)?;
//! let loss = (x.square()? * scale)?.sum(.., false)?;
//! let gradients = loss.backward()?;
//! assert_eq!(gradients.get(&x).unwrap().to_vec::<f32>()?, [6.0, -20.0]);
//! # Ok::<(), Box<osnova_tensor::Error>>(())
//! ```
//!
//! What is here:
//! - [`AutodiffDevice::autodiff`]: the recording device over any other; over itself for second derivatives.
//! - [`ForwardDevice::forward_mode`]: the device whose tensors carry tangents ([`Dual`]); it nests with the other in any order.
//! - [`grad`], [`value_and_grad`], [`vjp`], [`jvp`], [`jacobian`], [`jacobian_forward`], [`hessian`], [`hvp`]: derivatives of functions, which nest.
//! - [`checkpoint`]: a stretch of the record that is computed again instead of being kept.
//! - [`gradcheck`], [`gradgradcheck`]: gradients held against central differences.
//! - [`CheckedDevice::checked`]: stops at the first NaN or infinity; [`ProfiledDevice::profiled`]: counts and times operations.
//!
//! How it is made:
//! - **No list of operations hangs on the device.** A tensor holds the node that made it, a node its inputs' nodes; a record that nobody walks goes with
//!   its last tensor. Nodes are numbered as they are made, so a backward pass takes the largest number first: no sorting, no marks, no recursion,
//!   and dropping a record does not recurse either.
//! - **Rules stand in tables by family** (`src/rules`), each row what the derivative reads and its formula on tensors. A node keeps only what
//!   is read, and a backward pass lets go of it at once; after it the parameters can be updated in place even while the loss lives.
//! - **Gradients are tensors of the inner device**, made by its operations; if that device records too they are differentiable.
//! - **Broadcasting is an operation.** An input that is repeated to its partner's shape is expanded on the record, so that element-wise
//!   rules see equal shapes. Constants stay as they are.
//! - **Forward mode has a table too** (`src/rules/tangent.rs`), most of it drawn from the reverse one: a diagonal Jacobian is its own transpose, a linear
//!   operation its own derivative.
//! - **Composites** have a rule where it pays (linear, softmax, losses, layer norm …), else they are recorded by their parts.
//!
//! Limits: derivatives are real and of floats. A second backward pass over one record needs
//! [`backward_retaining`](osnova_tensor::Tensor::backward_retaining). Devices that differentiate are the outermost:
//! [`checked`](CheckedDevice::checked) and [`profiled`](ProfiledDevice::profiled) on one of them go inside it. A device that is checked inside and tensors of one that is not do not mix.
#![forbid(unsafe_code)]

mod backward;
mod checked;
mod checkpoint;
mod device;
mod forward;
mod functional;
mod gradcheck;
mod node;
mod profiled;
mod pushforward;
mod rules;

pub use checked::CheckedDevice;
pub use device::AutodiffDevice;
pub use forward::{Dual, ForwardDevice};
pub use functional::{Pullback, grad, hessian, hvp, jacobian, value_and_grad, vjp};
pub use gradcheck::{GradcheckError, Place, Settings, gradcheck, gradgradcheck};
pub use osnova_tensor::{checkpoint, checkpoint_many, checkpoint_with};
pub use profiled::{OperationProfile, ProfiledDevice, Report};
pub use pushforward::{directional_derivative, jacobian_forward, jvp};

/// The code in the book's pages runs.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/autodiff.md")]
    struct Autodiff;
    #[doc = include_str!("../../../docs/matrix-calculus.md")]
    struct MatrixCalculus;
    #[doc = include_str!("../../../docs/backpropagation.md")]
    struct Backpropagation;
}
