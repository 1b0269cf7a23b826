//! Standardisation: mean 0, standard deviation 1.

use super::{InverseTransform, Transform, check_row, check_state, narrowed, per_feature, visit_rows};
use crate::{Dataset, Result};
use serde::{Deserialize, Serialize};

/// Standardises each feature: `z = (x − μ) / σ`, with the mean μ and the (population) standard deviation σ of the data
/// fitted on.
///
/// A constant feature is only centred (its σ counts as 1). NaN is ignored in fitting and stays NaN.
///
/// ```
/// use osnova_data::{ArrayDataset, StandardScaler, Transform};
///
/// let data = ArrayDataset::unlabelled(vec![1.0, 7.0, 2.0, 7.0, 3.0, 7.0], [2])?;
/// let scaler = StandardScaler::new().fit(&data)?;
/// assert_eq!(scaler.mean(), [2.0, 7.0]);
/// assert_eq!(scaler.scale()[1], 1.0);
/// assert_eq!(scaler.transform(&[3.0, 8.0])?, [1.2247449, 1.0]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StandardScaler {
    with_mean: bool,
    with_std: bool,
}

impl Default for StandardScaler {
    fn default() -> Self {
        Self::new()
    }
}

impl StandardScaler {
    /// Centres and scales.
    pub fn new() -> Self {
        Self { with_mean: true, with_std: true }
    }

    /// Whether to subtract the mean.
    pub fn with_mean(mut self, with_mean: bool) -> Self {
        self.with_mean = with_mean;
        self
    }

    /// Whether to divide by the standard deviation.
    pub fn with_std(mut self, with_std: bool) -> Self {
        self.with_std = with_std;
        self
    }

    /// Measures mean and variance of each feature, in two passes in `f64`.
    ///
    /// # Errors
    /// The data set is empty, or a value is infinite.
    pub fn fit(self, data: &(impl Dataset + ?Sized)) -> Result<FittedStandardScaler> {
        const NAME: &str = "StandardScaler::fit";
        let mut features = per_feature(NAME, data.feature_count(), Moments::default())?;
        visit_rows(NAME, data, |row| {
            for (feature, &value) in features.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
                feature.add(value);
            }
            Ok(())
        })?;
        features.iter_mut().for_each(Moments::begin_second_pass);
        visit_rows(NAME, data, |row| {
            for (feature, &value) in features.iter_mut().zip(row).filter(|(_, value)| !value.is_nan()) {
                feature.add_deviation(value);
            }
            Ok(())
        })?;
        let mut fitted = FittedStandardScaler {
            mean: per_feature(NAME, features.len(), 0.0)?,
            variance: per_feature(NAME, features.len(), 0.0)?,
            scale: per_feature(NAME, features.len(), 1.0)?,
            samples: per_feature(NAME, features.len(), 0)?,
            with_mean: self.with_mean,
        };
        for (index, feature) in features.iter().enumerate() {
            let (mean, variance) = feature.mean_and_variance();
            (fitted.mean[index], fitted.variance[index], fitted.samples[index]) = (mean, variance, feature.count);
            if self.with_std && variance > 0.0 {
                fitted.scale[index] = variance.sqrt();
            }
        }
        Ok(fitted)
    }
}

/// What is gathered of one feature, in two passes: a mean first, then the deviations from it.
#[derive(Clone, Copy)]
struct Moments {
    count: u64,
    sum: f64,
    least: f32,
    greatest: f32,
    mean: f64,
    squares: f64,
    deviations: f64,
}

impl Default for Moments {
    fn default() -> Self {
        let (least, greatest) = (f32::INFINITY, f32::NEG_INFINITY);
        Self { count: 0, sum: 0.0, least, greatest, mean: 0.0, squares: 0.0, deviations: 0.0 }
    }
}

impl Moments {
    fn add(&mut self, value: f32) {
        self.count += 1;
        self.sum += f64::from(value);
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    fn begin_second_pass(&mut self) {
        self.mean = self.sum / self.count as f64;
    }

    fn add_deviation(&mut self, value: f32) {
        let deviation = f64::from(value) - self.mean;
        self.squares += deviation * deviation;
        self.deviations += deviation;
    }

    fn mean_and_variance(&self) -> (f64, f64) {
        if self.count == 0 {
            // Never there: whatever comes passes. A mean that JSON cannot hold would spoil the saved state.
            return (0.0, 0.0);
        }
        if self.least == self.greatest {
            // A constant, which no rounding of the sum may turn into something that varies.
            return (f64::from(self.least), 0.0);
        }
        let samples = self.count as f64;
        // The deviations add up to zero but for the rounding of the mean, which their sum takes out of both (Chan, Golub
        // & LeVeque 1983).
        let variance = (self.squares - self.deviations * self.deviations / samples) / samples;
        (self.mean + self.deviations / samples, variance)
    }
}

/// A fitted [`StandardScaler`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct FittedStandardScaler {
    mean: Vec<f64>,
    variance: Vec<f64>,
    scale: Vec<f64>,
    samples: Vec<u64>,
    with_mean: bool,
}

#[derive(Deserialize)]
struct State {
    mean: Vec<f64>,
    variance: Vec<f64>,
    scale: Vec<f64>,
    samples: Vec<u64>,
    with_mean: bool,
}

impl TryFrom<State> for FittedStandardScaler {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let State { mean, variance, scale, samples, with_mean } = state;
        let sizes = [variance.len(), scale.len(), samples.len()];
        let numbers = mean.iter().all(|mean| mean.is_finite())
            && variance.iter().all(|&variance| variance >= 0.0 && variance.is_finite())
            && scale.iter().all(|&scale| scale > 0.0 && scale.is_finite());
        check_state("StandardScaler", sizes == [mean.len(); 3] && numbers)?;
        Ok(Self { mean, variance, scale, samples, with_mean })
    }
}

impl FittedStandardScaler {
    /// The mean of each feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The population variance of each feature.
    pub fn variance(&self) -> &[f64] {
        &self.variance
    }

    /// What each feature is divided by: the standard deviation, or 1 for a constant feature.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// How many values of each feature were seen, NaN not counted.
    pub fn samples_seen(&self) -> &[u64] {
        &self.samples
    }

    fn shift(&self, feature: usize) -> f64 {
        if self.with_mean { self.mean[feature] } else { 0.0 }
    }
}

impl Transform for FittedStandardScaler {
    fn name(&self) -> &'static str {
        "StandardScaler"
    }

    fn input_features(&self) -> usize {
        self.mean.len()
    }

    fn output_features(&self) -> usize {
        self.mean.len()
    }

    fn transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        check_row(self.name(), [input.len(), output.len()], [self.mean.len(); 2])?;
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            let scaled = (f64::from(input) - self.shift(feature)) / self.scale[feature];
            *output = narrowed(self.name(), feature, input, scaled)?;
        }
        Ok(())
    }
}

impl InverseTransform for FittedStandardScaler {
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        check_row(self.name(), [input.len(), output.len()], [self.mean.len(); 2])?;
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            let value = f64::from(input) * self.scale[feature] + self.shift(feature);
            *output = narrowed(self.name(), feature, input, value)?;
        }
        Ok(())
    }
}
