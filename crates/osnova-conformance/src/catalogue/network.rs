//! Composites but for optimizers.

use super::{Draw, Entry};
use crate::draw::{case, filled, shape, shape_and_axes, shape_and_axis, shape_of_rank};
use crate::values::Values;
use osnova_tensor::{
    Activation, Axes, BinaryCrossEntropy, CrossEntropy, Custom, CustomOp, DType, Inputs, LayerNorm, Meta, Metas, Op,
    Outputs, Real, ReductionKind, Result, Scalar, Tensor,
};
use proptest::prelude::*;
use proptest::sample::select;

fn floats(draw: &Draw) -> Option<BoxedStrategy<DType>> {
    draw.dtype(DType::is_float)
}

/// The values of composites. Special ones are drawn where the decomposition gives them a meaning of their own.
fn values(draw: &Draw) -> Values {
    draw.values(Values::Between(-4.0, 4.0), Values::Masked, Values::OffGrid(0.1))
}

/// Cases of an operation on one float tensor.
fn along_axes(draw: &Draw, name: &str, op: impl Fn(Axes, bool, usize) -> Op + 'static) -> Vec<Entry> {
    let (Some(dtype), values) = (floats(draw), values(draw)) else { return Vec::new() };
    let drawn = (shape_and_axes(), dtype, any::<bool>(), 0..3usize);
    let cases = drawn.prop_flat_map(move |((dims, axes), dtype, keep_dims, extra)| {
        case(op(axes.into_iter().collect(), keep_dims, extra), vec![(dims, dtype, values)])
    });
    vec![(name.into(), cases.boxed())]
}

fn along_axis(draw: &Draw, name: &str, op: fn(usize) -> Op) -> Vec<Entry> {
    let (Some(dtype), values) = (floats(draw), values(draw)) else { return Vec::new() };
    let cases = (shape_and_axis(), dtype)
        .prop_flat_map(move |((dims, axis), dtype)| case(op(axis), vec![(dims, dtype, values)]));
    vec![(name.into(), cases.boxed())]
}

fn not_special(draw: &Draw, entries: impl FnOnce() -> Vec<Entry>) -> Vec<Entry> {
    if draw.plain() || draw.gradient() { entries() } else { Vec::new() }
}

pub(super) fn mean(draw: &Draw) -> Vec<Entry> {
    not_special(draw, || along_axes(draw, "mean", |axes, keep_dims, _| Op::Mean { axes, keep_dims }))
}

pub(super) fn variance(draw: &Draw) -> Vec<Entry> {
    let op = |axes, keep_dims, correction| Op::Variance { axes, keep_dims, correction };
    not_special(draw, || along_axes(draw, "var", op))
}

pub(super) fn log_sum_exp(draw: &Draw) -> Vec<Entry> {
    along_axes(draw, "logsumexp", |axes, keep_dims, _| Op::LogSumExp { axes, keep_dims })
}

pub(super) fn softmax(draw: &Draw) -> Vec<Entry> {
    along_axis(draw, "softmax", |axis| Op::Softmax { axis })
}

pub(super) fn log_softmax(draw: &Draw) -> Vec<Entry> {
    along_axis(draw, "log_softmax", |axis| Op::LogSoftmax { axis })
}

pub(super) fn activate(draw: &Draw) -> Vec<Entry> {
    let entry = |kind: Activation| {
        let (dtype, values) = (floats(draw)?, values(draw));
        let cases =
            (shape(), dtype).prop_flat_map(move |(dims, dtype)| case(Op::Activate(kind), vec![(dims, dtype, values)]));
        Some((format!("activate {}", kind.name()), cases.boxed()))
    };
    not_special(draw, || Activation::ALL.into_iter().filter_map(entry).collect())
}

pub(super) fn activation_gradient(draw: &Draw) -> Vec<Entry> {
    let entry = |kind: Activation| {
        let dtype = floats(draw)?;
        let gradient = draw.values(Values::Between(-4.0, 4.0), Values::Masked, Values::OffGrid(0.1));
        let cases = (shape(), dtype).prop_flat_map(move |(dims, dtype)| {
            let output = Values::Between(0.05, 0.95);
            let op = Op::ActivationGradient(kind);
            case(op, vec![(dims.clone(), dtype, gradient), (dims, dtype, output)])
        });
        Some((format!("activation_gradient of {}", kind.name()), cases.boxed()))
    };
    let known = Activation::ALL.into_iter().filter(|kind| kind.derivative_from_output());
    not_special(draw, || known.filter_map(entry).collect())
}

pub(super) fn linear(draw: &Draw) -> Vec<Entry> {
    let entry = |activation: Activation| {
        let (dtype, values) =
            (floats(draw)?, draw.values(Values::Between(-2.0, 2.0), Values::Masked, Values::Between(-1.0, 1.0)));
        // Features beyond a block of a fast kernel now and then.
        let features = || prop_oneof![1 => Just(0usize), 8 => filled(), 1 => 8..40usize];
        let drawn = (shape_of_rank(0..=2usize), features(), features(), dtype, any::<bool>());
        let cases = drawn.prop_flat_map(move |(mut dims, inner, outer, dtype, bias)| {
            dims.push(inner);
            let mut parts = vec![(dims, dtype, values), (vec![outer, inner], dtype, values)];
            if bias {
                parts.push((vec![outer], dtype, values));
            }
            case(Op::Linear { bias, activation }, parts)
        });
        Some((format!("linear with {}", activation.name()), cases.boxed()))
    };
    // A kink may lie anywhere: relu is left to its own gradient check.
    let smooth = Activation::ALL.into_iter().filter(|kind| draw.plain() || *kind != Activation::Relu);
    not_special(draw, || smooth.filter_map(entry).collect())
}

