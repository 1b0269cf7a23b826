//! What can be chosen on the command line.

use crate::kinds::{CodeKind, DatasetKind, LikelihoodKind, ModelKind, PenaltyKind};
use crate::shared::arguments::{self, at_least_one, at_most, batch_size, count, positive, seed, threads, width};
use crate::shared::run_directory::RunDirectory;
use clap::Parser;
use osnova::generative::{Corruption, Sparsity};
use osnova::tensor::Device;
use osnova::train::Manifest;
use std::error::Error;
use std::path::PathBuf;

/// Trains an autoencoder on real images, tests it once, and writes the model, pictures, a page that shows them and a manifest.
#[derive(Clone, Debug, Parser)]
#[command(name = "generative", version)]
pub(crate) struct Options {
    /// What to train
    #[arg(long, value_enum, default_value = "vae")]
    pub(crate) model: ModelKind,

    /// What to learn
    #[arg(long, value_enum, default_value = "digits")]
    pub(crate) dataset: DatasetKind,

    /// Where Fashion-MNIST's four IDX files are, gzipped or not
    #[arg(long, value_name = "DIR", default_value = "/usr/share/datasets/fashion-mnist")]
    pub(crate) data_dir: PathBuf,

    /// Epochs at most [default: 200 for digits, 20 for fashion-mnist]
    #[arg(long, value_parser = at_least_one)]
    epochs: Option<usize>,

    /// Samples a step [default: 32 for digits, 128 for fashion-mnist]
    #[arg(long, value_parser = batch_size)]
    batch_size: Option<usize>,

    /// The optimizer's learning rate
    #[arg(long, default_value = "0.001", value_parser = positive)]
    pub(crate) learning_rate: f64,

    /// The decoupled weight decay of AdamW; 0 is plain Adam
    #[arg(long, default_value = "0", value_parser = at_least_zero)]
    pub(crate) weight_decay: f64,

    /// Widths of the encoder's hidden layers, separated by commas, or none; the decoder has them in reverse [default: 128 for digits, 400 for fashion-mnist]
    #[arg(long, value_delimiter = ',', value_parser = hidden_width)]
    hidden: Option<Vec<usize>>,

    /// Width of a code [default: 8 for digits, 20 for fashion-mnist; 64 and 256 for sparse, 32 and 64 for denoising]
    #[arg(long, value_parser = latent)]
    latent: Option<usize>,

    /// What the code of plain, sparse and denoising passes through [default: for sparse relu, with the penalty kl sigmoid; else linear]
    #[arg(long, value_enum)]
    code: Option<CodeKind>,

    /// What the decoder's outputs mean [default: for variational models gaussian on digits and bernoulli on fashion-mnist; for the others squared-error]
    #[arg(long, value_enum)]
    likelihood: Option<LikelihoodKind>,

    /// The weight of the KL divergence of vae, beta-vae and conditional [default: 4 for beta-vae, else 1]
    #[arg(long, value_parser = at_least_zero)]
    beta: Option<f64>,

    /// Epochs in which the KL divergence (or the sparsity) is let in, from 0 to its full weight [default: in full from the start]
    #[arg(long, value_name = "EPOCHS", value_parser = positive)]
    warm_up: Option<f64>,

    /// Nats of KL divergence that each code feature has for nothing [default: 0]
    #[arg(long, value_name = "NATS", value_parser = at_least_zero)]
    free_bits: Option<f64>,

    /// What sparse asks of its codes [default: l1]
    #[arg(long, value_enum)]
    penalty: Option<PenaltyKind>,

    /// The weight of that penalty [default: 0.02 for digits, 0.1 for fashion-mnist]
    #[arg(long, value_name = "WEIGHT", value_parser = at_least_zero)]
    sparsity: Option<f64>,

    /// How denoising spoils its inputs: gaussian:σ, masking:share or salt-and-pepper:share [default: gaussian:0.3]
    #[arg(long, value_name = "KIND:AMOUNT", value_parser = corruption)]
    corruption: Option<Corruption>,

