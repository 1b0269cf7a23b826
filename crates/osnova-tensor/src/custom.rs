//! Operations defined in other crates.

use crate::{Inputs, Meta, Metas, Outputs, Result, Tensor};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An operation from a user's crate: its shape rule, how to compute it, and its derivative.
///
/// It is a composite: [`forward`](Self::forward) is written on tensors and so runs on any device; a backend may claim it
/// by its name and run a kernel instead.
pub trait CustomOp: Debug + Send + Sync {
    /// The name for errors, traces and profiles.
    fn name(&self) -> &'static str;

    /// The shapes and dtypes of the outputs.
    ///
    /// # Errors
    /// Whatever is wrong with the inputs.
    fn infer(&self, inputs: &[Meta]) -> Result<Metas>;

    /// The outputs. Tensors of half types come as they are, for here and in [`backward`](Self::backward) each operation rounds: what takes several
    /// steps is best computed in `f32` ([`Tensor::to_dtype`]) and rounded once, as composites are. To run code of your own on the values, use [`Tensor::to_vec`] and [`Tensor::from_vec`].
    ///
    /// # Errors
    /// Whatever went wrong.
    fn forward(&self, inputs: Inputs) -> Result<Outputs>;

    /// The gradient for each input (`None` where there is none), from the gradient of each output (`None` where nothing
    /// flows back). The tensors live on the device inside the recording one.
    ///
    /// `Ok(None)`, the default, means that there is no rule: gradients then flow through the tensor operations of [`forward`](Self::forward).
    ///
    /// # Errors
    /// Whatever went wrong.
    fn backward(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        gradients: &[Option<Tensor>],
    ) -> Result<Option<Vec<Option<Tensor>>>> {
        let _ = (inputs, outputs, gradients);
        Ok(None)
    }

    /// Whether [`backward`](Self::backward) gives gradients.
    fn has_backward(&self) -> bool {
        false
    }
}

/// A shared [`CustomOp`]. Two are equal if they are the same object.
#[derive(Clone, Debug)]
pub struct Custom(Arc<dyn CustomOp>);

impl Custom {
    /// Wraps an operation.
    pub fn new(operation: impl CustomOp + 'static) -> Self {
        Self(Arc::new(operation))
    }

    /// The operation's name.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// The operation.
    pub fn operation(&self) -> &dyn CustomOp {
        &*self.0
    }

    /// Runs the operation on tensors, at least one.
    ///
    /// # Errors
    /// Whatever the operation reports.
    pub fn apply(&self, inputs: impl IntoIterator<Item = Tensor>) -> Result<Outputs> {
        crate::tensor::dispatch(&crate::Op::Custom(self.clone()), inputs.into_iter().collect())
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).cast::<()>().hash(state);
    }
}
