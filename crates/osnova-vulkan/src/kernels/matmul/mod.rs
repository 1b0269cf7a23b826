//! Products of matrices: matmul, and the linear layer with bias and activation in one pass.
//!
//! What is multiplied is brought to one form here, a [`Product`]; [`choice`] says how, [`dispatch`] records it.

mod choice;
mod cooperative;
mod dispatch;
#[cfg(test)]
mod tests;
mod tune;

use super::{create, elementwise, movement};
use crate::engine::{Engine, Place};
use crate::storage::view;
use crate::walk::Walk;
use choice::{Size, Way};
use osnova_tensor::{Activation, DType, Device, Layout, Meta, Result, Shape, SliceRange, Tensor};
use std::borrow::Cow;

pub(crate) use cooperative::Cooperative;
pub(crate) use tune::{Tuned, check_variable};

/// An operand of which neither stride is 1 is copied first if it has more elements than this: fewer are read from their
/// places faster than a copy is begun.
const COPIED_ABOVE: usize = 1 << 12;

/// One side of a product. Its lines are the rows of the left one, the columns of the right one.
#[derive(Clone, Copy, Debug)]
struct Operand {
    place: Place,
    line_stride: isize,
    inner_stride: isize,
    /// Whether neighbours in memory are neighbours along the inner axis, else along the lines.
    along_inner: bool,
    /// Whether it can be read in fours.
    fours: bool,
}

/// What is done to a result before it is stored.
#[derive(Clone, Copy, Debug)]
struct Finish {
    /// Where the bias lies, and its stride.
    bias: Option<(Place, isize)>,
    /// By its number among the functions of one tensor.
    activation: u32,
}

/// A product, ready to be computed.
#[derive(Clone, Debug)]
struct Product {
    dtype: DType,
    size: Size,
    left: Operand,
    right: Operand,
    /// The places of the matrices of a batch.
    walk: Walk<2>,
    finish: Finish,
}

pub(crate) fn matmul(engine: &Engine, device: Device, left: &Tensor, right: &Tensor, meta: &Meta) -> Result<Tensor> {
    if left.shape()[left.rank() - 1] == 0 {
        return create::full(engine, device, false.into(), meta);
    }
    multiply(engine, device, left, right, Finish { bias: None, activation: elementwise::IDENTITY }, meta)
}

/// `activation(x·Wᵀ + b)`.
pub(crate) fn linear(
    engine: &Engine,
    device: Device,
    inputs: &[Tensor],
    activation: Activation,
    meta: &Meta,
) -> Result<Tensor> {
    let (input, weight) = (&inputs[0], &inputs[1]);
    let transposed = view(weight, weight.layout().permute(&[1, 0]));
    let bias = match inputs.get(2) {
        Some(bias) => Some((engine.input(bias)?, bias.layout().strides()[0])),
        None => None,
    };
    let activation = elementwise::activation_number(activation)
        .ok_or_else(|| engine.unsupported(activation.name(), Some(meta.dtype)))?;
    let finish = Finish { bias, activation };
    if input.rank() > 1 {
        return multiply(engine, device, input, &transposed, finish, meta);
    }
    // A vector is a matrix of one row.
    let row = |tensor: &Tensor, shape: &Shape| Some(view(tensor, tensor.layout().reshape(shape)?));
    let wide = Meta::new(Shape::new(&[1, meta.shape[0]])?, meta.dtype);
    let matrix = row(input, &Shape::new(&[1, input.count()])?);
    let matrix = matrix.ok_or_else(|| engine.unsupported("linear of this layout", Some(meta.dtype)))?;
    let output = multiply(engine, device, &matrix, &transposed, finish, &wide)?;
    Ok(view(&output, Layout::contiguous(meta.shape)))
}

fn multiply(
    engine: &Engine,
    device: Device,
    left: &Tensor,
    right: &Tensor,
    finish: Finish,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    if meta.shape.count() == 0 {
        return Ok(output);
    }
    let (left, right) = (readable(engine, device, left)?, readable(engine, device, right)?);
    let product = product(engine, &left, &right, finish, meta)?;
    let way = Way::by_shape(product.size, dispatch::computed_bytes(product.dtype), product.dtype.is_float());
    let way = match way {
        way if engine.cooperative.takes(engine, device, &product, way) => Way::Cooperative,
        Way::Tiles { tile, part } if part >= product.size.inner && tune::is_worthwhile(engine, &product) => {
            Way::Tiles { tile: engine.tuned.tile(engine, device, &product, tile, &output)?, part }
        }
        way => way,
    };
    product.run(engine, device, way, &output)?;
    Ok(output)
}

