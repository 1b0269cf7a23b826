//! The `f64` functions: the scalar library, element by element.

use std::f64::consts;

use super::VectorMath;
use crate::dispatch::InstructionSet;

#[inline(always)]
fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

impl VectorMath for f64 {
    #[inline(always)]
    fn mul_add<S: InstructionSet>(self, b: Self, c: Self) -> Self {
        S::mul_add_f64(self, b, c)
    }

    #[inline(always)]
    fn exp<S: InstructionSet>(self) -> Self {
        f64::exp(self)
    }

    #[inline(always)]
    fn expm1<S: InstructionSet>(self) -> Self {
        f64::exp_m1(self)
    }

    #[inline(always)]
    fn ln<S: InstructionSet>(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn ln1p<S: InstructionSet>(self) -> Self {
        f64::ln_1p(self)
    }

    #[inline(always)]
    fn tanh<S: InstructionSet>(self) -> Self {
        f64::tanh(self)
    }

    #[inline(always)]
    fn sigmoid<S: InstructionSet>(self) -> Self {
        sigmoid(self)
    }

    #[inline(always)]
    fn erf<S: InstructionSet>(self) -> Self {
        libm::erf(self)
    }

    #[inline(always)]
    fn sin<S: InstructionSet>(self) -> Self {
        f64::sin(self)
    }

    #[inline(always)]
    fn cos<S: InstructionSet>(self) -> Self {
        f64::cos(self)
    }

    #[inline(always)]
    fn sqrt<S: InstructionSet>(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn rsqrt<S: InstructionSet>(self) -> Self {
        1.0 / f64::sqrt(self)
    }

    #[inline(always)]
    fn recip<S: InstructionSet>(self) -> Self {
        1.0 / self
    }

    #[inline(always)]
    fn gelu<S: InstructionSet>(self) -> Self {
        // erfc instead of 1 + erf: nothing cancels for negative arguments.
        let value = 0.5 * self * libm::erfc(-self * consts::FRAC_1_SQRT_2);
        if self < -40.0 { -0.0 } else { value }
    }

    #[inline(always)]
    fn gelu_tanh<S: InstructionSet>(self) -> Self {
        let inner = (2.0 / consts::PI).sqrt() * (self + 0.044_715 * self * self * self);
        let value = self * sigmoid(inner + inner);
        if self < -40.0 { -0.0 } else { value }
    }

    #[inline(always)]
    fn silu<S: InstructionSet>(self) -> Self {
        let value = self * sigmoid(self);
        if self < -750.0 { -0.0 } else { value }
    }
}
