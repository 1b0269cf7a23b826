//! Products of half-precision numbers: computed in `f32`, rounded once at the end.

use half::slice::HalfFloatSliceExt;

use super::{Batch, Finish, Operand, Product, matmul};
use crate::memory::{Buffer, OutOfMemory, vec_for};
use crate::pool;

/// Elements converted at a time.
const BLOCK: usize = 16 * 1024;

/// [`matmul`] for `f16` and `bf16`: sums, bias and activation in `f32`.
///
/// # Errors
/// Too little memory for the operands and the result in `f32`.
///
/// # Panics
/// As [`matmul`].
pub fn matmul_half<H: Copy + Send + Sync>(
    product: Product,
    left: Operand<'_, H>,
    right: Operand<'_, H>,
    batches: &[Batch],
    finish: Finish<'_, f32>,
    output: &mut [H],
) -> Result<(), OutOfMemory>
where
    [H]: HalfFloatSliceExt,
{
    let (lefts, rights) = (batches.iter().map(|batch| batch.0), batches.iter().map(|batch| batch.1));
    let (left_buffer, left_first) = widen(&left, lefts, product.rows, product.inner)?;
    let (right_buffer, right_first) = widen(&right, rights, product.inner, product.columns)?;
    let wide = |operand: &Operand<'_, H>, buffer| Operand {
        elements: buffer,
        row_stride: operand.row_stride,
        column_stride: operand.column_stride,
    };
    let mut moved = vec_for::<Batch>(batches.len())?;
    moved.extend(batches.iter().map(|&(left, right)| (left - left_first, right - right_first)));
    let mut result = Buffer::of::<f32>(output.len())?;
    let (left, right) = (wide(&left, left_buffer.as_slice()), wide(&right, right_buffer.as_slice()));
    matmul(product, left, right, &moved, finish, result.as_mut_slice())?;
    let result = result.as_slice::<f32>();
    pool::for_each_chunk(output, BLOCK, output.len() / 4, |index, output| {
        output.convert_from_f32_slice(&result[index * BLOCK..index * BLOCK + output.len()]);
    });
    Ok(())
}

/// The elements that the matrices touch, in `f32`, and the position of the first of them.
fn widen<H: Copy + Send + Sync>(
    operand: &Operand<'_, H>,
    starts: impl Iterator<Item = usize> + Clone,
    rows: usize,
    columns: usize,
) -> Result<(Buffer, usize), OutOfMemory>
where
    [H]: HalfFloatSliceExt,
{
    if rows == 0 || columns == 0 || starts.clone().next().is_none() {
        return Ok((Buffer::new(0)?, starts.min().unwrap_or(0)));
    }
    starts.clone().for_each(|start| operand.check(start, rows, columns));
    let ranges = || starts.clone().map(|start| operand.range(start, rows, columns));
    let first = ranges().map(|(first, _)| first).min().unwrap_or(0) as usize;
    let end = ranges().map(|(_, last)| last).max().unwrap_or(-1) as usize + 1;
    let source = &operand.elements[first..end];
    let mut buffer = Buffer::of::<f32>(source.len())?;
    pool::for_each_chunk(buffer.as_mut_slice::<f32>(), BLOCK, source.len() / 4, |index, chunk| {
        source[index * BLOCK..index * BLOCK + chunk.len()].convert_to_f32_slice(chunk);
    });
    Ok((buffer, first))
}
