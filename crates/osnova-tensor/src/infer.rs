//! What an operation gives for given inputs, checked once before any backend sees it.

use crate::{DType, Error, Meta, Metas, Op, Optimize, ReductionKind, Result, Scalar, Shape, Tensor};
use smallvec::smallvec;

/// What inference reads of an input: a [`Tensor`] or a bare [`Meta`].
pub trait Described {
    /// The shape.
    fn shape(&self) -> &Shape;
    /// The dtype.
    fn dtype(&self) -> DType;
}

impl Described for Tensor {
    #[inline]
    fn shape(&self) -> &Shape {
        Tensor::shape(self)
    }
    #[inline]
    fn dtype(&self) -> DType {
        Tensor::dtype(self)
    }
}

impl Described for Meta {
    fn shape(&self) -> &Shape {
        &self.shape
    }
    fn dtype(&self) -> DType {
        self.dtype
    }
}

/// The shape and dtype of each output of `op`.
///
/// # Errors
/// The wrong number of inputs, shapes or dtypes that do not fit, attributes out of range. The message says what would mend it.
pub fn infer<D: Described>(op: &Op, inputs: &[D]) -> Result<Metas> {
    // The commonest case, without the work for messages and broadcasting: some 12 of 155 ns of a tiny addition.
    if let (Op::Binary(kind), [left, right]) = (op, inputs)
        && left.dtype() == right.dtype()
        && left.shape() == right.shape()
        && kind.accepts(left.dtype())
    {
        return one(*left.shape(), left.dtype());
    }
    let name = op.name();
    match op {
        Op::Full { shape, dtype, value } => {
            arity(name, inputs, 0)?;
            fits(name, *value, *dtype)?;
            one(*shape, *dtype)
        }
        Op::Arange { start, step, length, dtype } => {
            arity(name, inputs, 0)?;
            arange(name, *start, *step, *length, *dtype)?;
            one(Shape::new(&[*length])?, *dtype)
        }
        Op::Random { shape, dtype, distribution, .. } => {
            arity(name, inputs, 0)?;
            distribution.check(name, *dtype)?;
            one(*shape, *dtype)
        }
        Op::Reshape { shape } => {
            let input = single(name, inputs)?;
            if input.shape().count() != shape.count() {
                return Err(Error::shape(
                    name,
                    [*input.shape(), *shape],
                    format!("{} elements do not fill a shape of {}", input.shape().count(), shape.count()),
                    "Give sizes whose product is the number of elements",
                ));
            }
            one(*shape, input.dtype())
        }
        Op::Permute { axes } => {
            let input = single(name, inputs)?;
            let shape = input.shape();
            let mut seen = [false; crate::MAX_RANK];
            let valid = axes.len() == shape.rank()
                && axes.iter().all(|&axis| axis < shape.rank() && !std::mem::replace(&mut seen[axis], true));
            if !valid {
                return Err(Error::shape(
                    name,
                    [*shape],
                    format!("{axes:?} is no permutation of its axes"),
                    "Name each axis once",
                ));
            }
            let dims: smallvec::SmallVec<[usize; 8]> = axes.iter().map(|&axis| shape[axis]).collect();
            one(Shape::new(&dims)?, input.dtype())
        }
        Op::Expand { shape } => {
            let input = single(name, inputs)?;
            if input.shape().broadcast(shape) != Some(*shape) {
                return Err(Error::shape(
                    name,
                    [*input.shape(), *shape],
                    "only axes of size 1 and new axes in front can be repeated",
                    "Use `reshape` or `unsqueeze` to add axes of size 1 where needed",
                ));
            }
            one(*shape, input.dtype())
        }
        Op::Slice { ranges } => {
            let input = single(name, inputs)?;
            let shape = input.shape();
            let mut dims: smallvec::SmallVec<[usize; 8]> = smallvec![];
            for (axis, range) in ranges.iter().enumerate() {
                let last = (range.length.max(1) - 1) as i128 * range.step as i128 + range.start as i128;
                let inside = axis < shape.rank()
                    && range.step != 0
                    && (range.length == 0 || range.start < shape[axis] && (0..shape[axis] as i128).contains(&last));
                if !inside {
                    return Err(Error::shape(
                        name,
                        [*shape],
                        format!("{range:?} of axis {axis} is out of range"),
                        "Keep ranges inside the axis",
                    ));
                }
                dims.push(range.length);
            }
            if dims.len() != shape.rank() {
                return Err(Error::shape(
                    name,
                    [*shape],
                    format!("{} ranges were given", dims.len()),
                    "Give one range for each axis",
                ));
            }
            one(Shape::new(&dims)?, input.dtype())
        }
        Op::Contiguous => {
            let input = single(name, inputs)?;
            one(*input.shape(), input.dtype())
        }
        Op::Pad { padding, value } => {
            let input = single(name, inputs)?;
            fits(name, *value, input.dtype())?;
            if padding.len() != input.shape().rank() {
                return Err(Error::shape(
                    name,
                    [*input.shape()],
                    format!("{} pairs were given", padding.len()),
                    "Give (before, after) for each axis",
                ));
            }
            let mut dims: smallvec::SmallVec<[usize; 8]> = smallvec![];
            for (&dim, &(before, after)) in input.shape().iter().zip(padding) {
                let size = dim.checked_add(before).and_then(|size| size.checked_add(after));
                dims.push(size.ok_or_else(|| Error::argument(name, "a padded size overflows", "Pad less"))?);
            }
            one(Shape::new(&dims)?, input.dtype())
        }
        Op::Concat { axis } => concat(name, *axis, inputs),
        Op::Unary(kind) => {
            let input = single(name, inputs)?;
            accept(name, inputs, kind.accepts(input.dtype()))?;
            one(*input.shape(), input.dtype())
        }
        Op::Binary(kind) => {
            let (shape, dtype) = pair(name, inputs)?;
            accept(name, inputs, kind.accepts(dtype))?;
            one(shape, dtype)
        }
        Op::Compare(_) => {
            let (shape, _) = pair(name, inputs)?;
            one(shape, DType::Bool)
        }
        Op::Clamp { low, high } => {
            let input = single(name, inputs)?;
            accept(name, inputs, input.dtype() != DType::Bool)?;
            fits(name, *low, input.dtype())?;
            fits(name, *high, input.dtype())?;
            one(*input.shape(), input.dtype())
        }
        Op::Where => {
            arity(name, inputs, 3)?;
            if inputs[0].dtype() != DType::Bool {
                return Err(Error::dtype(
                    name,
                    dtypes(inputs),
                    "the condition is not bool",
                    "Compare first, for example `x.greater(0.0)?`",
                ));
            }
            let (shape, dtype) = pair(name, &inputs[1..])?;
            let shape = broadcast(name, inputs, &shape, inputs[0].shape())?;
            one(shape, dtype)
        }
        Op::Cast { dtype } => one(*single(name, inputs)?.shape(), *dtype),
        Op::Reduce { axes, keep_dims, kind } => {
            let input = single(name, inputs)?;
            let order = matches!(kind, crate::Reduction::Max | crate::Reduction::Min);
            accept(name, inputs, order || input.dtype() != DType::Bool)?;
            reduced(name, input, axes, *keep_dims)
        }
        Op::ArgReduce { axis, keep_dims, .. } => {
            let input = single(name, inputs)?;
            let size = size_at(name, input.shape(), *axis)?;
            if size == 0 && input.shape().reduced(&[*axis], false).count() > 0 {
                return Err(Error::shape(
                    name,
                    [*input.shape()],
                    "an empty axis has no extreme",
                    "Reduce an axis of size 1 or more",
                ));
            }
            one(input.shape().reduced(&[*axis], *keep_dims), DType::I64)
        }
        Op::CumulativeSum { axis, .. } => {
            let input = single(name, inputs)?;
            accept(name, inputs, input.dtype() != DType::Bool)?;
            size_at(name, input.shape(), *axis)?;
            one(*input.shape(), input.dtype())
        }
        Op::Matmul => matmul(name, inputs),
        Op::Gather { axis } => {
            arity(name, inputs, 2)?;
            let (input, index) = (inputs[0].shape(), inputs[1].shape());
            index_dtype(name, inputs, 1)?;
            size_at(name, input, *axis)?;
            let fits =
                input.rank() == index.rank() && (0..input.rank()).all(|at| at == *axis || index[at] <= input[at]);
            if !fits {
                return Err(Error::shape(
                    name,
                    shapes(inputs),
                    "the index reaches outside the input on another axis",
                    "Give an index of the same rank, no longer than the input on the other axes",
                ));
            }
            one(*index, inputs[0].dtype())
        }
        Op::ScatterAdd { axis } => {
            arity(name, inputs, 3)?;
            let (base, index, source) = (inputs[0].shape(), inputs[1].shape(), inputs[2].shape());
            index_dtype(name, inputs, 1)?;
            size_at(name, base, *axis)?;
            same_dtype(name, inputs, 0, 2)?;
            accept(name, inputs, inputs[0].dtype() != DType::Bool)?;
            let fits = index == source
                && base.rank() == index.rank()
                && (0..base.rank()).all(|at| at == *axis || index[at] <= base[at]);
            if !fits {
                return Err(Error::shape(
                    name,
                    shapes(inputs),
                    "index and source must agree and stay inside the base on the other axes",
                    "Give an index and a source of one shape",
                ));
            }
            one(*base, inputs[0].dtype())
        }
        Op::IndexSelect { axis } => {
            arity(name, inputs, 2)?;
            index_dtype(name, inputs, 1)?;
            size_at(name, inputs[0].shape(), *axis)?;
            vector(name, inputs, 1)?;
            one(inputs[0].shape().with(*axis, inputs[1].shape()[0])?, inputs[0].dtype())
        }
        Op::IndexAdd { axis } => {
            arity(name, inputs, 3)?;
            index_dtype(name, inputs, 1)?;
            same_dtype(name, inputs, 0, 2)?;
            accept(name, inputs, inputs[0].dtype() != DType::Bool)?;
            size_at(name, inputs[0].shape(), *axis)?;
            vector(name, inputs, 1)?;
            if *inputs[2].shape() != inputs[0].shape().with(*axis, inputs[1].shape()[0])? {
                return Err(Error::shape(
                    name,
                    shapes(inputs),
                    "the source does not have the base's shape with the index's length on the axis",
                    "Give one slice of the source for each index",
                ));
            }
            one(*inputs[0].shape(), inputs[0].dtype())
        }
        Op::Sort { axis, .. } => {
            let input = single(name, inputs)?;
            size_at(name, input.shape(), *axis)?;
            Ok(smallvec![Meta::new(*input.shape(), input.dtype()), Meta::new(*input.shape(), DType::I64)])
        }
        Op::Mean { axes, keep_dims } | Op::Variance { axes, keep_dims, .. } | Op::LogSumExp { axes, keep_dims } => {
            let input = single(name, inputs)?;
            accept(name, inputs, input.dtype().is_float())?;
            reduced(name, input, axes, *keep_dims)
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } => {
            let input = single(name, inputs)?;
            accept(name, inputs, input.dtype().is_float())?;
            size_at(name, input.shape(), *axis)?;
            one(*input.shape(), input.dtype())
        }
        Op::Activate(_) => {
            let input = single(name, inputs)?;
            accept(name, inputs, input.dtype().is_float())?;
            one(*input.shape(), input.dtype())
        }
        Op::ActivationGradient(kind) => {
            arity(name, inputs, 2)?;
            same_dtype(name, inputs, 0, 1)?;
            accept(name, inputs, inputs[0].dtype().is_float())?;
            same_shape(name, inputs, 0, 1)?;
            if !kind.derivative_from_output() {
                return Err(Error::argument(
                    name,
                    format!("the derivative of {} needs its input", kind.name()),
                    "Record the activation by itself",
                ));
            }
            one(*inputs[0].shape(), inputs[0].dtype())
        }
        Op::Linear { bias, .. } => linear(name, *bias, inputs),
        Op::CrossEntropy(attributes) => {
            arity(name, inputs, 2 + usize::from(attributes.weighted))?;
            let (logits, target) = (inputs[0].shape(), inputs[1].shape());
            accept(name, &inputs[..1], inputs[0].dtype().is_float())?;
            index_dtype(name, inputs, 1)?;
            if logits.rank() != 2 || target.rank() != 1 || logits[0] != target[0] || logits[1] == 0 {
                return Err(Error::shape(
                    name,
                    shapes(inputs),
                    "logits must be [batch, classes], targets [batch]",
                    "Flatten other axes with `reshape`; give class indices, not one-hot rows",
                ));
            }
            if attributes.weighted {
                same_dtype(name, inputs, 0, 2)?;
                if **inputs[2].shape() != [logits[1]] {
                    return Err(Error::shape(
                        name,
                        shapes(inputs),
                        "there must be one weight for each class",
                        "Give weights of shape [classes]",
                    ));
                }
            }
            if !(0.0..=1.0).contains(&attributes.label_smoothing.get()) {
                return Err(Error::argument(
                    name,
                    format!("label smoothing {:?} is outside 0 to 1", attributes.label_smoothing),
                    "Use a small share such as 0.1",
                ));
            }
            loss(
                attributes.reduction,
                attributes.with_gradient,
                Shape::new(&target[..])?,
                Meta::new(*logits, inputs[0].dtype()),
            )
        }
        Op::BinaryCrossEntropy(attributes) => {
            arity(name, inputs, 2)?;
            same_dtype(name, inputs, 0, 1)?;
            accept(name, inputs, inputs[0].dtype().is_float())?;
            same_shape(name, inputs, 0, 1)?;
            let shape = *inputs[0].shape();
            loss(attributes.reduction, attributes.with_gradient, shape, Meta::new(shape, inputs[0].dtype()))
        }
        Op::LayerNorm(attributes) => {
            arity(name, inputs, if attributes.affine { 3 } else { 1 })?;
            let shape = inputs[0].shape();
            accept(name, inputs, inputs[0].dtype().is_float())?;
            if attributes.axes == 0 || attributes.axes > shape.rank() {
                return Err(Error::shape(
                    name,
                    [*shape],
                    format!("its last {} axes cannot be normalised", attributes.axes),
                    "Normalise at least one axis and at most all",
                ));
            }
            if attributes.affine {
                for at in [1, 2] {
                    same_dtype(name, inputs, 0, at)?;
                    if inputs[at].shape()[..] != shape[shape.rank() - attributes.axes..] {
                        return Err(Error::shape(
                            name,
                            shapes(inputs),
                            "weight and bias must have the shape of the normalised axes",
                            "Check the normalised shape of the layer",
                        ));
                    }
                }
            }
            one(*shape, inputs[0].dtype())
        }
        Op::Optimize(attributes) => optimize(name, attributes, inputs),
        Op::Custom(custom) => {
            let metas: Metas = inputs.iter().map(|input| Meta::new(*input.shape(), input.dtype())).collect();
            custom.operation().infer(&metas)
        }
    }
}

