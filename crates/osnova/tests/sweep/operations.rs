//! Operations as values, with attributes that no method would make.

use crate::calls::{Call, Run, ends_soon, product_ends_soon};
use osnova::tensor::random::{Distribution, Stream};
use osnova::tensor::*;

/// Sizes for whatever an operation counts.
const SIZES: [usize; 6] = [0, 1, 7, 8, 1 << 40, usize::MAX];

fn creations(dtype: DType) -> Vec<Op> {
    let mut list = Vec::new();
    for size in SIZES {
        let Ok(shape) = Shape::new(&[size]) else { continue };
        let stream = Stream { seed: 1, counter: u64::MAX };
        let uniform = Distribution::Uniform { low: 0.0.into(), high: f64::MAX.into() };
        list.push(Op::Full { shape, dtype, value: Scalar::Int(1) });
        list.push(Op::Random { shape, dtype, distribution: uniform, stream });
    }
    for length in SIZES {
        list.push(Op::Arange { start: Scalar::Int(i64::MAX), step: Scalar::Int(i64::MAX), length, dtype });
        list.push(Op::Arange { start: f64::MAX.into(), step: f64::NAN.into(), length, dtype });
    }
    list
}

fn movements() -> Vec<Op> {
    let mut list = vec![Op::Contiguous];
    for size in SIZES {
        let axes: Axes = [size, 0].into_iter().collect();
        list.push(Op::Permute { axes });
        for dims in [&[size] as &[usize], &[size, 1], &[1; 8]] {
            let Ok(shape) = Shape::new(dims) else { continue };
            list.extend([Op::Reshape { shape }, Op::Expand { shape }]);
        }
        for step in [1, 0, -1, isize::MIN, isize::MAX] {
            for start in [0, size, usize::MAX] {
                let range = SliceRange { start, length: size, step };
                list.push(Op::Slice { ranges: [range].into_iter().collect() });
                list.push(Op::Slice { ranges: [range, range].into_iter().collect() });
            }
        }
        list.push(Op::Pad { padding: [(size, size)].into_iter().collect(), value: Scalar::Int(0) });
        list.push(Op::Pad { padding: [(0, size); 9].into_iter().collect(), value: f64::NAN.into() });
        list.push(Op::Concat { axis: size });
    }
    list
}

fn elementwise() -> Vec<Op> {
    vec![
        Op::Unary(Unary::Not),
        Op::Unary(Unary::Ln1p),
        Op::Binary(Binary::Pow),
        Op::Binary(Binary::Xor),
        Op::Compare(Comparison::GreaterEqual),
        Op::Clamp { low: f64::NAN.into(), high: Scalar::Int(i64::MIN) },
        Op::Where,
        Op::Cast { dtype: DType::F16 },
        Op::Cast { dtype: DType::Bool },
        Op::Activate(Activation::Silu),
        Op::ActivationGradient(Activation::Tanh),
        Op::ActivationGradient(Activation::Gelu),
        Op::Matmul,
        Op::Linear { bias: true, activation: Activation::Relu },
        Op::Linear { bias: false, activation: Activation::Identity },
    ]
}

/// Operations that read all of their input for a small result.
fn reductions() -> Vec<Op> {
    let mut list = Vec::new();
    for axis in SIZES {
        for axes in [&[axis] as &[usize], &[0, axis], &[axis, axis]] {
            let axes: Axes = axes.iter().copied().collect();
            list.push(Op::Reduce { kind: Reduction::Prod, axes: axes.clone(), keep_dims: false });
            list.push(Op::Mean { axes: axes.clone(), keep_dims: true });
            list.push(Op::Variance { axes: axes.clone(), keep_dims: false, correction: axis });
            list.push(Op::LogSumExp { axes, keep_dims: false });
        }
        list.push(Op::ArgReduce { kind: ArgReduction::Max, axis, keep_dims: false });
        list.extend([Op::Softmax { axis }, Op::LogSoftmax { axis }]);
    }
    list
}

