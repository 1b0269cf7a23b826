//! What the doctor says.

use crate::history::number;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What may be wrong with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Disease {
    /// The loss or a gradient is NaN or infinite.
    NotFinite,
    /// Gradients shrink from layer to layer on the way back: the first layers do not learn.
    VanishingGradients,
    /// Gradients grow from layer to layer on the way back, or are far larger than the weights they change.
    ExplodingGradients,
    /// Units of a ReLU layer give 0 for every sample: no gradient reaches them any more.
    DeadUnits,
    /// Sigmoids or tanhs stand at their limits, where their slope is next to 0.
    SaturatedUnits,
    /// The loss rises, swings or stays, while the steps are large.
    LearningRateTooHigh,
    /// The loss hardly falls, while the steps are tiny.
    LearningRateTooLow,
    /// Features are far from mean 0 and deviation 1.
    UnscaledInputs,
    /// The model knows the training samples by heart: validation is much worse.
    Overfitting,
    /// A feature gives the label away, or validation is too good to be true.
    LeakedLabels,
    /// The codes of a variational autoencoder say nothing about the samples.
    PosteriorCollapse,
}

impl Disease {
    /// The name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFinite => "numbers that are not finite",
            Self::VanishingGradients => "vanishing gradients",
            Self::ExplodingGradients => "exploding gradients",
            Self::DeadUnits => "dead ReLUs",
            Self::SaturatedUnits => "saturated units",
            Self::LearningRateTooHigh => "learning rate too high",
            Self::LearningRateTooLow => "learning rate too low",
            Self::UnscaledInputs => "unscaled inputs",
            Self::Overfitting => "overfitting",
            Self::LeakedLabels => "leaked labels",
            Self::PosteriorCollapse => "posterior collapse",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth a look.
    Notice,
    /// The run learns less than it could.
    Warning,
    /// The run learns nothing, or its result cannot be trusted.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Place {
    /// The run as a whole.
    Run,
    /// A layer: the name of its parameters without the last part, `hidden` for `hidden.weight`.
    Layer(String),
    /// A parameter.
    Parameter(String),
    /// A feature of a sample, counted from 0 in row-major order.
    Feature(usize),
    /// The features as a whole.
    Features,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("the run"),
            Self::Layer(name) => write!(f, "layer `{name}`"),
            Self::Parameter(name) => write!(f, "parameter `{name}`"),
            Self::Feature(index) => write!(f, "feature {index}"),
            Self::Features => f.write_str("the features"),
        }
    }
}

/// A number that a diagnosis rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was measured.
    pub name: String,
    /// The number.
    #[serde(with = "number")]
    pub value: f64,
}

/// What is wrong, where, since when, and what to try. `Display` says it in a sentence each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What is wrong.
    pub disease: Disease,
    /// Where.
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen, in a sentence without its full stop.
    pub finding: String,
    /// What to try.
    pub advice: String,
    /// The numbers behind the finding.
    pub evidence: Vec<Evidence>,
    /// The epoch in which it was first seen, counted from 1.
    pub epoch: usize,
    /// The optimizer step of the whole run at which it was first seen, counted from 1.
    pub step: u64,
}

impl Diagnosis {
    /// A number of the [evidence](Self::evidence), by name.
    pub fn measured(&self, name: &str) -> Option<f64> {
        self.evidence.iter().find(|evidence| evidence.name == name).map(|evidence| evidence.value)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { disease, place, severity, finding, advice, epoch, step, .. } = self;
        write!(f, "{severity}: {}", disease.name())?;
        if *place != Place::Run {
            write!(f, ", {place}")?;
        }
        write!(f, " (epoch {epoch}, step {step}): {finding}. Try: {advice}.")
    }
}

/// A diagnosis before it has a date: what a task [finds wrong](crate::TrainingStep::examine) with its own model.
#[derive(Clone, Debug)]
pub struct Finding {
    pub(super) disease: Disease,
    pub(super) place: Place,
    severity: Severity,
    text: String,
    advice: String,
    evidence: Vec<Evidence>,
}

impl Finding {
    /// A finding without numbers. `text` is a sentence without its full stop; `advice` goes on after "Try: ".
    pub fn new(disease: Disease, place: Place, severity: Severity, text: String, advice: &str) -> Self {
        Self { disease, place, severity, text, advice: advice.to_owned(), evidence: Vec::new() }
    }

    /// Adds a number that it rests on.
    pub fn evidence(mut self, name: &str, value: f64) -> Self {
        self.evidence.push(Evidence { name: name.to_owned(), value });
        self
    }

    pub(super) fn at(self, epoch: usize, step: u64) -> Diagnosis {
        let Self { disease, place, severity, text: finding, advice, evidence } = self;
        Diagnosis { disease, place, severity, finding, advice, evidence, epoch, step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_says_what_where_when_and_what_to_try() {
        let place = Place::Layer("hidden".into());
        let finding = Finding::new(Disease::DeadUnits, place, Severity::Warning, "5 of 8 units gave 0".into(), "He");
        let diagnosis = finding.evidence("share", 0.625).at(2, 40);
        assert_eq!(
            diagnosis.to_string(),
            "warning: dead ReLUs, layer `hidden` (epoch 2, step 40): 5 of 8 units gave 0. Try: He."
        );
        assert_eq!((diagnosis.measured("share"), diagnosis.measured("other")), (Some(0.625), None));
    }

    #[test]
    fn json_keeps_a_diagnosis_with_numbers_that_are_not_finite() {
        let finding = Finding::new(Disease::NotFinite, Place::Run, Severity::Critical, "a".into(), "b");
        let diagnosis = finding.evidence("loss", f64::INFINITY).at(1, 1);
        let text = serde_json::to_string(&diagnosis).unwrap();
        assert!(text.contains("not_finite"), "{text}");
        assert_eq!(serde_json::from_str::<Diagnosis>(&text).unwrap(), diagnosis);
    }
}
