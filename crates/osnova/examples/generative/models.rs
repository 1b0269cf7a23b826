//! The models by name: perceptrons as encoder and decoder.

use crate::kinds::{CodeKind, LikelihoodKind, ModelKind};
use crate::options::Options;
use osnova::generative::{
    Autoencoder, DenoisingAutoencoder, GenerativeModel, Likelihood, SparseAutoencoder, VariationalAutoencoder,
};
use osnova::nn::{Head, Mlp, Relu, Sequential, Sigmoid};
use osnova::prelude::Generator;
use osnova::tensor::{Device, Result};

/// Any of the models.
pub(crate) type Model = Box<dyn GenerativeModel>;

/// The model of the options for samples of so many features in so many classes.
pub(crate) fn build(options: &Options, features: usize, classes: usize, device: Device) -> Result<Model> {
    let generator = Generator::new(options.seed);
    let latent = options.latent();
    // A conditional model gets the class beside sample and code; a variational one gives a mean and a log-variance a feature.
    let told = if options.model == ModelKind::Conditional { classes } else { 0 };
    let outputs = if options.model.is_variational() { 2 * latent } else { latent };
    let hidden = options.hidden();
    let reversed: Vec<usize> = hidden.iter().rev().copied().collect();
    let mut encoder =
        Sequential::new().with(Mlp::new(features + told, &hidden, Head::Regression(outputs), &generator, device)?);
    match options.code() {
        CodeKind::Linear => {}
        CodeKind::Relu => encoder.push(Relu),
        CodeKind::Sigmoid => encoder.push(Sigmoid),
    }
    let decoder = Mlp::new(latent + told, &reversed, Head::Regression(features), &generator, device)?;
    let likelihood = match options.likelihood() {
        LikelihoodKind::SquaredError => Likelihood::SquaredError,
        LikelihoodKind::Bernoulli => Likelihood::Bernoulli,
        LikelihoodKind::Gaussian => Likelihood::Gaussian { standard_deviation: 0.25 },
        LikelihoodKind::LearnedGaussian => Likelihood::LearnedGaussian { standard_deviation: 0.3 },
    };
    Ok(match options.model {
        ModelKind::Vae | ModelKind::BetaVae | ModelKind::Conditional => {
            let mut model = VariationalAutoencoder::options(encoder, decoder, latent)
                .likelihood(likelihood)
                .beta(options.beta())
                .free_bits(options.free_bits());
            if options.model == ModelKind::Conditional {
                model = model.classes(classes);
            }
            Box::new(model.build(&generator)?)
        }
        ModelKind::Plain => Box::new(Autoencoder::options(encoder, decoder, latent).likelihood(likelihood).build()?),
        ModelKind::Sparse => Box::new(
            SparseAutoencoder::options(encoder, decoder, latent, options.penalty())
                .likelihood(likelihood)
                .weight(options.sparsity())
                .build()?,
        ),
        ModelKind::Denoising => Box::new(
            DenoisingAutoencoder::options(encoder, decoder, latent, options.corruption())
                .likelihood(likelihood)
                .build(&generator)?,
        ),
    })
}
