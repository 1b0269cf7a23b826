//! The loop as its users see it: determinism, resuming, early stopping, what is not finite, memory.

use osnova_autodiff::AutodiffDevice;
use osnova_checkpoint::CheckpointDirectory;
use osnova_cpu::CpuDevice;
use osnova_data::{
    ArrayDataset, DataLoader, SplitOptions, StandardScaler, TensorBatch, Transform, digits, train_validation_test_split,
};
use osnova_nn::{Dropout, Linear, Module, Relu, Sequential};
use osnova_optim::{AdamW, Optimizer, Plateau, RmsProp, Sgd, WeightAverage, schedules::warm_up_cosine};
use osnova_tensor::{Device, Generator, Tensor};
use osnova_train::{
    Callback, Classification, Context, EarlyStopping, Goal, History, HistoryWriter, LearningRateMonitor,
    ModelCheckpoint, ProgressBar, ReduceOnPlateau, Regression, Result, StepOutput, TrainError, Trainer, TrainingStep,
    WeightAveraging, evaluate, predict, predict_classes,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

/// The memory test reads counters of the whole process, so tests that train take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn loaders(seed: u64) -> (DataLoader, DataLoader) {
    let split =
        train_validation_test_split(digits().unwrap(), [0.6, 0.2, 0.2], &SplitOptions::stratified(seed)).unwrap();
    let scaler = StandardScaler::new().fit(&split.train).unwrap();
    let train = DataLoader::new(scaler.apply(&split.train).unwrap(), 32).unwrap().shuffle(seed);
    let validation = DataLoader::new(scaler.apply(&split.validation).unwrap(), 256).unwrap();
    (train, validation)
}

fn mlp(seed: u64, device: Device) -> Sequential {
    let generator = Generator::new(seed);
    Sequential::new()
        .with(Linear::new(64, 32, &generator, device).unwrap())
        .with(Relu)
        .with(Dropout::new(0.3, &generator.fork(1)).unwrap())
        .with(Linear::new(32, 10, &generator, device).unwrap())
}

/// Two features, y = 2a − 3b + 1.
fn line(samples: usize) -> ArrayDataset {
    let features: Vec<f32> = (0..2 * samples).map(|index| ((index * 37 % 101) as f32) / 50.0 - 1.0).collect();
    let targets: Vec<f32> = features.chunks_exact(2).map(|row| 2.0 * row[0] - 3.0 * row[1] + 1.0).collect();
    ArrayDataset::regression(features, [2], targets, 1).unwrap()
}

fn weights(model: &dyn Module) -> Vec<u32> {
    let state = model.state_dict();
    state.iter().flat_map(|(_, tensor)| tensor.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
}

/// Epoch, step, learning rate and metrics, numbers by their bits.
type Outcome = (usize, u64, u64, Vec<(String, u64)>);

/// All that must be equal between equal runs: everything but the time.
fn outcome(history: &History) -> Vec<Outcome> {
    let metrics = |record: &osnova_train::EpochRecord| {
        record.metrics.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect()
    };
    let epochs = history.epochs.iter();
    epochs.map(|record| (record.epoch, record.step, record.learning_rate.to_bits(), metrics(record))).collect()
}

fn trainer(epochs: usize) -> Trainer {
    Trainer::new(epochs).schedule(warm_up_cosine(1e-2, 20, 34 * epochs as u64)).clip_gradient_norm(1.0)
}

fn run(device: Device) -> (Vec<u32>, History) {
    let (mut train, mut validation) = loaders(3);
    let mut model = mlp(3, device.autodiff());
    let mut optimizer = AdamW::new(1e-3);
    let history =
        trainer(3).fit(&mut Classification, &mut model, &mut optimizer, &mut train, Some(&mut validation)).unwrap();
    (weights(&model), history)
}

#[test]
fn the_same_seed_gives_the_same_bits_at_any_number_of_threads() {
    let _turn = turn();
    let (first, history) = run(Device::cpu_with_threads(1).unwrap());
    for threads in [1, 2, 8] {
        let (again, other) = run(Device::cpu_with_threads(threads).unwrap());
        assert!(first == again, "weights differ with {threads} threads");
        assert_eq!(outcome(&history), outcome(&other), "{threads} threads");
    }
    assert!(history.last().unwrap().metrics["validation_accuracy"] > 0.9, "{history:?}");
    assert_eq!(history.last().unwrap().step, 3 * 34);
}

/// Stops after a step, as a power cut would.
struct Interrupt(u64);

impl Callback for Interrupt {
    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if context.progress.step == self.0 + 1 { Err(TrainError::other("power cut")) } else { Ok(()) }
    }
}

