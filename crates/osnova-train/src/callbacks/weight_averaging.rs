//! Averages of the weights, kept while training goes on.

use crate::callback::{Callback, CallbackState, Context};
use crate::{Result, TrainError};
use osnova_nn::{Module, StateDict};
use osnova_optim::WeightAverage;
use serde::Deserialize;

/// Keeps a [`WeightAverage`], validates it instead of the weights themselves, and gives it to the model in the end.
///
/// Add it after all other callbacks: those before it see the averages at the end of an epoch, so that
/// [`EarlyStopping`](crate::EarlyStopping) keeps the weights that were validated; what it restores in the end then
/// stays. Checkpoints hold the weights themselves, to go on from, and the averages beside them.
///
/// ```
/// use osnova_optim::WeightAverage;
/// use osnova_train::{Trainer, WeightAveraging};
///
/// // An exponential average of the weights after every step …
/// let trainer = Trainer::new(10).callback(WeightAveraging::each_step(WeightAverage::exponential(0.999)));
/// // … or the mean of those at the end of epochs 8, 9 and 10.
/// let trainer = Trainer::new(10).callback(WeightAveraging::each_epoch(WeightAverage::equal()).from_epoch(8));
/// ```
#[derive(Clone, Debug)]
pub struct WeightAveraging {
    average: WeightAverage,
    /// The average as it was given: every run begins with it.
    start: WeightAverage,
    each_step: bool,
    from_epoch: usize,
    /// The model's own weights while it has the averages.
    own: Option<StateDict>,
    /// What a checkpoint held, until there is a model to hold it against.
    loaded: Option<(StateDict, u64)>,
}

impl WeightAveraging {
    fn new(average: WeightAverage, each_step: bool) -> Self {
        Self { start: average.clone(), average, each_step, from_epoch: 1, own: None, loaded: None }
    }

    /// Takes in the weights after every optimizer step: for exponential averages.
    pub fn each_step(average: WeightAverage) -> Self {
        Self::new(average, true)
    }

    /// Takes in the weights after the last step of every epoch: for equal averages.
    pub fn each_epoch(average: WeightAverage) -> Self {
        Self::new(average, false)
    }

    /// Begins with this epoch, counted from 1.
    pub fn from_epoch(mut self, epoch: usize) -> Self {
        self.from_epoch = epoch;
        self
    }

    /// The average so far.
    pub fn average(&self) -> &WeightAverage {
        &self.average
    }
}

impl Callback for WeightAveraging {
    fn reset(&mut self) {
        self.average = self.start.clone();
        self.own = None;
        self.loaded = None;
    }

    fn on_fit_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        if let Some((state, updates)) = self.loaded.take() {
            self.average.load_state_dict(context.model, &state, updates)?;
        }
        Ok(())
    }

    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let progress = context.progress;
        if progress.epoch >= self.from_epoch && (self.each_step || progress.batch == progress.batches) {
            self.average.update(context.model)?;
        }
        Ok(())
    }

    fn on_validation_start(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.own = Some(self.average.swap_in(context.model)?);
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if let Some(own) = self.own.take() {
            context.model.load_state_dict(&own)?;
        }
        Ok(())
    }

    fn on_interrupted(&mut self, context: &mut Context<'_>) {
        // In the middle of a validation the model has the averages. Its own weights fit it: they were taken from it.
        if let Some(own) = self.own.take() {
            let _ = context.model.load_state_dict(&own);
        }
    }

    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if context.restored.is_none() {
            self.average.swap_in(context.model)?;
        }
        Ok(())
    }

    fn state(&self) -> Option<CallbackState> {
        let (tensors, updates) =
            self.loaded.clone().unwrap_or_else(|| (self.average.state_dict(), self.average.updates()));
        Some(CallbackState { values: updates.into(), tensors })
    }

    fn check_state(&self, state: &CallbackState, model: &dyn Module) -> Result<()> {
        let updates = updates(&state.values)?;
        self.average.clone().load_state_dict(model, &state.tensors, updates)?;
        Ok(())
    }

    fn load_state(&mut self, state: CallbackState) -> Result<()> {
        self.loaded = Some((state.tensors, updates(&state.values)?));
        Ok(())
    }
}

fn updates(values: &serde_json::Value) -> Result<u64> {
    u64::deserialize(values).map_err(|error| {
        TrainError::argument("WeightAveraging", error.to_string(), "Resume with the callbacks of the first run")
    })
}
