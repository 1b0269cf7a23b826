//! Preprocessing with scikit-learn's names and semantics.
//!
//! Each method is a pair of types: what is to be fitted, such as [`StandardScaler`], and what has been fitted, such as
//! [`FittedStandardScaler`]. Fitting consumes the one and returns the other, so using a transformer before it is fitted
//! does not compile:
//!
//! ```compile_fail,E0599
//! use osnova_data::{digits, StandardScaler, Transform};
//! let scaler = StandardScaler::new();
//! scaler.apply(&digits().unwrap());
//! ```
//!
//! Fit on the training samples alone and apply to all parts; then the test set stays unseen:
//!
//! ```
//! use osnova_data::{digits, train_validation_test_split, SplitOptions, StandardScaler, Transform};
//!
//! let split = train_validation_test_split(digits()?, [0.6, 0.2, 0.2], &SplitOptions::stratified(42))?;
//! let scaler = StandardScaler::new().fit(&split.train)?;
//! let train = scaler.apply(&split.train)?;
//! let validation = scaler.apply(&split.validation)?;
//! # Ok::<(), osnova_data::DataError>(())
//! ```
//!
//! Fitted types are serialisable, to be saved with the model. Statistics are computed and kept in `f64`.

mod imputer;
mod min_max;
mod one_hot;
mod pipeline;
mod standard;

pub use imputer::{FittedSimpleImputer, ImputeStrategy, SimpleImputer};
pub use min_max::{FittedMinMaxScaler, MinMaxScaler};
pub use one_hot::{DropCategory, FittedOneHotEncoder, HandleUnknown, OneHotEncoder};
pub use pipeline::{FittedPipeline, FittedStep, Pipeline, Step};
pub use standard::{FittedStandardScaler, StandardScaler};

use crate::{ArrayDataset, DataError, Dataset, Result, memory};
use std::fmt::Debug;

/// A fitted transformation of feature rows.
pub trait Transform: Debug + Send + Sync {
    /// The name used in errors.
    fn name(&self) -> &'static str;

    /// The number of features of an input row.
    fn input_features(&self) -> usize;

    /// The number of features of an output row.
    fn output_features(&self) -> usize;

    /// Transforms one row, of [`input_features`](Self::input_features) numbers to
    /// [`output_features`](Self::output_features).
    ///
    /// # Errors
    /// A slice of another length, a value that the transformation does not know, or a finite one of which the result is
    /// too large for an `f32`.
    fn transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()>;

    /// The names of the output's features, from the input's.
    fn output_names(&self, input: &[String]) -> Option<Vec<String>> {
        (self.input_features() == self.output_features() && input.len() == self.input_features())
            .then(|| input.to_vec())
    }

    /// Transforms rows: row-major `[rows, input_features]` to `[rows, output_features]`.
    ///
    /// # Errors
    /// The numbers are not whole rows, or a value is unknown.
    fn transform(&self, rows: &[f32]) -> Result<Vec<f32>> {
        by_rows(self.name(), rows, self.input_features(), self.output_features(), |input, output| {
            self.transform_row(input, output)
        })
    }

    /// A new data set with transformed features, and the same targets, class names and sources. The shape of a sample
    /// stays, unless the number of features changes: then it is `[output_features]`.
    ///
    /// # Errors
    /// The data set has another number of features than the one fitted on, or a value is unknown.
    fn apply(&self, data: &dyn Dataset) -> Result<ArrayDataset> {
        let width = data.feature_count();
        if width != self.input_features() {
            return Err(DataError::argument(
                self.name(),
                format!("fitted on {} features, applied to {width}", self.input_features()),
                "Apply to data with the same columns in the same order",
            ));
        }
        let wide = self.output_features();
        let mut features = memory::room(self.name(), "the transformed features", data.len().checked_mul(wide))?;
        let mut input = per_feature(self.name(), width, 0.0)?;
        for index in 0..data.len() {
            data.read_features(index, &mut input)?;
            let start = features.len();
            features.resize(start + wide, 0.0);
            self.transform_row(&input, &mut features[start..]).map_err(|error| at_sample(error, index))?;
        }
        let shape: &[usize] = if wide == width { data.feature_shape() } else { &[wide] };
        let result = ArrayDataset::with_features_of(data, features, shape)?;
        match data.feature_names().and_then(|names| self.output_names(names)) {
            Some(names) => result.with_feature_names(names),
            None => Ok(result),
        }
    }
}

