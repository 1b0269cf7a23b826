//! Element by element.

use crate::Number::{self, Float, Int};
use crate::array::Array;
use osnova_tensor::{Binary, Comparison, DType, Scalar, Shape, Unary};
use std::cmp::Ordering;

pub(crate) fn unary(kind: Unary, input: &Array, dtype: DType) -> Vec<Number> {
    let function = |number| match number {
        Float(value) => Float(unary_float(kind, value)),
        Int(value) => Int(unary_int(kind, value, dtype)),
    };
    input.values().into_iter().map(function).collect()
}

fn unary_float(kind: Unary, x: f64) -> f64 {
    match kind {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        // `signum` of Rust gives 1 for 0.
        Unary::Sign if x == 0.0 => 0.0,
        Unary::Sign => x.signum(),
        Unary::Exp => x.exp(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Ln => x.ln(),
        Unary::Ln1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Recip => 1.0 / x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Erf => libm::erf(x),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        // `f64::max` would drop NaN.
        Unary::Relu if x.is_nan() => x,
        Unary::Relu => x.max(0.0),
        // Inference keeps floats away from `Not`, and a new function must be written here first.
        other => unreachable!("{} of a float", other.name()),
    }
}

fn unary_int(kind: Unary, x: i64, dtype: DType) -> i64 {
    match kind {
        Unary::Neg => x.wrapping_neg(),
        Unary::Abs => x.wrapping_abs(),
        Unary::Sign => x.signum(),
        Unary::Relu => x.max(0),
        Unary::Not if dtype == DType::Bool => 1 - x,
        Unary::Not => !x,
        other => unreachable!("{} of an integer", other.name()),
    }
}

pub(crate) fn binary(kind: Binary, left: &Array, right: &Array, shape: &Shape) -> Vec<Number> {
    let function = |(x, y): (Number, Number)| match (kind, x, y) {
        (Binary::Add, ..) => x.plus(y),
        (Binary::Mul, ..) => x.times(y),
        (Binary::Min, ..) => x.minimum(y),
        (Binary::Max, ..) => x.maximum(y),
        (_, Float(x), Float(y)) => Float(binary_float(kind, x, y)),
        (..) => Int(binary_int(kind, x.int(), y.int())),
    };
    left.expanded(shape).into_iter().zip(right.expanded(shape)).map(function).collect()
}

fn binary_float(kind: Binary, x: f64, y: f64) -> f64 {
    match kind {
        Binary::Sub => x - y,
        Binary::Div => x / y,
        Binary::Pow => x.powf(y),
        other => unreachable!("{} of floats", other.name()),
    }
}

fn binary_int(kind: Binary, x: i64, y: i64) -> i64 {
    match kind {
        Binary::Sub => x.wrapping_sub(y),
        Binary::Div if y == 0 => 0,
        Binary::Div => x.wrapping_div(y),
        Binary::Pow => power(x, y),
        // Truth values are 0 and 1, so the bitwise functions are the logical ones.
        Binary::And => x & y,
        Binary::Or => x | y,
        Binary::Xor => x ^ y,
        other => unreachable!("{} of integers", other.name()),
    }
}

/// By repeated squaring, wrapping around i64. A negative power is 1/xⁿ truncated: 0, or ±1 for ±1.
fn power(base: i64, exponent: i64) -> i64 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 if exponent % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut result, mut square, mut rest) = (1i64, base, exponent);
    while rest > 0 {
        if rest % 2 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest /= 2;
    }
    result
}

pub(crate) fn compare(kind: Comparison, left: &Array, right: &Array, shape: &Shape) -> Vec<Number> {
    let function = |(x, y): (Number, Number)| {
        let order = x.compare(y);
        Int(i64::from(match kind {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }))
    };
    left.expanded(shape).into_iter().zip(right.expanded(shape)).map(function).collect()
}

/// `min(max(x, low), high)`; NaN stays NaN, and so does that of a bound.
pub(crate) fn clamp(input: &Array, low: Scalar, high: Scalar, dtype: DType) -> Vec<Number> {
    let (low, high) = (Number::constant(low, dtype), Number::constant(high, dtype));
    input.values().into_iter().map(|x| x.maximum(low).minimum(high)).collect()
}

/// `condition ? x : y`.
pub(crate) fn choose(inputs: &[Array], shape: &Shape) -> Vec<Number> {
    let (condition, x, y) = (inputs[0].expanded(shape), inputs[1].expanded(shape), inputs[2].expanded(shape));
    condition
        .into_iter()
        .zip(x.into_iter().zip(y))
        .map(|(condition, (x, y))| if condition.int() != 0 { x } else { y })
        .collect()
}

pub(crate) fn cast(input: &Array, dtype: DType) -> Vec<Number> {
    input.values().into_iter().map(|number| number.to(dtype)).collect()
}