#[test]
fn a_resumed_run_has_the_bits_of_one_without_a_break() {
    let _turn = turn();
    let device = Device::cpu().autodiff();
    let callbacks = |trainer: Trainer, directory: &std::path::Path| {
        let checkpoints = ModelCheckpoint::new(directory).unwrap().every_steps(1).keep_last(1).unwrap();
        trainer.callback(EarlyStopping::minimize("validation_loss").patience(2)).callback(checkpoints)
    };
    let start = || (loaders(5), mlp(5, device), AdamW::new(1e-3));
    let directory = tempfile::tempdir().unwrap();
    let ((mut train, mut validation), mut model, mut optimizer) = start();
    let whole = callbacks(trainer(3), &directory.path().join("whole"))
        .fit(&mut Classification, &mut model, &mut optimizer, &mut train, Some(&mut validation))
        .unwrap();
    // In the first epoch, in the middle of the second, right after the last batch of the second (before its validation).
    for step in [1, 50, 68] {
        let path = directory.path().join(step.to_string());
        let ((mut train, mut validation), mut model_, mut optimizer_) = start();
        let broken = callbacks(trainer(3), &path).callback(Interrupt(step)).fit(
            &mut Classification,
            &mut model_,
            &mut optimizer_,
            &mut train,
            Some(&mut validation),
        );
        assert_eq!(broken.unwrap_err().to_string(), "power cut");
        // Everything anew, as in a new process; with other weights, which the checkpoint must replace.
        let ((mut train, mut validation), _, mut optimizer_) = start();
        let mut model_ = mlp(99, device);
        let checkpoint = CheckpointDirectory::create(&path).unwrap().load_latest().unwrap().unwrap();
        assert_eq!(checkpoint.step(), step);
        let resumed = callbacks(trainer(3), &path)
            .resume(checkpoint)
            .fit(&mut Classification, &mut model_, &mut optimizer_, &mut train, Some(&mut validation))
            .unwrap();
        assert_eq!(outcome(&whole), outcome(&resumed), "step {step}");
        assert!(weights(&model) == weights(&model_), "weights differ after a break at step {step}");
        assert_eq!((&whole.stopped, whole.restored_epoch), (&resumed.stopped, resumed.restored_epoch));
    }
}

#[test]
fn resuming_with_other_callbacks_or_another_model_is_refused() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let device = Device::cpu().autodiff();
    let (mut train, _) = loaders(5);
    let mut model = mlp(5, device);
    let checkpoints = ModelCheckpoint::new(directory.path()).unwrap();
    Trainer::new(1)
        .callback(checkpoints)
        .fit(&mut Classification, &mut model, &mut AdamW::new(1e-3), &mut train, None)
        .unwrap();
    let checkpoint = || CheckpointDirectory::create(directory.path()).unwrap().load_latest().unwrap().unwrap();
    let mut stopping = Trainer::new(2).callback(EarlyStopping::minimize("train_loss")).resume(checkpoint());
    let error = stopping.fit(&mut Classification, &mut model, &mut AdamW::new(1e-3), &mut train, None).unwrap_err();
    assert!(error.to_string().contains("same callbacks"), "{error}");
    let mut other = Linear::new(64, 10, &Generator::new(0), device).unwrap();
    let error = Trainer::new(2)
        .resume(checkpoint())
        .fit(&mut Classification, &mut other, &mut AdamW::new(1e-3), &mut train, None)
        .unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(_)), "{error}");
    let mut small = DataLoader::new(digits().unwrap(), 16).unwrap();
    let error = Trainer::new(2)
        .resume(checkpoint())
        .fit(&mut Classification, &mut model, &mut AdamW::new(1e-3), &mut small, None)
        .unwrap_err();
    assert!(error.to_string().contains("batches of 16"), "{error}");
}

