//! Input that must be refused: with a typed error, without a panic, and without touching anything.

use crate::case::{Arrangement, Case, Input};
use crate::catalogue::Subject;
use crate::check::{Verdict, download, guarded, missing};
use crate::compare::first_difference;
use crate::values::Values;
use crate::{Family, Settings};
use osnova_tensor::infer::infer;
use osnova_tensor::random::Distribution;
use osnova_tensor::{DType, Device, HostData, Inputs, Op, Real, Result, Scalar, Shape, Tensor};
use proptest::prelude::*;

/// Each way to spoil a good case.
pub(crate) fn check(device: Device, _: &Settings, case: &Case) -> Verdict {
    if missing(device, case).is_some() {
        // Refused in any case, which others test: what is spoilt here could not be told from it.
        return Ok(());
    }
    for (how, spoilt) in
        arity(device, case).into_iter().chain(dtypes(device, case)).chain(attributes(case)).chain(shapes(case))
    {
        refused(device, &spoilt).map_err(|problem| format!("{how}, as {spoilt:?}: {problem}"))?;
    }
    for (how, spoilt) in indices(case) {
        refused(device, &spoilt).map_err(|problem| format!("{how}, as {spoilt:?}: {problem}"))?;
    }
    Ok(())
}

/// The operation gives an error, at the latest when its outputs are read; its inputs keep every bit.
pub(crate) fn refused(device: Device, case: &Case) -> Verdict {
    let place = || case.inputs.iter().map(|input| input.place(device)).collect::<Result<Vec<_>>>();
    let placed = guarded(place)?.map_err(|error| format!("an input could not be made: {error}"))?;
    let inputs: Inputs = placed.iter().map(|input| input.tensor.clone()).collect();
    let run = || device.apply(&case.op, inputs)?.iter().map(Tensor::to_host).collect::<Result<Vec<HostData>>>();
    match guarded(run)? {
        Ok(_) => return Err("it was not refused".into()),
        Err(error) if error.to_string().is_empty() => return Err("the error says nothing".into()),
        Err(_) => {}
    }
    for (input, placed) in case.inputs.iter().zip(&placed) {
        let (expected, _) = input.base().map_err(|error| error.to_string())?;
        if let Some(difference) = first_difference(&download(&placed.base)?, &expected) {
            return Err(format!("a refused operation changed its input: {difference}"));
        }
    }
    Ok(())
}

