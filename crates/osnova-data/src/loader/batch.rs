//! What a loader delivers: some samples, in host memory or on a device.

use super::LoaderState;
use crate::{DataError, Result};
use osnova_tensor::{Device, Tensor};

/// The targets of a batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchTargets {
    /// The data set has none.
    None,
    /// One class index a sample.
    Classes(Vec<i64>),
    /// `width` numbers a sample, row-major.
    Values {
        /// The numbers.
        values: Vec<f32>,
        /// How many a sample.
        width: usize,
    },
}

/// Some samples, in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The samples' positions in the data set.
    pub indices: Vec<usize>,
    /// The features, row-major: `[samples, …feature_shape]`.
    pub features: Vec<f32>,
    /// The shape of one sample's features.
    pub feature_shape: Vec<usize>,
    /// The targets.
    pub targets: BatchTargets,
    /// The loader's state once this batch has been used: save it after the optimizer's step.
    pub resume: LoaderState,
}

impl Batch {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The batch as tensors on `device`. The host arrays are handed over, not copied, where the device allows it.
    ///
    /// # Errors
    /// The device has no memory left.
    pub fn into_tensors(self, device: Device) -> Result<TensorBatch> {
        let samples = self.indices.len();
        let shape: Vec<usize> = std::iter::once(samples).chain(self.feature_shape).collect();
        let features = Tensor::from_vec(self.features, shape.as_slice(), device)?;
        let targets = match self.targets {
            BatchTargets::None => None,
            BatchTargets::Classes(classes) => {
                Some(Tensor::from_indices(classes, [samples], device.index_dtype(), device)?)
            }
            BatchTargets::Values { values, width } => Some(Tensor::from_vec(values, [samples, width], device)?),
        };
        Ok(TensorBatch { indices: self.indices, features, targets, resume: self.resume })
    }
}

/// Some samples, on a device.
#[derive(Clone, Debug)]
pub struct TensorBatch {
    /// The samples' positions in the data set.
    pub indices: Vec<usize>,
    /// The features, `f32` of shape `[samples, …feature_shape]`.
    pub features: Tensor,
    /// The targets: class indices, `i64` (or the device's [index dtype](Device::index_dtype)) of shape `[samples]`; or numbers, `f32` of shape `[samples, width]` (also for one
    /// number a sample, so that they meet the output of a linear layer without broadcasting); or none.
    pub targets: Option<Tensor>,
    /// The loader's state once this batch has been used.
    pub resume: LoaderState,
}

impl TensorBatch {
    /// The targets of a data set that has them.
    ///
    /// # Errors
    /// The data set has none.
    pub fn targets(&self) -> Result<&Tensor> {
        self.targets.as_ref().ok_or_else(|| {
            DataError::argument(
                "TensorBatch::targets",
                "the data set has no targets",
                "Read the data with a target column, or use the features alone",
            )
        })
    }
}
