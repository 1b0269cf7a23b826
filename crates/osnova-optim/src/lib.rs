//! Optimizers, learning-rate schedules and gradient clipping for Osnova.
//!
//! - [`Optimizer`]: [`Sgd`]; [`AdaGrad`], [`RmsProp`]; [`Adam`], [`AdamW`], [`NAdam`], [`RAdam`]; [`Lion`]. A step is one
//!   operation for the whole model, which updates parameters and moments in place. [`Adafactor`] saves memory, [`Lbfgs`]
//!   sees the whole data set; both are formulas on tensors.
//! - [`Schedule`]: the learning rate as a pure function of the step. [`Plateau`]: as a function of how a metric goes.
//! - [`WeightAverage`]: exponential or equal averages of the weights.
//! - [`clip_by_norm`] and [`clip_by_value`] keep gradients in bounds, on the device; [`accumulate`] adds them up.
//!
//! ```
//! use osnova_autodiff::AutodiffDevice;
//! use osnova_cpu::CpuDevice;
//! use osnova_nn::{Forward, Linear};
//! use osnova_optim::{AdamW, Optimizer};
//! use osnova_tensor::{Device, Generator, Tensor};
//!
//! let device = Device::cpu().autodiff();
//! let mut model = Linear::new(2, 1, &Generator::new(0), device)?;
//! let mut optimizer = AdamW::new(0.05);
//! let input = Tensor::new([[0.0f32, 1.0], [1.0, 0.0], [1.0, 1.0]], device)?;
//! let target = Tensor::new([[1.0f32], [2.0], [3.0]], device)?;
//! for _ in 0..300 {
//!     let loss = (model.forward(&input)? - &target)?.square()?.mean(.., false)?;
//!     optimizer.step(&mut model, &loss.backward()?)?;
//! }
//! let error = (model.forward(&input)? - &target)?.abs()?.max(.., false)?.item()?;
//! assert!(error < 0.1, "{error}");
//! # Ok::<(), Box<osnova_tensor::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod adafactor;
mod adagrad;
mod adam;
mod adam_variants;
mod average;
mod clip;
mod core;
mod lbfgs;
mod lion;
mod optimizer;
mod plateau;
pub mod schedules;
mod sgd;

pub use adafactor::Adafactor;
pub use adagrad::{AdaGrad, RmsProp};
pub use adam::{Adam, AdamW};
pub use adam_variants::{NAdam, RAdam};
pub use average::WeightAverage;
pub use clip::{Norm, accumulate, clip_by, clip_by_norm, clip_by_value, total_norm};
pub use core::Group;
pub use lbfgs::Lbfgs;
pub use lion::Lion;
pub use optimizer::{Optimizer, OptimizerState};
pub use plateau::{Plateau, PlateauState};
pub use schedules::Schedule;
pub use sgd::Sgd;

/// The code in the book's page runs.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/optimizers.md")]
struct Book;
