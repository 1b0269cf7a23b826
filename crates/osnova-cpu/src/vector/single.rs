//! The `f32` functions.

use std::f32::consts;

use super::VectorMath;
use crate::dispatch::InstructionSet;

/// 1.5 · 2²³: adding it rounds a number below 2²² to an integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;
/// The leading 9 bits of ln 2, so that a product with an exponent is exact, and the rest.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Horner's rule; coefficients from the constant term up.
#[inline(always)]
fn polynomial<S: InstructionSet, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    let mut term = N - 1;
    while term > 0 {
        term -= 1;
        value = S::mul_add_f32(value, x, coefficients[term]);
    }
    value
}

/// 2^`exponent`, for exponents of normal numbers.
#[inline(always)]
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((exponent.wrapping_add(127) as u32) << 23)
}

/// Splits `x = n·ln 2 + r` with `|r|` at most about half of ln 2; NaN gives a NaN `r` and any `n`.
#[inline(always)]
fn split_exponent<S: InstructionSet>(x: f32) -> (i32, f32) {
    let shifted = S::mul_add_f32(x, consts::LOG2_E, ROUND);
    let count = shifted - ROUND;
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let remainder = S::mul_add_f32(count, -LN_2_LOW, S::mul_add_f32(count, -LN_2_HIGH, x));
    (exponent, remainder)
}

/// `(e^r - 1 - r) / r²` for the remainder of [`split_exponent`].
#[inline(always)]
fn exp_tail<S: InstructionSet>(r: f32) -> f32 {
    polynomial::<S, 5>(r, [0.499_999_94, 0.166_665_21, 0.041_668_266, 0.008_368_675, 0.001_382_066_2])
}

/// `e^r` for the remainder of [`split_exponent`].
#[inline(always)]
fn exp_of_remainder<S: InstructionSet>(r: f32) -> f32 {
    if S::FUSED {
        S::mul_add_f32(S::mul_add_f32(exp_tail::<S>(r), r, 1.0), r, 1.0)
    } else {
        // One multiplication more, but the products that are rounded are smaller.
        expm1_of_remainder::<S>(r) + 1.0
    }
}

/// `e^r - 1` for the remainder of [`split_exponent`].
#[inline(always)]
fn expm1_of_remainder<S: InstructionSet>(r: f32) -> f32 {
    S::mul_add_f32(exp_tail::<S>(r), r * r, r)
}

#[inline(always)]
fn exp<S: InstructionSet>(x: f32) -> f32 {
    // Selections instead of `clamp`, so that NaN passes through.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.5 { -104.5 } else { x };
    let (exponent, remainder) = split_exponent::<S>(x);
    let fraction = exp_of_remainder::<S>(remainder);
    // In two steps: one factor alone would overflow below the largest results and lose the subnormal ones.
    let half = exponent >> 1;
    fraction * power_of_two(half) * power_of_two(exponent.wrapping_sub(half))
}

/// `e^-x` for `x` of 0 to 60: the scale fits one factor.
#[inline(always)]
fn exp_of_negative<S: InstructionSet>(x: f32) -> f32 {
    let (exponent, remainder) = split_exponent::<S>(-x);
    exp_of_remainder::<S>(remainder) * power_of_two(exponent)
}

/// `e^x` for `x <= 0`: the scale fits one factor down to the smallest normal result, and what lies below is 0.
#[inline(always)]
fn exp_of_nonpositive<S: InstructionSet>(x: f32) -> f32 {
    let (exponent, remainder) = split_exponent::<S>(x);
    let value = exp_of_remainder::<S>(remainder) * power_of_two(exponent);
    // Also what the split makes of large numbers; NaN passes the comparison by.
    if x < -87.0 { 0.0 } else { value }
}

