//! Gradients held against numerical differentiation.

use crate::functional::Pullback;
use crate::vjp;
use osnova_tensor::random::{Distribution, generate};
use osnova_tensor::{DType, Error, Generator, Real, Result, Shape, Tensor};
use std::fmt;

/// How [`gradcheck`] measures.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Half the distance between the two points of a central difference, relative to `max(1, |x|)`. Default 1e-5: the difference is then
    /// good to about 1e-10, and inputs must stay farther than this from a kink.
    pub epsilon: f64,
    /// The largest difference between both derivatives, relative to the larger of them. Default 1e-6.
    pub tolerance: f64,
    /// The largest difference near 0, where there is nothing to be relative to; multiplied by the size of the function's values if that
    /// is above 1. Default 1e-8.
    pub absolute: f64,
    /// Along how many random directions to measure. Default 3. Each costs two evaluations.
    pub directions: usize,
    /// How many elements of each input to measure one by one, evenly spread. Default: all. Each costs two evaluations.
    pub elements: usize,
    /// Seeds the directions and the weights of the outputs. Default 0.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { epsilon: 1e-5, tolerance: 1e-6, absolute: 1e-8, directions: 3, elements: usize::MAX, seed: 0 }
    }
}

impl Settings {
    /// With another step.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// With another relative tolerance.
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// With another tolerance near 0.
    pub fn absolute(self, absolute: f64) -> Self {
        Self { absolute, ..self }
    }

    /// With another number of random directions.
    pub fn directions(self, directions: usize) -> Self {
        Self { directions, ..self }
    }

    /// With another number of elements measured one by one.
    pub fn elements(self, elements: usize) -> Self {
        Self { elements, ..self }
    }

    /// With another seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// What [`gradcheck`] found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradcheckError {
    /// Both derivatives differ.
    #[error(
        "the derivative by {place} is {analytic:e} by the backward pass and {numeric:e} by central differences: {difference:e} apart, {allowed:e} allowed"
    )]
    Mismatch {
        /// What the derivative is taken by.
        place: Place,
        /// By the backward pass.
        analytic: f64,
        /// By central differences.
        numeric: f64,
        /// Their distance.
        difference: f64,
        /// The largest distance that would have passed.
        allowed: f64,
    },
    /// The check needs `f64` inputs: with fewer digits differences say nothing.
    #[error("input {input} is {dtype}; gradients are checked in f64. Convert it with `to_dtype(DType::F64)`")]
    Precision {
        /// The input's position.
        input: usize,
        /// Its dtype.
        dtype: DType,
    },
    /// The function, or its backward pass, failed.
    #[error(transparent)]
    Operation(#[from] Box<Error>),
}

/// What a derivative is taken by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// One element of an input.
    Element {
        /// The input's position.
        input: usize,
        /// The element's index.
        index: Vec<usize>,
    },
    /// All elements of all inputs at once, along a random direction.
    Direction(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { input, index } => write!(f, "element {index:?} of input {input}"),
            Self::Direction(number) => write!(f, "all inputs along random direction {number}"),
        }
    }
}

/// Holds the gradient of `function` at `inputs` against central differences, `(f(x + εd) − f(x − εd)) / 2ε`.
///
/// First along random directions d through all inputs, then for each element. An output that is no scalar is weighted with random numbers and
/// summed. The function must be smooth within ε of the inputs, and give the same value each time.
///
/// Costs one pass forward and backward, and two evaluations for each direction and each element.
///
/// # Errors
/// The first derivative that differs, inputs that are not `f64`, and whatever the function reports.
///
/// ```no_run
/// # use osnova_tensor::{Device, Tensor};
/// # fn run(device: Device) -> Result<(), Box<dyn std::error::Error>> {
/// use osnova_autodiff::{Settings, gradcheck};
/// let x = Tensor::new([[0.5, -1.2], [2.0, 0.1]], device)?;
/// gradcheck(|inputs| inputs[0].tanh()?.softmax(1), &[x], Settings::default())?;
/// # Ok(())
/// # }
/// ```
pub fn gradcheck(
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    settings: Settings,
) -> Result<(), GradcheckError> {
    if let Some((input, tensor)) = inputs.iter().enumerate().find(|(_, tensor)| tensor.dtype() != DType::F64) {
        return Err(GradcheckError::Precision { input, dtype: tensor.dtype() });
    }
    let check = Check::new(&function, inputs, settings)?;
    let random = Generator::new(settings.seed.wrapping_add(1));
    for number in 0..settings.directions {
        let direction = check.point.iter().map(|values| normal(values.len(), &random)).collect::<Result<Vec<_>>>()?;
        let pairs = check.gradient.iter().flatten().zip(direction.iter().flatten());
        let analytic = pairs.map(|(gradient, direction)| gradient * direction).sum();
        // The terms of the sum may cancel; what is left is no better than its largest term.
        let pairs = check.gradient.iter().flatten().zip(direction.iter().flatten());
        let terms = pairs.map(|(gradient, direction)| (gradient * direction).abs()).fold(0.0, f64::max);
        check.compare(&direction, analytic, terms, || Place::Direction(number))?;
    }
    for (input, tensor) in inputs.iter().enumerate() {
        let count = tensor.count();
        let step = count.div_ceil(settings.elements.max(1)).max(1);
        if settings.elements == 0 {
            continue;
        }
        for at in (0..count).step_by(step) {
            let mut direction: Vec<Vec<f64>> = check.point.iter().map(|values| vec![0.0; values.len()]).collect();
            direction[input][at] = 1.0;
            let place = || Place::Element { input, index: unravel(at, tensor.shape()) };
            check.compare(&direction, check.gradient[input][at], 0.0, place)?;
        }
    }
    Ok(())
}

