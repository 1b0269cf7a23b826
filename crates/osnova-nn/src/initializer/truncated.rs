//! The normal distribution between two bounds.

use super::{room, standard_normal};
use osnova_tensor::random::{Distribution, generate};
use osnova_tensor::{DType, Error, Generator, HostData, Real, Result};

/// The normal distribution of which only what lies between two bounds is drawn.
pub(super) struct TruncatedNormal {
    mean: f64,
    standard_deviation: f64,
    low: f64,
    high: f64,
    /// The bounds, counted in deviations from the mean.
    lower: f64,
    upper: f64,
}

impl TruncatedNormal {
    pub(super) fn new(mean: f64, standard_deviation: f64, low: f64, high: f64) -> Result<Self> {
        let refuse = |problem: String, advice: &str| Err(Error::argument("initialise", problem, advice));
        if !(mean.is_finite() && standard_deviation > 0.0 && standard_deviation.is_finite()) {
            let problem =
                format!("mean {mean} and standard deviation {standard_deviation} make no normal distribution");
            return refuse(problem, "Give a finite mean and a finite deviation above 0");
        }
        if low >= high || low.is_nan() || high.is_nan() {
            return refuse(
                format!("nothing lies between the bounds {low} and {high}"),
                "Give a low bound below the high one",
            );
        }
        let (lower, upper) = ((low - mean) / standard_deviation, (high - mean) / standard_deviation);
        if lower == f64::INFINITY || upper == f64::NEG_INFINITY {
            let problem =
                format!("the bounds {low} to {high} are infinitely many deviations away from the mean {mean}");
            return refuse(problem, "Move the bounds, or make the deviation larger");
        }
        Ok(Self { mean, standard_deviation, low, high, lower, upper })
    }

    /// `count` numbers, which lie within the bounds as numbers of `dtype` too, if it has any there.
    pub(super) fn draw(&self, count: usize, dtype: DType, generator: &Generator) -> Result<Vec<f64>> {
        let mut values = room(count)?;
        // Where a good part of the distribution lies between the bounds, the whole one is drawn until enough do.
        let usual = self.lower.max(-5.0) + 0.5 < self.upper.min(5.0) && self.lower <= 1.5 && self.upper >= -1.5;
        while values.len() < count {
            let missing = (count - values.len()).clamp(64, MOST);
            let draws = if usual { standard_normal(missing, generator)? } else { self.proposals(missing, generator)? };
            let inside = draws.into_iter().map(|value| self.mean + self.standard_deviation * value);
            let missing = count - values.len();
            match usual {
                true => values.extend(inside.filter(|value| (self.low..=self.high).contains(value)).take(missing)),
                // They lie between the bounds but for the rounding of the line above.
                false => values.extend(inside.map(|value| value.clamp(self.low, self.high)).take(missing)),
            }
        }
        self.keep_inside(&mut values, dtype);
        Ok(values)
    }

    /// Numbers of the standard normal distribution between the bounds, where these leave little of it: fewer than were
    /// tried. A tail is drawn by an exponential distribution cut off at the far bound (Robert 1995, "Simulation of truncated
    /// normal variables"), what is narrow about the mean by a uniform one.
    fn proposals(&self, tries: usize, generator: &Generator) -> Result<Vec<f64>> {
        // A tail to the left is one to the right in a mirror.
        let mirrored = self.upper < 0.0 || (self.lower < 0.0 && -self.lower > self.upper);
        let (near, far) = if mirrored { (-self.upper, -self.lower) } else { (self.lower, self.upper) };
        let uniform = uniform(2 * tries, generator)?;
        let pairs = uniform.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let sign = if mirrored { -1.0 } else { 1.0 };
        if near < 0.0 {
            let width = far - near;
            let drawn = pairs.map(|(place, level)| (near + place * width, level));
            let accepted = drawn.filter(|(value, level)| *level <= (-0.5 * value * value).exp());
            return Ok(accepted.map(|(value, _)| sign * value).collect());
        }
        // Halves first: the sum may be beyond the largest number.
        let rate = 0.5 * near + 0.5 * near.hypot(2.0);
        // The most likely proposal, in terms of what is accepted.
        let best = far.min(rate) - rate;
        let reach = -(-rate * (far - near)).exp_m1();
        let drawn = pairs.map(|(place, level)| (near - (-place * reach).ln_1p() / rate, level));
        let accepted = drawn.filter(|(value, level)| {
            let distance = value - rate;
            *level <= (-0.5 * (distance - best) * (distance + best)).exp()
        });
        Ok(accepted.map(|(value, _)| sign * value.clamp(near, far)).collect())
    }

    /// Rounding to a narrow dtype must not step over a bound.
    fn keep_inside(&self, values: &mut [f64], dtype: DType) {
        let round = |value: f64| HostData::from_f64(dtype, &[value]).to_f64()[0];
        // The next number inwards is at most this far from a rounded bound.
        let inwards = |bound: f64, sign: f64| match round(bound) {
            rounded if rounded == bound || rounded.is_infinite() || sign * (rounded - bound) > 0.0 => rounded,
            rounded => round(rounded + sign * (rounded.abs() * dtype.epsilon()).max(smallest(dtype))),
        };
        let (low, high) = (inwards(self.low, 1.0), inwards(self.high, -1.0));
        if low <= high {
            values.iter_mut().for_each(|value| *value = value.clamp(low, high));
        }
    }
}

/// How many numbers are tried at a time.
const MOST: usize = 1 << 20;

/// The least distance of two numbers of a dtype.
fn smallest(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::from_bits(1),
        DType::F16 => 2_f64.powi(-24),
        DType::BF16 => 2_f64.powi(-133),
        _ => f64::from(f32::from_bits(1)),
    }
}

/// Numbers from 0 to below 1.
fn uniform(count: usize, generator: &Generator) -> Result<Vec<f64>> {
    let distribution = Distribution::Uniform { low: Real::new(0.0), high: Real::new(1.0) };
    let stream = generator.take(distribution.blocks(count, DType::F64));
    generate(distribution, stream, count, DType::F64)?.try_to_f64()
}
