//! Reverse-mode automatic differentiation for Osnova, as a device that wraps a device.
#![forbid(unsafe_code)]

mod backward;
mod checked;
mod device;
mod functional;
mod gradcheck;
mod node;
mod profiled;
mod rules;

pub use checked::CheckedDevice;
pub use device::AutodiffDevice;
pub use functional::{Pullback, grad, hessian, hvp, jacobian, value_and_grad, vjp};
pub use gradcheck::{GradcheckError, Place, Settings, gradcheck, gradgradcheck};
pub use profiled::{OperationProfile, ProfiledDevice, Report};
