//! Many elements to few: sums, products, extremes, their positions, running sums.
//!
//! Every reduction is a fixed tree over the elements, set by the shape alone: the same bits at any number of threads, and
//! an error that grows with the logarithm of the length.

use super::tiles::{Stored, Walk};
use crate::memory::{Buffer, OutOfMemory};
use crate::native::{Native, Number, with_native};
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{create, elements, try_create};
use osnova_tensor::{ArgReduction, Device, Layout, Meta, Reduction, SliceRange, Tensor};

/// Elements summed in one sweep before the tree begins. 16 lanes of 64 keep the error small and the loop wide.
const LEAF: usize = 1024;
/// Partial results kept side by side in a sweep: two vectors of eight `f32`, enough to hide an addition's latency when four are in flight.
const LANES: usize = 32;
/// Rows added one after another before the tree begins.
const ROWS: usize = 64;

/// How a reduction combines.
pub(crate) trait Combine<C>: Copy + Send + Sync {
    const START: C;
    fn combine(left: C, right: C) -> C;
}

macro_rules! combine {
    ($($name:ident, $start:ident, $method:ident;)*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        impl<C: Number> Combine<C> for $name {
            const START: C = C::$start;
            #[inline(always)]
            fn combine(left: C, right: C) -> C { C::$method(left, right) }
        }
    )*};
}
combine! {
    Sum, ZERO, add;
    Prod, ONE, mul;
    Max, LOWEST, max;
    Min, HIGHEST, min;
}

simd_dispatch! {
    /// One sweep over at most [`LEAF`] elements, in lanes.
    fn sweep[S]<T, K>(input: &[T], kind: K) -> T::Compute where [T: Stored, K: Combine<T::Compute>] {
        let _ = kind;
        let mut lanes = [K::START; LANES];
        let mut chunks = input.chunks_exact(LANES);
        for chunk in &mut chunks {
            for lane in 0..LANES {
                lanes[lane] = K::combine(lanes[lane], chunk[lane].load());
            }
        }
        for (lane, value) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane = K::combine(*lane, value.load());
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = K::combine(lanes[lane], lanes[lane + width]);
            }
            width /= 2;
        }
        lanes[0]
    }

    /// Each of `out` combined with the element beside it.
    fn absorb[S]<T, K>(row: &[T], out: &mut [T::Compute], kind: K) where [T: Stored, K: Combine<T::Compute>] {
        let _ = kind;
        for (slot, value) in out.iter_mut().zip(row) {
            *slot = K::combine(*slot, value.load());
        }
    }

    /// Four rows at once: the partial results are read and written a quarter as often.
    fn absorb_four[S]<T, K>(rows: [&[T]; 4], out: &mut [T::Compute], kind: K) where [T: Stored, K: Combine<T::Compute>] {
        let _ = kind;
        let rows = rows.map(|row| &row[..out.len()]);
        for index in 0..out.len() {
            let pair = |first: usize| K::combine(rows[first][index].load(), rows[first + 1][index].load());
            out[index] = K::combine(out[index], K::combine(pair(0), pair(2)));
        }
    }

    /// Each of `out` combined with the partial result beside it.
    fn merge[S]<C, K>(other: &[C], out: &mut [C], kind: K) where [C: Number, K: Combine<C>] {
        let _ = kind;
        for (slot, &value) in out.iter_mut().zip(other) {
            *slot = K::combine(*slot, value);
        }
    }
}

/// The reduction of a contiguous run by a balanced tree over sweeps.
pub(crate) fn run<T: Stored, K: Combine<T::Compute>>(input: &[T], kind: K) -> T::Compute {
    if input.len() <= LEAF {
        return sweep(input, kind);
    }
    // The left half is a power of two of sweeps: the same tree for the same length.
    let half = input.len().div_ceil(2).next_power_of_two();
    let half = if half == input.len() { half / 2 } else { half };
    let (left, right) = input.split_at(half);
    K::combine(run(left, kind), run(right, kind))
}

/// The layout split in two: one over the axes that stay, one over those that go (from position 0).
fn split(layout: &Layout, axes: &[usize]) -> (Layout, Layout) {
    let part = |reduced: bool| {
        let ranges: Vec<SliceRange> = layout
            .shape()
            .iter()
            .enumerate()
            .map(|(axis, &size)| SliceRange {
                start: 0,
                length: if axes.contains(&axis) == reduced { size } else { usize::from(size > 0) },
                step: 1,
            })
            .collect();
        layout.slice(&ranges)
    };
    (part(false), part(true))
}

