//! The matrix product.

use crate::Number::{self, Float, Int};
use crate::array::Array;
use osnova_tensor::{Meta, Shape};

/// `[…, m, k] × […, k, n] → […, m, n]`; `output` describes the result.
pub(crate) fn matmul(left: &Array, right: &Array, output: &Meta) -> Vec<Number> {
    let zero = if output.dtype.is_float() { Float(0.0) } else { Int(0) };
    let output = &output.shape;
    let rank = output.rank();
    let (rows, columns) = (output[rank - 2], output[rank - 1]);
    let inner = left.shape()[left.shape().rank() - 1];
    let batch: usize = output[..rank - 2].iter().product();
    let (left, right) = (matrices(left, output, [rows, inner]), matrices(right, output, [inner, columns]));

    let mut values = Vec::with_capacity(output.count());
    for matrix in 0..batch {
        for row in 0..rows {
            for column in 0..columns {
                let product = |at: usize| {
                    left[(matrix * rows + row) * inner + at].times(right[(matrix * inner + at) * columns + column])
                };
                values.push((0..inner).map(product).fold(zero, Number::plus));
            }
        }
    }
    values
}

/// A side's matrices, repeated to the batch axes of the output.
fn matrices(side: &Array, output: &Shape, sizes: [usize; 2]) -> Vec<Number> {
    let mut dims = output.to_vec();
    dims.truncate(output.rank() - 2);
    dims.extend(sizes);
    Shape::new(&dims).map(|shape| side.expanded(&shape)).unwrap_or_default()
}