/// A fitted transformation that can be undone.
pub trait InverseTransform: Transform {
    /// Undoes [`transform_row`](Transform::transform_row): `output_features` numbers in, `input_features` out.
    ///
    /// # Errors
    /// A slice of another length, or a row that the transformation cannot have made.
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()>;

    /// Undoes [`transform`](Transform::transform).
    ///
    /// # Errors
    /// The numbers are not whole rows, or a row cannot be undone.
    fn inverse_transform(&self, rows: &[f32]) -> Result<Vec<f32>> {
        by_rows(self.name(), rows, self.output_features(), self.input_features(), |input, output| {
            self.inverse_transform_row(input, output)
        })
    }
}

fn by_rows(
    name: &'static str,
    rows: &[f32],
    input: usize,
    output: usize,
    mut transform: impl FnMut(&[f32], &mut [f32]) -> Result<()>,
) -> Result<Vec<f32>> {
    if input == 0 || !rows.len().is_multiple_of(input) {
        return Err(DataError::argument(
            name,
            format!("{} numbers are not whole rows of {input} features", rows.len()),
            "Give row-major data with the columns that were fitted on",
        ));
    }
    let mut result = memory::room(name, "the transformed rows", (rows.len() / input).checked_mul(output))?;
    for (index, row) in rows.chunks_exact(input).enumerate() {
        let start = result.len();
        result.resize(start + output, 0.0);
        transform(row, &mut result[start..]).map_err(|error| at_sample(error, index))?;
    }
    Ok(result)
}

/// The error of a row, with the row's number.
fn at_sample(error: DataError, index: usize) -> DataError {
    match error {
        DataError::Argument { operation, problem, advice } => {
            DataError::Argument { operation, problem: format!("sample {index}, {problem}"), advice }
        }
        other => other,
    }
}

/// Calls `visit` with every row of `data`. Fails if there is no row, or at an infinite number; NaN passes.
fn visit_rows(
    operation: &'static str,
    data: &(impl Dataset + ?Sized),
    mut visit: impl FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    if data.is_empty() {
        return Err(DataError::argument(operation, "the data set is empty", "Fit on at least one sample"));
    }
    let mut row = per_feature(operation, data.feature_count(), 0.0)?;
    for index in 0..data.len() {
        data.read_features(index, &mut row)?;
        if let Some(feature) = row.iter().position(|value| value.is_infinite()) {
            return Err(DataError::argument(
                operation,
                format!("feature {feature} of sample {index} is {}", row[feature]),
                "Remove the sample or mark the value as missing (NaN)",
            ));
        }
        visit(&row)?;
    }
    Ok(())
}

/// One `value` a feature.
fn per_feature<T: Clone>(operation: &'static str, width: usize, value: T) -> Result<Vec<T>> {
    let mut values = memory::room(operation, "one number a feature", Some(width))?;
    values.resize(width, value);
    Ok(values)
}

/// Fails unless both slices of a row have the lengths that they should.
fn check_row(name: &'static str, lengths: [usize; 2], wanted: [usize; 2]) -> Result<()> {
    if lengths == wanted {
        return Ok(());
    }
    Err(DataError::argument(
        name,
        format!("a row of {} numbers into one of {}, but {} make {}", lengths[0], lengths[1], wanted[0], wanted[1]),
        "Give slices of one row",
    ))
}

/// A result computed in `f64`, as what is delivered. Fails where only the narrower type makes it infinite.
fn narrowed(name: &'static str, feature: usize, from: f32, result: f64) -> Result<f32> {
    let narrow = result as f32;
    if narrow.is_infinite() && from.is_finite() {
        return Err(DataError::argument(
            name,
            format!("feature {feature}: {from} becomes {result:e}, more than an f32 holds"),
            "The value is far from those that were fitted on: mend or remove it, or fit on data that hold such values",
        ));
    }
    Ok(narrow)
}

/// What a deserialised state must fulfil.
fn check_state(name: &str, valid: bool) -> Result<(), String> {
    if valid { Ok(()) } else { Err(format!("the saved {name} is damaged: sizes or numbers do not fit each other")) }
}
