//! The threads of a device, and work split among them in fixed pieces.
//!
//! A piece depends on the shapes alone, never on the number of threads, so that this changes no bit of any result.

use crate::pool::{self, Pool};

/// The threads of one device: the program's, or a pool of its own.
#[derive(Debug)]
pub(crate) struct Parallel {
    own: Option<Pool>,
}

impl Parallel {
    /// The threads that all devices without a number of their own share.
    pub(crate) fn shared() -> Self {
        Self { own: None }
    }

    /// A pool of `threads` threads, or the system's reason why it cannot be.
    pub(crate) fn with_threads(threads: usize) -> std::io::Result<Self> {
        Ok(Self { own: Some(Pool::with_threads(threads)?) })
    }

    /// The device's own pool, which kernels must enter.
    #[inline]
    pub(crate) fn own(&self) -> Option<&Pool> {
        self.own.as_ref()
    }

    /// Runs `work` inside the pool, so that even small kernels in it may be split cheaply.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.own {
            None => pool::run(work),
            Some(pool) => pool.run(work),
        }
    }

    /// Calls `work(start, piece)` for pieces of `chunk` elements of `out`. `cost` is a rough price in nanoseconds an element.
    #[inline]
    pub(crate) fn chunks<T: Send>(
        &self,
        out: &mut [T],
        chunk: usize,
        cost: f64,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        if out.len() <= chunk {
            if !out.is_empty() {
                work(0, out);
            }
            return;
        }
        split(out, chunk, (cost * out.len() as f64) as usize, &work);
    }

    /// Like [`chunks`](Self::chunks) for two outputs side by side, the second with `width` elements for each of the first.
    pub(crate) fn chunk_pairs<T: Send, U: Send>(
        &self,
        first: &mut [T],
        second: &mut [U],
        chunk: usize,
        width: usize,
        cost: f64,
        work: impl Fn(usize, &mut [T], &mut [U]) + Sync,
    ) {
        let nanoseconds = cost * second.len() as f64;
        pool::for_each_chunk_pair(
            first,
            second,
            (chunk, chunk * width),
            nanoseconds as usize,
            |number, first, second| {
                work(number * chunk, first, second);
            },
        );
    }

    /// Calls `work` for each item. `cost` is a rough price in nanoseconds of all of them.
    pub(crate) fn items<I: Send>(&self, items: &mut [I], cost: f64, work: impl Fn(&mut I) + Sync) {
        pool::for_each_chunk(items, 1, cost as usize, |_, items| items.iter_mut().for_each(&work));
    }
}

/// Behind a pointer, so that the splitting is compiled once for each element type and not for each kernel.
fn split<T: Send>(out: &mut [T], chunk: usize, nanoseconds: usize, work: &(dyn Fn(usize, &mut [T]) + Sync)) {
    pool::for_each_chunk(out, chunk, nanoseconds, |number, piece| work(number * chunk, piece));
}
