//! A learning rate that falls when a metric no longer improves.

use osnova_tensor::Result;

use crate::core::not_negative;

/// A smaller change than this is none: the learning rate has arrived.
const SMALLEST_CHANGE: f64 = 1e-8;

/// What counts as an improvement.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Threshold {
    /// As a share of the best value's size.
    Relative(f64),
    /// As a difference.
    Absolute(f64),
}

/// Lowers the learning rate when a metric has not improved for some epochs. As PyTorch's `ReduceLROnPlateau`.
///
/// Unlike a [`Schedule`](crate::Schedule) it depends on what it has [observed](Self::observe), so it has a
/// [state](PlateauState) for checkpoints. In a `Trainer`, `ReduceOnPlateau` of `osnova-train` does both.
///
/// ```
/// use osnova_optim::Plateau;
/// let mut plateau = Plateau::minimize().factor(0.1).patience(1);
/// let mut learning_rate = 1.0;
/// for loss in [0.5, 0.4, 0.41, 0.42] {
///     learning_rate = plateau.observe(loss, learning_rate);
/// }
/// assert_eq!(learning_rate, 0.1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    highest: bool,
    factor: f64,
    patience: u64,
    threshold: Threshold,
    cooldown: u64,
    minimum: f64,
    state: PlateauState,
}

/// What a [`Plateau`] must remember to go on after a break.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct PlateauState {
    /// The best value so far.
    pub best: Option<f64>,
    /// Values in a row that were not better.
    pub waited: u64,
    /// How many values the cooldown lasts on.
    pub cooldown: u64,
}

impl Plateau {
    fn new(highest: bool) -> Self {
        Self {
            highest,
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            minimum: 0.0,
            state: PlateauState::default(),
        }
    }

    /// For a metric that should fall: factor 0.1, patience 10, relative threshold 1e-4.
    pub fn minimize() -> Self {
        Self::new(false)
    }

    /// For a metric that should rise, with the same settings.
    pub fn maximize() -> Self {
        Self::new(true)
    }

    /// What the learning rate is multiplied by; below 1.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How many values in a row may be no better; the next one lowers the learning rate.
    pub fn patience(mut self, values: u64) -> Self {
        self.patience = values;
        self
    }

    /// A value is better only if it is by more than this share of the best one's size.
    pub fn relative_threshold(mut self, share: f64) -> Self {
        self.threshold = Threshold::Relative(share);
        self
    }

    /// A value is better only if it is by more than this.
    pub fn absolute_threshold(mut self, difference: f64) -> Self {
        self.threshold = Threshold::Absolute(difference);
        self
    }

    /// How many values after a change do not count as waiting.
    pub fn cooldown(mut self, values: u64) -> Self {
        self.cooldown = values;
        self
    }

    /// What the learning rate does not fall below.
    pub fn minimum(mut self, learning_rate: f64) -> Self {
        self.minimum = learning_rate;
        self
    }

    /// Finds settings out of range.
    ///
    /// # Errors
    /// A factor that is not from 0 to below 1; a threshold or a minimum that is negative or not finite.
    pub fn check(&self) -> Result<()> {
        crate::core::share("plateau", "the factor", self.factor)?;
        let (Threshold::Relative(threshold) | Threshold::Absolute(threshold)) = self.threshold;
        not_negative("plateau", "the threshold", threshold)?;
        not_negative("plateau", "the minimum", self.minimum)
    }

    /// Takes the next value of the metric and the learning rate so far; gives the learning rate from here on. NaN is
    /// never better.
    pub fn observe(&mut self, value: f64, learning_rate: f64) -> f64 {
        let state = &mut self.state;
        // Nothing finite is an infinite margin away from an infinite value.
        let better = match state.best.filter(|best| best.is_finite()) {
            None => !value.is_nan(),
            Some(best) => {
                let margin = match self.threshold {
                    // PyTorch multiplies the best value itself, which for values below 0 calls worse ones better.
                    Threshold::Relative(share) => share * best.abs(),
                    Threshold::Absolute(difference) => difference,
                };
                if self.highest { value > best + margin } else { value < best - margin }
            }
        };
        if better {
            state.best = Some(value);
            state.waited = 0;
        } else {
            state.waited = state.waited.saturating_add(1);
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.waited = 0;
        }
        if state.waited <= self.patience {
            return learning_rate;
        }
        state.cooldown = self.cooldown;
        state.waited = 0;
        let lower = (learning_rate * self.factor).max(self.minimum);
        if learning_rate - lower > SMALLEST_CHANGE { lower } else { learning_rate }
    }

    /// What a checkpoint must hold.
    pub fn state(&self) -> PlateauState {
        self.state
    }

    /// Takes over what [`state`](Self::state) gave.
    pub fn load_state(&mut self, state: PlateauState) {
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut plateau: Plateau, values: &[f64]) -> Vec<f64> {
        let mut learning_rate = 1.0;
        let rates = values.iter().map(|&value| {
            learning_rate = plateau.observe(value, learning_rate);
            learning_rate
        });
        rates.collect()
    }

    #[test]
    fn negative_values_improve_by_falling() {
        let plateau = Plateau::minimize().patience(0).factor(0.5).relative_threshold(0.1);
        // −1.05 is no tenth better than −1, −1.2 is, and −1.1 is worse.
        assert_eq!(run(plateau, &[-1.0, -1.05, -1.2, -1.1]), [1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn nan_is_no_improvement_and_an_infinite_start_is_no_obstacle() {
        let plateau = Plateau::minimize().patience(1).factor(0.5);
        assert_eq!(run(plateau.clone(), &[f64::NAN, f64::NAN, 1.0, 0.5]), [1.0, 0.5, 0.5, 0.5]);
        assert_eq!(run(plateau, &[f64::INFINITY, 3.0, 2.0, 1.0]), [1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Plateau::minimize().check().is_ok());
        for bad in [
            Plateau::minimize().factor(1.0),
            Plateau::minimize().factor(f64::NAN),
            Plateau::maximize().minimum(-1.0),
            Plateau::maximize().absolute_threshold(f64::INFINITY),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
