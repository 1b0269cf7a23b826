//! What may look on, step in or stop while a trainer trains.

use crate::doctor::{ActivationStatistics, Diagnosis, Finding};
use crate::{History, Result};
use osnova_checkpoint::Checkpoint;
use osnova_data::TensorBatch;
use osnova_nn::{Module, StateDict};
use osnova_optim::Optimizer;
use osnova_tensor::Gradients;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::path::Path;
use std::time::Duration;

/// Where training stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The epoch, counted from 1; 0 before the first.
    pub epoch: usize,
    /// How many epochs there are at most.
    pub max_epochs: usize,
    /// Batches of this epoch that are done.
    pub batch: usize,
    /// Batches an epoch.
    pub batches: usize,
    /// Optimizer steps of the whole run that are done.
    pub step: u64,
    /// The mean training loss of this epoch so far.
    #[serde(with = "crate::history::number")]
    pub loss: f64,
    /// The learning rate of the last step.
    #[serde(with = "crate::history::number")]
    pub learning_rate: f64,
}

/// When a checkpoint may be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The optimizer has made a step.
    Step,
    /// An epoch has ended, validation included.
    Epoch,
}

/// What a callback sees and may change.
pub struct Context<'a> {
    /// Where training stands.
    pub progress: Progress,
    /// The epochs so far. At [`Callback::on_epoch_end`] the last one is the epoch that ends.
    pub history: &'a History,
    /// How long `fit` has been running.
    pub elapsed: Duration,
    /// The model.
    pub model: &'a mut (dyn Module + 'a),
    /// The optimizer.
    pub optimizer: &'a mut (dyn Optimizer + 'a),
    pub(crate) stop: &'a mut Option<String>,
    pub(crate) restored: &'a mut Option<usize>,
}

impl Context<'_> {
    /// Ends training after this step or epoch. The first reason given is the one the history records.
    pub fn stop(&mut self, reason: impl Into<String>) {
        self.stop.get_or_insert_with(|| reason.into());
    }

    /// Whether a callback has asked to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Gives the model the weights of an earlier epoch, as the history then records.
    ///
    /// # Errors
    /// The weights do not fit the model.
    pub fn restore(&mut self, epoch: usize, weights: &StateDict) -> Result<()> {
        self.model.load_state_dict(weights)?;
        *self.restored = Some(epoch);
        Ok(())
    }
}

/// What a step has computed when the optimizer is about to act on it.
#[derive(Debug)]
#[non_exhaustive]
pub struct StepResults<'a> {
    /// The batch; with [accumulated batches](crate::Trainer::accumulate_batches) the last one.
    pub batch: &'a TensorBatch,
    /// Its loss.
    pub loss: f64,
    /// The gradients of the model's parameters, before they are clipped.
    pub gradients: &'a Gradients,
    /// What the activation functions gave for the batch, if a callback [asked for it](Callback::watches_activations).
    pub activations: &'a [ActivationStatistics],
    /// What the task [found wrong](crate::TrainingStep::examine), at the same steps.
    pub findings: &'a [Finding],
    /// Over how many elements of a sample the loss [is summed](crate::StepOutput::summed_over).
    pub terms: usize,
}

/// What a callback must remember to go on after a break.
#[derive(Clone, Debug, Default)]
pub struct CallbackState {
    /// Numbers and words.
    pub values: serde_json::Value,
    /// Tensors, such as the best weights so far.
    pub tensors: StateDict,
}

