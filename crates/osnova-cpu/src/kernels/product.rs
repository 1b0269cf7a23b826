//! Products: matmul and the fused linear layer, in terms of [`crate::gemm`].

use super::elementwise::{UnaryKernels, activation};
use super::float::Float;
use super::movement::made_contiguous;
use crate::failure::Failure;
use crate::gemm::{self, Batch, Element, Finish, Operand, Product};
use crate::memory::{OutOfMemory, vec_for};
use crate::native::Number;
use crate::parallel::Parallel;
use crate::storage::{contiguous, create, elements, try_create};
use half::{bf16, f16};
use osnova_tensor::{Activation, DType, Device, Layout, Meta, SliceRange, Tensor};

/// One side of a product: the strides of its matrices, and where each of them starts.
fn side<'a, T: bytemuck::Pod>(tensor: &'a Tensor, layout: &Layout) -> Operand<'a, T> {
    let strides = layout.strides();
    let rank = layout.shape().rank();
    Operand { elements: elements(tensor), row_stride: strides[rank - 2], column_stride: strides[rank - 1] }
}

/// The layout of one side with its leading axes repeated to those of the output.
fn repeated(tensor: &Tensor, meta: &Meta) -> Layout {
    let (shape, rank) = (tensor.shape(), tensor.rank());
    let mut dims = meta.shape.to_vec();
    let leading = dims.len() - 2;
    dims[leading..].copy_from_slice(&shape[rank - 2..]);
    let expanded = osnova_tensor::Shape::new(&dims).ok().and_then(|shape| tensor.layout().expand(&shape));
    expanded.unwrap_or(*tensor.layout())
}

/// Where each matrix of a layout starts.
fn starts(layout: &Layout) -> impl Iterator<Item = usize> {
    let rank = layout.shape().rank();
    let first =
        |axis: usize, &size: &usize| SliceRange { start: 0, length: if axis + 2 < rank { size } else { 1 }, step: 1 };
    let ranges: Vec<SliceRange> = layout.shape().iter().enumerate().map(|(axis, size)| first(axis, size)).collect();
    layout.slice(&ranges).positions()
}

pub(crate) fn matmul(device: Device, left: &Tensor, right: &Tensor, meta: &Meta) -> Result<Tensor, OutOfMemory> {
    let rank = meta.shape.rank();
    let product =
        Product { rows: meta.shape[rank - 2], inner: left.shape()[left.rank() - 1], columns: meta.shape[rank - 1] };
    if product.inner == 0 || meta.shape.count() == 0 {
        return super::create::full(device, false.into(), meta);
    }
    let layouts = (repeated(left, meta), repeated(right, meta));
    let mut batches = vec_for::<Batch>(meta.shape.count() / (product.rows * product.columns))?;
    batches.extend(starts(&layouts.0).zip(starts(&layouts.1)));
    macro_rules! floats {
        ($T:ty) => {
            try_create::<$T>(device, meta, |out| {
                let sides = (side::<$T>(left, &layouts.0), side(right, &layouts.1));
                gemm::matmul(product, sides.0, sides.1, &batches, Finish::NOTHING, out)
            })
        };
    }
    macro_rules! halves {
        ($T:ty) => {
            try_create::<$T>(device, meta, |out| {
                let sides = (side::<$T>(left, &layouts.0), side(right, &layouts.1));
                gemm::matmul_half(product, sides.0, sides.1, &batches, Finish::NOTHING, out)
            })
        };
    }
    macro_rules! integers {
        ($T:ty) => {
            try_create::<$T>(device, meta, |out| {
                let sides = (side::<$T>(left, &layouts.0), side(right, &layouts.1));
                let multiply_add = |sum: $T, x: $T, y: $T| Number::add(sum, Number::mul(x, y));
                gemm::matmul_with(product, sides.0, sides.1, &batches, 0, multiply_add, out);
                Ok(())
            })
        };
    }
    match meta.dtype {
        DType::F32 => floats!(f32),
        DType::F64 => floats!(f64),
        DType::F16 => halves!(f16),
        DType::BF16 => halves!(bf16),
        DType::I64 => integers!(i64),
        DType::I32 => integers!(i32),
        DType::U32 => integers!(u32),
        // `bool` does not pass inference.
        DType::U8 | DType::Bool => integers!(u8),
    }
}

/// `activation(x·Wᵀ + b)` of `f32` or `f64`.
pub(crate) fn linear(
    parallel: &Parallel,
    device: Device,
    inputs: &[Tensor],
    activation: Activation,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    match meta.dtype {
        DType::F32 => linear_of::<f32>(parallel, device, inputs, activation, meta),
        DType::F64 => linear_of::<f64>(parallel, device, inputs, activation, meta),
        _ => Err(Failure::Unknown("linear")),
    }
}

fn linear_of<T: Float + Element + UnaryKernels>(
    parallel: &Parallel,
    device: Device,
    inputs: &[Tensor],
    activation: Activation,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    let (input, weight) = (&inputs[0], &inputs[1]);
    let product = Product {
        rows: meta.shape.count() / weight.dims()[0].max(1),
        inner: weight.dims()[1],
        columns: weight.dims()[0],
    };
    let activate = in_place::<T>(activation)?;
    if meta.shape.count() == 0 {
        return Ok(create::<T>(device, meta, |_| {})?);
    }
    // Leading axes are one batch of rows; only a matrix may keep its strides.
    let copy;
    let whole = if input.rank() == 2 || input.layout().is_contiguous() {
        input
    } else {
        copy = made_contiguous(parallel, device, input.clone())?;
        &copy
    };
    let left = match whole.rank() {
        2 => side::<T>(whole, whole.layout()),
        _ => Operand { elements: elements(whole), row_stride: product.inner as isize, column_stride: 1 },
    };
    let strides = weight.layout().strides();
    let right = Operand { elements: elements(weight), row_stride: strides[1], column_stride: strides[0] };
    let gathered;
    let bias = match inputs.get(2) {
        Some(bias) if !bias.layout().is_contiguous() => {
            gathered = made_contiguous(parallel, device, bias.clone())?;
            Some(&gathered)
        }
        bias => bias,
    };
    let finish = Finish {
        bias: bias.and_then(contiguous::<T>),
        activation: activate.as_deref().map(|activate| activate as &(dyn Fn(&mut [T]) + Sync)),
    };
    let product = try_create::<T>(device, meta, |out| {
        let batch = (whole.layout().offset(), weight.layout().offset());
        gemm::matmul(product, left, right, &[batch], finish, out)
    });
    Ok(product?)
}

/// What changes a run of elements where it lies.
type InPlace<T> = Box<dyn Fn(&mut [T]) + Sync>;

/// Elements an activation copies aside at a time.
const COPY: usize = 256;

/// An activation on a run of elements in place; `None` where there is nothing to do.
fn in_place<T: Float + UnaryKernels>(kind: Activation) -> Result<Option<InPlace<T>>, Failure> {
    match kind {
        Activation::Identity => return Ok(None),
        Activation::Relu => return Ok(Some(Box::new(relu))),
        _ => {}
    }
    let (kernel, _) = activation::<T>(kind).ok_or(Failure::Unknown(kind.name()))?;
    Ok(Some(Box::new(move |run| {
        let mut copy = [T::ZERO; COPY];
        for piece in run.chunks_mut(COPY) {
            let copy = &mut copy[..piece.len()];
            copy.copy_from_slice(piece);
            kernel(copy, piece);
        }
    })))
}

crate::simd_dispatch! {
    fn relu[S]<T>(run: &mut [T]) where [T: Float] {
        run.iter_mut().for_each(|value| *value = value.positive());
    }
}