fn one(shape: Shape, dtype: DType) -> Result<Metas> {
    Ok(smallvec![Meta::new(shape, dtype)])
}

fn shapes<D: Described>(inputs: &[D]) -> impl Iterator<Item = Shape> {
    inputs.iter().map(|input| *input.shape())
}

fn dtypes<D: Described>(inputs: &[D]) -> impl Iterator<Item = DType> {
    inputs.iter().map(Described::dtype)
}

#[inline]
fn arity<D>(name: &'static str, inputs: &[D], count: usize) -> Result<()> {
    if inputs.len() == count {
        return Ok(());
    }
    Err(Error::argument(name, format!("{} inputs were given, it takes {count}", inputs.len()), "Check the inputs"))
}

#[inline]
fn single<'a, D>(name: &'static str, inputs: &'a [D]) -> Result<&'a D> {
    arity(name, inputs, 1)?;
    Ok(&inputs[0])
}

#[inline]
fn accept<D: Described>(name: &'static str, inputs: &[D], accepted: bool) -> Result<()> {
    if accepted {
        return Ok(());
    }
    Err(Error::dtype(name, dtypes(inputs), "it is not defined for them", "Convert with `to_dtype` first"))
}

fn fits(name: &'static str, value: Scalar, dtype: DType) -> Result<()> {
    if value.fits(dtype) {
        return Ok(());
    }
    Err(Error::dtype(
        name,
        [dtype],
        format!("{value} is no number of this type"),
        "Use a number of the tensor's kind, or convert the tensor with `to_dtype`",
    ))
}

