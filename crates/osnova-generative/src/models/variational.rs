//! The variational autoencoder.

use super::{place, with_noise};
use crate::gaussian::standard_log_density;
use crate::likelihood::Observation;
use crate::{DiagonalGaussian, GenerativeModel, Likelihood, LossParts};
use osnova_nn::{Layer, Mode, Module};
use osnova_tensor::{DType, Device, Error, Generator, Result, Tensor};

/// An autoencoder whose codes are distributions, held near N(0, I): so that a code drawn from N(0, I) decodes to a sample
/// (Kingma and Welling 2014; Rezende, Mohamed and Wierstra 2014).
///
/// The encoder gives μ and ln σ² side by side, `[batch, 2·latent_features]`; a code is z = μ + σ⊙ε. The loss is
///
/// ```text
/// −ELBO = −E[ln p(x | z)] + β·KL(q(z | x) ‖ N(0, I)),    KL = ½Σ(μ² + σ² − ln σ² − 1)
/// ```
///
/// in the parts `reconstruction` and `kl`, both in nats a sample. With β = 1 it bounds −ln p(x) from above; β above 1 is the
/// β-VAE, whose features tend to be independent (Higgins et al. 2017).
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::{GenerativeModel, Likelihood, VariationalAutoencoder};
/// use osnova_nn::{Head, Mlp, Module};
/// use osnova_tensor::{Device, Generator};
///
/// let (generator, device) = (Generator::new(0), Device::cpu());
/// let encoder = Mlp::new(784, &[400], Head::Regression(2 * 20), &generator, device)?;
/// let decoder = Mlp::new(20, &[400], Head::Regression(784), &generator, device)?;
/// let model = VariationalAutoencoder::options(encoder, decoder, 20)
///     .likelihood(Likelihood::Bernoulli)
///     .build(&generator)?;
/// assert_eq!(model.sample(16, None, &Generator::new(1))?.dims(), [16, 784]);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// With [`classes`](VariationalAutoencoderOptions::classes) it is conditional (Sohn, Lee and Yan 2015): encoder and decoder
/// get the class of a sample beside their input, so that the code need not say it and a class can be asked for.
///
/// In training, ε comes from the model's own generator, whose position a checkpoint keeps; in evaluation it starts anew at
/// every call, so that a loss depends on its input alone.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct VariationalAutoencoder {
    encoder: Box<dyn Layer>,
    decoder: Box<dyn Layer>,
    #[module(flatten)]
    observation: Observation,
    generator: Generator,
    mode: Mode,
    #[module(skip)]
    settings: Settings,
}

/// What needs no visit.
#[derive(Clone, Copy, Debug)]
struct Settings {
    latent_features: usize,
    beta: f64,
    free_bits: f64,
    classes: Option<usize>,
    device: Device,
}

impl VariationalAutoencoder {
    /// All that can be chosen; finish with [`VariationalAutoencoderOptions::build`].
    pub fn options(
        encoder: impl Layer + 'static,
        decoder: impl Layer + 'static,
        latent_features: usize,
    ) -> VariationalAutoencoderOptions {
        VariationalAutoencoderOptions {
            encoder: Box::new(encoder),
            decoder: Box::new(decoder),
            latent_features,
            likelihood: Likelihood::default(),
            beta: 1.0,
            free_bits: 0.0,
            classes: None,
        }
    }

    /// What the decoder's outputs mean.
    pub fn likelihood(&self) -> Likelihood {
        self.observation.likelihood()
    }

    /// The weight of the KL divergence.
    pub fn beta(&self) -> f64 {
        self.settings.beta
    }

