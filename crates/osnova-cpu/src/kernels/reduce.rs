//! Many elements to few: sums, products, extremes, their positions, running sums.
//!
//! Every reduction is a fixed tree over the elements, set by the shape alone: the same bits at any number of threads, and
//! an error that grows with the logarithm of the length.

use super::tiles::{Stored, Walk};
use crate::memory::Buffer;
use crate::native::{Native, Number, with_native};
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{create, elements};
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
) -> Tensor {
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| match kind {
        Reduction::Sum => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Sum),
        Reduction::Prod => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Prod),
        Reduction::Max => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Max),
        Reduction::Min => reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Min),
    }))
}

/// The mean along `axes` of `f32` or `f64`.
pub(crate) fn mean(parallel: &Parallel, device: Device, input: &Tensor, axes: &[usize], meta: &Meta) -> Tensor {
    let count: usize = axes.iter().map(|&axis| input.shape()[axis]).product();
    fn divided<T: Stored>(parallel: &Parallel, input: &Tensor, axes: &[usize], out: &mut [T], count: usize) {
        reduce_into(parallel, elements::<T>(input), input.layout(), axes, out, Sum);
        let count = T::Compute::from_f64(count as f64);
        out.iter_mut().for_each(|value| *value = T::store(value.load().div(count)));
    }
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| divided(parallel, input, axes, out, count)))
}

/// Reduces `layout` along `axes` into `out`.
fn reduce_into<T: Stored, K: Combine<T::Compute>>(
    parallel: &Parallel,
    source: &[T],
    layout: &Layout,
    axes: &[usize],
    out: &mut [T],
    kind: K,
) {
    if out.is_empty() {
        return;
    }
    if layout.shape().count() == 0 {
        return out.fill(T::store(K::START));
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
        return;
    }
    // About one sweep's work, at least, for each thread.
    let chunk = (16 * LEAF).div_ceil(length);
    parallel.chunks(out, chunk, 0.15 * length as f64, |start, out| {
        let mut scratch = Vec::new();
        kept.runs(start, out.len(), {
            let mut slots = out.iter_mut();
            let gone = &gone;
            move |position, count, stride| {
                for (step, slot) in slots.by_ref().take(count).enumerate() {
                    let position = (position as isize + step as isize * stride) as usize;
                    *slot = T::store(piece(source, gone, position, 0, length, &mut scratch, kind));
                }
            }
        });
    });
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
    scratch: &mut Vec<T>,
    kind: K,
) -> T::Compute {
    let even = walk.single_run(length);
    if even == Some(1) {
        return run(&source[(base as isize + start as isize) as usize..][..length], kind);
    }
    // Gathered first, so that the tree is the one of a contiguous run.
    scratch.clear();
    walk.runs_from(base, start, length, |position, count, stride| {
        scratch.extend((0..count as isize).map(|step| source[(position as isize + step * stride) as usize]));
    });
    run(scratch, kind)
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
    let mut partial = vec![K::START; length.div_ceil(WHOLE)];
    parallel.chunks(&mut partial, 1, 0.15 * WHOLE as f64, |first, partial| {
        let mut scratch = Vec::new();
        for (number, slot) in partial.iter_mut().enumerate() {
            let start = (first + number) * WHOLE;
            *slot = piece(source, walk, base, start, WHOLE.min(length - start), &mut scratch, kind);
        }
    });
    tree(&mut partial, |left, right| K::combine(*left, *right))
}

/// Combines neighbours until one is left.
fn tree<C: Copy>(values: &mut [C], combine: impl Fn(&C, &C) -> C) -> C {
    let mut count = values.len();
    while count > 1 {
        for index in 0..count / 2 {
            values[index] = combine(&values[2 * index], &values[2 * index + 1]);
        }
        if count % 2 == 1 {
            values[count / 2] = values[count - 1];
        }
        count = count.div_ceil(2);
    }
    values[0]
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
) {
    let gone = gone.at_zero();
    let width = kept.inner_size();
    if out.len() == width && length >= 4 * ROWS && width * length > WHOLE {
        // One block of columns: the rows are shared among the threads, in bands of fixed height.
        let band = ROWS * length.div_ceil(ROWS * 32);
        let bands = length.div_ceil(band);
        let mut buffer = Buffer::new(bands * width * size_of::<T::Compute>());
        let partial = buffer.as_mut_slice::<T::Compute>();
        partial.fill(K::START);
        parallel.chunks(partial, width, 0.1 * (band * width) as f64, |start, partial| {
            for (number, partial) in partial.chunks_mut(width).enumerate() {
                let first = (start / width + number) * band;
                rows_into(source, &gone, kept.position(0), first, band.min(length - first), partial, kind);
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
        return;
    }
    // Strips of a row, so that partial results stay in the first-level cache.
    let strip = width.min(2048);
    parallel.chunks(out, width, 0.1 * (length * width) as f64, |start, out| {
        let mut partial = vec![K::START; strip];
        for (number, out) in out.chunks_mut(width).enumerate() {
            let base = kept.position(start + number * width);
            for (part, out) in out.chunks_mut(strip).enumerate() {
                let partial = &mut partial[..out.len()];
                partial.fill(K::START);
                rows_into(source, &gone, base + part * strip, 0, length, partial, kind);
                out.iter_mut().zip(partial).for_each(|(slot, value)| *slot = T::store(*value));
            }
        }
    });
}

/// Absorbs rows `first..first + count` (their starts walked by `gone` from `base`) into `partial`, by a tree over [`ROWS`] at a time.
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
fn for_lanes(layout: &Layout, axis: usize, mut lane: impl FnMut(usize, usize, isize)) {
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

pub(crate) fn arg_reduce(device: Device, kind: ArgReduction, input: &Tensor, axis: usize, meta: &Meta) -> Tensor {
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

pub(crate) fn cumulative_sum(device: Device, input: &Tensor, axis: usize, reverse: bool, meta: &Meta) -> Tensor {
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        type C = <T as Stored>::Compute;
        let source = elements::<T>(input);
        let size = meta.shape[axis];
        let inner: usize = meta.shape[axis + 1..].iter().product();
        for_lanes(input.layout(), axis, |number, start, stride| {
            let first = number / inner * inner * size + number % inner;
            let mut sum = C::ZERO;
            for step in 0..size {
                let index = if reverse { size - 1 - step } else { step };
                sum = sum.add(source[(start as isize + index as isize * stride) as usize].load());
                out[first + index * inner] = T::store(sum);
            }
        });
    }))
}

/// The tree of this file over a contiguous slice of floats, for kernels that sum as they go.
pub(crate) fn sum<T: Stored>(input: &[T]) -> T::Compute {
    run(input, Sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Truth;

    #[test]
    fn a_long_sum_is_accurate() {
        let values: Vec<f32> = (0..1_000_003).map(|index| (index % 7) as f32 * 0.1).collect();
        let exact: f64 = values.iter().map(|&value| value as f64).sum();
        assert!((sum(&values) as f64 - exact).abs() / exact < 1e-6);
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
