//! Reductions, and what else runs along an axis.

use super::{Draw, Entry};
use crate::draw::{case, shape_and_axes, shape_and_axis};
use crate::values::Values;
use osnova_tensor::{ArgReduction, DType, Op, Reduction};
use proptest::prelude::*;

pub(super) fn reduce(draw: &Draw) -> Vec<Entry> {
    let entry = |kind: Reduction| {
        let ordered = matches!(kind, Reduction::Max | Reduction::Min);
        let values = match kind {
            Reduction::Sum => draw.values(Values::Between(-4.0, 4.0), Values::NotFinite, Values::OffGrid(0.1)),
            Reduction::Prod => draw.values(Values::Between(0.5, 1.5), Values::NotFinite, Values::OffGrid(0.1)),
            _ => draw.values(Values::Between(-4.0, 4.0), Values::Special, Values::Distinct),
        };
        let dtype = draw.dtype(|dtype| ordered || dtype != DType::Bool)?;
        let gradient = draw.gradient();
        let cases = (shape_and_axes(), dtype, any::<bool>()).prop_flat_map(move |((dims, axes), dtype, keep_dims)| {
            let values = if dtype.is_integer() && !gradient { Values::Wide } else { values };
            let op = Op::Reduce { kind, axes: axes.into_iter().collect(), keep_dims };
            case(op, vec![(dims, dtype, values)])
        });
        let name = match kind {
            Reduction::Sum => "sum",
            Reduction::Prod => "prod",
            Reduction::Max => "max",
            Reduction::Min => "min",
        };
        Some((name.to_string(), cases.boxed()))
    };
    [Reduction::Sum, Reduction::Prod, Reduction::Max, Reduction::Min].into_iter().filter_map(entry).collect()
}

pub(super) fn position(draw: &Draw) -> Vec<Entry> {
    // Positions are i64.
    if draw.gradient() || !draw.indices.contains(&DType::I64) {
        return Vec::new();
    }
    // Few different values: the first of equals must win.
    let values = draw.values(Values::Index(4), Values::Special, Values::Distinct);
    let entry = |kind: ArgReduction| {
        let drawn = (shape_and_axis(), draw.dtype(|_| true)?, any::<bool>());
        let cases = drawn.prop_flat_map(move |((mut dims, axis), dtype, keep_dims)| {
            dims[axis] = dims[axis].max(1);
            case(Op::ArgReduce { kind, axis, keep_dims }, vec![(dims, dtype, values)])
        });
        let name = if kind == ArgReduction::Max { "argmax" } else { "argmin" };
        Some((name.to_string(), cases.boxed()))
    };
    [ArgReduction::Max, ArgReduction::Min].into_iter().filter_map(entry).collect()
}

pub(super) fn running_sum(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Between(-4.0, 4.0), Values::NotFinite, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|dtype| dtype != DType::Bool) else { return Vec::new() };
    let cases = (shape_and_axis(), dtype, any::<bool>()).prop_flat_map(move |((dims, axis), dtype, reverse)| {
        let values = if dtype.is_integer() { Values::Wide } else { values };
        case(Op::CumulativeSum { axis, reverse }, vec![(dims, dtype, values)])
    });
    vec![("cumsum".into(), cases.boxed())]
}

pub(super) fn sort(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Index(6), Values::Special, Values::Distinct);
    let gradient = draw.gradient();
    let supported = draw.indices.contains(&DType::I64);
    let Some(dtype) = draw.dtype(|_| true).filter(|_| supported) else { return Vec::new() };
    let cases = (shape_and_axis(), dtype, any::<bool>(), any::<bool>()).prop_flat_map(
        move |((dims, axis), dtype, descending, ties)| {
            let values = if ties || gradient || !dtype.is_float() { values } else { Values::Between(-4.0, 4.0) };
            case(Op::Sort { axis, descending }, vec![(dims, dtype, values)])
        },
    );
    vec![("sort".into(), cases.boxed())]
}
