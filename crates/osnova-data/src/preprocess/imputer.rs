//! Filling in missing values.

use super::{InverseTransform, Transform, check_row, check_state, per_feature, visit_rows};
use crate::{DataError, Dataset, Result, memory};
use serde::{Deserialize, Serialize};

/// What to fill in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ImputeStrategy {
    /// The feature's mean.
    #[default]
    Mean,
    /// The feature's median.
    Median,
    /// The feature's most frequent value, the least of several.
    MostFrequent,
    /// This value.
    Constant(f32),
}

/// Fills in missing values, NaN unless [`missing_value`](Self::missing_value) says otherwise.
///
/// A feature that has no value at all in the data fitted on is an error (scikit-learn drops it silently), unless the
/// strategy is a constant or [`keep_empty_features`](Self::keep_empty_features) is set.
///
/// ```
/// use osnova_data::{ArrayDataset, SimpleImputer, Transform};
///
/// let data = ArrayDataset::unlabelled(vec![1.0, f32::NAN, 3.0, 4.0, f32::NAN, 6.0], [2])?;
/// let imputer = SimpleImputer::new().fit(&data)?;
/// assert_eq!(imputer.apply(&data)?.features(), [1.0, 5.0, 3.0, 4.0, 2.0, 6.0]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SimpleImputer {
    strategy: ImputeStrategy,
    missing: Option<f32>,
    keep_empty: bool,
    add_indicator: bool,
}

impl SimpleImputer {
    /// Fills in the mean for NaN.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to fill in.
    pub fn strategy(mut self, strategy: ImputeStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// The finite value that means "missing", such as -1. NaN is then an error.
    pub fn missing_value(mut self, value: f32) -> Self {
        self.missing = (!value.is_nan()).then_some(value);
        self
    }

    /// Fills features without any value with 0.
    pub fn keep_empty_features(mut self, keep: bool) -> Self {
        self.keep_empty = keep;
        self
    }

    /// Adds a column of 0 and 1 for each feature with missing values in the data fitted on, after all features. With it
    /// the filling can be undone.
    pub fn add_indicator(mut self, add: bool) -> Self {
        self.add_indicator = add;
        self
    }

    /// Finds what to fill in for each feature.
    ///
    /// # Errors
    /// The data set is empty, a value is infinite, a feature has no value at all, or the constant or the value that means
    /// "missing" is not finite.
    pub fn fit(self, data: &(impl Dataset + ?Sized)) -> Result<FittedSimpleImputer> {
        const NAME: &str = "SimpleImputer::fit";
        if let Some(missing) = self.missing.filter(|missing| missing.is_infinite()) {
            let advice = "Give a finite number, or mark missing values by NaN, the default";
            return Err(DataError::argument(NAME, format!("`missing_value` is {missing}"), advice));
        }
        let width = data.feature_count();
        let mut features = per_feature(NAME, width, Feature::default())?;
        let needs_all = matches!(self.strategy, ImputeStrategy::Median | ImputeStrategy::MostFrequent);
        visit_rows(NAME, data, |row| {
            for (index, (feature, &value)) in features.iter_mut().zip(row).enumerate() {
                if is_missing(self.missing, value) {
                    feature.lacking = true;
                } else if value.is_nan() {
                    return Err(unexpected_nan(NAME, index));
                } else {
                    feature.count += 1;
                    feature.sum += f64::from(value);
                    if needs_all {
                        memory::reserve(NAME, "a feature's values", &mut feature.values, 1)?;
                        feature.values.push(value);
                    }
                }
            }
            Ok(())
        })?;
        let mut fill = per_feature(NAME, width, 0.0)?;
        for (index, feature) in features.iter_mut().enumerate() {
            fill[index] = self.fill(NAME, index, feature)?;
        }
        let indicators = (0..width).filter(|&index| self.add_indicator && features[index].lacking).collect();
        Ok(FittedSimpleImputer { fill, missing: self.missing, indicators, add_indicator: self.add_indicator })
    }

    /// What to fill in for one feature.
    fn fill(&self, name: &'static str, index: usize, feature: &mut Feature) -> Result<f32> {
        Ok(match self.strategy {
            ImputeStrategy::Constant(value) if value.is_finite() => value,
            ImputeStrategy::Constant(value) => {
                let problem = format!("the constant is {value}");
                return Err(DataError::argument(name, problem, "Fill in a finite number"));
            }
            _ if feature.count == 0 && self.keep_empty => 0.0,
            _ if feature.count == 0 => {
                return Err(DataError::argument(
                    name,
                    format!("feature {index} has no value at all"),
                    "Leave it out, use `keep_empty_features(true)` (fills in 0), or a constant",
                ));
            }
            ImputeStrategy::Mean => (feature.sum / feature.count as f64) as f32,
            ImputeStrategy::Median => median(&mut feature.values),
            ImputeStrategy::MostFrequent => most_frequent(&mut feature.values),
        })
    }
}

/// What is gathered of one feature.
#[derive(Clone, Default)]
struct Feature {
    lacking: bool,
    count: u64,
    sum: f64,
    /// All values, if the strategy needs them.
    values: Vec<f32>,
}

fn is_missing(missing: Option<f32>, value: f32) -> bool {
    missing.map_or(value.is_nan(), |missing| value == missing)
}

#[cold]
fn unexpected_nan(operation: &'static str, feature: usize) -> DataError {
    DataError::argument(
        operation,
        format!("feature {feature} is NaN, but another value stands for missing"),
        "Fill NaN first with an imputer without `missing_value`",
    )
}

fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        return values[middle];
    }
    ((f64::from(values[middle - 1]) + f64::from(values[middle])) / 2.0) as f32
}

