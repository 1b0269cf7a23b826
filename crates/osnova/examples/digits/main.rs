//! Learns to read handwritten digits (or to tell clothes apart): from real images to a trained, tested, saved model.
//!
//! ```text
//! cargo run --release --example digits
//! cargo run --release --example digits -- --dataset fashion-mnist --data-dir /usr/share/datasets/fashion-mnist
//! cargo run --release --example digits --features vulkan -- --device vulkan
//! cargo run --release --example digits -- --help
//! ```
//!
//! The test set stays sealed until training is over and is opened once. `runs/digits/` then holds the model, the
//! preprocessing fitted on training data, two charts and the manifest.

mod data;
mod options;
#[path = "../shared/print.rs"]
mod print;
#[path = "../shared/mod.rs"]
mod shared;

use clap::Parser;
use data::Parts;
use options::{OptimizerKind, Options};
use osnova::checkpoint::{load_model, save_model};
use osnova::data::{DataLoader, Dataset};
use osnova::nn::{Dropout, Linear, Module, Relu, Sequential};
use osnova::optim::{Adam, AdamW, Optimizer};
use osnova::prelude::{AutodiffDevice, Generator};
use osnova::tensor::Device;
use osnova::train::metrics::ConfusionMatrix;
use osnova::train::plot::{ConfusionChart, LineChart};
use osnova::train::{
    Classification, Doctor, EarlyStopping, Goal, History, Manifest, ModelCheckpoint, ProgressBar, SplitSizes,
    TestResult, Trainer, evaluate, predict, predict_classes,
};
use print::say;
use shared::run_directory::RunDirectory;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// Samples a batch where nothing is learned.
const EVALUATION_BATCH: usize = 1024;

fn main() -> ExitCode {
    print::finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let device = options.device()?;
    let mut manifest = Manifest::new(options.seed, device.name());
    options.record(&mut manifest)?;
    let directory = options.run_directory(&manifest)?;
    let out = directory.path();

    let parts = manifest.phase("load", || data::load(options))?;
    let Parts { name, train, validation, test, class_names, .. } = &parts;
    manifest = manifest.dataset(*name, train);
    let sizes =
        SplitSizes { train: train.len(), validation: validation.as_ref().map_or(0, Dataset::len), test: test.len() };
    manifest.split = sizes;
    say!("{name}: {} to train, {} to validate, {} sealed", sizes.train, sizes.validation, sizes.test);

    let classes = class_names.len();
    let mut model = mlp(options, train.feature_count(), classes, device.autodiff())?;
    say!("{}", model.summary([options.batch_size(), train.feature_count()])?);

    let history = train_model(options, &mut manifest, &parts, &mut model, &directory)?;
    if let Some(epoch) = history.restored_epoch {
        say!("the model has the weights of epoch {epoch}, the best on validation data");
    }

    let class_names = class_names.clone();
    let scaler = parts.scaler.clone();
    // The one look at the test set.
    let (test, opened) = parts.test.open("final evaluation")?;
    let test = data::prepared(scaler.as_ref(), &test)?;
    let mut test = DataLoader::shared(test, EVALUATION_BATCH)?;
    let (metrics, matrix) = manifest.phase("test", || -> Result<_, Box<dyn Error>> {
        let mut metrics = evaluate(&mut Classification, &model, &mut test)?;
        let (targets, predictions) = predict_classes(&model, &mut test)?;
        let matrix = ConfusionMatrix::of(&targets, &predictions, classes)?;
        // Counted, instead of the mean of 32-bit means.
        metrics.insert("accuracy".to_owned(), matrix.accuracy()?);
        Ok((metrics, matrix))
    })?;
    say!("\n{}\n{}", matrix.table(&class_names), matrix.report(&class_names)?);
    say!("test accuracy {:.2} % ({} of {})", 100.0 * matrix.accuracy()?, matrix.right(), matrix.samples());
    manifest.record_test(TestResult { opened, confusion_matrix: Some(matrix.clone()), metrics })?;

    manifest.phase("save", || -> Result<_, Box<dyn Error>> {
        save_model(&model, out.join("model.safetensors"))?;
        if let Some(scaler) = &scaler {
            std::fs::write(out.join("preprocessing.json"), serde_json::to_string(scaler)?)?;
        }
        loss_chart(&history, parts.name).save(out.join("loss.svg"))?;
        let title = format!("{}: what was taken for what", parts.name);
        let rows = matrix.rows().map(|row| row.iter().copied());
        ConfusionChart::new(title, &class_names, rows).save(out.join("confusion.svg"))?;
        Ok(())
    })?;
    manifest.phase("verify", || verify(options, &model, &mut test, out))?;
    manifest.save(out.join("manifest.json"))?;
    say!("wrote {}: model.safetensors, loss.svg, confusion.svg, manifest.json", out.display());
    Ok(())
}

