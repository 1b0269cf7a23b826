//! What a data set is, and the ones that live in memory.

use crate::{DataError, Result, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a sample's target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetKind {
    /// There is none: clustering, autoencoders, prediction.
    None,
    /// One class out of `count`, as an index `0..count`.
    Class {
        /// The number of classes.
        count: usize,
    },
    /// `width` numbers: regression.
    Values {
        /// Numbers a sample.
        width: usize,
    },
}

/// A finite, indexed collection of samples: features of one shape, and perhaps a target each.
///
/// The trait is object-safe, and implemented for `&D`, `Box<D>` and `Arc<D>`, so `Arc<dyn Dataset>` is a data set too.
/// Required are five methods; a data set with targets overrides [`read_class`](Self::read_class) or
/// [`read_values`](Self::read_values) as well.
///
/// ```
/// use osnova_data::{Dataset, Result, TargetKind};
///
/// /// y = x² at the whole numbers below a bound, made on the fly.
/// #[derive(Debug)]
/// struct Squares(usize);
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize { self.0 }
///     fn feature_shape(&self) -> &[usize] { &[1] }
///     fn target_kind(&self) -> TargetKind { TargetKind::Values { width: 1 } }
///     fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()> {
///         output[0] = index as f32;
///         Ok(())
///     }
///     fn read_values(&self, index: usize, output: &mut [f32]) -> Result<()> {
///         output[0] = (index * index) as f32;
///         Ok(())
///     }
/// }
///
/// let mut value = [0.0];
/// Squares(10).read_values(3, &mut value)?;
/// assert_eq!(value, [9.0]);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
pub trait Dataset: fmt::Debug + Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// The shape of one sample's features: `[64]` for a row of 64 numbers, `[28, 28]` for an image.
    fn feature_shape(&self) -> &[usize];

    /// What the targets are.
    fn target_kind(&self) -> TargetKind;

    /// Writes the features of sample `index` into `output`, row-major, all [`feature_count`](Self::feature_count) of them.
    ///
    /// # Errors
    /// `index` is past the end, or the sample cannot be read.
    fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()>;

    /// The class of sample `index`.
    ///
    /// # Errors
    /// `index` is past the end, or the targets are not classes.
    fn read_class(&self, index: usize) -> Result<i64> {
        let _ = index;
        Err(wrong_target("read_class", self.target_kind(), "classes"))
    }

    /// Writes the target numbers of sample `index` into `output`.
    ///
    /// # Errors
    /// `index` is past the end, or the targets are not numbers.
    fn read_values(&self, index: usize, output: &mut [f32]) -> Result<()> {
        let _ = (index, output);
        Err(wrong_target("read_values", self.target_kind(), "values"))
    }

    /// Names of the features, in order, if known.
    fn feature_names(&self) -> Option<&[String]> {
        None
    }

    /// Names of the classes, by index, if known.
    fn class_names(&self) -> Option<&[String]> {
        None
    }

    /// Where the data came from, for the run's manifest.
    fn sources(&self) -> &[Source] {
        &[]
    }

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of features of a sample: the product of [`feature_shape`](Self::feature_shape).
    fn feature_count(&self) -> usize {
        self.feature_shape().iter().product()
    }

    /// The number of classes, if the targets are classes.
    fn class_count(&self) -> Option<usize> {
        match self.target_kind() {
            TargetKind::Class { count } => Some(count),
            _ => None,
        }
    }

    /// The classes of all samples, in order.
    ///
    /// # Errors
    /// The targets are not classes, or a sample cannot be read.
    fn classes(&self) -> Result<Vec<i64>> {
        if self.class_count().is_none() {
            return Err(wrong_target("classes", self.target_kind(), "classes"));
        }
        (0..self.len()).map(|index| self.read_class(index)).collect()
    }
}

#[cold]
fn wrong_target(operation: &'static str, kind: TargetKind, wanted: &str) -> DataError {
    let have = match kind {
        TargetKind::None => "no targets",
        TargetKind::Class { .. } => "classes as targets",
        TargetKind::Values { .. } => "numbers as targets",
    };
    DataError::argument(
        operation,
        format!("the data set has {have}, but {wanted} were asked for"),
        "Ask `target_kind` first, or read the data with the target this needs",
    )
}

