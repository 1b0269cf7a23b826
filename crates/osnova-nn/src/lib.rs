//! Modules, layers, losses and initialisers for Osnova.
//!
//! - [`Module`] is what a model is: `#[derive(Module)]` finds its parameters and names them as PyTorch does.
//! - [`Param`] is a tensor that is trained, [`Buffer`] one that is only saved.
//! - [`Forward`] is a layer's forward pass; [`Sequential`] runs layers one after another and fuses a linear layer with the
//!   activation behind it.
//! - [`BatchNorm`] and its kin keep signals in range, [`Residual`] lets gradients past a layer, [`Mlp`] is the whole perceptron.
//! - [`losses`] holds the losses as functions and structs, [`functions`] the activation functions.
//! - [`Initializer`] draws the first values of parameters from a seeded generator.
//!
//! Layers are made on a device. On a recording one (`device.autodiff()`) their parameters are tracked, and
//! `loss.backward()?` gives the gradients.
#![forbid(unsafe_code)]

// The derive macro writes `::osnova_nn`, in this crate too.
extern crate self as osnova_nn;

pub mod functions;
mod initializer;
mod layers;
pub mod losses;
mod module;
mod param;
mod state;
mod summary;
mod visit;
mod wide;

pub use initializer::{Fan, Initializer, Nonlinearity};
pub use layers::*;
pub use module::{Forward, Layer, Module};
pub use osnova_nn_derive::Module;
pub use param::{Buffer, Mode, Param};
pub use state::{StateDict, StateDictMismatch};
pub use summary::{Summary, SummaryRow};
pub use visit::{Segment, Visit, Visitor, VisitorMut};

/// The code in the book's chapters runs.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/layers.md")]
    struct Layers;
    #[doc = include_str!("../../../docs/activations.md")]
    struct Activations;
    #[doc = include_str!("../../../docs/losses.md")]
    struct Losses;
    #[doc = include_str!("../../../docs/initialisation.md")]
    struct Initialisation;
    #[doc = include_str!("../../../docs/normalisation.md")]
    struct Normalisation;
}
