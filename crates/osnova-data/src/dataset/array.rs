//! Data sets of numbers in memory.

use super::targets::{Targets, one_name_each, reshaped, same_count, samples};
use super::{Dataset, TargetKind, check_buffer, check_index, describe, feature_rows, value_rows};
use crate::{Result, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A data set of `f32` features in memory. Cloning shares the arrays.
///
/// ```
/// use osnova_data::{ArrayDataset, Dataset};
///
/// // Three samples of two features, in two classes.
/// let data = ArrayDataset::classification(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [2], vec![0, 1, 0], 2)?;
/// assert_eq!((data.len(), data.feature_count(), data.class_count()), (3, 2, Some(2)));
/// assert_eq!(data.row(1), Some(&[2.0, 3.0][..]));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct ArrayDataset {
    features: Arc<Vec<f32>>,
    len: usize,
    feature_shape: Arc<[usize]>,
    targets: Targets,
    feature_names: Option<Arc<Vec<String>>>,
    class_names: Option<Arc<Vec<String>>>,
    categories: Arc<BTreeMap<usize, Vec<String>>>,
    sources: Arc<[Source]>,
}

impl ArrayDataset {
    fn new(features: Vec<f32>, shape: &[usize], len: usize, targets: Targets) -> Self {
        Self {
            features: Arc::new(features),
            len,
            feature_shape: shape.into(),
            targets,
            feature_names: None,
            class_names: None,
            categories: Arc::default(),
            sources: Arc::default(),
        }
    }

    /// Samples with a class each. `features` is row-major `[samples, …feature_shape]`, `classes` are indices below
    /// `class_count`.
    ///
    /// # Errors
    /// The features are not whole samples, the counts differ, or a class is out of range.
    pub fn classification(
        features: impl Into<Vec<f32>>,
        feature_shape: impl AsRef<[usize]>,
        classes: impl Into<Vec<i64>>,
        class_count: usize,
    ) -> Result<Self> {
        let (operation, shape) = ("ArrayDataset::classification", feature_shape.as_ref());
        let (features, classes) = (features.into(), classes.into());
        let len = samples(operation, features.len(), shape)?;
        same_count(operation, len, classes.len())?;
        Ok(Self::new(features, shape, len, Targets::classes(operation, classes, class_count)?))
    }

    /// Samples with `width` target numbers each; `values` is row-major `[samples, width]`.
    ///
    /// # Errors
    /// The features or values are not whole samples, or the counts differ.
    pub fn regression(
        features: impl Into<Vec<f32>>,
        feature_shape: impl AsRef<[usize]>,
        values: impl Into<Vec<f32>>,
        width: usize,
    ) -> Result<Self> {
        let (operation, shape) = ("ArrayDataset::regression", feature_shape.as_ref());
        let (features, values) = (features.into(), values.into());
        let len = samples(operation, features.len(), shape)?;
        same_count(operation, len, samples(operation, values.len(), &[width])?)?;
        Ok(Self::new(features, shape, len, Targets::of_values(values, width)))
    }

    /// Samples without targets.
    ///
    /// # Errors
    /// The features are not whole samples.
    pub fn unlabelled(features: impl Into<Vec<f32>>, feature_shape: impl AsRef<[usize]>) -> Result<Self> {
        let (features, shape) = (features.into(), feature_shape.as_ref());
        let len = samples("ArrayDataset::unlabelled", features.len(), shape)?;
        Ok(Self::new(features, shape, len, Targets::None))
    }

    /// A copy of any data set in memory.
    ///
    /// # Errors
    /// A sample cannot be read.
    pub fn from_dataset(data: &dyn Dataset) -> Result<Self> {
        let features = feature_rows("ArrayDataset::from_dataset", data, 0..data.len())?;
        Self::with_features_of(data, features, data.feature_shape())
    }

