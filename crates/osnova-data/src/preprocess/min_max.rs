//! Scaling to a range.

use super::{InverseTransform, Transform, check_row, check_state, narrowed, per_feature, visit_rows};
use crate::{DataError, Dataset, Result};
use serde::{Deserialize, Serialize};

/// Scales each feature to a range, by default 0 to 1: `low + (x − min) / (max − min) · (high − low)`, with the least
/// and greatest value of the data fitted on, which land on `low` and `high` exactly.
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
    /// The range is empty or goes beyond what an `f32` holds, the data set is empty, or a value is infinite.
    pub fn fit(self, data: &(impl Dataset + ?Sized)) -> Result<FittedMinMaxScaler> {
        const NAME: &str = "MinMaxScaler::fit";
        let (low, high) = self.range;
        if !is_range(low, high) {
            let problem = format!("the range is {low:?} to {high:?}");
            let advice = "Give `feature_range(low, high)` with low < high as `f32`, both finite";
            return Err(DataError::argument(NAME, problem, advice));
        }
        let width = data.feature_count();
        let mut data_min = per_feature(NAME, width, f64::INFINITY)?;
        let mut data_max = per_feature(NAME, width, f64::NEG_INFINITY)?;
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

/// Whether results can lie in this range: they are `f32`.
fn is_range(low: f64, high: f64) -> bool {
    (low as f32) < (high as f32) && (low as f32).is_finite() && (high as f32).is_finite()
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
        check_state("MinMaxScaler", data_min.len() == data_max.len() && ordered && is_range(low, high))?;
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

    /// The distance between a feature's least and greatest value; 1 if it is constant.
    fn extent(&self, feature: usize) -> f64 {
        let extent = self.data_max[feature] - self.data_min[feature];
        if extent > 0.0 { extent } else { 1.0 }
    }

    /// What lies at this part of the way from `low` to `high`.
    fn at(&self, part: f64) -> f64 {
        if (0.0..=1.0).contains(&part) {
            // Exact at both ends, and never past them, whatever the rounding does in between.
            (self.low * (1.0 - part) + self.high * part).clamp(self.low, self.high)
        } else {
            self.low + part * (self.high - self.low)
        }
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
        check_row(self.name(), [input.len(), output.len()], [self.data_min.len(); 2])?;
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            let part = (f64::from(input) - self.data_min[feature]) / self.extent(feature);
            // `clamp` keeps NaN.
            let part = if self.clip { part.clamp(0.0, 1.0) } else { part };
            *output = narrowed(self.name(), feature, input, self.at(part))?;
        }
        Ok(())
    }
}

impl InverseTransform for FittedMinMaxScaler {
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        check_row(self.name(), [input.len(), output.len()], [self.data_min.len(); 2])?;
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            let part = (f64::from(input) - self.low) / (self.high - self.low);
            let value = self.data_min[feature] + part * self.extent(feature);
            *output = narrowed(self.name(), feature, input, value)?;
        }
        Ok(())
    }
}
