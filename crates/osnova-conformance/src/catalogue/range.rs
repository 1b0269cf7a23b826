//! Composites over thousands of terms and over ranges in which a careless formula overflows or loses its digits: squares, exponentials, a
//! logarithm added to a large maximum.

use super::Entry;
use crate::draw::case;
use crate::values::Values;
use osnova_tensor::{Activation, Axes, BinaryCrossEntropy, CrossEntropy, DType, LayerNorm, Op, Real, ReductionKind};
use proptest::prelude::*;
use proptest::sample::select;

/// Near the end of the range of a half type, where squares are beyond f32's in bf16.
fn wide(dtype: DType) -> Values {
    let end = match dtype {
        DType::F16 => 6e4,
        DType::BF16 => 1e30,
        _ => 1e8,
    };
    Values::Between(-end, end)
}

/// Numbers of which the squares fit, but hardly their sum.
fn squarable(dtype: DType) -> Values {
    let end = match dtype {
        DType::F16 => 300.0,
        DType::BF16 => 1e15,
        _ => 1e4,
    };
    Values::Between(-end, end)
}

/// Close to one another and far from 0.
fn level(dtype: DType) -> Values {
    Values::Around(if dtype == DType::F16 { 5e4 } else { 1e7 })
}

/// What exponentials are taken of.
fn logits(dtype: DType) -> BoxedStrategy<Values> {
    select(vec![Values::Between(-4.0, 4.0), Values::Between(-20.0, 20.0), wide(dtype), level(dtype)]).boxed()
}

fn lengths() -> BoxedStrategy<usize> {
    select(vec![2usize, 3, 17, 300, 1000, 4096]).boxed()
}

/// A few long rows, or long columns.
fn shape() -> BoxedStrategy<(Vec<usize>, usize)> {
    let drawn = (1..4usize, lengths(), any::<bool>());
    drawn.prop_map(|(few, many, rows)| if rows { (vec![few, many], 1) } else { (vec![many, few], 0) }).boxed()
}

/// Cases of one operation along the long axis.
fn along(dtypes: &[DType], name: &str, values: fn(DType) -> BoxedStrategy<Values>, op: fn(usize) -> Op) -> Entry {
    let drawn = (shape(), select(dtypes.to_vec()));
    let cases = drawn.prop_flat_map(move |((dims, axis), dtype)| {
        values(dtype).prop_flat_map(move |values| case(op(axis), vec![(dims.clone(), dtype, values)]))
    });
    (name.into(), cases.boxed())
}

fn along_axes(axis: usize) -> Axes {
    [axis].into_iter().collect()
}

/// The cases on these dtypes, floats; none without one. Indices are of the first of `indices`.
pub(super) fn entries(dtypes: &[DType], indices: &[DType]) -> Vec<Entry> {
    if dtypes.is_empty() {
        return Vec::new();
    }
    let mut entries = vec![
        along(
            dtypes,
            "mean",
            |dtype| Just(wide(dtype)).boxed(),
            |axis| Op::Mean { axes: along_axes(axis), keep_dims: false },
        ),
        along(
            dtypes,
            "var",
            |dtype| Just(squarable(dtype)).boxed(),
            |axis| Op::Variance { axes: along_axes(axis), keep_dims: true, correction: 1 },
        ),
        along(dtypes, "logsumexp", logits, |axis| Op::LogSumExp { axes: along_axes(axis), keep_dims: false }),
        along(dtypes, "softmax", logits, |axis| Op::Softmax { axis }),
        along(dtypes, "log_softmax", logits, |axis| Op::LogSoftmax { axis }),
    ];
    entries.extend(Activation::ALL.map(|kind| activate(dtypes, kind)));
    entries.extend(Activation::ALL.map(|kind| linear(dtypes, kind)));
    entries.extend(indices.first().map(|&index| cross_entropy(dtypes, index)));
    entries.extend([binary_cross_entropy(dtypes), layer_norm(dtypes)]);
    entries.into_iter().map(|(name, cases)| (format!("{name} of long and large"), cases)).collect()
}