    /// `data` with other features: same samples, targets, class names and sources.
    pub(crate) fn with_features_of(data: &dyn Dataset, features: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let mut copy = match data.target_kind() {
            TargetKind::Class { count } => Self::classification(features, shape, data.classes()?, count)?,
            TargetKind::Values { width } => {
                let values = value_rows("ArrayDataset::from_dataset", data, width, 0..data.len())?;
                Self::regression(features, shape, values, width)?
            }
            TargetKind::None => Self::unlabelled(features, shape)?,
        };
        copy.class_names = data.class_names().map(|names| Arc::new(names.to_vec()));
        copy.sources = data.sources().into();
        if shape == data.feature_shape() {
            copy.feature_names = data.feature_names().map(|names| Arc::new(names.to_vec()));
        }
        Ok(copy)
    }

    /// The same samples with features seen in another shape of the same size: `[8, 8]` or `[1, 8, 8]` instead of `[64]`.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn with_feature_shape(mut self, feature_shape: impl AsRef<[usize]>) -> Result<Self> {
        self.feature_shape = reshaped("ArrayDataset::with_feature_shape", &self.feature_shape, feature_shape.as_ref())?;
        Ok(self)
    }

    /// Names the features.
    ///
    /// # Errors
    /// Not one name a feature.
    pub fn with_feature_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names = one_name_each("ArrayDataset::with_feature_names", names, self.feature_count(), "features")?;
        self.feature_names = Some(names);
        Ok(self)
    }

    /// Names the classes, by index.
    ///
    /// # Errors
    /// Not one name a class, or the targets are not classes.
    pub fn with_class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names = one_name_each("ArrayDataset::with_class_names", names, self.class_count().unwrap_or(0), "classes")?;
        self.class_names = Some(names);
        Ok(self)
    }

    /// Adds a source to the record of where the data came from.
    pub fn with_source(mut self, source: Source) -> Self {
        self.sources = self.sources.iter().cloned().chain([source]).collect();
        self
    }

    pub(crate) fn with_categories(mut self, categories: BTreeMap<usize, Vec<String>>) -> Self {
        self.categories = Arc::new(categories);
        self
    }

    /// All features, row-major: `[samples, …feature_shape]`.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// The features of one sample.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.features.chunks_exact(self.feature_count().max(1)).nth(index)
    }

    /// All classes, if the targets are classes.
    pub fn class_indices(&self) -> Option<&[i64]> {
        match &self.targets {
            Targets::Classes { indices, .. } => Some(indices),
            _ => None,
        }
    }

    /// All target numbers, row-major `[samples, width]`, if the targets are numbers.
    pub fn target_values(&self) -> Option<&[f32]> {
        match &self.targets {
            Targets::Values { values, .. } => Some(values),
            _ => None,
        }
    }

    /// The labels that the numbers of a categorical feature stand for, by number (see [`CsvReader::categorical`]).
    ///
    /// [`CsvReader::categorical`]: crate::CsvReader::categorical
    pub fn categories(&self, feature: usize) -> Option<&[String]> {
        self.categories.get(&feature).map(Vec::as_slice)
    }
}

impl Dataset for ArrayDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn feature_shape(&self) -> &[usize] {
        &self.feature_shape
    }

    fn target_kind(&self) -> TargetKind {
        self.targets.kind()
    }

    fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()> {
        check_index("read_features", index, self.len)?;
        let width = self.feature_count();
        check_buffer("read_features", output.len(), width)?;
        output.copy_from_slice(&self.features[index * width..][..width]);
        Ok(())
    }

    fn read_class(&self, index: usize) -> Result<i64> {
        self.targets.class(index)
    }

    fn read_values(&self, index: usize, output: &mut [f32]) -> Result<()> {
        self.targets.values(index, output)
    }

    fn feature_names(&self) -> Option<&[String]> {
        self.feature_names.as_deref().map(Vec::as_slice)
    }

    fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref().map(Vec::as_slice)
    }

    fn sources(&self) -> &[Source] {
        &self.sources
    }
}

impl fmt::Debug for ArrayDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("ArrayDataset", self, f)
    }
}
