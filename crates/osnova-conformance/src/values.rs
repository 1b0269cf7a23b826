//! The numbers inside test tensors: made from a seed, so that a case is a few words long.

use osnova_tensor::random::Stream;
use osnova_tensor::{DType, HostData, bf16, f16};
use std::fmt;

/// What the elements of an input are drawn from. Floats round to the dtype; integers are those of the range; `bool` is a coin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Values {
    /// Evenly from a range; unsigned integers from its part above 0.
    Between(f64, f64),
    /// Integers: every bit is random, so that arithmetic overflows. Floats: −100 to 100.
    Wide,
    /// Within 4 of a number, far from 0.
    Around(f64),
    /// NaN, infinities, zeros of both signs, subnormals, the extremes of the dtype, halves and ones.
    Special,
    /// NaN, infinities, zeros of both signs and ones: special, but no sum of them overflows.
    NotFinite,
    /// −∞ here and there among −4 to 4, as a mask makes it.
    Masked,
    /// k + start + 0 to 0.2, for k from −3 to 2: floats that keep away from integers and halves, and so from kinks.
    OffGrid(f64),
    /// All different, at least 0.2 apart.
    Distinct,
    /// Zeros, and numbers of either sign of all sizes that every float has: 6e-8, which is subnormal in f16, to 6e4.
    Decades,
    /// Indices: `0..size`.
    Index(usize),
    /// Indices, and every now and then this number instead.
    IndexOr(usize, i64),
    /// Indices of which one is −1 or `size` or far outside.
    OutOfRange(usize),
}

impl Values {
    /// `count` elements of `dtype`.
    pub(crate) fn generate(self, dtype: DType, count: usize, seed: u64) -> HostData {
        let stream = Stream { seed, counter: 0 };
        let word = |index: usize| stream.word(index as u64);
        let unit = |index: usize| (word(index) >> 8) as f64 / 16_777_216.0;
        if dtype == DType::Bool {
            return HostData::Bool((0..count).map(|index| word(index) & 1 == 1).collect());
        }
        if !dtype.is_float() {
            let wide = |index: usize| (word(2 * index) as i64) << 32 | word(2 * index + 1) as i64;
            let within = |index: usize, low: i64, high: i64| low + (word(index) as i64 >> 4).rem_euclid(high - low + 1);
            let unsigned = matches!(dtype, DType::U8 | DType::U32);
            let outside = word(count) as usize % count.max(1);
            let element = |index: usize| match self {
                Self::Wide => wide(index),
                Self::Special | Self::NotFinite => integer_corners(dtype)[word(index) as usize % 6],
                Self::Between(low, high) => {
                    let low = if unsigned { low.max(0.0) } else { low } as i64;
                    within(index, low, (high as i64).max(low))
                }
                Self::Index(size) => within(index, 0, size.max(1) as i64 - 1),
                Self::IndexOr(_, other) if word(index) % 4 == 0 => other,
                Self::IndexOr(size, _) => within(index, 0, size.max(1) as i64 - 1),
                Self::OutOfRange(size) if index == outside => beyond(dtype, size)[word(index) as usize % 4],
                Self::OutOfRange(size) => within(index, 0, size.max(1) as i64 - 1),
                Self::Masked | Self::OffGrid(_) | Self::Distinct | Self::Decades | Self::Around(_) => {
                    within(index, 0, 5)
                }
            };
            return integers(dtype, (0..count).map(element).collect());
        }
        let corners = float_corners(dtype);
        // A permutation by sorting random words.
        let mut ranks: Vec<usize> = (0..if self == Self::Distinct { count } else { 0 }).collect();
        ranks.sort_by_cached_key(|&index| (word(index), index));
        let element = |index: usize| match self {
            Self::Between(low, high) => low + (high - low) * unit(index),
            Self::Wide => 200.0 * unit(index) - 100.0,
            Self::Around(level) => level + 8.0 * unit(index) - 4.0,
            Self::Special => corners[word(index) as usize % corners.len()],
            Self::NotFinite => corners[word(index) as usize % 7],
            Self::Masked if word(index) % 4 == 0 => f64::NEG_INFINITY,
            Self::Masked => 8.0 * unit(index) - 4.0,
            Self::Decades if word(index) % 4 == 0 => 0.0,
            Self::Decades if word(index) % 4 == 1 => -6e4 * 10_f64.powf(-12.0 * unit(index)),
            Self::Decades => 6e4 * 10_f64.powf(-12.0 * unit(index)),
            Self::OffGrid(start) => (word(index) % 6) as f64 - 3.0 + start + 0.2 * unit(index),
            Self::Distinct => (ranks[index] as f64 - count as f64 / 2.0) * 0.3 + 0.1 * unit(index),
            Self::Index(size) | Self::OutOfRange(size) | Self::IndexOr(size, _) => {
                (word(index) as usize % size.max(1)) as f64
            }
        };
        HostData::from_f64(dtype, &(0..count).map(element).collect::<Vec<_>>())
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between(low, high) => write!(f, "from {low} to {high}"),
            other => write!(f, "{}", format!("{other:?}").to_lowercase()),
        }
    }
}

