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
//! What is tested is listed once, as [`Family::ALL`]. A family of which a device can run no case is a failure unless
//! [`Settings::may_skip`] names it, and told as skipped then.
//!
//! Composites are also run over thousands of terms and near the ends of ranges, and in half types the derivatives of every operation are held against
//! f64 ([`precision`]): what is made of several steps must be computed wide and rounded once.
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
mod half;
mod report;
mod runner;
mod single;
mod tolerance;
mod unknown;
mod values;

pub use golden::goldens;
pub use report::{Failure, Report, Skip};

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
    /// The families that a device may be without. Default: none.
    pub may_skip: &'static [Family],
}

impl Default for Settings {
    fn default() -> Self {
        let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
        Self { cases: cases.unwrap_or(256), seed: 0, tolerance: 1.0, may_skip: &[] }
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

    /// For a device that lacks the dtypes of some families: without a case they are no failure. Each is told as skipped.
    ///
    /// ```
    /// use osnova_conformance::{Family, Settings};
    ///
    /// let settings = Settings::default().may_skip(&[Family::Gradients, Family::ForwardMode]);   // a device without f32 and f64
    /// # assert_eq!(settings.may_skip.len(), 2);
    /// ```
    pub fn may_skip(self, families: &'static [Family]) -> Self {
        Self { may_skip: families, ..self }
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $function:ident => $family:ident;)*) => {
        /// A family of tests. [`ALL`](Self::ALL) is the list that every device goes through.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Family {
            $($(#[$doc])* $family,)*
        }

        impl Family {
            /// Every family.
            pub const ALL: &'static [Self] = &[$(Self::$family,)*];

            /// The name: that of its function and of its test.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$family => stringify!($function),)*
                }
            }
        }

        $(
            $(#[$doc])*
            pub fn $function(device: Device, settings: &Settings) -> Report {
                Family::$family.run(device, settings)
            }
        )*

        /// Expands to one `#[test]` for each [`Family`], on a device and, if given, with [`Settings`]: the list is the kit's, so that a later
        /// version's families run without a change.
        ///
        /// The device is a [`Device`], or an `Option` of one: `None`, where the machine does not have the device, skips every test and
        /// says so. See to it that your CI insists on the device.
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
                        $crate::assert_on($device, &$settings, $crate::Family::$family);
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
    /// Wrong numbers of inputs, shapes, dtypes, axes, indices, unsupported dtypes, operations that nobody knows: a typed error, never a
    /// panic, inputs untouched.
    bad_input => BadInput;
    /// Composites over thousands of terms and near the ends of ranges, where squares overflow and logarithms get lost, in every float dtype; and of the
    /// half types the gradients and tangents of every operation, against f64 at the same inputs.
    precision => Precision;
    /// Gradients of first and second order on `device.autodiff()`: against central differences in f64, relative tolerance 1e-6; on a device
    /// that lacks f64, in f32 against those of the oracle, relative tolerance 1e-4.
    gradients => Gradients;
    /// Forward mode on `device.forward_mode()`, against central differences and against reverse mode to a relative 1e-10, and second derivatives by
    /// both modes over each other; on a device that lacks f64, all of them in f32 against those of the oracle.
    forward_mode => ForwardMode;
}

impl Family {
    /// Runs the family on a device.
    pub fn run(self, device: Device, settings: &Settings) -> Report {
        run(device, settings, &[self])
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs every family on a device.
pub fn run_all(device: Device, settings: &Settings) -> Report {
    run(device, settings, Family::ALL)
}

/// What a test of [`conformance_tests!`] does.
#[doc(hidden)]
#[track_caller]
pub fn assert_on(device: impl Into<Option<Device>>, settings: &Settings, family: Family) {
    match device.into() {
        Some(device) => family.run(device, settings).assert(),
        None => eprintln!("SKIPPED {family}: there is no device"),
    }
}

/// Runs one case again: the line that a [`Failure`] prints.
///
/// The seed draws the same case as long as the kit's version and the device's dtypes stay the same. An unknown subject is a failure.
pub fn repeat(device: Device, subject: &str, seed: u64) -> Report {
    let settings = Settings::default().cases(1).seed(seed);
    let mut report = Report::default();
    if let Some(failure) = itself(device) {
        report.failures.push(failure);
        return report;
    }
    let subjects = catalogue::subjects(device);
    match subjects.iter().find(|candidate| candidate.name == subject) {
        Some(subject) => run_subject(device, &settings, subject, &mut report),
        None => report.failures.push(Failure::whole(
            subject,
            "the catalogue has no subject of this name for the dtypes of the device",
            device,
        )),
    }
    report
}

/// The oracle held against itself agrees in every error.
fn itself(device: Device) -> Option<Failure> {
    let problem = "this device is the oracle, and would be compared with itself. Give the device to be tested; a second \
                   oracle, `Device::intern(osnova_reference::Reference)`, is one too";
    (device == Device::reference()).then(|| Failure::whole("the device", problem, device))
}

fn run(device: Device, settings: &Settings, families: &[Family]) -> Report {
    if let Some(failure) = itself(device) {
        return Report { failures: vec![failure], ..Report::default() };
    }
    let mut report = Report::default();
    let subjects = catalogue::subjects(device);
    for &family in families {
        let before = report.cases;
        for subject in subjects.iter().filter(|subject| subject.family == family) {
            run_subject(device, settings, subject, &mut report);
        }
        if report.cases == before {
            report.skips.push(Skip::new(family, device, settings));
        }
    }
    report
}

fn run_subject(device: Device, settings: &Settings, subject: &Subject, report: &mut Report) {
    for case in 0..u64::from(settings.cases).div_ceil(subject.cost) {
        report.cases += 1;
        if let Err(failure) = runner::run_seed(device, settings, subject, settings.seed.wrapping_add(case)) {
            report.failures.push(failure);
            break;
        }
    }
}
