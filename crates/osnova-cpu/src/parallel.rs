//! Work split among threads in fixed pieces, so that the number of threads changes no bit of any result.

/// The threads of one device.
#[derive(Debug)]
pub(crate) struct Parallel {}

impl Parallel {
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Calls `work(start, piece)` for pieces of `chunk` elements of `out`. `cost` is a rough price in nanoseconds an element.
    pub(crate) fn chunks<T: Send>(
        &self,
        out: &mut [T],
        chunk: usize,
        cost: f64,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let _ = cost;
        for (number, piece) in out.chunks_mut(chunk.max(1)).enumerate() {
            work(number * chunk, piece);
        }
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
        let _ = cost;
        let pieces = first.chunks_mut(chunk.max(1)).zip(second.chunks_mut((chunk * width).max(1)));
        for (number, (first, second)) in pieces.enumerate() {
            work(number * chunk, first, second);
        }
    }

    /// Calls `work` for each item. `cost` is a rough price in nanoseconds of all of them.
    pub(crate) fn items<I: Send>(&self, items: Vec<I>, cost: f64, work: impl Fn(I) + Sync) {
        let _ = cost;
        items.into_iter().for_each(work);
    }
}
