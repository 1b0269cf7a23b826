//! Learns what digits (or clothes) look like: autoencoders of six kinds, from real images to a page of pictures.
//!
//! ```text
//! cargo run --release --example generative
//! cargo run --release --example generative -- --model denoising
//! cargo run --release --example generative -- --model vae --dataset fashion-mnist --data-dir /usr/share/datasets/fashion-mnist
//! cargo run --release --example generative --features vulkan -- --device vulkan
//! cargo run --release --example generative -- --help
//! ```
//!
//! The test set stays sealed until training is over and is opened once. `runs/generative/<model>-<dataset>/` then holds the
//! model, the pictures, `index.html` that shows them with all numbers, and the manifest.

mod album;
mod data;
mod evaluation;
mod kinds;
mod models;
mod options;
#[path = "../shared/print.rs"]
mod print;
#[path = "../shared/mod.rs"]
mod shared;

use album::Run;
use clap::Parser;
use data::Parts;
use models::Model;
use options::Options;
use osnova::checkpoint::{load_model, save_model};
use osnova::data::{DataLoader, Dataset};
use osnova::generative::evaluation::fit_code_prior;
use osnova::generative::{BetaSchedule, Generation, GenerativeModel};
use osnova::nn::Module;
use osnova::optim::AdamW;
use osnova::prelude::{AutodiffDevice, Generator, Tensor};
use osnova::train::{
    Doctor, EarlyStopping, Goal, History, Manifest, ModelCheckpoint, ProgressBar, SplitSizes, TestResult, Trainer,
};
use print::say;
use shared::run_directory::RunDirectory;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

type Failure = Box<dyn Error>;

/// Samples a batch where nothing is learned.
const EVALUATION_BATCH: usize = 1000;

fn main() -> ExitCode {
    print::finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    options.check()?;
    let device = options.device()?;
    let mut manifest = Manifest::new(options.seed, device.name());
    options.record(&mut manifest)?;
    let directory = options.run_directory(&manifest)?;
    let out = directory.path();

    let (parts, test) = manifest.phase("load", || data::load(options))?;
    let Parts { train, validation, class_names, .. } = &parts;
    let name = options.dataset.name();
    manifest = manifest.dataset(name, train);
    let sizes =
        SplitSizes { train: train.len(), validation: validation.as_ref().map_or(0, Dataset::len), test: test.len() };
    manifest.split = sizes;
    say!("{name}: {} to train, {} to validate, {} sealed", sizes.train, sizes.validation, sizes.test);

    let mut model = models::build(options, train.feature_count(), class_names.len(), device.autodiff())?;
    say!("{}", model.summary([options.batch_size(), train.feature_count()])?);
    let history = train_model(options, &mut manifest, &parts, &mut model, &directory)?;
    if let Some(epoch) = history.restored_epoch {
        say!("the model has the weights of epoch {epoch}, the best on validation data");
    }

    // The one look at the test set.
    let (test, opened) = test.open("final evaluation")?;
    let mut test = DataLoader::shared(test, EVALUATION_BATCH)?;
    let mut train = DataLoader::shared(parts.train.clone(), EVALUATION_BATCH)?;
    manifest.phase("prior", || fit_code_prior(&mut model, &mut train))?;
    let evaluation = manifest.phase("test", || evaluation::measure(options, &model, &parts, &mut test))?;
    for [name, value, meaning] in evaluation.numbers.rows() {
        say!("{name:<26} {value:>12}  {meaning}");
    }
    manifest.record_test(TestResult { opened, confusion_matrix: None, metrics: evaluation.numbers.metrics() })?;
    manifest.phase("save", || save_model(&model, out.join("model.safetensors")))?;
    let (test_data, begin) = (test.dataset().clone(), Instant::now());
    let run = Run {
        options,
        model: &*model,
        parts: &parts,
        test: &test_data,
        evaluation: &evaluation,
        history: &history,
        out,
    };
    album::write(&run, &manifest)?;
    manifest.seconds.insert("pictures".to_owned(), begin.elapsed().as_secs_f64());
    manifest.phase("verify", || verify(options, &model, &parts, &mut test, out))?;
    manifest.save(out.join("manifest.json"))?;
    say!("wrote {0}: index.html shows it all", out.display());
    Ok(())
}

fn train_model(
    options: &Options,
    manifest: &mut Manifest,
    parts: &Parts,
    model: &mut Model,
    directory: &RunDirectory,
) -> Result<History, Failure> {
    let mut train = DataLoader::shared(parts.train.clone(), options.batch_size())?.shuffle(options.seed);
    let validation = parts.validation.clone();
    let mut validation = validation.map(|part| DataLoader::shared(part, EVALUATION_BATCH)).transpose()?;

    let mut trainer = Trainer::new(options.epochs()).callback(ProgressBar::new());
    let mut checkpoints = ModelCheckpoint::into_directory(directory.checkpoints()?.keep_last(1)?);
    if validation.is_some() {
        checkpoints = checkpoints.keep_best("validation_loss", Goal::Lowest);
        trainer = trainer.callback(EarlyStopping::minimize("validation_loss").patience(options.patience()));
    }
    trainer = trainer.callback(checkpoints);
    if options.doctor {
        trainer = trainer.callback(Doctor::new());
    }
    if let Some(checkpoint) = directory.last_checkpoint(options.epochs())? {
        trainer = trainer.resume(checkpoint);
    }
    let mut task = Generation::new();
    if let Some(warm_up) = options.warm_up() {
        let part = if options.model.is_variational() { "kl" } else { "sparsity" };
        task = task.schedule(part, BetaSchedule::Linear { warm_up })?;
    }
    let mut optimizer = AdamW::new(options.learning_rate).weight_decay(options.weight_decay);
    let history =
        manifest.phase("train", || trainer.fit(&mut task, model, &mut optimizer, &mut train, validation.as_mut()))?;
    manifest.record(&history);
    if let Some(doctor) = trainer.find_callback::<Doctor>() {
        say!("the doctor: {doctor}");
        doctor.save_gradient_flow(directory.path().join("gradient-flow.svg"))?;
        doctor.save_update_ratios(directory.path().join("update-ratios.svg"))?;
    }
    Ok(history)
}

/// Loads the saved model into a fresh one, which must give the same bits: of test samples, and of new ones.
fn verify(options: &Options, model: &Model, parts: &Parts, test: &mut DataLoader, out: &Path) -> Result<(), Failure> {
    let device = model.device().ok_or("the model has no parameters")?;
    let mut loaded = models::build(options, parts.train.feature_count(), parts.class_names.len(), device)?;
    load_model(&mut loaded, out.join("model.safetensors"))?;
    let batch = data::first(test.dataset(), EVALUATION_BATCH, device.without_recording())?;
    let classes = model.class_count().and(batch.targets.as_ref());
    let bits = |model: &Model| -> Result<Vec<u32>, Failure> {
        let model = model.inference()?;
        let new = model.sample(batch.indices.len(), classes, &Generator::new(options.seed))?;
        let both = Tensor::concat(&[&model.reconstruct(&batch.features, classes)?, &new], 0)?;
        Ok(both.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())
    };
    if bits(model)? != bits(&loaded)? {
        return Err("the loaded model does not give what the trained one does".into());
    }
    say!("the model loaded from the file gives the same reconstructions and samples, bit for bit");
    Ok(())
}