fn activate(dtypes: &[DType], kind: Activation) -> Entry {
    let cases = select(dtypes.to_vec()).prop_flat_map(move |dtype| {
        let values = select(vec![Values::Between(-12.0, 12.0), wide(dtype)]);
        values.prop_flat_map(move |values| case(Op::Activate(kind), vec![(vec![2, 150], dtype, values)]))
    });
    (format!("activate {}", kind.name()), cases.boxed())
}

fn linear(dtypes: &[DType], activation: Activation) -> Entry {
    let cases = (1..4usize, lengths(), select(dtypes.to_vec())).prop_flat_map(move |(rows, features, dtype)| {
        let op = Op::Linear { bias: true, activation };
        let values = Values::Between(-1.0, 1.0);
        // Means out of half types now and then, before the activation.
        let bias = select(vec![values, squarable(dtype)]);
        bias.prop_flat_map(move |bias| {
            case(
                op.clone(),
                vec![(vec![rows, features], dtype, values), (vec![3, features], dtype, values), (vec![3], dtype, bias)],
            )
        })
    });
    (format!("linear with {}", activation.name()), cases.boxed())
}

fn reduction() -> BoxedStrategy<ReductionKind> {
    select(vec![ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None]).boxed()
}

fn cross_entropy(dtypes: &[DType], index: DType) -> Entry {
    let drawn = (shape(), select(dtypes.to_vec()), reduction(), any::<[bool; 4]>());
    let cases =
        drawn.prop_flat_map(move |((dims, _), dtype, reduction, [smoothed, weighted, ignores, with_gradient])| {
            logits(dtype).prop_flat_map(move |values| {
                let (batch, classes) = (dims[0], dims[1]);
                let attributes = CrossEntropy {
                    reduction,
                    label_smoothing: Real::new(if smoothed { 0.1 } else { 0.0 }),
                    ignore_index: ignores.then_some(0),
                    weighted,
                    with_gradient,
                };
                let target = if ignores { Values::IndexOr(classes, 0) } else { Values::Index(classes) };
                let mut parts = vec![(vec![batch, classes], dtype, values), (vec![batch], index, target)];
                if weighted {
                    parts.push((vec![classes], dtype, Values::Between(0.5, 2.0)));
                }
                case(Op::CrossEntropy(attributes), parts)
            })
        });
    ("cross_entropy".into(), cases.boxed())
}

fn binary_cross_entropy(dtypes: &[DType]) -> Entry {
    let drawn = (shape(), select(dtypes.to_vec()), reduction(), any::<bool>());
    let cases = drawn.prop_flat_map(move |((dims, _), dtype, reduction, with_gradient)| {
        let values = select(vec![Values::Between(-20.0, 20.0), wide(dtype)]);
        values.prop_flat_map(move |values| {
            let op = Op::BinaryCrossEntropy(BinaryCrossEntropy { reduction, with_gradient });
            case(op, vec![(dims.clone(), dtype, values), (dims.clone(), dtype, Values::Between(0.0, 1.0))])
        })
    });
    ("binary_cross_entropy".into(), cases.boxed())
}

fn layer_norm(dtypes: &[DType]) -> Entry {
    let drawn = (1..4usize, lengths(), select(dtypes.to_vec()), any::<bool>(), select(vec![1e-5, 1e-12]));
    let cases = drawn.prop_flat_map(move |(rows, width, dtype, affine, epsilon)| {
        let values = select(vec![Values::Between(-4.0, 4.0), Values::Between(-1e-3, 1e-3), wide(dtype)]);
        values.prop_flat_map(move |values| {
            let op = Op::LayerNorm(LayerNorm { axes: 1, epsilon: Real::new(epsilon), affine });
            let mut parts = vec![(vec![rows, width], dtype, values)];
            if affine {
                parts.push((vec![width], dtype, Values::Between(0.5, 2.0)));
                parts.push((vec![width], dtype, Values::Between(-1.0, 1.0)));
            }
            case(op, parts)
        })
    });
    ("layer_norm".into(), cases.boxed())
}
