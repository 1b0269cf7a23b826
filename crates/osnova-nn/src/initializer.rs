//! The first values of parameters.

mod orthogonal;
mod truncated;

use orthogonal::orthogonal;
use osnova_tensor::random::{Distribution, generate};
use osnova_tensor::{DType, Device, Error, Generator, HostData, IntoShape, Real, Result, Shape, Tensor};
use truncated::TruncatedNormal;

/// How a parameter's first values are drawn. Shapes are `[out, in, …]`: fan-in is `in` times the sizes behind it, fan-out
/// `out` times those.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this value.
    Constant(f64),
    /// Evenly from `low` to `high`.
    Uniform {
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// The normal distribution.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        standard_deviation: f64,
    },
    /// The normal distribution, of which only what lies from `low` to `high` is drawn, however far out in a tail that is.
    TruncatedNormal {
        /// The mean of the whole distribution.
        mean: f64,
        /// The standard deviation of the whole distribution.
        standard_deviation: f64,
        /// The lower bound.
        low: f64,
        /// The upper bound.
        high: f64,
    },
    /// Uniform with variance `gain² · 2 / (fan_in + fan_out)`. Glorot & Bengio 2010.
    XavierUniform {
        /// A factor on the standard deviation, see [`Nonlinearity::gain`].
        gain: f64,
    },
    /// Normal with variance `gain² · 2 / (fan_in + fan_out)`. Glorot & Bengio 2010.
    XavierNormal {
        /// A factor on the standard deviation, see [`Nonlinearity::gain`].
        gain: f64,
    },
    /// Uniform with variance `gain² / fan`: `2 / fan_in` for ReLU. He et al. 2015.
    HeUniform {
        /// Which fan: keep the variance on the way forward or on the way back.
        fan: Fan,
        /// What follows the layer.
        nonlinearity: Nonlinearity,
    },
    /// Normal with variance `gain² / fan`: `2 / fan_in` for ReLU. He et al. 2015.
    HeNormal {
        /// Which fan: keep the variance on the way forward or on the way back.
        fan: Fan,
        /// What follows the layer.
        nonlinearity: Nonlinearity,
    },
    /// Uniform with variance `1 / fan_in`. LeCun et al. 1998.
    LecunUniform,
    /// Normal with variance `1 / fan_in`. LeCun et al. 1998.
    LecunNormal,
    /// Ones where the input and output numbers agree, else zeros: a linear layer gives its input back. With more than two
    /// axes (PyTorch's `dirac_`) the ones stand in the middle of the kernel, so that a convolution does.
    Identity,
    /// Rows (or columns, if there are fewer of them) that are orthogonal and of length `gain`; axes after the first count
    /// as one. Saxe et al. 2014.
    Orthogonal {
        /// The length.
        gain: f64,
    },
}

/// Which fan an initialiser divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fan {
    /// The number of inputs of a unit: activations keep their variance.
    #[default]
    In,
    /// The number of outputs of a unit: gradients keep their variance.
    Out,
}

/// What follows a layer, for the gain of its first weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// Nothing: gain 1.
    Linear,
    /// Gain 1.
    Sigmoid,
    /// Gain 5/3.
    Tanh,
    /// Gain √2.
    Relu,
    /// With this slope a: gain √(2 / (1 + a²)).
    LeakyRelu(f64),
    /// Gain 3/4.
    Selu,
}

impl Nonlinearity {
    /// The factor that keeps the variance through the nonlinearity, as PyTorch's `calculate_gain`.
    pub fn gain(self) -> f64 {
        match self {
            Self::Linear | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => std::f64::consts::SQRT_2,
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::Selu => 0.75,
        }
    }
}

/// What an initialiser comes to for a given shape.
enum Plan {
    Constant(f64),
    Identity,
    Random(Distribution),
    Truncated(TruncatedNormal),
    Orthogonal { gain: f64 },
}

impl Initializer {
    /// He's normal initialisation for layers before a ReLU.
    pub const HE: Self = Self::HeNormal { fan: Fan::In, nonlinearity: Nonlinearity::Relu };

    /// Xavier's uniform initialisation with gain 1.
    pub const XAVIER: Self = Self::XavierUniform { gain: 1.0 };

    /// What PyTorch's linear layers start from: uniform up to `1/√fan_in`, that is He's with a leaky slope of √5.
    pub fn linear_default() -> Self {
        Self::HeUniform { fan: Fan::In, nonlinearity: Nonlinearity::LeakyRelu(5.0_f64.sqrt()) }
    }

