//! Stopping when a metric no longer improves.

use crate::callback::{Callback, CallbackState, Context};
use crate::history::{is_better, number};
use crate::text::shown;
use crate::{Goal, Result, TrainError};
use osnova_nn::{Module, StateDict, StateDictMismatch};
use osnova_tensor::{Error, Meta};
use serde::{Deserialize, Serialize};

/// Ends training when a metric has not improved for `patience` epochs, and gives the model the weights of the best epoch.
///
/// With validation losses 0.52, 0.35, 0.25, 0.30, 0.35 and patience 2, training ends after epoch 5 and the model has the
/// weights of epoch 3. The best weights are also restored when training ends for another reason.
///
/// ```
/// use osnova_train::EarlyStopping;
///
/// let stopping = EarlyStopping::minimize("validation_loss").patience(10).min_delta(1e-4);
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    monitor: String,
    goal: Goal,
    patience: usize,
    min_delta: f64,
    restore_best: bool,
    state: State,
    /// The best epoch's weights: they share memory with the model until its next step.
    weights: StateDict,
}

/// What a checkpoint holds.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// What is watched: the best of another metric says nothing.
    watches: String,
    state: State,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct State {
    #[serde(with = "number")]
    best: f64,
    best_epoch: usize,
    waited: usize,
}

impl State {
    /// Anything is better than NaN.
    const START: Self = Self { best: f64::NAN, best_epoch: 0, waited: 0 };
}

impl EarlyStopping {
    fn new(monitor: impl Into<String>, goal: Goal) -> Self {
        Self {
            monitor: monitor.into(),
            goal,
            patience: 3,
            min_delta: 0.0,
            restore_best: true,
            state: State::START,
            weights: StateDict::new(),
        }
    }

    /// Watches a metric that should fall, such as `validation_loss`.
    pub fn minimize(monitor: impl Into<String>) -> Self {
        Self::new(monitor, Goal::Lowest)
    }

    /// Watches a metric that should rise, such as `validation_accuracy`.
    pub fn maximize(monitor: impl Into<String>) -> Self {
        Self::new(monitor, Goal::Highest)
    }

    /// After how many epochs in a row without improvement to stop; 3 unless said otherwise, at least 1.
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs.max(1);
        self
    }

    /// An epoch counts as better only if it is by more than this.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta.abs();
        self
    }

    /// Whether the model gets the best epoch's weights in the end; yes unless said otherwise.
    pub fn restore_best(mut self, restore: bool) -> Self {
        self.restore_best = restore;
        self
    }

    /// The best epoch so far, counted from 1, and its value.
    pub fn best(&self) -> Option<(usize, f64)> {
        (self.state.best_epoch > 0).then_some((self.state.best_epoch, self.state.best))
    }

    fn watches(&self) -> String {
        format!("{:?} {}", self.goal, self.monitor)
    }

    /// The state of a callback that watches the same.
    fn saved(&self, values: &serde_json::Value) -> Result<State> {
        let refused =
            |problem| Err(TrainError::argument("EarlyStopping", problem, "Resume with the callbacks of the first run"));
        match Saved::deserialize(values) {
            Ok(saved) if saved.watches == self.watches() => Ok(saved.state),
            Ok(saved) => refused(format!(
                "it watches `{}`, the checkpoint's watched `{}`",
                self.watches(),
                shown(&saved.watches, 64)
            )),
            Err(error) => refused(error.to_string()),
        }
    }

    /// Takes an epoch's value: whether it is the best so far.
    fn judge(&mut self, epoch: usize, value: f64) -> bool {
        let better = is_better(self.goal, value, self.state.best, self.min_delta);
        self.state = if better {
            State { best: value, best_epoch: epoch, waited: 0 }
        } else {
            State { waited: self.state.waited.saturating_add(1), ..self.state }
        };
        better
    }
}