    /// q(z | x) of each sample.
    ///
    /// # Errors
    /// Samples that do not fit the encoder, classes missing from a conditional model.
    pub fn encode_distribution(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<DiagonalGaussian> {
        let latent = self.settings.latent_features;
        let output = self.encoder.forward(&self.joined(input, classes)?)?;
        if output.rank() != 2 || output.dims()[1] != 2 * latent {
            return Err(Error::shape(
                "encode",
                [*output.shape()],
                format!("the encoder should give [batch, {}]: {latent} means and {latent} log-variances", 2 * latent),
                "Give it twice as many outputs as there are latent features",
            ));
        }
        DiagonalGaussian::new(output.narrow(1, 0, latent)?, output.narrow(1, latent, latent)?)
    }

    /// ln p(x | z) of each sample with its code, `[batch]`, in nats.
    ///
    /// # Errors
    /// Shapes that do not fit, classes missing from a conditional model.
    pub fn log_likelihood(&self, input: &Tensor, code: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let output = self.decoder.forward(&self.joined(code, classes)?)?;
        self.observation.negative_log_likelihoods(&output, input)?.neg()
    }

    /// ln p(x, z)/q(z | x) of each sample at a code drawn from q: the logarithm of the weight of importance sampling, whose
    /// mean is the evidence lower bound, `[batch]`.
    ///
    /// # Errors
    /// As for [`log_likelihood`](Self::log_likelihood).
    pub fn log_weight(
        &self,
        input: &Tensor,
        posterior: &DiagonalGaussian,
        code: &Tensor,
        classes: Option<&Tensor>,
    ) -> Result<Tensor> {
        let joint = (self.log_likelihood(input, code, classes)? + standard_log_density(code)?)?;
        joint - posterior.log_density(code)?
    }

    /// The input with the class beside it: as further features `[batch, features + classes]`, or for images `[batch,
    /// channels, …]` as further channels, one a class, that are 1 all over or 0.
    fn joined(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        let Some(count) = self.settings.classes else { return Ok(input.clone()) };
        let classes = classes.ok_or_else(|| {
            Error::argument(
                "variational_autoencoder",
                "the model is conditional, and no classes are given",
                "Give the class of each sample, indices of shape [batch]",
            )
        })?;
        if classes.dims() != [input.dims().first().copied().unwrap_or_default()] {
            return Err(Error::shape(
                "variational_autoencoder",
                [*input.shape(), *classes.shape()],
                "there should be one class for each sample",
                "Give the classes as indices of shape [batch]",
            ));
        }
        // Rows of the identity: unlike `one_hot`, this refuses a class that there is none of.
        let rows = Tensor::eye(count, input.dtype(), classes.device().without_recording())?;
        let mut one_hot = rows.index_select(0, classes)?;
        let mut shape = input.dims().to_vec();
        if shape.len() > 2 {
            shape[1] = count;
            let ones = shape.len() - 2;
            one_hot = one_hot.reshape([&[classes.count(), count][..], &vec![1; ones]].concat().as_slice())?;
            one_hot = one_hot.expand(shape.as_slice())?;
        }
        // Beside a recorded input the classes are a constant.
        let one_hot = one_hot.to_device(input.device())?;
        Tensor::concat(&[input, &one_hot], 1)
    }

    /// The KL divergence of each feature, `[batch, latent]`, as parts: its value and what is minimised.
    fn divergence(&self, posterior: &DiagonalGaussian) -> Result<(Tensor, Option<Tensor>)> {
        let divergence = posterior.kl_to_standard_normal()?;
        let batch = divergence.dims()[0] as f64;
        if self.settings.free_bits == 0.0 {
            return Ok(((divergence.sum(.., false)? / batch)?, None));
        }
        let by_feature = (divergence.sum(0, false)? / batch)?;
        let objective = by_feature.maximum(self.settings.free_bits)?.sum(.., false)?;
        Ok((by_feature.sum(.., false)?, Some(objective)))
    }
}

impl Module for VariationalAutoencoder {
    fn kind(&self) -> &'static str {
        "VariationalAutoencoder"
    }
    fn output_shape(&self, input: &osnova_tensor::Shape) -> Option<osnova_tensor::Shape> {
        Some(*input)
    }
}