fn along_an_axis() -> Vec<Op> {
    let mut list = Vec::new();
    for axis in SIZES {
        list.extend([
            Op::CumulativeSum { axis, reverse: true },
            Op::Gather { axis },
            Op::ScatterAdd { axis },
            Op::IndexSelect { axis },
            Op::IndexAdd { axis },
            Op::Sort { axis, descending: true },
            Op::LayerNorm(LayerNorm { axes: axis, epsilon: f64::NAN.into(), affine: false }),
            Op::LayerNorm(LayerNorm { axes: axis, epsilon: 0.0.into(), affine: true }),
        ]);
    }
    list
}

fn losses_and_updates() -> Vec<Op> {
    let mut list = Vec::new();
    for reduction in [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None] {
        for with_gradient in [false, true] {
            list.push(Op::BinaryCrossEntropy(BinaryCrossEntropy { reduction, with_gradient }));
            for weighted in [false, true] {
                let ignore_index = weighted.then_some(i64::MIN);
                let label_smoothing = if weighted { 0.5 } else { f64::NAN }.into();
                let attributes = CrossEntropy { reduction, label_smoothing, ignore_index, weighted, with_gradient };
                list.push(Op::CrossEntropy(attributes));
            }
        }
    }
    let (one, nan) = (Real::new(1.0), Real::new(f64::NAN));
    list.extend(
        [
            Optimize::Sgd { momentum: one, nesterov: true, weight_decay: nan },
            Optimize::Adam { beta1: one, beta2: nan, epsilon: one, weight_decay: one, decoupled: true, amsgrad: true },
            Optimize::Moments { beta1: one, beta2: nan, weight_decay: one, decoupled: false },
            Optimize::AdaGrad { epsilon: nan, weight_decay: one },
            Optimize::RmsProp { decay: one, epsilon: one, momentum: one, centred: true, weight_decay: one },
            Optimize::Lion { beta1: one, beta2: one, weight_decay: nan },
        ]
        .map(Op::Optimize),
    );
    list
}

/// Runs `op` on up to five handles of `x`; the index operations get indices where they want some.
fn apply(op: &Op, x: &Tensor) -> Result<()> {
    let index = crate::calls::index_like(x)?;
    let mut outcomes = Vec::new();
    for count in 1..=5 {
        outcomes.push(Tensor::apply(op, std::iter::repeat_n(x.clone(), count)).map(drop));
        let mut inputs = vec![x.clone(); count];
        inputs[count / 2] = index.clone();
        outcomes.push(Tensor::apply(op, inputs).map(drop));
    }
    outcomes.into_iter().collect()
}

/// The results of a reduction, for telling whether it ends soon.
fn results(op: &Op, x: &Tensor) -> usize {
    let axes: Vec<usize> = match op {
        Op::Reduce { axes, .. } | Op::Mean { axes, .. } | Op::Variance { axes, .. } | Op::LogSumExp { axes, .. } => {
            axes.to_vec()
        }
        // The largest element is looked for first.
        Op::ArgReduce { axis, .. } | Op::Softmax { axis } | Op::LogSoftmax { axis } => vec![*axis],
        _ => Vec::new(),
    };
    let kept = x.dims().iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    kept.map(|(_, &size)| size).product()
}

pub(crate) fn operations(list: &mut Vec<Call>) {
    let mut add = |op: &Op, run: Run| {
        list.push(Call { name: format!("Op::{:?}", op.kind()), run });
    };
    for (index, op) in creations(DType::F32).iter().enumerate() {
        let made = move |x: &Tensor| x.device().apply(&creations(x.dtype())[index], Inputs::new()).map(drop);
        add(op, Box::new(made));
    }
    for op in movements().into_iter().chain(along_an_axis()).chain(losses_and_updates()) {
        add(&op.clone(), Box::new(move |x| apply(&op, x)));
    }
    for op in elementwise() {
        let product = matches!(op, Op::Matmul | Op::Linear { .. });
        let soon = move |x: &Tensor| !product || product_ends_soon(x);
        add(&op.clone(), Box::new(move |x| if soon(x) { apply(&op, x) } else { Ok(()) }));
    }
    for op in reductions() {
        add(&op.clone(), Box::new(move |x| if ends_soon(x, results(&op, x)) { apply(&op, x) } else { Ok(()) }));
    }
}
