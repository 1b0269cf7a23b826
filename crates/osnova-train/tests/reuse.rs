//! What a run leaves behind: a trainer used twice, a step that fails or panics, tasks that return what they must not.

use osnova_autodiff::AutodiffDevice;
use osnova_checkpoint::CheckpointDirectory;
use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader, TensorBatch};
use osnova_nn::{Forward, Linear, Module, Relu, Sequential};
use osnova_optim::{Adam, Optimizer, Plateau, Sgd, WeightAverage};
use osnova_tensor::{DType, Device, Generator, Tensor};
use osnova_train::{
    Doctor, EarlyStopping, History, LearningRateMonitor, ModelCheckpoint, ReduceOnPlateau, Regression, Result,
    StepOutput, Trainer, TrainingStep, WeightAveraging, predict_classes,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Two features, y = 2a − 3b + 1.
fn loader(samples: usize) -> DataLoader {
    let features: Vec<f32> = (0..2 * samples).map(|index| ((index * 37 % 101) as f32) / 50.0 - 1.0).collect();
    let targets: Vec<f32> = features.chunks_exact(2).map(|row| 2.0 * row[0] - 3.0 * row[1] + 1.0).collect();
    DataLoader::new(ArrayDataset::regression(features, [2], targets, 1).unwrap(), 8).unwrap()
}

fn model(seed: u64) -> Sequential {
    let (generator, device) = (Generator::new(seed), Device::cpu().autodiff());
    Sequential::new()
        .with(Linear::new(2, 8, &generator, device).unwrap())
        .with(Relu)
        .with(Linear::new(8, 1, &generator, device).unwrap())
}

fn weights(model: &dyn Module) -> Vec<u32> {
    let state = model.state_dict();
    state.iter().flat_map(|(_, tensor)| tensor.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
}

/// The mean squared error and so much more: a second run whose losses all lie above those of the first.
struct Shifted(f64);

impl TrainingStep<Sequential> for Shifted {
    fn training_step(&mut self, model: &Sequential, batch: &TensorBatch) -> Result<StepOutput> {
        let output = Regression.training_step(model, batch)?;
        Ok(StepOutput { loss: (output.loss + self.0)?, ..output })
    }
}

/// A trainer with every callback that remembers something.
fn full_trainer() -> Trainer {
    Trainer::new(6)
        .callback(EarlyStopping::minimize("validation_loss").patience(2))
        .callback(ReduceOnPlateau::new("validation_loss", Plateau::minimize().patience(1).factor(0.1)))
        .callback(LearningRateMonitor::new())
        .callback(Doctor::new().quiet().every(2))
        .callback(WeightAveraging::each_step(WeightAverage::exponential(0.9)))
}

fn fit(trainer: &mut Trainer, shift: f64, model: &mut Sequential) -> (History, f64) {
    let (mut train, mut validation, mut optimizer) = (loader(40), loader(16), Adam::new(0.01));
    let history = trainer.fit(&mut Shifted(shift), model, &mut optimizer, &mut train, Some(&mut validation)).unwrap();
    (history, optimizer.learning_rate())
}

#[test]
fn a_trainer_used_twice_begins_anew() {
    let mut used = full_trainer();
    fit(&mut used, 0.0, &mut model(1));
    // A model of other shape, too: its state must not meet the first one's.
    let mut second = model(2);
    let (history, learning_rate) = fit(&mut used, 100.0, &mut second);

    let mut fresh = full_trainer();
    let mut expected = model(2);
    let (expected_history, expected_rate) = fit(&mut fresh, 100.0, &mut expected);
    assert_eq!(weights(&second), weights(&expected));
    assert_eq!(learning_rate, expected_rate);
    assert_eq!(history.stopped, expected_history.stopped);
    assert_eq!(history.restored_epoch, expected_history.restored_epoch);
    assert_eq!(history.diagnoses, expected_history.diagnoses);
    let changes = |trainer: &Trainer| trainer.find_callback::<LearningRateMonitor>().unwrap().changes().to_vec();
    assert_eq!(changes(&used), changes(&fresh));
    let best = |trainer: &Trainer| trainer.find_callback::<EarlyStopping>().unwrap().best();
    assert_eq!(best(&used), best(&fresh));
    assert_eq!(used.find_callback::<Doctor>().unwrap().looks(), fresh.find_callback::<Doctor>().unwrap().looks());
}

#[test]
fn a_second_model_of_another_shape_is_no_obstacle() {
    let mut used = full_trainer();
    fit(&mut used, 0.0, &mut model(1));
    let (generator, device) = (Generator::new(3), Device::cpu().autodiff());
    let mut other = Sequential::new().with(Linear::new(2, 1, &generator, device).unwrap());
    fit(&mut used, 100.0, &mut other);
}

#[test]
fn a_directory_of_checkpoints_is_for_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(1).callback(ModelCheckpoint::new(directory.path()).unwrap());
    let mut run = || trainer.fit(&mut Shifted(0.0), &mut model(1), &mut Sgd::new(0.01), &mut loader(40), None);
    run().unwrap();
    // The best of the first run would pass for the second's.
    let message = run().unwrap_err().to_string();
    assert!(message.contains("checkpoints of another run") && message.contains("clear"), "{message}");
    CheckpointDirectory::create(directory.path()).unwrap().clear().unwrap();
    run().unwrap();
}

/// What goes wrong, and when.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Error,
    Panic,
}