/// Fails unless `index` is below `len`.
pub(crate) fn check_index(operation: &'static str, index: usize, len: usize) -> Result<()> {
    if index < len {
        return Ok(());
    }
    Err(DataError::argument(
        operation,
        format!("sample {index} was asked for, but there are {len}"),
        "Indices run from 0 to the number of samples less one",
    ))
}

fn check_buffer(operation: &'static str, length: usize, wanted: usize) -> Result<()> {
    if length == wanted {
        return Ok(());
    }
    Err(DataError::argument(
        operation,
        format!("the buffer holds {length} numbers, but a sample has {wanted}"),
        "Give a buffer of exactly one sample",
    ))
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            fn len(&self) -> usize { (**self).len() }
            fn feature_shape(&self) -> &[usize] { (**self).feature_shape() }
            fn target_kind(&self) -> TargetKind { (**self).target_kind() }
            fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()> {
                (**self).read_features(index, output)
            }
            fn read_class(&self, index: usize) -> Result<i64> { (**self).read_class(index) }
            fn read_values(&self, index: usize, output: &mut [f32]) -> Result<()> {
                (**self).read_values(index, output)
            }
            fn feature_names(&self) -> Option<&[String]> { (**self).feature_names() }
            fn class_names(&self) -> Option<&[String]> { (**self).class_names() }
            fn sources(&self) -> &[Source] { (**self).sources() }
            fn classes(&self) -> Result<Vec<i64>> { (**self).classes() }
        }
    )*};
}

forward!(&D, Box<D>, Arc<D>);

/// The targets of a data set in memory.
#[derive(Clone, Debug)]
enum Targets {
    None,
    Classes { indices: Arc<[i64]>, count: usize },
    Values { values: Arc<[f32]>, width: usize },
}

impl Targets {
    fn classes(operation: &'static str, indices: Arc<[i64]>, count: usize) -> Result<Self> {
        for (sample, &class) in indices.iter().enumerate() {
            if usize::try_from(class).map_or(true, |class| class >= count) {
                return Err(DataError::argument(
                    operation,
                    format!("sample {sample} has class {class}, but there are {count} classes"),
                    "Classes are indices from 0 to the number of classes less one",
                ));
            }
        }
        Ok(Self::Classes { indices, count })
    }

    fn kind(&self) -> TargetKind {
        match self {
            Self::None => TargetKind::None,
            Self::Classes { count, .. } => TargetKind::Class { count: *count },
            Self::Values { width, .. } => TargetKind::Values { width: *width },
        }
    }

    fn class(&self, index: usize) -> Result<i64> {
        match self {
            Self::Classes { indices, .. } => {
                check_index("read_class", index, indices.len())?;
                Ok(indices[index])
            }
            _ => Err(wrong_target("read_class", self.kind(), "classes")),
        }
    }

    fn values(&self, index: usize, output: &mut [f32]) -> Result<()> {
        match self {
            Self::Values { values, width } => {
                check_index("read_values", index, values.len() / width)?;
                check_buffer("read_values", output.len(), *width)?;
                output.copy_from_slice(&values[index * width..][..*width]);
                Ok(())
            }
            _ => Err(wrong_target("read_values", self.kind(), "values")),
        }
    }
}

/// The number of samples that `total` numbers make at `shape` each; fails if that is not a whole number.
fn samples(operation: &'static str, total: usize, shape: &[usize]) -> Result<usize> {
    let size = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)).unwrap_or(0);
    if size == 0 || !total.is_multiple_of(size) {
        return Err(DataError::argument(
            operation,
            format!("{total} numbers do not make whole samples of shape {shape:?}"),
            "Give the shape of one sample, without the number of samples, and no size of zero",
        ));
    }
    Ok(total / size)
}

fn same_count(operation: &'static str, features: usize, targets: usize) -> Result<()> {
    if features == targets {
        return Ok(());
    }
    Err(DataError::argument(
        operation,
        format!("features for {features} samples, but targets for {targets}"),
        "Give one target a sample",
    ))
}

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
    features: Arc<[f32]>,
    len: usize,
    feature_shape: Arc<[usize]>,
    targets: Targets,
    feature_names: Option<Arc<[String]>>,
    class_names: Option<Arc<[String]>>,
    categories: Arc<BTreeMap<usize, Vec<String>>>,
    sources: Arc<[Source]>,
}

