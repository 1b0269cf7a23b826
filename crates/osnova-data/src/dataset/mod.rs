//! What a data set is, and the ones that live in memory.

mod array;
mod image;
mod subset;
mod targets;

pub use array::ArrayDataset;
pub use image::ImageDataset;
pub use subset::Subset;

use crate::{DataError, Fingerprint, Result, Source, memory};
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

    /// A hash that tells this data set from others: see [`Fingerprint`]. A set that knows its identity otherwise, or that is
    /// slow to read, may say so with [`Fingerprint::of_bytes`].
    ///
    /// # Errors
    /// A sample cannot be read.
    fn fingerprint(&self) -> Result<Fingerprint> {
        Fingerprint::of_contents(self)
    }

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of features of a sample: the product of [`feature_shape`](Self::feature_shape), or `usize::MAX` (more
    /// than any memory holds) if it is greater.
    fn feature_count(&self) -> usize {
        self.feature_shape().iter().fold(1, |product: usize, &size| product.saturating_mul(size))
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
        let mut classes = memory::room("classes", "the classes", Some(self.len()))?;
        for index in 0..self.len() {
            classes.push(self.read_class(index)?);
        }
        Ok(classes)
    }
}

/// The classes of all samples, of which a data set's own code may give too few or too many.
pub(crate) fn classes_of(operation: &'static str, data: &dyn Dataset) -> Result<Vec<i64>> {
    let classes = data.classes()?;
    if classes.len() == data.len() {
        return Ok(classes);
    }
    let problem = format!("the data set gives {} classes for {} samples", classes.len(), data.len());
    Err(DataError::argument(operation, problem, "Mend its `classes` method"))
}

/// The features of these samples, row after row.
pub(crate) fn feature_rows(
    operation: &'static str,
    data: &(impl Dataset + ?Sized),
    samples: impl ExactSizeIterator<Item = usize>,
) -> Result<Vec<f32>> {
    rows(operation, "the features", data.feature_count(), samples, |index, row| data.read_features(index, row))
}

/// The target numbers of these samples, `width` each, row after row.
pub(crate) fn value_rows(
    operation: &'static str,
    data: &(impl Dataset + ?Sized),
    width: usize,
    samples: impl ExactSizeIterator<Item = usize>,
) -> Result<Vec<f32>> {
    rows(operation, "the target numbers", width, samples, |index, row| data.read_values(index, row))
}

fn rows(
    operation: &'static str,
    what: &str,
    width: usize,
    samples: impl ExactSizeIterator<Item = usize>,
    read: impl Fn(usize, &mut [f32]) -> Result<()>,
) -> Result<Vec<f32>> {
    let mut rows = memory::room(operation, what, samples.len().checked_mul(width))?;
    for index in samples {
        let start = rows.len();
        rows.resize(start + width, 0.0);
        read(index, &mut rows[start..])?;
    }
    Ok(rows)
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
            fn fingerprint(&self) -> Result<Fingerprint> { (**self).fingerprint() }
            fn classes(&self) -> Result<Vec<i64>> { (**self).classes() }
        }
    )*};
}

forward!(&D, Box<D>, Arc<D>);

/// Shape and kind instead of the numbers: nobody wants a million of them in a log.
fn describe(name: &str, data: &dyn Dataset, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name)
        .field("len", &data.len())
        .field("feature_shape", &data.feature_shape())
        .field("targets", &data.target_kind())
        .finish()
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