/// A model that gives the wanted validation losses, one an epoch.
struct Scripted {
    losses: Vec<f32>,
    epoch: usize,
}

impl TrainingStep<Linear> for Scripted {
    fn training_step(&mut self, model: &Linear, batch: &TensorBatch) -> Result<StepOutput> {
        Regression.training_step(model, batch)
    }

    fn validation_step(&mut self, model: &Linear, batch: &TensorBatch) -> Result<StepOutput> {
        let loss = Tensor::new([self.losses[self.epoch]], model.weight.device()).unwrap();
        self.epoch += 1;
        Ok(StepOutput::new(loss, batch.indices.len()))
    }
}

/// Remembers the weights of each epoch.
#[derive(Clone, Default)]
struct Remember(Arc<Mutex<Vec<Vec<u32>>>>);

impl Callback for Remember {
    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.0.lock().unwrap().push(weights(&*context.model));
        Ok(())
    }
}

fn linear(device: Device) -> Linear {
    Linear::new(2, 1, &Generator::new(0), device).unwrap()
}

#[test]
fn textbook_28_8_stops_after_epoch_5_and_restores_epoch_3() {
    let _turn = turn();
    let mut task = Scripted { losses: vec![0.52, 0.35, 0.25, 0.30, 0.35, 0.01], epoch: 0 };
    let mut model = linear(Device::cpu().autodiff());
    let mut train = DataLoader::new(line(20), 5).unwrap();
    let mut validation = DataLoader::new(line(4), 4).unwrap();
    let seen = Remember::default();
    let mut trainer =
        Trainer::new(6).callback(seen.clone()).callback(EarlyStopping::minimize("validation_loss").patience(2));
    let history = trainer.fit(&mut task, &mut model, &mut Sgd::new(0.01), &mut train, Some(&mut validation)).unwrap();
    assert_eq!(history.epochs.len(), 5);
    assert_eq!(history.restored_epoch, Some(3));
    assert!(history.stopped.as_ref().unwrap().contains("epoch 3"), "{history:?}");
    let seen = seen.0.lock().unwrap();
    assert_eq!(weights(&model), seen[2]);
    assert_ne!(weights(&model), seen[4]);
    assert_eq!(trainer.find_callback::<EarlyStopping>().unwrap().best(), Some((3, f64::from(0.25f32))));
}