impl ArrayDataset {
    fn new(features: Arc<[f32]>, shape: &[usize], len: usize, targets: Targets) -> Self {
        Self {
            features,
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
        features: impl Into<Arc<[f32]>>,
        feature_shape: impl AsRef<[usize]>,
        classes: impl Into<Arc<[i64]>>,
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
        features: impl Into<Arc<[f32]>>,
        feature_shape: impl AsRef<[usize]>,
        values: impl Into<Arc<[f32]>>,
        width: usize,
    ) -> Result<Self> {
        let (operation, shape) = ("ArrayDataset::regression", feature_shape.as_ref());
        let (features, values) = (features.into(), values.into());
        let len = samples(operation, features.len(), shape)?;
        same_count(operation, len, samples(operation, values.len(), &[width])?)?;
        Ok(Self::new(features, shape, len, Targets::Values { values, width }))
    }

    /// Samples without targets.
    ///
    /// # Errors
    /// The features are not whole samples.
    pub fn unlabelled(features: impl Into<Arc<[f32]>>, feature_shape: impl AsRef<[usize]>) -> Result<Self> {
        let (features, shape) = (features.into(), feature_shape.as_ref());
        let len = samples("ArrayDataset::unlabelled", features.len(), shape)?;
        Ok(Self::new(features, shape, len, Targets::None))
    }

    /// A copy of any data set in memory.
    ///
    /// # Errors
    /// A sample cannot be read.
    pub fn from_dataset(data: &dyn Dataset) -> Result<Self> {
        let width = data.feature_count();
        let mut features = vec![0.0; data.len() * width];
        for (index, row) in features.chunks_exact_mut(width.max(1)).enumerate() {
            data.read_features(index, row)?;
        }
        Self::with_features_of(data, features, data.feature_shape())
    }

    /// `data` with other features: same samples, targets, class names and sources.
    pub(crate) fn with_features_of(data: &dyn Dataset, features: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let mut copy = match data.target_kind() {
            TargetKind::Class { count } => Self::classification(features, shape, data.classes()?, count)?,
            TargetKind::Values { width } => {
                let mut values = vec![0.0; data.len() * width];
                for (index, row) in values.chunks_exact_mut(width.max(1)).enumerate() {
                    data.read_values(index, row)?;
                }
                Self::regression(features, shape, values, width)?
            }
            TargetKind::None => Self::unlabelled(features, shape)?,
        };
        copy.class_names = data.class_names().map(Arc::from);
        copy.sources = data.sources().into();
        if shape == data.feature_shape() {
            copy.feature_names = data.feature_names().map(Arc::from);
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
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        check_names("ArrayDataset::with_feature_names", names.len(), self.feature_count(), "features")?;
        self.feature_names = Some(names);
        Ok(self)
    }

    /// Names the classes, by index.
    ///
    /// # Errors
    /// Not one name a class, or the targets are not classes.
    pub fn with_class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        check_names("ArrayDataset::with_class_names", names.len(), self.class_count().unwrap_or(0), "classes")?;
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

fn reshaped(operation: &'static str, from: &[usize], to: &[usize]) -> Result<Arc<[usize]>> {
    let size = |shape: &[usize]| shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    if size(from) == size(to) {
        return Ok(to.into());
    }
    Err(DataError::argument(
        operation,
        format!("samples of shape {from:?} cannot be seen as {to:?}"),
        "The product of the sizes must stay the same",
    ))
}

fn check_names(operation: &'static str, names: usize, wanted: usize, what: &str) -> Result<()> {
    if names == wanted {
        return Ok(());
    }
    Err(DataError::argument(operation, format!("{names} names for {wanted} {what}"), "Give one name each"))
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
        self.feature_names.as_deref()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
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

/// Shape and kind instead of the numbers: nobody wants a million of them in a log.
pub(crate) fn describe(name: &str, data: &dyn Dataset, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name)
        .field("len", &data.len())
        .field("feature_shape", &data.feature_shape())
        .field("targets", &data.target_kind())
        .finish()
}

/// Labelled images of 8-bit pixels, held as bytes (a quarter of the memory) and delivered as `f32` pixels times
/// `scale`, by default 1/255 so that they lie in 0..1. Cloning shares the arrays.
#[derive(Clone)]
pub struct ImageDataset {
    pixels: Arc<[u8]>,
    len: usize,
    feature_shape: Arc<[usize]>,
    scale: f32,
    targets: Targets,
    class_names: Option<Arc<[String]>>,
    sources: Arc<[Source]>,
}

impl ImageDataset {
    /// Images with a class each. `pixels` is row-major `[samples, …image_shape]`.
    ///
    /// # Errors
    /// The pixels are not whole images, the counts differ, or a class is out of range.
    pub fn new(
        pixels: impl Into<Arc<[u8]>>,
        image_shape: impl AsRef<[usize]>,
        classes: impl Into<Arc<[i64]>>,
        class_count: usize,
    ) -> Result<Self> {
        let (operation, shape) = ("ImageDataset::new", image_shape.as_ref());
        let (pixels, classes) = (pixels.into(), classes.into());
        let len = samples(operation, pixels.len(), shape)?;
        same_count(operation, len, classes.len())?;
        Ok(Self {
            pixels,
            len,
            feature_shape: shape.into(),
            scale: 1.0 / 255.0,
            targets: Targets::classes(operation, classes, class_count)?,
            class_names: None,
            sources: Arc::default(),
        })
    }

    /// The same images in another shape of the same size: `[784]` for a dense network, `[1, 28, 28]` for a convolution.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn with_feature_shape(mut self, feature_shape: impl AsRef<[usize]>) -> Result<Self> {
        self.feature_shape = reshaped("ImageDataset::with_feature_shape", &self.feature_shape, feature_shape.as_ref())?;
        Ok(self)
    }

    /// Delivers pixel × `scale` instead of pixel / 255.
    pub fn with_scale(mut self, scale: f32) -> Self {
        self.scale = scale;
        self
    }

    /// Names the classes, by index.
    ///
    /// # Errors
    /// Not one name a class.
    pub fn with_class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        check_names("ImageDataset::with_class_names", names.len(), self.class_count().unwrap_or(0), "classes")?;
        self.class_names = Some(names);
        Ok(self)
    }

    /// Adds a source to the record of where the data came from.
    pub fn with_source(mut self, source: Source) -> Self {
        self.sources = self.sources.iter().cloned().chain([source]).collect();
        self
    }

    /// All pixels, row-major: `[samples, …feature_shape]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl Dataset for ImageDataset {
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
        for (output, &pixel) in output.iter_mut().zip(&self.pixels[index * width..][..width]) {
            *output = f32::from(pixel) * self.scale;
        }
        Ok(())
    }