/// Fails at its n-th training step or validation step.
struct Failing {
    fault: Fault,
    training: usize,
    validation: usize,
}

impl Failing {
    fn count(left: &mut usize, fault: Fault) -> Result<()> {
        match (left.checked_sub(1), fault) {
            (Some(less), _) => {
                *left = less;
                Ok(())
            }
            (None, Fault::Error) => Err(osnova_train::TrainError::other("the task failed")),
            (None, Fault::Panic) => panic!("the task panicked"),
        }
    }
}

impl TrainingStep<Sequential> for Failing {
    fn training_step(&mut self, model: &Sequential, batch: &TensorBatch) -> Result<StepOutput> {
        Self::count(&mut self.training, self.fault)?;
        Regression.training_step(model, batch)
    }
    fn validation_step(&mut self, model: &Sequential, batch: &TensorBatch) -> Result<StepOutput> {
        Self::count(&mut self.validation, self.fault)?;
        Regression.training_step(model, batch)
    }
}

/// Runs `task` and gives whether it ended as `fault` says.
fn failed(trainer: &mut Trainer, task: &mut Failing, model: &mut Sequential) -> bool {
    let (mut train, mut validation, mut optimizer) = (loader(40), loader(16), Sgd::new(0.01));
    let fault = task.fault;
    let ended =
        catch_unwind(AssertUnwindSafe(|| trainer.fit(task, model, &mut optimizer, &mut train, Some(&mut validation))));
    match ended {
        Err(_) => fault == Fault::Panic,
        Ok(result) => fault == Fault::Error && result.is_err(),
    }
}

#[test]
fn a_step_that_fails_under_the_doctor_leaves_the_model_where_it_was() {
    for fault in [Fault::Error, Fault::Panic] {
        for training in [0, 1, 3, 6] {
            let mut model = model(1);
            let device = model.device();
            let mut trainer = Trainer::new(2).callback(Doctor::new().quiet());
            let mut task = Failing { fault, training, validation: usize::MAX };
            assert!(failed(&mut trainer, &mut task, &mut model));
            assert_eq!(model.device(), device);
            let x = Tensor::zeros([1, 2], DType::F32, Device::cpu()).unwrap();
            model.forward(&x).unwrap();
            // And it can be trained further, by the same trainer.
            fit(&mut trainer, 0.0, &mut model);
        }
    }
}

#[test]
fn a_validation_that_fails_leaves_the_model_its_own_weights() {
    for fault in [Fault::Error, Fault::Panic] {
        let mut averaged = model(1);
        let averaging = WeightAveraging::each_step(WeightAverage::exponential(0.9));
        let mut trainer = Trainer::new(2).callback(averaging);
        let mut task = Failing { fault, training: usize::MAX, validation: 1 };
        assert!(failed(&mut trainer, &mut task, &mut averaged));

        let mut plain = model(1);
        let mut task = Failing { fault, training: usize::MAX, validation: 1 };
        assert!(failed(&mut Trainer::new(2), &mut task, &mut plain));
        assert_eq!(weights(&averaged), weights(&plain), "the averages stayed in the model");
    }
}

/// What a task returns instead of a loss and a metric.
struct Odd(fn(&Sequential, &TensorBatch, usize) -> Result<StepOutput>, usize);

