//! Threads: where kernels run their blocks.
//!
//! A kernel cuts its work into blocks that depend on the shapes alone, computes every block by itself, and hands them
//! to [`for_each_block`] or [`for_each_chunk`]. Which thread takes which block, and how many threads there are, cannot
//! change a result.
//!
//! **A fork must come from inside a pool.** From a thread that does not belong to it, rayon needs 22–85 µs to hand a
//! job over; from one of the pool's own threads 0.1 µs. So the first threads that have work to share each get a
//! pool in which they are worker 0 themselves (`use_current_thread`): a program that does nothing special forks from
//! inside. Such a pool can never be torn down, hence there are at most [`OWN_POOLS`] of them. Threads that come
//! later share one ordinary pool, which they enter only for work that is worth the hand-over, or once around
//! everything with [`run`]. A thread that is a worker of any rayon pool already forks there.
//!
//! **The others must be awake.** Rayon's workers go to sleep after some 15 µs without work, and waking one takes
//! 30–50 µs: two tasks of 20 µs, forked after a pause of 50 µs, took 49 µs, longer than one after the other. A training
//! step forks every few ten microseconds, so the workers of these pools are kept looking for work for
//! [`KEEP_AWAKE`] after the last fork: the same two tasks then take 21 µs.

use std::cell::{Cell, OnceCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Serial work, in nanoseconds, from which a fork inside the pool gains: the break-even lies at about 5 µs.
pub const FORK_GATE: usize = 10_000;

/// Serial work, in nanoseconds, from which handing it to a pool that the thread does not belong to gains.
pub const INSTALL_GATE: usize = 250_000;

/// How long the workers look for work after the last fork before they may sleep. Long enough for the serial parts of a
/// training step, too short to matter to anyone else; they offer the processor to others all the while.
pub const KEEP_AWAKE: Duration = Duration::from_micros(200);

/// How many threads get a pool of their own: usually the main one, and one that trains in the background.
pub const OWN_POOLS: usize = 2;

/// A pool with a fixed number of threads, for tests and for programs that divide the machine themselves.
#[derive(Debug)]
pub struct Pool(ThreadPool);

impl Pool {
    /// A pool of `threads` threads (at least one, at most [`most_threads`]), or the reason why it cannot be.
    pub fn with_threads(threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        if threads > most_threads() {
            let reason = format!("{threads} threads are more than the {} that this backend starts", most_threads());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason));
        }
        build(threads, keeper(threads), |builder| builder).map(Self).map_err(std::io::Error::other)
    }

    /// Runs `work` inside the pool: every kernel that it calls forks there.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.0.install(work)
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }
}

/// The number of threads that kernels use by default: `OSNOVA_NUM_THREADS`, or what the system offers.
pub fn default_threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| {
        let parse = |text: &str| match text.parse() {
            Ok(count) if (1..=most_threads()).contains(&count) => Ok(count),
            _ => Err(format!("give a whole number from 1 to {}", most_threads())),
        };
        crate::environment::choice("OSNOVA_NUM_THREADS", parse).unwrap_or_else(cores)
    })
}

/// What a pool may have at most. More than a few threads a core only wait for each other, and a thousand take seconds to start.
pub fn most_threads() -> usize {
    cores().saturating_mul(4).max(256)
}

/// What the system offers this program.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// Runs `work` inside a pool, once, so that all kernels in it fork cheaply; already inside one, just runs it.
///
/// Programs whose main thread calls kernels need not do this; threads spawned later gain from it.
pub fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match inside() {
        Inside::Yes => work(),
        Inside::No => match shared_pool() {
            Some(pool) => pool.install(work),
            None => work(),
        },
    }
}

/// Calls `block(i)` for every `i` below `blocks`, on several threads if `nanoseconds`, an estimate of the whole work
/// on one thread, is worth it.
#[inline]
pub fn for_each_block(blocks: usize, nanoseconds: usize, block: impl Fn(usize) + Sync) {
    if blocks < 2 || nanoseconds < FORK_GATE {
        return (0..blocks).for_each(block);
    }
    fork(nanoseconds, blocks, |serial| {
        if serial { (0..blocks).for_each(&block) } else { halve(0, blocks, grain(blocks, nanoseconds), &block) }
    });
}

