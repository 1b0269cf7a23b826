//! The plain autoencoder.

use super::{CodePrior, place};
use crate::likelihood::Observation;
use crate::{GenerativeModel, Likelihood, LossParts};
use osnova_nn::{Layer, Module};
use osnova_tensor::{DType, Device, Error, Generator, Result, Tensor};

/// An encoder to codes that are narrower than the samples, and a decoder back: what passes through is what matters
/// (Hinton and Salakhutdinov 2006). The loss has one part, `reconstruction`: the mean over the batch of −ln p(x | code).
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::{Autoencoder, GenerativeModel};
/// use osnova_nn::{Head, Mlp};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let (generator, device) = (Generator::new(0), Device::cpu());
/// let encoder = Mlp::new(784, &[128], Head::Regression(32), &generator, device)?;
/// let decoder = Mlp::new(32, &[128], Head::Regression(784), &generator, device)?;
/// let model = Autoencoder::new(encoder, decoder, 32)?;
/// let images = Tensor::zeros([5, 784], DType::F32, device)?;
/// assert_eq!(model.encode(&images, None)?.dims(), [5, 32]);
/// assert_eq!(model.reconstruct(&images, None)?.dims(), [5, 784]);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// A code drawn at random means nothing to it, since nobody says where codes lie. For new samples, [`CodePrior::fit`] a
/// distribution to the codes of the training data ([`code_prior`](GenerativeModel::code_prior)).
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Autoencoder {
    encoder: Box<dyn Layer>,
    decoder: Box<dyn Layer>,
    #[module(flatten)]
    observation: Observation,
    code_prior: CodePrior,
    #[module(skip)]
    latent_features: usize,
}

impl Autoencoder {
    /// An autoencoder that minimises the squared error. The encoder gives `[batch, latent_features]`.
    ///
    /// # Errors
    /// An encoder without parameters, no latent features.
    pub fn new(encoder: impl Layer + 'static, decoder: impl Layer + 'static, latent_features: usize) -> Result<Self> {
        Self::options(encoder, decoder, latent_features).build()
    }

    /// All that can be chosen; finish with [`AutoencoderOptions::build`].
    pub fn options(
        encoder: impl Layer + 'static,
        decoder: impl Layer + 'static,
        latent_features: usize,
    ) -> AutoencoderOptions {
        AutoencoderOptions {
            encoder: Box::new(encoder),
            decoder: Box::new(decoder),
            latent_features,
            likelihood: Likelihood::default(),
        }
    }

    /// What the decoder's outputs mean.
    pub fn likelihood(&self) -> Likelihood {
        self.observation.likelihood()
    }

    /// The device and dtype of its parameters.
    pub(super) fn place(&self) -> Result<(Device, DType)> {
        place(&*self.encoder)
    }

    /// −ln p(target | code), the mean over the batch.
    pub(super) fn reconstruction(&self, code: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.observation.negative_log_likelihood(&self.decoder.forward(code)?, target)
    }
}

impl Module for Autoencoder {
    fn kind(&self) -> &'static str {
        "Autoencoder"
    }
    fn output_shape(&self, input: &osnova_tensor::Shape) -> Option<osnova_tensor::Shape> {
        Some(*input)
    }
}

impl GenerativeModel for Autoencoder {
    fn latent_features(&self) -> usize {
        self.latent_features
    }
    fn loss(&self, input: &Tensor, _: Option<&Tensor>) -> Result<LossParts> {
        let code = self.encode(input, None)?;
        Ok(LossParts::new().with("reconstruction", self.reconstruction(&code, input)?, 1.0))
    }
    fn encode(&self, input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        let code = self.encoder.forward(input)?;
        if code.rank() != 2 || code.dims()[1] != self.latent_features {
            return Err(Error::shape(
                "encode",
                [*code.shape()],
                format!("the encoder should give [batch, {}]", self.latent_features),
                "Give it as many outputs as there are latent features",
            ));
        }
        Ok(code)
    }
    fn decode(&self, code: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        self.observation.mean(&self.decoder.forward(code)?)
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        self.code_prior.sample(count, generator)
    }
    fn code_prior(&mut self) -> Option<&mut CodePrior> {
        Some(&mut self.code_prior)
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        Box::new(self.clone())
    }
}

/// What can be chosen about an [`Autoencoder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct AutoencoderOptions {
    encoder: Box<dyn Layer>,
    decoder: Box<dyn Layer>,
    latent_features: usize,
    likelihood: Likelihood,
}

impl AutoencoderOptions {
    /// What the decoder's outputs mean; the squared error unless said otherwise.
    pub fn likelihood(mut self, likelihood: Likelihood) -> Self {
        self.likelihood = likelihood;
        self
    }

    /// The autoencoder, on the encoder's device.
    ///
    /// # Errors
    /// An encoder without parameters, no latent features, a deviation that is not positive.
    pub fn build(self) -> Result<Autoencoder> {
        let Self { encoder, decoder, latent_features, likelihood } = self;
        if latent_features == 0 {
            return Err(Error::argument("autoencoder", "there are no latent features", "Give at least one"));
        }
        let (device, dtype) = place(&*encoder)?;
        let observation = Observation::new(likelihood, dtype, device)?;
        let code_prior = CodePrior::new(latent_features, dtype, device)?;
        Ok(Autoencoder { encoder, decoder, observation, code_prior, latent_features })
    }
}