/// The start, the step and what they lead to fit the dtype.
fn arange(name: &'static str, start: Scalar, step: Scalar, length: usize, dtype: DType) -> Result<()> {
    if dtype == DType::Bool {
        return Err(Error::dtype(name, [dtype], "truth values cannot be counted", "Use an integer or float dtype"));
    }
    fits(name, start, dtype)?;
    fits(name, step, dtype)?;
    let steps = length.saturating_sub(1);
    let (last, held) = if dtype.is_float() {
        let last = start.to_f64() + steps as f64 * step.to_f64();
        (format!("{last:?}"), last.abs() <= dtype.largest() && start.to_f64().abs() <= dtype.largest())
    } else {
        // 64 bits times 63 and one more number of 64: no overflow.
        let last = i128::from(start.to_i64()) + steps as i128 * i128::from(step.to_i64());
        (last.to_string(), i64::try_from(last).is_ok_and(|last| Scalar::Int(last).fits(dtype)))
    };
    if held {
        return Ok(());
    }
    Err(Error::argument(
        name,
        format!("{length} values from {start} on, {step} apart, end at {last}, which {dtype} cannot hold"),
        "Take fewer or smaller steps, or use a wider dtype",
    ))
}

#[inline]
fn same_dtype<D: Described>(name: &'static str, inputs: &[D], left: usize, right: usize) -> Result<()> {
    if inputs[left].dtype() == inputs[right].dtype() {
        return Ok(());
    }
    Err(Error::dtype(
        name,
        dtypes(inputs),
        format!("{} and {} differ", inputs[left].dtype(), inputs[right].dtype()),
        "Convert one with `to_dtype`",
    ))
}

