//! What every optimizer offers.

use crate::core::not_negative;
use osnova_nn::{Module, StateDict};
use osnova_tensor::{Error, Gradients, Result};
use std::fmt::Debug;

/// Changes a model's parameters so that a loss falls.
///
/// An optimizer belongs to one model: it keeps its state by the order of the parameters, and finds out at the first step.
/// A model of the same structure (a copy, or one loaded from a checkpoint) can take its place.
pub trait Optimizer: Debug + Send {
    /// A short name, for example `adam`.
    fn name(&self) -> &'static str;

    /// One step against the gradients. Parameters that are frozen or have no gradient stay as they are.
    ///
    /// The gradients are only read, so that they can be looked at afterwards: parameters and moments, which nobody else
    /// holds, are updated in place all the same.
    ///
    /// # Errors
    /// No gradient for any parameter, gradients of another shape or dtype, another model than before, settings out of
    /// range (a learning rate that is NaN, say): nothing is changed then. A device that fails in the middle of the update
    /// may lose the parameters; the message says so.
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()>;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next steps, as a [`Schedule`](crate::Schedule) gives it. Groups keep their factor.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// Everything that the next steps depend on and that the settings do not say. Shares the tensors.
    fn state_dict(&self) -> OptimizerState;

    /// Takes over the state of an optimizer of the same kind, for this model: training goes on bit by bit.
    ///
    /// # Errors
    /// Another kind of optimizer, a learning rate that none can be, or tensors that do not fit the model, all listed.
    /// Nothing is changed then.
    fn load_state_dict(&mut self, model: &dyn Module, state: &OptimizerState) -> Result<()>;
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()> {
        (**self).step(model, gradients)
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }
    fn state_dict(&self) -> OptimizerState {
        (**self).state_dict()
    }
    fn load_state_dict(&mut self, model: &dyn Module, state: &OptimizerState) -> Result<()> {
        (**self).load_state_dict(model, state)
    }
}

/// The state of an optimizer, in parts that a file can hold.
#[derive(Clone, Debug, Default)]
pub struct OptimizerState {
    /// The optimizer's [name](Optimizer::name).
    pub optimizer: String,
    /// The learning rate of the next step.
    pub learning_rate: f64,
    /// How many steps each parameter has taken, in the model's order; those that took none are left out.
    pub steps: Vec<(String, u64)>,
    /// The state tensors, named after their parameters: `hidden.weight.first_moment`. For parameters of `f16` and `bf16`
    /// they are `f32`.
    pub tensors: StateDict,
}

impl OptimizerState {
    /// Finds what no optimizer of this name can go on from.
    pub(crate) fn check(&self, name: &'static str) -> Result<()> {
        if self.optimizer != name {
            return Err(Error::argument(
                "load_state_dict",
                format!("the state is of {}, the optimizer is {name:?}", quoted(&self.optimizer)),
                "Load it into the same kind of optimizer, or start this one afresh",
            ));
        }
        not_negative("load_state_dict", "the learning rate of the state", self.learning_rate)
    }
}

/// A name out of a file: control characters escaped, and not longer than a line.
fn quoted(name: &str) -> String {
    const LONGEST: usize = 60;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}
