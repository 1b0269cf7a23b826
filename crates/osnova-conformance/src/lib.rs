//! The test kit for [Osnova](https://docs.rs/osnova) backends: every operation, on every dtype, shape and layout, against the oracle.
//!
//! One line tests a backend; each family of operations becomes a `#[test]` of its own:
//!
//! ```
//! # fn main() {}
//! mod conformance {
//! #   mod my_crate { pub fn device() -> osnova_tensor::Device { osnova_tensor::Device::intern(osnova_reference::Reference) } }
//!     osnova_conformance::conformance_tests!(my_crate::device());
//! }
//! ```
//!
//! The same as plain functions: [`run_all`], or one function for each family, over any [`Device`] with any [`Settings`].
//! There is no global state.
//!
//! ```
//! use osnova_conformance::{Settings, elementwise};
//! # mod my_crate { pub fn device() -> osnova_tensor::Device { osnova_tensor::Device::intern(osnova_reference::Reference) } }
//!
//! let report = elementwise(my_crate::device(), &Settings::default().cases(4));
//! assert!(report.passed(), "{report}");
//! ```
//!
//! # What is tested
//!
//! The catalogue has an entry for each [`OpKind`](osnova_tensor::OpKind), checked by the compiler: an operation cannot be added without one.
//! proptest draws attributes, dtypes (those the device supports), shapes (rank 0 to 5, sizes 0 and 1 on purpose), layouts
//! (row-major, with an offset, transposed, sliced with a step, reversed, expanded) and values. For each case:
//!
//! - the inputs read back as they were laid out;
//! - the outputs have the shapes and dtypes that inference promised, and lie within the [tolerance table](Settings::tolerance) of the oracle's;
//! - inputs with another living handle, and tensors that inputs are views of, keep every bit;
//! - a second run, now on last handles and so perhaps in place, gives the same bits; and so does one tensor used as two inputs.
//!
//! Then: special values ([`special_values`]: NaN, infinities, −0, subnormals, extremes), refused input ([`bad_input`]: a
//! typed error, never a panic), gradients of first and second order against central differences ([`gradients`]), and forward mode
//! against both ([`forward_mode`]).
//! Composites are held against their decomposition on the oracle. [`goldens`] compares values and gradients with PyTorch's, from a file.
//!
//! # When a case fails
//!
//! It is made as simple as it gets and printed as one line: the operation, its inputs, what went wrong, and the call of [`repeat`] that
//! runs it again. Cases are drawn from fixed seeds, so that a run can be repeated; [`Settings::seed`] moves on to others. The number of cases comes from
//! `PROPTEST_CASES` (256 for each function if unset).
//!
//! # Tolerances
//!
#![doc = include_str!("tolerances.md")]
#![forbid(unsafe_code)]

mod bad_input;
mod case;
mod catalogue;
mod check;
mod compare;
mod draw;
mod golden;
mod gradient;
mod runner;
mod tolerance;
mod values;

pub use golden::goldens;
pub use runner::Failure;

use catalogue::Subject;
use osnova_reference::ReferenceDevice;
use osnova_tensor::Device;
use std::fmt;

/// How much is tested, and how strictly.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Cases for each function of each operation. Default: the environment variable `PROPTEST_CASES`, else 256.
    pub cases: u32,
    /// The seed of the first case. Default 0.
    pub seed: u64,
    /// Multiplies every bound of the tolerance table (on the crate's front page), for hardware that computes less exactly. Default 1.
    pub tolerance: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
        Self { cases: cases.unwrap_or(256), seed: 0, tolerance: 1.0 }
    }
}

impl Settings {
    /// With another number of cases.
    pub fn cases(self, cases: u32) -> Self {
        Self { cases, ..self }
    }

    /// With other cases.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With wider bounds.
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }
}

