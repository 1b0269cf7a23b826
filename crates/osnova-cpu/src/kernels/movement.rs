//! Elements copied, not changed: contiguous, pad, concat. By width, whatever the dtype.

use super::tiles::Walk;
use crate::memory::{OutOfMemory, vec_for};
use crate::native::{Native, with_native, with_width};
use crate::parallel::Parallel;
use crate::storage::{contiguous as contiguous_elements, create, elements, writable};
use bytemuck::Pod;
use osnova_tensor::{DType, Device, HostData, Layout, MAX_RANK, Meta, Scalar, Tensor};

/// Elements a thread copies at a time.
const CHUNK: usize = 1 << 15;

/// A row-major copy of any layout.
pub(crate) fn contiguous(
    parallel: &Parallel,
    device: Device,
    input: &Tensor,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    with_width!(meta.dtype, T => create::<T>(device, meta, |out| copy(parallel, elements(input), input.layout(), out)))
}

/// The tensor itself if its elements lie row-major, else a copy in which they do.
pub(crate) fn made_contiguous(parallel: &Parallel, device: Device, input: Tensor) -> Result<Tensor, OutOfMemory> {
    if input.layout().is_contiguous() {
        return Ok(input);
    }
    contiguous(parallel, device, &input, &Meta::new(*input.shape(), input.dtype()))
}

/// The tensor itself if this is its last handle, so that it may be written to, else a copy.
pub(crate) fn owned<T: Native>(parallel: &Parallel, device: Device, mut tensor: Tensor) -> Result<Tensor, OutOfMemory> {
    if writable::<T>(&mut tensor).is_some() {
        return Ok(tensor);
    }
    let meta = Meta::new(*tensor.shape(), tensor.dtype());
    create::<T>(device, &meta, |out| copy(parallel, elements(&tensor), tensor.layout(), out))
}

/// The elements of a tensor in host memory, row-major; none where a truth value is neither 0 nor 1.
pub(crate) fn to_host(parallel: &Parallel, tensor: &Tensor) -> Result<Option<HostData>, OutOfMemory> {
    fn values<T: Pod + Send + Sync>(parallel: &Parallel, tensor: &Tensor) -> Result<Vec<T>, OutOfMemory> {
        let mut values = vec_for(tensor.count())?;
        match contiguous_elements(tensor) {
            Some(elements) => values.extend_from_slice(elements),
            None => {
                values.resize(tensor.count(), T::zeroed());
                copy(parallel, elements(tensor), tensor.layout(), &mut values);
            }
        }
        Ok(values)
    }
    Ok(Some(match tensor.dtype() {
        DType::F32 => HostData::F32(values(parallel, tensor)?),
        DType::F64 => HostData::F64(values(parallel, tensor)?),
        DType::F16 => HostData::F16(values(parallel, tensor)?),
        DType::BF16 => HostData::BF16(values(parallel, tensor)?),
        DType::I64 => HostData::I64(values(parallel, tensor)?),
        DType::I32 => HostData::I32(values(parallel, tensor)?),
        DType::U32 => HostData::U32(values(parallel, tensor)?),
        DType::U8 => HostData::U8(values(parallel, tensor)?),
        DType::Bool => {
            let bytes = values::<u8>(parallel, tensor)?;
            if bytes.iter().any(|&byte| byte > 1) {
                return Ok(None);
            }
            let mut truths = vec_for(bytes.len())?;
            truths.extend(bytes.iter().map(|&byte| byte == 1));
            HostData::Bool(truths)
        }
    }))
}

/// Copies the elements of `layout`, row-major, into `out`.
pub(crate) fn copy<T: Pod + Send + Sync>(parallel: &Parallel, source: &[T], layout: &Layout, out: &mut [T]) {
    if layout.is_contiguous() {
        let source = &source[layout.offset()..][..out.len()];
        parallel.chunks(out, CHUNK, 0.3, |start, out| out.copy_from_slice(&source[start..][..out.len()]));
        return;
    }
    let walk = Walk::new(layout);
    parallel.chunks(out, CHUNK, 1.0, |start, out| {
        let length = out.len();
        let mut done = 0;
        walk.runs(start, length, |position, count, stride| {
            let out = &mut out[done..done + count];
            done += count;
            match stride {
                1 => out.copy_from_slice(&source[position..][..count]),
                0 => out.fill(source[position]),
                _ => {
                    let mut at = position as isize;
                    for slot in out {
                        *slot = source[at as usize];
                        at += stride;
                    }
                }
            }
        });
    });
}

pub(crate) fn pad(
    parallel: &Parallel,
    device: Device,
    input: &Tensor,
    padding: &[(usize, usize)],
    value: Scalar,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        let value = match value {
            Scalar::Int(value) if !T::FLOAT => <T as Native>::from_i64(value),
            value => <T as Native>::from_f64(value.to_f64()),
        };
        out.fill(value);
        let starts: Vec<usize> = padding.iter().map(|&(before, _)| before).collect();
        insert(parallel, elements(input), input.layout(), out, meta.shape.dims(), &starts);
    }))
}

pub(crate) fn concat(
    parallel: &Parallel,
    device: Device,
    inputs: &[Tensor],
    axis: usize,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    with_width!(meta.dtype, T => create::<T>(device, meta, |out| {
        let mut starts = [0; MAX_RANK];
        for input in inputs {
            insert(parallel, elements(input), input.layout(), out, meta.shape.dims(), &starts[..meta.shape.rank()]);
            starts[axis] += input.shape()[axis];
        }
    }))
}

/// Copies the elements of `layout` into a box of `out` (row-major, of sizes `dims`) that begins at `starts`.
fn insert<T: Pod + Send + Sync>(
    parallel: &Parallel,
    source: &[T],
    layout: &Layout,
    out: &mut [T],
    dims: &[usize],
    starts: &[usize],
) {
    let shape = layout.shape();
    if shape.count() == 0 {
        return;
    }
    // The innermost axes that are copied whole make one run with the axis outside them.
    let mut axis = shape.rank();
    let mut run = 1;
    while axis > 0 {
        axis -= 1;
        run *= shape[axis];
        if shape[axis] != dims[axis] {
            break;
        }
    }
    if run == out.len() {
        return copy(parallel, source, layout, out);
    }
    let walk = Walk::new(layout);
    let mut flat = 0;
    let mut index = [0; MAX_RANK];
    while flat < shape.count() {
        let position = (0..shape.rank()).fold(0, |position, at| position * dims[at] + index[at] + starts[at]);
        let target = &mut out[position..position + run];
        let mut done = 0;
        walk.runs(flat, run, |position, count, stride| {
            let mut at = position as isize;
            for slot in &mut target[done..done + count] {
                *slot = source[at as usize];
                at += stride;
            }
            done += count;
        });
        flat += run;
        for at in (0..axis).rev() {
            index[at] += 1;
            if index[at] < shape[at] {
                break;
            }
            index[at] = 0;
        }
    }
}
