//! A learning rate that falls when a metric no longer improves.

use crate::callback::{Callback, CallbackState, Context};
use crate::history::number;
use crate::text::shown;
use crate::{Result, TrainError};
use osnova_nn::Module;
use osnova_optim::{Plateau, PlateauState};
use osnova_tensor::Error;
use serde::{Deserialize, Serialize};

/// Lowers the optimizer's learning rate when a metric of the epochs has not improved, by the rules of a [`Plateau`].
/// PyTorch and Lightning call it `ReduceLROnPlateau`.
///
/// A trainer with a schedule refuses it: the schedule sets the learning rate before every step.
///
/// ```
/// use osnova_optim::Plateau;
/// use osnova_train::{ReduceOnPlateau, Trainer};
///
/// let plateau = Plateau::minimize().factor(0.5).patience(3).minimum(1e-5);
/// let trainer = Trainer::new(100).callback(ReduceOnPlateau::new("validation_loss", plateau));
/// ```
#[derive(Clone, Debug)]
pub struct ReduceOnPlateau {
    monitor: String,
    plateau: Plateau,
    /// What the plateau had seen when it was given: every run begins with it.
    start: PlateauState,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    /// The metric that is watched: the best of another one says nothing.
    monitor: String,
    /// NaN before the first value.
    #[serde(with = "number")]
    best: f64,
    waited: u64,
    cooldown: u64,
}

impl ReduceOnPlateau {
    /// Watches a metric such as `validation_loss`.
    pub fn new(monitor: impl Into<String>, plateau: Plateau) -> Self {
        Self { monitor: monitor.into(), start: plateau.state(), plateau }
    }
}

impl ReduceOnPlateau {
    /// The state of a callback that watches the same.
    fn saved(&self, values: &serde_json::Value) -> Result<Saved> {
        let refused = |problem| {
            Err(TrainError::argument("ReduceOnPlateau", problem, "Resume with the callbacks of the first run"))
        };
        match Saved::deserialize(values) {
            Ok(saved) if saved.monitor == self.monitor => Ok(saved),
            Ok(saved) => refused(format!(
                "it watches `{}`, the checkpoint's watched `{}`",
                self.monitor,
                shown(&saved.monitor, 64)
            )),
            Err(error) => refused(error.to_string()),
        }
    }
}

impl Callback for ReduceOnPlateau {
    fn reset(&mut self) {
        self.plateau.load_state(self.start);
    }

    fn on_fit_start(&mut self, _: &mut Context<'_>) -> Result<()> {
        self.plateau.check().map_err(Box::<Error>::into)
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let Some(record) = context.history.last() else { return Ok(()) };
        let value = record.monitored("ReduceOnPlateau", &self.monitor)?;
        let learning_rate = self.plateau.observe(value, context.optimizer.learning_rate());
        context.optimizer.set_learning_rate(learning_rate);
        Ok(())
    }

    fn state(&self) -> Option<CallbackState> {
        let PlateauState { best, waited, cooldown } = self.plateau.state();
        let saved = Saved { monitor: self.monitor.clone(), best: best.unwrap_or(f64::NAN), waited, cooldown };
        Some(CallbackState { values: serde_json::to_value(saved).unwrap_or_default(), ..CallbackState::default() })
    }

    fn check_state(&self, state: &CallbackState, _: &dyn Module) -> Result<()> {
        self.saved(&state.values).map(|_| ())
    }

    fn load_state(&mut self, state: CallbackState) -> Result<()> {
        let Saved { best, waited, cooldown, .. } = self.saved(&state.values)?;
        self.plateau.load_state(PlateauState { best: (!best.is_nan()).then_some(best), waited, cooldown });
        Ok(())
    }
}