    fn read_class(&self, index: usize) -> Result<i64> {
        self.targets.class(index)
    }

    fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    fn sources(&self) -> &[Source] {
        &self.sources
    }
}

impl fmt::Debug for ImageDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("ImageDataset", self, f)
    }
}

/// Some samples of a data set, in a given order, without copying them.
///
/// There is no way back to the whole data set: a training subset does not lead to the test samples.
pub struct Subset<D: ?Sized> {
    indices: Arc<[usize]>,
    parent: Arc<D>,
}

// By hand: deriving would ask for `D: Clone`, though only handles are cloned.
impl<D: ?Sized> Clone for Subset<D> {
    fn clone(&self) -> Self {
        Self { indices: self.indices.clone(), parent: self.parent.clone() }
    }
}

impl<D: Dataset> Subset<D> {
    /// The samples of `parent` at `indices`, which may repeat.
    ///
    /// # Errors
    /// An index is past the end.
    pub fn new(parent: D, indices: impl Into<Arc<[usize]>>) -> Result<Self> {
        Self::shared(Arc::new(parent), indices)
    }
}

impl<D: Dataset + ?Sized> Subset<D> {
    /// The samples of a shared data set at `indices`, which may repeat.
    ///
    /// # Errors
    /// An index is past the end.
    pub fn shared(parent: Arc<D>, indices: impl Into<Arc<[usize]>>) -> Result<Self> {
        let indices = indices.into();
        for &index in &*indices {
            check_index("Subset::new", index, parent.len())?;
        }
        Ok(Self { indices, parent })
    }

    /// Which samples of the parent these are.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn parent_index(&self, operation: &'static str, index: usize) -> Result<usize> {
        check_index(operation, index, self.indices.len())?;
        Ok(self.indices[index])
    }
}

