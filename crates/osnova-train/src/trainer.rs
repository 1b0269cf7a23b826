//! The training loop.

use crate::accumulate::Accumulated;
use crate::callback::{Callback, Context, Progress, Stage, StepResults};
use crate::diagnose::{self, Positions};
use crate::doctor::ActivationStatistics;
use crate::doctor::watch::{Parameters, Watch};
use crate::means::{self, Means};
use crate::resume::{DataRecord, Saved};
use crate::task::{StepOutput, TrainingStep};
use crate::{EpochRecord, History, ReduceOnPlateau, Result, TrainError};
use osnova_checkpoint::Checkpoint;
use osnova_data::{DataLoader, LoaderState, TensorBatch};
use osnova_nn::Module;
use osnova_optim::{Optimizer, Schedule, clip_by_norm, clip_by_value};
use osnova_tensor::{Device, Gradients, Tensor};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

/// How gradients are kept in bounds.
#[derive(Clone, Copy, Debug)]
enum Clipping {
    Norm(f64),
    Value(f64),
}

/// Trains models: epochs, batches, the optimizer's steps, validation, and the callbacks around them.
///
/// ```
/// use osnova_autodiff::AutodiffDevice;
/// use osnova_cpu::CpuDevice;
/// use osnova_data::{DataLoader, SplitOptions, StandardScaler, Transform, digits, train_validation_test_split};
/// use osnova_nn::Linear;
/// use osnova_optim::AdamW;
/// use osnova_tensor::{Device, Generator};
/// use osnova_train::{Classification, EarlyStopping, Trainer};
///
/// let split = train_validation_test_split(digits()?, [0.6, 0.2, 0.2], &SplitOptions::stratified(0))?;
/// let scaler = StandardScaler::new().fit(&split.train)?;
/// let mut train = DataLoader::new(scaler.apply(&split.train)?, 32)?.shuffle(0);
/// let mut validation = DataLoader::new(scaler.apply(&split.validation)?, 256)?;
///
/// let mut model = Linear::new(64, 10, &Generator::new(0), Device::cpu().autodiff())?;
/// let mut trainer = Trainer::new(5).callback(EarlyStopping::minimize("validation_loss").patience(2));
/// let history =
///     trainer.fit(&mut Classification, &mut model, &mut AdamW::new(1e-2), &mut train, Some(&mut validation))?;
/// assert!(history.last().unwrap().metrics["validation_accuracy"] > 0.9);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
///
/// The model's device decides where everything runs; it must record (`device.autodiff()`). Validation runs on a
/// [copy](Module::inference) that does not. Batches are put on the device inside. Everything random comes from the
/// loader's and the model's seeds, so a run is the same every time, at any number of threads.
///
/// A loss that is NaN or infinite ends training with [`TrainError::NotFinite`] before the optimizer sees it.
pub struct Trainer {
    max_epochs: usize,
    schedule: Option<Box<dyn Schedule>>,
    clipping: Option<Clipping>,
    accumulate: usize,
    callbacks: Vec<Box<dyn Callback>>,
    resume: Option<Checkpoint>,
}

impl Trainer {
    /// Trains for at most this many epochs.
    pub fn new(max_epochs: usize) -> Self {
        Self { max_epochs, schedule: None, clipping: None, accumulate: 1, callbacks: Vec::new(), resume: None }
    }

    /// Sets the learning rate before every optimizer step. Without a schedule the optimizer's own stays.
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Scales the gradients of all parameters together so that their norm is at most this.
    pub fn clip_gradient_norm(mut self, max_norm: f64) -> Self {
        self.clipping = Some(Clipping::Norm(max_norm));
        self
    }

    /// Holds every element of the gradients within ± this.
    pub fn clip_gradient_value(mut self, max_value: f64) -> Self {
        self.clipping = Some(Clipping::Value(max_value));
        self
    }

    /// Makes one optimizer step of this many batches (fewer at the end of an epoch), with the gradient of the mean loss of
    /// their samples: as one large batch, in the memory of a small one.
    pub fn accumulate_batches(mut self, batches: usize) -> Self {
        self.accumulate = batches.max(1);
        self
    }

    /// Adds a callback. They are called in this order.
    pub fn callback(mut self, callback: impl Callback) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Makes the next [`fit`](Self::fit) go on from a checkpoint that [`ModelCheckpoint`](crate::ModelCheckpoint) saved, in
    /// the middle of an epoch if need be, with the same bits as if there had been no break. Model, optimizer, loader,
    /// schedule and callbacks must be made as for the first run, and the data must be the same: `fit` refuses what it can
    /// tell apart (another model, optimizer or callback, other options of the loader, other data, fewer epochs than the
    /// checkpoint has) before it changes anything.
    pub fn resume(mut self, checkpoint: Checkpoint) -> Self {
        self.resume = Some(checkpoint);
        self
    }

