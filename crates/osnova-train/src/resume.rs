//! A run in a checkpoint and back.

use crate::callback::{Callback, CallbackState, Progress};
use crate::means::Means;
use crate::trainer::{Run, callback_states, inference_device};
use crate::{History, Result, TrainError};
use osnova_checkpoint::Checkpoint;
use osnova_data::{DataLoader, LoaderState};
use osnova_nn::Module;
use osnova_optim::{Optimizer, OptimizerState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const TRAINER: &str = "trainer";
const OPTIMIZER: &str = "optimizer";

/// The part of a checkpoint that is the trainer's.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    progress: Progress,
    in_epoch: bool,
    seconds: f64,
    history: History,
    means: BTreeMap<String, (f64, f64)>,
    loader: LoaderState,
    stop: Option<String>,
    callbacks: BTreeMap<usize, serde_json::Value>,
}

/// The part of a checkpoint that is the optimizer's, but for its tensors.
#[derive(Serialize, Deserialize)]
struct SavedOptimizer {
    optimizer: String,
    learning_rate: f64,
    steps: Vec<(String, u64)>,
}

fn part_of(callback: usize) -> String {
    format!("callback.{callback}")
}

impl Saved {
    /// The run as it stands.
    pub(crate) fn checkpoint(
        run: &mut Run,
        callbacks: &[Box<dyn Callback>],
        model: &dyn Module,
        optimizer: &dyn Optimizer,
    ) -> Result<Checkpoint> {
        let progress = run.progress;
        // The checkpoint counts epochs that are complete.
        let complete = run.history.epochs.len() as u64;
        let mut checkpoint = Checkpoint::new(progress.step, complete);
        checkpoint.put_model(model);
        let state = optimizer.state_dict();
        let OptimizerState { optimizer, learning_rate, steps, tensors } = state;
        checkpoint.put(OPTIMIZER, &SavedOptimizer { optimizer, learning_rate, steps })?;
        checkpoint.put_tensors(OPTIMIZER, tensors)?;
        let mut values = BTreeMap::new();
        for (index, state) in callback_states(callbacks) {
            values.insert(index, state.values);
            checkpoint.put_tensors(&part_of(index), state.tensors)?;
        }
        if let (false, Some(record)) = (run.in_epoch, run.history.last()) {
            for (name, value) in &record.metrics {
                checkpoint.set_metric(name, *value);
            }
        }
        let saved = Self {
            progress,
            in_epoch: run.in_epoch,
            seconds: run.seconds,
            history: run.history.clone(),
            means: if run.in_epoch { run.means.parts()? } else { BTreeMap::new() },
            loader: run.loader,
            stop: run.stop.clone(),
            callbacks: values,
        };
        checkpoint.put(TRAINER, &saved)?;
        Ok(checkpoint)
    }

    /// Gives everything back.
    pub(crate) fn restore(
        checkpoint: &Checkpoint,
        run: &mut Run,
        callbacks: &mut [Box<dyn Callback>],
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        train: &mut DataLoader,
    ) -> Result<()> {
        let device = inference_device("Trainer::resume", model)?;
        let saved: Self = checkpoint.get(TRAINER)?;
        let with_state: Vec<usize> = callback_states(callbacks).map(|(index, _)| index).collect();
        if with_state != saved.callbacks.keys().copied().collect::<Vec<_>>() {
            return Err(TrainError::argument(
                "Trainer::resume",
                format!(
                    "the checkpoint has states of the callbacks at {:?}, the trainer has them at {with_state:?}",
                    saved.callbacks.keys().collect::<Vec<_>>()
                ),
                "Resume with the same callbacks in the same order",
            ));
        }
        train.restore(saved.loader)?;
        checkpoint.restore_model(model)?;
        let SavedOptimizer { optimizer: name, learning_rate, steps } = checkpoint.get(OPTIMIZER)?;
        let tensors = checkpoint.tensors(OPTIMIZER, device)?.into_iter().collect();
        optimizer.load_state_dict(model, &OptimizerState { optimizer: name, learning_rate, steps, tensors })?;
        for (index, values) in saved.callbacks {
            let tensors = checkpoint.tensors(&part_of(index), device)?.into_iter().collect();
            callbacks[index].load_state(CallbackState { values, tensors })?;
        }
        run.progress =
            Progress { max_epochs: run.progress.max_epochs, batches: run.progress.batches, ..saved.progress };
        run.history = saved.history;
        run.means = Means::from_parts(saved.means);
        run.loader = saved.loader;
        run.in_epoch = saved.in_epoch;
        run.seconds = saved.seconds;
        run.stop = saved.stop;
        Ok(())
    }
}