    /// Codes a sample that the importance-weighted bound draws, at most; it is taken of the first 500 test samples
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = importance_samples)]
    pub(crate) importance_samples: usize,

    /// Epochs without a better validation loss after which to stop [default: 20 for digits, 10 for fashion-mnist]
    #[arg(long, value_parser = at_least_one)]
    patience: Option<usize>,

    /// Fashion-MNIST's training images to validate on; with 0 all are trained on and the last epoch's model is kept
    #[arg(long, default_value = "5000", value_parser = count)]
    pub(crate) validation_samples: usize,

    /// The seed of split, initial weights, noise, order of samples and pictures
    #[arg(long, default_value = "0", value_parser = seed)]
    pub(crate) seed: u64,

    /// Where to compute: cpu, or in a build with `--features vulkan` also vulkan, vulkan:1 … [default: what OSNOVA_DEVICE says, else cpu]
    #[arg(long, value_name = "NAME")]
    device: Option<String>,

    /// Threads of the CPU device [default: one a core]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,

    /// Where to write [default: runs/generative/<model>-<dataset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Watches training for diseases, a collapsed posterior among them
    #[arg(long)]
    pub(crate) doctor: bool,

    /// Goes on from the last checkpoint in the output directory
    #[arg(long)]
    pub(crate) resume: bool,
}

/// 0 stands for no layer.
fn hidden_width(text: &str) -> Result<usize, String> {
    if text.trim() == "none" { Ok(0) } else { width(text) }
}

/// 500 test samples are decoded so often: 10,000 take seconds to minutes.
fn importance_samples(text: &str) -> Result<usize, String> {
    at_most(text, 10_000)
}

/// Pictures and classifiers of codes grow with their width.
fn latent(text: &str) -> Result<usize, String> {
    at_most(text, 4096)
}

fn at_least_zero(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(number) if number >= 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("give a number of at least 0".to_owned()),
    }
}

fn corruption(text: &str) -> Result<Corruption, String> {
    const HELP: &str = "give gaussian:σ, masking:share or salt-and-pepper:share, such as gaussian:0.3";
    let (kind, amount) = text.trim().split_once(':').ok_or(HELP)?;
    let amount = amount.parse().map_err(|_| HELP)?;
    let corruption = match kind {
        "gaussian" => Corruption::Gaussian { standard_deviation: amount },
        "masking" => Corruption::Masking { probability: amount },
        "salt-and-pepper" => Corruption::SaltAndPepper { probability: amount },
        _ => return Err(HELP.to_owned()),
    };
    corruption.checked().map_err(|error| error.to_string())
}

impl Options {
    fn of<T>(&self, given: Option<T>, digits: T, fashion: T) -> T {
        given.unwrap_or(match self.dataset {
            DatasetKind::Digits => digits,
            DatasetKind::FashionMnist => fashion,
        })
    }

    pub(crate) fn epochs(&self) -> usize {
        self.of(self.epochs, 200, 20)
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.of(self.batch_size, 32, 128)
    }

    pub(crate) fn hidden(&self) -> Vec<usize> {
        let mut hidden = self.of(self.hidden.clone(), vec![128], vec![400]);
        hidden.retain(|width| *width > 0);
        hidden
    }

    pub(crate) fn latent(&self) -> usize {
        match self.model {
            ModelKind::Sparse => self.of(self.latent, 64, 256),
            ModelKind::Denoising => self.of(self.latent, 32, 64),
            _ => self.of(self.latent, 8, 20),
        }
    }

    pub(crate) fn code(&self) -> CodeKind {
        self.code.unwrap_or(match (self.model, self.penalty) {
            (ModelKind::Sparse, Some(PenaltyKind::Kl)) => CodeKind::Sigmoid,
            (ModelKind::Sparse, _) => CodeKind::Relu,
            _ => CodeKind::Linear,
        })
    }

    pub(crate) fn likelihood(&self) -> LikelihoodKind {
        self.likelihood.unwrap_or(match self.model.is_variational() {
            true => self.of(None, LikelihoodKind::Gaussian, LikelihoodKind::Bernoulli),
            false => LikelihoodKind::SquaredError,
        })
    }

    pub(crate) fn beta(&self) -> f64 {
        self.beta.unwrap_or(if self.model == ModelKind::BetaVae { 4.0 } else { 1.0 })
    }