#[inline(always)]
fn expm1<S: InstructionSet>(x: f32) -> f32 {
    let clamped = if x > 89.0 { 89.0 } else { x };
    let clamped = if clamped < -20.0 { -20.0 } else { clamped };
    let (exponent, remainder) = split_exponent::<S>(clamped);
    let fraction = expm1_of_remainder::<S>(remainder);
    // e^x - 1 = 2^n (e^r - 1) + (2^n - 1); halved, so that 2^128 does not overflow.
    let half = power_of_two(exponent.wrapping_sub(1));
    let value = S::mul_add_f32(half, fraction, half - 0.5);
    // Below this, x itself is the nearest; also keeps the sign of zero and subnormal arguments.
    if x.abs() < 1e-8 { x } else { value + value }
}

/// `ln(2^exponent · (1 + f))` for `f` between √½ − 1 and √2 − 1.
#[inline(always)]
fn ln_of_parts<S: InstructionSet>(exponent: i32, f: f32) -> f32 {
    let tail = polynomial::<S, 9>(
        f,
        [
            0.333_333_1,
            -0.249_999_87,
            0.200_022_24,
            -0.166_692_5,
            0.142_187_16,
            -0.123_844_02,
            0.118_726_194,
            -0.117_893_7,
            0.069_156_125,
        ],
    );
    let square = f * f;
    let count = exponent as f32;
    let small = S::mul_add_f32(count, LN_2_LOW, tail * (square * f));
    let small = S::mul_add_f32(square, -0.5, small);
    S::mul_add_f32(count, LN_2_HIGH, f + small)
}

/// Splits a positive normal number into `2^exponent · mantissa`, the mantissa between √½ and √2.
#[inline(always)]
fn split_mantissa(x: f32) -> (i32, f32) {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_add(0x3f80_0000 - SQRT_HALF);
    let exponent = ((bits >> 23) as i32).wrapping_sub(127);
    (exponent, f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF)))
}

#[inline(always)]
fn ln<S: InstructionSet>(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let (exponent, mantissa) = split_mantissa(scaled);
    let exponent = exponent.wrapping_sub(if subnormal { 23 } else { 0 });
    let value = ln_of_parts::<S>(exponent, mantissa - 1.0);
    let value = if x < f32::INFINITY { value } else { x };
    let value = if x > 0.0 { value } else { f32::NAN };
    if x == 0.0 { f32::NEG_INFINITY } else { value }
}

#[inline(always)]
fn ln1p<S: InstructionSet>(x: f32) -> f32 {
    let sum = 1.0 + x;
    // What rounding the sum dropped, exactly: of the larger addend nothing is lost in the difference.
    let lost = if x < 1.0 { x - (sum - 1.0) } else { 1.0 - (sum - x) };
    let (exponent, mantissa) = split_mantissa(sum);
    // Nothing of it shows in a large result, for which the scale would leave the range of exponents.
    let scaled = lost * power_of_two(exponent.wrapping_neg());
    let f = (mantissa - 1.0) + if x < 1e9 { scaled } else { 0.0 };
    let value = ln_of_parts::<S>(exponent, f);
    let value = if x.abs() < 1e-8 { x } else { value };
    let value = if x < f32::INFINITY { value } else { x };
    let value = if x > -1.0 { value } else { f32::NAN };
    if x == -1.0 { f32::NEG_INFINITY } else { value }
}

#[inline(always)]
fn tanh<S: InstructionSet>(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let tail = polynomial::<S, 5>(square, [-0.333_333_13, 0.133_324_18, -0.053_832_5, 0.020_983_62, -0.006_142_635]);
    let near = S::mul_add_f32(tail * square, x, x);
    // tanh(x) = 1 - 2e/(1 + e), e = exp(-2x); beyond 10 it is 1 to the last place.
    let capped = if size > 10.0 { 10.0 } else { size };
    let e = exp_of_negative::<S>(capped + capped);
    let far = 1.0 - (e + e) / (1.0 + e);
    (if size < 0.55 { near } else { far }).copysign(x)
}

#[inline(always)]
fn sigmoid<S: InstructionSet>(x: f32) -> f32 {
    let e = exp::<S>(-x.abs());
    let denominator = 1.0 + e;
    let numerator = if x < 0.0 { e } else { 1.0 };
    if !S::FUSED {
        return numerator / denominator;
    }
    // One step of refinement removes the rounding of the sum and of the division; only that of `e` remains.
    let inverse = 1.0 / denominator;
    let quotient = numerator * inverse;
    let lost = e - (denominator - 1.0);
    let residual = S::mul_add_f32(-quotient, denominator, numerator);
    let residual = S::mul_add_f32(-quotient, lost, residual);
    S::mul_add_f32(residual, inverse, quotient)
}

