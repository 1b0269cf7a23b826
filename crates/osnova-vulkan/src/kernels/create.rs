//! Tensors from nothing: full, arange, random.

use super::{shader, shader_by_width};
use crate::engine::Engine;
use osnova_tensor::random::{Distribution, Interval, Stream};
use osnova_tensor::{DType, Device, HostData, Meta, Result, Scalar, Tensor};
use smallvec::{SmallVec, smallvec};

/// The numbers of the distributions in `shaders/random.comp`.
const UNIFORM: u32 = 0;
const NORMAL: u32 = 1;
const BERNOULLI: u32 = 2;
/// Random numbers that a thread makes from a block of the stream (two blocks for f64).
const RANDOM_ELEMENTS: u32 = 4;
/// Up to here every integer is a float.
const EXACT_INTEGERS: f64 = 16_777_216.0;

fn halves(bits: u64) -> [u32; 2] {
    [bits as u32, (bits >> 32) as u32]
}

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

/// `start = first · 2^exponent` and `step = each · 2^exponent` for integers so small that `length` steps are exact in 32-bit floats.
fn as_integers(start: f64, step: f64, length: usize) -> Option<(i32, i32, i32)> {
    /// Powers of two that 32-bit floats hold, with room for the integers.
    const EXPONENTS: std::ops::RangeInclusive<i32> = -100..=100;
    // −0 + 0 is 0, and the device would have to know.
    if !start.is_finite() || !step.is_finite() || (start == 0.0 && start.is_sign_negative()) {
        return None;
    }
    // The power of two of a number's last bit.
    let last = |value: f64| {
        let bits = value.to_bits();
        let (power, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
        let (power, whole) = if power == 0 { (1, fraction) } else { (power, fraction | 1 << 52) };
        power - 1075 + whole.trailing_zeros() as i32
    };
    let exponent = [start, step].into_iter().filter(|&value| value != 0.0).map(last).min().unwrap_or(0);
    if !EXPONENTS.contains(&exponent) {
        return None;
    }
    let unit = 2f64.powi(exponent);
    let (first, each) = (start / unit, step / unit);
    let farthest = first.abs() + each.abs() * length.saturating_sub(1) as f64;
    (farthest <= EXACT_INTEGERS && each.abs() <= EXACT_INTEGERS).then_some((first as i32, each as i32, exponent))
}

/// Writes `start + index · step` from the host, a piece at a time: what the device holds may be more than the host has room for twice.
fn write_steps(engine: &Engine, output: &Tensor, start: f64, step: f64) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let (length, dtype) = (output.count(), output.dtype());
    for first in (0..length).step_by(PIECE) {
        let count = PIECE.min(length - first);
        let values = HostData::from_fn(dtype, count, |index| start + (first + index) as f64 * step)?;
        engine.write(output, first * dtype.size(), values.as_bytes())?;
    }
    Ok(())
}

/// Integers and what 32-bit floats count exactly come from the device. The rest is made on the host: the steps are f64, which few GPUs
/// compute quickly and some not at all.
pub(crate) fn arange(engine: &Engine, device: Device, start: Scalar, step: Scalar, meta: &Meta) -> Result<Tensor> {
    // First: what the device cannot hold, the host should not try to make.
    let output = engine.create(device, meta)?;
    let length = meta.shape.count();
    let (shader, words) = if meta.dtype.is_float() {
        let (start, step) = (start.to_f64(), step.to_f64());
        let Some((first, each, exponent)) = as_integers(start, step, length) else {
            write_steps(engine, &output, start, step)?;
            return Ok(output);
        };
        (shader!("arange", meta.dtype), [first as u32, 0, each as u32, 0, exponent as u32])
    } else {
        let [first, each] = [start, step].map(|value| halves(value.to_i64() as u64));
        (shader_by_width!("arange", meta.dtype), [first[0], first[1], each[0], each[1], 0])
    };
    let count = engine.count(length)?;
    engine.shader(shader).bind(&engine.output(&output)?).words(&[count]).words(&words).elements(count)?;
    Ok(output)
}

/// The numbers of the stream, which are the same everywhere: uniform ones and truth values to the bit.
pub(crate) fn random(
    engine: &Engine,
    device: Device,
    distribution: Distribution,
    stream: Stream,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let length = meta.shape.count();
    let number = |value: f64| match meta.dtype {
        DType::F64 => halves(value.to_bits()),
        _ => [(value as f32).to_bits(), 0],
    };
    let (kind, numbers): (u32, SmallVec<[[u32; 2]; 5]>) = match distribution {
        Distribution::Uniform { low, high } => {
            let interval = Interval::new(low.get(), high.get(), meta.dtype);
            (UNIFORM, interval.numbers().into_iter().map(number).collect())
        }
        Distribution::Normal { mean, standard_deviation } => {
            (NORMAL, [mean, standard_deviation].into_iter().map(|value| number(value.get())).collect())
        }
        // word · 2⁻²⁴ < p, in integers.
        Distribution::Bernoulli { probability } => {
            let words_below = (f64::from(probability.get() as f32) * EXACT_INTEGERS).ceil();
            (BERNOULLI, smallvec![[words_below as u32, 0]])
        }
    };
    let count = engine.count(length)?.div_ceil(RANDOM_ELEMENTS);
    let [seed, counter] = [halves(stream.seed), halves(stream.counter)];
    engine
        .shader(shader!("random", meta.dtype))
        .constant(kind)
        .bind(&engine.output(&output)?)
        .words(&[count, seed[0], seed[1], counter[0], counter[1]])
        .words(numbers.as_flattened())
        .elements(count)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_floats_count_exactly() {
        assert_eq!(as_integers(3.0, -2.0, 100), Some((3, -2, 0)));
        assert_eq!(as_integers(0.25, 1.5, 10), Some((1, 6, -2)));
        assert_eq!(as_integers(0.0, 0.0, 10), Some((0, 0, 0)));
        assert_eq!(as_integers(0.0, 1.0, 1 << 24), Some((0, 1, 0)));
        assert_eq!(as_integers(0.0, 1.0, (1 << 24) + 2), None);
        for start in [0.1, -0.0, f64::NAN, f64::INFINITY, 1e300, f64::from_bits(1)] {
            assert_eq!(as_integers(start, 1.0, 4), None, "{start}");
        }
        assert_eq!(as_integers(1.0, 2f64.powi(40), 1), None);
    }
}
