//! Features in which samples can be compared with data.

use super::{at_least_one, frechet_distance};
use osnova_autodiff::AutodiffDevice;
use osnova_data::{DataLoader, TargetKind};
use osnova_nn::{Forward, Linear, Module};
use osnova_optim::Adam;
use osnova_tensor::{Device, Generator, Tensor};
use osnova_train::{Classification, Result, TrainError, Trainer, predict_classes};

const OPERATION: &str = "feature_extractor";

/// A small classifier trained on the data themselves, whose last hidden layer gives the features for a Fréchet distance:
/// two hidden layers of ReLU.
///
/// As a layer it gives the features, so [`predict`](osnova_train::predict) gives those of a whole loader.
///
/// **Its distances are not FIDs.** Those of the literature are taken in the features of an Inception network trained on
/// ImageNet (Heusel et al. 2017), and can be compared across papers. These can be compared only under one extractor: one
/// data set, width and seed. They tell which of two models' samples are nearer to the data, where telling the classes apart
/// is what makes near.
#[derive(Module, Clone, Debug)]
pub struct FeatureExtractor {
    first: Linear,
    second: Linear,
    head: Linear,
}

impl FeatureExtractor {
    /// Trains the classifier on labelled data for some epochs (Adam, learning rate 1e-3), with hidden layers of so many
    /// units, on a device. Shuffle the loader. The same seed and loader give the same features.
    ///
    /// # Errors
    /// No hidden units or epochs, data without classes or samples, data whose training fails.
    pub fn train(loader: &mut DataLoader, hidden: usize, epochs: usize, seed: u64, device: Device) -> Result<Self> {
        at_least_one(OPERATION, "the number of hidden units", hidden)?;
        at_least_one(OPERATION, "the number of epochs", epochs)?;
        let data = loader.dataset();
        let TargetKind::Class { count } = data.target_kind() else {
            return Err(TrainError::argument(
                OPERATION,
                "the data have no classes",
                "Give labelled data: the features are those that tell classes apart",
            ));
        };
        let (generator, device) = (Generator::new(seed), device.without_recording().autodiff());
        let mut classifier = Classifier {
            extractor: Self {
                first: Linear::new(data.feature_count(), hidden, &generator, device)?,
                second: Linear::new(hidden, hidden, &generator, device)?,
                head: Linear::new(hidden, count, &generator, device)?,
            },
        };
        loader.start_epoch(0);
        Trainer::new(epochs).fit(&mut Classification, &mut classifier, &mut Adam::new(1e-3), loader, None)?;
        Ok(classifier.extractor.inference()?)
    }

    /// The features of samples of any shape, `[samples, hidden]`.
    ///
    /// # Errors
    /// Samples of another size than those it was trained on.
    pub fn features(&self, samples: &Tensor) -> Result<Tensor> {
        Ok(self.forward(samples)?)
    }

    /// [`frechet_distance`](frechet_distance()) between the features of real and generated samples.
    ///
    /// # Errors
    /// Fewer than two samples of a kind, samples of another size than those it was trained on, values that are not finite.
    pub fn frechet_distance(&self, real: &Tensor, generated: &Tensor) -> Result<f64> {
        frechet_distance(&self.features(real)?, &self.features(generated)?)
    }

    /// How many of a loader's samples the classifier gets right, from 0 to 1: features of a bad classifier tell little.
    ///
    /// # Errors
    /// No data, data without classes or of another size.
    pub fn accuracy(&self, loader: &mut DataLoader) -> Result<f64> {
        let (classes, predictions) = predict_classes(&Classifier { extractor: self.clone() }, loader)?;
        let right = classes.iter().zip(&predictions).filter(|(class, prediction)| class == prediction).count();
        Ok(right as f64 / classes.len().max(1) as f64)
    }
}

impl Forward for FeatureExtractor {
    fn forward(&self, input: &Tensor) -> osnova_tensor::Result<Tensor> {
        let batch = input.dims().first().copied().unwrap_or_default();
        let flat = input.reshape([batch, input.count() / batch.max(1)])?;
        self.second.forward(&self.first.forward(&flat)?.relu()?)?.relu()
    }
}

/// The extractor while it learns to tell classes apart.
#[derive(Module, Clone, Debug)]
struct Classifier {
    extractor: FeatureExtractor,
}

impl Forward for Classifier {
    fn forward(&self, input: &Tensor) -> osnova_tensor::Result<Tensor> {
        self.extractor.head.forward(&self.extractor.forward(input)?)
    }
}
