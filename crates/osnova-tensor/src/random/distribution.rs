//! What random numbers are drawn from, and the ends of what uniform ones may be.

use crate::{DType, Error, Real, Result};

/// What random numbers are drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Distribution {
    /// Evenly from `low` (included) to `high` (excluded), in every dtype. Where no number of the dtype lies between them, each is `low`, rounded.
    Uniform {
        /// The lower bound.
        low: Real,
        /// The upper bound.
        high: Real,
    },
    /// The normal distribution.
    Normal {
        /// The mean.
        mean: Real,
        /// The standard deviation.
        standard_deviation: Real,
    },
    /// 1 with this probability, else 0. Probabilities are told apart to 2⁻²⁴.
    Bernoulli {
        /// The probability of 1.
        probability: Real,
    },
}

impl Distribution {
    /// How many blocks of a stream `count` elements of `dtype` use up.
    pub fn blocks(&self, count: usize, dtype: DType) -> u64 {
        let count = count as u128;
        let words = match (self, dtype) {
            (Self::Bernoulli { .. }, _) => count,
            (Self::Normal { .. }, DType::F64) => count.div_ceil(2) * 4,
            (Self::Normal { .. }, _) => count.div_ceil(2) * 2,
            (_, DType::F64) => count * 2,
            _ => count,
        };
        words.div_ceil(4) as u64
    }

    /// Refuses a dtype that holds no such numbers, and parameters that are none or whose numbers `dtype` cannot hold.
    pub(crate) fn check(&self, operation: &'static str, dtype: DType) -> Result<()> {
        let truths = matches!(self, Self::Bernoulli { .. }) && dtype == DType::Bool;
        if !dtype.is_float() && !truths {
            return Err(Error::dtype(
                operation,
                [dtype],
                "random numbers are floats",
                "Draw floats, or `bool` for Bernoulli, and convert with `to_dtype`",
            ));
        }
        let refuse = |problem: String, advice: String| Err(Error::argument(operation, problem, advice));
        let largest = dtype.largest();
        match *self {
            Self::Uniform { low, high } => {
                let (low, high) = (low.get(), high.get());
                if !low.is_finite() || !high.is_finite() || low > high {
                    return refuse(
                        format!("{low:?} to {high:?} is no interval"),
                        "Give finite bounds with low ≤ high".into(),
                    );
                }
                if low.abs().max(high.abs()) > largest {
                    return refuse(
                        format!("{dtype} cannot hold numbers from {low:?} to {high:?}"),
                        format!("Keep both bounds within ±{largest:?}, or use a wider dtype"),
                    );
                }
            }
            Self::Normal { mean, standard_deviation } => {
                let (mean, deviation) = (mean.get(), standard_deviation.get());
                if !mean.is_finite() || !(0.0..f64::INFINITY).contains(&deviation) {
                    return refuse(
                        format!(
                            "there is no normal distribution of mean {mean:?} and standard deviation {deviation:?}"
                        ),
                        "Give a finite mean and a finite standard deviation ≥ 0".into(),
                    );
                }
                if mean.abs() + farthest(dtype) * deviation > largest {
                    return refuse(
                        format!(
                            "{dtype} cannot hold the numbers of mean {mean:?} and standard deviation {deviation:?}: \
                             some lie {} deviations from the mean",
                            farthest(dtype)
                        ),
                        format!("Keep them within ±{largest:?}, or use a wider dtype"),
                    );
                }
            }
            Self::Bernoulli { probability } => {
                let probability = probability.get();
                if !(0.0..=1.0).contains(&probability) {
                    return refuse(
                        format!("{probability:?} is no probability"),
                        "Give a probability from 0 to 1".into(),
                    );
                }
            }
        }
        Ok(())
    }
}

/// How many deviations from the mean a normal number lies at most: `√(−2 ln u₀)` is below 5.8 for the 24 bits of u₀ in f32, 8.6 for the 53 in f64.
fn farthest(dtype: DType) -> f64 {
    if dtype == DType::F64 { 9.0 } else { 6.0 }
}