#[inline(always)]
fn erf<S: InstructionSet>(x: f32) -> f32 {
    let size = x.abs();
    let near = polynomial::<S, 7>(
        x * x,
        [0.128_379_17, -0.376_126_3, 0.112_836_24, -0.026_855_588, 0.005_191_948, -8.043_839_5e-4, 7.969_663_4e-5],
    );
    let near = S::mul_add_f32(near, x, x);
    // 1 - exp(ln(erfc(x))), the logarithm as a polynomial; beyond 4 the result is 1 to the last place.
    let capped = if size > 4.0 { 4.0 } else { size };
    let exponent = polynomial::<S, 8>(
        capped,
        [
            1.705_536_9e-4,
            -1.129_495_1,
            -0.633_386_73,
            -0.108_236_46,
            0.025_091_354,
            -0.004_160_459_6,
            4.322_876_3e-4,
            -2.090_828_3e-5,
        ],
    );
    let far = 1.0 - exp_of_negative::<S>(-exponent);
    if size < 0.92 { near } else { far.copysign(x) }
}

/// The bits of 2/π, after 64 zeros.
const TWO_OVER_PI: [u64; 7] = [
    0,
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
];

/// For every biased exponent of an argument `x = m·2^e` (`m` of 24 bits): 2/π, less what gives multiples of 4 when
/// multiplied by `x`, in three parts of 29, 29 and 53 bits, so that the products of `x` with the first two are exact.
static QUARTER_TURNS: [[f64; 4]; 256] = quarter_turns();

const fn quarter_turns() -> [[f64; 4]; 256] {
    let mut table = [[f64::NAN; 4]; 256];
    let mut biased = 0;
    while biased < 255 {
        // Below 2²⁴ nothing is to be left out.
        let shift = usize::saturating_sub(biased, 150);
        let first_bit = 62 + shift;
        let (word, bit) = (first_bit / 64, first_bit % 64);
        let pair = ((TWO_OVER_PI[word] as u128) << 64) | TWO_OVER_PI[word + 1] as u128;
        let window = if bit == 0 { pair } else { (pair << bit) | ((TWO_OVER_PI[word + 2] >> (64 - bit)) as u128) };
        // The window's value is a multiple of 2^-126, and the argument still carries its factor 2^shift.
        let unit = f64::from_bits((1023 - shift as u64) << 52);
        let (first, second, third) = (
            (window >> 99) as u64,
            ((window >> 70) & ((1 << 29) - 1)) as u64,
            ((window >> 17) & ((1 << 53) - 1)) as u64,
        );
        table[biased][0] = first as f64 * f64::from_bits((1023 - 27) << 52) * unit;
        table[biased][1] = second as f64 * f64::from_bits((1023 - 56) << 52) * unit;
        table[biased][2] = third as f64 * f64::from_bits((1023 - 109) << 52) * unit;
        biased += 1;
    }
    table
}

/// Splits `x = n·π/2 + r` with `|r|` at most π/4: `n` modulo 4 and `r`. With `ANY_SIZE` for all arguments, else for
/// those below 2²⁴, without looking anything up.
#[inline(always)]
fn split_turn<const ANY_SIZE: bool>(x: f32) -> (u32, f32) {
    /// 1.5 · 2⁵².
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let parts =
        if ANY_SIZE { &QUARTER_TURNS[(x.to_bits() >> 23 & 255) as usize] } else { &const { quarter_turns()[0] } };
    let wide = x as f64;
    let (first, second, third) = (wide * parts[0], wide * parts[1], wide * parts[2]);
    let shifted = (first + second) + ROUND;
    let turns = (first - (shifted - ROUND)) + second + third;
    (shifted.to_bits() as u32, (turns * std::f64::consts::FRAC_PI_2) as f32)
}