    pub(crate) fn warm_up(&self) -> Option<f64> {
        self.warm_up
    }

    pub(crate) fn free_bits(&self) -> f64 {
        self.free_bits.unwrap_or_default()
    }

    pub(crate) fn penalty(&self) -> Sparsity {
        match self.penalty {
            Some(PenaltyKind::Kl) => Sparsity::Kl { target: 0.05, momentum: Some(0.1) },
            _ => Sparsity::L1,
        }
    }

    pub(crate) fn sparsity(&self) -> f64 {
        self.of(self.sparsity, 0.02, 0.1)
    }

    pub(crate) fn corruption(&self) -> Corruption {
        self.corruption.unwrap_or(Corruption::Gaussian { standard_deviation: 0.3 })
    }

    pub(crate) fn patience(&self) -> usize {
        self.of(self.patience, 20, 10)
    }

    /// Refuses what the model would pass over in silence.
    pub(crate) fn check(&self) -> Result<(), Box<dyn Error>> {
        let (model, variational) = (self.model, self.model.is_variational());
        let sparse = model == ModelKind::Sparse;
        let wrong = [
            ("--beta", self.beta.is_some() && !variational, "vae, beta-vae and conditional"),
            ("--free-bits", self.free_bits.is_some() && !variational, "vae, beta-vae and conditional"),
            ("--warm-up", self.warm_up.is_some() && !variational && !sparse, "variational models and sparse"),
            ("--penalty", self.penalty.is_some() && !sparse, "sparse"),
            ("--sparsity", self.sparsity.is_some() && !sparse, "sparse"),
            ("--corruption", self.corruption.is_some() && model != ModelKind::Denoising, "denoising"),
            ("--code", self.code.is_some() && variational, "plain, sparse and denoising"),
        ];
        match wrong.iter().find(|(_, wrong, _)| *wrong) {
            None => Ok(()),
            Some((option, _, models)) => {
                Err(format!("{option} is for {models}, not for {}: leave it out", model.name()).into())
            }
        }
    }

    pub(crate) fn device(&self) -> Result<Device, Box<dyn Error>> {
        arguments::device(self.device.as_deref(), self.threads)
    }

    /// The output directory, ready to be written to.
    pub(crate) fn run_directory(&self, manifest: &Manifest) -> Result<RunDirectory, Box<dyn Error>> {
        let name = format!("{}-{}", self.model.name(), self.dataset.name());
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from("runs/generative").join(name));
        RunDirectory::open(out, self.resume, manifest)
    }

    /// Notes every choice that decides the result.
    pub(crate) fn record(&self, manifest: &mut Manifest) -> osnova::train::Result<()> {
        manifest.hyperparameter("model", self.model.name())?;
        manifest.dataset.name = self.dataset.name().to_owned();
        manifest.hyperparameter("epochs", self.epochs())?;
        if self.dataset == DatasetKind::FashionMnist {
            manifest.hyperparameter("validation_samples", self.validation_samples)?;
        }
        manifest.hyperparameter("batch_size", self.batch_size())?;
        manifest.hyperparameter("learning_rate", self.learning_rate)?;
        manifest.hyperparameter("weight_decay", self.weight_decay)?;
        manifest.hyperparameter("hidden", self.hidden())?;
        manifest.hyperparameter("latent", self.latent())?;
        manifest.hyperparameter("likelihood", format!("{:?}", self.likelihood()))?;
        manifest.hyperparameter("patience", self.patience())?;
        manifest.hyperparameter("warm_up", self.warm_up())?;
        if self.model.is_variational() {
            manifest.hyperparameter("beta", self.beta())?;
            manifest.hyperparameter("free_bits", self.free_bits())?;
            return Ok(());
        }
        manifest.hyperparameter("code", format!("{:?}", self.code()))?;
        match self.model {
            ModelKind::Sparse => {
                manifest.hyperparameter("penalty", format!("{:?}", self.penalty()))?;
                manifest.hyperparameter("sparsity", self.sparsity())
            }
            ModelKind::Denoising => manifest.hyperparameter("corruption", format!("{:?}", self.corruption())),
            _ => Ok(()),
        }
    }
}