    /// A tensor with such values. Constants draw nothing from the generator.
    ///
    /// # Errors
    /// Fewer than two axes where fans are needed, bounds, deviations or gains that make no distribution, a dtype that is no
    /// float, sizes that do not fit in memory.
    pub fn make(self, shape: impl IntoShape, dtype: DType, generator: &Generator, device: Device) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        if !dtype.is_float() {
            return Err(Error::dtype("initialise", [dtype], "parameters are floats", "Use a float dtype"));
        }
        match self.plan(&shape)? {
            Plan::Constant(value) => Tensor::full(shape, value, dtype, device),
            Plan::Identity => {
                let values = identity(&shape)?;
                Tensor::from_host(HostData::from_f64(dtype, &values), shape, device)
            }
            Plan::Random(Distribution::Uniform { low, high }) => {
                Tensor::uniform(shape, low.get(), high.get(), dtype, generator, device)
            }
            Plan::Random(Distribution::Normal { mean, standard_deviation }) => {
                Tensor::normal(shape, mean.get(), standard_deviation.get(), dtype, generator, device)
            }
            Plan::Random(Distribution::Bernoulli { probability }) => {
                Tensor::bernoulli(shape, probability.get(), dtype, generator, device)
            }
            Plan::Truncated(distribution) => {
                let values = distribution.draw(shape.count(), dtype, generator)?;
                Tensor::from_host(HostData::from_f64(dtype, &values), shape, device)
            }
            Plan::Orthogonal { gain } => {
                let values = orthogonal(&shape, gain, generator)?;
                Tensor::from_host(HostData::from_f64(dtype, &values), shape, device)
            }
        }
    }

    fn plan(self, shape: &Shape) -> Result<Plan> {
        let spread = |deviation: f64| {
            let bound = 3.0_f64.sqrt() * deviation;
            Plan::Random(Distribution::Uniform { low: Real::new(-bound), high: Real::new(bound) })
        };
        let normal = |mean: f64, deviation: f64| {
            Plan::Random(Distribution::Normal { mean: Real::new(mean), standard_deviation: Real::new(deviation) })
        };
        Ok(match self {
            Self::Zeros => Plan::Constant(0.0),
            Self::Ones => Plan::Constant(1.0),
            Self::Constant(value) => Plan::Constant(value),
            Self::Uniform { low, high } => {
                Plan::Random(Distribution::Uniform { low: Real::new(low), high: Real::new(high) })
            }
            Self::Normal { mean, standard_deviation } => normal(mean, standard_deviation),
            Self::TruncatedNormal { mean, standard_deviation, low, high } => {
                Plan::Truncated(TruncatedNormal::new(mean, standard_deviation, low, high)?)
            }
            Self::Identity => Plan::Identity,
            Self::Orthogonal { gain } => Plan::Orthogonal { gain: finite("the gain", gain)? },
            Self::XavierUniform { .. } | Self::HeUniform { .. } | Self::LecunUniform => {
                spread(self.standard_deviation(shape)?)
            }
            Self::XavierNormal { .. } | Self::HeNormal { .. } | Self::LecunNormal => {
                normal(0.0, self.standard_deviation(shape)?)
            }
        })
    }

    /// The standard deviation of the initialisers that take it from the fans.
    fn standard_deviation(self, shape: &Shape) -> Result<f64> {
        let (fan_in, fan_out) = fans(shape)?;
        let variance = match self {
            Self::XavierUniform { gain } | Self::XavierNormal { gain } => {
                finite("the gain", gain)?.powi(2) * 2.0 / (fan_in + fan_out)
            }
            Self::HeUniform { fan, nonlinearity } | Self::HeNormal { fan, nonlinearity } => {
                finite("the gain", nonlinearity.gain())?.powi(2) / if fan == Fan::In { fan_in } else { fan_out }
            }
            _ => 1.0 / fan_in,
        };
        // A layer without inputs or outputs has no values to draw.
        Ok(if variance.is_finite() { variance.sqrt() } else { 0.0 })
    }
}

/// Fan-in and fan-out of weights `[out, in, …]`.
fn fans(shape: &Shape) -> Result<(f64, f64)> {
    let &[outputs, inputs, ref kernel @ ..] = shape.dims() else {
        return Err(Error::shape(
            "initialise",
            [*shape],
            "fans need an output and an input axis",
            "Use `Initializer::Uniform`, `Normal` or a constant for vectors such as a bias",
        ));
    };
    // In floats: beside a size of 0 the others may be huge.
    let field: f64 = kernel.iter().map(|&size| size as f64).product();
    Ok((inputs as f64 * field, outputs as f64 * field))
}

/// An error unless the value is finite.
fn finite(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(Error::argument("initialise", format!("{what} is {value}"), "Give a finite number"))
}

/// Room for so many numbers, on the host.
fn room(count: usize) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        let problem = format!("{count} numbers of f64, which the values are made in, do not fit in memory");
        Error::argument("initialise", problem, "Make the layer smaller, or use an initialiser that needs no copy")
    })?;
    Ok(values)
}

/// Ones at `[i, i, middle…]`.
fn identity(shape: &Shape) -> Result<Vec<f64>> {
    let &[outputs, inputs, ref kernel @ ..] = shape.dims() else {
        return Err(Error::shape(
            "initialise",
            [*shape],
            "an identity has an output and an input axis",
            "Use a constant for vectors such as a bias",
        ));
    };
    let mut values = room(shape.count())?;
    values.resize(shape.count(), 0.0);
    if !values.is_empty() {
        let field: usize = kernel.iter().product();
        let middle = kernel.iter().fold(0, |place, &size| place * size + size / 2);
        (0..outputs.min(inputs)).for_each(|index| values[(index * inputs + index) * field + middle] = 1.0);
    }
    Ok(values)
}

/// `count` normally distributed numbers on the host.
fn standard_normal(count: usize, generator: &Generator) -> Result<Vec<f64>> {
    let distribution = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
    let stream = generator.take(distribution.blocks(count, DType::F64));
    generate(distribution, stream, count, DType::F64)?.try_to_f64()
}
