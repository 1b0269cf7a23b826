//! Elementary functions that the compiler can vectorise: branch-free, inlined, generic over the instruction set.
//!
//! The `f32` functions ([`VectorMath`]) are arithmetic and selections only, so a loop over a slice inside
//! [`simd_dispatch!`](crate::simd_dispatch) runs at the width of the registers. The polynomials are minimax fits with
//! coefficients rounded to single precision one after another. Worst errors on the sample that `tests/vector.rs` takes, against double
//! precision, in units in the last place (AVX2 with fused multiply-add / the portable path):
//!
//! exp 0.85 / 0.94, expm1 1.4 / 1.4, ln 0.73 / 0.73, ln1p 1.3 / 1.3, tanh 1.3 / 1.3, sigmoid 1.4 / 2.1, erf 0.9 / 1.0,
//! sin 1.5 / 1.5, cos 1.5 / 1.5, rsqrt 1.5 / 1.5, silu 2.0 / 2.5 (down to results that are subnormal).
//!
//! GELU multiplies by `1 + erf`, which cancels for negative arguments: its error is below 2⁻²³ · max(1, |x|) in
//! absolute terms. The `f64` functions call the scalar mathematical library element by element.

mod double;
mod single;
mod slices;

pub use slices::*;

use crate::dispatch::InstructionSet;

/// Elementary functions of one number, for loops that are compiled for the instruction set `S`.
///
/// In generic code call them as methods, `x.exp::<S>()`; on a concrete `f32`, whose own `exp` would win, as
/// `VectorMath::exp::<S>(x)`.
pub trait VectorMath: Copy + PartialOrd + Default + Send + Sync + 'static {
    /// `self * b + c`, fused where the instruction set can.
    fn mul_add<S: InstructionSet>(self, b: Self, c: Self) -> Self;
    /// `e^x`.
    fn exp<S: InstructionSet>(self) -> Self;
    /// `e^x` for `x <= 0`, NaN included; results below 2e-38 become 0. A quarter cheaper than
    /// [`exp`](Self::exp), for sums in which such results vanish.
    #[inline(always)]
    fn exp_of_nonpositive<S: InstructionSet>(self) -> Self {
        self.exp::<S>()
    }
    /// `e^x - 1`, accurate near zero.
    fn expm1<S: InstructionSet>(self) -> Self;
    /// The natural logarithm: NaN below zero, −∞ at zero.
    fn ln<S: InstructionSet>(self) -> Self;
    /// `ln(1 + x)`, accurate near zero.
    fn ln1p<S: InstructionSet>(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh<S: InstructionSet>(self) -> Self;
    /// `1 / (1 + e^-x)`.
    fn sigmoid<S: InstructionSet>(self) -> Self;
    /// The error function.
    fn erf<S: InstructionSet>(self) -> Self;
    /// The sine, for arguments of any size.
    fn sin<S: InstructionSet>(self) -> Self;
    /// The cosine, for arguments of any size.
    fn cos<S: InstructionSet>(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt<S: InstructionSet>(self) -> Self;
    /// `1 / sqrt(x)`.
    fn rsqrt<S: InstructionSet>(self) -> Self;
    /// `1 / x`, correctly rounded.
    fn recip<S: InstructionSet>(self) -> Self;
    /// `x · Φ(x) = x/2 · (1 + erf(x/√2))`.
    fn gelu<S: InstructionSet>(self) -> Self;
    /// GELU by its tangent approximation, `x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))`.
    fn gelu_tanh<S: InstructionSet>(self) -> Self;
    /// `x · sigmoid(x)`.
    fn silu<S: InstructionSet>(self) -> Self;
}
