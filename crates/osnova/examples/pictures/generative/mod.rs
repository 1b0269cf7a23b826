//! Autoencoders of all kinds, trained on the embedded digits.

mod autoencoders;
mod variational;

pub(crate) use autoencoders::{codes, denoising, denoising_gain, reconstructions, sparse_features, sparse_tradeoff};
pub(crate) use variational::{
    bound, collapse, conditional, curves, interpolation, manifold, samples, schedules, traversal,
};

use osnova::data::{DataLoader, MinMaxScaler, SplitOptions, Transform, digits, train_validation_split};
use osnova::generative::pictures::ImageShape;
use osnova::generative::{Generation, GenerativeModel};
use osnova::nn::{Head, Mlp, Module as _};
use osnova::optim::Adam;
use osnova::prelude::{AutodiffDevice, CpuDevice};
use osnova::tensor::{Device, Generator, Tensor};
use osnova::train::{History, Result, Trainer};

const PIXELS: usize = 64;
const SHAPE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };

/// The digits, pixels from 0 to 1, to train on and held out.
struct Digits {
    train: DataLoader,
    held_out: DataLoader,
}

impl Digits {
    fn load() -> Result<Self> {
        let split = train_validation_split(digits()?, 360, &SplitOptions::stratified(0))?;
        let scaler = MinMaxScaler::new().fit(&split.train)?;
        Ok(Self {
            train: DataLoader::new(scaler.apply(&split.train)?, 64)?.shuffle(0),
            held_out: DataLoader::new(scaler.apply(&split.validation)?, 360)?,
        })
    }

    /// The first held-out digits, and their classes.
    fn some(&mut self, count: usize) -> Result<(Tensor, Tensor)> {
        self.held_out.start_epoch(0);
        let batch = self.held_out.batches().next().transpose()?;
        let batch = batch.ok_or_else(|| osnova::train::TrainError::argument("digits", "no data", ""))?;
        let batch = batch.into_tensors(Device::cpu())?;
        Ok((batch.features.narrow(0, 0, count)?, batch.targets()?.narrow(0, 0, count)?))
    }
}

/// One hidden layer of 128.
fn perceptron(inputs: usize, outputs: usize, generator: &Generator) -> Result<Mlp> {
    Ok(Mlp::new(inputs, &[128], Head::Regression(outputs), generator, Device::cpu().autodiff())?)
}

/// The trained model, ready to be asked, and how training went.
fn trained<M: GenerativeModel + Clone>(
    mut model: M,
    task: &mut Generation,
    data: &mut Digits,
    epochs: usize,
) -> Result<(M, History)> {
    let history =
        Trainer::new(epochs).fit(task, &mut model, &mut Adam::new(2e-3), &mut data.train, Some(&mut data.held_out))?;
    Ok((model.inference()?, history))
}