    /// The first callback of a type, for example to ask [`EarlyStopping`](crate::EarlyStopping) for the best epoch.
    pub fn find_callback<C: Callback>(&self) -> Option<&C> {
        self.callbacks.iter().find_map(|callback| (&**callback as &dyn Any).downcast_ref())
    }

    /// Trains `model` on `train`, and validates it on `validation` after each epoch.
    ///
    /// A loader that stands at the start of an epoch (a new one does) goes on from there; one in the middle of an epoch
    /// starts it anew.
    ///
    /// # Errors
    /// A model that does not record, no data, whatever the task, the data, the optimizer or a callback reports, and
    /// [`TrainError::NotFinite`].
    pub fn fit<M, T>(
        &mut self,
        task: &mut T,
        model: &mut M,
        optimizer: &mut dyn Optimizer,
        train: &mut DataLoader,
        validation: Option<&mut DataLoader>,
    ) -> Result<History>
    where
        M: Module + Clone,
        T: TrainingStep<M> + ?Sized,
    {
        recording_device(model)?;
        require_batches("Trainer::fit", "training", train)?;
        if self.schedule.is_some() && self.find_callback::<ReduceOnPlateau>().is_some() {
            return Err(TrainError::argument(
                "Trainer::fit",
                "a schedule sets the learning rate before every step, so ReduceOnPlateau would lower it in vain",
                "Leave out one of both",
            ));
        }
        let mut run = Run::new(self.max_epochs, train, validation.as_deref())?;
        if let Some(checkpoint) = &self.resume {
            Saved::restore(checkpoint, &mut run, &mut self.callbacks, model, optimizer, train)?;
            // A refused checkpoint is kept: the next call must not silently begin anew.
            self.resume = None;
        } else {
            self.callbacks.iter_mut().for_each(|callback| callback.reset());
            train.start_epoch(train.state().epoch);
        }
        model.train();
        // A panic goes on after the callbacks have put back what they had lent to the model.
        let trained = catch_unwind(AssertUnwindSafe(|| {
            let trained = self.train_epochs(&mut run, task, model, optimizer, train, validation);
            if let Err(TrainError::NotFinite { loss, tensor, .. }) = &trained {
                self.tell(&mut run, model, optimizer, |callback, context| {
                    callback.on_not_finite(context, *loss, tensor)
                })?;
            }
            trained?;
            self.tell(&mut run, model, optimizer, |callback, context| callback.on_fit_end(context))
        }));
        if !matches!(trained, Ok(Ok(()))) {
            for callback in &mut self.callbacks {
                callback.on_interrupted(&mut run.context(model, optimizer));
            }
        }
        trained.unwrap_or_else(|panic| resume_unwind(panic))?;
        run.history.stopped = run.stop;
        run.history.restored_epoch = run.restored;
        run.history.diagnoses = self.callbacks.iter().flat_map(|callback| callback.diagnoses()).cloned().collect();
        Ok(run.history)
    }

    /// Epochs until the last or until a callback stops.
    fn train_epochs<M, T>(
        &mut self,
        run: &mut Run,
        task: &mut T,
        model: &mut M,
        optimizer: &mut dyn Optimizer,
        train: &mut DataLoader,
        mut validation: Option<&mut DataLoader>,
    ) -> Result<()>
    where
        M: Module + Clone,
        T: TrainingStep<M> + ?Sized,
    {
        let device = recording_device(model)?.without_recording();
        self.tell(run, model, optimizer, |callback, context| callback.on_fit_start(context))?;
        while run.stop.is_none() && (run.in_epoch || run.progress.epoch < self.max_epochs) {
            let begin = Instant::now();
            if !run.in_epoch {
                run.start_epoch();
                self.tell(run, model, optimizer, |callback, context| callback.on_epoch_start(context))?;
            }
            self.train_epoch(run, task, model, optimizer, train, device)?;
            let mut metrics = run.means.finish("train_")?;
            if let Some(validation) = validation.as_deref_mut() {
                self.tell(run, model, optimizer, |callback, context| callback.on_validation_start(context))?;
                metrics.extend(self.validate(run, task, model, validation)?);
            }
            let Progress { epoch, step, learning_rate, .. } = run.progress;
            let seconds = run.seconds + begin.elapsed().as_secs_f64();
            run.history.epochs.push(EpochRecord { epoch, step, learning_rate, seconds, metrics });
            run.in_epoch = false;
            self.tell(run, model, optimizer, |callback, context| callback.on_epoch_end(context))?;
            self.save(run, model, optimizer, Stage::Epoch)?;
        }
        Ok(())
    }

