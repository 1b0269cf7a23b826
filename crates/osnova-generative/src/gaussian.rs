//! The normal distribution of a code, one variance a feature.

use osnova_tensor::{Error, Generator, Result, Tensor};
use std::f64::consts::TAU;

/// Independent normal distributions, `[batch, latent]`: what an encoder says about the code of each sample.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::DiagonalGaussian;
/// use osnova_tensor::{Device, Tensor};
///
/// let mean = Tensor::new([[0.5, -0.3]], Device::cpu())?;
/// let deviation = Tensor::new([[1.2, 0.8]], Device::cpu())?;
/// let posterior = DiagonalGaussian::new(mean, (deviation.ln()? * 2.0)?)?;
/// let divergence = posterior.kl_to_standard_normal()?.sum(.., false)?.item()?;
/// assert!((divergence - 0.2508).abs() < 1e-4);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DiagonalGaussian {
    /// μ.
    pub mean: Tensor,
    /// ln σ², which may be any number.
    pub log_variance: Tensor,
}

impl DiagonalGaussian {
    /// Distributions with these means and logarithms of variances, of one shape.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn new(mean: Tensor, log_variance: Tensor) -> Result<Self> {
        if mean.shape() != log_variance.shape() {
            return Err(Error::shape(
                "diagonal_gaussian",
                [*mean.shape(), *log_variance.shape()],
                "mean and log-variance differ",
                "Give one log-variance for each mean",
            ));
        }
        Ok(Self { mean, log_variance })
    }

    /// σ = exp(½ ln σ²).
    ///
    /// # Errors
    /// Out of memory.
    pub fn standard_deviation(&self) -> Result<Tensor> {
        deviation(&self.log_variance)?.to_dtype(self.log_variance.dtype())
    }

    /// A code for each sample, μ + σ⊙ε with ε from N(0, 1): gradients reach μ and σ, since chance stands beside them
    /// (Kingma and Welling 2014).
    ///
    /// # Errors
    /// Out of memory.
    pub fn sample(&self, generator: &Generator) -> Result<Tensor> {
        let (mean, device) = (&self.mean, self.mean.device().without_recording());
        self.sample_with(&Tensor::normal(*mean.shape(), 0.0, 1.0, mean.dtype(), generator, device)?)
    }

    /// μ + σ⊙ε for a given ε.
    ///
    /// # Errors
    /// A shape that does not broadcast with the mean's.
    pub fn sample_with(&self, noise: &Tensor) -> Result<Tensor> {
        let shifted = (wide(&self.mean)? + (deviation(&self.log_variance)? * wide(noise)?)?)?;
        shifted.to_dtype(self.mean.dtype())
    }

    /// KL(N(μ, σ²) ‖ N(0, 1)) = ½(μ² + σ² − ln σ² − 1) of each feature of each sample, in nats: the mean's shape, of half
    /// types as `f32`, in which sums of hundreds of nats keep their digits.
    ///
    /// # Errors
    /// Out of memory.
    pub fn kl_to_standard_normal(&self) -> Result<Tensor> {
        let (mean, log_variance) = (wide(&self.mean)?, wide(&self.log_variance)?);
        // σ² − 1 as one function: near σ = 1 what is left of σ² − ln σ² − 1 would be rounding, and might be negative.
        let spread = (log_variance.exp_m1()? - log_variance)?;
        (mean.square()? + spread)? * 0.5
    }

    /// ln q(z): the logarithm of the density at codes, summed over the last axis, `[batch]`; of half types as
    /// `f32`.
    ///
    /// # Errors
    /// A shape that does not broadcast with the mean's.
    pub fn log_density(&self, code: &Tensor) -> Result<Tensor> {
        let scaled = ((wide(code)? - wide(&self.mean)?)? / deviation(&self.log_variance)?)?;
        (((scaled.square()? + wide(&self.log_variance)?)? + TAU.ln())? * -0.5)?.sum(-1, false)
    }
}

/// ln p(z) of the standard normal distribution, summed over the last axis.
pub(crate) fn standard_log_density(code: &Tensor) -> Result<Tensor> {
    ((wide(code)?.square()? + TAU.ln())? * -0.5)?.sum(-1, false)
}

/// σ = exp(½ ln σ²), in the dtype that is computed in.
fn deviation(log_variance: &Tensor) -> Result<Tensor> {
    (wide(log_variance)? * 0.5)?.exp()
}

/// The tensor in the dtype that is computed in: squares and sums of a half type leave its range and its digits.
pub(crate) fn wide(tensor: &Tensor) -> Result<Tensor> {
    tensor.to_dtype(tensor.dtype().accumulator())
}
