//! Element by element.

use crate::Number::{self, Float, Int};
use crate::array::Array;
use osnova_tensor::{Binary, Comparison, DType, Meta, Scalar, Shape, Unary};
use std::cmp::Ordering;

/// A function of one tensor; nothing where it is not known, or not of this kind of number.
pub(crate) fn unary(kind: Unary, input: &Array, dtype: DType) -> Option<Vec<Number>> {
    if dtype.is_float() {
        let function = unary_float(kind)?;
        Some(input.values().into_iter().map(|x| Float(function(x.float()))).collect())
    } else {
        let function = unary_int(kind, dtype)?;
        Some(input.values().into_iter().map(|x| Int(function(x.int()))).collect())
    }
}

fn unary_float(kind: Unary) -> Option<fn(f64) -> f64> {
    let function: fn(f64) -> f64 = match kind {
        Unary::Neg => |x| -x,
        Unary::Abs => f64::abs,
        // `signum` of Rust gives 1 for 0.
        Unary::Sign => |x| if x == 0.0 { 0.0 } else { x.signum() },
        Unary::Exp => f64::exp,
        Unary::Expm1 => f64::exp_m1,
        Unary::Ln => f64::ln,
        Unary::Ln1p => f64::ln_1p,
        Unary::Sqrt => f64::sqrt,
        Unary::Rsqrt => |x| 1.0 / x.sqrt(),
        Unary::Recip => |x| 1.0 / x,
        Unary::Sin => f64::sin,
        Unary::Cos => f64::cos,
        Unary::Tanh => f64::tanh,
        Unary::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Unary::Erf => libm::erf,
        Unary::Floor => f64::floor,
        Unary::Ceil => f64::ceil,
        Unary::Round => f64::round_ties_even,
        // `f64::max` would drop NaN.
        Unary::Relu => |x| if x.is_nan() { x } else { x.max(0.0) },
        // Inference keeps floats away from `Not`, and a new function must be written here first.
        _ => return None,
    };
    Some(function)
}

fn unary_int(kind: Unary, dtype: DType) -> Option<fn(i64) -> i64> {
    let function: fn(i64) -> i64 = match kind {
        Unary::Neg => i64::wrapping_neg,
        Unary::Abs => i64::wrapping_abs,
        Unary::Sign => i64::signum,
        Unary::Relu => |x| x.max(0),
        Unary::Not if dtype == DType::Bool => |x| 1 - x,
        Unary::Not => |x| !x,
        _ => return None,
    };
    Some(function)
}

/// A function of two tensors; nothing where it is not known, or not of this kind of number.
pub(crate) fn binary(kind: Binary, left: &Array, right: &Array, output: &Meta) -> Option<Vec<Number>> {
    let function = if output.dtype.is_float() { binary_float(kind) } else { binary_int(kind) }?;
    let pairs = left.expanded(&output.shape).into_iter().zip(right.expanded(&output.shape));
    Some(pairs.map(|(x, y)| function(x, y)).collect())
}

fn binary_float(kind: Binary) -> Option<fn(Number, Number) -> Number> {
    let function: fn(Number, Number) -> Number = match kind {
        Binary::Add => Number::plus,
        Binary::Sub => |x, y| Float(x.float() - y.float()),
        Binary::Mul => Number::times,
        Binary::Div => |x, y| Float(x.float() / y.float()),
        Binary::Pow => |x, y| Float(x.float().powf(y.float())),
        Binary::Min => Number::minimum,
        Binary::Max => Number::maximum,
        _ => return None,
    };
    Some(function)
}

fn binary_int(kind: Binary) -> Option<fn(Number, Number) -> Number> {
    let function: fn(Number, Number) -> Number = match kind {
        Binary::Add => Number::plus,
        Binary::Sub => |x, y| Int(x.int().wrapping_sub(y.int())),
        Binary::Mul => Number::times,
        Binary::Div => |x, y| Int(if y.int() == 0 { 0 } else { x.int().wrapping_div(y.int()) }),
        Binary::Pow => |x, y| Int(power(x.int(), y.int())),
        Binary::Min => Number::minimum,
        Binary::Max => Number::maximum,
        // Truth values are 0 and 1, so the bitwise functions are the logical ones.
        Binary::And => |x, y| Int(x.int() & y.int()),
        Binary::Or => |x, y| Int(x.int() | y.int()),
        Binary::Xor => |x, y| Int(x.int() ^ y.int()),
        _ => return None,
    };
    Some(function)
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
