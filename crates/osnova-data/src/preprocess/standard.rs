//! Standardisation: mean 0, standard deviation 1.

use super::{InverseTransform, Transform, check_state, visit_rows};
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
        let width = data.feature_count();
        let (mut count, mut mean) = (vec![0u64; width], vec![0.0; width]);
        visit_rows(NAME, data, |row| {
            for ((count, sum), &value) in count.iter_mut().zip(&mut mean).zip(row).filter(|(_, value)| !value.is_nan())
            {
                *count += 1;
                *sum += f64::from(value);
            }
            Ok(())
        })?;
        for (sum, &count) in mean.iter_mut().zip(&count) {
            *sum /= count as f64;
        }
        let (mut squares, mut correction) = (vec![0.0; width], vec![0.0; width]);
        visit_rows(NAME, data, |row| {
            for (feature, &value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                let deviation = f64::from(value) - mean[feature];
                squares[feature] += deviation * deviation;
                correction[feature] += deviation;
            }
            Ok(())
        })?;
        let variance: Vec<f64> = (0..width)
            .map(|feature| {
                // The second term is zero but for rounding, which it takes out (Chan, Golub & LeVeque 1983).
                let samples = count[feature] as f64;
                (squares[feature] - correction[feature] * correction[feature] / samples) / samples
            })
            .collect();
        let scale = (0..width).map(|feature| {
            let (samples, mean, variance) = (count[feature] as f64, mean[feature], variance[feature]);
            // scikit-learn's bound on what rounding alone can make of a constant.
            let rounding = samples * f64::EPSILON * variance + (samples * mean * f64::EPSILON).powi(2);
            if self.with_std && variance > rounding { variance.sqrt() } else { 1.0 }
        });
        let scale = scale.collect();
        // A feature that was never there stays NaN; a mean that JSON cannot hold would spoil the saved state.
        mean.iter_mut().filter(|mean| mean.is_nan()).for_each(|mean| *mean = 0.0);
        let variance = variance.into_iter().map(|variance| if variance.is_nan() { 0.0 } else { variance }).collect();
        Ok(FittedStandardScaler { mean, variance, scale, samples: count, with_mean: self.with_mean })
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
        let numbers =
            mean.iter().all(|mean| mean.is_finite()) && scale.iter().all(|&scale| scale > 0.0 && scale.is_finite());
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
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            *output = ((f64::from(input) - self.shift(feature)) / self.scale[feature]) as f32;
        }
        Ok(())
    }
}

impl InverseTransform for FittedStandardScaler {
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        for (feature, (output, &input)) in output.iter_mut().zip(input).enumerate() {
            *output = (f64::from(input) * self.scale[feature] + self.shift(feature)) as f32;
        }
        Ok(())
    }
}