    /// The batches of an epoch from where the run stands.
    fn train_epoch<M, T>(
        &mut self,
        run: &mut Run,
        task: &mut T,
        model: &mut M,
        optimizer: &mut dyn Optimizer,
        train: &mut DataLoader,
        device: Device,
    ) -> Result<()>
    where
        M: Module + Clone,
        T: TrainingStep<M> + ?Sized,
    {
        let (begin, before) = (Instant::now(), run.seconds);
        let mut group = Accumulated::default();
        // A checkpoint may have been saved between the last batch and the validation: then the loader is an epoch ahead.
        let left = run.progress.batches - run.progress.batch;
        for batch in train.tensors(device).take(left) {
            let batch = batch?;
            let last = group.batches() + 1 == self.accumulate || run.progress.batch + 1 == run.progress.batches;
            let step = run.progress.step + 1;
            let looked_at = last && self.callbacks.iter().any(|callback| callback.watches_activations(step));
            let watched = looked_at.then_some(&mut group);
            task.on_step_start(&run.progress);
            let Step { loss, gradients, activations, terms } = self.forward(run, task, model, &batch, watched)?;
            let samples = batch.indices.len();
            group.add(gradients, samples)?;
            run.progress.batch += 1;
            run.progress.loss = run.means.loss();
            if !last {
                continue;
            }
            let mut gradients = group.take()?;
            let findings = if looked_at { task.examine(model, &batch)? } else { Vec::new() };
            let results = StepResults {
                batch: &batch,
                loss,
                gradients: &gradients,
                activations: &activations,
                findings: &findings,
                terms,
            };
            self.tell(run, model, optimizer, |callback, context| callback.on_gradients(context, &results))?;
            match self.clipping {
                Some(Clipping::Norm(max_norm)) => {
                    clip_by_norm(&mut gradients, max_norm)?;
                }
                Some(Clipping::Value(max_value)) => clip_by_value(&mut gradients, max_value)?,
                None => {}
            }
            if let Some(schedule) = &self.schedule {
                optimizer.set_learning_rate(schedule.learning_rate(run.progress.step));
            }
            run.progress.learning_rate = optimizer.learning_rate();
            optimizer.step(model, &gradients)?;
            run.progress.step += 1;
            run.loader = batch.resume;
            run.seconds = before + begin.elapsed().as_secs_f64();
            self.tell(run, model, optimizer, |callback, context| callback.on_step_end(context))?;
            self.save(run, model, optimizer, Stage::Step)?;
            if run.stop.is_some() {
                break;
            }
        }
        // The caller measures the time of this call.
        run.seconds = before;
        Ok(())
    }

    /// Loss and gradients of a batch, and what its activation functions gave if it is to be `watched`: then the parameters
    /// get new identities, which the gradients of the batches before must learn.
    fn forward<M, T>(
        &self,
        run: &mut Run,
        task: &mut T,
        model: &mut M,
        batch: &TensorBatch,
        watched: Option<&mut Accumulated>,
    ) -> Result<Step>
    where
        M: Module + Clone,
        T: TrainingStep<M> + ?Sized,
    {
        run.positions.note(model);
        let passed = match watched {
            Some(group) => self.watched_pass(run, task, model, batch, group)?,
            None => None,
        };
        let Passed { output, gradients, activations } = match passed {
            Some(passed) => passed,
            None => {
                let output = task.training_step(model, batch)?;
                require_trainable(&output.loss)?;
                let gradients = output.loss.backward()?;
                Passed { output, gradients, activations: Vec::new() }
            }
        };
        // The one value read in a step, after the backward pass has been given to the device.
        let loss = output.loss.item()?;
        if !loss.is_finite() {
            let tensor = diagnose::first_bad_tensor(task, model, &run.positions, batch);
            return Err(self.not_finite(run, run.progress.step + 1, loss, tensor));
        }
        run.means.add(loss, &output)?;
        Ok(Step { loss, gradients, activations, terms: output.terms })
    }

