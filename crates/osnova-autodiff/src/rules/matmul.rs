//! The matrix product.

use super::shape::sum_to;
use super::{Rule, SHAPES, X, Y, two};
use osnova_tensor::{Result, Tensor};

/// C = A·B: dA = G·Bᵀ, dB = Aᵀ·G, summed over batch axes that were repeated.
pub(super) fn rule() -> Rule {
    two(
        (Y | SHAPES, |g, of| sum_to(g.matmul(&of.y().t()?)?, of.shape(0))),
        (X | SHAPES, |g, of| {
            let (x, shape) = (of.x(), of.shape(1));
            if shape.rank() == 2 && x.shape()[..x.rank() - 2] == g.shape()[..g.rank() - 2] {
                // One matrix for the whole batch: the batch is summed by the product itself.
                return rows(x)?.t()?.matmul(&rows(&g)?);
            }
            sum_to(x.t()?.matmul(&g)?, shape)
        }),
    )
}

/// All axes but the last as one.
pub(super) fn rows(tensor: &Tensor) -> Result<Tensor> {
    let columns = tensor.size(-1)?;
    let rows = tensor.dims()[..tensor.rank() - 1].iter().product::<usize>();
    tensor.reshape([rows, columns])
}
