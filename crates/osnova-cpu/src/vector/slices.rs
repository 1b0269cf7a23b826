//! The functions over whole slices, for callers that apply one function and nothing else.

use std::any::TypeId;

use super::{VectorMath, single};
use crate::simd_dispatch;

macro_rules! slice_functions {
    ($($(#[$doc:meta])* $name:ident => $method:ident),+ $(,)?) => {$(
        simd_dispatch! {
            $(#[$doc])*
            ///
            /// Slices of different lengths are handled up to the shorter one's end.
            pub fn $name[S]<T>(input: &[T], output: &mut [T]) where [T: VectorMath] {
                for (output, &input) in output.iter_mut().zip(input) {
                    *output = input.$method::<S>();
                }
            }
        }
    )+};
}

slice_functions! {
    /// `e^x` of every element.
    exp => exp,
    /// `e^x - 1` of every element.
    expm1 => expm1,
    /// The natural logarithm of every element.
    ln => ln,
    /// `ln(1 + x)` of every element.
    ln1p => ln1p,
    /// The hyperbolic tangent of every element.
    tanh => tanh,
    /// The logistic function of every element.
    sigmoid => sigmoid,
    /// The error function of every element.
    erf => erf,
    /// The square root of every element.
    sqrt => sqrt,
    /// The reciprocal square root of every element.
    rsqrt => rsqrt,
    /// The reciprocal of every element.
    recip => recip,
    /// GELU of every element.
    gelu => gelu,
    /// GELU by its tangent approximation of every element.
    gelu_tanh => gelu_tanh,
    /// `x · sigmoid(x)` of every element.
    silu => silu,
    /// The sine of every element, with a table look-up that any argument needs; [`sin`] avoids it.
    sin_any_size => sin,
    /// The cosine of every element, with a table look-up that any argument needs; [`cos`] avoids it.
    cos_any_size => cos,
}

/// Elements whose size is looked at together: if all are moderate, their reduction needs no table.
const BLOCK: usize = 256;

macro_rules! periodic {
    ($(#[$doc:meta])* $name:ident, $moderate:ident, $any_size:ident) => {
        $(#[$doc])*
        ///
        /// Slices of different lengths are handled up to the shorter one's end.
        pub fn $name<T: VectorMath + bytemuck::Pod>(input: &[T], output: &mut [T]) {
            if TypeId::of::<T>() != TypeId::of::<f32>() {
                return $any_size(input, output);
            }
            let (input, output): (&[f32], &mut [f32]) = (bytemuck::cast_slice(input), bytemuck::cast_slice_mut(output));
            for (input, output) in input.chunks(BLOCK).zip(output.chunks_mut(BLOCK)) {
                if all_moderate(input) { $moderate(input, output) } else { $any_size(input, output) }
            }
        }

        simd_dispatch! {
            fn $moderate[S](input: &[f32], output: &mut [f32]) {
                for (output, &input) in output.iter_mut().zip(input) {
                    *output = single::$name::<S, false>(input);
                }
            }
        }
    };
}

periodic!(
    /// The sine of every element.
    sin, sin_moderate, sin_any_size
);
periodic!(
    /// The cosine of every element.
    cos, cos_moderate, cos_any_size
);

simd_dispatch! {
    /// Whether every magnitude is below 2²⁴; the sign bit is shifted out, infinities and NaN are large.
    fn all_moderate[S](input: &[f32]) -> bool {
        input.iter().fold(0, |largest, x| largest.max(x.to_bits() << 1)) < (16_777_216.0f32).to_bits() << 1
    }
}