/// Calls `work(i, chunk)` for every chunk of `length` elements of `output` (the last may be shorter); threads as for
/// [`for_each_block`].
#[inline]
pub fn for_each_chunk<T: Send>(
    output: &mut [T],
    length: usize,
    nanoseconds: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let length = length.max(1);
    let chunks = output.len().div_ceil(length);
    let serial = |output: &mut [T]| output.chunks_mut(length).enumerate().for_each(|(index, chunk)| work(index, chunk));
    if chunks < 2 || nanoseconds < FORK_GATE {
        return serial(output);
    }
    fork(nanoseconds, chunks, |one_thread| {
        if one_thread { serial(output) } else { halve_chunks(output, 0, length, grain(chunks, nanoseconds), &work) }
    });
}

/// Calls `work(i, left, right)` for every `i`-th chunk of two outputs side by side, of `lengths` elements each (the last may be
/// shorter); threads as for [`for_each_block`].
pub fn for_each_chunk_pair<T: Send, U: Send>(
    left: &mut [T],
    right: &mut [U],
    lengths: (usize, usize),
    nanoseconds: usize,
    work: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let lengths = (lengths.0.max(1), lengths.1.max(1));
    let chunks = left.len().div_ceil(lengths.0);
    let all = |outputs: Pair<'_, T, U>, first: usize| {
        let pieces = outputs.0.chunks_mut(lengths.0).zip(outputs.1.chunks_mut(lengths.1));
        pieces.enumerate().for_each(|(index, (left, right))| work(first + index, left, right));
    };
    if chunks < 2 || nanoseconds < FORK_GATE {
        return all((left, right), 0);
    }
    fork(nanoseconds, chunks, |one_thread| {
        let grain = if one_thread { chunks } else { grain(chunks, nanoseconds) };
        halve_pairs((left, right), 0, lengths, grain, &all);
    });
}

/// Two outputs side by side.
type Pair<'a, T, U> = (&'a mut [T], &'a mut [U]);

/// Runs both, at the same time if `nanoseconds`, an estimate for both together, is worth it.
pub fn join<A: Send, B: Send>(
    nanoseconds: usize,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if nanoseconds < FORK_GATE {
        return (first(), second());
    }
    fork(nanoseconds, 2, |serial| if serial { (first(), second()) } else { rayon::join(first, second) })
}

enum Inside {
    Yes,
    No,
}

/// Calls `work` where it can fork, or with `true` where it should do everything itself.
fn fork<R: Send>(nanoseconds: usize, parts: usize, work: impl FnOnce(bool) -> R + Send) -> R {
    debug_assert!(parts > 1);
    match inside() {
        Inside::Yes => forked(work),
        Inside::No if nanoseconds >= INSTALL_GATE => match shared_pool() {
            Some(pool) => pool.install(|| forked(work)),
            None => work(true),
        },
        Inside::No => work(true),
    }
}

/// Calls `work` on a thread of a pool, the other threads being roused.
fn forked<R>(work: impl FnOnce(bool) -> R) -> R {
    if rayon::current_num_threads() < 2 {
        return work(true);
    }
    let _busy = Busy::enter();
    let _ = KEEPER.try_with(|keeper| {
        if let Some(keeper) = keeper.get() {
            keeper.rouse();
        }
    });
    work(false)
}