#[inline(always)]
fn sin_cos_of<S: InstructionSet>(quarter: u32, r: f32) -> f32 {
    let square = r * r;
    let sine = polynomial::<S, 4>(square, [-0.166_666_67, 0.008_333_38, -1.985_351_1e-4, 2.837_513_2e-6]);
    let sine = S::mul_add_f32(sine * square, r, r);
    let cosine = polynomial::<S, 3>(square, [0.041_666_646, -0.001_388_730_1, 2.443_066_7e-5]);
    let cosine = 1.0 + S::mul_add_f32(square, -0.5, cosine * (square * square));
    let value = if quarter & 1 == 0 { sine } else { cosine };
    f32::from_bits(value.to_bits() ^ ((quarter & 2) << 30))
}

#[inline(always)]
pub(super) fn sin<S: InstructionSet, const ANY_SIZE: bool>(x: f32) -> f32 {
    let (quarter, r) = split_turn::<ANY_SIZE>(x);
    let value = sin_cos_of::<S>(quarter, r);
    // Keeps the sign of zero.
    if x == 0.0 { x } else { value }
}

#[inline(always)]
pub(super) fn cos<S: InstructionSet, const ANY_SIZE: bool>(x: f32) -> f32 {
    let (quarter, r) = split_turn::<ANY_SIZE>(x);
    sin_cos_of::<S>(quarter.wrapping_add(1), r)
}

impl VectorMath for f32 {
    #[inline(always)]
    fn mul_add<S: InstructionSet>(self, b: Self, c: Self) -> Self {
        S::mul_add_f32(self, b, c)
    }

    #[inline(always)]
    fn exp<S: InstructionSet>(self) -> Self {
        exp::<S>(self)
    }

    #[inline(always)]
    fn exp_of_nonpositive<S: InstructionSet>(self) -> Self {
        exp_of_nonpositive::<S>(self)
    }

    #[inline(always)]
    fn expm1<S: InstructionSet>(self) -> Self {
        expm1::<S>(self)
    }

    #[inline(always)]
    fn ln<S: InstructionSet>(self) -> Self {
        ln::<S>(self)
    }

    #[inline(always)]
    fn ln1p<S: InstructionSet>(self) -> Self {
        ln1p::<S>(self)
    }

    #[inline(always)]
    fn tanh<S: InstructionSet>(self) -> Self {
        tanh::<S>(self)
    }

    #[inline(always)]
    fn sigmoid<S: InstructionSet>(self) -> Self {
        sigmoid::<S>(self)
    }

    #[inline(always)]
    fn erf<S: InstructionSet>(self) -> Self {
        erf::<S>(self)
    }

    #[inline(always)]
    fn sin<S: InstructionSet>(self) -> Self {
        sin::<S, true>(self)
    }

    #[inline(always)]
    fn cos<S: InstructionSet>(self) -> Self {
        cos::<S, true>(self)
    }

    #[inline(always)]
    fn sqrt<S: InstructionSet>(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn rsqrt<S: InstructionSet>(self) -> Self {
        1.0 / f32::sqrt(self)
    }

    #[inline(always)]
    fn recip<S: InstructionSet>(self) -> Self {
        1.0 / self
    }

    #[inline(always)]
    fn gelu<S: InstructionSet>(self) -> Self {
        let half = 0.5 * self;
        let value = S::mul_add_f32(half, erf::<S>(self * consts::FRAC_1_SQRT_2), half);
        // −∞ · 0 would be NaN; the limit is zero.
        if self < -14.0 { -0.0 } else { value }
    }

    #[inline(always)]
    fn gelu_tanh<S: InstructionSet>(self) -> Self {
        // (1 + tanh(u)) / 2 = sigmoid(2u); 2·√(2/π) and the same times 0.044715.
        let doubled = self * S::mul_add_f32(self * self, 0.071_354_816, 1.595_769_2);
        let value = self * sigmoid::<S>(doubled);
        if self < -14.0 { -0.0 } else { value }
    }

    #[inline(always)]
    fn silu<S: InstructionSet>(self) -> Self {
        let value = self * sigmoid::<S>(self);
        if self < -110.0 { -0.0 } else { value }
    }
}