/// Indices that an axis of this size does not have, of those that the dtype holds.
fn beyond(dtype: DType, size: usize) -> [i64; 4] {
    let size = size as i64;
    match dtype {
        DType::I32 => [-1, size, i32::MIN.into(), i32::MAX.into()],
        // Read as signed, the last two are negative.
        DType::U32 => [size, size + 1, 1 << 31, u32::MAX.into()],
        _ => [-1, size, i64::MIN, i64::MAX],
    }
}

/// The values around which integer kernels go wrong.
fn integer_corners(dtype: DType) -> [i64; 6] {
    match dtype {
        DType::I64 => [0, 1, -1, i64::MIN, i64::MAX, 2],
        DType::I32 => [0, 1, -1, i32::MIN as i64, i32::MAX as i64, 2],
        DType::U32 => [0, 1, 2, 3, u32::MAX as i64 - 1, u32::MAX as i64],
        _ => [0, 1, 2, 127, 128, 255],
    }
}

/// The values around which float kernels go wrong; those that no sum can overflow come first (seven of them).
fn float_corners(dtype: DType) -> [f64; 20] {
    let (largest, normal, subnormal) = match dtype {
        DType::F64 => (f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1)),
        DType::F16 => (f16::MAX.to_f64(), f16::MIN_POSITIVE.to_f64(), f16::MIN_POSITIVE_SUBNORMAL.to_f64()),
        DType::BF16 => (bf16::MAX.to_f64(), bf16::MIN_POSITIVE.to_f64(), bf16::MIN_POSITIVE_SUBNORMAL.to_f64()),
        _ => (f32::MAX as f64, f32::MIN_POSITIVE as f64, f32::from_bits(1) as f64),
    };
    [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        -2.5,
        2.0,
        largest,
        -largest,
        normal,
        -normal,
        subnormal,
        -subnormal,
        normal / 2.0,
        1.0 + dtype.epsilon(),
    ]
}

/// Integers wrapped to `dtype`.
fn integers(dtype: DType, values: Vec<i64>) -> HostData {
    match dtype {
        DType::I32 => HostData::I32(values.into_iter().map(|value| value as i32).collect()),
        DType::U32 => HostData::U32(values.into_iter().map(|value| value as u32).collect()),
        DType::U8 => HostData::U8(values.into_iter().map(|value| value as u8).collect()),
        _ => HostData::I64(values),
    }
}

/// The elements of `data` at `positions`.
pub(crate) fn pick(data: &HostData, positions: impl Iterator<Item = usize>) -> HostData {
    fn take<T: Copy>(values: &[T], positions: impl Iterator<Item = usize>) -> Vec<T> {
        positions.map(|position| values[position]).collect()
    }
    match data {
        HostData::F32(values) => HostData::F32(take(values, positions)),
        HostData::F64(values) => HostData::F64(take(values, positions)),
        HostData::F16(values) => HostData::F16(take(values, positions)),
        HostData::BF16(values) => HostData::BF16(take(values, positions)),
        HostData::I64(values) => HostData::I64(take(values, positions)),
        HostData::I32(values) => HostData::I32(take(values, positions)),
        HostData::U32(values) => HostData::U32(take(values, positions)),
        HostData::U8(values) => HostData::U8(take(values, positions)),
        HostData::Bool(values) => HostData::Bool(take(values, positions)),
    }
}
