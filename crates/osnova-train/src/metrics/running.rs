//! A mean that grows with every batch.

/// The mean of what was added so far, each value by its weight (mostly the number of samples of a batch).
///
/// ```
/// use osnova_train::metrics::RunningMean;
///
/// let mut loss = RunningMean::new();
/// loss.add(1.0, 32.0); // a full batch
/// loss.add(4.0, 16.0); // the smaller last one
/// assert_eq!(loss.mean(), Some(2.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningMean {
    sum: f64,
    weight: f64,
}

impl RunningMean {
    /// Nothing added yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A mean that goes on from a [`sum`](Self::sum) and a [`weight`](Self::weight).
    pub fn from_parts(sum: f64, weight: f64) -> Self {
        Self { sum, weight }
    }

    /// Adds `value` as often as `weight` says; with weight 0 not at all, whatever the value.
    pub fn add(&mut self, value: f64, weight: f64) {
        if weight == 0.0 {
            // 0 · ∞ would make NaN of what does not count.
            return;
        }
        self.sum += value * weight;
        self.weight += weight;
    }

    /// The mean; `None` if nothing was added.
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// The weighted sum of what was added.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The sum of the weights.
    pub fn weight(&self) -> f64 {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_weight_does_not_count() {
        let mut mean = RunningMean::new();
        mean.add(f64::INFINITY, 0.0);
        assert_eq!(mean.mean(), None);
        mean.add(2.0, 1.0);
        mean.add(f64::NAN, 0.0);
        assert_eq!(mean.mean(), Some(2.0));
    }
}
