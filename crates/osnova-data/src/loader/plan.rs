//! One epoch: everything a worker needs to make any batch of it.

use super::{Batch, BatchTargets, DataLoader, LoaderState};
use crate::dataset::{feature_rows, value_rows};
use crate::memory;
use crate::random::{Purpose, permutation};
use crate::{DataError, Dataset, Result, TargetKind};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const NAME: &str = "DataLoader";

pub(super) struct Plan {
    data: Arc<dyn Dataset>,
    order: Option<Vec<usize>>,
    pub(super) count: usize,
    start: LoaderState,
}

impl Plan {
    pub(super) fn new(loader: &DataLoader) -> Result<Self> {
        let start = loader.state();
        let order = start.seed.map(|seed| permutation(NAME, start.samples, seed, Purpose::Loader, start.epoch));
        Ok(Self { data: loader.data.clone(), order: order.transpose()?, count: loader.batch_count(), start })
    }

    fn make(&self, number: usize) -> Result<Batch> {
        let first = number * self.start.batch_size;
        let last = first.saturating_add(self.start.batch_size).min(self.start.samples);
        let mut indices = memory::room(NAME, "a batch's indices", Some(last - first))?;
        match &self.order {
            Some(order) => indices.extend_from_slice(&order[first..last]),
            None => indices.extend(first..last),
        }
        let features = feature_rows(NAME, &*self.data, indices.iter().copied())?;
        let targets = match self.data.target_kind() {
            TargetKind::None => BatchTargets::None,
            TargetKind::Class { .. } => {
                let mut classes = memory::room(NAME, "a batch's classes", Some(indices.len()))?;
                for &index in &indices {
                    classes.push(self.data.read_class(index)?);
                }
                BatchTargets::Classes(classes)
            }
            TargetKind::Values { width } => {
                let values = value_rows(NAME, &*self.data, width, indices.iter().copied())?;
                BatchTargets::Values { values, width }
            }
        };
        let resume = match number + 1 {
            next if next == self.count => {
                LoaderState { epoch: self.start.epoch.saturating_add(1), next_batch: 0, ..self.start }
            }
            next => LoaderState { next_batch: next, ..self.start },
        };
        Ok(Batch { indices, features, feature_shape: self.data.feature_shape().to_vec(), targets, resume })
    }

    /// A batch, with a panic of the data set's code as an error.
    pub(super) fn try_make(&self, number: usize) -> Result<Batch> {
        caught(number, || self.make(number))
    }
}

/// The result of a data set's code, of which a panic is an error.
pub(super) fn caught<T>(batch: usize, code: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(code))
        .unwrap_or_else(|panic| Err(DataError::Worker { batch, message: panic_message(panic) }))
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<&str>() {
        Ok(message) => (*message).to_owned(),
        Err(panic) => match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => {
                // Dropping a stranger's type could panic once more, where nothing catches it.
                std::mem::forget(panic);
                "no message".to_owned()
            }
        },
    }
}