thread_local! {
    /// What keeps the pool of this worker awake; empty on threads of pools that others built.
    static KEEPER: OnceCell<Arc<Keeper>> = const { OnceCell::new() };
    /// How many forks this thread is inside of.
    static BUSY: Cell<usize> = const { Cell::new(0) };
    static KEEPING: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as being inside a fork.
struct Busy;

impl Busy {
    #[inline]
    fn enter() -> Self {
        BUSY.set(BUSY.get() + 1);
        Self
    }
}

impl Drop for Busy {
    #[inline]
    fn drop(&mut self) {
        BUSY.set(BUSY.get() - 1);
    }
}

/// Keeps the workers of one pool awake while forks keep coming.
#[derive(Debug, Default)]
struct Keeper {
    forks: AtomicUsize,
    /// Workers that are being kept awake.
    awake: AtomicUsize,
    /// They have been called, and none has come yet.
    called: AtomicBool,
}

impl Keeper {
    /// Notes a fork, and calls the workers if they may be asleep.
    #[inline]
    fn rouse(self: &Arc<Self>) {
        self.forks.fetch_add(1, Relaxed);
        if self.awake.load(Relaxed) == 0 && !self.called.swap(true, Relaxed) {
            let keeper = self.clone();
            rayon::spawn_broadcast(move |_| keeper.keep_awake());
        }
    }

    /// Runs on every worker: does what work comes, until none has come for a while.
    fn keep_awake(&self) {
        self.awake.fetch_add(1, Relaxed);
        self.called.store(false, Relaxed);
        // The worker that called gets here too when it waits for the others, and so might another in the middle of a
        // fork: they must go back to waiting.
        if BUSY.get() == 0 && !KEEPING.replace(true) {
            let (mut seen, mut since) = (self.forks.load(Relaxed), Instant::now());
            let mut idle = 0u32;
            while since.elapsed() < KEEP_AWAKE {
                let forks = self.forks.load(Relaxed);
                if rayon::yield_now() == Some(rayon::Yield::Executed) || forks != seen {
                    (seen, since, idle) = (forks, Instant::now(), 0);
                }
                idle += 1;
                if idle.is_multiple_of(16) {
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
            KEEPING.set(false);
        }
        self.awake.fetch_sub(1, Relaxed);
    }
}

/// Whether this thread belongs to a pool; gives it its own while there are some left and it has work to share.
#[inline]
fn inside() -> Inside {
    if rayon::current_thread_index().is_some() || own_pool() { Inside::Yes } else { Inside::No }
}

/// Makes this thread worker 0 of a new pool, if one is left.
#[cold]
fn own_pool() -> bool {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    if default_threads() < 2 || TAKEN.load(Relaxed) >= OWN_POOLS || TAKEN.fetch_add(1, Relaxed) >= OWN_POOLS {
        return false;
    }
    let keeper = keeper(default_threads());
    match build(default_threads(), keeper.clone(), ThreadPoolBuilder::use_current_thread) {
        Ok(pool) => {
            if let Some(keeper) = keeper {
                let _ = KEEPER.try_with(|slot| slot.set(keeper));
            }
            // The thread stays a worker as long as the program runs, so the pool must too.
            std::mem::forget(pool);
            true
        }
        // The system has no more threads: work serially.
        Err(_) => false,
    }
}

/// The pool of all threads that have none of their own.
fn shared_pool() -> Option<&'static ThreadPool> {
    static SHARED: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || build(default_threads(), keeper(default_threads()), |builder| builder).ok();
    SHARED.get_or_init(|| if default_threads() < 2 { None } else { build() }).as_ref()
}

/// What keeps a pool awake; nothing does where threads outnumber cores, for there the waiting would hold up the work.
fn keeper(threads: usize) -> Option<Arc<Keeper>> {
    (threads <= cores()).then(Arc::default)
}

fn build(
    threads: usize,
    keeper: Option<Arc<Keeper>>,
    adjust: impl FnOnce(ThreadPoolBuilder) -> ThreadPoolBuilder,
) -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    let builder = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("osnova-cpu-{index}"))
        .start_handler(move |_| {
            if let Some(keeper) = &keeper {
                let _ = KEEPER.try_with(|slot| slot.set(keeper.clone()));
            }
        });
    let pool = adjust(builder).build()?;
    // Waits for every thread, so that what a thread needs is there before the pool's first work and never comes late.
    pool.broadcast(|_| crate::gemm::prepare_thread());
    Ok(pool)
}

/// How many blocks one thread takes at a time: few enough to even out, many enough that forks cost nothing. Pieces of less
/// than [`FORK_GATE`] are not worth handing over.
fn grain(blocks: usize, nanoseconds: usize) -> usize {
    let threads = rayon::current_num_threads();
    let worth = blocks.saturating_mul(FORK_GATE) / nanoseconds.max(1);
    (blocks / (8 * threads)).max(worth.min(blocks.div_ceil(threads))).max(1)
}

