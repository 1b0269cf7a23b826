//! What a decoder's outputs mean, and how well they explain a sample.

use crate::gaussian::wide;
use osnova_nn::{Module, Param};
use osnova_tensor::{BinaryCrossEntropy, DType, Device, Error, ReductionKind, Result, Tensor};
use std::f64::consts::TAU;

/// The distribution of a sample given what the decoder gives. Its negative logarithm is the reconstruction error, summed
/// over a sample.
///
/// | likelihood | the decoder gives | −ln p(x) a sample |
/// |---|---|---|
/// | `SquaredError` | x̂ | Σ(x − x̂)²: a normal distribution of variance ½ without its constant |
/// | `Gaussian` | x̂ | Σ(x − x̂)²/2σ² + n ln(σ√2π) |
/// | `LearnedGaussian` | x̂ | the same, with σ a parameter of the model |
/// | `Bernoulli` | logits of x̂ | −Σ[x ln x̂ + (1 − x) ln(1 − x̂)], for x from 0 to 1 |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Likelihood {
    /// The plain sum of squares.
    #[default]
    SquaredError,
    /// A normal distribution about x̂ with a deviation known beforehand.
    Gaussian {
        /// σ, of each element.
        standard_deviation: f64,
    },
    /// A normal distribution about x̂ whose one deviation is learned: it ends at the root mean square of the error, and so
    /// weighs reconstruction against the KL divergence by itself (Rybkin, Daniilidis and Levine 2021).
    LearnedGaussian {
        /// σ at the start.
        standard_deviation: f64,
    },
    /// Black or white, with the probability of white; greys count as that probability.
    Bernoulli,
}

impl Likelihood {
    fn standard_deviation(self) -> Option<f64> {
        match self {
            Self::Gaussian { standard_deviation } | Self::LearnedGaussian { standard_deviation } => {
                Some(standard_deviation)
            }
            Self::SquaredError | Self::Bernoulli => None,
        }
    }
}

/// A likelihood with its parameter, if it has one.
#[derive(Module, Clone, Debug)]
pub(crate) struct Observation {
    #[module(skip)]
    likelihood: Likelihood,
    /// ln σ, `[1]`.
    log_deviation: Option<Param>,
}

impl Observation {
    /// # Errors
    /// A deviation that is not positive.
    pub(crate) fn new(likelihood: Likelihood, dtype: DType, device: Device) -> Result<Self> {
        if let Some(deviation) = likelihood.standard_deviation()
            && !(deviation > 0.0 && deviation.is_finite())
        {
            return Err(Error::argument(
                "likelihood",
                format!("the standard deviation is {deviation}"),
                "Give a positive number, about as large as the errors of a good reconstruction",
            ));
        }
        let log_deviation = match likelihood {
            Likelihood::LearnedGaussian { standard_deviation } => {
                Some(Param::new(Tensor::full([1], standard_deviation.ln(), dtype, device)?)?)
            }
            _ => None,
        };
        Ok(Self { likelihood, log_deviation })
    }

    pub(crate) fn likelihood(&self) -> Likelihood {
        self.likelihood
    }

    /// The mean of the distribution, in the space of samples.
    pub(crate) fn mean(&self, output: &Tensor) -> Result<Tensor> {
        match self.likelihood {
            Likelihood::Bernoulli => output.sigmoid(),
            _ => Ok(output.clone()),
        }
    }

    /// −ln p(target | output), the mean over the batch; of half types as `f32`.
    pub(crate) fn negative_log_likelihood(&self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike(output, target)?;
        let (output, target) = (&wide(output)?, &wide(target)?);
        let batch = target.dims()[0] as f64;
        let summed = match self.likelihood {
            Likelihood::Bernoulli => {
                let options = BinaryCrossEntropy { reduction: ReductionKind::Sum, with_gradient: false };
                output.binary_cross_entropy_with(target, options)?
            }
            _ => self.scaled((output - target)?.square()?.sum(.., false)?, target.count())?,
        };
        summed / batch
    }

    /// −ln p(target | output) of each sample, `[batch]`; of half types as `f32`.
    pub(crate) fn negative_log_likelihoods(&self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        alike(output, target)?;
        let (output, target) = (&wide(output)?, &wide(target)?);
        let batch = target.dims()[0];
        let rows = |values: Tensor| values.reshape([batch, target.count() / batch.max(1)])?.sum(1, false);
        match self.likelihood {
            Likelihood::Bernoulli => {
                let options = BinaryCrossEntropy { reduction: ReductionKind::None, with_gradient: false };
                rows(output.binary_cross_entropy_with(target, options)?)
            }
            _ => self.scaled(rows((output - target)?.square()?)?, target.count() / batch.max(1)),
        }
    }

    /// The negative logarithm of the density where `squares` is the sum of `count` squared errors.
    fn scaled(&self, squares: Tensor, count: usize) -> Result<Tensor> {
        let count = count as f64;
        match (self.likelihood, &self.log_deviation) {
            (Likelihood::Gaussian { standard_deviation }, _) => {
                (squares * (0.5 / standard_deviation.powi(2)))? + count * (standard_deviation.ln() + 0.5 * TAU.ln())
            }
            (_, Some(log_deviation)) => {
                let log_deviation = wide(log_deviation.tensor())?.sum(.., false)?;
                let precision = ((&log_deviation * -2.0)?.exp()? * 0.5)?;
                (squares * precision)? + ((log_deviation + 0.5 * TAU.ln())? * count)?
            }
            _ => Ok(squares),
        }
    }
}

fn alike(output: &Tensor, target: &Tensor) -> Result<()> {
    if output.shape() == target.shape() && target.rank() > 0 {
        return Ok(());
    }
    Err(Error::shape(
        "reconstruction",
        [*output.shape(), *target.shape()],
        "the decoder's output and the sample differ",
        "Give the decoder as many outputs as a sample has elements, in its shape",
    ))
}