/// Linear layers with ReLU and dropout between them; dropout of pixels before them keeps single pixels from deciding.
fn mlp(options: &Options, features: usize, classes: usize, device: Device) -> osnova::tensor::Result<Sequential> {
    let generator = Generator::new(options.seed);
    let mut model = Sequential::new();
    if options.input_dropout() > 0.0 {
        model.push(Dropout::new(options.input_dropout(), &generator.fork(0))?);
    }
    let mut width = features;
    for (number, hidden) in options.hidden().into_iter().enumerate() {
        model.push(Linear::new(width, hidden, &generator, device)?);
        model.push(Relu);
        if options.dropout() > 0.0 {
            model.push(Dropout::new(options.dropout(), &generator.fork(1 + number as u64))?);
        }
        width = hidden;
    }
    model.push(Linear::new(width, classes, &generator, device)?);
    Ok(model)
}

fn train_model(
    options: &Options,
    manifest: &mut Manifest,
    parts: &Parts,
    model: &mut Sequential,
    directory: &RunDirectory,
) -> Result<History, Box<dyn Error>> {
    let (train, validation) = manifest.phase("prepare", || -> Result<_, Box<dyn Error>> {
        let train = data::prepared(parts.scaler.as_ref(), &parts.train)?;
        let validation =
            parts.validation.as_ref().map(|part| data::prepared(parts.scaler.as_ref(), part)).transpose()?;
        Ok((train, validation))
    })?;
    let mut train = DataLoader::shared(train, options.batch_size())?.shuffle(options.seed);
    let mut validation = validation.map(|part| DataLoader::shared(part, EVALUATION_BATCH)).transpose()?;
    let mut optimizer: Box<dyn Optimizer> = match options.optimizer() {
        OptimizerKind::Adam => Box::new(Adam::new(options.learning_rate)),
        OptimizerKind::Adamw => Box::new(AdamW::new(options.learning_rate)),
    };

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
    let history = manifest
        .phase("train", || trainer.fit(&mut Classification, model, &mut optimizer, &mut train, validation.as_mut()))?;
    manifest.record(&history);
    if let Some(doctor) = trainer.find_callback::<Doctor>() {
        say!("the doctor: {doctor}");
        doctor.save_gradient_flow(directory.path().join("gradient-flow.svg"))?;
        doctor.save_update_ratios(directory.path().join("update-ratios.svg"))?;
    }
    Ok(history)
}

fn loss_chart(history: &History, name: &str) -> LineChart {
    let mut chart = LineChart::new(format!("{name}: loss")).x_label("epoch").y_label("cross-entropy");
    for (label, metric) in [("train", "train_loss"), ("validation", "validation_loss")] {
        let values = history.series(metric);
        if values.iter().any(|value| value.is_finite()) {
            chart = chart.values(label, values);
        }
    }
    match history.restored_epoch {
        Some(epoch) => chart.marker(format!("best: epoch {epoch}"), epoch as f64),
        None => chart,
    }
}

/// Loads the saved model into a fresh one, which must give the same bits for every test sample.
fn verify(options: &Options, model: &Sequential, test: &mut DataLoader, out: &Path) -> Result<(), Box<dyn Error>> {
    let features = test.dataset().feature_count();
    let classes = test.dataset().class_count().unwrap_or_default();
    let device = model.device().ok_or("the model has no parameters")?;
    let mut loaded = mlp(options, features, classes, device)?;
    load_model(&mut loaded, out.join("model.safetensors"))?;
    let bits = |model: &Sequential, test: &mut DataLoader| -> Result<Vec<u32>, Box<dyn Error>> {
        Ok(predict(model, test)?.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect())
    };
    if bits(model, test)? != bits(&loaded, test)? {
        return Err("the loaded model does not predict what the trained one does".into());
    }
    say!("the model loaded from the file gives the same predictions, bit for bit");
    Ok(())
}
