//! The first values of parameters.

use osnova_tensor::random::{Distribution, generate};
use osnova_tensor::{DType, Device, Error, Generator, HostData, IntoShape, Real, Result, Shape, Tensor};

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
    /// The normal distribution, of which only what lies from `low` to `high` is drawn.
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
    Truncated { mean: f64, standard_deviation: f64, low: f64, high: f64 },
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
    /// Fewer than two axes where fans are needed, bounds or deviations that make no distribution, a dtype that is no float.
    pub fn make(self, shape: impl IntoShape, dtype: DType, generator: &Generator, device: Device) -> Result<Tensor> {
        let shape = shape.into_shape()?;
        if !dtype.is_float() {
            return Err(Error::dtype("initialise", [dtype], "parameters are floats", "Use a float dtype"));
        }
        match self.plan(&shape)? {
            Plan::Constant(value) => Tensor::full(shape, value, dtype, device),
            Plan::Identity => Tensor::from_host(HostData::from_f64(dtype, &identity(&shape)?), shape, device),
            Plan::Random(Distribution::Uniform { low, high }) => {
                Tensor::uniform(shape, low.get(), high.get(), dtype, generator, device)
            }
            Plan::Random(Distribution::Normal { mean, standard_deviation }) => {
                Tensor::normal(shape, mean.get(), standard_deviation.get(), dtype, generator, device)
            }
            Plan::Random(Distribution::Bernoulli { probability }) => {
                Tensor::bernoulli(shape, probability.get(), dtype, generator, device)
            }
            Plan::Truncated { mean, standard_deviation, low, high } => {
                let values = truncated_normal(shape.count(), mean, standard_deviation, low, high, generator)?;
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
                Plan::Truncated { mean, standard_deviation, low, high }
            }
            Self::Identity => Plan::Identity,
            Self::Orthogonal { gain } => Plan::Orthogonal { gain },
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
            Self::XavierUniform { gain } | Self::XavierNormal { gain } => gain * gain * 2.0 / (fan_in + fan_out),
            Self::HeUniform { fan, nonlinearity } | Self::HeNormal { fan, nonlinearity } => {
                nonlinearity.gain().powi(2) / if fan == Fan::In { fan_in } else { fan_out }
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
    let field: usize = kernel.iter().product();
    Ok(((inputs * field) as f64, (outputs * field) as f64))
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
    let field: usize = kernel.iter().product();
    let middle = kernel.iter().fold(0, |place, &size| place * size + size / 2);
    let mut values = vec![0.0; shape.count()];
    if field > 0 {
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

/// By rejection: pairs of draws go on until enough lie inside. The bounds must hold some of the distribution's mass.
fn truncated_normal(
    count: usize,
    mean: f64,
    standard_deviation: f64,
    low: f64,
    high: f64,
    generator: &Generator,
) -> Result<Vec<f64>> {
    let refuse = |problem: String| {
        Error::argument(
            "initialise",
            problem,
            "Give finite numbers, a deviation above 0, and bounds within 5 deviations of the mean",
        )
    };
    let valid = mean.is_finite() && standard_deviation > 0.0 && standard_deviation.is_finite() && low < high;
    // With less than a hundredth of a deviation to hit, or far out in a tail, rejection would take for ever.
    let (lower, upper) = ((low - mean) / standard_deviation, (high - mean) / standard_deviation);
    if !valid || lower.max(-5.0) + 0.01 > upper.min(5.0) || lower > 3.0 || upper < -3.0 {
        return Err(refuse(format!(
            "mean {mean}, standard deviation {standard_deviation}, bounds {low} to {high} make no truncated normal distribution"
        )));
    }
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let draws = standard_normal((count - values.len()).max(64), generator)?;
        let inside = draws.into_iter().map(|value| mean + standard_deviation * value);
        values.extend(inside.filter(|value| (low..=high).contains(value)).take(count - values.len()));
    }
    Ok(values)
}

/// Gram and Schmidt's method, twice for accuracy, on normally distributed rows: evenly distributed over all rotations.
fn orthogonal(shape: &Shape, gain: f64, generator: &Generator) -> Result<Vec<f64>> {
    let &[rows, ref rest @ ..] = shape.dims() else {
        return Err(Error::shape(
            "initialise",
            [*shape],
            "an orthogonal matrix has two axes",
            "Use another initialiser",
        ));
    };
    if rest.is_empty() {
        return Err(Error::shape(
            "initialise",
            [*shape],
            "an orthogonal matrix has two axes",
            "Use another initialiser",
        ));
    }
    let columns: usize = rest.iter().product();
    let (count, length) = (rows.min(columns), rows.max(columns));
    let draws = standard_normal(count * length, generator)?;
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    for vector in draws.chunks_exact(length.max(1)).take(count) {
        let mut vector = vector.to_vec();
        for other in basis.iter().chain(&basis) {
            let along: f64 = vector.iter().zip(other).map(|(left, right)| left * right).sum();
            vector.iter_mut().zip(other).for_each(|(value, part)| *value -= along * part);
        }
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|value| *value /= norm);
        basis.push(vector);
    }
    let value = |row: usize, column: usize| if rows <= columns { basis[row][column] } else { basis[column][row] };
    Ok((0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| gain * value(row, column))
        .collect())
}
