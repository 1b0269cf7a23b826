//! Products of a matrix with a single vector: a stream through the matrix, at the speed of the memory.

use super::{Batch, Element, Finish, Operand, Product};
use crate::memory::{OutOfMemory, vec_for};
use crate::pool;
use crate::simd_dispatch;

/// Results that one block computes.
const BLOCK: usize = 64;
/// Weighted rows that are added one after another; then their sum to those of the rows before. A single running sum would
/// lose the small terms of a long product.
const ROWS: usize = 1024;
/// What a thread streams through from the second-level cache; sets which products are worth a fork.
const BYTES_A_NANOSECOND: usize = 40;

/// Whether the kernels can read a matrix (inner × outputs): one of its axes must be contiguous, the other forwards.
pub(super) fn can_run<T>(matrix: &Operand<'_, T>) -> bool {
    (matrix.row_stride == 1 && matrix.column_stride >= 0) || (matrix.column_stride == 1 && matrix.row_stride >= 0)
}

/// One row times a matrix.
pub(super) fn vector_matrix<T: Element>(
    product: Product,
    left: Operand<'_, T>,
    right: Operand<'_, T>,
    batches: &[Batch],
    finish: Finish<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    let shape = (product.inner, product.columns);
    run(shape, (left, left.column_stride), right, batches.iter().copied(), output, |run, first| {
        finish.apply(run, first)
    })
}

/// A matrix times one column.
pub(super) fn matrix_vector<T: Element>(
    product: Product,
    left: Operand<'_, T>,
    right: Operand<'_, T>,
    batches: &[Batch],
    finish: Finish<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    let batches = batches.iter().map(|&(left, right)| (right, left));
    let shape = (product.inner, product.rows);
    run(shape, (right, right.row_stride), left.transposed(), batches, output, |run, _| {
        if let Some(bias) = finish.bias {
            run.iter_mut().for_each(|value| *value = *value + bias[0]);
        }
        if let Some(activation) = finish.activation {
            activation(run);
        }
    })
}

/// `output = vector · matrix` for a matrix of `inner` rows and `outputs` columns.
fn run<T: Element>(
    (inner, outputs): (usize, usize),
    (vector, stride): (Operand<'_, T>, isize),
    matrix: Operand<'_, T>,
    batches: impl Iterator<Item = Batch>,
    output: &mut [T],
    finish: impl Fn(&mut [T], usize) + Sync,
) -> Result<(), OutOfMemory> {
    let nanoseconds = inner.saturating_mul(outputs).saturating_mul(size_of::<T>()) / BYTES_A_NANOSECOND;
    let mut gathered = if stride == 1 { Vec::new() } else { vec_for(inner)? };
    for (output, (vector_start, matrix_start)) in output.chunks_mut(outputs).zip(batches) {
        let vector = if stride == 1 {
            &vector.elements[vector_start..vector_start + inner]
        } else {
            gathered.clear();
            let at = |index: usize| (vector_start as isize + index as isize * stride) as usize;
            gathered.extend((0..inner).map(|index| vector.elements[at(index)]));
            &gathered[..]
        };
        let matrix_elements = &matrix.elements[matrix_start..];
        pool::for_each_chunk(output, BLOCK, nanoseconds, |index, chunk| {
            let first = index * BLOCK;
            if matrix.row_stride == 1 {
                let stride = matrix.column_stride as usize;
                T::dots(vector, &matrix_elements[first * stride..], stride, chunk);
            } else {
                combine(vector, &matrix_elements[first..], matrix.row_stride as usize, chunk);
            }
            finish(chunk, first);
        });
    }
    Ok(())
}

simd_dispatch! {
    /// The rows of `matrix`, which start every `stride` elements, weighted by `x` and summed: as many columns at a time
    /// as the registers hold.
    fn combine[S]<T>(x: &[T], matrix: &[T], stride: usize, output: &mut [T]) where [T: Element] {
        #[inline(always)]
        fn columns<S: crate::dispatch::InstructionSet, T: Element, const WIDTH: usize>(
            x: &[T],
            matrix: &[T],
            stride: usize,
            output: &mut [T],
        ) {
            let mut totals = [T::ZERO; WIDTH];
            for (block, x) in x.chunks(ROWS).enumerate() {
                let mut sums = [T::ZERO; WIDTH];
                for (row, &x) in x.iter().enumerate() {
                    let start = (block * ROWS + row) * stride;
                    let values = &matrix[start..start + WIDTH];
                    for lane in 0..WIDTH {
                        sums[lane] = x.mul_add::<S>(values[lane], sums[lane]);
                    }
                }
                for lane in 0..WIDTH {
                    totals[lane] = totals[lane] + sums[lane];
                }
            }
            output.copy_from_slice(&totals);
        }

        let mut first = 0;
        while output.len() - first >= 64 {
            columns::<S, T, 64>(x, &matrix[first..], stride, &mut output[first..first + 64]);
            first += 64;
        }
        while output.len() - first >= 16 {
            columns::<S, T, 16>(x, &matrix[first..], stride, &mut output[first..first + 16]);
            first += 16;
        }
        while first < output.len() {
            columns::<S, T, 1>(x, &matrix[first..], stride, &mut output[first..first + 1]);
            first += 1;
        }
    }
}