/// How a number `unit` from 0 to 1 becomes a uniform one of a dtype: `scale · (low + width · unit)`, no smaller than `smallest` and no larger
/// than `largest`, computed in f64 for f64 and in f32 for the others.
///
/// Rounding could lead out of the interval: `1 + (1 − 2⁻²⁴)` is 2 in f32, and in bf16 each number from 0.998 on is 1. `smallest` and `largest`
/// are the first and last number of the dtype inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower bound, divided by `scale`.
    pub low: f64,
    /// The upper bound less the lower one, divided by `scale`.
    pub width: f64,
    /// 1, or 2 where the width itself would overflow.
    pub scale: f64,
    /// The first number of the dtype inside.
    pub smallest: f64,
    /// The last number of the dtype inside.
    pub largest: f64,
}

impl Interval {
    /// For the numbers of `dtype`, a float type that holds both bounds, from `low` (included) to `high` (excluded). For less than 64 bits all
    /// fields are numbers of `f32`.
    pub fn new(low: f64, high: f64, dtype: DType) -> Self {
        let computed = |value| if dtype == DType::F64 { value } else { DType::F32.rounded(value) };
        let scale = if computed(high - low).is_finite() { 1.0 } else { 2.0 };
        let nearest = dtype.rounded(low);
        let smallest = if nearest < low { dtype.next_up(nearest) } else { nearest };
        let largest = match dtype.rounded(high) {
            nearest if nearest < high => nearest,
            nearest => -dtype.next_up(-nearest),
        };
        let (smallest, largest) = if smallest <= largest { (smallest, largest) } else { (nearest, nearest) };
        Self { low: computed(low / scale), width: computed(high / scale - low / scale), scale, smallest, largest }
    }

    /// The five numbers, in the order of the fields.
    pub fn numbers(&self) -> [f64; 5] {
        [self.low, self.width, self.scale, self.smallest, self.largest]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Stream, fill_f32, fill_f64, generate};
    use super::*;

    fn uniform(low: f64, high: f64) -> Distribution {
        Distribution::Uniform { low: Real::new(low), high: Real::new(high) }
    }

    /// Bounds that a dtype holds and bounds that it rounds either way, narrow and wide, of both signs.
    const BOUNDS: [(f64, f64); 14] = [
        (0.0, 1.0),
        (-1.0, 0.0),
        (1.0, 2.0),
        (0.1, 0.3),
        (0.7, 0.9),
        (-0.9, -0.7),
        (-0.3, 0.7),
        (1.0, 1.01),
        (100.3, 100.9),
        (-60_000.0, 60_000.0),
        (0.0, 1e-6),
        (1e-4, 3e-4),
        (999.9, 1000.1),
        (-65_504.0, 65_504.0),
    ];

    #[test]
    fn uniform_numbers_keep_the_interval_in_every_dtype() {
        for dtype in DType::FLOATS {
            for (low, high) in BOUNDS {
                let stream = Stream { seed: 7, counter: 0 };
                let values = generate(uniform(low, high), stream, 20_000, dtype).unwrap().to_f64();
                let outside = values.iter().find(|value| !(low..high).contains(*value));
                assert_eq!(outside, None, "{dtype}, {low} to {high}");
            }
        }
    }