/// Something that is told of each stage of training. Every method does nothing unless it is written; an error ends
/// training. Callbacks are called in the order in which the trainer was given them.
///
/// ```
/// use osnova_train::{Callback, Context, Result};
///
/// /// Ends training when there is no more time.
/// struct TimeLimit(std::time::Duration);
///
/// impl Callback for TimeLimit {
///     fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
///         if context.elapsed > self.0 {
///             context.stop("the time is up");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback: Any + Send {
    /// What messages and checkpoints call it: the name of its type, unless written otherwise.
    fn name(&self) -> &str {
        let path = std::any::type_name::<Self>();
        let path = path.split_once('<').map_or(path, |(path, _)| path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// A run begins, which has nothing to do with those before: what they left is forgotten, what the callback was built
    /// with stays. A run that resumes then gets its own [state](Self::load_state).
    ///
    /// A callback that remembers anything from step to step must write this, or a trainer that is used twice carries the
    /// first run's best value, weights or waiting time into the second.
    fn reset(&mut self) {}

    /// Training begins (or goes on after a break).
    ///
    /// # Errors
    /// Any: they end training.
    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// An epoch begins.
    ///
    /// # Errors
    /// Any: they end training.
    fn on_epoch_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Whether the forward pass of this step, counted from 1, should show what its activation functions give, and the task
    /// [examine](crate::TrainingStep::examine) itself.
    fn watches_activations(&self, step: u64) -> bool {
        let _ = step;
        false
    }

    /// The gradients of a step are there; next they are clipped, and the optimizer acts on them.
    ///
    /// # Errors
    /// Any: they end training.
    fn on_gradients(&mut self, context: &mut Context<'_>, results: &StepResults<'_>) -> Result<()> {
        let _ = (context, results);
        Ok(())
    }

    /// The optimizer has made a step.
    ///
    /// # Errors
    /// Any: they end training.
    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// The batches of an epoch are done and its validation begins. What is changed in the model here is validated.
    ///
    /// # Errors
    /// Any: they end training.
    fn on_validation_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// An epoch has ended, validation included.
    ///
    /// # Errors
    /// Any: they end training.
    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// The loss, or a parameter, has become NaN or infinite, which ends training with
    /// [`TrainError::NotFinite`](crate::TrainError::NotFinite): its last words are `tensor`, the first bad tensor or the
    /// operation that made it.
    ///
    /// # Errors
    /// Any: `fit` returns them.
    fn on_not_finite(&mut self, context: &mut Context<'_>, loss: f64, tensor: &str) -> Result<()> {
        let _ = (context, loss, tensor);
        Ok(())
    }

    /// Training ends by an error, or by a panic that goes on after this: what was lent to the model is put back.
    fn on_interrupted(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }

    /// Training has ended, but not by an error.
    ///
    /// # Errors
    /// Any: `fit` returns them.
    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let _ = context;
        Ok(())
    }

    /// Whether a checkpoint should be made now. It is asked after all callbacks have had their turn.
    fn wants_checkpoint(&self, stage: Stage, context: &Context<'_>) -> bool {
        let _ = (stage, context);
        false
    }

    /// The checkpoint that was [wanted](Self::wants_checkpoint), of the whole run.
    ///
    /// # Errors
    /// Any: they end training.
    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// The checkpoint that was saved last, to be named in errors.
    fn last_checkpoint(&self) -> Option<&Path> {
        None
    }

    /// What the callback has found wrong, for the history.
    fn diagnoses(&self) -> &[Diagnosis] {
        &[]
    }

    /// What a checkpoint must hold for the callback to go on as if there had been no break; `None` if nothing.
    fn state(&self) -> Option<CallbackState> {
        None
    }

    /// Whether [`load_state`](Self::load_state) will take this state, for a run with this model. It is asked before anything
    /// is changed, so that a checkpoint that does not fit leaves everything as it was.
    ///
    /// # Errors
    /// The state is of another callback, or of another model.
    fn check_state(&self, state: &CallbackState, model: &dyn Module) -> Result<()> {
        let _ = (state, model);
        Ok(())
    }

    /// Takes over what [`state`](Self::state) gave, after [`reset`](Self::reset).
    ///
    /// # Errors
    /// The state is of another callback.
    fn load_state(&mut self, state: CallbackState) -> Result<()> {
        let _ = state;
        Ok(())
    }
}