#[test]
fn a_metric_that_is_not_there_is_named() {
    let _turn = turn();
    let mut model = linear(Device::cpu().autodiff());
    let mut train = DataLoader::new(line(20), 5).unwrap();
    let mut trainer = Trainer::new(2).callback(EarlyStopping::minimize("val_loss"));
    let error = trainer.fit(&mut Regression, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap_err();
    assert!(
        matches!(&error, TrainError::Monitor { wanted, available, .. }
        if wanted == "val_loss" && available == &["train_loss", "train_mean_absolute_error"]),
        "{error}"
    );
}

#[test]
fn a_line_is_learned_and_evaluated() {
    let _turn = turn();
    let mut model = linear(Device::cpu().autodiff());
    let mut train = DataLoader::new(line(100), 10).unwrap().shuffle(1);
    Trainer::new(60).fit(&mut Regression, &mut model, &mut Sgd::new(0.1), &mut train, None).unwrap();
    let metrics = evaluate(&mut Regression, &model, &mut train).unwrap();
    assert!(metrics["loss"] < 1e-6, "{metrics:?}");
    let found = model.weight.to_vec::<f32>().unwrap();
    assert!((found[0] - 2.0).abs() < 1e-3 && (found[1] + 3.0).abs() < 1e-3, "{found:?}");
    let mut ordered = DataLoader::new(line(100), 7).unwrap();
    assert_eq!(predict(&model, &mut ordered).unwrap().dims(), [100, 1]);
    assert!(predict_classes(&model, &mut ordered).is_err());
}

#[test]
fn accumulated_batches_make_the_step_of_one_large_batch() {
    let _turn = turn();
    let device = Device::cpu().autodiff();
    // 10 samples by 4, 4 and 2: weights by samples matter.
    let fit = |batch_size, accumulate| {
        let mut model = linear(device);
        let mut train = DataLoader::new(line(10), batch_size).unwrap();
        let mut trainer = Trainer::new(3).accumulate_batches(accumulate);
        let history = trainer.fit(&mut Regression, &mut model, &mut Sgd::new(0.1), &mut train, None).unwrap();
        (model.weight.to_vec::<f32>().unwrap(), history.last().unwrap().step)
    };
    let (whole, steps) = fit(10, 1);
    let (parts, part_steps) = fit(4, 3);
    assert_eq!((steps, part_steps), (3, 3));
    whole.iter().zip(&parts).for_each(|(left, right)| assert!((left - right).abs() < 1e-6, "{whole:?} {parts:?}"));
    // Two by two: the third batch of an epoch makes a step of its own.
    assert_eq!(fit(4, 2).1, 6);
    assert_ne!(fit(4, 1).0, whole);
}

#[test]
fn clipping_bounds_the_step() {
    let _turn = turn();
    let device = Device::cpu().autodiff();
    let moved = |trainer: Trainer| {
        let (mut model, before) = (linear(device), linear(device).weight.to_vec::<f32>().unwrap());
        let mut train = DataLoader::new(line(10), 10).unwrap();
        let mut trainer = trainer;
        trainer.fit(&mut Regression, &mut model, &mut Sgd::new(1.0), &mut train, None).unwrap();
        let after = model.weight.to_vec::<f32>().unwrap();
        after.iter().zip(before).map(|(after, before)| (after - before).abs()).fold(0.0, f32::max)
    };
    assert!(moved(Trainer::new(1)) > 0.1);
    assert!(moved(Trainer::new(1).clip_gradient_norm(0.01)) <= 0.01 + 1e-6);
    assert!(moved(Trainer::new(1).clip_gradient_value(0.02)) <= 0.02 + 1e-6);
}

#[test]
fn a_loss_that_is_not_finite_names_epoch_step_and_first_bad_tensor() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    // 4 batches an epoch; the learning rate explodes at step 6 (counted from 0).
    let explode = osnova_optim::schedules::FromFunction(|step| if step < 6 { 0.01 } else { 1e30 });
    let mut model = linear(Device::cpu().autodiff());
    let mut train = DataLoader::new(line(20), 5).unwrap();
    let mut trainer = Trainer::new(5).schedule(explode).callback(ModelCheckpoint::new(directory.path()).unwrap());
    let error = trainer.fit(&mut Regression, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap_err();
    let message = error.to_string();
    let TrainError::NotFinite { epoch, step, loss, tensor, checkpoint } = error else { panic!("{message}") };
    assert_eq!((epoch, step), (2, 8), "{message}");
    assert!(!loss.is_finite());
    // Weights of some 1e30 are finite; their squared error is not.
    assert!(tensor.contains("mul: element [0, 0]"), "{message}");
    // The checkpoint of epoch 1 is whole and good.
    let kept = CheckpointDirectory::create(directory.path()).unwrap().load_latest().unwrap().unwrap();
    assert_eq!((kept.epoch(), kept.step()), (1, 4));
    assert!(checkpoint.unwrap().starts_with(directory.path()));
    let mut good = linear(Device::cpu());
    kept.restore_model(&mut good).unwrap();
    assert!(good.weight.to_vec::<f32>().unwrap().iter().all(|value| value.is_finite() && value.abs() < 10.0));
}

#[test]
fn bad_data_and_bad_parameters_are_told_apart() {
    let _turn = turn();
    let device = Device::cpu().autodiff();
    let fit = |data: ArrayDataset, model: &mut Linear| {
        let mut train = DataLoader::new(data, 4).unwrap();
        Trainer::new(1).fit(&mut Regression, model, &mut Sgd::new(0.01), &mut train, None).unwrap_err().to_string()
    };
    let mut features = vec![1.0; 16];
    features[11] = f32::NAN;
    let data = ArrayDataset::regression(features, [2], vec![1.0; 8], 1).unwrap();
    let message = fit(data, &mut linear(device));
    assert!(message.contains("epoch 1, step 2") && message.contains("features[1, 1] is NaN"), "{message}");
    let data = ArrayDataset::regression(vec![1.0; 16], [2], [vec![1.0; 7], vec![f32::INFINITY]].concat(), 1).unwrap();
    let message = fit(data, &mut linear(device));
    assert!(message.contains("targets[3, 0] is inf"), "{message}");
    let mut model = linear(device);
    let bad = Tensor::new([[1.0f32, f32::NAN]], Device::cpu()).unwrap();
    model.weight.set_value(bad).unwrap();
    let message = fit(line(8), &mut model);
    assert!(message.contains("weight[0, 1] is NaN"), "{message}");
}

#[test]
fn a_checkpoint_never_holds_what_is_not_finite() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let mut model = linear(Device::cpu().autodiff());
    // One step an epoch: its weights overflow, but the loss of that step was still finite.
    let explode = osnova_optim::schedules::FromFunction(|step| if step < 2 { 0.01 } else { f64::from(f32::MAX) });
    let mut train = DataLoader::new(line(20), 20).unwrap();
    let mut trainer = Trainer::new(5).schedule(explode).callback(ModelCheckpoint::new(directory.path()).unwrap());
    let mut optimizer = Sgd::new(0.01);
    // The gradient must be above 1 for the step to overflow.
    model.weight.set_value(Tensor::new([[50.0f32, 50.0]], Device::cpu()).unwrap()).unwrap();
    let error = trainer.fit(&mut Regression, &mut model, &mut optimizer, &mut train, None).unwrap_err();
    assert!(matches!(&error, TrainError::NotFinite { epoch: 3, step: 3, .. }), "{error}");
    let kept = CheckpointDirectory::create(directory.path()).unwrap().load_latest().unwrap().unwrap();
    assert_eq!(kept.epoch(), 2);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let _turn = turn();
    let mut train = DataLoader::new(line(20), 5).unwrap();
    let fit = |model: &mut Linear, train: &mut DataLoader, validation: Option<&mut DataLoader>| {
        let result = Trainer::new(1).fit(&mut Regression, model, &mut Sgd::new(0.01), train, validation);
        result.unwrap_err().to_string()
    };
    assert!(fit(&mut linear(Device::cpu()), &mut train, None).contains("autodiff()"));
    let mut none = DataLoader::new(line(3), 5).unwrap().drop_last(true);
    let recording = Device::cpu().autodiff();
    assert!(fit(&mut linear(recording), &mut none, None).contains("training data: 3 samples"));
    assert!(fit(&mut linear(recording), &mut train, Some(&mut none)).contains("validation data"));
    let mut wide = Linear::new(2, 3, &Generator::new(0), recording).unwrap();
    assert!(fit(&mut wide, &mut train, None).contains("as many outputs"));
    let empty = Trainer::new(1).fit(&mut Classification, &mut Sequential::new(), &mut Sgd::new(0.1), &mut train, None);
    assert!(empty.unwrap_err().to_string().contains("no parameters"));
}

