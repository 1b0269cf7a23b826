//! Batches of a data set, epoch by epoch: shuffled, prefetched by worker threads, resumable in the middle of an epoch.

mod batch;
mod plan;
mod pool;

pub use batch::{Batch, BatchTargets, TensorBatch};

use crate::{DataError, Dataset, Fingerprint, Result};
use osnova_tensor::Device;
use plan::{Plan, caught};
use pool::Pool;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// No more threads than this read ahead, whatever is asked for: more would only wait for each other.
const MOST_WORKERS: usize = 256;

/// Where a loader stands, and the options that give the position its meaning. Saved in a checkpoint and
/// [restored](DataLoader::restore), the loader goes on with exactly the batches it would have given.
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
    /// Whether an incomplete last batch is left out.
    #[serde(default)]
    pub drop_last: bool,
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
    /// Of the data, once someone has asked.
    fingerprint: OnceLock<Fingerprint>,
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
        Ok(Self {
            data,
            batch_size,
            seed: None,
            drop_last: false,
            workers: 0,
            prefetch: 2,
            epoch: 0,
            next_batch: 0,
            fingerprint: OnceLock::new(),
        })
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
            drop_last: self.drop_last,
        }
    }

    /// A hash of the data set, computed at the first call: see [`Fingerprint`].
    ///
    /// # Errors
    /// A sample cannot be read, or the data set's code panics.
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(*known);
        }
        let fingerprint = caught(0, || self.data.fingerprint())?;
        Ok(*self.fingerprint.get_or_init(|| fingerprint))
    }

    /// Fails unless the data are those of this fingerprint, which was kept with [a state](Self::state): a position, and a
    /// model trained so far, mean nothing for other data.
    ///
    /// # Errors
    /// They are others, or cannot be read.
    pub fn check_fingerprint(&self, saved: Fingerprint) -> Result<()> {
        let own = self.fingerprint()?;
        if own == saved {
            return Ok(());
        }
        Err(DataError::argument(
            "DataLoader::check_fingerprint",
            format!(
                "the loader's {} samples are not those that the run began with: their fingerprint is {own}, not {saved}",
                self.data.len()
            ),
            "Resume with the same files, split, seeds and preprocessing, or begin a new run",
        ))
    }

    /// Goes to where `state` was saved. The loader must have been made with the options of the one that was saved, but for
    /// workers and prefetching, which change no batch.
    ///
    /// # Errors
    /// Another batch size, number of samples, shuffling, seed or [`drop_last`](Self::drop_last), all named; or a position
    /// that no loader comes to. The loader is unchanged then.
    pub fn restore(&mut self, state: LoaderState) -> Result<()> {
        self.check_state(state)?;
        (self.epoch, self.next_batch) = (state.epoch, state.next_batch);
        Ok(())
    }

    /// Fails where [`restore`](Self::restore) would, and changes nothing.
    ///
    /// # Errors
    /// Those of [`restore`](Self::restore).
    pub fn check_state(&self, state: LoaderState) -> Result<()> {
        let refused = |problem, advice| Err(DataError::argument("DataLoader::restore", problem, advice));
        let own = self.state();
        let differences = differences(state, own);
        if !differences.is_empty() {
            let problem = format!("the state is that of a loader with {}", differences.join(", "));
            return refused(problem, "Resume with the same data set and options, or start a new epoch");
        }
        if state.next_batch > self.batch_count() {
            let problem =
                format!("the state is at batch {}, but an epoch has {}", state.next_batch, self.batch_count());
            return refused(problem, "The state is damaged: take an older one");
        }
        if state.epoch == u64::MAX {
            let problem = format!("the state is at epoch {}, after which none can be counted", state.epoch);
            return refused(problem, "The state is damaged: take an older one");
        }
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

/// In what options two loaders differ, as words.
fn differences(saved: LoaderState, own: LoaderState) -> Vec<String> {
    let mut differences = Vec::new();
    if saved.samples != own.samples {
        differences.push(format!("{} samples instead of {}", saved.samples, own.samples));
    }
    if saved.batch_size != own.batch_size {
        differences.push(format!("batches of {} instead of batches of {}", saved.batch_size, own.batch_size));
    }
    if saved.seed != own.seed {
        let shuffle = |seed: Option<u64>| seed.map_or("no shuffle".to_owned(), |seed| format!("shuffle({seed})"));
        differences.push(format!("{} instead of {}", shuffle(saved.seed), shuffle(own.seed)));
    }
    if saved.drop_last != own.drop_last {
        differences.push(format!("drop_last({}) instead of drop_last({})", saved.drop_last, own.drop_last));
    }
    differences
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
