//! Element types.

use crate::HostData;
use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    /// 32-bit IEEE float, the default.
    F32,
    /// 64-bit IEEE float.
    F64,
    /// 16-bit IEEE float; sums and products accumulate in `f32`.
    F16,
    /// 16-bit brain float (the upper half of an `f32`); sums and products accumulate in `f32`.
    BF16,
    /// 64-bit signed integer; what positions are given as, and the usual type of indices.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// 8-bit unsigned integer.
    U8,
    /// Truth value, one byte.
    Bool,
}

impl DType {
    /// Every dtype.
    pub const ALL: [Self; 9] =
        [Self::F32, Self::F64, Self::F16, Self::BF16, Self::I64, Self::I32, Self::U32, Self::U8, Self::Bool];
    /// The floating-point dtypes.
    pub const FLOATS: [Self; 4] = [Self::F32, Self::F64, Self::F16, Self::BF16];
    /// The dtypes of indices: of positions to read from or write to, and of classes.
    pub const INDICES: [Self; 3] = [Self::I64, Self::I32, Self::U32];

    /// Bytes an element takes.
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether this is a floating-point type, and so can carry a gradient.
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::BF16)
    }

    /// Whether this is an integer type (`Bool` is none).
    #[inline]
    pub const fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::U32 | Self::U8)
    }

    /// Whether tensors of this type serve as indices and classes: one of [`INDICES`](Self::INDICES).
    #[inline]
    pub const fn is_index(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::U32)
    }

    /// The type in which reductions and products of this type accumulate: `f32` for the half types, else itself.
    #[inline]
    pub const fn accumulator(self) -> Self {
        match self {
            Self::F16 | Self::BF16 => Self::F32,
            other => other,
        }
    }

    /// The distance between 1 and the next larger value of a float type; 0 for the others.
    pub const fn epsilon(self) -> f64 {
        match self {
            Self::F32 => f32::EPSILON as f64,
            Self::F64 => f64::EPSILON,
            Self::F16 => 9.765625e-4,
            Self::BF16 => 7.8125e-3,
            _ => 0.0,
        }
    }

    /// The largest finite value, rounded for `i64`; 1 for `bool`.
    pub const fn largest(self) -> f64 {
        match self {
            Self::F32 => f32::MAX as f64,
            Self::F64 => f64::MAX,
            Self::F16 => 65_504.0,
            Self::BF16 => 3.389_531_389_251_535_5e38,
            Self::I64 => i64::MAX as f64,
            Self::I32 => i32::MAX as f64,
            Self::U32 => u32::MAX as f64,
            Self::U8 => u8::MAX as f64,
            Self::Bool => 1.0,
        }
    }

    /// The nearest value of a float type; the value itself for the others.
    pub(crate) fn rounded(self, value: f64) -> f64 {
        match self {
            Self::F32 => f64::from(value as f32),
            Self::F16 => <f16 as Element>::from_f64(value).to_f64(),
            Self::BF16 => <bf16 as Element>::from_f64(value).to_f64(),
            _ => value,
        }
    }

    /// The nearest value of a float type to an integer: rounded once, where a conversion by way of `f64` may round twice. For other types the nearest
    /// `f64`.
    #[inline]
    pub fn rounded_integer(self, value: i64) -> f64 {
        let nearest = value as f64;
        let lost = i128::from(value) - nearest as i128;
        if lost == 0 || self == Self::F64 || nearest.to_bits() & 1 == 1 {
            return self.rounded(nearest);
        }
        // To odd, as in `round_to_odd`: the next rounding then goes the way of the integer itself.
        self.rounded(if lost > 0 { nearest.next_up() } else { nearest.next_down() })
    }

    /// The next larger value of a float type after one of its values.
    pub(crate) fn next_up(self, value: f64) -> f64 {
        // As `f32::next_up`: the bits of positive numbers count up, those of negative ones down.
        let next = |bits: u16| match bits {
            0x8000 => 0x0001,
            bits if bits & 0x8000 == 0 => bits + 1,
            bits => bits - 1,
        };
        match self {
            Self::F32 => f64::from((value as f32).next_up()),
            Self::F16 => f16::from_bits(next(f16::from_f64(value).to_bits())).to_f64(),
            Self::BF16 => bf16::from_bits(next(bf16::from_f64(value).to_bits())).to_f64(),
            _ => value.next_up(),
        }
    }

    /// The name as Rust writes it: `f32`, `i64`, `bool`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of dtypes, for [`crate::Capabilities`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DTypeSet(u16);

impl DTypeSet {
    /// Every dtype.
    pub const ALL: Self = Self(0x1ff);

