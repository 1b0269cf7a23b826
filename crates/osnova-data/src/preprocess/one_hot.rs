//! One-hot encoding of categories.

use super::{InverseTransform, Transform, check_row, check_state, per_feature, visit_rows};
use crate::{DataError, Dataset, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to do with a category that was not there in fitting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HandleUnknown {
    /// Fail and name it.
    #[default]
    Error,
    /// Encode it as all zeros.
    Ignore,
}

/// Which category gets no column of its own and is encoded as all zeros (against collinear columns in linear models).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DropCategory {
    /// None: one column a category.
    #[default]
    None,
    /// The first of each feature.
    First,
    /// The first of each feature with exactly two.
    IfBinary,
}

/// Replaces a feature by one column a category, 1 where the category is met and 0 elsewhere.
///
/// Categories are the distinct values of the data fitted on, ascending; NaN is a category of its own, the last one. All
/// features are encoded, or those given by [`columns`](Self::columns); the others pass unchanged, in their place.
///
/// ```
/// use osnova_data::{ArrayDataset, InverseTransform, OneHotEncoder, Transform};
///
/// // A size in 0..2 and a price.
/// let data = ArrayDataset::unlabelled(vec![0.0, 9.5, 2.0, 3.5, 1.0, 7.0], [2])?;
/// let encoder = OneHotEncoder::new().columns([0]).fit(&data)?;
/// let rows = encoder.transform(&[2.0, 5.0])?;
/// assert_eq!(rows, [0.0, 0.0, 1.0, 5.0]);
/// assert_eq!(encoder.inverse_transform(&rows)?, [2.0, 5.0]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OneHotEncoder {
    columns: Option<Vec<usize>>,
    unknown: HandleUnknown,
    drop: DropCategory,
}

impl OneHotEncoder {
    /// Encodes all features, drops no category, refuses unknown ones.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes only these features, by index.
    pub fn columns(mut self, columns: impl Into<Vec<usize>>) -> Self {
        self.columns = Some(columns.into());
        self
    }

    /// What to do with unknown categories.
    pub fn handle_unknown(mut self, unknown: HandleUnknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Which category to drop.
    pub fn drop(mut self, drop: DropCategory) -> Self {
        self.drop = drop;
        self
    }

    /// Finds the categories of each feature.
    ///
    /// # Errors
    /// A column is out of range, the data set is empty, or a value is infinite.
    pub fn fit(self, data: &(impl Dataset + ?Sized)) -> Result<FittedOneHotEncoder> {
        const NAME: &str = "OneHotEncoder::fit";
        let width = data.feature_count();
        let mut encoded = per_feature(NAME, width, self.columns.is_none())?;
        for &column in self.columns.iter().flatten() {
            let Some(encoded) = encoded.get_mut(column) else {
                let problem = format!("column {column} was asked for, but there are {width} features");
                return Err(DataError::argument(NAME, problem, "Columns count from 0"));
            };
            *encoded = true;
        }
        // Ordered by a key that orders as the numbers do.
        let mut seen: Vec<BTreeMap<u32, f32>> = per_feature(NAME, width, BTreeMap::new())?;
        let mut nan = per_feature(NAME, width, false)?;
        visit_rows(NAME, data, |row| {
            for (feature, &value) in row.iter().enumerate().filter(|&(feature, _)| encoded[feature]) {
                match value.is_nan() {
                    true => nan[feature] = true,
                    // Adding zero makes -0 and 0 one category.
                    false => drop(seen[feature].insert(order_key(value + 0.0), value + 0.0)),
                }
            }
            Ok(())
        })?;
        let features = (0..width).map(|feature| {
            encoded[feature].then(|| {
                let values: Vec<f32> = seen[feature].values().copied().collect();
                let count = values.len() + usize::from(nan[feature]);
                let first = match self.drop {
                    DropCategory::None => false,
                    DropCategory::First => true,
                    DropCategory::IfBinary => count == 2,
                };
                Categories { values, nan: nan[feature], drop_first: first }
            })
        });
        Ok(FittedOneHotEncoder { features: features.collect(), unknown: self.unknown })
    }
}

/// Bits that, as whole numbers, are in the order of the floats (IEEE 754's total order).
fn order_key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The categories of one feature. NaN, which JSON lacks, is a flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Categories {
    values: Vec<f32>,
    nan: bool,
    drop_first: bool,
}

impl Categories {
    fn count(&self) -> usize {
        self.values.len() + usize::from(self.nan)
    }

    /// The number of output columns.
    fn width(&self) -> usize {
        self.count() - usize::from(self.drop_first)
    }

    fn index(&self, value: f32) -> Option<usize> {
        match value.is_nan() {
            true => self.nan.then_some(self.values.len()),
            false => self.values.binary_search_by(|category| category.total_cmp(&(value + 0.0))).ok(),
        }
    }