#[test]
fn no_epochs_change_nothing() {
    let _turn = turn();
    let mut model = linear(Device::cpu().autodiff());
    let before = weights(&model);
    let mut train = DataLoader::new(line(20), 5).unwrap();
    let history = Trainer::new(0).fit(&mut Regression, &mut model, &mut Sgd::new(0.1), &mut train, None).unwrap();
    assert_eq!((history.epochs.len(), before), (0, weights(&model)));
}

#[test]
fn the_best_checkpoint_is_kept_beside_the_last() {
    let _turn = turn();
    let directory = tempfile::tempdir().unwrap();
    let mut task = Scripted { losses: vec![0.5, 0.2, 0.3, 0.4], epoch: 0 };
    let mut model = linear(Device::cpu().autodiff());
    let mut train = DataLoader::new(line(20), 5).unwrap();
    let mut validation = DataLoader::new(line(4), 4).unwrap();
    let seen = Remember::default();
    let checkpoints = ModelCheckpoint::new(directory.path())
        .unwrap()
        .keep_last(1)
        .unwrap()
        .keep_best("validation_loss", Goal::Lowest);
    let mut trainer = Trainer::new(4).callback(seen.clone()).callback(checkpoints);
    trainer.fit(&mut task, &mut model, &mut Sgd::new(0.01), &mut train, Some(&mut validation)).unwrap();
    let directory = trainer.find_callback::<ModelCheckpoint>().unwrap().directory().clone();
    assert_eq!(directory.entries().unwrap().len(), 2);
    let best = directory.best().unwrap().unwrap().load().unwrap();
    assert_eq!(best.epoch(), 2);
    best.restore_model(&mut model).unwrap();
    assert_eq!(weights(&model), seen.0.lock().unwrap()[1]);
}