/// What a run found.
#[derive(Clone, Debug, Default)]
#[must_use = "a report that nobody reads tests nothing: `assert` it"]
pub struct Report {
    cases: u64,
    failures: Vec<Failure>,
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

    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Panics with every failure, one a line, if there is one: the end of a `#[test]`.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases, {} functions failed", self.cases, self.failures.len())?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n{failure}"))
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $function:ident => $family:ident;)*) => {
        /// What a subject of the catalogue belongs to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Family {
            $($family,)*
        }

        $(
            $(#[$doc])*
            pub fn $function(device: Device, settings: &Settings) -> Report {
                run(device, settings, |subject| subject.family == Family::$family)
            }
        )*

        /// Expands to one `#[test]` for each family of operations, on a device and, if given, with [`Settings`].
        ///
        /// ```ignore
        /// mod conformance {
        ///     osnova_conformance::conformance_tests!(my_crate::device());
        /// }
        /// ```
        #[macro_export]
        macro_rules! conformance_tests {
            ($device:expr) => {
                $crate::conformance_tests!($device, $crate::Settings::default());
            };
            ($device:expr, $settings:expr) => {
                $(
                    #[test]
                    fn $function() {
                        $crate::$function($device, &$settings).assert();
                    }
                )*
            };
        }
    };
}

families! {
    /// Full, arange and random numbers: the latter to the bit for uniform and Bernoulli, closely for normal.
    creation => Creation;
    /// Views and movement: reshape, permute, expand, slice, contiguous, pad, concat. Exact.
    movement => Movement;
    /// Functions of one, two and three elements, comparisons, clamps and casts, with broadcasting.
    elementwise => Elementwise;
    /// Sums, products, extremes and their positions, running sums, sorting.
    reductions => Reductions;
    /// Matrix products with broadcasting batches, and sizes that cross the blocks of a fast kernel.
    contraction => Contraction;
    /// Gather, scatter-add, index-select and index-add.
    indexing => Indexing;
    /// Composites against their decomposition on the oracle: softmax, normalisation, activations, linear layers, losses, optimizers, custom.
    composites => Composites;
    /// NaN, infinities, −0, subnormals and the extremes of each dtype.
    special_values => SpecialValues;
    /// Wrong numbers of inputs, shapes, dtypes, axes, indices, unsupported dtypes: a typed error, never a panic, inputs untouched.
    bad_input => BadInput;
    /// Gradients of first and second order on `device.autodiff()` against central differences in f64, relative tolerance 1e-6. Passes
    /// without a case on a device that lacks f64.
    gradients => Gradients;
    /// Forward mode on `device.forward_mode()`, against central differences and against reverse mode to a relative 1e-10, and second derivatives by
    /// both modes over each other. Passes without a case on a device that lacks f64.
    forward_mode => ForwardMode;
}

/// Runs every family on a device.
pub fn run_all(device: Device, settings: &Settings) -> Report {
    run(device, settings, |_| true)
}

/// Runs one case again: the line that a [`Failure`] prints.
///
/// The seed draws the same case as long as the kit's version and the device's dtypes stay the same. An unknown subject is a failure.
pub fn repeat(device: Device, subject: &str, seed: u64) -> Report {
    let mut report = run(device, &Settings::default().cases(1).seed(seed), |candidate| candidate.name == subject);
    if report.cases == 0 && report.passed() {
        report.failures.push(unknown(subject, device));
    }
    report
}

/// A subject's name that is not in the catalogue tests nothing, which must not pass.
fn unknown(subject: &str, device: Device) -> Failure {
    let problem = "the catalogue has no subject of this name for the dtypes of the device".into();
    Failure { subject: subject.into(), seed: None, case: "none".into(), problem, device: device.name() }
}

/// The oracle held against itself agrees in every error.
fn itself(device: Device) -> Option<Failure> {
    let problem = "this device is the oracle, and would be compared with itself. Give the device to be tested; a second \
                   oracle, `Device::intern(osnova_reference::Reference)`, is one too";
    (device == Device::reference()).then(|| Failure {
        subject: "the device".into(),
        seed: None,
        case: "none".into(),
        problem: problem.into(),
        device: device.name(),
    })
}

fn run(device: Device, settings: &Settings, chosen: impl Fn(&Subject) -> bool) -> Report {
    if let Some(failure) = itself(device) {
        return Report { cases: 0, failures: vec![failure] };
    }
    let mut report = Report::default();
    for subject in catalogue::subjects(device).iter().filter(|subject| chosen(subject)) {
        for case in 0..u64::from(settings.cases).div_ceil(subject.cost) {
            report.cases += 1;
            if let Err(failure) = runner::run_seed(device, settings, subject, settings.seed.wrapping_add(case)) {
                report.failures.push(failure);
                break;
            }
        }
    }
    report
}