fn same_shape<D: Described>(name: &'static str, inputs: &[D], left: usize, right: usize) -> Result<()> {
    if inputs[left].shape() == inputs[right].shape() {
        return Ok(());
    }
    Err(Error::shape(name, shapes(inputs), "they must be equal", "Reshape or expand one of them"))
}

fn broadcast<D: Described>(name: &'static str, inputs: &[D], left: &Shape, right: &Shape) -> Result<Shape> {
    left.broadcast(right).ok_or_else(|| {
        let aligned = left.iter().rev().zip(right.iter().rev());
        if aligned.into_iter().all(|(&left, &right)| left == right || left == 1 || right == 1) {
            let problem = "repeated to one shape they have more elements than any memory holds";
            return Error::shape(name, shapes(inputs), problem, "Make a size smaller");
        }
        Error::shape(
            name,
            shapes(inputs),
            "aligned at the last axis, sizes must be equal or 1",
            "Use `unsqueeze`, `reshape` or `transpose` to line the axes up",
        )
    })
}

#[inline]
fn pair<D: Described>(name: &'static str, inputs: &[D]) -> Result<(Shape, DType)> {
    arity(name, inputs, 2)?;
    same_dtype(name, inputs, 0, 1)?;
    Ok((broadcast(name, inputs, inputs[0].shape(), inputs[1].shape())?, inputs[0].dtype()))
}