/// An output that tests can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn progress_is_lines_in_a_file_and_a_bar_on_a_terminal() {
    let _turn = turn();
    let fit = |bar: ProgressBar| {
        let mut model = linear(Device::cpu().autodiff());
        let mut train = DataLoader::new(line(20), 5).unwrap();
        Trainer::new(3).callback(bar).fit(&mut Regression, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap();
    };
    let text = |output: &Shared| String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let output = Shared::default();
    fit(ProgressBar::to(output.clone(), false));
    let lines = text(&output);
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.starts_with("epoch 1/3  train_loss ") && !lines.contains('\r'), "{lines}");
    let output = Shared::default();
    fit(ProgressBar::to(output.clone(), true).every(2));
    let lines = text(&output);
    assert!(lines.contains('\r') && lines.contains("1/4  loss ") && lines.ends_with('\n'), "{lines}");
    // Of a closed pipe training knows nothing.
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    fit(ProgressBar::to(Closed, true));
}

#[test]
fn callbacks_see_every_stage_and_may_stop() {
    let _turn = turn();
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);
    impl Callback for Log {
        fn on_fit_start(&mut self, _: &mut Context<'_>) -> Result<()> {
            self.0.lock().unwrap().push("fit".into());
            Ok(())
        }
        fn on_epoch_start(&mut self, context: &mut Context<'_>) -> Result<()> {
            self.0.lock().unwrap().push(format!("epoch {}", context.progress.epoch));
            Ok(())
        }
        fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
            self.0.lock().unwrap().push(format!("step {}", context.progress.step));
            if context.progress.step == 3 {
                context.stop("enough");
            }
            Ok(())
        }
        fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
            self.0.lock().unwrap().push(format!("end {}", context.history.epochs.len()));
            Ok(())
        }
        fn on_fit_end(&mut self, _: &mut Context<'_>) -> Result<()> {
            self.0.lock().unwrap().push("over".into());
            Ok(())
        }
    }
    let log = Log::default();
    let monitor = LearningRateMonitor::new();
    let mut model = linear(Device::cpu().autodiff());
    let mut train = DataLoader::new(line(20), 10).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (csv, json) = (directory.path().join("history.csv"), directory.path().join("history.json"));
    let mut trainer = Trainer::new(9)
        .schedule(osnova_optim::schedules::FromFunction(|step| if step < 2 { 0.02 } else { 0.01 }))
        .callback(log.clone())
        .callback(monitor)
        .callback(HistoryWriter::csv(&csv))
        .callback(HistoryWriter::json(&json));
    let mut optimizer = Sgd::new(0.5);
    let history = trainer.fit(&mut Regression, &mut model, &mut optimizer, &mut train, None).unwrap();
    let seen = log.0.lock().unwrap().join(" ");
    assert_eq!(seen, "fit epoch 1 step 1 step 2 end 1 epoch 2 step 3 end 2 over");
    assert_eq!(history.stopped.as_deref(), Some("enough"));
    assert_eq!(trainer.find_callback::<LearningRateMonitor>().unwrap().changes(), [(1, 0.02), (3, 0.01)]);
    assert_eq!(optimizer.learning_rate(), 0.01);
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 3);
    assert_eq!(History::load_json(json).unwrap().epochs, history.epochs);
}

/// Counts what the device asks the system for.
struct Memory {
    warm: Option<usize>,
    after: Arc<Mutex<Option<usize>>>,
}

