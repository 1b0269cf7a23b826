//! Products of integers (or whatever can be multiplied and added), by plain loops.

use super::{Batch, Operand, Product};
use crate::pool;

/// `output[b] = left[b] · right[b]` for every batch `b`, from `zero` by `multiply_add(sum, left, right)`.
///
/// # Panics
/// If a matrix leaves its operand's elements, or the output has another length than the shape demands.
pub fn matmul_with<T: Copy + Send + Sync>(
    product: Product,
    left: Operand<'_, T>,
    right: Operand<'_, T>,
    batches: &[Batch],
    zero: T,
    multiply_add: impl Fn(T, T, T) -> T + Sync,
    output: &mut [T],
) {
    let Product { rows, inner, columns } = product;
    assert_eq!(Some(output.len()), product.results(batches.len()), "the output holds every result");
    if output.is_empty() {
        return;
    }
    output.fill(zero);
    if inner == 0 {
        return;
    }
    for &(left_start, right_start) in batches {
        left.check(left_start, rows, inner);
        right.check(right_start, inner, columns);
    }
    let nanoseconds = product.multiply_adds().saturating_mul(batches.len());
    pool::for_each_chunk(output, columns, nanoseconds, |index, output| {
        let (left_start, right_start) = batches[index / rows];
        let left_start = left_start as isize + (index % rows) as isize * left.row_stride;
        for step in 0..inner as isize {
            let weight = left.elements[(left_start + step * left.column_stride) as usize];
            let start = right_start as isize + step * right.row_stride;
            if right.column_stride == 1 {
                let values = &right.elements[start as usize..start as usize + columns];
                for (sum, &value) in output.iter_mut().zip(values) {
                    *sum = multiply_add(*sum, weight, value);
                }
            } else {
                for (column, sum) in output.iter_mut().enumerate() {
                    let at = (start + column as isize * right.column_stride) as usize;
                    *sum = multiply_add(*sum, weight, right.elements[at]);
                }
            }
        }
    });
}