impl Callback for EarlyStopping {
    fn reset(&mut self) {
        self.state = State::START;
        self.weights = StateDict::new();
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(record) = context.history.last() else { return Ok(()) };
        let value = record.monitored("EarlyStopping", &self.monitor)?;
        if self.judge(record.epoch, value) {
            if self.restore_best {
                self.weights = context.model.state_dict();
            }
        } else if self.state.waited >= self.patience {
            let State { best, best_epoch, waited } = self.state;
            let epochs = if waited == 1 { "epoch" } else { "epochs" };
            context.stop(match best_epoch {
                0 => format!("{} was NaN for {waited} {epochs}", self.monitor),
                _ => format!(
                    "{} has not improved for {waited} {epochs} on {best:.6} of epoch {best_epoch}",
                    self.monitor
                ),
            });
        }
        Ok(())
    }

    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.restore_best && !self.weights.is_empty() {
            context.restore(self.state.best_epoch, &self.weights)?;
        }
        Ok(())
    }

    fn state(&self) -> Option<CallbackState> {
        let saved = Saved { watches: self.watches(), state: self.state };
        let values = serde_json::to_value(saved).unwrap_or_default();
        Some(CallbackState { values, tensors: self.weights.clone() })
    }

    fn check_state(&self, state: &CallbackState, model: &dyn Module) -> Result<()> {
        self.saved(&state.values)?;
        if state.tensors.is_empty() {
            return Ok(());
        }
        let own = model.state_dict();
        let expected: Vec<(String, Meta)> =
            own.iter().map(|(name, value)| (name.to_owned(), Meta::new(*value.shape(), value.dtype()))).collect();
        match StateDictMismatch::between(&expected, &state.tensors) {
            mismatch if mismatch.is_empty() => Ok(()),
            mismatch => Err(Box::<Error>::from(mismatch).into()),
        }
    }

    fn load_state(&mut self, state: CallbackState) -> Result<()> {
        self.state = self.saved(&state.values)?;
        self.weights = state.tensors;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After which epoch it stops, and the best one.
    fn run(mut stopping: EarlyStopping, values: &[f64]) -> (Option<usize>, usize) {
        for (epoch, &value) in values.iter().enumerate() {
            stopping.judge(epoch + 1, value);
            if stopping.state.waited >= stopping.patience {
                return (Some(epoch + 1), stopping.state.best_epoch);
            }
        }
        (None, stopping.state.best_epoch)
    }

    #[test]
    fn textbook_28_8() {
        let stopping = || EarlyStopping::minimize("validation_loss").patience(2);
        assert_eq!(run(stopping(), &[0.52, 0.35, 0.25, 0.30, 0.35, 0.1]), (Some(5), 3));
        assert_eq!(run(stopping().patience(3), &[0.52, 0.35, 0.25, 0.30, 0.35]), (None, 3));
    }

    #[test]
    fn goal_patience_and_delta() {
        assert_eq!(run(EarlyStopping::maximize("a").patience(1), &[0.5, 0.6, 0.6]), (Some(3), 2));
        assert_eq!(run(EarlyStopping::minimize("a").patience(2).min_delta(0.1), &[1.0, 0.95, 0.91, 0.5]), (Some(3), 1));
        assert_eq!(run(EarlyStopping::minimize("a").patience(2).min_delta(0.1), &[1.0, 0.95, 0.89, 0.5]), (None, 4));
        // 0 would stop before anything could be compared.
        assert_eq!(run(EarlyStopping::minimize("a").patience(0), &[1.0, 0.9, 0.9]), (Some(3), 2));
    }

    #[test]
    fn nan_is_no_improvement() {
        assert_eq!(run(EarlyStopping::minimize("a").patience(2), &[f64::NAN, 1.0, f64::NAN, 0.9]), (None, 4));
        assert_eq!(run(EarlyStopping::minimize("a").patience(2), &[f64::NAN, f64::NAN]), (Some(2), 0));
    }

    #[test]
    fn the_state_survives_json() {
        let mut stopping = EarlyStopping::minimize("a");
        let through_json = |stopping: &EarlyStopping| {
            let text = stopping.state().unwrap().values.to_string();
            stopping.saved(&serde_json::from_str(&text).unwrap()).unwrap()
        };
        assert!(through_json(&stopping).best.is_nan());
        stopping.judge(1, 0.1 + 0.2);
        stopping.judge(2, 1.0);
        let state = through_json(&stopping);
        assert_eq!((state.best, state.best_epoch, state.waited), (0.1 + 0.2, 1, 1));
        for other in [EarlyStopping::minimize("b"), EarlyStopping::maximize("a")] {
            let error = other.saved(&stopping.state().unwrap().values).unwrap_err().to_string();
            assert!(error.contains("watched `Lowest a`"), "{error}");
        }
        let error = stopping.load_state(CallbackState::default()).unwrap_err();
        assert!(error.to_string().contains("first run"), "{error}");
    }
}