pub(crate) fn reduce(
    parallel: &Parallel,
    device: Device,
    kind: Reduction,
    input: &Tensor,
    axes: &[usize],
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    with_native!(meta.dtype, T => try_create::<T>(device, meta, |out| match kind {
        Reduction::Sum => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Sum),
        Reduction::Prod => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Prod),
        Reduction::Max => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Max),
        Reduction::Min => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Min),
    }))
}

/// The mean along `axes` of `f32` or `f64`.
pub(crate) fn mean(
    parallel: &Parallel,
    device: Device,
    input: &Tensor,
    axes: &[usize],
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    let count: usize = axes.iter().map(|&axis| input.shape()[axis]).product();
    with_native!(meta.dtype, T => try_create::<T>(device, meta, |out| {
        reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Sum)?;
        let count = <T as Stored>::Compute::from_f64(count as f64);
        out.iter_mut().for_each(|value| *value = T::store(value.load().div(count)));
        Ok(())
    }))
}

/// Reduces `layout` along `axes` into `out`.
fn reduce_into<T: Stored, K: Combine<T::Compute>>(
    parallel: &Parallel,
    source: &[T],
    layout: &Layout,
    axes: &[usize],
    out: &mut [T],
    kind: K,
) -> Result<(), OutOfMemory> {
    if out.is_empty() {
        return Ok(());
    }
    if layout.shape().count() == 0 {
        out.fill(T::store(K::START));
        return Ok(());
    }
    let (kept, gone) = split(layout, axes);
    let length = gone.shape().count();
    let (kept, gone) = (Walk::new(&kept), Walk::new(&gone));
    if kept.inner_stride() == 1 && gone.inner_stride() != 1 && kept.inner_size() > 1 {
        return columns(parallel, source, &kept, &gone, length, out, kind);
    }
    let gone = gone.at_zero();
    if length > WHOLE && out.len() < 8 {
        // Few long reductions: the pieces of each are shared among the threads.
        for (index, slot) in out.iter_mut().enumerate() {
            *slot = T::store(long(parallel, source, &gone, kept.position(index), length, kind));
        }
        return Ok(());
    }
    // About one sweep's work, at least, for each thread.
    let chunk = (16 * LEAF).div_ceil(length);
    parallel.chunks(out, chunk, 0.15 * length as f64, |start, out| {
        let mut gathered = [T::default(); LEAF];
        kept.runs(start, out.len(), {
            let mut slots = out.iter_mut();
            let (gone, gathered) = (&gone, &mut gathered);
            move |position, count, stride| {
                for (step, slot) in slots.by_ref().take(count).enumerate() {
                    let position = (position as isize + step as isize * stride) as usize;
                    *slot = T::store(piece(source, gone, position, 0, length, gathered, kind));
                }
            }
        });
    });
    Ok(())
}

/// Elements of one reduction above which it is cut into pieces for the threads.
const WHOLE: usize = 1 << 16;

/// The reduction of elements `start..start + length` of a walk that begins at `base`.
fn piece<T: Stored, K: Combine<T::Compute>>(
    source: &[T],
    walk: &Walk,
    base: usize,
    start: usize,
    length: usize,
    gathered: &mut [T; LEAF],
    kind: K,
) -> T::Compute {
    if walk.single_run() == Some(1) {
        return run(&source[base + start..][..length], kind);
    }
    // A sweep's elements at a time are gathered first, so that the tree is the one of a contiguous run.
    let mut leaf = |start: usize, length: usize| {
        let mut known = 0;
        walk.runs_from(base, start, length, |position, count, stride| {
            gather(source, position, stride, &mut gathered[known..known + count]);
            known += count;
        });
        sweep(&gathered[..known], kind)
    };
    if length <= LEAF {
        return leaf(start, length);
    }
    let mut tree = Tree::new(kind);
    let end = start + length;
    (start..end).step_by(LEAF).for_each(|start| tree.add(leaf(start, LEAF.min(end - start))));
    tree.whole()
}

