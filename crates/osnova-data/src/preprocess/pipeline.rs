//! Several transformations, one after the other.

use super::{
    FittedMinMaxScaler, FittedOneHotEncoder, FittedSimpleImputer, FittedStandardScaler, InverseTransform, MinMaxScaler,
    OneHotEncoder, SimpleImputer, StandardScaler, Transform, check_row, check_state,
};
use crate::{ArrayDataset, Dataset, Result};
use serde::{Deserialize, Serialize};

/// A step of a [`Pipeline`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Standardise.
    StandardScaler(StandardScaler),
    /// Scale to a range.
    MinMaxScaler(MinMaxScaler),
    /// Encode categories.
    OneHotEncoder(OneHotEncoder),
    /// Fill in missing values.
    SimpleImputer(SimpleImputer),
}

/// A fitted [`Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FittedStep {
    /// Standardise.
    StandardScaler(FittedStandardScaler),
    /// Scale to a range.
    MinMaxScaler(FittedMinMaxScaler),
    /// Encode categories.
    OneHotEncoder(FittedOneHotEncoder),
    /// Fill in missing values.
    SimpleImputer(FittedSimpleImputer),
}

macro_rules! steps {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Step {
            fn from(step: $kind) -> Self {
                Self::$kind(step)
            }
        })*

        impl Step {
            fn fit(self, data: &dyn Dataset) -> Result<FittedStep> {
                Ok(match self {
                    $(Self::$kind(step) => FittedStep::$kind(step.fit(data)?),)*
                })
            }
        }

        impl FittedStep {
            /// The transformation, whatever its type.
            pub fn transform(&self) -> &dyn InverseTransform {
                match self {
                    $(Self::$kind(step) => step,)*
                }
            }
        }
    };
}

steps!(StandardScaler, MinMaxScaler, OneHotEncoder, SimpleImputer);

/// Transformations to be fitted one after the other, each on what the ones before it make of the data.
///
/// ```
/// use osnova_data::{ArrayDataset, Pipeline, SimpleImputer, StandardScaler, Transform};
///
/// let data = ArrayDataset::unlabelled(vec![1.0, f32::NAN, 3.0], [1])?;
/// let pipeline = Pipeline::new().then(SimpleImputer::new()).then(StandardScaler::new()).fit(&data)?;
/// assert_eq!(pipeline.transform(&[2.0, f32::NAN])?, [0.0, 0.0]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    steps: Vec<Step>,
}

impl Pipeline {
    /// No step: data pass unchanged.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step after the others.
    pub fn then(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// Fits the steps in turn.
    ///
    /// # Errors
    /// Whatever a step reports.
    pub fn fit(self, data: &(impl Dataset + ?Sized)) -> Result<FittedPipeline> {
        let input_features = data.feature_count();
        let mut steps: Vec<FittedStep> = Vec::with_capacity(self.steps.len());
        let mut transformed: Option<ArrayDataset> = None;
        for step in self.steps {
            // What the step before made; made here, so that the last step's output is not computed for nothing.
            if let Some(last) = steps.last() {
                transformed = Some(match &transformed {
                    Some(data) => last.transform().apply(data)?,
                    None => last.transform().apply(&data)?,
                });
            }
            steps.push(match &transformed {
                Some(data) => step.fit(data)?,
                None => step.fit(&data)?,
            });
        }
        Ok(FittedPipeline { input_features, steps })
    }
}

/// A fitted [`Pipeline`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct FittedPipeline {
    input_features: usize,
    steps: Vec<FittedStep>,
}

#[derive(Deserialize)]
struct State {
    input_features: usize,
    steps: Vec<FittedStep>,
}

impl TryFrom<State> for FittedPipeline {
    type Error = String;

    fn try_from(state: State) -> Result<Self, String> {
        let mut features = state.input_features;
        for step in &state.steps {
            check_state("Pipeline", step.transform().input_features() == features)?;
            features = step.transform().output_features();
        }
        Ok(Self { input_features: state.input_features, steps: state.steps })
    }
}

impl FittedPipeline {
    /// The fitted steps.
    pub fn steps(&self) -> &[FittedStep] {
        &self.steps
    }
}

impl Transform for FittedPipeline {
    fn name(&self) -> &'static str {
        "Pipeline"
    }

    fn input_features(&self) -> usize {
        self.input_features
    }

    fn output_features(&self) -> usize {
        self.steps.last().map_or(self.input_features, |step| step.transform().output_features())
    }

    fn transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        let wanted = [self.input_features(), self.output_features()];
        check_row(self.name(), [input.len(), output.len()], wanted)?;
        let mut row = input.to_vec();
        for step in &self.steps {
            let mut next = vec![0.0; step.transform().output_features()];
            step.transform().transform_row(&row, &mut next)?;
            row = next;
        }
        output.copy_from_slice(&row);
        Ok(())
    }

    fn output_names(&self, input: &[String]) -> Option<Vec<String>> {
        self.steps.iter().try_fold(input.to_vec(), |names, step| step.transform().output_names(&names))
    }
}

impl InverseTransform for FittedPipeline {
    fn inverse_transform_row(&self, input: &[f32], output: &mut [f32]) -> Result<()> {
        let wanted = [self.output_features(), self.input_features()];
        check_row(self.name(), [input.len(), output.len()], wanted)?;
        let mut row = input.to_vec();
        for step in self.steps.iter().rev() {
            let mut previous = vec![0.0; step.transform().input_features()];
            step.transform().inverse_transform_row(&row, &mut previous)?;
            row = previous;
        }
        output.copy_from_slice(&row);
        Ok(())
    }
}