fn size_at(name: &'static str, shape: &Shape, axis: usize) -> Result<usize> {
    shape
        .get(axis)
        .copied()
        .ok_or_else(|| Error::shape(name, [*shape], format!("there is no axis {axis}"), "Use an axis the tensor has"))
}

fn index_dtype<D: Described>(name: &'static str, inputs: &[D], at: usize) -> Result<()> {
    if inputs[at].dtype().is_index() {
        return Ok(());
    }
    Err(Error::dtype(
        name,
        dtypes(inputs),
        "indices must be i64, i32 or u32",
        "Convert them with `to_dtype(DType::I64)`",
    ))
}

fn vector<D: Described>(name: &'static str, inputs: &[D], at: usize) -> Result<()> {
    if inputs[at].shape().rank() == 1 {
        return Ok(());
    }
    Err(Error::shape(name, shapes(inputs), "the index must have one axis", "Flatten it with `reshape([-1])`"))
}

fn reduced<D: Described>(name: &'static str, input: &D, axes: &[usize], keep_dims: bool) -> Result<Metas> {
    if !axes.is_sorted_by(|left, right| left < right) {
        return Err(Error::argument(name, format!("axes {axes:?} are not ascending"), "Sort them and name each once"));
    }
    if let Some(&last) = axes.last() {
        size_at(name, input.shape(), last)?;
    }
    one(input.shape().reduced(axes, keep_dims), input.dtype())
}

fn concat<D: Described>(name: &'static str, axis: usize, inputs: &[D]) -> Result<Metas> {
    let first = inputs.first().ok_or_else(|| Error::argument(name, "no tensors were given", "Give at least one"))?;
    size_at(name, first.shape(), axis)?;
    let mut size = 0usize;
    for input in inputs {
        let shape = input.shape();
        let agrees = shape.rank() == first.shape().rank()
            && (0..shape.rank()).all(|at| at == axis || shape[at] == first.shape()[at]);
        if !agrees {
            return Err(Error::shape(
                name,
                shapes(inputs),
                format!("they may differ along axis {axis} alone"),
                "Reshape, pad or slice the inputs",
            ));
        }
        if input.dtype() != first.dtype() {
            return Err(Error::dtype(name, dtypes(inputs), "they differ", "Convert them with `to_dtype`"));
        }
        size = size.saturating_add(shape[axis]);
    }
    one(first.shape().with(axis, size)?, first.dtype())
}