/// Evenly spaced elements of `source`.
fn gather<T: Copy>(source: &[T], position: usize, stride: isize, out: &mut [T]) {
    match stride {
        1 => out.copy_from_slice(&source[position..][..out.len()]),
        0 => out.fill(source[position]),
        _ => {
            let at = |step: usize| (position as isize + step as isize * stride) as usize;
            out.iter_mut().enumerate().for_each(|(step, slot)| *slot = source[at(step)]);
        }
    }
}

/// One long reduction: fixed pieces, then a tree over their results.
fn long<T: Stored, K: Combine<T::Compute>>(
    parallel: &Parallel,
    source: &[T],
    walk: &Walk,
    base: usize,
    length: usize,
    kind: K,
) -> T::Compute {
    let mut tree = Tree::new(kind);
    let mut results = [K::START; PIECES];
    let pieces = length.div_ceil(WHOLE);
    for group in (0..pieces).step_by(PIECES) {
        let results = &mut results[..PIECES.min(pieces - group)];
        parallel.chunks(results, 1, 0.15 * WHOLE as f64, |first, results| {
            let mut gathered = [T::default(); LEAF];
            for (number, slot) in results.iter_mut().enumerate() {
                let start = (group + first + number) * WHOLE;
                *slot = piece(source, walk, base, start, WHOLE.min(length - start), &mut gathered, kind);
            }
        });
        results.iter().for_each(|&result| tree.add(result));
    }
    tree.whole()
}

/// Pieces of a long reduction whose results are kept side by side, however many there are.
const PIECES: usize = 1 << 10;

/// A balanced tree over results that come one after another: neighbours are combined, and neighbours of these, the left part
/// of each always a power of two of them. So it is the tree of [`run`], for as little memory as its height.
struct Tree<C, K> {
    kind: K,
    /// The whole subtrees so far, from the largest to the smallest: a bit of `count` is set for each.
    parts: [C; usize::BITS as usize],
    height: usize,
    count: usize,
}

impl<C: Number, K: Combine<C>> Tree<C, K> {
    fn new(kind: K) -> Self {
        Self { kind, parts: [K::START; usize::BITS as usize], height: 0, count: 0 }
    }

    fn add(&mut self, mut result: C) {
        for _ in 0..self.count.trailing_ones() {
            self.height -= 1;
            result = K::combine(self.parts[self.height], result);
        }
        self.parts[self.height] = result;
        self.height += 1;
        self.count += 1;
    }

    fn whole(self) -> C {
        let _ = self.kind;
        let parts = self.parts[..self.height].iter().rev().copied();
        parts.reduce(|right, left| K::combine(left, right)).unwrap_or(K::START)
    }
}

/// Reduces down columns: whole rows are absorbed into a row of partial results.
fn columns<T: Stored, K: Combine<T::Compute>>(
    parallel: &Parallel,
    source: &[T],
    kept: &Walk,
    gone: &Walk,
    length: usize,
    out: &mut [T],
    kind: K,
) -> Result<(), OutOfMemory> {
    let gone = gone.at_zero();
    let width = kept.inner_size();
    if out.len() == width && length >= 4 * ROWS && width * length > WHOLE {
        return bands(parallel, source, kept, &gone, length, out, kind);
    }
    parallel.chunks(out, width, 0.1 * (length * width) as f64, |start, out| {
        let mut partial = vec![K::START; width.min(STRIP)];
        for (number, out) in out.chunks_mut(width).enumerate() {
            let base = kept.position(start + number * width);
            for (part, out) in out.chunks_mut(STRIP).enumerate() {
                let partial = &mut partial[..out.len()];
                partial.fill(K::START);
                rows_into(source, &gone, base + part * STRIP, 0, length, partial, kind);
                out.iter_mut().zip(partial).for_each(|(slot, value)| *slot = T::store(*value));
            }
        }
    });
    Ok(())
}

/// Columns of which partial results are kept side by side: they stay in the first-level cache.
const STRIP: usize = 2048;