    /// The units nearest to both ends, which a sample may never meet.
    #[test]
    fn the_outermost_units_keep_the_interval() {
        for dtype in DType::FLOATS {
            for (low, high) in BOUNDS.into_iter().chain([(f64::from(f32::MIN), f64::from(f32::MAX))]) {
                if high > dtype.largest() {
                    continue;
                }
                let interval = Interval::new(low, high, dtype);
                for unit in [0.0, 2f64.powi(-24), 1.0 - 2f64.powi(-24), 1.0 - 2f64.powi(-53)] {
                    let value = if dtype == DType::F64 {
                        (interval.scale * (interval.low + interval.width * unit))
                            .clamp(interval.smallest, interval.largest)
                    } else {
                        let [low, width, scale, smallest, largest] = interval.numbers().map(|number| number as f32);
                        let unit = unit.min(1.0 - 2f64.powi(-24)) as f32;
                        dtype.rounded((scale * (low + width * unit)).clamp(smallest, largest).into())
                    };
                    assert!((low..high).contains(&value), "{dtype}, {low} to {high} at {unit}: {value}");
                }
            }
        }
    }

    #[test]
    fn widths_that_overflow_are_halved() {
        let stream = Stream { seed: 3, counter: 0 };
        let mut singles = [0.0; 4000];
        let largest = f64::from(f32::MAX);
        fill_f32(uniform(-largest, largest), DType::F32, stream, 0, &mut singles);
        assert!(singles.iter().all(|value| value.is_finite()));
        let mean = singles.iter().map(|&value| f64::from(value) / largest).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        let mut doubles = [0.0; 4000];
        fill_f64(uniform(-1e308, 1.7e308), stream, 0, &mut doubles);
        assert!(doubles.iter().all(|value| (-1e308..1.7e308).contains(value)));
        assert!(doubles.iter().any(|&value| value > 1.5e308) && doubles.iter().any(|&value| value < -8e307));
    }

    #[test]
    fn an_interval_without_a_number_of_the_dtype_gives_its_lower_bound() {
        let stream = Stream { seed: 3, counter: 0 };
        for (low, high, expected) in [(0.5, 0.5, 0.5), (1.0001, 1.0002, 1.0), (-3.0, -3.0, -3.0)] {
            let values = generate(uniform(low, high), stream, 9, DType::BF16).unwrap().to_f64();
            assert_eq!(values, [expected; 9]);
        }
    }

    #[test]
    fn numbers_that_a_dtype_cannot_hold_are_refused() {
        let normal =
            |mean, deviation| Distribution::Normal { mean: Real::new(mean), standard_deviation: Real::new(deviation) };
        let bernoulli = |probability| Distribution::Bernoulli { probability: Real::new(probability) };
        for (distribution, dtype) in [
            (uniform(0.0, 1e300), DType::F32),
            (uniform(-65_520.0, 0.0), DType::F16),
            (uniform(0.0, f64::INFINITY), DType::F64),
            (uniform(f64::NAN, 1.0), DType::F64),
            (uniform(1.0, 0.0), DType::F32),
            (uniform(0.0, 1.0), DType::I64),
            (normal(0.0, 2e4), DType::F16),
            (normal(1e39, 1.0), DType::F32),
            (normal(0.0, 1e308), DType::F64),
            (normal(f64::NAN, 1.0), DType::F64),
            (normal(0.0, -1.0), DType::F32),
            (bernoulli(f64::NAN), DType::F32),
            (bernoulli(1.1), DType::Bool),
            (bernoulli(0.5), DType::U8),
        ] {
            let error = distribution.check("random", dtype).unwrap_err().to_string();
            assert!(error.starts_with("random: ") && error.len() < 300, "{error}");
        }
        assert!(uniform(-1.7e308, 1.7e308).check("random", DType::F64).is_ok());
        assert!(normal(0.0, 1e4).check("random", DType::F16).is_ok());
        assert!(bernoulli(1.0).check("random", DType::Bool).is_ok());
    }

    #[test]
    fn blocks_are_counted_for_any_number_of_elements() {
        let normal = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
        assert_eq!(normal.blocks(5, DType::F64), 3);
        assert_eq!(normal.blocks(5, DType::F32), 2);
        assert_eq!(normal.blocks(usize::MAX, DType::F64), 1 << (usize::BITS - 1));
        assert_eq!(uniform(0.0, 1.0).blocks(usize::MAX, DType::F64), 1 << (usize::BITS - 1));
    }
}
