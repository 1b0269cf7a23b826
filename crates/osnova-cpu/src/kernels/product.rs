//! Products: matmul and the fused linear layer.

use super::elementwise;
use super::tiles::Stored;
use crate::native::{Native, Number, with_native};
use crate::parallel::Parallel;
use crate::storage::{create, elements};
use osnova_tensor::{Activation, Device, Layout, Meta, Tensor};

pub(crate) fn matmul(parallel: &Parallel, device: Device, left: &Tensor, right: &Tensor, meta: &Meta) -> Tensor {
    let _ = parallel;
    let rank = meta.shape.rank();
    let (m, n) = (meta.shape[rank - 2], meta.shape[rank - 1]);
    let k = left.dims()[left.rank() - 1];
    let expand = |tensor: &Tensor, rows: usize, columns: usize| -> Layout {
        let mut dims = meta.shape.to_vec();
        dims[rank - 2] = rows;
        dims[rank - 1] = columns;
        osnova_tensor::Shape::new(&dims)
            .ok()
            .and_then(|shape| tensor.layout().expand(&shape))
            .unwrap_or(*tensor.layout())
    };
    let (a, b) = (expand(left, m, k), expand(right, k, n));
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        type C = <T as Stored>::Compute;
        let (x, y) = (elements::<T>(left), elements::<T>(right));
        let a: Vec<usize> = a.positions().collect();
        let b: Vec<usize> = b.positions().collect();
        for (index, slot) in out.iter_mut().enumerate() {
            let (batch, row, column) = (index / (m * n), index / n % m, index % n);
            let mut sum = C::ZERO;
            for inner in 0..k {
                let left = x[a[batch * m * k + row * k + inner]].load();
                let right = y[b[batch * k * n + inner * n + column]].load();
                sum = sum.add(left.mul(right));
            }
            *slot = T::store(sum);
        }
    }))
}

pub(crate) fn linear(
    parallel: &Parallel,
    device: Device,
    inputs: &[Tensor],
    activation: Activation,
    meta: &Meta,
) -> Tensor {
    let _ = (parallel, device, inputs, activation, meta);
    unreachable!()
}
