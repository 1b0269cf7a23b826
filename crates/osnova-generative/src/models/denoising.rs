//! The denoising autoencoder.

use super::{Autoencoder, with_noise};
use crate::{AutoencoderOptions, CodePrior, Corruption, GenerativeModel, Likelihood, LossParts};
use osnova_nn::{Layer, Mode, Module};
use osnova_tensor::{Generator, Result, Tensor};

/// An autoencoder that is given spoiled samples and asked for the clean ones: to tell noise from sample it has to know what
/// samples look like, however wide its code (Vincent et al. 2008 and 2010).
///
/// The loss has one part, `reconstruction`: the mean over the batch of −ln p(x | code of the corrupted x), against the clean x.
/// `encode`, `decode` and `reconstruct` corrupt nothing: what they are given may be spoiled already.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::{Corruption, DenoisingAutoencoder, GenerativeModel};
/// use osnova_nn::{Head, Mlp};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let (generator, device) = (Generator::new(0), Device::cpu());
/// let encoder = Mlp::new(64, &[], Head::Regression(100), &generator, device)?;
/// let decoder = Mlp::new(100, &[], Head::Regression(64), &generator, device)?;
/// let corruption = Corruption::Gaussian { standard_deviation: 0.3 };
/// let model = DenoisingAutoencoder::options(encoder, decoder, 100, corruption).build(&generator)?;
/// let clean = Tensor::zeros([8, 64], DType::F32, device)?;
/// let spoiled = model.corrupt(&clean, &Generator::new(1))?.unwrap();
/// assert_eq!(model.reconstruct(&spoiled, None)?.dims(), [8, 64]);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// In training, noise comes from the model's own generator, whose position a checkpoint keeps; in evaluation it starts anew at
/// every call: a validation loss is that of corrupted samples too, and depends on its input alone.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct DenoisingAutoencoder {
    #[module(flatten)]
    inner: Autoencoder,
    generator: Generator,
    mode: Mode,
    #[module(skip)]
    corruption: Corruption,
}

impl DenoisingAutoencoder {
    /// All that can be chosen; finish with [`DenoisingAutoencoderOptions::build`].
    pub fn options(
        encoder: impl Layer + 'static,
        decoder: impl Layer + 'static,
        latent_features: usize,
        corruption: Corruption,
    ) -> DenoisingAutoencoderOptions {
        DenoisingAutoencoderOptions { inner: Autoencoder::options(encoder, decoder, latent_features), corruption }
    }

    /// What the decoder's outputs mean.
    pub fn likelihood(&self) -> Likelihood {
        self.inner.likelihood()
    }

    /// How samples are spoiled.
    pub fn corruption(&self) -> Corruption {
        self.corruption
    }
}

impl Module for DenoisingAutoencoder {
    fn kind(&self) -> &'static str {
        "DenoisingAutoencoder"
    }
    fn output_shape(&self, input: &osnova_tensor::Shape) -> Option<osnova_tensor::Shape> {
        Some(*input)
    }
}

impl GenerativeModel for DenoisingAutoencoder {
    fn latent_features(&self) -> usize {
        self.inner.latent_features()
    }
    fn loss(&self, input: &Tensor, _: Option<&Tensor>) -> Result<LossParts> {
        let corrupted = with_noise(self.mode, &self.generator, |generator| self.corruption.apply(input, generator))?;
        let code = self.inner.encode(&corrupted, None)?;
        Ok(LossParts::new().with("reconstruction", self.inner.reconstruction(&code, input)?, 1.0))
    }
    fn encode(&self, input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        self.inner.encode(input, None)
    }
    fn decode(&self, code: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        self.inner.decode(code, None)
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        self.inner.sample_codes(count, generator)
    }
    fn corrupt(&self, input: &Tensor, generator: &Generator) -> Result<Option<Tensor>> {
        self.corruption.apply(input, generator).map(Some)
    }
    fn code_prior(&mut self) -> Option<&mut CodePrior> {
        self.inner.code_prior()
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        Box::new(self.clone())
    }
}

/// What can be chosen about a [`DenoisingAutoencoder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct DenoisingAutoencoderOptions {
    inner: AutoencoderOptions,
    corruption: Corruption,
}

impl DenoisingAutoencoderOptions {
    /// What the decoder's outputs mean; the squared error unless said otherwise.
    pub fn likelihood(mut self, likelihood: Likelihood) -> Self {
        self.inner = self.inner.likelihood(likelihood);
        self
    }

    /// The autoencoder, on the encoder's device; its noise comes from a sequence forked off the generator.
    ///
    /// # Errors
    /// As for [`AutoencoderOptions::build`] and [`Corruption::checked`].
    pub fn build(self, generator: &Generator) -> Result<DenoisingAutoencoder> {
        let corruption = self.corruption.checked()?;
        let inner = self.inner.build()?;
        let generator = generator.fork(generator.take(1).counter);
        Ok(DenoisingAutoencoder { inner, generator, mode: Mode::Training, corruption })
    }
}