    /// The forward and backward pass on the device that watches activation functions; `None` where that cannot be.
    fn watched_pass<M, T>(
        &self,
        run: &mut Run,
        task: &mut T,
        model: &mut M,
        batch: &TensorBatch,
        group: &mut Accumulated,
    ) -> Result<Option<Passed>>
    where
        M: Module + Clone,
        T: TrainingStep<M> + ?Sized,
    {
        let watch = if run.unwatchable { None } else { Watch::begin(model)? };
        let Some(mut watch) = watch else { return Ok(None) };
        let passed = task.training_step(watch.model(), batch).and_then(|output| {
            watch.close();
            let gradients = output.loss.backward()?;
            Ok((output, gradients))
        });
        let Ok((output, gradients)) = passed else {
            // Tensors that the task keeps on the model's own device do not mix with those of another. What else may be
            // wrong shows again without the watch.
            group.rename(&watch.end()?, watch.plain())?;
            run.positions.restore(watch.model());
            run.unwatchable = true;
            return Ok(None);
        };
        let renamed = watch.end()?;
        group.rename(&renamed, watch.plain())?;
        let gradients = renamed.apply(&gradients, watch.plain())?;
        let output = output.on(watch.plain())?;
        let parameters = run.parameters.get_or_insert_with(|| Parameters::of(watch.model()));
        Ok(Some(Passed { output, gradients, activations: watch.statistics(parameters)? }))
    }

    fn validate<M, T>(
        &self,
        run: &Run,
        task: &mut T,
        model: &M,
        validation: &mut DataLoader,
    ) -> Result<BTreeMap<String, f64>>
    where
        M: Module + Clone,
        T: TrainingStep<M> + ?Sized,
    {
        let metrics = evaluate_as("Trainer::fit", "validation_", task, model, validation)?;
        match metrics.get("validation_loss") {
            Some(&loss) if !loss.is_finite() => {
                let tensor = diagnose::bad_parameter(model);
                let tensor = tensor.unwrap_or_else(|| "the validation loss itself, of finite parameters".to_owned());
                Err(self.not_finite(run, run.progress.step, loss, tensor))
            }
            _ => Ok(metrics),
        }
    }

    fn not_finite(&self, run: &Run, step: u64, loss: f64, tensor: String) -> TrainError {
        let checkpoint = self.callbacks.iter().filter_map(|callback| callback.last_checkpoint()).next_back();
        let checkpoint = checkpoint.map(|path| path.to_owned());
        TrainError::NotFinite { epoch: run.progress.epoch, step, loss, tensor, checkpoint }
    }

