//! Tensors from nothing: full, arange, random.

use crate::memory::OutOfMemory;
use crate::native::{Native, with_native};
use crate::parallel::Parallel;
use crate::storage::create;
use half::{bf16, f16};
use osnova_tensor::random::{Distribution, Stream, fill_f32, fill_f64};
use osnova_tensor::{DType, Device, Meta, Scalar, Tensor};

/// Random numbers a thread makes at a time: a multiple of the four in a block.
const CHUNK: usize = 1024;

/// What a number costs a thread, in nanoseconds: measured in a step of a variational autoencoder and in dropout.
fn cost(distribution: Distribution) -> f64 {
    match distribution {
        Distribution::Normal { .. } => 12.0,
        _ => 2.0,
    }
}

pub(crate) fn full(device: Device, value: Scalar, meta: &Meta) -> Result<Tensor, OutOfMemory> {
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        out.fill(if T::FLOAT { <T as Native>::from_f64(value.to_f64()) } else { <T as Native>::from_i64(value.to_i64()) });
    }))
}

pub(crate) fn arange(device: Device, start: Scalar, step: Scalar, meta: &Meta) -> Result<Tensor, OutOfMemory> {
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        for (index, slot) in out.iter_mut().enumerate() {
            *slot = if T::FLOAT {
                <T as Native>::from_f64(start.to_f64() + index as f64 * step.to_f64())
            } else {
                <T as Native>::from_i64(start.to_i64().wrapping_add((index as i64).wrapping_mul(step.to_i64())))
            };
        }
    }))
}

pub(crate) fn random(
    parallel: &Parallel,
    device: Device,
    distribution: Distribution,
    stream: Stream,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    /// The numbers are made as `f32` and converted.
    fn through_f32<T: Native>(
        parallel: &Parallel,
        device: Device,
        meta: &Meta,
        distribution: Distribution,
        stream: Stream,
        convert: impl Fn(f32) -> T + Sync,
    ) -> Result<Tensor, OutOfMemory> {
        create::<T>(device, meta, |out| {
            parallel.chunks(out, CHUNK, cost(distribution), |start, out| {
                let mut values = [0.0; CHUNK];
                let values = &mut values[..out.len()];
                fill_f32(distribution, meta.dtype, stream, start, values);
                out.iter_mut().zip(values).for_each(|(slot, value)| *slot = convert(*value));
            });
        })
    }
    match meta.dtype {
        DType::F64 => create::<f64>(device, meta, |out| {
            parallel
                .chunks(out, CHUNK, 1.5 * cost(distribution), |start, out| fill_f64(distribution, stream, start, out));
        }),
        DType::F16 => through_f32(parallel, device, meta, distribution, stream, f16::from_f32),
        DType::BF16 => through_f32(parallel, device, meta, distribution, stream, bf16::from_f32),
        DType::Bool => {
            through_f32(parallel, device, meta, distribution, stream, |value| crate::native::Truth::from(value != 0.0))
        }
        _ => create::<f32>(device, meta, |out| {
            parallel.chunks(out, CHUNK, cost(distribution), |start, out| {
                fill_f32(distribution, DType::F32, stream, start, out)
            });
        }),
    }
}
