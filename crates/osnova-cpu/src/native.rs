//! The element types as kernels see them.

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};
use osnova_tensor::{DType, Element};

/// A truth value in memory: one byte, 0 or 1. (`bool` itself cannot be read from arbitrary bytes.)
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Truth(pub(crate) u8);

impl From<bool> for Truth {
    #[inline]
    fn from(value: bool) -> Self {
        Self(value as u8)
    }
}

/// An element of a tensor in memory.
pub(crate) trait Native: Pod + Default + PartialEq + PartialOrd + Send + Sync {
    /// Whether conversions go through `f64` (else through `i64`).
    const FLOAT: bool;
    fn to_f64(self) -> f64;
    fn to_i64(self) -> i64;
    fn from_f64(value: f64) -> Self;
    fn from_i64(value: i64) -> Self;
    /// Whether this is NaN; the types without one compile it away.
    #[inline(always)]
    #[expect(clippy::eq_op, reason = "NaN alone differs from itself")]
    fn is_not_a_number(self) -> bool {
        self != self
    }
}

macro_rules! native {
    ($($type:ty, $float:expr, $to_f64:expr, $to_i64:expr, $from_f64:expr, $from_i64:expr;)*) => {$(
        impl Native for $type {
            const FLOAT: bool = $float;
            #[inline(always)]
            fn to_f64(self) -> f64 { $to_f64(self) }
            #[inline(always)]
            fn to_i64(self) -> i64 { $to_i64(self) }
            #[inline(always)]
            fn from_f64(value: f64) -> Self { $from_f64(value) }
            #[inline(always)]
            fn from_i64(value: i64) -> Self { $from_i64(value) }
        }
    )*};
}

native! {
    f32, true, |x| x as f64, |x| x as i64, |x| x as f32, |x| x as f32;
    f64, true, |x| x, |x| x as i64, |x| x, |x| x as f64;
    f16, true, f16::to_f64, |x: f16| x.to_f32() as i64, <f16 as Element>::from_f64, |x| <f16 as Element>::from_f64(x as f64);
    bf16, true, bf16::to_f64, |x: bf16| x.to_f32() as i64, <bf16 as Element>::from_f64, |x| <bf16 as Element>::from_f64(DType::BF16.rounded_integer(x));
    i64, false, |x| x as f64, |x| x, |x| x as i64, |x| x;
    i32, false, |x| x as f64, |x| x as i64, |x| x as i32, |x| x as i32;
    u32, false, |x| x as f64, |x| x as i64, |x| x as u32, |x| x as u32;
    u8, false, |x| x as f64, |x| x as i64, |x| x as u8, |x| x as u8;
    Truth, false, |x: Truth| x.0 as f64, |x: Truth| x.0 as i64, |x: f64| Truth::from(x != 0.0), |x: i64| Truth::from(x != 0);
}

/// A number with the arithmetic of the elementwise operations, as [`osnova_tensor::Op`] defines it.
pub(crate) trait Number: Native {
    const ZERO: Self;
    const ONE: Self;
    /// The identity of a maximum.
    const LOWEST: Self;
    /// The identity of a minimum.
    const HIGHEST: Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn pow(self, other: Self) -> Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn sign(self) -> Self;
    /// The larger; NaN wins.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // A NaN on the left makes the comparison false and stays.
        if other > self || other.is_not_a_number() { other } else { self }
    }
    /// The smaller; NaN wins.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if other < self || other.is_not_a_number() { other } else { self }
    }
}

macro_rules! float_number {
    ($($type:ident),*) => {$(
        impl Number for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = $type::NEG_INFINITY;
            const HIGHEST: Self = $type::INFINITY;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self - other }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self * other }
            #[inline(always)]
            fn div(self, other: Self) -> Self { self / other }
            #[inline(always)]
            fn pow(self, other: Self) -> Self { self.powf(other) }
            #[inline(always)]
            fn neg(self) -> Self { -self }
            #[inline(always)]
            fn abs(self) -> Self { $type::abs(self) }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 { 1.0 } else if self < 0.0 { -1.0 } else { self }
            }
        }
    )*};
}
float_number!(f32, f64);

macro_rules! integer_number {
    ($($type:ident, $neg:expr, $abs:expr, $sign:expr;)*) => {$(
        impl Number for $type {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LOWEST: Self = $type::MIN;
            const HIGHEST: Self = $type::MAX;
            #[inline(always)]
            fn add(self, other: Self) -> Self { self.wrapping_add(other) }
            #[inline(always)]
            fn sub(self, other: Self) -> Self { self.wrapping_sub(other) }
            #[inline(always)]
            fn mul(self, other: Self) -> Self { self.wrapping_mul(other) }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            fn pow(self, other: Self) -> Self { integer_power(self as i64, other as i64) as $type }
            #[inline(always)]
            fn neg(self) -> Self { ($neg)(self) }
            #[inline(always)]
            fn abs(self) -> Self { ($abs)(self) }
            #[inline(always)]
            fn sign(self) -> Self { ($sign)(self) }
        }
    )*};
}
integer_number! {
    i64, i64::wrapping_neg, i64::wrapping_abs, i64::signum;
    i32, i32::wrapping_neg, i32::wrapping_abs, i32::signum;
    u32, u32::wrapping_neg, |x| x, |x: u32| u32::from(x > 0);
    u8, u8::wrapping_neg, |x| x, |x: u8| u8::from(x > 0);
}

/// Wrapping power by squaring; the low bits of narrower types come out right too.
fn integer_power(base: i64, exponent: i64) -> i64 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 => 1 - 2 * (exponent & 1),
            _ => 0,
        };
    }
    let (mut result, mut square, mut rest) = (1i64, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest >>= 1;
    }
    result
}

/// Runs `$body` with the type alias `$T` for the native type of a dtype.
macro_rules! with_native {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            osnova_tensor::DType::F32 => {
                type $T = f32;
                $body
            }
            osnova_tensor::DType::F64 => {
                type $T = f64;
                $body
            }
            osnova_tensor::DType::F16 => {
                type $T = half::f16;
                $body
            }
            osnova_tensor::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            osnova_tensor::DType::I64 => {
                type $T = i64;
                $body
            }
            osnova_tensor::DType::I32 => {
                type $T = i32;
                $body
            }
            osnova_tensor::DType::U32 => {
                type $T = u32;
                $body
            }
            osnova_tensor::DType::U8 => {
                type $T = u8;
                $body
            }
            osnova_tensor::DType::Bool => {
                type $T = $crate::native::Truth;
                $body
            }
        }
    };
}

/// Runs `$body` with `$T` standing for the Rust type of an index dtype.
macro_rules! with_index {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            osnova_tensor::DType::I32 => {
                type $T = i32;
                $body
            }
            osnova_tensor::DType::U32 => {
                type $T = u32;
                $body
            }
            // Inference lets no other dtype through.
            _ => {
                type $T = i64;
                $body
            }
        }
    };
}

/// Runs `$body` with `$T` for an unsigned integer as wide as an element: for kernels that move elements without reading them.
macro_rules! with_width {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}

pub(crate) use {with_index, with_native, with_width};
