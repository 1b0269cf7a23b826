//! Batches of a data set, epoch by epoch: shuffled, prefetched by worker threads, resumable in the middle of an epoch.

mod batch;
mod plan;
mod pool;

pub use batch::{Batch, BatchTargets, TensorBatch};

use crate::{DataError, Dataset, Result};
use osnova_tensor::Device;
use plan::{Plan, caught};
use pool::Pool;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// No more threads than this read ahead, whatever is asked for: more would only wait for each other.
const MOST_WORKERS: usize = 256;

/// Where a loader stands. Saved in a checkpoint and [restored](DataLoader::restore), the loader goes on with exactly the
/// batches it would have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderState {
    /// The seed of the shuffle; `None` without shuffling.
    pub seed: Option<u64>,
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// The next batch of the epoch, counted from 0.
    pub next_batch: usize,
    /// Samples a batch: a position means nothing under another batch size.
    pub batch_size: usize,
    /// The number of samples of the data set.
    pub samples: usize,
}

/// Delivers a data set in batches.
///
/// The order of an epoch is a function of (seed, epoch) alone: the same on every machine and with any number of
/// workers. Each sample comes once an epoch (with [`drop_last`](Self::drop_last): at most once).
///
/// ```
/// use osnova_data::{digits, DataLoader};
///
/// let mut loader = DataLoader::new(digits()?, 32)?.shuffle(42).workers(2);
/// for epoch in 0..2 {
///     for batch in loader.batches() {
///         let batch = batch?; // or `loader.tensors(device)` for tensors
///         assert_eq!(batch.features.len(), batch.len() * 64);
///     }
/// }
/// assert_eq!(loader.state().epoch, 2);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct DataLoader {
    data: Arc<dyn Dataset>,
    batch_size: usize,
    seed: Option<u64>,
    drop_last: bool,
    workers: usize,
    prefetch: usize,
    epoch: u64,
    next_batch: usize,
}

impl DataLoader {
    /// Batches of `batch_size` samples in the data set's order, the last one perhaps smaller.
    ///
    /// # Errors
    /// The batch size is zero.
    pub fn new(data: impl Dataset + 'static, batch_size: usize) -> Result<Self> {
        Self::shared(Arc::new(data), batch_size)
    }

    /// [`new`](Self::new) for a data set that others use too.
    ///
    /// # Errors
    /// The batch size is zero.
    pub fn shared(data: Arc<dyn Dataset>, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(DataError::argument("DataLoader", "the batch size is 0", "Give at least 1"));
        }
        Ok(Self { data, batch_size, seed: None, drop_last: false, workers: 0, prefetch: 2, epoch: 0, next_batch: 0 })
    }

    /// Shuffles every epoch anew.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Reads ahead on this many threads, at most 256. 0, the default, reads on the caller's thread: best for data in
    /// memory.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many batches each worker may be ahead, at least 1; by default 2. Memory holds that many batches.
    pub fn prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches.max(1);
        self
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.data
    }

    /// Samples a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The number of batches of an epoch.
    pub fn batch_count(&self) -> usize {
        if self.drop_last { self.data.len() / self.batch_size } else { self.data.len().div_ceil(self.batch_size) }
    }

    /// Where the loader stands.
    pub fn state(&self) -> LoaderState {
        LoaderState {
            seed: self.seed,
            epoch: self.epoch,
            next_batch: self.next_batch,
            batch_size: self.batch_size,
            samples: self.data.len(),
        }
    }

    /// Goes to where `state` was saved. The shuffle's seed is taken over too.
    ///
    /// # Errors
    /// The state belongs to another batch size or another number of samples, or stands at an epoch that no other can
    /// follow.
    pub fn restore(&mut self, state: LoaderState) -> Result<()> {
        let have = (self.batch_size, self.data.len());
        if (state.batch_size, state.samples) != have || state.next_batch > self.batch_count() {
            return Err(DataError::argument(
                "DataLoader::restore",
                format!(
                    "the state is at batch {} of {} samples in batches of {}, but the loader has {} samples in batches of {}",
                    state.next_batch, state.samples, state.batch_size, have.1, have.0
                ),
                "Resume with the same data set and batch size, or start a new epoch",
            ));
        }
        if state.epoch == u64::MAX {
            return Err(DataError::argument(
                "DataLoader::restore",
                format!("the state is at epoch {}, after which none can be counted", state.epoch),
                "The state is damaged: take an older one",
            ));
        }
        (self.seed, self.epoch, self.next_batch) = (state.seed, state.epoch, state.next_batch);
        Ok(())
    }

    /// Goes to the start of an epoch.
    pub fn start_epoch(&mut self, epoch: u64) {
        (self.epoch, self.next_batch) = (epoch, 0);
    }

    /// The batches from where the loader stands to the end of the epoch; after the last one the loader stands at the start
    /// of the next epoch. Breaking off leaves it after the last batch delivered, wherever the workers were.
    ///
    /// An error is the last item, and leaves the loader before the batch that failed: an unreadable sample, a panic in the
    /// data set's code, a batch or an order of samples for which there is no memory.
    pub fn batches(&mut self) -> Batches<'_> {
        let plan = match caught(self.next_batch, || Plan::new(self)) {
            Ok(plan) => Arc::new(plan),
            Err(failure) => return Batches { loader: self, failure: Some(failure), left: 0, work: None },
        };
        let left = plan.count.saturating_sub(self.next_batch);
        let workers = self.workers.min(left).min(MOST_WORKERS);
        let ahead = workers.saturating_mul(self.prefetch);
        let pool = (workers > 0).then(|| Pool::start(&plan, self.next_batch, workers, ahead));
        if left == 0 {
            self.start_epoch(self.epoch.saturating_add(1));
        }
        Batches { loader: self, failure: None, left, work: Some(Work { plan, pool }) }
    }

    /// [`batches`](Self::batches) as tensors on `device`.
    pub fn tensors(&mut self, device: Device) -> TensorBatches<'_> {
        TensorBatches { batches: self.batches(), device }
    }
}

