//! A run that was interrupted and resumed ends with the same bits as one that was not.

use osnova_autodiff::AutodiffDevice;
use osnova_checkpoint::{Checkpoint, CheckpointDirectory, CheckpointError};
use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader, LoaderState};
use osnova_nn::{Forward, Linear, Module};
use osnova_optim::{Adam, Optimizer, Sgd};
use osnova_tensor::{Device, Generator, Result, Tensor};
use std::path::Path;

const SAMPLES: usize = 50;
const BATCH: usize = 8;
const STEPS: u64 = 20;

/// A network with noise in it, so that the random state matters.
#[derive(Module)]
struct Noisy {
    hidden: Linear,
    out: Linear,
    noise: Generator,
}

impl Noisy {
    fn new(seed: u64) -> Self {
        let generator = Generator::new(seed);
        let device = Device::cpu().autodiff();
        Self {
            hidden: Linear::new(4, 16, &generator, device).unwrap(),
            out: Linear::new(16, 1, &generator, device).unwrap(),
            noise: generator.fork(1),
        }
    }
}

impl Forward for Noisy {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = self.hidden.forward(input)?.tanh()?;
        let stream = self.noise.take(1 << 10);
        let noise = Generator::at(stream).permutation(hidden.count()).unwrap();
        let noise = Tensor::from_vec(
            noise.into_iter().map(|place| place as f32 * 1e-3).collect(),
            hidden.dims(),
            Device::cpu(),
        )?;
        self.out.forward(&(hidden + &noise)?)
    }
}

fn data() -> ArrayDataset {
    let features: Vec<f32> = (0..SAMPLES * 4).map(|index| ((index * 37) % 101) as f32 / 101.0).collect();
    let targets: Vec<f32> = (0..SAMPLES).map(|index| ((index * 17) % 23) as f32 / 23.0).collect();
    ArrayDataset::regression(features, [4], targets, 1).unwrap()
}

struct Run {
    model: Noisy,
    optimizer: Box<dyn Optimizer>,
    loader: DataLoader,
    step: u64,
}

impl Run {
    fn new(seed: u64, optimizer: Box<dyn Optimizer>) -> Self {
        let loader = DataLoader::new(data(), BATCH).unwrap().shuffle(3);
        Self { model: Noisy::new(seed), optimizer, loader, step: 0 }
    }

    /// Trains up to a number of steps, whatever epoch that ends in; gives the losses' bits.
    fn train_to(&mut self, end: u64) -> Vec<u32> {
        let mut losses = Vec::new();
        while self.step < end {
            for batch in self.loader.tensors(Device::cpu()) {
                let batch = batch.unwrap();
                // The learning rate changes as under a schedule.
                self.optimizer.set_learning_rate(0.05 / (1.0 + self.step as f64));
                let output = self.model.forward(&batch.features).unwrap();
                let loss = (&output - batch.targets().unwrap()).unwrap().square().unwrap().mean(.., false).unwrap();
                self.optimizer.step(&mut self.model, &loss.backward().unwrap()).unwrap();
                losses.push((loss.item().unwrap() as f32).to_bits());
                self.step += 1;
                if self.step == end {
                    break;
                }
            }
        }
        losses
    }

    fn save(&self, path: &Path) {
        let state = self.loader.state();
        let mut checkpoint = Checkpoint::capture(self.step, state.epoch, &self.model, &*self.optimizer).unwrap();
        checkpoint.put("loader", &state).unwrap();
        checkpoint.save(path).unwrap();
    }

    fn resume(&mut self, path: &Path) {
        let checkpoint = Checkpoint::load(path).unwrap();
        checkpoint.restore(&mut self.model, &mut *self.optimizer).unwrap();
        self.loader.restore(checkpoint.get::<LoaderState>("loader").unwrap()).unwrap();
        self.step = checkpoint.step();
    }

    fn bits(&self) -> Vec<u32> {
        let parameters = self.model.parameters();
        let moments = self.optimizer.state_dict().tensors;
        let tensors = parameters.iter().map(|parameter| parameter.value()).chain(moments.into_iter().map(|(_, x)| x));
        tensors.flat_map(|x| x.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
    }
}

fn resumes_with_the_same_bits(make: impl Fn() -> Box<dyn Optimizer>) {
    let directory = tempfile::tempdir().unwrap();
    let mut whole = Run::new(3, make());
    let losses = whole.train_to(STEPS);
    assert!(losses.windows(2).any(|pair| pair[0] != pair[1]));
    // Seven batches an epoch: in the middle of epochs, at their very ends, before the first step.
    for pause in [0, 1, 5, 7, 10, 14, 19, 20] {
        let path = directory.path().join(pause.to_string());
        let mut first = Run::new(3, make());
        first.train_to(pause);
        first.save(&path);
        // The run goes on after the save as if nothing had been.
        first.train_to(STEPS);
        assert_eq!(first.bits(), whole.bits(), "after the save at {pause}");
        // A fresh model of another seed: everything must come from the checkpoint.
        let mut second = Run::new(99, make());
        second.resume(&path);
        assert_eq!(second.train_to(STEPS), losses[pause as usize..], "losses after {pause}");
        assert_eq!(second.bits(), whole.bits(), "resumed at {pause}");
    }
}

#[test]
fn adam_resumes_with_the_same_bits() {
    resumes_with_the_same_bits(|| Box::new(Adam::new(0.05)));
}

#[test]
fn sgd_with_momentum_resumes_with_the_same_bits() {
    resumes_with_the_same_bits(|| Box::new(Sgd::new(0.05).momentum(0.9)));
}

#[test]
fn a_snapshot_keeps_its_values_while_training_goes_on() {
    let mut run = Run::new(3, Box::new(Adam::new(0.05)));
    run.train_to(5);
    let at_five = run.bits();
    let snapshot = Checkpoint::capture(5, 0, &run.model, &*run.optimizer).unwrap();
    run.train_to(9);
    assert_ne!(run.bits(), at_five);
    // Back to it without a disk: the best weights, say.
    snapshot.restore(&mut run.model, &mut *run.optimizer).unwrap();
    assert_eq!(run.bits(), at_five);
}

#[test]
fn an_optimizer_that_does_not_fit_leaves_model_and_optimizer_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("adam");
    let mut saved = Run::new(3, Box::new(Adam::new(0.05)));
    saved.train_to(3);
    saved.save(&path);
    let mut other = Run::new(4, Box::new(Sgd::new(0.05).momentum(0.9)));
    other.train_to(2);
    let (before, random) = (other.bits(), other.model.random_state());
    let checkpoint = Checkpoint::load(&path).unwrap();
    let error = checkpoint.restore(&mut other.model, &mut *other.optimizer).unwrap_err();
    assert!(matches!(error, CheckpointError::Part { .. }), "{error:?}");
    assert!(error.to_string().contains("adam"), "{error}");
    assert_eq!((other.bits(), other.model.random_state()), (before, random));
}