impl GenerativeModel for VariationalAutoencoder {
    fn latent_features(&self) -> usize {
        self.settings.latent_features
    }
    fn class_count(&self) -> Option<usize> {
        self.settings.classes
    }
    fn loss(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<LossParts> {
        let posterior = self.encode_distribution(input, classes)?;
        let code = with_noise(self.mode, &self.generator, |generator| posterior.sample(generator))?;
        let output = self.decoder.forward(&self.joined(&code, classes)?)?;
        let reconstruction = self.observation.negative_log_likelihood(&output, input)?;
        let (kl, objective) = self.divergence(&posterior)?;
        Ok(LossParts::new().with("reconstruction", reconstruction, 1.0).with_objective(
            "kl",
            kl,
            self.settings.beta,
            objective,
        ))
    }
    fn encode(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.encode_distribution(input, classes)?.mean)
    }
    fn decode(&self, code: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        self.observation.mean(&self.decoder.forward(&self.joined(code, classes)?)?)
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        let device = self.device().unwrap_or(self.settings.device).without_recording();
        let dtype = self.parameters().first().map_or(DType::F32, |parameter| parameter.dtype());
        Tensor::normal([count, self.settings.latent_features], 0.0, 1.0, dtype, generator, device)
    }
    fn posterior(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Option<DiagonalGaussian>> {
        self.encode_distribution(input, classes).map(Some)
    }
    fn as_variational(&self) -> Option<&VariationalAutoencoder> {
        Some(self)
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        Box::new(self.clone())
    }
}

/// What can be chosen about a [`VariationalAutoencoder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct VariationalAutoencoderOptions {
    encoder: Box<dyn Layer>,
    decoder: Box<dyn Layer>,
    latent_features: usize,
    likelihood: Likelihood,
    beta: f64,
    free_bits: f64,
    classes: Option<usize>,
}

impl VariationalAutoencoderOptions {
    /// What the decoder's outputs mean; the squared error unless said otherwise.
    pub fn likelihood(mut self, likelihood: Likelihood) -> Self {
        self.likelihood = likelihood;
        self
    }

    /// The weight of the KL divergence; 1 unless said otherwise.
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Nats of KL divergence that each feature may have for nothing, on the mean of a batch: what is minimised is
    /// Σ max(free_bits, KL of the feature) (Kingma et al. 2016). 0 unless said otherwise.
    pub fn free_bits(mut self, nats: f64) -> Self {
        self.free_bits = nats;
        self
    }

    /// Makes the model conditional on one of so many classes: encoder and decoder then get `classes` more features (or
    /// channels) than their input has.
    pub fn classes(mut self, classes: usize) -> Self {
        self.classes = Some(classes);
        self
    }

    /// The model, on the encoder's device; its noise comes from a sequence forked off the generator.
    ///
    /// # Errors
    /// An encoder without parameters, no latent features or classes, a deviation that is not positive, a β or free bits below 0.
    pub fn build(self, generator: &Generator) -> Result<VariationalAutoencoder> {
        let Self { encoder, decoder, latent_features, likelihood, beta, free_bits, classes } = self;
        let refuse = |problem: String, advice| Err(Error::argument("variational_autoencoder", problem, advice));
        if latent_features == 0 || classes == Some(0) {
            return refuse("there are no latent features, or no classes".to_owned(), "Give at least one");
        }
        if !(beta >= 0.0 && beta.is_finite() && free_bits >= 0.0 && free_bits.is_finite()) {
            return refuse(format!("β is {beta}, free bits {free_bits}"), "Give numbers of at least 0");
        }
        let (device, dtype) = place(&*encoder)?;
        let observation = Observation::new(likelihood, dtype, device)?;
        let generator = generator.fork(generator.take(1).counter);
        let settings = Settings { latent_features, beta, free_bits, classes, device };
        Ok(VariationalAutoencoder { encoder, decoder, observation, generator, mode: Mode::Training, settings })
    }
}