type Spoilt = Vec<(&'static str, Case)>;

fn with(case: &Case, change: impl FnOnce(&mut Case)) -> Case {
    let mut case = case.clone();
    change(&mut case);
    case
}

/// Too few inputs and too many, where the number is fixed.
fn arity(device: Device, case: &Case) -> Spoilt {
    let mut spoilt = Vec::new();
    if !matches!(case.op, Op::Concat { .. } | Op::Optimize(_)) && !case.inputs.is_empty() {
        spoilt.push(("too few inputs", with(case, |case| case.inputs.truncate(case.inputs.len() - 1))));
    }
    if matches!(case.op, Op::Concat { .. }) {
        spoilt.push(("no inputs", with(case, |case| case.inputs.clear())));
        return spoilt;
    }
    let supported = device.capabilities().dtypes;
    let any = DType::ALL.into_iter().find(|&dtype| supported.contains(dtype)).unwrap_or(DType::F32);
    let dtype = case.inputs.first().map_or(any, |input| input.dtype);
    let extra =
        Input { shape: Shape::SCALAR, dtype, arrangement: Arrangement::Contiguous, values: Values::Index(2), seed: 0 };
    // An optimizer without parameters may be given one more group, but never half of one.
    spoilt.push(("too many inputs", with(case, |case| case.inputs.push(extra))));
    spoilt
}

/// Dtypes that differ, and those that the operation is not defined for.
fn dtypes(device: Device, case: &Case) -> Spoilt {
    let supported = device.capabilities().dtypes;
    let others =
        |dtype: DType| DType::ALL.into_iter().filter(move |&other| other != dtype && supported.contains(other));
    let mut spoilt = Vec::new();
    if let [_, .., last] = &case.inputs[..] {
        // Two inputs never have different dtypes, but for indices and conditions, which come first, and for an
        // optimizer's scalars and gradients: there inference tells.
        let indexed = matches!(case.op, Op::Gather { .. } | Op::IndexSelect { .. } | Op::CrossEntropy(_));
        for dtype in others(last.dtype) {
            // Indices may have any dtype of indices.
            if indexed && last.dtype.is_index() && dtype.is_index() {
                continue;
            }
            let changed = with(case, |case| case.inputs.last_mut().iter_mut().for_each(|input| input.dtype = dtype));
            if !matches!(case.op, Op::Optimize(_)) || infer(&changed.op, &changed.metas()).is_err() {
                spoilt.push(("dtypes that differ", changed));
            }
        }
    } else if let [input] = &case.inputs[..] {
        for dtype in others(input.dtype) {
            let changed = with(case, |case| case.inputs[0].dtype = dtype);
            if infer(&changed.op, &changed.metas()).is_err() {
                spoilt.push(("a dtype it is not defined for", changed));
            }
        }
    }
    spoilt
}

/// A shape with one more axis of a size that fits nothing, wherever inference says that it does not fit.
fn shapes(case: &Case) -> Spoilt {
    let mut spoilt = Vec::new();
    for index in 0..case.inputs.len() {
        for front in [true, false] {
            let changed = with(case, |case| {
                let input = &mut case.inputs[index];
                let mut dims: Vec<usize> = input.shape.to_vec();
                dims.insert(if front { 0 } else { dims.len() }, 11);
                input.shape = Shape::new(&dims).unwrap_or(input.shape);
            });
            if infer(&changed.op, &changed.metas()).is_err() {
                spoilt.push(("a shape that does not fit", changed));
            }
        }
    }
    spoilt
}

/// Axes, sizes, ranges and numbers that are out of bounds.
fn attributes(case: &Case) -> Spoilt {
    let rank = case.inputs.first().map_or(0, |input| input.shape.rank());
    let nan = Real::new(f64::NAN);
    let bad: Vec<Op> = match case.op.clone() {
        Op::Full { shape, dtype, .. } if dtype.is_integer() => {
            let far = if dtype == DType::I64 { Scalar::from(1.0) } else { Scalar::Int(i64::MIN) };
            [Scalar::from(0.5), far].map(|value| Op::Full { shape, dtype, value }).to_vec()
        }
        Op::Arange { start, step, length, .. } => {
            vec![Op::Arange { start, step, length, dtype: DType::Bool }]
        }
        Op::Random { shape, stream, .. } => {
            let uniform = Distribution::Uniform { low: Real::new(1.0), high: Real::new(0.0) };
            let normal = Distribution::Normal { mean: nan, standard_deviation: Real::new(1.0) };
            let bernoulli = Distribution::Bernoulli { probability: Real::new(1.5) };
            let of = |distribution| Op::Random { shape, dtype: DType::F32, distribution, stream };
            let integers = Distribution::Uniform { low: Real::new(0.0), high: Real::new(1.0) };
            let integers = Op::Random { shape, dtype: DType::I64, distribution: integers, stream };
            vec![of(uniform), of(normal), of(bernoulli), integers]
        }
        Op::Reshape { shape } => {
            let mut dims = shape.to_vec();
            dims.push(13);
            // Nothing reshapes to nothing, whatever its sizes.
            let grown = Shape::new(&dims).unwrap_or(shape);
            if shape.count() == 0 { Vec::new() } else { vec![Op::Reshape { shape: grown }] }
        }
        Op::Permute { axes } => {
            let twice = axes.iter().map(|_| 0).collect();
            let far = axes.iter().map(|axis| axis + 1).collect();
            let longer = axes.iter().copied().chain([rank]).collect();
            let mut bad = vec![Op::Permute { axes: longer }];
            if rank > 1 {
                bad.push(Op::Permute { axes: twice });
            }
            if rank > 0 {
                bad.push(Op::Permute { axes: far });
            }
            bad
        }
        Op::Expand { shape } => {
            let grown: Vec<usize> = shape.iter().map(|size| size + 17).collect();
            let input = case.inputs.first().map(|input| input.shape).unwrap_or_default();
            let stays = input.iter().all(|&size| size == 1);
            match Shape::new(&grown) {
                Ok(shape) if !stays => vec![Op::Expand { shape }],
                _ => Vec::new(),
            }
        }
        Op::Slice { ranges } => {
            let change = |change: fn(&mut osnova_tensor::SliceRange)| {
                let mut ranges = ranges.clone();
                ranges.iter_mut().for_each(change);
                Op::Slice { ranges }
            };
            let mut longer = ranges.clone();
            longer.push(osnova_tensor::SliceRange { start: 0, length: 0, step: 1 });
            let mut bad = vec![Op::Slice { ranges: longer }];
            if rank > 0 {
                bad.push(change(|range| range.step = 0));
                bad.push(change(|range| (range.start, range.length) = (usize::MAX / 2, 1)));
                bad.push(change(|range| (range.start, range.length) = (0, usize::MAX)));
            }
            bad
        }
        Op::Pad { padding, value } => {
            let mut longer = padding.clone();
            longer.push((1, 1));
            let mut bad = vec![Op::Pad { padding: longer, value }];
            if rank > 0 {
                bad.push(Op::Pad { padding: padding.iter().map(|_| (usize::MAX, 1)).collect(), value });
            }
            if case.inputs.iter().any(|input| !input.dtype.is_float()) {
                bad.push(Op::Pad { padding, value: Scalar::from(0.5) });
            }
            bad
        }
        Op::Clamp { low, .. } if case.inputs.iter().any(|input| !input.dtype.is_float()) => {
            vec![Op::Clamp { low, high: Scalar::from(0.5) }]
        }
        Op::Concat { .. } => vec![Op::Concat { axis: rank }],
        Op::Reduce { kind, keep_dims, .. } => {
            let of = |axes: &[usize]| Op::Reduce { kind, axes: axes.iter().copied().collect(), keep_dims };
            vec![of(&[rank]), of(&[usize::MAX]), of(&[1, 0]), of(&[0, 0])]
        }
        Op::ArgReduce { kind, keep_dims, .. } => vec![Op::ArgReduce { kind, axis: rank, keep_dims }],
        Op::CumulativeSum { reverse, .. } => vec![Op::CumulativeSum { axis: rank, reverse }],
        Op::Sort { descending, .. } => vec![Op::Sort { axis: rank, descending }],
        Op::Gather { .. } => vec![Op::Gather { axis: rank }],
        Op::ScatterAdd { .. } => vec![Op::ScatterAdd { axis: rank }],
        Op::IndexSelect { .. } => vec![Op::IndexSelect { axis: rank }],
        Op::IndexAdd { .. } => vec![Op::IndexAdd { axis: rank }],
        Op::Softmax { .. } => vec![Op::Softmax { axis: rank }],
        Op::LogSoftmax { .. } => vec![Op::LogSoftmax { axis: rank }],
        Op::Mean { keep_dims, .. } => vec![Op::Mean { axes: [rank].into_iter().collect(), keep_dims }],
        Op::Variance { keep_dims, correction, .. } => {
            vec![Op::Variance { axes: [rank].into_iter().collect(), keep_dims, correction }]
        }
        Op::LogSumExp { keep_dims, .. } => vec![Op::LogSumExp { axes: [rank].into_iter().collect(), keep_dims }],
        Op::LayerNorm(attributes) => {
            [0, rank + 1].map(|axes| Op::LayerNorm(osnova_tensor::LayerNorm { axes, ..attributes })).to_vec()
        }
        Op::CrossEntropy(attributes) => [Real::new(-0.1), Real::new(1.1), nan]
            .map(|label_smoothing| Op::CrossEntropy(osnova_tensor::CrossEntropy { label_smoothing, ..attributes }))
            .to_vec(),
        Op::ActivationGradient(_) => vec![Op::ActivationGradient(osnova_tensor::Activation::Gelu)],
        _ => Vec::new(),
    };
    bad.into_iter().map(|op| ("an attribute out of bounds", with(case, |case| case.op = op))).collect()
}

/// Indices that are out of range. Inference cannot see them: the kernel must.
fn indices(case: &Case) -> Spoilt {
    let size = match (&case.op, &case.inputs[..]) {
        (
            Op::Gather { axis } | Op::ScatterAdd { axis } | Op::IndexSelect { axis } | Op::IndexAdd { axis },
            [input, ..],
        ) => input.shape[*axis],
        (Op::CrossEntropy(attributes), [logits, ..]) if attributes.ignore_index.is_none() => logits.shape[1],
        _ => return Vec::new(),
    };
    // Where nothing is read or written an index need not be looked at.
    if case.inputs.iter().any(|input| input.shape.count() == 0) {
        return Vec::new();
    }
    let spoilt = with(case, |case| {
        case.inputs[1].values = Values::OutOfRange(size);
        case.inputs[1].arrangement = Arrangement::Contiguous;
    });
    vec![("an index out of range", spoilt)]
}

/// What a device does not support it refuses, whichever way it arrives.
pub(crate) fn unsupported_dtypes(supported: &[DType]) -> Option<Subject> {
    let missing: Vec<DType> = DType::ALL.into_iter().filter(|dtype| !supported.contains(dtype)).collect();
    let first = *supported.first()?;
    if missing.is_empty() {
        return None;
    }
    let cases = proptest::sample::select(missing).prop_map(move |dtype| Case {
        op: Op::Cast { dtype },
        inputs: vec![Input {
            shape: Shape::SCALAR,
            dtype: first,
            arrangement: Arrangement::Contiguous,
            values: Values::Index(2),
            seed: 0,
        }],
    });
    let check = |device: Device, _: &Settings, case: &Case| {
        refused(device, case)?;
        let Op::Cast { dtype } = case.op else { return Ok(()) };
        let upload = || Tensor::from_host(HostData::from_f64(dtype, &[1.0]), (), device);
        let full = || Tensor::full((), true, dtype, device);
        match (guarded(upload)?, guarded(full)?) {
            (Err(_), Err(_)) => Ok(()),
            _ => Err(format!("{dtype} is not among the capabilities, but could be made")),
        }
    };
    let name = "unsupported dtypes".into();
    Some(Subject { name, family: Family::BadInput, cases: cases.boxed(), check, cost: 8 })
}