    fn value(&self, index: usize) -> f32 {
        self.values.get(index).copied().unwrap_or(f32::NAN)
    }
}

/// A fitted [`OneHotEncoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct FittedOneHotEncoder {
    features: Vec<Option<Categories>>,
    unknown: HandleUnknown,
}

#[derive(Deserialize)]
struct State {
    features: Vec<Option<Categories>>,
    unknown: HandleUnknown,
}

impl TryFrom<State> for FittedOneHotEncoder {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let valid = state.features.iter().flatten().all(|categories| {
            let ascending = categories.values.is_sorted_by(|left, right| left < right);
            ascending && categories.count() > 0 && categories.values.iter().all(|value| value.is_finite())
        });
        check_state("OneHotEncoder", valid)?;
        Ok(Self { features: state.features, unknown: state.unknown })
    }
}

impl FittedOneHotEncoder {
    /// The categories of a feature, ascending (NaN last); `None` if it passes unchanged.
    pub fn categories(&self, feature: usize) -> Option<Vec<f32>> {
        let categories = self.features.get(feature)?.as_ref()?;
        Some((0..categories.count()).map(|index| categories.value(index)).collect())
    }
}

impl Transform for FittedOneHotEncoder {
    fn name(&self) -> &'static str {
        "OneHotEncoder"
    }

    fn input_features(&self) -> usize {
        self.features.len()
    }

    fn output_features(&self) -> usize {
        self.features.iter().map(|feature| feature.as_ref().map_or(1, Categories::width)).sum()
    }

    fn transform_row(&self, input: &[f32], mut output: &mut [f32]) -> Result<()> {
        let wanted = [self.input_features(), self.output_features()];
        check_row(self.name(), [input.len(), output.len()], wanted)?;
        for (feature, (&value, categories)) in input.iter().zip(&self.features).enumerate() {
            let Some(categories) = categories else {
                output[0] = value;
                output = &mut output[1..];
                continue;
            };
            let (block, rest) = output.split_at_mut(categories.width());
            output = rest;
            block.fill(0.0);
            match categories.index(value) {
                Some(index) if categories.drop_first => {
                    if index > 0 {
                        block[index - 1] = 1.0;
                    }
                }
                Some(index) => block[index] = 1.0,
                None if self.unknown == HandleUnknown::Ignore => {}
                None => {
                    return Err(DataError::argument(
                        self.name(),
                        format!("feature {feature}: category {value} was not there in fitting"),
                        "Fit on data that hold every category, or use `handle_unknown(HandleUnknown::Ignore)`",
                    ));
                }
            }
        }
        Ok(())
    }

    /// `colour` with the categories 0 and 2 becomes `colour_0` and `colour_2`.
    fn output_names(&self, input: &[String]) -> Option<Vec<String>> {
        let mut names = Vec::with_capacity(self.output_features());
        for (name, categories) in input.iter().zip(&self.features) {
            match categories {
                None => names.push(name.clone()),
                Some(categories) => names.extend(
                    (usize::from(categories.drop_first)..categories.count())
                        .map(|index| format!("{name}_{}", categories.value(index))),
                ),
            }
        }
        (input.len() == self.features.len()).then_some(names)
    }
}

impl InverseTransform for FittedOneHotEncoder {
    /// The category with the greatest number; all zeros are the dropped category, or NaN for an ignored unknown one.
    fn inverse_transform_row(&self, mut input: &[f32], output: &mut [f32]) -> Result<()> {
        let wanted = [self.output_features(), self.input_features()];
        check_row(self.name(), [input.len(), output.len()], wanted)?;
        for (feature, (output, categories)) in output.iter_mut().zip(&self.features).enumerate() {
            let Some(categories) = categories else {
                *output = input[0];
                input = &input[1..];
                continue;
            };
            let (block, rest) = input.split_at(categories.width());
            input = rest;
            if block.iter().any(|value| value.is_nan()) {
                return Err(DataError::argument(
                    self.name(),
                    format!("feature {feature}: a column is NaN, which says nothing about the category"),
                    "Find out where the NaN comes from",
                ));
            }
            let greatest = (0..block.len()).rev().max_by(|&left, &right| block[left].total_cmp(&block[right]));
            *output = match greatest.filter(|&index| block[index] != 0.0) {
                Some(index) => categories.value(index + usize::from(categories.drop_first)),
                None if categories.drop_first => categories.value(0),
                None if self.unknown == HandleUnknown::Ignore => f32::NAN,
                None => {
                    return Err(DataError::argument(
                        self.name(),
                        format!("feature {feature}: all columns are zero"),
                        "Each feature needs one column that is not",
                    ));
                }
            };
        }
        Ok(())
    }
}