fn matmul<D: Described>(name: &'static str, inputs: &[D]) -> Result<Metas> {
    arity(name, inputs, 2)?;
    same_dtype(name, inputs, 0, 1)?;
    accept(name, inputs, inputs[0].dtype() != DType::Bool)?;
    let (left, right) = (inputs[0].shape(), inputs[1].shape());
    let (rows, columns) = (left.rank(), right.rank());
    if rows < 2 || columns < 2 || left[rows - 1] != right[columns - 2] {
        return Err(Error::shape(
            name,
            shapes(inputs),
            "it takes […, m, k] × […, k, n] with equal k",
            "Use `transpose(-2, -1)` on the side that lies across, or `unsqueeze` for a vector",
        ));
    }
    let batch = broadcast(name, inputs, &Shape::new(&left[..rows - 2])?, &Shape::new(&right[..columns - 2])?)?;
    let mut dims: smallvec::SmallVec<[usize; 10]> = batch.iter().copied().collect();
    dims.extend([left[rows - 2], right[columns - 1]]);
    one(Shape::new(&dims)?, inputs[0].dtype())
}

fn linear<D: Described>(name: &'static str, bias: bool, inputs: &[D]) -> Result<Metas> {
    arity(name, inputs, 2 + usize::from(bias))?;
    same_dtype(name, inputs, 0, 1)?;
    accept(name, inputs, inputs[0].dtype().is_float())?;
    let (input, weight) = (inputs[0].shape(), inputs[1].shape());
    if input.rank() == 0 || weight.rank() != 2 || input[input.rank() - 1] != weight[1] {
        return Err(Error::shape(
            name,
            shapes(inputs),
            "the input must be […, in], the weight [out, in]",
            "Check `in_features` of the layer against the last axis of its input",
        ));
    }
    if bias {
        same_dtype(name, inputs, 0, 2)?;
        if **inputs[2].shape() != [weight[0]] {
            return Err(Error::shape(
                name,
                shapes(inputs),
                "the bias must be [out]",
                "Check `out_features` of the layer",
            ));
        }
    }
    one(input.with(input.rank() - 1, weight[0])?, inputs[0].dtype())
}

fn loss(reduction: ReductionKind, with_gradient: bool, values: Shape, logits: Meta) -> Result<Metas> {
    let shape = if reduction == ReductionKind::None { values } else { Shape::SCALAR };
    let mut metas = smallvec![Meta::new(shape, logits.dtype)];
    if with_gradient {
        metas.push(logits);
    }
    Ok(metas)
}

fn optimize<D: Described>(name: &'static str, attributes: &Optimize, inputs: &[D]) -> Result<Metas> {
    let group = 2 + attributes.states();
    let rest = inputs.len().checked_sub(1).filter(|rest| rest % group == 0);
    let Some(rest) = rest else {
        return Err(Error::argument(
            name,
            format!("{} inputs were given", inputs.len()),
            format!("Give the scalars and then {group} tensors for each parameter"),
        ));
    };
    if **inputs[0].shape() != [attributes.scalars()] || !matches!(inputs[0].dtype(), DType::F32 | DType::F64) {
        return Err(Error::shape(
            name,
            [*inputs[0].shape()],
            "the scalars do not fit",
            format!("Give {} numbers as f32 or f64", attributes.scalars()),
        ));
    }
    let mut metas = Metas::new();
    for members in inputs[1..=rest].chunks_exact(group) {
        let meta = Meta::new(*members[0].shape(), members[0].dtype());
        accept(name, &members[..1], meta.dtype.is_float())?;
        let wide = meta.dtype.accumulator();
        for (at, member) in members.iter().enumerate().skip(1) {
            same_shape(name, members, 0, at)?;
            let fits = member.dtype() == wide || at == 1 && member.dtype() == meta.dtype;
            if !fits {
                let (problem, advice) = match at {
                    1 => ("the gradient has another dtype", "Convert it with `to_dtype`".to_string()),
                    _ => {
                        ("a state has another dtype", format!("Keep the states of {} parameters in {wide}", meta.dtype))
                    }
                };
                return Err(Error::dtype(name, [meta.dtype, member.dtype()], problem, advice));
            }
        }
        metas.push(meta);
        metas.extend(std::iter::repeat_n(Meta::new(meta.shape, wide), group - 2));
    }
    Ok(metas)
}
