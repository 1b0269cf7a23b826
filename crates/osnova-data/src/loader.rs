//! Batches of a data set, epoch by epoch: shuffled, prefetched by worker threads, resumable in the middle of an epoch.

use crate::random::{Purpose, permutation};
use crate::{DataError, Dataset, Result, TargetKind};
use osnova_tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

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
            BatchTargets::Classes(classes) => Some(Tensor::from_vec(classes, [samples], device)?),
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
    /// The targets: class indices, `i64` of shape `[samples]`; or numbers, `f32` of shape `[samples, width]` (also for one
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

    /// Reads ahead on this many threads. 0, the default, reads on the caller's thread: best for data in memory.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many batches each worker may be ahead, at least 1; by default 2.
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
    /// The state belongs to another batch size or another number of samples.
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
        (self.seed, self.epoch, self.next_batch) = (state.seed, state.epoch, state.next_batch);
        Ok(())
    }

    /// Goes to the start of an epoch.
    pub fn start_epoch(&mut self, epoch: u64) {
        (self.epoch, self.next_batch) = (epoch, 0);
    }

    /// The batches from where the loader stands to the end of the epoch; after the last one the loader stands at the start
    /// of the next epoch. Breaking off leaves it after the last batch delivered, wherever the workers were.
    pub fn batches(&mut self) -> Batches<'_> {
        let count = self.batch_count();
        let plan = Arc::new(Plan {
            data: self.data.clone(),
            order: self.seed.map(|seed| permutation(self.data.len(), seed, Purpose::Loader, self.epoch)),
            batch_size: self.batch_size,
            count,
            start: self.state(),
        });
        let left = count - self.next_batch;
        let workers = self.workers.min(left);
        let pool = (workers > 0).then(|| Pool::start(&plan, self.next_batch, workers, workers * self.prefetch));
        if left == 0 {
            self.start_epoch(self.epoch + 1);
        }
        Batches { loader: self, plan, left, pool }
    }

    /// [`batches`](Self::batches) as tensors on `device`.
    pub fn tensors(&mut self, device: Device) -> TensorBatches<'_> {
        TensorBatches { batches: self.batches(), device }
    }
}

/// One epoch: everything a worker needs to make any batch of it.
struct Plan {
    data: Arc<dyn Dataset>,
    order: Option<Vec<usize>>,
    batch_size: usize,
    count: usize,
    start: LoaderState,
}

impl Plan {
    fn make(&self, number: usize) -> Result<Batch> {
        let first = number * self.batch_size;
        let last = (first + self.batch_size).min(self.data.len());
        let indices: Vec<usize> = match &self.order {
            Some(order) => order[first..last].to_vec(),
            None => (first..last).collect(),
        };
        let width = self.data.feature_count();
        let mut features = vec![0.0; indices.len() * width];
        for (&index, row) in indices.iter().zip(features.chunks_exact_mut(width.max(1))) {
            self.data.read_features(index, row)?;
        }
        let targets = match self.data.target_kind() {
            TargetKind::None => BatchTargets::None,
            TargetKind::Class { .. } => {
                let classes = indices.iter().map(|&index| self.data.read_class(index));
                BatchTargets::Classes(classes.collect::<Result<_>>()?)
            }
            TargetKind::Values { width } => {
                let mut values = vec![0.0; indices.len() * width];
                for (&index, row) in indices.iter().zip(values.chunks_exact_mut(width.max(1))) {
                    self.data.read_values(index, row)?;
                }
                BatchTargets::Values { values, width }
            }
        };
        let resume = match number + 1 {
            next if next == self.count => LoaderState { epoch: self.start.epoch + 1, next_batch: 0, ..self.start },
            next => LoaderState { next_batch: next, ..self.start },
        };
        Ok(Batch { indices, features, feature_shape: self.data.feature_shape().to_vec(), targets, resume })
    }

    /// [`make`](Self::make), with a panic of the data set's code as an error.
    fn try_make(&self, number: usize) -> Result<Batch> {
        catch_unwind(AssertUnwindSafe(|| self.make(number)))
            .unwrap_or_else(|panic| Err(DataError::Worker { batch: number, message: panic_message(&*panic) }))
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (_, Some(message)) => message.clone(),
        _ => "no message".to_owned(),
    }
}

/// Worker threads that make batches ahead of the consumer, who takes them in order.
struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    /// The next batch nobody works on.
    next_claim: usize,
    /// The next batch the consumer wants.
    next_take: usize,
    done: BTreeMap<usize, Result<Batch>>,
    stop: bool,
}

impl Shared {
    /// A panic cannot happen while the lock is held, so a poisoned lock still guards a sound queue.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, plan: &Plan, ahead: usize) {
        let mut queue = self.lock();
        loop {
            if queue.stop || queue.next_claim == plan.count {
                return;
            }
            if queue.next_claim >= queue.next_take + ahead {
                queue = self.wait(queue);
                continue;
            }
            let number = queue.next_claim;
            queue.next_claim += 1;
            drop(queue);
            let batch = plan.try_make(number);
            queue = self.lock();
            queue.done.insert(number, batch);
            self.changed.notify_all();
        }
    }
}

impl Pool {
    fn start(plan: &Arc<Plan>, first: usize, workers: usize, ahead: usize) -> Self {
        let queue = Queue { next_claim: first, next_take: first, done: BTreeMap::new(), stop: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        let mut threads = Vec::with_capacity(workers);
        for worker in 0..workers {
            let (shared, plan) = (shared.clone(), plan.clone());
            let builder = std::thread::Builder::new().name(format!("data-loader-{worker}"));
            // If the system gives no more threads, those there are do the work; without any, the consumer does.
            if let Ok(thread) = builder.spawn(move || shared.work(&plan, ahead)) {
                threads.push(thread);
            }
        }
        Self { shared, threads }
    }

    fn take(&self, plan: &Plan) -> Result<Batch> {
        let mut queue = self.shared.lock();
        let number = queue.next_take;
        queue.next_take += 1;
        if self.threads.is_empty() {
            drop(queue);
            return plan.try_make(number);
        }
        self.shared.changed.notify_all();
        loop {
            if let Some(batch) = queue.done.remove(&number) {
                return batch;
            }
            queue = self.shared.wait(queue);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // The worker's panics are caught; nothing is lost with this result.
            let _ = thread.join();
        }
    }
}

/// The batches of (the rest of) an epoch, in host memory: see [`DataLoader::batches`].
pub struct Batches<'a> {
    loader: &'a mut DataLoader,
    plan: Arc<Plan>,
    left: usize,
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
        if self.left == 0 {
            return None;
        }
        let batch = match &self.pool {
            Some(pool) => pool.take(&self.plan),
            None => self.plan.make(self.plan.count - self.left),
        };
        self.left -= 1;
        match &batch {
            Ok(batch) => (self.loader.epoch, self.loader.next_batch) = (batch.resume.epoch, batch.resume.next_batch),
            // The loader stays before the failed batch, and the iterator ends: nothing is skipped in silence.
            Err(_) => self.left = 0,
        }
        if self.left == 0 {
            self.pool = None;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.min(1), Some(self.left))
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
