//! What there is to choose from.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelKind {
    /// The autoencoder alone
    Plain,
    /// With few code units at work for a sample
    Sparse,
    /// That mends spoiled samples
    Denoising,
    /// Variational: its codes are distributions, and new samples come from N(0, I)
    Vae,
    /// Variational, with a weight above 1 on the KL divergence
    BetaVae,
    /// Variational, and told the class
    Conditional,
}

impl ModelKind {
    pub(crate) fn is_variational(self) -> bool {
        matches!(self, Self::Vae | Self::BetaVae | Self::Conditional)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Sparse => "sparse",
            Self::Denoising => "denoising",
            Self::Vae => "vae",
            Self::BetaVae => "beta-vae",
            Self::Conditional => "conditional",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatasetKind {
    /// 1,797 images of handwritten digits, 8×8, part of this program
    Digits,
    /// 70,000 images of clothes, 28×28, from files
    FashionMnist,
}

impl DatasetKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::FashionMnist => "fashion-mnist",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodeKind {
    Linear,
    Relu,
    Sigmoid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LikelihoodKind {
    /// The sum of squares
    SquaredError,
    /// Black or white, greys as probabilities
    Bernoulli,
    /// A normal distribution of deviation 0.25
    Gaussian,
    /// A normal distribution whose deviation is learned
    LearnedGaussian,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PenaltyKind {
    /// Small codes
    L1,
    /// Units that are seldom on: their means near 0.05
    Kl,
}
