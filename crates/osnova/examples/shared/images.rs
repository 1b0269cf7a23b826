//! Images as rows of pixels, and the sealed ones.

use osnova::data::{ArrayDataset, DataError, Dataset, ImageDataset, SealedTest, Subset, TestRecord};
use std::sync::Arc;

/// The sealed test samples: a part that was split off, or files of their own.
pub(crate) enum Sealed {
    Part(SealedTest<Subset<ArrayDataset>>),
    Files(SealedTest<ImageDataset>),
}

impl Sealed {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Part(test) => test.len(),
            Self::Files(test) => test.len(),
        }
    }

    /// Breaks the seal.
    pub(crate) fn open(self, purpose: &str) -> Result<(Arc<dyn Dataset>, TestRecord), DataError> {
        Ok(match self {
            Self::Part(test) => {
                let (test, record) = test.open(purpose);
                (Arc::new(test), record)
            }
            Self::Files(test) => {
                let (test, record) = test.open(purpose);
                (Arc::new(flat(test)?), record)
            }
        })
    }
}

/// Images as rows of pixels.
pub(crate) fn flat(images: ImageDataset) -> Result<ImageDataset, DataError> {
    let pixels = images.feature_count();
    images.with_feature_shape([pixels])
}
