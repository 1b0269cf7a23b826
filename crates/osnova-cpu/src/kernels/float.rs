//! What kernels that compute with floats need of them.

use super::tiles::Stored;
use crate::native::Number;
use crate::vector::VectorMath;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `f32` or `f64`: arithmetic, elementary functions, and conversion to `f64`.
pub(crate) trait Float:
    Number
    + VectorMath
    + Stored<Compute = Self>
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// |x|.
    #[inline(always)]
    fn magnitude(self) -> Self {
        Number::abs(self)
    }
    /// max(x, 0); NaN stays NaN.
    #[inline(always)]
    fn positive(self) -> Self {
        if self < Self::ZERO { Self::ZERO } else { self }
    }
    /// The value as `f64`.
    #[inline(always)]
    fn wide(self) -> f64 {
        crate::native::Native::to_f64(self)
    }
}

impl Float for f32 {}
impl Float for f64 {}