    fn tell(
        &mut self,
        run: &mut Run,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        stage: impl Fn(&mut dyn Callback, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        for callback in &mut self.callbacks {
            stage(&mut **callback, &mut run.context(model, optimizer))?;
        }
        Ok(())
    }

    /// Saves a checkpoint if a callback wants one.
    fn save(
        &mut self,
        run: &mut Run,
        model: &mut dyn Module,
        optimizer: &mut dyn Optimizer,
        stage: Stage,
    ) -> Result<()> {
        let mut wanted = Vec::new();
        for (index, callback) in self.callbacks.iter().enumerate() {
            if callback.wants_checkpoint(stage, &run.context(model, optimizer)) {
                wanted.push(index);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        // A gradient that was not finite shows in the loss only at the next step: the last good checkpoint stays the last.
        if let Some(tensor) = diagnose::bad_parameter(model) {
            return Err(self.not_finite(run, run.progress.step, run.progress.loss, tensor));
        }
        let checkpoint = Saved::checkpoint(run, &self.callbacks, model, optimizer)?;
        for index in wanted {
            self.callbacks[index].on_checkpoint(&checkpoint)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("max_epochs", &self.max_epochs)
            .field("clipping", &self.clipping)
            .field("accumulate_batches", &self.accumulate)
            .field("callbacks", &self.callbacks.len())
            .finish_non_exhaustive()
    }
}

/// What the forward and backward pass of a batch gave.
struct Passed {
    output: StepOutput,
    gradients: Gradients,
    activations: Vec<ActivationStatistics>,
}

/// The same once the loss has been read.
struct Step {
    loss: f64,
    gradients: Gradients,
    activations: Vec<ActivationStatistics>,
    terms: usize,
}

/// The state of a run.
pub(crate) struct Run {
    pub(crate) progress: Progress,
    pub(crate) history: History,
    pub(crate) means: Means,
    /// Where the loader stands after the batches that the model has learned from.
    pub(crate) loader: LoaderState,
    /// Whether an epoch has begun and not ended.
    pub(crate) in_epoch: bool,
    /// What the epoch took before a break.
    pub(crate) seconds: f64,
    pub(crate) stop: Option<String>,
    restored: Option<usize>,
    data: Data,
    positions: Positions,
    /// The model's, once a step has been watched.
    parameters: Option<Parameters>,
    /// Whether a step could not be made on the watching device.
    unwatchable: bool,
    start: Instant,
}

/// Loaders of the same data, to ask for fingerprints while the run's own are under way. They remember them.
struct Data {
    train: DataLoader,
    validation: Option<DataLoader>,
}

impl Data {
    fn of(train: &DataLoader, validation: Option<&DataLoader>) -> Result<Self> {
        let same = |loader: &DataLoader| DataLoader::shared(loader.dataset().clone(), 1);
        Ok(Self { train: same(train)?, validation: validation.map(same).transpose()? })
    }
}

impl Run {
    fn new(max_epochs: usize, train: &DataLoader, validation: Option<&DataLoader>) -> Result<Self> {
        let progress = Progress {
            max_epochs,
            batches: train.batch_count(),
            loss: f64::NAN,
            learning_rate: f64::NAN,
            ..Progress::default()
        };
        Ok(Self {
            progress,
            history: History::default(),
            means: Means::default(),
            loader: train.state(),
            in_epoch: false,
            seconds: 0.0,
            stop: None,
            restored: None,
            data: Data::of(train, validation)?,
            positions: Positions::default(),
            parameters: None,
            unwatchable: false,
            start: Instant::now(),
        })
    }

    /// Which data the run has: found out at the first checkpoint, by reading them once.
    pub(crate) fn data(&self) -> Result<DataRecord> {
        let Data { train, validation } = &self.data;
        DataRecord::of(train, validation.as_ref())
    }

    fn start_epoch(&mut self) {
        self.progress.epoch += 1;
        self.progress.batch = 0;
        self.means = Means::default();
        self.in_epoch = true;
        self.seconds = 0.0;
    }

    fn context<'a>(&'a mut self, model: &'a mut dyn Module, optimizer: &'a mut dyn Optimizer) -> Context<'a> {
        Context {
            progress: self.progress,
            history: &self.history,
            elapsed: self.start.elapsed(),
            model,
            optimizer,
            stop: &mut self.stop,
            restored: &mut self.restored,
        }
    }
}

fn recording_device(model: &dyn Module) -> Result<Device> {
    let operation = "Trainer::fit";
    let Some(device) = model.device() else {
        return Err(TrainError::argument(operation, "the model has no parameters", "There is nothing to train"));
    };
    if device.backend().as_recorder().is_none() {
        return Err(TrainError::argument(
            operation,
            format!("the model is on {device}, which records no operations, so there would be no gradients"),
            "Make it on `device.autodiff()`, or move it there with `model.to_device(device.autodiff())`",
        ));
    }
    Ok(device)
}

/// A loss that gradients can come from.
fn require_trainable(loss: &Tensor) -> Result<()> {
    means::single("loss", loss)?;
    if loss.is_tracked() {
        return Ok(());
    }
    Err(TrainError::argument(
        "Trainer::fit",
        "the loss does not depend on any parameter that is trained, so it has no gradient",
        "Compute it from the model's output without `detach` or a way over the host, and leave some parameters unfrozen",
    ))
}

fn require_batches(operation: &'static str, what: &str, loader: &DataLoader) -> Result<()> {
    if loader.batch_count() == 0 {
        return Err(TrainError::argument(
            operation,
            format!("there is no batch of {what} data: {} samples", loader.dataset().len()),
            "Give at least one batch; `drop_last` leaves out an incomplete one",
        ));
    }
    Ok(())
}

/// The metrics of a task on a data set, by a copy of the model in evaluation mode that does not record.
///
/// # Errors
/// No data, or whatever the task or the data report.
pub fn evaluate<M, T>(task: &mut T, model: &M, loader: &mut DataLoader) -> Result<BTreeMap<String, f64>>
where
    M: Module + Clone,
    T: TrainingStep<M> + ?Sized,
{
    evaluate_as("evaluate", "", task, model, loader)
}

fn evaluate_as<M, T>(
    operation: &'static str,
    prefix: &str,
    task: &mut T,
    model: &M,
    loader: &mut DataLoader,
) -> Result<BTreeMap<String, f64>>
where
    M: Module + Clone,
    T: TrainingStep<M> + ?Sized,
{
    require_batches(operation, "validation", loader)?;
    let model = model.inference()?;
    let device = inference_device(operation, &model)?;
    loader.start_epoch(0);
    let mut means = Means::default();
    for batch in loader.tensors(device) {
        let output: StepOutput = task.validation_step(&model, &batch?)?;
        means.add(output.loss.item()?, &output)?;
    }
    means.finish(prefix)
}

pub(crate) fn inference_device(operation: &'static str, model: &dyn Module) -> Result<Device> {
    model.device().map(Device::without_recording).ok_or_else(|| {
        TrainError::argument(
            operation,
            "the model has no parameters",
            "Give a model with parameters, which say the device",
        )
    })
}