/// A tensor whose matrices can be read along one of their axes, copied if need be.
fn readable<'t>(engine: &Engine, device: Device, tensor: &'t Tensor) -> Result<Cow<'t, Tensor>> {
    let axes = tensor.rank() - 2..tensor.rank();
    let strides = tensor.layout().strides();
    let scattered = axes.into_iter().all(|axis| tensor.shape()[axis] > 1 && strides[axis].abs() > 1);
    if scattered && tensor.count() > COPIED_ABOVE {
        return movement::made_contiguous(engine, device, tensor.clone()).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(tensor))
}

/// The layout of an operand with its leading axes repeated to those of the output.
fn repeated(tensor: &Tensor, meta: &Meta) -> Result<Layout> {
    let (rank, leading) = (tensor.rank(), meta.shape.rank() - 2);
    let mut dims = meta.shape.to_vec();
    dims[leading..].copy_from_slice(&tensor.shape()[rank - 2..]);
    Ok(tensor.layout().expand(&Shape::new(&dims)?).unwrap_or(*tensor.layout()))
}

/// One matrix, of the rows of all matrices of a batch; none where they do not lie evenly, or have no elements.
fn joined(layout: &Layout) -> Option<Layout> {
    let (shape, rank) = (layout.shape(), layout.shape().rank());
    let inner = shape[rank - 1];
    layout.reshape(&Shape::new(&[shape.count().checked_div(inner)?, inner]).ok()?)
}

/// What is multiplied, in one form. The output is not empty.
fn product(engine: &Engine, left: &Tensor, right: &Tensor, finish: Finish, meta: &Meta) -> Result<Product> {
    let rank = meta.shape.rank();
    let (mut left_layout, mut right_layout) = (repeated(left, meta)?, repeated(right, meta)?);
    let (mut rows, columns) = (meta.shape[rank - 2], meta.shape[rank - 1]);
    let inner = left.shape()[left.rank() - 1];
    // Where all matrices on the left meet the same one on the right, they are one tall matrix.
    let one_right = right.shape()[..right.rank() - 2].iter().all(|&dim| dim == 1);
    if rank > 2
        && one_right
        && let (Some(tall), Some(matrix)) = (joined(&left_layout), joined(right.layout()))
    {
        rows = tall.shape()[0];
        (left_layout, right_layout) = (tall, matrix);
    }
    let right_layout = transposed(&right_layout);
    let batch_rank = left_layout.shape().rank() - 2;
    let batch = Shape::new(&left_layout.shape()[..batch_rank])?;
    let firsts = [first_elements(&left_layout, &batch)?, first_elements(&right_layout, &batch)?];
    let size = Size {
        batches: engine.count(batch.count())?,
        rows: engine.count(rows)?,
        columns: engine.count(columns)?,
        inner: engine.count(inner)?,
    };
    Ok(Product {
        dtype: meta.dtype,
        size,
        left: operand(engine, left, &left_layout)?,
        right: operand(engine, right, &right_layout)?,
        walk: Walk::new(&batch, [&firsts[0], &firsts[1]]),
        finish,
    })
}

/// A layout with its last two axes swapped.
fn transposed(layout: &Layout) -> Layout {
    let rank = layout.shape().rank();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    layout.permute(&axes)
}

/// The first element of each matrix of a batch.
fn first_elements(layout: &Layout, batch: &Shape) -> Result<Layout> {
    if layout.shape().count() == 0 {
        return Ok(Layout::contiguous(*batch));
    }
    let rank = layout.shape().rank();
    let range =
        |axis: usize, dim: usize| SliceRange { start: 0, length: if axis + 2 < rank { dim } else { 1 }, step: 1 };
    let ranges: Vec<SliceRange> = layout.shape().iter().enumerate().map(|(axis, &dim)| range(axis, dim)).collect();
    let firsts = layout.slice(&ranges);
    Ok(firsts.reshape(batch).unwrap_or(firsts))
}

/// An operand whose lines are the last but one axis of `layout`.
fn operand(engine: &Engine, tensor: &Tensor, layout: &Layout) -> Result<Operand> {
    let place = engine.input(tensor)?;
    let (shape, strides) = (layout.shape(), layout.strides());
    let rank = shape.rank();
    // The stride of an axis of size 1 is never used.
    let stride = |axis: usize| if shape[axis] > 1 { strides[axis] } else { 0 };
    let (line_stride, inner_stride) = (stride(rank - 2), stride(rank - 1));
    let along_inner = match (shape[rank - 2] > 1, shape[rank - 1] > 1) {
        (true, true) => inner_stride.abs() < line_stride.abs(),
        (lines, _) => !lines,
    };
    let along = if along_inner { rank - 1 } else { rank - 2 };
    let fours = tensor.dtype().size() <= 4
        && strides[along] == 1
        && shape[along].is_multiple_of(4)
        && place.start.is_multiple_of(4)
        && (0..rank).all(|axis| axis == along || stride(axis) % 4 == 0);
    Ok(Operand { place, line_stride, inner_stride, along_inner, fours })
}