impl<D: Dataset + ?Sized> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn feature_shape(&self) -> &[usize] {
        self.parent.feature_shape()
    }

    fn target_kind(&self) -> TargetKind {
        self.parent.target_kind()
    }

    fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()> {
        self.parent.read_features(self.parent_index("read_features", index)?, output)
    }

    fn read_class(&self, index: usize) -> Result<i64> {
        self.parent.read_class(self.parent_index("read_class", index)?)
    }

    fn read_values(&self, index: usize, output: &mut [f32]) -> Result<()> {
        self.parent.read_values(self.parent_index("read_values", index)?, output)
    }

    fn feature_names(&self) -> Option<&[String]> {
        self.parent.feature_names()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.parent.class_names()
    }

    fn sources(&self) -> &[Source] {
        self.parent.sources()
    }
}

impl<D: ?Sized> fmt::Debug for Subset<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subset").field("len", &self.indices.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> ArrayDataset {
        ArrayDataset::classification(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [2], vec![0, 1, 1], 2).unwrap()
    }

    #[test]
    fn mismatched_arrays_are_refused() {
        let error = |result: Result<ArrayDataset>| result.unwrap_err().to_string();
        assert!(error(ArrayDataset::unlabelled(vec![0.0; 5], [2])).contains("5 numbers do not make whole samples"));
        assert!(error(ArrayDataset::unlabelled(vec![0.0; 4], [0])).contains("shape [0]"));
        assert!(error(ArrayDataset::unlabelled(vec![0.0; 4], [usize::MAX, 2])).contains("whole samples"));
        assert!(error(ArrayDataset::classification(vec![0.0; 4], [2], vec![0, 1, 1], 2)).contains("targets for 3"));
        assert!(error(ArrayDataset::classification(vec![0.0; 4], [2], vec![0, 2], 2)).contains("sample 1 has class 2"));
        assert!(error(ArrayDataset::classification(vec![0.0; 4], [2], vec![0, -1], 2)).contains("class -1"));
        assert!(error(ArrayDataset::regression(vec![0.0; 4], [2], vec![0.0; 3], 2)).contains("whole samples"));
        assert!(error(data().with_feature_shape([3])).contains("cannot be seen as [3]"));
        assert!(error(data().with_class_names(["one"])).contains("1 names for 2 classes"));
    }

    #[test]
    fn reading_past_the_end_or_the_wrong_target_is_refused() {
        let data = data();
        assert!(data.read_features(3, &mut [0.0; 2]).unwrap_err().to_string().contains("sample 3"));
        assert!(data.read_features(0, &mut [0.0; 3]).unwrap_err().to_string().contains("buffer holds 3"));
        assert!(data.read_class(3).is_err());
        assert!(data.read_values(0, &mut [0.0]).unwrap_err().to_string().contains("classes as targets"));
    }

    #[test]
    fn subsets_of_subsets_reach_the_right_samples() {
        let outer = Subset::new(data(), vec![2, 0, 2]).unwrap();
        let inner = Subset::new(outer, vec![1, 0]).unwrap();
        let mut row = [0.0; 2];
        inner.read_features(0, &mut row).unwrap();
        assert_eq!(row, [0.0, 1.0]);
        inner.read_features(1, &mut row).unwrap();
        assert_eq!((row, inner.read_class(1).unwrap()), ([4.0, 5.0], 1));
        assert_eq!(inner.classes().unwrap(), [0, 1]);
        assert!(Subset::new(data(), vec![3]).is_err());
    }

    #[test]
    fn trait_objects_are_data_sets() {
        let shared: Arc<dyn Dataset> = Arc::new(data());
        let subset: Subset<dyn Dataset> = Subset::shared(shared.clone(), vec![1]).unwrap();
        assert_eq!(ArrayDataset::from_dataset(&subset).unwrap().features(), [2.0, 3.0]);
        assert_eq!(ArrayDataset::from_dataset(&shared).unwrap().class_indices(), Some(&[0, 1, 1][..]));
    }

    #[test]
    fn images_are_scaled_bytes() {
        let images = ImageDataset::new(vec![0, 51, 255, 102], [1, 2], vec![0, 1], 2).unwrap();
        let copy = ArrayDataset::from_dataset(&images.clone().with_scale(1.0)).unwrap();
        assert_eq!(copy.features(), [0.0, 51.0, 255.0, 102.0]);
        let scaled = ArrayDataset::from_dataset(&images).unwrap();
        assert!(scaled.features().iter().zip([0.0, 0.2, 1.0, 0.4]).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
