//! How a part's weight in the loss grows.

use osnova_tensor::{Error, Result};

/// The weight of a part of the loss over the epochs, from 0 to 1: the model's own weight (β) times this is what counts.
///
/// A KL divergence that counts in full from the start can be had for nothing by codes that say nothing; let in slowly it
/// meets a decoder that already needs them (Bowman et al. 2016).
///
/// | schedule | weight at epoch t, counted from 0 with fractions |
/// |---|---|
/// | `Constant` | 1 |
/// | `Linear` | min(1, t/warm_up) |
/// | `Cyclical` | min(1, (t mod period)/(ramp·period)) (Fu et al. 2019) |
/// | `Sigmoid` | 1/(1 + exp(−steepness·(t − midpoint))) |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum BetaSchedule {
    /// In full from the start.
    #[default]
    Constant,
    /// From 0 evenly to 1.
    Linear {
        /// The epochs until 1.
        warm_up: f64,
    },
    /// From 0 to 1 again and again.
    Cyclical {
        /// The epochs of a cycle.
        period: f64,
        /// The part of a cycle in which the weight rises; for the rest it is 1.
        ramp: f64,
    },
    /// From next to 0 to next to 1, fastest in the middle.
    Sigmoid {
        /// The epoch at which the weight is ½.
        midpoint: f64,
        /// How fast it rises: from 0.12 to 0.88 in 4/steepness epochs.
        steepness: f64,
    },
}

impl BetaSchedule {
    /// The weight at an epoch: 0 at the start of the first, 0.5 in its middle.
    ///
    /// ```
    /// use osnova_generative::BetaSchedule;
    ///
    /// let warm_up = BetaSchedule::Linear { warm_up: 10.0 };
    /// assert_eq!([0.0, 2.5, 10.0, 40.0].map(|epoch| warm_up.at(epoch)), [0.0, 0.25, 1.0, 1.0]);
    /// ```
    pub fn at(self, epoch: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Linear { warm_up } => (epoch / warm_up).min(1.0),
            Self::Cyclical { period, ramp } => (epoch.rem_euclid(period) / (ramp * period)).min(1.0),
            Self::Sigmoid { midpoint, steepness } => 1.0 / (1.0 + (-steepness * (epoch - midpoint)).exp()),
        }
    }

    /// The schedule itself, if its numbers make sense.
    ///
    /// # Errors
    /// Times and steepnesses that are not positive and finite, a ramp outside 0 to 1.
    pub fn checked(self) -> Result<Self> {
        let positive = |name: &str, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(refused(format!("{name} is {value}"), "Give a positive number of epochs")),
        };
        match self {
            Self::Constant => {}
            Self::Linear { warm_up } => positive("warm_up", warm_up)?,
            Self::Cyclical { period, ramp } => {
                positive("period", period)?;
                if !(ramp > 0.0 && ramp <= 1.0) {
                    return Err(refused(format!("ramp is {ramp}"), "Give a part of the period, above 0 and at most 1"));
                }
            }
            Self::Sigmoid { midpoint, steepness } => {
                positive("steepness", steepness)?;
                if !midpoint.is_finite() {
                    return Err(refused(format!("midpoint is {midpoint}"), "Give an epoch"));
                }
            }
        }
        Ok(self)
    }
}

fn refused(problem: String, advice: &'static str) -> Box<Error> {
    Error::argument("beta_schedule", problem, advice)
}