impl TrainingStep<Sequential> for Odd {
    fn training_step(&mut self, model: &Sequential, batch: &TensorBatch) -> Result<StepOutput> {
        self.1 += 1;
        self.0(model, batch, self.1)
    }
}

fn odd(step: fn(&Sequential, &TensorBatch, usize) -> Result<StepOutput>) -> Result<History> {
    Trainer::new(1).fit(&mut Odd(step, 0), &mut model(1), &mut Sgd::new(0.01), &mut loader(40), None)
}

#[test]
fn what_a_task_returns_wrongly_is_named() {
    let message = |step| odd(step).unwrap_err().to_string();
    let detached = message(|model, batch, _| {
        let output = Regression.training_step(model, batch)?;
        Ok(StepOutput { loss: output.loss.detach(), ..output })
    });
    assert!(detached.contains("the loss does not depend on any parameter"), "{detached}");
    let elsewhere = message(|_, batch, _| Ok(StepOutput::new(batch.features.mean(.., false)?, 8)));
    assert!(elsewhere.contains("the loss does not depend on any parameter"), "{elsewhere}");
    let per_sample = message(|model, batch, _| Ok(StepOutput::new(model.forward(&batch.features)?, 8)));
    assert!(per_sample.contains("`loss`") && per_sample.contains("[8, 1]"), "{per_sample}");
    let metric = message(|model, batch, _| {
        let output = Regression.training_step(model, batch)?;
        Ok(output.metric("error\u{1b}[2J", &model.forward(&batch.features)?.detach()))
    });
    assert!(metric.contains(r"`error\u{1b}[2J`") && metric.contains("single element"), "{metric}");
    let infinite = message(|model, batch, _| {
        let output = Regression.training_step(model, batch)?;
        Ok(StepOutput { loss: (output.loss * 1e30)?.exp()?, ..output })
    });
    assert!(infinite.contains("loss"), "{infinite}");
}

#[test]
fn a_metric_may_change_its_dtype() {
    let history = odd(|model, batch, step| {
        let output = Regression.training_step(model, batch)?;
        let dtype = [DType::F32, DType::F64, DType::F16][step % 3];
        let value = Tensor::full((), 2.0, dtype, Device::cpu())?;
        Ok(output.metric("two", &value))
    });
    assert_eq!(history.unwrap().epochs[0].metrics["train_two"], 2.0);
}

#[test]
fn a_refused_checkpoint_is_not_forgotten() {
    let checkpoint = osnova_checkpoint::Checkpoint::new(3, 1);
    let mut trainer = Trainer::new(2).resume(checkpoint);
    let mut fit = || trainer.fit(&mut Shifted(0.0), &mut model(1), &mut Sgd::new(0.1), &mut loader(40), None);
    fit().unwrap_err();
    // The second call must not begin anew as if nothing had been asked.
    fit().unwrap_err();
}

#[test]
fn every_sample_is_read_once_for_its_class() {
    use osnova_data::{DataError, Dataset};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    struct Counting(ArrayDataset, AtomicUsize);
    impl Dataset for Counting {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn feature_shape(&self) -> &[usize] {
            self.0.feature_shape()
        }
        fn target_kind(&self) -> osnova_data::TargetKind {
            self.0.target_kind()
        }
        fn read_features(&self, index: usize, into: &mut [f32]) -> std::result::Result<(), DataError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read_features(index, into)
        }
        fn read_class(&self, index: usize) -> std::result::Result<i64, DataError> {
            self.0.read_class(index)
        }
    }
    let classes: Vec<i64> = (0..20).map(|sample| sample % 3).collect();
    let inner = ArrayDataset::classification(vec![0.5; 40], [2], classes.clone(), 3).unwrap();
    let data = std::sync::Arc::new(Counting(inner, AtomicUsize::new(0)));
    let mut loader = DataLoader::shared(data.clone(), 8).unwrap().shuffle(1);
    let model = Linear::new(2, 3, &Generator::new(0), Device::cpu()).unwrap();
    let (targets, predictions) = predict_classes(&model, &mut loader).unwrap();
    assert_eq!((targets.len(), predictions.len()), (20, 20));
    assert_eq!(data.1.load(Ordering::Relaxed), 20);
    let mut sorted = targets.clone();
    sorted.sort_unstable();
    let mut expected = classes;
    expected.sort_unstable();
    assert_eq!(sorted, expected);
}