fn reduction() -> BoxedStrategy<ReductionKind> {
    select(vec![ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None]).boxed()
}

pub(super) fn cross_entropy(draw: &Draw) -> Vec<Entry> {
    let (Some(dtype), Some(index), values) = (floats(draw), draw.index(), values(draw)) else { return Vec::new() };
    let gradient = draw.gradient();
    let ignore = prop_oneof![3 => Just(None), 1 => Just(Some(-100i64)), 1 => Just(Some(1i64))];
    let drawn = (0..7usize, 1..8usize, (dtype, index), reduction(), any::<[bool; 3]>(), ignore);
    let cases = drawn.prop_flat_map(move |(batch, classes, (dtype, index), reduction, flags, ignore_index)| {
        let [smoothed, weighted, with_gradient] = flags;
        let attributes = CrossEntropy {
            reduction,
            label_smoothing: Real::new(if smoothed { 0.1 } else { 0.0 }),
            ignore_index,
            weighted,
            with_gradient: with_gradient && !gradient,
        };
        let target = match ignore_index {
            // A number that the dtype lacks is ignored nowhere.
            Some(ignored) if Scalar::from(ignored).fits(index) => Values::IndexOr(classes, ignored),
            _ => Values::Index(classes),
        };
        let mut parts = vec![(vec![batch, classes], dtype, values), (vec![batch], index, target)];
        if weighted {
            parts.push((vec![classes], dtype, Values::Between(0.5, 2.0)));
        }
        case(Op::CrossEntropy(attributes), parts)
    });
    not_special(draw, || vec![("cross_entropy".into(), cases.boxed())])
}

pub(super) fn binary_cross_entropy(draw: &Draw) -> Vec<Entry> {
    let (Some(dtype), values) = (floats(draw), values(draw)) else { return Vec::new() };
    let gradient = draw.gradient();
    let drawn = (shape(), dtype, reduction(), any::<bool>());
    let cases = drawn.prop_flat_map(move |(dims, dtype, reduction, with_gradient)| {
        let with_gradient = with_gradient && !gradient;
        let op = Op::BinaryCrossEntropy(BinaryCrossEntropy { reduction, with_gradient });
        case(op, vec![(dims.clone(), dtype, values), (dims, dtype, Values::Between(0.0, 1.0))])
    });
    not_special(draw, || vec![("binary_cross_entropy".into(), cases.boxed())])
}

pub(super) fn layer_norm(draw: &Draw) -> Vec<Entry> {
    let (Some(dtype), values) = (floats(draw), values(draw)) else { return Vec::new() };
    // Where the variance may vanish a small epsilon makes the function too sharp for differences.
    let epsilon = Real::new(if draw.gradient() { 0.5 } else { 1e-5 });
    let drawn = (shape_and_axis(), dtype, any::<bool>());
    let cases = drawn.prop_flat_map(move |((dims, axis), dtype, affine)| {
        let attributes = LayerNorm { axes: dims.len() - axis, epsilon, affine };
        let normalised = dims[axis..].to_vec();
        let mut parts = vec![(dims, dtype, values)];
        if affine {
            parts.push((normalised.clone(), dtype, Values::Between(0.5, 2.0)));
            parts.push((normalised, dtype, Values::Between(-1.0, 1.0)));
        }
        case(Op::LayerNorm(attributes), parts)
    });
    not_special(draw, || vec![("layer_norm".into(), cases.boxed())])
}

/// 3x², as a user's crate would define it, with a derivative of its own.
#[derive(Debug)]
struct ScaledSquare;

impl CustomOp for ScaledSquare {
    fn name(&self) -> &'static str {
        "scaled_square"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        match inputs {
            [input] if input.dtype.is_float() => Ok(Metas::from_iter([*input])),
            _ => Err(osnova_tensor::Error::argument("scaled_square", "it takes one float tensor", "Give one")),
        }
    }

    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        Ok(Outputs::from_iter([(inputs[0].square()? * 3.0)?]))
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        gradients: &[Option<Tensor>],
    ) -> Result<Option<Vec<Option<Tensor>>>> {
        let gradient = gradients[0].as_ref().map(|gradient| (&inputs[0] * 6.0)? * gradient).transpose()?;
        Ok(Some(vec![gradient]))
    }

    fn has_backward(&self) -> bool {
        true
    }
}

pub(super) fn custom(draw: &Draw) -> Vec<Entry> {
    let (Some(dtype), values) = (floats(draw), values(draw)) else { return Vec::new() };
    let op = Op::Custom(Custom::new(ScaledSquare));
    let cases = (shape(), dtype).prop_flat_map(move |(dims, dtype)| case(op.clone(), vec![(dims, dtype, values)]));
    not_special(draw, || vec![("custom".into(), cases.boxed())])
}
