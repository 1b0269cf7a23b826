//! The elements: one type of number for every dtype.

use osnova_tensor::{DType, Element, HostData, Scalar, bf16, f16};
use std::cmp::Ordering;

/// An element of any dtype: floats as `f64`, integers and truth values (0 or 1) as `i64`.
///
/// The elements of one tensor are all of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An element of a float dtype.
    Float(f64),
    /// An element of an integer dtype or of `bool`.
    Int(i64),
}

use Number::{Float, Int};

impl Number {
    /// The number as an element of `dtype`: floats round to nearest, integers wrap, anything to `bool` is `!= 0`;
    /// floats to integers truncate and saturate, NaN gives 0.
    pub fn to(self, dtype: DType) -> Self {
        match (self, dtype) {
            (Float(value), DType::F64) => Float(value),
            (Float(value), DType::F32) => Float(value as f32 as f64),
            (Float(value), DType::F16) => Float(<f16 as Element>::from_f64(value).to_f64()),
            (Float(value), DType::BF16) => Float(<bf16 as Element>::from_f64(value).to_f64()),
            (Float(value), DType::I64) => Int(value as i64),
            (Float(value), DType::I32) => Int(value as i32 as i64),
            (Float(value), DType::U32) => Int(value as u32 as i64),
            (Float(value), DType::U8) => Int(value as u8 as i64),
            (Float(value), DType::Bool) => Int((value != 0.0) as i64),
            // Straight to f32: by way of f64 it would round twice.
            (Int(value), DType::F32) => Float(value as f32 as f64),
            (Int(value), DType::F64 | DType::F16 | DType::BF16) => Float(dtype.rounded_integer(value)),
            (Int(value), DType::I64) => Int(value),
            (Int(value), DType::I32) => Int(value as i32 as i64),
            (Int(value), DType::U32) => Int(value as u32 as i64),
            (Int(value), DType::U8) => Int(value as u8 as i64),
            (Int(value), DType::Bool) => Int((value != 0) as i64),
        }
    }

    /// An operation's constant as an element of `dtype`, which it fits.
    pub(crate) fn constant(value: Scalar, dtype: DType) -> Self {
        if dtype.is_float() { Float(value.to_f64()).to(dtype) } else { Int(value.to_i64()) }
    }

    /// The number as an index or truth value. Inference has made sure that it is no float.
    pub(crate) fn int(self) -> i64 {
        match self {
            Float(value) => value as i64,
            Int(value) => value,
        }
    }

    pub(crate) fn is_nan(self) -> bool {
        matches!(self, Float(value) if value.is_nan())
    }

    /// Sum; integers wrap around i64, and so, once rounded, around their dtype.
    pub(crate) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Int(left), Int(right)) => Int(left.wrapping_add(right)),
            _ => Float(self.float() + other.float()),
        }
    }

    /// Product; integers wrap.
    pub(crate) fn times(self, other: Self) -> Self {
        match (self, other) {
            (Int(left), Int(right)) => Int(left.wrapping_mul(right)),
            _ => Float(self.float() * other.float()),
        }
    }

    /// The smaller of two; NaN wins.
    pub(crate) fn minimum(self, other: Self) -> Self {
        if self.is_nan() || (!other.is_nan() && self.compare(other) != Some(Ordering::Greater)) { self } else { other }
    }

    /// The larger of two; NaN wins.
    pub(crate) fn maximum(self, other: Self) -> Self {
        if self.is_nan() || (!other.is_nan() && self.compare(other) != Some(Ordering::Less)) { self } else { other }
    }

    /// The order of two numbers; none if one is NaN.
    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Int(left), Int(right)) => Some(left.cmp(&right)),
            _ => self.float().partial_cmp(&other.float()),
        }
    }

    /// A total order in which NaN is the largest; −0 equals 0.
    pub(crate) fn order(self, other: Self) -> Ordering {
        self.compare(other).unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
    }

    pub(crate) fn float(self) -> f64 {
        match self {
            Float(value) => value,
            Int(value) => value as f64,
        }
    }
}

/// The elements of a tensor from host values.
pub(crate) fn from_host(data: HostData) -> Vec<Number> {
    match data {
        HostData::I64(values) => values.into_iter().map(Int).collect(),
        HostData::I32(values) => values.into_iter().map(|value| Int(value as i64)).collect(),
        HostData::U32(values) => values.into_iter().map(|value| Int(value as i64)).collect(),
        HostData::U8(values) => values.into_iter().map(|value| Int(value as i64)).collect(),
        HostData::Bool(values) => values.into_iter().map(|value| Int(value as i64)).collect(),
        floats => floats.to_f64().into_iter().map(Float).collect(),
    }
}

/// Host values of `dtype` from the elements of a tensor, which hold values of `dtype` already.
pub(crate) fn to_host(dtype: DType, numbers: &[Number]) -> HostData {
    let ints = numbers.iter().map(|number| number.int());
    match dtype {
        DType::I64 => HostData::I64(ints.collect()),
        DType::I32 => HostData::I32(ints.map(|value| value as i32).collect()),
        DType::U32 => HostData::U32(ints.map(|value| value as u32).collect()),
        DType::U8 => HostData::U8(ints.map(|value| value as u8).collect()),
        DType::Bool => HostData::Bool(ints.map(|value| value != 0).collect()),
        _ => HostData::from_f64(dtype, &numbers.iter().map(|number| number.float()).collect::<Vec<_>>()),
    }
}
