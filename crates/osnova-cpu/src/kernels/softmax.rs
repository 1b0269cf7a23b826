//! Softmax and log-softmax over the last axis: a row at a time, while it is in the first-level cache.

use super::float::Float;
use super::movement;
use crate::memory::OutOfMemory;
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{contiguous, create, writable};
use osnova_tensor::{DType, Device, Meta, Tensor};

/// Elements a thread works on at a time, in whole rows.
const CHUNK: usize = 1 << 14;
/// Partial sums kept side by side.
const LANES: usize = 16;
/// Maxima kept side by side: more, since a maximum takes one instruction and its result comes four cycles later.
const WIDE: usize = 64;

simd_dispatch! {
    /// The largest element that is not NaN, −∞ if there is none: enough for a shift, since a NaN in the row makes its
    /// exponential NaN whatever the shift.
    pub(crate) fn largest[S]<T>(row: &[T]) -> T where [T: Float] {
        let mut lanes = [T::LOWEST; WIDE];
        let larger = |a: T, b: T| if b > a { b } else { a };
        if row.len() < WIDE {
            return row.iter().fold(T::LOWEST, |largest, &value| larger(largest, value));
        }
        for block in row.chunks_exact(WIDE) {
            for lane in 0..WIDE {
                lanes[lane] = larger(lanes[lane], block[lane]);
            }
        }
        // Overlaps the block before: an element seen twice changes nothing.
        let last = &row[row.len() - WIDE..];
        for lane in 0..WIDE {
            lanes[lane] = larger(lanes[lane], last[lane]);
        }
        let mut width = WIDE / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = larger(lanes[lane], lanes[lane + width]);
            }
            width /= 2;
        }
        lanes[0]
    }

    /// [`exponentials`] of at most [`SWEEP`] elements.
    fn sweep[S]<T>(row: &[T], shift: T, out: &mut [T]) -> T where [T: Float] {
        let mut lanes = [T::ZERO; LANES];
        let whole = row.len() / LANES * LANES;
        for (row, out) in row[..whole].chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
            for lane in 0..LANES {
                out[lane] = (row[lane] - shift).exp_of_nonpositive::<S>();
                lanes[lane] += out[lane];
            }
        }
        for ((lane, &value), out) in lanes.iter_mut().zip(&row[whole..]).zip(&mut out[whole..]) {
            *out = (value - shift).exp_of_nonpositive::<S>();
            *lane += *out;
        }
        collapse(lanes)
    }

    /// [`sum_of_exponentials`] of at most [`SWEEP`] elements.
    fn sum_of_sweep[S]<T>(row: &[T], shift: T) -> T where [T: Float] {
        let mut lanes = [T::ZERO; LANES];
        let mut chunks = row.chunks_exact(LANES);
        for row in &mut chunks {
            for lane in 0..LANES {
                lanes[lane] += (row[lane] - shift).exp_of_nonpositive::<S>();
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += (value - shift).exp_of_nonpositive::<S>();
        }
        collapse(lanes)
    }

    /// `values ← values · factor`.
    pub(crate) fn scale[S]<T>(values: &mut [T], factor: T) where [T: Float] {
        values.iter_mut().for_each(|value| *value = *value * factor);
    }

    /// `out = (row − shift) − logarithm`: in this order, since the sum of both may lose all of the logarithm.
    fn subtract[S]<T>(row: &[T], shift: T, logarithm: T, out: &mut [T]) where [T: Float] {
        out.iter_mut().zip(row).for_each(|(out, &value)| *out = (value - shift) - logarithm);
    }
}

/// Elements whose exponentials are summed in the lanes; longer rows add up such sums in `f64`, or the lanes would lose what small
/// terms add.
const SWEEP: usize = 2048;

/// `out = exp(row − shift)` for a shift not below any element; gives the sum.
pub(crate) fn exponentials<T: Float>(row: &[T], shift: T, out: &mut [T]) -> T {
    if row.len() <= SWEEP {
        return sweep(row, shift, out);
    }
    let sweeps = row.chunks(SWEEP).zip(out.chunks_mut(SWEEP));
    T::from_f64(sweeps.map(|(row, out)| sweep(row, shift, out).wide()).sum())
}

/// `Σ exp(row − shift)` for a shift not below any element.
pub(crate) fn sum_of_exponentials<T: Float>(row: &[T], shift: T) -> T {
    if row.len() <= SWEEP {
        return sum_of_sweep(row, shift);
    }
    T::from_f64(row.chunks(SWEEP).map(|row| sum_of_sweep(row, shift).wide()).sum())
}

#[inline(always)]
fn collapse<T: Float>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// A natural logarithm outside any loop.
pub(crate) fn ln<T: Float>(value: T) -> T {
    let mut result = [T::ZERO];
    crate::vector::ln(&[value], &mut result);
    result[0]
}

fn softmax_row<T: Float>(row: &[T], out: &mut [T]) {
    let sum = exponentials(row, largest(row), out);
    scale(out, T::ONE / sum);
}

fn log_softmax_row<T: Float>(row: &[T], out: &mut [T]) {
    let maximum = largest(row);
    subtract(row, maximum, ln(sum_of_exponentials(row, maximum)), out);
}

/// Softmax (or its logarithm) over the last axis; `None` for a dtype without a kernel.
pub(crate) fn softmax(
    parallel: &Parallel,
    device: Device,
    input: Tensor,
    logarithm: bool,
    meta: &Meta,
) -> Result<Option<Tensor>, OutOfMemory> {
    fn typed<T: Float>(
        parallel: &Parallel,
        device: Device,
        input: Tensor,
        logarithm: bool,
        meta: &Meta,
    ) -> Result<Tensor, OutOfMemory> {
        let mut input = movement::made_contiguous(parallel, device, input)?;
        let width = meta.shape[meta.shape.rank() - 1].max(1);
        let chunk = CHUNK.div_ceil(width) * width;
        // A thread keeps a copy of the row aside; not of one that is longer than what it works on at a time.
        if width <= CHUNK
            && let Some(out) = writable::<T>(&mut input)
        {
            parallel.chunks(out, chunk, 0.8, |_, out| {
                let mut copy = vec![T::ZERO; width];
                for row in out.chunks_mut(width) {
                    copy.copy_from_slice(row);
                    if logarithm { log_softmax_row(&copy, row) } else { softmax_row(&copy, row) }
                }
            });
            return Ok(input);
        }
        let source = contiguous::<T>(&input).unwrap_or(&[]);
        create::<T>(device, meta, |out| {
            parallel.chunks(out, chunk, 0.8, |start, out| {
                for (row, out) in source[start..].chunks(width).zip(out.chunks_mut(width)) {
                    if logarithm { log_softmax_row(row, out) } else { softmax_row(row, out) }
                }
            });
        })
    }
    match meta.dtype {
        DType::F32 => typed::<f32>(parallel, device, input, logarithm, meta).map(Some),
        DType::F64 => typed::<f64>(parallel, device, input, logarithm, meta).map(Some),
        _ => Ok(None),
    }
}
