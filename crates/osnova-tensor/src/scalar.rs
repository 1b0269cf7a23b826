//! Numbers inside operations: compared and hashed by their bits, so that an operation can be a key.

use crate::DType;
use std::fmt;

/// A float that is compared and hashed by its bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Real(u64);

impl Real {
    /// Wraps a float.
    #[inline]
    pub const fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    /// The float.
    #[inline]
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Real {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

/// A number of any dtype, as an operation's constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scalar {
    /// A float.
    Float(Real),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

impl Scalar {
    /// The number as `f64`; integers beyond 2⁵³ round.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Float(value) => value.get(),
            Self::Int(value) => value as f64,
            Self::Bool(value) => value as u8 as f64,
        }
    }

    /// The number as `i64`; floats truncate and saturate.
    #[inline]
    pub fn to_i64(self) -> i64 {
        match self {
            Self::Float(value) => value.get() as i64,
            Self::Int(value) => value,
            Self::Bool(value) => value as i64,
        }
    }

    /// The number as a tensor of `dtype` holds it where that is a float type and this is an integer: rounded once, where a kernel would first
    /// round to `f64`. Other numbers stay as they are.
    pub(crate) fn as_held(self, dtype: DType) -> Self {
        match self {
            Self::Int(value) if dtype.is_float() => Self::Float(Real::new(dtype.rounded_integer(value))),
            other => other,
        }
    }

    /// Whether a tensor of `dtype` can hold this kind of number: any float type holds all, integers hold integers and
    /// truth values, `bool` holds truth values.
    pub fn fits(self, dtype: DType) -> bool {
        match self {
            Self::Float(_) => dtype.is_float(),
            Self::Int(value) => match dtype {
                DType::U8 => u8::try_from(value).is_ok(),
                DType::U32 => u32::try_from(value).is_ok(),
                DType::I32 => i32::try_from(value).is_ok(),
                DType::Bool => false,
                _ => true,
            },
            Self::Bool(_) => true,
        }
    }
}

macro_rules! from {
    ($($rust:ty => |$value:ident| $of:expr;)*) => {$(
        impl From<$rust> for Scalar {
            #[inline]
            fn from($value: $rust) -> Self { $of }
        }
    )*};
}

from! {
    f64 => |x| Self::Float(Real::new(x));
    f32 => |x| Self::Float(Real::new(x as f64));
    i64 => |x| Self::Int(x);
    i32 => |x| Self::Int(x as i64);
    u32 => |x| Self::Int(x as i64);
    u8 => |x| Self::Int(x as i64);
    bool => |x| Self::Bool(x);
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As short as it goes: 1e300, not three hundred digits.
            Self::Float(value) => write!(f, "{:?}", value.get()),
            Self::Int(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_once_to_float_types() {
        // Just above the middle of two neighbours, by less than an f64 keeps.
        let value = (1 << 60) + (1 << 52) + 1;
        assert_eq!(Scalar::Int(value).as_held(DType::BF16), Scalar::from(((1_i64 << 60) + (1 << 53)) as f64));
        let value = (1 << 60) + (1 << 36) + 1;
        assert_eq!(Scalar::Int(value).as_held(DType::F32), Scalar::from(((1_i64 << 60) + (1 << 37)) as f64));
        assert_eq!(Scalar::Int(-value).as_held(DType::F32), Scalar::from((-(1_i64 << 60) - (1 << 37)) as f64));
        for value in [0, 1, -7, 1 << 53, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(Scalar::Int(value).as_held(DType::F64), Scalar::from(value as f64));
            assert_eq!(Scalar::Int(value).as_held(DType::F32), Scalar::from(value as f32));
            assert_eq!(Scalar::Int(value).as_held(DType::I64), Scalar::Int(value));
        }
    }

    #[test]
    fn numbers_are_written_shortly() {
        assert_eq!(Scalar::from(1e300).to_string(), "1e300");
        assert_eq!(Scalar::from(0.5).to_string(), "0.5");
        assert_eq!(Scalar::from(i64::MIN).to_string(), "-9223372036854775808");
        assert_eq!(Scalar::from(true).to_string(), "true");
    }
}
