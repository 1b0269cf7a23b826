//! What can be chosen on the command line.

use crate::shared::arguments::{self, at_least_one, batch_size, count, positive, seed, threads, width};
use crate::shared::run_directory::RunDirectory;
use clap::{Parser, ValueEnum};
use osnova::tensor::Device;
use osnova::train::Manifest;
use std::error::Error;
use std::path::PathBuf;

/// Trains a multi-layer perceptron on real images, tests it once, and writes the model, charts and a manifest.
#[derive(Clone, Debug, Parser)]
#[command(name = "digits", version)]
pub(crate) struct Options {
    /// What to learn
    #[arg(long, value_enum, default_value = "digits")]
    pub(crate) dataset: DatasetKind,

    /// Where Fashion-MNIST's four IDX files are, gzipped or not
    #[arg(long, value_name = "DIR", default_value = "/usr/share/datasets/fashion-mnist")]
    pub(crate) data_dir: PathBuf,

    /// Epochs at most [default: 200 for digits, 10 for fashion-mnist]
    #[arg(long, value_parser = at_least_one)]
    epochs: Option<usize>,

    /// Samples a step [default: 32 for digits, 128 for fashion-mnist]
    #[arg(long, value_parser = batch_size)]
    batch_size: Option<usize>,

    /// The optimizer's learning rate
    #[arg(long, default_value = "0.001", value_parser = positive)]
    pub(crate) learning_rate: f64,

    /// Widths of the hidden layers, separated by commas [default: 1024 for digits, 256,128 for fashion-mnist]
    #[arg(long, value_delimiter = ',', value_parser = width)]
    hidden: Option<Vec<usize>>,

    /// Share of hidden units dropped in training [default: 0.6 for digits, 0 for fashion-mnist]
    #[arg(long, value_parser = share)]
    dropout: Option<f64>,

    /// Share of input pixels dropped in training [default: 0.3 for digits, 0 for fashion-mnist]
    #[arg(long, value_parser = share)]
    input_dropout: Option<f64>,

    /// The optimizer [default: adamw for digits, adam for fashion-mnist]
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerKind>,

    /// Epochs without a better validation loss after which to stop [default: 20 for digits, 10 for fashion-mnist]
    #[arg(long, value_parser = at_least_one)]
    patience: Option<usize>,

    /// Fashion-MNIST's training images to validate on; with 0 all are trained on and the last epoch's model is kept
    #[arg(long, default_value = "5000", value_parser = count)]
    pub(crate) validation_samples: usize,

    /// The seed of split, initial weights, dropout and order of samples
    #[arg(long, default_value = "0", value_parser = seed)]
    pub(crate) seed: u64,

    /// Where to compute: cpu, or in a build with `--features vulkan` also vulkan, vulkan:1 … [default: what OSNOVA_DEVICE says, else cpu]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,

    /// Threads of the CPU device [default: one a core]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,

    /// Where to write [default: runs/<dataset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Watches training for diseases, and draws gradient norms and update ratios by layer
    #[arg(long)]
    pub(crate) doctor: bool,

    /// Goes on from the last checkpoint in the output directory
    #[arg(long)]
    pub(crate) resume: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatasetKind {
    /// 1,797 images of handwritten digits, 8×8, part of this program
    Digits,
    /// 70,000 images of clothes, 28×28, from files
    FashionMnist,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerKind {
    Adam,
    Adamw,
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("give a number from 0 to less than 1".to_owned()),
    }
}

impl Options {
    fn of<T>(&self, given: Option<T>, digits: T, fashion: T) -> T {
        given.unwrap_or(match self.dataset {
            DatasetKind::Digits => digits,
            DatasetKind::FashionMnist => fashion,
        })
    }

    pub(crate) fn epochs(&self) -> usize {
        self.of(self.epochs, 200, 10)
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.of(self.batch_size, 32, 128)
    }

    pub(crate) fn hidden(&self) -> Vec<usize> {
        self.of(self.hidden.clone(), vec![1024], vec![256, 128])
    }

    pub(crate) fn dropout(&self) -> f64 {
        self.of(self.dropout, 0.6, 0.0)
    }

    pub(crate) fn input_dropout(&self) -> f64 {
        self.of(self.input_dropout, 0.3, 0.0)
    }

    pub(crate) fn optimizer(&self) -> OptimizerKind {
        self.of(self.optimizer, OptimizerKind::Adamw, OptimizerKind::Adam)
    }

    pub(crate) fn patience(&self) -> usize {
        self.of(self.patience, 20, 10)
    }

    pub(crate) fn device(&self) -> Result<Device, Box<dyn Error>> {
        arguments::device(self.device.as_deref(), self.threads)
    }

    /// The output directory, ready to be written to.
    pub(crate) fn run_directory(&self, manifest: &Manifest) -> Result<RunDirectory, Box<dyn Error>> {
        let name = self.of(None, "digits", "fashion-mnist");
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(name));
        RunDirectory::open(out, self.resume, manifest)
    }

    /// Notes every choice that decides the result.
    pub(crate) fn record(&self, manifest: &mut Manifest) -> osnova::train::Result<()> {
        manifest.dataset.name = self.of(None, "digits", "fashion-mnist").to_owned();
        manifest.hyperparameter("epochs", self.epochs())?;
        if self.dataset == DatasetKind::FashionMnist {
            manifest.hyperparameter("validation_samples", self.validation_samples)?;
        }
        manifest.hyperparameter("batch_size", self.batch_size())?;
        manifest.hyperparameter("learning_rate", self.learning_rate)?;
        manifest.hyperparameter("hidden", self.hidden())?;
        manifest.hyperparameter("dropout", self.dropout())?;
        manifest.hyperparameter("input_dropout", self.input_dropout())?;
        manifest.hyperparameter("optimizer", format!("{:?}", self.optimizer()).to_lowercase())?;
        manifest.hyperparameter("patience", self.patience())
    }
}
