//! Scaling to a range.

use super::{InverseTransform, Transform, check_state, visit_rows};
use crate::{DataError, Dataset, Result};
use serde::{Deserialize, Serialize};

/// Scales each feature to a range, by default 0 to 1: `low + (x − min) / (max − min) · (high − low)`, with the least
/// and greatest value of the data fitted on.
///
/// A constant feature lands on `low`. NaN is ignored in fitting and stays NaN. New data may fall outside the range,
/// unless [`clip`](Self::clip) is set.
///
/// ```
/// use osnova_data::{ArrayDataset, MinMaxScaler, Transform};
///
/// let data = ArrayDataset::unlabelled(vec![-1.0, 2.0, -0.5, 6.0, 0.0, 10.0, 1.0, 18.0], [2])?;
/// let scaler = MinMaxScaler::new().fit(&data)?;
/// assert_eq!(scaler.transform(&[2.0, 2.0])?, [1.5, 0.0]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MinMaxScaler {
    range: (f64, f64),
    clip: bool,
}

impl Default for MinMaxScaler {
    fn default() -> Self {
        Self::new()
    }
}

impl MinMaxScaler {
    /// Scales to 0 to 1.
    pub fn new() -> Self {
        Self { range: (0.0, 1.0), clip: false }
    }

    /// Scales to `low` to `high`.
    pub fn feature_range(mut self, low: f64, high: f64) -> Self {
        self.range = (low, high);
        self
    }

    /// Holds new data to the range too. (What was clipped cannot be undone.)
    pub fn clip(mut self, clip: bool) -> Self {
        self.clip = clip;
        self
    }

    /// Finds the least and greatest value of each feature.
    ///
    /// # Errors
    /// The range is empty, the data set is empty, or a value is infinite.
    pub fn fit(self, data: &(impl Dataset + ?Sized)) -> Result<FittedMinMaxScaler> {
        const NAME: &str = "MinMaxScaler::fit";
        let (low, high) = self.range;
        if !(low < high && low.is_finite() && high.is_finite()) {
            let problem = format!("the range {low} to {high} is empty");
            return Err(DataError::argument(NAME, problem, "Give `feature_range(low, high)` with low < high"));
        }
        let width = data.feature_count();
        let (mut data_min, mut data_max) = (vec![f64::INFINITY; width], vec![f64::NEG_INFINITY; width]);
        visit_rows(NAME, data, |row| {
            for (feature, &value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                data_min[feature] = data_min[feature].min(f64::from(value));
                data_max[feature] = data_max[feature].max(f64::from(value));
            }
            Ok(())
        })?;
        for (min, max) in data_min.iter_mut().zip(&mut data_max).filter(|(min, max)| min > max) {
            // Never seen: whatever comes is only shifted.
            (*min, *max) = (0.0, 0.0);
        }
        Ok(FittedMinMaxScaler { data_min, data_max, low, high, clip: self.clip })
    }
}

/// A fitted [`MinMaxScaler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct FittedMinMaxScaler {
    data_min: Vec<f64>,
    data_max: Vec<f64>,
    low: f64,
    high: f64,
    clip: bool,
}

#[derive(Deserialize)]
struct State {
    data_min: Vec<f64>,
    data_max: Vec<f64>,
    low: f64,
    high: f64,
    clip: bool,
}

impl TryFrom<State> for FittedMinMaxScaler {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let State { data_min, data_max, low, high, clip } = state;
        let ordered = data_min.iter().zip(&data_max).all(|(min, max)| min <= max && (max - min).is_finite());
        let range = low < high && low.is_finite() && high.is_finite();
        check_state("MinMaxScaler", data_min.len() == data_max.len() && ordered && range)?;
        Ok(Self { data_min, data_max, low, high, clip })
    }
}

impl FittedMinMaxScaler {
    /// The least value of each feature.
    pub fn data_min(&self) -> &[f64] {
        &self.data_min
    }

    /// The greatest value of each feature.
    pub fn data_max(&self) -> &[f64] {
        &self.data_max
    }

    /// What a feature is multiplied with.
    fn scale(&self, feature: usize) -> f64 {
        let range = self.data_max[feature] - self.data_min[feature];
        // scikit-learn's bound: below it a feature counts as constant.
        (self.high - self.low) / if range < 10.0 * f64::EPSILON { 1.0 } else { range }
    }
}

impl Transform for FittedMinMaxScaler {
    fn name(&self) -> &'static str {
        "MinMaxScaler"
    }

    fn input_features(&self) -> usize {
        self.data_min.len()
    }

    fn output_features(&self) -> usize {
        self.data_min.len()
    }

    fn transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            let scaled = self.low + (f64::from(input) - self.data_min[feature]) * self.scale(feature);
            // `clamp` keeps NaN.
            *output = if self.clip { scaled.clamp(self.low, self.high) } else { scaled } as f32;
        }
        Ok(())
    }
}

impl InverseTransform for FittedMinMaxScaler {
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            *output = ((f64::from(input) - self.low) / self.scale(feature) + self.data_min[feature]) as f32;
        }
        Ok(())
    }
}