impl Callback for Memory {
    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let allocations = osnova_cpu::memory::memory_statistics().system_allocations;
        // Warm after three epochs: the best weights have been kept, means have been read.
        match context.progress.step {
            102 => self.warm = Some(allocations),
            1102 => *self.after.lock().unwrap() = self.warm.map(|warm| allocations - warm),
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn memory_is_flat_over_a_thousand_steps() {
    let _turn = turn();
    let (mut train, mut validation) = loaders(1);
    let mut model = mlp(1, Device::cpu().autodiff());
    let after = Arc::new(Mutex::new(None));
    let mut trainer = Trainer::new(33)
        .callback(EarlyStopping::minimize("validation_loss").patience(100))
        .callback(Memory { warm: None, after: after.clone() });
    trainer.fit(&mut Classification, &mut model, &mut AdamW::new(1e-3), &mut train, Some(&mut validation)).unwrap();
    assert_eq!(*after.lock().unwrap(), Some(0));
}

#[test]
fn a_plateau_lowers_the_learning_rate_and_resumes_exactly() {
    let _turn = turn();
    let device = Device::cpu().autodiff();
    let directory = tempfile::tempdir().unwrap();
    // An epoch must be better by a tenth, or the learning rate is halved; the averages of the weights resume beside it.
    let fit = |epochs: usize, resume: Option<osnova_checkpoint::Checkpoint>, path: &str| {
        let plateau = Plateau::minimize().factor(0.5).patience(0).relative_threshold(0.1).minimum(1e-3);
        let checkpoints = ModelCheckpoint::new(directory.path().join(path)).unwrap();
        let trainer = Trainer::new(epochs)
            .callback(ReduceOnPlateau::new("validation_loss", plateau))
            .callback(checkpoints)
            .callback(WeightAveraging::each_step(WeightAverage::exponential(0.9).warm_up(true)));
        let mut trainer = if let Some(checkpoint) = resume { trainer.resume(checkpoint) } else { trainer };
        let mut model = mlp(5, device);
        let (mut train, mut validation) = loaders(5);
        let mut optimizer = RmsProp::new(0.01);
        let history =
            trainer.fit(&mut Classification, &mut model, &mut optimizer, &mut train, Some(&mut validation)).unwrap();
        (history, weights(&model))
    };
    let (whole, end) = fit(8, None, "whole");
    let rates: Vec<f64> = whole.epochs.iter().map(|record| record.learning_rate).collect();
    let losses = whole.series("validation_loss");
    let mut expected = vec![0.01_f64];
    let mut best = f64::INFINITY;
    for &loss in &losses[..7] {
        let last = expected[expected.len() - 1];
        if loss < 0.9 * best {
            best = loss;
            expected.push(last);
        } else {
            expected.push((last / 2.0).max(1e-3));
        }
    }
    assert_eq!(rates, expected, "{losses:?}");
    assert!(rates[7] < 0.01, "{rates:?}");

    fit(4, None, "part");
    let checkpoint = CheckpointDirectory::create(directory.path().join("part")).unwrap().load_latest().unwrap();
    let (resumed, again) = fit(8, checkpoint, "part");
    assert_eq!(outcome(&whole), outcome(&resumed));
    assert!(end == again, "weights differ after a break");
}

#[test]
fn a_plateau_beside_a_schedule_is_refused() {
    let _turn = turn();
    let (mut train, mut validation) = loaders(0);
    let mut trainer = trainer(1).callback(ReduceOnPlateau::new("validation_loss", Plateau::minimize()));
    let mut model = mlp(0, Device::cpu().autodiff());
    let error = trainer
        .fit(&mut Classification, &mut model, &mut Sgd::new(0.1), &mut train, Some(&mut validation))
        .unwrap_err();
    assert!(error.to_string().contains("in vain"), "{error}");
}

/// Notes the model's weights after every step.
#[derive(Default)]
struct Weights(Vec<Vec<f64>>);

fn numbers(model: &dyn Module) -> Vec<f64> {
    model.state_dict().iter().flat_map(|(_, tensor)| tensor.to_host().unwrap().to_f64()).collect()
}

impl Callback for Weights {
    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.0.push(numbers(context.model));
        Ok(())
    }
}

#[test]
fn averages_of_the_weights_are_validated_and_kept_and_do_not_disturb_training() {
    let _turn = turn();
    let device = Device::cpu().autodiff();
    let fit = |averaging: Option<WeightAveraging>, stopping: bool| {
        let mut trainer = Trainer::new(3).callback(Weights::default());
        if stopping {
            trainer = trainer.callback(EarlyStopping::minimize("validation_loss"));
        }
        if let Some(averaging) = averaging {
            trainer = trainer.callback(averaging);
        }
        let mut model = Linear::new(2, 1, &Generator::new(1), device).unwrap();
        let mut train = DataLoader::new(line(40), 10).unwrap();
        let mut validation = DataLoader::new(line(20), 20).unwrap();
        let history =
            trainer.fit(&mut Regression, &mut model, &mut Sgd::new(0.1), &mut train, Some(&mut validation)).unwrap();
        let steps = trainer.find_callback::<Weights>().unwrap().0.clone();
        let loss = evaluate(&mut Regression, &model, &mut validation).unwrap()["loss"];
        (history, steps, numbers(&model), loss)
    };
    let (plain, steps, ..) = fit(None, false);
    // The mean of the weights at the end of epochs 2 and 3.
    let equal = || WeightAveraging::each_epoch(WeightAverage::equal()).from_epoch(2);
    let (history, same, end, loss) = fit(Some(equal()), false);
    assert_eq!(steps, same, "training itself goes on as without");
    for ((&end, second), third) in end.iter().zip(&steps[7]).zip(&steps[11]) {
        assert!((end - (second + third) / 2.0).abs() < 1e-6);
    }
    let losses = history.series("validation_loss");
    assert_eq!(losses[..2], plain.series("validation_loss")[..2], "one set of weights is its own mean");
    assert_eq!(losses[2], loss);
    assert_ne!(losses[2], plain.series("validation_loss")[2]);
    // What is restored is what was validated.
    let averaging = WeightAveraging::each_step(WeightAverage::exponential(0.9));
    let (history, same, _, loss) = fit(Some(averaging), true);
    assert_eq!(steps, same);
    assert_eq!(history.series("validation_loss")[history.restored_epoch.unwrap() - 1], loss);
}

#[test]
fn textbook_2_ten_thousand_examples_at_batch_100_make_100_iterations() {
    let _turn = turn();
    let mut train = DataLoader::new(line(10_000), 100).unwrap();
    let mut model = Linear::new(2, 1, &Generator::new(1), Device::cpu().autodiff()).unwrap();
    let history = Trainer::new(2).fit(&mut Regression, &mut model, &mut Sgd::new(0.1), &mut train, None).unwrap();
    assert_eq!(history.epochs.iter().map(|epoch| epoch.step).collect::<Vec<_>>(), [100, 200]);
    // Full-batch descent makes one, stochastic descent 10,000.
    assert_eq!(DataLoader::new(line(10_000), 10_000).unwrap().batch_count(), 1);
    assert_eq!(DataLoader::new(line(10_000), 1).unwrap().batch_count(), 10_000);
}

#[test]
fn textbook_2_a_rate_over_the_stability_limit_is_reported_and_a_small_one_is_slow() {
    let _turn = turn();
    let fit = |learning_rate: f64| {
        let mut train = DataLoader::new(line(100), 100).unwrap();
        let mut model = Linear::new(2, 1, &Generator::new(1), Device::cpu().autodiff()).unwrap();
        Trainer::new(200).fit(&mut Regression, &mut model, &mut Sgd::new(learning_rate), &mut train, None)
    };
    let last = |learning_rate| fit(learning_rate).unwrap().series("train_loss")[199];
    // The largest curvature of this loss is 2 (of the bias; the features' are below 1): stable up to 1.
    let (good, slow) = (last(0.5), last(1e-3));
    assert!(good < 1e-6 && slow > 0.5, "{good}, {slow}");
    let error = fit(1.5).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    assert!(error.to_string().contains("Lower the learning rate"), "{error}");
}
