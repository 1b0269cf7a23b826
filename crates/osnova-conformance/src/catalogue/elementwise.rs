//! Element by element.

use super::{Draw, Entry, Flavour};
use crate::draw::{broadcasting, case, shape};
use crate::values::Values;
use osnova_tensor::{Binary, Comparison, DType, Op, Scalar, Unary};
use proptest::prelude::*;

pub(super) fn unary(draw: &Draw) -> Vec<Entry> {
    let entry = |kind: Unary| {
        let plain = match kind {
            Unary::Exp | Unary::Expm1 => Values::Between(-9.0, 9.0),
            Unary::Ln | Unary::Sqrt | Unary::Rsqrt => Values::Between(0.01, 10.0),
            Unary::Ln1p => Values::Between(-0.9, 10.0),
            Unary::Recip | Unary::Sin | Unary::Cos => Values::Between(-10.0, 10.0),
            Unary::Tanh | Unary::Sigmoid | Unary::Erf => Values::Between(-6.0, 6.0),
            _ => Values::Wide,
        };
        let smooth = match kind {
            Unary::Ln | Unary::Sqrt | Unary::Rsqrt | Unary::Recip => Values::Between(0.3, 3.0),
            Unary::Ln1p => Values::Between(-0.5, 3.0),
            _ => Values::OffGrid(0.1),
        };
        let values = draw.values(plain, Values::Special, smooth);
        let dtype = draw.dtype(|dtype| kind.accepts(dtype))?;
        let cases =
            (shape(), dtype).prop_flat_map(move |(dims, dtype)| case(Op::Unary(kind), vec![(dims, dtype, values)]));
        Some((kind.name().to_string(), cases.boxed()))
    };
    Unary::ALL.into_iter().filter_map(entry).collect()
}

pub(super) fn binary(draw: &Draw) -> Vec<Entry> {
    let flavour = draw.flavour;
    let entry = |kind: Binary| {
        let dtype = draw.dtype(|dtype| kind.accepts(dtype))?;
        let cases = (broadcasting(2), dtype).prop_flat_map(move |(mut shapes, dtype)| {
            let (left, right) = match (flavour, kind) {
                (Flavour::Special, _) => (Values::Special, Values::Special),
                (Flavour::Gradient, Binary::Pow) => (Values::Between(0.3, 3.0), Values::OffGrid(0.1)),
                // Values of two inputs never meet, so that minimum and maximum have no ties.
                (Flavour::Gradient, _) => (Values::OffGrid(0.1), Values::OffGrid(0.6)),
                (_, _) if !dtype.is_float() => (Values::Wide, Values::Wide),
                (_, Binary::Pow) => (Values::Between(0.1, 4.0), Values::Between(-3.0, 3.0)),
                _ => (Values::Between(-4.0, 4.0), Values::Between(-4.0, 4.0)),
            };
            let second = shapes.remove(1);
            case(Op::Binary(kind), vec![(shapes.remove(0), dtype, left), (second, dtype, right)])
        });
        Some((kind.name().to_string(), cases.boxed()))
    };
    Binary::ALL.into_iter().filter_map(entry).collect()
}

pub(super) fn compare(draw: &Draw) -> Vec<Entry> {
    if draw.gradient() {
        return Vec::new();
    }
    // Few different values, so that many are equal.
    let values = draw.values(Values::Index(4), Values::Special, Values::Index(4));
    let entry = |kind: Comparison| {
        let cases = (broadcasting(2), draw.dtype(|_| true)?).prop_flat_map(move |(mut shapes, dtype)| {
            let second = shapes.remove(1);
            case(Op::Compare(kind), vec![(shapes.remove(0), dtype, values), (second, dtype, values)])
        });
        Some((kind.name().to_string(), cases.boxed()))
    };
    Comparison::ALL.into_iter().filter_map(entry).collect()
}

pub(super) fn clamp(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Between(-6.0, 6.0), Values::Special, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|dtype| dtype != DType::Bool) else { return Vec::new() };
    let cases = (shape(), dtype, -4..4i64, -4..4i64).prop_flat_map(move |(dims, dtype, low, high)| {
        let bound = |value: i64| match dtype {
            dtype if dtype.is_float() => Scalar::from(value as f64),
            DType::U8 | DType::U32 => Scalar::Int(value.abs()),
            _ => Scalar::Int(value),
        };
        case(Op::Clamp { low: bound(low), high: bound(high) }, vec![(dims, dtype, values)])
    });
    vec![("clamp".into(), cases.boxed())]
}

pub(super) fn choose(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Wide, Values::Special, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|_| true) else { return Vec::new() };
    let cases = (broadcasting(3), dtype).prop_flat_map(move |(shapes, dtype)| {
        let [condition, x, y] = [0, 1, 2].map(|index| shapes[index].clone());
        case(Op::Where, vec![(condition, DType::Bool, values), (x, dtype, values), (y, dtype, values)])
    });
    vec![("where".into(), cases.boxed())]
}

pub(super) fn cast(draw: &Draw) -> Vec<Entry> {
    // Casts to every dtype, f64 included, to the same dtype too.
    let values = draw.values(Values::Between(-300.0, 300.0), Values::Special, Values::OffGrid(0.1));
    let entry = |to: DType| {
        let cases = (shape(), draw.dtype(|_| true)?).prop_flat_map(move |(dims, dtype)| {
            let values = if dtype.is_integer() { Values::Wide } else { values };
            case(Op::Cast { dtype: to }, vec![(dims, dtype, values)])
        });
        Some((format!("cast to {to}"), cases.boxed()))
    };
    draw.dtypes.iter().copied().filter_map(entry).collect()
}