    /// The set that holds the given dtypes.
    pub const fn of(dtypes: &[DType]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < dtypes.len() {
            bits |= 1 << dtypes[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    /// Whether `dtype` is in the set.
    #[inline]
    pub const fn contains(self, dtype: DType) -> bool {
        self.0 & (1 << dtype as u16) != 0
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that can be a tensor's element.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The dtype of this Rust type.
    const DTYPE: DType;
    /// Wraps values without copying.
    fn into_host(values: Vec<Self>) -> HostData;
    /// The values, if `data` holds this type; else gives `data` back.
    fn from_host(data: HostData) -> Result<Vec<Self>, HostData>;
    /// The value as `f64` (`true` is 1).
    fn to_f64(self) -> f64;
    /// The nearest value of this type (truncated for integers, `!= 0` for `bool`).
    fn from_f64(value: f64) -> Self;
}

macro_rules! element {
    ($($rust:ty, $variant:ident, |$value:ident| $to:expr, |$from:ident| $of:expr;)*) => {$(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const DTYPE: DType = DType::$variant;
            fn into_host(values: Vec<Self>) -> HostData { HostData::$variant(values) }
            fn from_host(data: HostData) -> Result<Vec<Self>, HostData> {
                match data { HostData::$variant(values) => Ok(values), other => Err(other) }
            }
            #[inline]
            fn to_f64(self) -> f64 { let $value = self; $to }
            #[inline]
            fn from_f64($from: f64) -> Self { $of }
        }
    )*};
}

element! {
    f32, F32, |x| x as f64, |x| x as f32;
    f64, F64, |x| x, |x| x;
    f16, F16, |x| x.to_f64(), |x| f16::from_f32(round_to_odd(x));
    bf16, BF16, |x| x.to_f64(), |x| bf16::from_f32(round_to_odd(x));
    i64, I64, |x| x as f64, |x| x as i64;
    i32, I32, |x| x as f64, |x| x as i32;
    u32, U32, |x| x as f64, |x| x as u32;
    u8, U8, |x| x as f64, |x| x as u8;
    bool, Bool, |x| x as u8 as f64, |x| x != 0.0;
}

/// A double as a single whose last bit is 1 where anything was lost, so that rounding once more, to a half type, gives what
/// rounding the double directly would (Boldo & Melquiond 2008). `half` itself looks at the upper 32 bits of a double alone
/// and so takes numbers just beside the middle for the middle.
fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || !nearest.is_finite() || value.is_nan() || nearest.to_bits() & 1 == 1 {
        return nearest;
    }
    if back > value { nearest.next_down() } else { nearest.next_up() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_types_know_their_values() {
        assert_eq!(DType::F16.largest(), f16::MAX.to_f64());
        assert_eq!(DType::BF16.largest(), bf16::MAX.to_f64());
        for dtype in DType::FLOATS {
            assert_eq!(dtype.next_up(1.0), 1.0 + dtype.epsilon());
            assert_eq!(dtype.next_up(-1.0), -1.0 + dtype.epsilon() / 2.0);
            assert_eq!(dtype.next_up(-0.0), dtype.next_up(0.0));
            assert_eq!(dtype.next_up(-dtype.next_up(0.0)), 0.0);
            assert_eq!(dtype.next_up(dtype.largest()), f64::INFINITY);
            assert_eq!(dtype.rounded(1.0 + dtype.epsilon() / 4.0), 1.0);
        }
    }

    #[test]
    fn doubles_round_once_to_half_types() {
        // 938 lies in the middle of the bf16 neighbours 936 and 940.
        assert_eq!(<bf16 as Element>::from_f64(938.0).to_f32(), 936.0);
        assert_eq!(<bf16 as Element>::from_f64(938.000_000_1).to_f32(), 940.0);
        assert_eq!(<bf16 as Element>::from_f64(-938.000_000_1).to_f32(), -940.0);
        assert_eq!(<bf16 as Element>::from_f64(937.999_999_9).to_f32(), 936.0);
        // 2049 lies in the middle of the f16 neighbours 2048 and 2050.
        assert_eq!(<f16 as Element>::from_f64(2049.0).to_f32(), 2048.0);
        assert_eq!(<f16 as Element>::from_f64(2_049.000_000_01).to_f32(), 2050.0);
        for value in [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-300] {
            assert_eq!(<f16 as Element>::from_f64(value).to_f64(), f16::from_f32(value as f32).to_f64());
        }
        assert!(<f16 as Element>::from_f64(f64::NAN).is_nan());
    }
}
