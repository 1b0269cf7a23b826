//! Tensors from nothing: full, arange, random.

use crate::engine::Engine;
use half::{bf16, f16};
use osnova_tensor::random::{Distribution, Stream, fill_f32, fill_f64};
use osnova_tensor::{DType, Device, HostData, Meta, Result, Scalar, Tensor};

/// The bytes of one element, repeated to eight.
fn pattern(value: Scalar, dtype: DType) -> [u32; 2] {
    let data = if dtype.is_float() || dtype == DType::Bool {
        HostData::from_f64(dtype, &[value.to_f64()])
    } else {
        return repeat(&value.to_i64().to_le_bytes()[..dtype.size()]);
    };
    repeat(data.as_bytes())
}

fn repeat(element: &[u8]) -> [u32; 2] {
    let bytes: [u8; 8] = std::array::from_fn(|index| element[index % element.len()]);
    bytemuck::cast(bytes)
}

/// A tensor of one value, written as words: the bytes after its last element are never read.
pub(crate) fn full(engine: &Engine, device: Device, value: Scalar, meta: &Meta) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let bytes = meta.shape.count() * meta.dtype.size();
    let count = engine.count(bytes.div_ceil(4))?;
    let [low, high] = pattern(value, meta.dtype);
    engine.shader("fill").bind(&engine.output(&output)?).words(&[count, low, high]).elements(count)?;
    Ok(output)
}

/// Made on the host: the steps are f64, which few GPUs compute quickly and some not at all.
pub(crate) fn arange(engine: &Engine, device: Device, start: Scalar, step: Scalar, meta: &Meta) -> Result<Tensor> {
    // First: what the device cannot hold, the host should not try to make.
    let output = engine.create(device, meta)?;
    let indices = 0..meta.shape.count();
    let data = if meta.dtype.is_float() {
        let (start, step) = (start.to_f64(), step.to_f64());
        HostData::from_f64(meta.dtype, &indices.map(|index| start + index as f64 * step).collect::<Vec<_>>())
    } else {
        let (start, step) = (start.to_i64(), step.to_i64());
        let values = indices.map(|index| start.wrapping_add((index as i64).wrapping_mul(step)));
        match meta.dtype {
            DType::I64 => HostData::I64(values.collect()),
            DType::I32 => HostData::I32(values.map(|value| value as i32).collect()),
            DType::U32 => HostData::U32(values.map(|value| value as u32).collect()),
            _ => HostData::U8(values.map(|value| value as u8).collect()),
        }
    };
    engine.write(&output, data.as_bytes())?;
    Ok(output)
}

/// Made on the host from the same stream as everywhere, then uploaded.
pub(crate) fn random(
    engine: &Engine,
    device: Device,
    distribution: Distribution,
    stream: Stream,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let count = meta.shape.count();
    let data = if meta.dtype == DType::F64 {
        let mut values = vec![0.0; count];
        fill_f64(distribution, stream, 0, &mut values);
        HostData::F64(values)
    } else {
        let mut values = vec![0.0; count];
        fill_f32(distribution, stream, 0, &mut values);
        match meta.dtype {
            DType::F16 => HostData::F16(values.into_iter().map(f16::from_f32).collect()),
            DType::BF16 => HostData::BF16(values.into_iter().map(bf16::from_f32).collect()),
            DType::Bool => HostData::Bool(values.into_iter().map(|value| value != 0.0).collect()),
            _ => HostData::F32(values),
        }
    };
    engine.write(&output, data.as_bytes())?;
    Ok(output)
}
