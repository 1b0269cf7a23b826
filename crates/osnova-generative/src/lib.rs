//! Generative models for [Osnova](https://docs.rs/osnova): autoencoders that a [`Trainer`](osnova_train::Trainer) trains and
//! people can look at.
//!
//! | what | where |
//! |---|---|
//! | what a generative model is | [`GenerativeModel`], [`LossParts`] |
//! | how one is trained | [`Generation`], [`BetaSchedule`] |
//! | the models | [`Autoencoder`], [`SparseAutoencoder`], [`DenoisingAutoencoder`], [`VariationalAutoencoder`] (β-VAE and conditional by its options) |
//! | what a decoder's outputs mean | [`Likelihood`] |
//! | what makes a code sparse | [`Sparsity`] |
//! | the noise to learn from | [`Corruption`] |
//! | the distribution of a code | [`DiagonalGaussian`] |
//! | how good a model is | [`evaluation`] |
//! | what one looks like | [`pictures`] |
//!
//! Encoders and decoders are any [`Layer`](osnova_nn::Layer), so one made of convolutions fits as well as an
//! [`Mlp`](osnova_nn::Mlp). Losses are summed over the elements of a sample and averaged over the batch: that is the scale on
//! which a reconstruction and a KL divergence add up to a bound of the log-likelihood, in nats a sample.
#![forbid(unsafe_code)]

mod corruption;
pub mod evaluation;
mod gaussian;
mod likelihood;
mod model;
mod models;
pub mod pictures;
mod schedule;
mod task;

pub use corruption::Corruption;
pub use gaussian::DiagonalGaussian;
pub use likelihood::Likelihood;
pub use model::{GenerativeModel, LossPart, LossParts};
pub use models::{
    Autoencoder, AutoencoderOptions, CodePrior, DenoisingAutoencoder, DenoisingAutoencoderOptions, SparseAutoencoder,
    SparseAutoencoderOptions, Sparsity, VariationalAutoencoder, VariationalAutoencoderOptions,
};
pub use schedule::BetaSchedule;
pub use task::Generation;