fn most_frequent(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let mut best: &[f32] = &[];
    for run in values.chunk_by(|left, right| left == right) {
        // Only a longer run replaces the best: of equals the least stays.
        if run.len() > best.len() {
            best = run;
        }
    }
    best.first().copied().unwrap_or(0.0)
}

/// A fitted [`SimpleImputer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct FittedSimpleImputer {
    fill: Vec<f32>,
    /// `None` is NaN, which JSON lacks.
    missing: Option<f32>,
    indicators: Vec<usize>,
    add_indicator: bool,
}

#[derive(Deserialize)]
struct State {
    fill: Vec<f32>,
    missing: Option<f32>,
    indicators: Vec<usize>,
    add_indicator: bool,
}

impl TryFrom<State> for FittedSimpleImputer {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let State { fill, missing, indicators, add_indicator } = state;
        let ascending = indicators.is_sorted_by(|left, right| left < right);
        let inside = indicators.iter().all(|&feature| feature < fill.len()) && (add_indicator || indicators.is_empty());
        let finite = fill.iter().chain(&missing).all(|value| value.is_finite());
        check_state("SimpleImputer", finite && ascending && inside)?;
        Ok(Self { fill, missing, indicators, add_indicator })
    }
}

impl FittedSimpleImputer {
    /// What is filled in for each feature.
    pub fn statistics(&self) -> &[f32] {
        &self.fill
    }

    /// The features that have an indicator column, in the order of the columns.
    pub fn indicator_features(&self) -> &[usize] {
        &self.indicators
    }
}

impl Transform for FittedSimpleImputer {
    fn name(&self) -> &'static str {
        "SimpleImputer"
    }

    fn input_features(&self) -> usize {
        self.fill.len()
    }

    fn output_features(&self) -> usize {
        self.fill.len() + self.indicators.len()
    }

    fn transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        let wanted = [self.input_features(), self.output_features()];
        check_row(self.name(), [input.len(), output.len()], wanted)?;
        let (filled, indicators) = output.split_at_mut(self.fill.len());
        for (feature, (output, &value)) in filled.iter_mut().zip(input).enumerate() {
            if is_missing(self.missing, value) {
                *output = self.fill[feature];
            } else if value.is_nan() {
                return Err(unexpected_nan(self.name(), feature));
            } else {
                *output = value;
            }
        }
        for (output, &feature) in indicators.iter_mut().zip(&self.indicators) {
            *output = f32::from(u8::from(is_missing(self.missing, input[feature])));
        }
        Ok(())
    }

    fn output_names(&self, input: &[String]) -> Option<Vec<String>> {
        let indicators = self.indicators.iter().map(|&feature| Some(format!("missing_{}", input.get(feature)?)));
        let names: Option<Vec<String>> = input.iter().cloned().map(Some).chain(indicators).collect();
        names.filter(|_| input.len() == self.fill.len())
    }
}

impl InverseTransform for FittedSimpleImputer {
    /// Puts the missing values back where an indicator says so.
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        if !self.add_indicator {
            return Err(DataError::argument(
                self.name(),
                "without indicators nothing tells which values were filled in",
                "Fit with `add_indicator(true)`",
            ));
        }
        let wanted = [self.output_features(), self.input_features()];
        check_row(self.name(), [input.len(), output.len()], wanted)?;
        let (filled, indicators) = input.split_at(self.fill.len());
        output.copy_from_slice(filled);
        for (&indicator, &feature) in indicators.iter().zip(&self.indicators) {
            if indicator != 0.0 {
                output[feature] = self.missing.unwrap_or(f32::NAN);
            }
        }
        Ok(())
    }
}
