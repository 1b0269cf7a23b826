//! Data for [Osnova](https://docs.rs/osnova): data sets, readers, preprocessing, splits and loaders, with scikit-learn's
//! names and semantics.
//!
//! ```
//! use osnova_data::{digits, train_validation_test_split, DataLoader, SplitOptions, StandardScaler, Transform};
//!
//! // 1,797 real images, embedded. 60/20/20, each digit in its proportion.
//! let split = train_validation_test_split(digits()?, [0.6, 0.2, 0.2], &SplitOptions::stratified(42))?;
//! // What the scaler knows, it knows from the training samples.
//! let scaler = StandardScaler::new().fit(&split.train)?;
//! let mut loader = DataLoader::new(scaler.apply(&split.train)?, 32)?.shuffle(42);
//! for batch in loader.batches() {
//!     // … `loader.tensors(device)` gives tensors; train on them
//!     assert!(batch?.len() <= 32);
//! }
//! // Once, at the very end: the seal is consumed.
//! let (test, record) = split.test.open("final evaluation");
//! let test = scaler.apply(&test)?;
//! # assert_eq!(record.samples, 360);
//! # Ok::<(), osnova_data::DataError>(())
//! ```
//!
//! | what | where |
//! |---|---|
//! | a data set | [`Dataset`]; in memory [`ArrayDataset`], [`ImageDataset`]; some samples of one [`Subset`] |
//! | real data | [`digits`], [`fashion_mnist`], [`mnist`], [`CsvReader`], [`IdxReader`] |
//! | parts | [`train_test_split`], [`train_validation_test_split`], [`SealedTest`] |
//! | folds | [`KFold`], [`StratifiedKFold`], [`RepeatedKFold`], [`GroupKFold`], [`TimeSeriesSplit`], [`LeaveOneOut`] |
//! | preprocessing | [`StandardScaler`], [`MinMaxScaler`], [`OneHotEncoder`], [`SimpleImputer`], [`Pipeline`]; see [`preprocess`] |
//! | batches | [`DataLoader`] |
//!
//! **Choices.** Data sets hold host memory and know nothing of devices; only a loader's [`Batch`] becomes tensors.
//! Everything random is a function of a seed (Philox, counter-based), so splits and batches are the same on every
//! machine and with any number of workers. The test set is [sealed](SealedTest) by ownership. Files may be hostile:
//! readers check every size against a limit before they allocate, count what they keep against it too, and errors say
//! file, row, column or byte, and what to do, on one line without control characters. Nothing is dropped, glued or
//! rounded to another number in silence. Where data came from travels along as [`Source`] with a SHA-256, for a run's
//! manifest.
//!
//! **Limits.** Features are `f32`. A data set has random access and a known length.
#![forbid(unsafe_code)]

mod csv_reader;
mod dataset;
mod digits;
mod error;
mod fingerprint;
mod folds;
mod foreign;
mod idx;
mod loader;
mod memory;
mod mnist;
pub mod preprocess;
mod random;
mod sealed;
mod source;
mod split;
mod text;

pub use csv_reader::{Column, CsvReader, MissingValues};
pub use dataset::{ArrayDataset, Dataset, ImageDataset, Subset, TargetKind};
pub use digits::{DIGITS_IMAGE_SHAPE, digits};
pub use error::{DataError, Result};
pub use fingerprint::Fingerprint;
pub use folds::{
    CrossValidator, Folds, GroupKFold, KFold, LeaveOneOut, RepeatedKFold, StratifiedKFold, TimeSeriesSplit,
};
pub use idx::{IdxArray, IdxData, IdxReader};
pub use loader::{Batch, BatchTargets, Batches, DataLoader, LoaderState, TensorBatch, TensorBatches};
pub use mnist::{FASHION_MNIST_CLASSES, MNIST_CLASSES, PresetSplit, fashion_mnist, idx_images, mnist};
pub use preprocess::{
    DropCategory, FittedMinMaxScaler, FittedOneHotEncoder, FittedPipeline, FittedSimpleImputer, FittedStandardScaler,
    FittedStep, HandleUnknown, ImputeStrategy, InverseTransform, MinMaxScaler, OneHotEncoder, Pipeline, SimpleImputer,
    StandardScaler, Step, Transform,
};
pub use sealed::{SealedTest, TestRecord};
pub use source::Source;
pub use split::{
    PartSize, SplitOptions, TrainTest, TrainValidation, TrainValidationTest, train_test_split, train_validation_split,
    train_validation_test_split,
};

/// Keeps the programs of the book's chapter compiling.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/data.md")]
struct Chapter;
