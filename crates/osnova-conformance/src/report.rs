//! What a run found.

use crate::{Family, Settings};
use osnova_tensor::{DType, Device};
use std::fmt::{self, Write};

/// The most characters that are printed of a case or a problem: both may hold what a device says.
const LONGEST: usize = 1000;

/// The most failures that are printed.
const MOST: usize = 25;

/// What a run found.
#[derive(Clone, Debug, Default)]
#[must_use = "a report that nobody reads tests nothing: `assert` it"]
pub struct Report {
    pub(crate) cases: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) skips: Vec<Skip>,
}

impl Report {
    /// How many cases were run.
    pub fn cases(&self) -> u64 {
        self.cases
    }

    /// The first failing case of each function that failed.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The families of which no case was run, allowed or not.
    pub fn skips(&self) -> &[Skip] {
        &self.skips
    }

    /// Whether nothing failed, and nothing was skipped that [`Settings::may_skip`] does not name.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.skips.iter().all(|skip| skip.allowed)
    }

    /// Panics with every failure, one a line, if there is one, and tells what was skipped: the end of a `#[test]`.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "{self}");
        self.skips.iter().for_each(|skip| eprintln!("{skip}"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases, {} functions failed", self.cases, self.failures.len())?;
        self.failures.iter().take(MOST).try_for_each(|failure| write!(f, "\n{failure}"))?;
        if let Some(more) = self.failures.len().checked_sub(MOST).filter(|&more| more > 0) {
            write!(f, "\n… and {more} more")?;
        }
        self.skips.iter().try_for_each(|skip| write!(f, "\n{skip}"))
    }
}

/// A family of which no case was run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skip {
    /// The family.
    pub family: Family,
    /// Why.
    pub reason: String,
    /// Whether [`Settings::may_skip`] names it.
    pub allowed: bool,
}

impl Skip {
    pub(crate) fn new(family: Family, device: Device, settings: &Settings) -> Self {
        let supported = device.capabilities().dtypes;
        let dtypes: Vec<&str> =
            DType::ALL.iter().filter(|dtype| supported.contains(**dtype)).map(|dtype| dtype.name()).collect();
        let reason = match settings.cases {
            0 => "no cases were asked for".into(),
            _ => format!(
                "none of its operations runs on the dtypes of {}: {}",
                bounded(&device.name()),
                dtypes.join(", ")
            ),
        };
        Self { family, reason, allowed: settings.may_skip.contains(&family) }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, reason, allowed } = self;
        if *allowed {
            return write!(f, "SKIPPED {family}: {reason}");
        }
        write!(f, "{family} was not tested: {reason}. If that is meant, name it with `Settings::may_skip`")
    }
}

/// A case that failed. Prints as one line, with what repeats it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What was tested: an operation's name, perhaps with the kind of test.
    pub subject: String,
    /// The seed that drew the case, for [`repeat`](crate::repeat); none for a case that was not drawn.
    pub seed: Option<u64>,
    /// The simplest case found that fails: operation, shapes, dtypes, layouts and values.
    pub case: String,
    /// What went wrong.
    pub problem: String,
    pub(crate) device: String,
}

impl Failure {
    /// One that no case was drawn for.
    pub(crate) fn whole(subject: &str, problem: &str, device: Device) -> Self {
        let (subject, problem) = (subject.into(), problem.into());
        Self { subject, seed: None, case: "none".into(), problem, device: device.name() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, seed, case, problem, device } = self;
        write!(f, "{}: {}. Case: {}.", bounded(device), bounded(problem), bounded(case))?;
        match seed {
            Some(seed) => write!(f, " Repeat: osnova_conformance::repeat(device, {subject:?}, {seed})"),
            None => Ok(()),
        }
    }
}

/// A text on one line, its control characters escaped, cut where it is too long.
fn bounded(text: &str) -> String {
    let mut line = String::new();
    for (place, character) in text.chars().enumerate() {
        if place == LONGEST {
            line.push('…');
            break;
        }
        if character.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(problem: String) -> Failure {
        Failure {
            subject: "add".into(),
            seed: Some(1),
            case: "c\n".repeat(1 << 20),
            problem,
            device: "\u{1b}[2J".into(),
        }
    }

    #[test]
    fn a_failure_is_a_line_whatever_the_device_says() {
        let line = failure("x\n\u{1b}".repeat(1 << 20)).to_string();
        assert!(line.chars().count() < 3 * 6 * LONGEST, "{} characters", line.chars().count());
        assert!(line.chars().all(|character| !character.is_control()));
        assert!(line.starts_with("\\u{1b}[2J: x\\n\\u{1b}") && line.ends_with("repeat(device, \"add\", 1)"), "{line}");
    }

    #[test]
    fn a_report_fits_a_screen_or_two() {
        let failures = vec![failure("wrong".into()); 400];
        let report = Report { cases: 9, failures, skips: Vec::new() }.to_string();
        assert_eq!(report.lines().count(), MOST + 2);
        assert!(report.ends_with("… and 375 more"), "{report}");
    }
}
