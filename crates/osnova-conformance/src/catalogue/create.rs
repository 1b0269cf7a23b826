//! Creation.

use super::{Draw, Entry};
use crate::case::Case;
use crate::draw::{fits, shape};
use osnova_tensor::random::{Distribution, Stream};
use osnova_tensor::{DType, Op, Real, Scalar};
use proptest::prelude::*;

fn alone(op: Op) -> Case {
    Case { op, inputs: Vec::new() }
}

/// A number that a dtype holds: of its own kind, or of a kind that fits it.
fn scalar(dtype: DType) -> BoxedStrategy<Scalar> {
    let truth = any::<bool>().prop_map(Scalar::Bool);
    let small = (0..100i64).prop_map(Scalar::Int);
    let float = prop_oneof![
        4 => (-100.0..100.0f64).prop_map(Scalar::from),
        1 => Just(Scalar::from(f64::NAN)),
        1 => Just(Scalar::from(f64::NEG_INFINITY)),
        1 => Just(Scalar::from(1e300)),
    ];
    match dtype {
        DType::Bool => truth.boxed(),
        dtype if dtype.is_float() => prop_oneof![1 => truth, 1 => small, 4 => float].boxed(),
        DType::I64 => prop_oneof![1 => truth, 2 => small, 2 => any::<i64>().prop_map(Scalar::Int)].boxed(),
        _ => prop_oneof![1 => truth, 2 => small].boxed(),
    }
}

pub(super) fn full(draw: &Draw) -> Vec<Entry> {
    let Some(dtype) = draw.dtype(|_| true).filter(|_| draw.plain()) else { return Vec::new() };
    let cases = (shape(), dtype)
        .prop_flat_map(|(dims, dtype)| (Just(dims), Just(dtype), scalar(dtype)))
        .prop_map(|(dims, dtype, value)| alone(Op::Full { shape: fits(&dims), dtype, value }));
    vec![("full".into(), cases.boxed())]
}

pub(super) fn arange(draw: &Draw) -> Vec<Entry> {
    let Some(dtype) = draw.dtype(|dtype| dtype != DType::Bool).filter(|_| draw.plain()) else { return Vec::new() };
    let cases =
        (dtype, 0..100usize, -20..20i64, -3..4i64, -2.0..2.0f64).prop_map(|(dtype, length, start, step, part)| {
            let unsigned = matches!(dtype, DType::U8 | DType::U32);
            // So that 20 and steps of 3 stay below 256.
            let length = if dtype == DType::U8 { length.min(60) } else { length };
            let (start, step) = if dtype.is_float() {
                (Scalar::from(start as f64 + part), Scalar::from(part))
            } else if unsigned {
                (Scalar::Int(start.abs()), Scalar::Int(step.abs()))
            } else {
                (Scalar::Int(start), Scalar::Int(step))
            };
            alone(Op::Arange { start, step, length, dtype })
        });
    vec![("arange".into(), cases.boxed())]
}

pub(super) fn random(draw: &Draw) -> Vec<Entry> {
    if !draw.plain() {
        return Vec::new();
    }
    let stream = || (any::<u64>(), any::<u64>()).prop_map(|(seed, counter)| Stream { seed, counter });
    let entry = |name: &str, dtype: BoxedStrategy<DType>, distribution: BoxedStrategy<Distribution>| {
        let cases = (shape(), dtype, distribution, stream()).prop_map(|(dims, dtype, distribution, stream)| {
            alone(Op::Random { shape: fits(&dims), dtype, distribution, stream })
        });
        (name.to_string(), cases.boxed())
    };
    // Between some of these bounds rounding leads out of the interval, and some dtypes have no number at all.
    let bounds = prop_oneof![
        4 => (-3.0..3.0f64, 0.0..4.0f64),
        1 => Just((0.0, 1.0)),
        1 => (-3.0..3.0f64, 0.0..0.01f64),
        1 => Just((-6e4, 12e4)),
    ];
    let uniform =
        bounds.prop_map(|(low, width)| Distribution::Uniform { low: Real::new(low), high: Real::new(low + width) });
    let normal = (-3.0..3.0f64, 0.0..4.0f64).prop_map(|(mean, deviation)| Distribution::Normal {
        mean: Real::new(mean),
        standard_deviation: Real::new(deviation),
    });
    let bernoulli = prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64]
        .prop_map(|probability| Distribution::Bernoulli { probability: Real::new(probability) });
    let floats = || draw.dtype(DType::is_float);
    let mut entries = Vec::new();
    entries.extend(floats().map(|dtype| entry("uniform", dtype, uniform.boxed())));
    entries.extend(floats().map(|dtype| entry("normal", dtype, normal.boxed())));
    let truths = draw.dtype(|dtype| dtype.is_float() || dtype == DType::Bool);
    entries.extend(truths.map(|dtype| entry("bernoulli", dtype, bernoulli.boxed())));
    entries
}