fn halve(start: usize, end: usize, grain: usize, block: &(impl Fn(usize) + Sync)) {
    if end - start <= grain {
        return (start..end).for_each(block);
    }
    let _busy = Busy::enter();
    let middle = start + (end - start).div_ceil(2);
    rayon::join(|| halve(start, middle, grain, block), || halve(middle, end, grain, block));
}

fn halve_chunks<T: Send>(
    output: &mut [T],
    first: usize,
    length: usize,
    grain: usize,
    work: &(impl Fn(usize, &mut [T]) + Sync),
) {
    let chunks = output.len().div_ceil(length);
    if chunks <= grain {
        return output.chunks_mut(length).enumerate().for_each(|(index, chunk)| work(first + index, chunk));
    }
    let _busy = Busy::enter();
    let middle = chunks.div_ceil(2);
    let (left, right) = output.split_at_mut(middle * length);
    rayon::join(
        || halve_chunks(left, first, length, grain, work),
        || halve_chunks(right, first + middle, length, grain, work),
    );
}

fn halve_pairs<T: Send, U: Send>(
    outputs: Pair<'_, T, U>,
    first: usize,
    lengths: (usize, usize),
    grain: usize,
    work: &(impl Fn(Pair<'_, T, U>, usize) + Sync),
) {
    let chunks = outputs.0.len().div_ceil(lengths.0);
    if chunks <= grain {
        return work(outputs, first);
    }
    let _busy = Busy::enter();
    let middle = chunks.div_ceil(2);
    let (left_start, left_end) = outputs.0.split_at_mut(middle * lengths.0);
    let at = (middle * lengths.1).min(outputs.1.len());
    let (right_start, right_end) = outputs.1.split_at_mut(at);
    rayon::join(
        || halve_pairs((left_start, right_start), first, lengths, grain, work),
        || halve_pairs((left_end, right_end), first + middle, lengths, grain, work),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_runs_once() {
        for blocks in [0, 1, 2, 3, 17, 1000] {
            for nanoseconds in [0, FORK_GATE, INSTALL_GATE] {
                let counts: Vec<_> = (0..blocks).map(|_| AtomicUsize::new(0)).collect();
                for_each_block(blocks, nanoseconds, |index| {
                    counts[index].fetch_add(1, Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Relaxed) == 1), "{blocks} blocks");
            }
        }
    }

    #[test]
    fn chunks_get_their_own_index_on_any_number_of_threads() {
        for threads in [1, 2, 8] {
            Pool::with_threads(threads).unwrap().run(|| {
                let mut output = vec![0; 1003];
                for_each_chunk(&mut output, 10, usize::MAX, |index, chunk| chunk.fill(index));
                assert!(output.iter().enumerate().all(|(position, &index)| index == position / 10));
                let (mut left, mut right) = (vec![0; 501], vec![0; 1503]);
                for_each_chunk_pair(&mut left, &mut right, (10, 30), usize::MAX, |index, left, right| {
                    left.fill(index);
                    right.fill(index);
                });
                assert!(left.iter().enumerate().all(|(position, &index)| index == position / 10));
                assert!(right.iter().enumerate().all(|(position, &index)| index == position / 30));
            });
        }
    }

    #[test]
    fn many_threads_may_call_at_once() {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let total = AtomicUsize::new(0);
                    for_each_block(100, INSTALL_GATE, |index| {
                        total.fetch_add(index, Relaxed);
                    });
                    assert_eq!(total.into_inner(), 4950);
                    assert_eq!(run(|| join(FORK_GATE, || 1, || 2)), (1, 2));
                });
            }
        });
    }

    #[test]
    fn a_pool_has_the_threads_asked_for() {
        let pool = Pool::with_threads(3).unwrap();
        assert_eq!(pool.threads(), 3);
        assert_eq!(pool.run(rayon::current_num_threads), 3);
    }
}