/// Holds second derivatives against central differences: [`gradcheck`] of the gradient itself, by the inputs.
///
/// # Errors
/// As for [`gradcheck`].
pub fn gradgradcheck(
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    settings: Settings,
) -> Result<(), GradcheckError> {
    let shape = *function(inputs)?.shape();
    let random = Generator::new(settings.seed.wrapping_add(2));
    let weights = normal(shape.count(), &random)?;
    let gradient = |inputs: &[Tensor]| {
        let weights = Tensor::from_slice(&weights, shape, inputs[0].device().innermost())?;
        let (_, gradients) = vjp(&function, inputs, &weights)?;
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape([-1])).collect::<Result<_>>()?;
        Tensor::concat(&flat, 0)
    };
    gradcheck(gradient, inputs, settings)
}

struct Check<'a, F> {
    function: &'a F,
    inputs: &'a [Tensor],
    settings: Settings,
    point: Vec<Vec<f64>>,
    weights: Vec<f64>,
    gradient: Vec<Vec<f64>>,
    scale: f64,
}

impl<'a, F: Fn(&[Tensor]) -> Result<Tensor>> Check<'a, F> {
    fn new(function: &'a F, inputs: &'a [Tensor], settings: Settings) -> Result<Self> {
        let pullback = Pullback::new(function, inputs)?;
        let value = pullback.value();
        let random = Generator::new(settings.seed);
        let weights = normal(value.count(), &random)?;
        let cotangent = Tensor::from_slice(&weights, value.shape(), value.device())?.to_dtype(value.dtype())?;
        let gradient = pullback.pull(&cotangent)?.iter().map(values).collect::<Result<_>>()?;
        let scale = values(value)?.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
        let point = inputs.iter().map(values).collect::<Result<_>>()?;
        Ok(Self { function, inputs, settings, point, weights, gradient, scale })
    }

    fn compare(
        &self,
        direction: &[Vec<f64>],
        analytic: f64,
        terms: f64,
        place: impl FnOnce() -> Place,
    ) -> Result<(), GradcheckError> {
        let largest = |of: &[Vec<f64>]| of.iter().flatten().fold(0.0, |most: f64, value| most.max(value.abs()));
        // Elements move by about ε, or by ε of their size if that is larger.
        let moved = self.point.iter().flatten().zip(direction.iter().flatten()).filter(|(_, step)| **step != 0.0);
        let size = moved.fold(1.0, |size: f64, (value, _)| size.max(value.abs()));
        let step = self.settings.epsilon * size / largest(direction).max(1.0);
        let (above, below) = (self.at(direction, step)?, self.at(direction, -step)?);
        // Differences first: summing both values before would cancel digits.
        let pairs = above.iter().zip(&below).zip(&self.weights);
        let numeric = pairs.map(|((above, below), weight)| (above - below) * weight).sum::<f64>() / (2.0 * step);
        let difference = (analytic - numeric).abs();
        let size = analytic.abs().max(numeric.abs()).max(terms);
        let allowed = self.settings.tolerance * size + self.settings.absolute * self.scale;
        // Written so that NaN fails.
        if difference <= allowed {
            return Ok(());
        }
        Err(GradcheckError::Mismatch { place: place(), analytic, numeric, difference, allowed })
    }

    /// The function's values at the point moved along `direction`.
    fn at(&self, direction: &[Vec<f64>], step: f64) -> Result<Vec<f64>> {
        let moved = self.inputs.iter().zip(&self.point).zip(direction).map(|((input, point), direction)| {
            let moved = point.iter().zip(direction).map(|(value, direction)| value + step * direction).collect();
            Tensor::from_vec::<f64>(moved, input.shape(), input.device())
        });
        values(&(self.function)(&moved.collect::<Result<Vec<_>>>()?)?)
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_host()?.try_to_f64()
}

/// Normally distributed numbers, made on the host so that no backend's own are needed.
fn normal(count: usize, random: &Generator) -> Result<Vec<f64>> {
    let distribution = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
    random.try_take(distribution.blocks(count, DType::F64), |stream| {
        generate(distribution, stream, count, DType::F64)?.try_to_f64()
    })
}

fn unravel(mut at: usize, shape: &Shape) -> Vec<usize> {
    let mut index = vec![0; shape.rank()];
    for axis in (0..shape.rank()).rev() {
        index[axis] = at % shape[axis];
        at /= shape[axis];
    }
    index
}