/// The batches of (the rest of) an epoch, in host memory: see [`DataLoader::batches`].
pub struct Batches<'a> {
    loader: &'a mut DataLoader,
    /// Why there is no batch at all.
    failure: Option<DataError>,
    left: usize,
    work: Option<Work>,
}

/// Where batches come from: from the pool if there is one, else they are made when they are asked for.
struct Work {
    plan: Arc<Plan>,
    pool: Option<Pool>,
}

impl Batches<'_> {
    /// Where the loader stands: after the last batch delivered.
    pub fn state(&self) -> LoaderState {
        self.loader.state()
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(failure) = self.failure.take() {
            return Some(Err(failure));
        }
        let work = self.work.as_ref().filter(|_| self.left > 0)?;
        let batch = match &work.pool {
            Some(pool) => pool.take(&work.plan),
            None => work.plan.try_make(work.plan.count - self.left),
        };
        self.left -= 1;
        match &batch {
            Ok(batch) => (self.loader.epoch, self.loader.next_batch) = (batch.resume.epoch, batch.resume.next_batch),
            // The loader stays before the failed batch, and the iterator ends: nothing is skipped in silence.
            Err(_) => self.left = 0,
        }
        if self.left == 0 {
            self.work = None;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left + usize::from(self.failure.is_some());
        (left.min(1), Some(left))
    }
}

impl std::fmt::Debug for Batches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("state", &self.state()).field("left", &self.left).finish_non_exhaustive()
    }
}

/// The batches of (the rest of) an epoch, on a device: see [`DataLoader::tensors`].
#[derive(Debug)]
pub struct TensorBatches<'a> {
    batches: Batches<'a>,
    device: Device,
}

impl TensorBatches<'_> {
    /// Where the loader stands: after the last batch delivered.
    pub fn state(&self) -> LoaderState {
        self.batches.state()
    }
}

impl Iterator for TensorBatches<'_> {
    type Item = Result<TensorBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.state();
        let result = self.batches.next()?.and_then(|batch| batch.into_tensors(self.device));
        if result.is_err() {
            // As with an unreadable sample: the loader stays before the failed batch.
            let loader = &mut *self.batches.loader;
            (loader.epoch, loader.next_batch, self.batches.left) = (before.epoch, before.next_batch, 0);
        }
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}
