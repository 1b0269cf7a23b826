//! Some samples of a data set.

use super::{Dataset, TargetKind, check_index};
use crate::{Result, Source};
use std::fmt;
use std::sync::Arc;

/// Some samples of a data set, in a given order, without copying them.
///
/// There is no way back to the whole data set: a training subset does not lead to the test samples.
pub struct Subset<D: ?Sized> {
    indices: Arc<Vec<usize>>,
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
    pub fn new(parent: D, indices: impl Into<Vec<usize>>) -> Result<Self> {
        Self::shared(Arc::new(parent), indices)
    }
}

impl<D: Dataset + ?Sized> Subset<D> {
    /// The samples of a shared data set at `indices`, which may repeat.
    ///
    /// # Errors
    /// An index is past the end.
    pub fn shared(parent: Arc<D>, indices: impl Into<Vec<usize>>) -> Result<Self> {
        let (indices, samples) = (indices.into(), parent.len());
        for &index in &indices {
            check_index("Subset::new", index, samples)?;
        }
        Ok(Self { indices: Arc::new(indices), parent })
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
