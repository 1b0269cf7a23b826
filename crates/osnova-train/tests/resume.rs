//! A resume that is refused has changed nothing, wherever it was refused; and data and options that differ are refused.

use osnova_autodiff::AutodiffDevice;
use osnova_checkpoint::{Checkpoint, CheckpointDirectory};
use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader, LoaderState, Subset};
use osnova_nn::{Dropout, Linear, Module, Relu, Sequential};
use osnova_optim::{Adam, AdamW, Lion, Optimizer, Plateau, WeightAverage};
use osnova_tensor::random::Stream;
use osnova_tensor::{Device, Generator, Tensor};
use osnova_train::{
    Callback, CallbackState, Context, EarlyStopping, ModelCheckpoint, ReduceOnPlateau, Regression, Result, TrainError,
    Trainer, WeightAveraging,
};
use serde_json::{Value, json};

fn samples(count: usize, offset: usize) -> ArrayDataset {
    let features: Vec<f32> = (0..2 * count).map(|index| ((index * 37 + offset) % 101) as f32 / 50.0 - 1.0).collect();
    let targets: Vec<f32> = features.chunks_exact(2).map(|row| 2.0 * row[0] - 3.0 * row[1] + 1.0).collect();
    ArrayDataset::regression(features, [2], targets, 1).unwrap()
}

fn train_loader() -> DataLoader {
    DataLoader::new(samples(40, 0), 8).unwrap().shuffle(3)
}

fn validation_loader() -> DataLoader {
    DataLoader::new(samples(16, 7), 16).unwrap()
}

fn model(seed: u64) -> Sequential {
    let (generator, device) = (Generator::new(seed), Device::cpu().autodiff());
    Sequential::new()
        .with(Linear::new(2, 8, &generator, device).unwrap())
        .with(Relu)
        .with(Dropout::new(0.1, &generator.fork(1)).unwrap())
        .with(Linear::new(8, 1, &generator, device).unwrap())
}

/// A callback that counts steps, and refuses states whose count is odd: only when they are loaded.
#[derive(Default)]
struct Counter(u64);

impl Callback for Counter {
    fn reset(&mut self) {
        self.0 = 0;
    }

    fn on_step_end(&mut self, _: &mut Context<'_>) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn state(&self) -> Option<CallbackState> {
        Some(CallbackState { values: self.0.into(), ..CallbackState::default() })
    }

    fn load_state(&mut self, state: CallbackState) -> Result<()> {
        self.0 = state.values.as_u64().ok_or_else(|| TrainError::other("no count"))?;
        if self.0 % 2 == 1 { Err(TrainError::other("an odd count")) } else { Ok(()) }
    }
}

fn with_callbacks(trainer: Trainer) -> Trainer {
    let plateau = Plateau::minimize().patience(1).factor(0.5);
    trainer
        .callback(EarlyStopping::minimize("validation_loss").patience(5))
        .callback(ReduceOnPlateau::new("validation_loss", plateau))
        .callback(WeightAveraging::each_step(WeightAverage::exponential(0.9)))
        .callback(Counter::default())
}

/// A checkpoint after two epochs of five steps.
fn saved() -> Checkpoint {
    let directory = tempfile::tempdir().unwrap();
    let checkpoints = ModelCheckpoint::new(directory.path()).unwrap();
    with_callbacks(Trainer::new(2))
        .callback(checkpoints)
        .fit(&mut Regression, &mut model(1), &mut AdamW::new(0.01), &mut train_loader(), Some(&mut validation_loader()))
        .unwrap();
    CheckpointDirectory::create(directory.path()).unwrap().load_latest().unwrap().unwrap()
}

/// The checkpoint with the trainer's part changed.
fn changed(checkpoint: &Checkpoint, change: impl FnOnce(&mut Value)) -> Checkpoint {
    let mut changed = checkpoint.clone();
    let mut part: Value = checkpoint.get("trainer").unwrap();
    change(&mut part);
    changed.put("trainer", &part).unwrap();
    changed
}

type Everything = (Vec<u32>, Vec<(String, Stream)>, Vec<u32>, (f64, Vec<(String, u64)>), LoaderState, Vec<String>);

fn bits<'a>(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Vec<u32> {
    tensors.flat_map(|(_, tensor)| tensor.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
}

fn everything(model: &Sequential, optimizer: &dyn Optimizer, train: &DataLoader, trainer: &Trainer) -> Everything {
    let state = optimizer.state_dict();
    let callbacks: [Option<CallbackState>; 4] = [
        trainer.find_callback::<EarlyStopping>().and_then(Callback::state),
        trainer.find_callback::<ReduceOnPlateau>().and_then(Callback::state),
        trainer.find_callback::<WeightAveraging>().and_then(Callback::state),
        trainer.find_callback::<Counter>().and_then(Callback::state),
    ];
    let callbacks =
        callbacks.into_iter().flatten().map(|state| format!("{} {:?}", state.values, bits(state.tensors.iter())));
    (
        bits(model.state_dict().iter()),
        model.random_state(),
        bits(state.tensors.iter()),
        (state.learning_rate, state.steps),
        train.state(),
        callbacks.collect(),
    )
}