#[test]
fn parts_metrics_and_metadata_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let mut checkpoint = Checkpoint::new(u64::MAX, 7);
    let text = "line\nbreak \u{1f600} \"quoted\"".to_owned();
    checkpoint.put("text", &text).unwrap();
    // Numbers that lose bits where a reader is careless.
    let numbers = vec![0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, -0.0, 1.0 / 3.0, f64::MAX];
    checkpoint.put("numbers", &numbers).unwrap();
    for (name, value) in [("loss", f64::NAN), ("best", f64::INFINITY), ("worst", f64::NEG_INFINITY), ("last", 0.1)] {
        checkpoint.set_metric(name, value);
    }
    checkpoint.set_metadata(serde_json::json!({"command": ["train", "--seed", "1"], "seed": u64::MAX}));
    // JSON would turn the infinity into nothing: better now than at the resume.
    let error = checkpoint.put("infinite", &f64::INFINITY).unwrap_err();
    assert!(matches!(error, CheckpointError::Unsaveable { .. }) && error.to_string().contains("infinite"), "{error}");
    let error = checkpoint.put_tensors("a/b", Vec::<(String, Tensor)>::new()).unwrap_err();
    assert!(matches!(error, CheckpointError::Unsaveable { .. }), "{error:?}");
    checkpoint.save(&path).unwrap();

    let loaded = Checkpoint::load(&path).unwrap();
    assert_eq!((loaded.step(), loaded.epoch()), (u64::MAX, 7));
    assert_eq!(loaded.get::<String>("text").unwrap(), text);
    let back: Vec<f64> = loaded.get("numbers").unwrap();
    assert_eq!(
        back.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    );
    assert!(loaded.metrics()["loss"].is_nan());
    assert_eq!((loaded.metrics()["best"], loaded.metrics()["worst"]), (f64::INFINITY, f64::NEG_INFINITY));
    assert_eq!(loaded.metrics()["last"], 0.1);
    assert_eq!(loaded.metadata(), checkpoint.metadata());
    assert!(loaded.has("text") && !loaded.has("infinite"));
    let error = loaded.get::<u32>("absent").unwrap_err();
    assert!(error.to_string().contains("`numbers`"), "{error}");
    let error = loaded.get::<u32>("text").unwrap_err();
    assert!(error.to_string().contains("another type"), "{error}");

    let error = checkpoint.save(&path).unwrap_err();
    assert!(matches!(error, CheckpointError::Unsaveable { .. }), "{error:?}");
}

#[test]
fn metadata_too_deep_to_be_read_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut deep = serde_json::Value::Null;
    for _ in 0..200 {
        deep = serde_json::Value::Array(vec![deep]);
    }
    let mut checkpoint = Checkpoint::new(0, 0);
    checkpoint.set_metadata(deep);
    let error = checkpoint.save(directory.path().join("deep")).unwrap_err();
    assert!(matches!(error, CheckpointError::Unsaveable { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_run_taken_back_to_an_older_step_goes_on_from_what_it_saved_last() {
    let directory = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointDirectory::create(directory.path()).unwrap().keep_last(2).unwrap();
    for step in [100, 200, 50, 50] {
        checkpoints.save(&Checkpoint::new(step, 0)).unwrap();
    }
    let entries = checkpoints.entries().unwrap();
    assert_eq!(entries.iter().map(|entry| (entry.number(), entry.step())).collect::<Vec<_>>(), [(2, 50), (3, 50)]);
    assert!(checkpoints.best().is_err());
    assert!(checkpoints.clone().keep_last(0).is_err());
    // What is no checkpoint is let be.
    for name in ["notes", "1-step-", "x-step-1", "99999999999999999999999-step-1"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    checkpoints.save(&Checkpoint::new(60, 0)).unwrap();
    assert_eq!(checkpoints.latest().unwrap().unwrap().step(), 60);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2 + 4);
    // A link to nowhere under a checkpoint's name: an error, not an endless search.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", directory.path().join("000009-step-9")).unwrap();
        assert!(matches!(checkpoints.load_latest(), Err(CheckpointError::Missing { .. })));
    }
}