/// One block of columns: its rows are shared among the threads, in bands of fixed height.
fn bands<T: Stored, K: Combine<T::Compute>>(
    parallel: &Parallel,
    source: &[T],
    kept: &Walk,
    gone: &Walk,
    length: usize,
    out: &mut [T],
    kind: K,
) -> Result<(), OutOfMemory> {
    let width = out.len();
    let band = ROWS * length.div_ceil(ROWS * 32);
    let bands = length.div_ceil(band);
    let mut buffer = Buffer::of::<T::Compute>(bands * width)?;
    let partial = buffer.as_mut_slice::<T::Compute>();
    partial.fill(K::START);
    parallel.chunks(partial, width, 0.1 * (band * width) as f64, |start, partial| {
        for (number, partial) in partial.chunks_mut(width).enumerate() {
            let first = (start / width + number) * band;
            for (part, partial) in partial.chunks_mut(STRIP).enumerate() {
                let base = kept.position(0) + part * STRIP;
                rows_into(source, gone, base, first, band.min(length - first), partial, kind);
            }
        }
    });
    let mut count = bands;
    while count > 1 {
        for index in 0..count / 2 {
            let (left, right) = partial.split_at_mut((2 * index + 1) * width);
            merge(&right[..width], &mut left[2 * index * width..], kind);
            partial.copy_within(2 * index * width..(2 * index + 1) * width, index * width);
        }
        if count % 2 == 1 {
            partial.copy_within((count - 1) * width..count * width, count / 2 * width);
        }
        count = count.div_ceil(2);
    }
    out.iter_mut().zip(partial).for_each(|(slot, value)| *slot = T::store(*value));
    Ok(())
}

/// Absorbs rows `first..first + count` (their starts walked by `gone` from `base`) into at most [`STRIP`] partial results, by a
/// tree over [`ROWS`] at a time.
fn rows_into<T: Stored, K: Combine<T::Compute>>(
    source: &[T],
    gone: &Walk,
    base: usize,
    first: usize,
    count: usize,
    partial: &mut [T::Compute],
    kind: K,
) {
    if count > ROWS {
        let half = count.div_ceil(2).next_multiple_of(ROWS);
        let half = if half >= count { ROWS } else { half };
        rows_into(source, gone, base, first, half, partial, kind);
        let mut right = vec![K::START; partial.len()];
        rows_into(source, gone, base, first + half, count - half, &mut right, kind);
        merge(&right, partial, kind);
        return;
    }
    let width = partial.len();
    let mut starts = [0; ROWS];
    let mut known = 0;
    gone.runs_from(base, first, count, |position, count, stride| {
        for step in 0..count as isize {
            starts[known] = (position as isize + step * stride) as usize;
            known += 1;
        }
    });
    let mut fours = starts[..known].chunks_exact(4);
    for four in &mut fours {
        absorb_four([four[0], four[1], four[2], four[3]].map(|start| &source[start..][..width]), partial, kind);
    }
    for &start in fours.remainder() {
        absorb(&source[start..][..width], partial, kind);
    }
}

/// Calls `lane(first output position, positions of the lane's elements)` for each lane along `axis`.
pub(crate) fn for_lanes(layout: &Layout, axis: usize, mut lane: impl FnMut(usize, usize, isize)) {
    let strides = layout.strides();
    let whole: Vec<SliceRange> = layout
        .shape()
        .iter()
        .enumerate()
        .map(|(at, &size)| SliceRange {
            start: 0,
            length: if at == axis { usize::from(size > 0) } else { size },
            step: 1,
        })
        .collect();
    let starts = layout.slice(&whole);
    for (number, position) in starts.positions().enumerate() {
        lane(number, position, strides[axis]);
    }
}

pub(crate) fn arg_reduce(
    device: Device,
    kind: ArgReduction,
    input: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    with_native!(input.dtype(), T => create::<i64>(device, meta, |out| {
        let source = elements::<T>(input);
        let size = input.shape()[axis];
        for_lanes(input.layout(), axis, |number, start, stride| {
            let at = |index: usize| source[(start as isize + index as isize * stride) as usize];
            let mut best = 0;
            for index in 1..size {
                let (value, champion) = (at(index), at(best));
                let better = match kind {
                    _ if champion.is_not_a_number() => false,
                    ArgReduction::Max => value > champion || value.is_not_a_number(),
                    ArgReduction::Min => value < champion || value.is_not_a_number(),
                };
                if better {
                    best = index;
                }
            }
            out[number] = best as i64;
        });
    }))
}