/// What is given to the resumed run, all of which has a past of its own.
struct Resumed {
    trainer: Trainer,
    model: Sequential,
    optimizer: Box<dyn Optimizer>,
    train: DataLoader,
    validation: Option<DataLoader>,
}

impl Resumed {
    fn new() -> Self {
        let mut resumed = Self {
            trainer: with_callbacks(Trainer::new(1)),
            model: model(2),
            optimizer: Box::new(AdamW::new(0.02)),
            train: train_loader(),
            validation: Some(validation_loader()),
        };
        resumed.fit().unwrap();
        resumed
    }

    fn fit(&mut self) -> Result<osnova_train::History> {
        let Self { trainer, model, optimizer, train, validation } = self;
        trainer.fit(&mut Regression, model, &mut **optimizer, train, validation.as_mut())
    }

    /// The resume is refused with these words, twice, and everything is as before.
    fn refuses(mut self, checkpoint: Checkpoint, says: &str) {
        self.trainer = self.trainer.resume(checkpoint);
        let before = everything(&self.model, &*self.optimizer, &self.train, &self.trainer);
        for _ in 0..2 {
            let message = self.fit().expect_err(says).to_string();
            assert!(message.contains(says), "{message}");
            assert!(message.chars().count() < 2000 && !message.contains(char::is_control), "{message:?}");
            let after = everything(&self.model, &*self.optimizer, &self.train, &self.trainer);
            assert_eq!(before, after, "{says}");
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut resumed = Self::new();
        change(&mut resumed);
        resumed
    }
}

/// Trainers end after one epoch in `Resumed::new`; for a resume they need more.
fn long(resumed: &mut Resumed) {
    resumed.trainer = with_callbacks(Trainer::new(4));
}

#[test]
fn a_resume_refused_at_any_stage_changes_nothing() {
    let checkpoint = saved();
    let refused = |change: &dyn Fn(&mut Resumed), checkpoint: Checkpoint, says: &str| {
        Resumed::with(|resumed| {
            long(resumed);
            change(resumed);
        })
        .refuses(checkpoint, says);
    };
    let same = |_: &mut Resumed| {};
    let with_loader = |loader: fn() -> DataLoader| move |resumed: &mut Resumed| resumed.train = loader();

    // The trainer's part.
    refused(&same, Checkpoint::new(10, 2), "no part `trainer`");
    refused(&same, changed(&checkpoint, |part| part["progress"]["epoch"] = json!(u64::MAX)), "damaged");
    refused(&same, changed(&checkpoint, |part| part["progress"]["step"] = json!(u64::MAX)), "damaged");
    refused(&same, changed(&checkpoint, |part| part["progress"]["batch"] = json!(u64::MAX)), "damaged");
    refused(&same, changed(&checkpoint, |part| part["seconds"] = json!(-1.0)), "damaged");
    refused(&same, changed(&checkpoint, |part| part["loader"]["epoch"] = json!(u64::MAX)), "damaged");
    refused(&same, changed(&checkpoint, |part| part["loader"]["next_batch"] = json!(u64::MAX)), "damaged");
    refused(&|resumed| resumed.trainer = with_callbacks(Trainer::new(1)), checkpoint.clone(), "at least 2 epochs");

    // The loader's options and the data.
    refused(&with_loader(|| train_loader().drop_last(true)), checkpoint.clone(), "drop_last(true)");
    refused(&with_loader(|| train_loader().shuffle(4)), checkpoint.clone(), "shuffle(4)");
    refused(
        &with_loader(|| DataLoader::new(samples(40, 0), 9).unwrap().shuffle(3)),
        checkpoint.clone(),
        "batches of 9",
    );
    refused(&with_loader(|| DataLoader::new(samples(41, 0), 8).unwrap().shuffle(3)), checkpoint.clone(), "samples");
    refused(
        &with_loader(|| DataLoader::new(samples(40, 1), 8).unwrap().shuffle(3)),
        checkpoint.clone(),
        "training data are not those",
    );
    let reordered = || Subset::new(samples(40, 0), (0..40).rev().collect::<Vec<_>>()).unwrap();
    refused(
        &move |resumed| resumed.train = DataLoader::new(reordered(), 8).unwrap().shuffle(3),
        checkpoint.clone(),
        "training data are not those",
    );
    refused(
        &|resumed| resumed.validation = Some(DataLoader::new(samples(16, 8), 16).unwrap()),
        checkpoint.clone(),
        "validation data are not those",
    );
    refused(&|resumed| resumed.validation = None, checkpoint.clone(), "no validation data");

    // The callbacks: others, and states that they do not take.
    refused(&|resumed| resumed.trainer = Trainer::new(4), checkpoint.clone(), "the trainer has no callback");
    let trainer = || Trainer::new(4).callback(EarlyStopping::minimize("validation_loss"));
    refused(&|resumed| resumed.trainer = trainer(), checkpoint.clone(), "`ReduceOnPlateau`");
    let others = changed(&checkpoint, |part| part["callbacks"][0]["name"] = json!("\u{1b}[2J".repeat(1000)));
    refused(&same, others, "\\u{1b}[2J");
    let tensor = || Tensor::new([1.0f32], Device::cpu()).unwrap();
    for callback in [0, 2] {
        let mut other = checkpoint.clone();
        other.put_tensors(&format!("callback.{callback}"), [("x", tensor())]).unwrap();
        refused(&same, other, "missing");
    }
    for callback in 0..3 {
        refused(&same, changed(&checkpoint, |part| part["callbacks"][callback]["values"] = json!("x")), "first run");
    }
    refused(
        &same,
        changed(&checkpoint, |part| part["callbacks"][0]["values"]["watches"] = json!("Lowest other")),
        "watched `Lowest other`",
    );
    // The last callback finds out only when the others have their states, and the model its weights.
    refused(&same, changed(&checkpoint, |part| part["callbacks"][3]["values"] = json!(9)), "an odd count");

    // The model, its random state, the optimizer.
    let device = Device::cpu().autodiff();
    let linear = move || Sequential::new().with(Linear::new(2, 1, &Generator::new(0), device).unwrap());
    refused(&move |resumed| resumed.model = linear(), checkpoint.clone(), "unexpected 3.bias");
    let without_dropout = move |resumed: &mut Resumed| {
        let generator = Generator::new(5);
        resumed.model = Sequential::new()
            .with(Linear::new(2, 8, &generator, device).unwrap())
            .with(Relu)
            .with(Relu)
            .with(Linear::new(8, 1, &generator, device).unwrap());
    };
    refused(&without_dropout, checkpoint.clone(), "dropout");
    refused(&|resumed| resumed.optimizer = Box::new(Lion::new(0.01)), checkpoint.clone(), "lion");
    refused(&|resumed| resumed.optimizer = Box::new(Adam::new(0.01)), checkpoint.clone(), "adam");
    let mut other = checkpoint.clone();
    other.put_tensors("optimizer", [("x", tensor())]).unwrap();
    refused(&same, other, "missing");
    let optimizer = |change: fn(&mut Value)| {
        let mut other = checkpoint.clone();
        let mut part: Value = checkpoint.get("optimizer").unwrap();
        change(&mut part);
        other.put("optimizer", &part).unwrap();
        other
    };
    refused(&same, optimizer(|part| part["learning_rate"] = json!(-1.0)), "learning rate");
    refused(&same, optimizer(|part| part["steps"] = json!([])), "unexpected");
    refused(&same, optimizer(|part| part["more"] = json!(1)), "unknown field");
}

/// What was refused with one trainer goes on with the right one: nothing of the refused attempt shows.
#[test]
fn after_a_refusal_the_right_resume_has_the_bits_of_one_that_was_never_refused() {
    let checkpoint = saved();
    let run = |refused_first: bool| {
        let mut resumed = Resumed::with(long);
        if refused_first {
            let trainer = std::mem::replace(&mut resumed.trainer, Trainer::new(3).resume(checkpoint.clone()));
            resumed.fit().unwrap_err();
            resumed.trainer = trainer;
        }
        resumed.trainer = resumed.trainer.resume(checkpoint.clone());
        let history = resumed.fit().unwrap();
        assert_eq!(history.epochs.len(), 4);
        everything(&resumed.model, &*resumed.optimizer, &resumed.train, &resumed.trainer)
    };
    assert_eq!(run(false), run(true));
}

/// Callbacks without a state come and go: their places do not count.
#[test]
fn callbacks_without_a_state_do_not_matter() {
    struct Silent;
    impl Callback for Silent {}
    let checkpoint = saved();
    let mut resumed = Resumed::with(|resumed| {
        resumed.trainer = with_callbacks(Trainer::new(3).callback(Silent)).resume(checkpoint);
    });
    assert_eq!(resumed.fit().unwrap().epochs.len(), 3);
}

/// `drop_last` switched on for the last, incomplete batch: it once trained an epoch too many, or overflowed.
#[test]
fn drop_last_switched_on_in_the_middle_of_an_epoch_is_refused() {
    struct Break;
    impl Callback for Break {
        fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
            if context.progress.step == 6 { Err(TrainError::other("power cut")) } else { Ok(()) }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let loader = || DataLoader::new(samples(42, 0), 8).unwrap();
    let checkpoints = ModelCheckpoint::new(directory.path()).unwrap().every_steps(1);
    let error = Trainer::new(1)
        .callback(checkpoints)
        .callback(Break)
        .fit(&mut Regression, &mut model(1), &mut AdamW::new(0.01), &mut loader(), None)
        .unwrap_err();
    assert_eq!(error.to_string(), "power cut");
    let checkpoint = CheckpointDirectory::create(directory.path()).unwrap().load_latest().unwrap().unwrap();
    let error = Trainer::new(1)
        .resume(checkpoint)
        .fit(&mut Regression, &mut model(1), &mut AdamW::new(0.01), &mut loader().drop_last(true), None)
        .unwrap_err();
    assert!(error.to_string().contains("drop_last(false) instead of drop_last(true)"), "{error}");
}
