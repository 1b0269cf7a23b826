//! Worker threads that make batches ahead of the consumer, who takes them in order.

use super::Batch;
use super::plan::Plan;
use crate::{DataError, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub(super) struct Pool {
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
        while let Some(mut claim) = self.claim(plan, ahead) {
            claim.batch = Some(plan.try_make(claim.number));
        }
    }

    /// The next batch that wants making, once it is not too far ahead; nothing at the end.
    fn claim(&self, plan: &Plan, ahead: usize) -> Option<Claim<'_>> {
        let mut queue = self.lock();
        loop {
            if queue.stop || queue.next_claim == plan.count {
                return None;
            }
            if queue.next_claim < queue.next_take.saturating_add(ahead) {
                let number = queue.next_claim;
                queue.next_claim += 1;
                return Some(Claim { shared: self, number, batch: None });
            }
            queue = self.wait(queue);
        }
    }
}

/// A batch that a worker has taken on. However the worker ends, the consumer who waits for the batch hears of it.
struct Claim<'a> {
    shared: &'a Shared,
    number: usize,
    batch: Option<Result<Batch>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let batch = self.batch.take().unwrap_or_else(|| {
            Err(DataError::Worker { batch: self.number, message: "its thread has ended".to_owned() })
        });
        self.shared.lock().done.insert(self.number, batch);
        self.shared.changed.notify_all();
    }
}

impl Pool {
    pub(super) fn start(plan: &Arc<Plan>, first: usize, workers: usize, ahead: usize) -> Self {
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

    pub(super) fn take(&self, plan: &Plan) -> Result<Batch> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_a_batch_hears_that_its_worker_is_gone() {
        let queue = Queue { next_claim: 1, next_take: 0, done: BTreeMap::new(), stop: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        let worker = shared.clone();
        let thread = std::thread::spawn(move || {
            let _claim = Claim { shared: &worker, number: 0, batch: None };
            std::panic::panic_any("outside of what is caught");
        });
        let pool = Pool { shared, threads: vec![thread] };
        let plan = Plan::new(&crate::DataLoader::new(crate::digits().unwrap(), 32).unwrap()).unwrap();
        assert!(matches!(pool.take(&plan).unwrap_err(), DataError::Worker { batch: 0, .. }));
    }
}