/// Running sums along `axis`. Those of floats are kept in `f64` and rounded one by one: in `f32`, a sum of millions of terms
/// loses what the small ones add.
pub(crate) fn cumulative_sum(
    device: Device,
    input: &Tensor,
    axis: usize,
    reverse: bool,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        if <T as Native>::FLOAT {
            running_sums(input, axis, reverse, out, 0.0, |sum: f64, value: T| sum + value.to_f64(), T::from_f64);
        } else {
            running_sums(input, axis, reverse, out, T::default().load(), |sum, value| sum.add(value.load()), T::store);
        }
    }))
}

fn running_sums<T: Native, C: Copy>(
    input: &Tensor,
    axis: usize,
    reverse: bool,
    out: &mut [T],
    zero: C,
    add: impl Fn(C, T) -> C,
    rounded: impl Fn(C) -> T,
) {
    let source = elements::<T>(input);
    let dims = input.dims();
    let (size, inner) = (dims[axis], dims[axis + 1..].iter().product::<usize>());
    for_lanes(input.layout(), axis, |number, start, stride| {
        let first = number / inner * inner * size + number % inner;
        let mut sum = zero;
        for step in 0..size {
            let index = if reverse { size - 1 - step } else { step };
            sum = add(sum, source[(start as isize + index as isize * stride) as usize]);
            out[first + index * inner] = rounded(sum);
        }
    });
}

/// The tree of this file over a contiguous slice of floats, for kernels that sum as they go.
pub(crate) fn sum<T: Stored>(input: &[T]) -> T::Compute {
    run(input, Sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Truth;
    use osnova_tensor::Shape;

    #[test]
    #[cfg_attr(miri, ignore = "takes hours")]
    fn a_long_sum_is_accurate() {
        let values: Vec<f32> = (0..1_000_003).map(|index| (index % 7) as f32 * 0.1).collect();
        let exact: f64 = values.iter().map(|&value| value as f64).sum();
        assert!((sum(&values) as f64 - exact).abs() / exact < 1e-6);
    }

    /// Every element once, in the order of a contiguous run: a tree has the same bits whatever the layout.
    #[test]
    #[cfg_attr(miri, ignore = "takes hours")]
    fn layouts_do_not_change_the_tree() {
        let parallel = Parallel::shared();
        let values: Vec<f32> = (0..1_000_000).map(|index| (index % 1013) as f32 * 0.001 - 0.3).collect();
        let shapes = [[3, 100_000, 1], [2, 3, 70_000], [7, 1, 100_000], [300, 17, 41], [2, 1, 65_537]];
        for [a, b, c] in shapes {
            // One column is left out, so that the rows are no single run.
            let whole = Layout::contiguous(Shape::new(&[a, b, c + 1]).unwrap());
            let range = |length| SliceRange { start: 0, length, step: 1 };
            let layout = whole.slice(&[range(a), range(b), range(c)]);
            let gathered: Vec<f32> = layout.positions().map(|position| values[position]).collect();
            let mut total = [0.0f32];
            reduce_into(&parallel, &values, &layout, &[0, 1, 2], &mut total, Sum).unwrap();
            assert_eq!(total[0].to_bits(), run(&gathered, Sum).to_bits(), "{a}×{b}×{c}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes hours")]
    fn results_that_come_one_by_one_form_the_tree_of_a_run() {
        let values: Vec<f32> = (0..300 * LEAF).map(|index| ((index * 7919) % 1009) as f32 * 0.01).collect();
        for sweeps in (1..20).chain([100, 255, 256, 257, 300]) {
            let values = &values[..sweeps * LEAF];
            let mut tree = Tree::new(Sum);
            values.chunks(LEAF).for_each(|sweep| tree.add(run(sweep, Sum)));
            assert_eq!(tree.whole().to_bits(), run(values, Sum).to_bits(), "{sweeps}");
        }
    }

    #[test]
    fn extremes_keep_nan() {
        for at in [0, 1, 40, 2000] {
            let mut values = vec![1.0f32; 2001];
            values[at] = f32::NAN;
            assert!(run(&values, Max).is_nan() && run(&values, Min).is_nan());
        }
        assert_eq!(run::<Truth, _>(&[Truth(0), Truth(1)], Max), 1);
    }
}
