//! A run in a checkpoint and back.

use crate::callback::{Callback, CallbackState, Progress};
use crate::means::Means;
use crate::trainer::{Run, inference_device};
use crate::{History, Result, TrainError, text};
use osnova_checkpoint::Checkpoint;
use osnova_data::{DataLoader, Fingerprint, LoaderState};
use osnova_nn::Module;
use osnova_optim::Optimizer;
use osnova_tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const OPERATION: &str = "Trainer::resume";
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
    data: DataRecord,
    stop: Option<String>,
    /// Those that have a state, in their order.
    callbacks: Vec<SavedCallback>,
}

#[derive(Serialize, Deserialize)]
struct SavedCallback {
    name: String,
    values: serde_json::Value,
}

/// Which data a run trains and validates on: those of another split would be the test set of the one that decided
/// everything so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataRecord {
    train: Fingerprint,
    validation: Option<Fingerprint>,
}

impl DataRecord {
    pub(crate) fn of(train: &DataLoader, validation: Option<&DataLoader>) -> Result<Self> {
        let validation = validation.map(DataLoader::fingerprint).transpose()?;
        Ok(Self { train: train.fingerprint()?, validation })
    }

    /// Fails unless `own` are the same data.
    fn check(self, own: Self) -> Result<()> {
        let problem = if self.train != own.train {
            "the training data are not those of the checkpoint: a model that has seen other samples would be trained on, \
             and tested on what it has seen"
        } else {
            match (self.validation, own.validation) {
                (saved, own) if saved == own => return Ok(()),
                (Some(_), None) => "the checkpoint's run is validated, this one has no validation data",
                (None, _) => "the checkpoint's run has no validation data, this one is validated",
                _ => "the validation data are not those of the checkpoint, by which the best epoch was chosen so far",
            }
        };
        let advice = "Resume with the same files, split, seeds and preprocessing, or begin a new run";
        Err(TrainError::argument(OPERATION, problem, advice))
    }
}

fn part_of(callback: usize) -> String {
    format!("callback.{callback}")
}

/// The places of the callbacks that have a state.
fn with_state(callbacks: &[Box<dyn Callback>]) -> impl Iterator<Item = (usize, CallbackState)> + '_ {
    callbacks.iter().enumerate().filter_map(|(place, callback)| Some((place, callback.state()?)))
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
        checkpoint.put_optimizer(OPTIMIZER, optimizer)?;
        let mut states = Vec::new();
        for (number, (place, state)) in with_state(callbacks).enumerate() {
            states.push(SavedCallback { name: callbacks[place].name().to_owned(), values: state.values });
            checkpoint.put_tensors(&part_of(number), state.tensors)?;
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
            data: run.data()?,
            stop: run.stop.clone(),
            callbacks: states,
        };
        checkpoint.put(TRAINER, &saved)?;
        Ok(checkpoint)
    }

    /// Gives everything back, or changes nothing: all that can be checked is checked first, and what is refused later is
    /// taken back.
    pub(crate) fn restore(
        checkpoint: &Checkpoint,
        run: &mut Run,
        callbacks: &mut [Box<dyn Callback>],
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        train: &mut DataLoader,
    ) -> Result<()> {
        let device = inference_device(OPERATION, model)?;
        let saved: Self = checkpoint.get(TRAINER)?;
        train.check_state(saved.loader)?;
        saved.check(checkpoint, run)?;
        saved.data.check(run.data()?)?;
        checkpoint.check_model(model)?;
        let states = saved.callback_states(checkpoint, callbacks, model, device)?;

        let mut before = Checkpoint::new(0, 0);
        before.put_model(model);
        let optimizer_before = optimizer.state_dict();
        checkpoint.restore(model, optimizer)?;
        if let Err(error) = load(callbacks, states) {
            // Their own state fits them.
            let _ = before.restore_model(model);
            let _ = optimizer.load_state_dict(model, &optimizer_before);
            return Err(error);
        }
        train.restore(saved.loader)?;
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

    /// Finds numbers that no run comes to, and a trainer that ends before the checkpoint.
    fn check(&self, checkpoint: &Checkpoint, run: &Run) -> Result<()> {
        let Progress { epoch, batch, batches, step, .. } = self.progress;
        let damaged = |what: String| {
            let advice = "The checkpoint is damaged, or no trainer wrote it: take another one";
            Err(TrainError::argument(OPERATION, format!("the checkpoint {what}"), advice))
        };
        let begun = self.history.epochs.len() + usize::from(self.in_epoch);
        if epoch != begun {
            return damaged(format!("is in epoch {epoch}, but has the history of {begun}"));
        }
        if batch > batches {
            return damaged(format!("is at batch {batch} of an epoch of {batches}"));
        }
        if step == u64::MAX || step != checkpoint.step() {
            return damaged(format!("is after step {}, its trainer after step {step}", checkpoint.step()));
        }
        if !(self.seconds >= 0.0 && self.seconds.is_finite()) {
            return damaged(format!("says that its epoch took {} seconds", self.seconds));
        }
        if batches != run.progress.batches {
            let problem = format!("an epoch of the checkpoint has {batches} batches, here {}", run.progress.batches);
            return Err(TrainError::argument(OPERATION, problem, "Resume with the loader's options of the first run"));
        }
        if epoch > run.progress.max_epochs {
            let problem =
                format!("the checkpoint is in epoch {epoch}, the trainer ends after {}", run.progress.max_epochs);
            return Err(TrainError::argument(
                OPERATION,
                problem,
                format!("Give `Trainer::new` at least {epoch} epochs"),
            ));
        }
        Ok(())
    }

    /// The callbacks' states by their places, each of which its callback would take.
    fn callback_states(
        &self,
        checkpoint: &Checkpoint,
        callbacks: &[Box<dyn Callback>],
        model: &dyn Module,
        device: Device,
    ) -> Result<Vec<(usize, CallbackState)>> {
        let places: Vec<usize> = with_state(callbacks).map(|(place, _)| place).collect();
        let own: Vec<String> = places.iter().map(|&place| callbacks[place].name().to_owned()).collect();
        let saved: Vec<String> = self.callbacks.iter().map(|callback| callback.name.clone()).collect();
        if own != saved {
            let named = |names: &[String]| match names {
                [] => "no callback".to_owned(),
                names => text::list(names),
            };
            return Err(TrainError::argument(
                OPERATION,
                format!("the checkpoint has the state of {}, the trainer has {}", named(&saved), named(&own)),
                "Resume with the same callbacks in the same order; those without a state do not matter",
            ));
        }
        let states = places.into_iter().zip(&self.callbacks).enumerate();
        states
            .map(|(number, (place, SavedCallback { values, .. }))| {
                let tensors = checkpoint.tensors(&part_of(number), device)?.into_iter().collect();
                let state = CallbackState { values: values.clone(), tensors };
                callbacks[place].check_state(&state, model)?;
                Ok((place, state))
            })
            .collect()
    }
}

/// Lets all callbacks begin anew and gives them their states: all, or none if one refuses.
fn load(callbacks: &mut [Box<dyn Callback>], states: Vec<(usize, CallbackState)>) -> Result<()> {
    let before: Vec<(usize, CallbackState)> = with_state(callbacks).collect();
    let mut give = |states: Vec<(usize, CallbackState)>| {
        callbacks.iter_mut().for_each(|callback| callback.reset());
        states.into_iter().try_for_each(|(place, state)| callbacks[place].load_state(state))
    };
    give(states).inspect_err(|_| {
        // Their own states fit them.
        let _ = give(before);
    })
}
