//! Layer normalisation, a group at a time.

use super::float::Float;
use super::movement::made_contiguous;
use super::reduce;
use crate::failure::Failure;
use crate::memory::OutOfMemory;
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{contiguous, create};
use osnova_tensor::{DType, Device, LayerNorm, Meta, Tensor};

/// Elements a thread works on at a time, in whole groups.
const CHUNK: usize = 1 << 14;

simd_dispatch! {
    /// `out = (row − mean)²`.
    fn squares[S]<T>(row: &[T], mean: T, out: &mut [T]) where [T: Float] {
        for (out, &value) in out.iter_mut().zip(row) {
            let centred = value - mean;
            *out = centred * centred;
        }
    }

    /// `out = (row − mean) · factor`.
    fn normalise[S]<T>(row: &[T], mean: T, factor: T, out: &mut [T]) where [T: Float] {
        out.iter_mut().zip(row).for_each(|(out, &value)| *out = (value - mean) * factor);
    }

    /// `out = out · weight + bias`.
    fn affine[S]<T>(out: &mut [T], weight: &[T], bias: &[T]) where [T: Float] {
        for ((out, &weight), &bias) in out.iter_mut().zip(weight).zip(bias) {
            *out = *out * weight + bias;
        }
    }
}

/// A row whose squares overflow, in `f64`.
#[cold]
fn normalise_wide<T: Float>(row: &[T], epsilon: f64, out: &mut [T]) {
    let count = row.len() as f64;
    let mean = row.iter().map(|value| value.wide()).sum::<f64>() / count;
    let variance = row.iter().map(|value| (value.wide() - mean).powi(2)).sum::<f64>() / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    out.iter_mut().zip(row).for_each(|(out, value)| *out = T::from_f64((value.wide() - mean) * factor));
}

pub(crate) fn layer_norm(
    parallel: &Parallel,
    device: Device,
    attributes: &LayerNorm,
    inputs: &[Tensor],
    meta: &Meta,
) -> Result<Tensor, Failure> {
    match meta.dtype {
        DType::F32 => Ok(layer_norm_of::<f32>(parallel, device, attributes, inputs, meta)?),
        DType::F64 => Ok(layer_norm_of::<f64>(parallel, device, attributes, inputs, meta)?),
        _ => Err(Failure::Unknown("layer_norm")),
    }
}

fn layer_norm_of<T: Float>(
    parallel: &Parallel,
    device: Device,
    attributes: &LayerNorm,
    inputs: &[Tensor],
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    let whole = inputs.iter().map(|input| made_contiguous(parallel, device, input.clone()));
    let whole: Vec<Tensor> = whole.collect::<Result<_, _>>()?;
    let source = contiguous::<T>(&whole[0]).unwrap_or(&[]);
    let scale = whole.get(1).and_then(contiguous::<T>).zip(whole.get(2).and_then(contiguous::<T>));
    let width: usize = meta.shape[meta.shape.rank() - attributes.axes..].iter().product();
    let count = T::from_f64(width as f64);
    let epsilon = T::from_f64(attributes.epsilon.get());
    create::<T>(device, meta, |out| {
        if out.is_empty() {
            return;
        }
        parallel.chunks(out, CHUNK.div_ceil(width) * width, 0.6, |start, out| {
            for (row, out) in source[start..].chunks(width).zip(out.chunks_mut(width)) {
                let mean = reduce::sum(row) / count;
                squares(row, mean, out);
                let variance = reduce::sum(out) / count;
                if variance.magnitude() < T::HIGHEST {
                    let factor = T::from_f64(1.0 / (variance + epsilon).wide().sqrt());
                    normalise(row, mean, factor, out);
                } else {
                    normalise_wide(row, attributes.epsilon.get(), out);
                }
                if let Some((weight, bias)) = scale {
                    affine(out, weight, bias);
                }
            }
        });
    })
}
