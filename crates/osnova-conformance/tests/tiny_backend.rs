//! A complete backend in one file, for f32, i64 and bool: the example of `docs/writing-a-backend.md`, and proof that the
//! kit passes a backend that shares no code with the oracle.

use osnova_conformance::conformance_tests;
use osnova_tensor::random::generate;
use osnova_tensor::{
    ArgReduction, Backend, Binary, Capabilities, Comparison, DType, DTypeSet, Device, Element, Error, HostData, Inputs,
    Layout, Meta, Op, Outputs, Reduction, Result, Scalar, Shape, Tensor, Unary, view,
};
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

conformance_tests!(device());

/// The device; every call gives the same one.
fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| Device::intern(Tiny))
}

/// The backend.
#[derive(Debug)]
struct Tiny;

/// What a tensor of this backend holds: elements that views share. A clone is one more pointer to them.
#[derive(Clone)]
struct Buffer(Arc<HostData>);

impl Backend for Tiny {
    fn name(&self) -> String {
        "tiny".into()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DTypeSet::of(&[DType::F32, DType::I64, DType::Bool]))
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        let dtype = data.dtype();
        Ok(Tensor::from_parts(device, Layout::contiguous(shape), dtype, Buffer(Arc::new(data))))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let Some(Buffer(data)) = tensor.storage() else {
            return Err(Error::device("tiny", "a tensor of another device came in", "Move it with `to_device`"));
        };
        Ok(pick(data, tensor.layout().positions()))
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        // Views share the storage under another layout.
        if op.is_view()
            && let Some(view) = view::<Buffer>(op, &inputs[0])
        {
            return Ok(Outputs::from_iter([view]));
        }
        // Everything else reads its inputs row-major and makes new values.
        let arrays = inputs
            .iter()
            .map(|input| Ok(Array { data: self.download(input)?, shape: *input.shape() }))
            .collect::<Result<Vec<_>>>()?;
        let results = compute(op, &arrays, outputs)?;
        results.into_iter().zip(outputs).map(|(data, meta)| self.upload(device, data, meta.shape)).collect()
    }
}

/// An input: its values, row-major, and their shape.
struct Array {
    data: HostData,
    shape: Shape,
}

/// The values of each output. The operation has passed inference: shapes, dtypes and axes fit.
fn compute(op: &Op, inputs: &[Array], outputs: &[Meta]) -> Result<Vec<HostData>> {
    let Meta { shape, dtype } = outputs[0];
    let count = shape.count();
    let input = inputs.first();
    let data = match (op, input) {
        (Op::Full { value, .. }, _) => fill(*value, dtype, count),
        (Op::Arange { start, step, .. }, _) => match dtype {
            DType::F32 => {
                HostData::F32((0..count).map(|i| (start.to_f64() + i as f64 * step.to_f64()) as f32).collect())
            }
            _ => HostData::I64(
                (0..count).map(|i| start.to_i64().wrapping_add(step.to_i64().wrapping_mul(i as i64))).collect(),
            ),
        },
        (Op::Random { distribution, stream, .. }, _) => generate(*distribution, *stream, count, dtype)?,
        // A reshape that no strides can express, and `contiguous`: the values are row-major already.
        (Op::Reshape { .. } | Op::Contiguous, Some(x)) => x.data.clone(),
        (Op::Pad { padding, value }, Some(x)) => {
            // The values with the padding's value behind them: each place picks from there.
            let both = concat(&[&x.data, &fill(*value, dtype, 1)]);
            let source = |place: Vec<usize>| {
                let inner = place.iter().zip(padding).map(|(at, (before, _))| at.checked_sub(*before));
                let inside = inner.zip(x.shape.iter()).map(|(at, &size)| at.filter(|&at| at < size));
                inside.collect::<Option<Vec<_>>>().map_or(x.data.len(), |at| flat(&x.shape, &at))
            };
            pick(&both, places(&shape).map(source))
        }
        (Op::Concat { axis }, _) => {
            let outer: usize = shape[..*axis].iter().product();
            let mut parts = Vec::new();
            for at in 0..outer {
                for x in inputs {
                    let block: usize = x.shape[*axis..].iter().product();
                    parts.push(pick(&x.data, at * block..(at + 1) * block));
                }
            }
            concat(&parts.iter().chain([&fill(Scalar::Bool(false), dtype, 0)]).collect::<Vec<_>>())
        }

        (Op::Unary(kind), Some(x)) => match &x.data {
            HostData::F32(x) => {
                let function = unary(*kind).ok_or_else(|| unknown(op))?;
                HostData::F32(x.iter().map(|&x| function(x.into()) as f32).collect())
            }
            HostData::I64(x) => {
                let function = unary_integer(*kind).ok_or_else(|| unknown(op))?;
                HostData::I64(x.iter().map(|&x| function(x)).collect())
            }
            x if *kind == Unary::Not => HostData::Bool(bools(x).iter().map(|x| !x).collect()),
            _ => return Err(unknown(op)),
        },
        (Op::Binary(kind), Some(_)) => match [expand(&inputs[0], &shape), expand(&inputs[1], &shape)] {
            [HostData::F32(x), HostData::F32(y)] => {
                HostData::F32(zip(&x, &y, binary(*kind).ok_or_else(|| unknown(op))?))
            }
            [HostData::I64(x), HostData::I64(y)] => {
                HostData::I64(zip(&x, &y, binary_integer(*kind).ok_or_else(|| unknown(op))?))
            }
            [x, y] => HostData::Bool(zip(&bools(&x), &bools(&y), logical(*kind).ok_or_else(|| unknown(op))?)),
        },
        (Op::Compare(kind), Some(_)) => {
            HostData::Bool(match [expand(&inputs[0], &shape), expand(&inputs[1], &shape)] {
                [HostData::F32(x), HostData::F32(y)] => zip(&x, &y, |x, y| compare(*kind, x, y)),
                [HostData::I64(x), HostData::I64(y)] => zip(&x, &y, |x, y| compare(*kind, x, y)),
                [x, y] => zip(&bools(&x), &bools(&y), |x, y| compare(*kind, x, y)),
            })
        }
        (Op::Clamp { low, high }, Some(x)) => {
            let bounds = [fill(*low, dtype, 1), fill(*high, dtype, 1)].map(|data| Array { data, shape: Shape::SCALAR });
            let raised =
                compute(&Op::Binary(Binary::Max), &[Array { data: x.data.clone(), shape }, copy(&bounds[0])], outputs)?;
            let raised = Array { data: first(raised), shape };
            first(compute(&Op::Binary(Binary::Min), &[raised, copy(&bounds[1])], outputs)?)
        }
        (Op::Where, Some(condition)) => {
            let condition = bools(&expand(condition, &shape));
            let both = concat(&[&expand(&inputs[1], &shape), &expand(&inputs[2], &shape)]);
            pick(&both, condition.iter().enumerate().map(|(at, &yes)| if yes { at } else { count + at }))
        }
        (Op::Cast { .. }, Some(x)) => match (&x.data, dtype) {
            (HostData::I64(x), DType::I64) => HostData::I64(x.clone()),
            (HostData::I64(x), DType::F32) => HostData::F32(x.iter().map(|&x| x as f32).collect()),
            (HostData::I64(x), _) => HostData::Bool(x.iter().map(|&x| x != 0).collect()),
            (x, _) => HostData::from_f64(dtype, &x.to_f64()),
        },

        (Op::Reduce { kind, axes, .. }, Some(x)) => match &x.data {
            HostData::F32(values) => HostData::F32(lines(values, &x.shape, axes).map(|x| reduce(*kind, &x)).collect()),
            HostData::I64(values) => {
                HostData::I64(lines(values, &x.shape, axes).map(|x| reduce_integer(*kind, &x)).collect())
            }
            values => {
                let any = |line: Vec<bool>| {
                    if *kind == Reduction::Max { line.contains(&true) } else { !line.contains(&false) }
                };
                HostData::Bool(lines(&bools(values), &x.shape, axes).map(any).collect())
            }
        },
        (Op::ArgReduce { kind, axis, .. }, Some(x)) => {
            let first = |order: Vec<usize>| order[0] as i64;
            HostData::I64(sorted(x, *axis, *kind == ArgReduction::Max, true).map(first).collect())
        }
        (Op::CumulativeSum { axis, reverse }, Some(x)) => {
            let running = |sum: &mut f32, x: f32| *sum += x;
            match &x.data {
                HostData::F32(values) => HostData::F32(running_sum(values, &x.shape, *axis, *reverse, running)),
                values => {
                    let running = |sum: &mut i64, x: i64| *sum = sum.wrapping_add(x);
                    HostData::I64(running_sum(&ints(values), &x.shape, *axis, *reverse, running))
                }
            }
        }
        (Op::Sort { axis, descending }, Some(x)) => {
            let order: Vec<usize> = sorted(x, *axis, *descending, false).flatten().collect();
            let sources: Vec<usize> = line_positions(&x.shape, &[*axis]).collect();
            let length = shape[*axis];
            let (mut from, mut index) = (vec![0; count], vec![0; count]);
            for (at, (&place, &rank)) in sources.iter().zip(&order).enumerate() {
                from[place] = sources[at / length * length + rank];
                index[place] = rank as i64;
            }
            return Ok(vec![pick(&x.data, from.into_iter()), HostData::I64(index)]);
        }

        (Op::Matmul, Some(_)) => matmul(&inputs[0], &inputs[1], &shape),

        (Op::Gather { axis }, Some(x)) => {
            let index = indices(op, &inputs[1], &x.shape, *axis)?;
            let source = |(mut place, index): (Vec<usize>, usize)| {
                place[*axis] = index;
                flat(&x.shape, &place)
            };
            pick(&x.data, places(&shape).zip(index).map(source))
        }
        (Op::IndexSelect { axis }, Some(x)) => {
            let index = indices(op, &inputs[1], &x.shape, *axis)?;
            let source = |mut place: Vec<usize>| {
                place[*axis] = index[place[*axis]];
                flat(&x.shape, &place)
            };
            pick(&x.data, places(&shape).map(source))
        }
        (Op::ScatterAdd { axis } | Op::IndexAdd { axis }, Some(base)) => {
            let (index, source) = (indices(op, &inputs[1], &base.shape, *axis)?, &inputs[2]);
            let whole = matches!(op, Op::IndexAdd { .. });
            let target = |(at, mut place): (usize, Vec<usize>)| {
                place[*axis] = if whole { index[place[*axis]] } else { index[at] };
                flat(&base.shape, &place)
            };
            let targets = places(&source.shape).enumerate().map(target);
            match (&base.data, &source.data) {
                (HostData::F32(base), HostData::F32(source)) => {
                    let mut sums = base.clone();
                    targets.zip(source).for_each(|(target, x)| sums[target] += x);
                    HostData::F32(sums)
                }
                (base, source) => {
                    let mut sums = ints(base);
                    targets.zip(ints(source)).for_each(|(target, x)| sums[target] = sums[target].wrapping_add(x));
                    HostData::I64(sums)
                }
            }
        }
        // Composites do not come here: this backend claims none. A primitive newer than this backend does.
        _ => return Err(unknown(op)),
    };
    Ok(vec![data])
}

fn unknown(op: &Op) -> Box<Error> {
    Error::unknown("tiny", op.name())
}

/// A function of one number; nothing where it is not known.
fn unary(kind: Unary) -> Option<fn(f64) -> f64> {
    let function: fn(f64) -> f64 = match kind {
        Unary::Neg => |x| -x,
        Unary::Abs => f64::abs,
        Unary::Sign => |x| if x == 0.0 { 0.0 } else { x.signum() },
        Unary::Exp => f64::exp,
        Unary::Expm1 => f64::exp_m1,
        Unary::Ln => f64::ln,
        Unary::Ln1p => f64::ln_1p,
        Unary::Sqrt => f64::sqrt,
        Unary::Rsqrt => |x| x.sqrt().recip(),
        Unary::Recip => f64::recip,
        Unary::Sin => f64::sin,
        Unary::Cos => f64::cos,
        Unary::Tanh => f64::tanh,
        Unary::Sigmoid => |x| 1.0 / (1.0 + (-x).exp()),
        Unary::Erf => libm::erf,
        Unary::Floor => f64::floor,
        Unary::Ceil => f64::ceil,
        Unary::Round => f64::round_ties_even,
        Unary::Relu => |x| if x < 0.0 { 0.0 } else { x },
        _ => return None,
    };
    Some(function)
}

fn unary_integer(kind: Unary) -> Option<fn(i64) -> i64> {
    let function: fn(i64) -> i64 = match kind {
        Unary::Neg => i64::wrapping_neg,
        Unary::Abs => i64::wrapping_abs,
        Unary::Sign => i64::signum,
        Unary::Relu => |x| x.max(0),
        Unary::Not => |x| !x,
        _ => return None,
    };
    Some(function)
}

fn binary(kind: Binary) -> Option<fn(f32, f32) -> f32> {
    let function: fn(f32, f32) -> f32 = match kind {
        Binary::Add => |x, y| x + y,
        Binary::Sub => |x, y| x - y,
        Binary::Mul => |x, y| x * y,
        Binary::Div => |x, y| x / y,
        Binary::Pow => |x, y| f64::from(x).powf(y.into()) as f32,
        Binary::Min => minimum,
        Binary::Max => maximum,
        _ => return None,
    };
    Some(function)
}

/// NaN wins, unlike in `f32::min`.
fn minimum(x: f32, y: f32) -> f32 {
    if x.is_nan() || y.is_nan() { f32::NAN } else { x.min(y) }
}

fn maximum(x: f32, y: f32) -> f32 {
    if x.is_nan() || y.is_nan() { f32::NAN } else { x.max(y) }
}

fn binary_integer(kind: Binary) -> Option<fn(i64, i64) -> i64> {
    let function: fn(i64, i64) -> i64 = match kind {
        Binary::Add => i64::wrapping_add,
        Binary::Sub => i64::wrapping_sub,
        Binary::Mul => i64::wrapping_mul,
        Binary::Div => |x, y| if y == 0 { 0 } else { x.wrapping_div(y) },
        Binary::Pow => power,
        Binary::Min => i64::min,
        Binary::Max => i64::max,
        Binary::And => |x, y| x & y,
        Binary::Or => |x, y| x | y,
        Binary::Xor => |x, y| x ^ y,
        _ => return None,
    };
    Some(function)
}

fn power(x: i64, y: i64) -> i64 {
    if y < 0 {
        return if matches!(x, 1 | -1) { x.pow((y % 2).unsigned_abs() as u32) } else { 0 };
    }
    // x^y by the bits of y.
    (0..63).rev().fold(1i64, |power, bit| {
        let square = power.wrapping_mul(power);
        if y >> bit & 1 == 1 { square.wrapping_mul(x) } else { square }
    })
}

fn logical(kind: Binary) -> Option<fn(bool, bool) -> bool> {
    let function: fn(bool, bool) -> bool = match kind {
        Binary::And => |x, y| x & y,
        Binary::Or => |x, y| x | y,
        Binary::Xor => |x, y| x ^ y,
        _ => return None,
    };
    Some(function)
}

fn compare<T: PartialOrd>(kind: Comparison, x: T, y: T) -> bool {
    match kind {
        Comparison::Equal => x == y,
        Comparison::NotEqual => x != y,
        Comparison::Less => x < y,
        Comparison::LessEqual => x <= y,
        Comparison::Greater => x > y,
        Comparison::GreaterEqual => x >= y,
    }
}

fn reduce(kind: Reduction, line: &[f32]) -> f32 {
    let numbers = line.iter().copied();
    match kind {
        Reduction::Sum => numbers.sum(),
        Reduction::Prod => numbers.product(),
        Reduction::Max => numbers.fold(f32::NEG_INFINITY, maximum),
        Reduction::Min => numbers.fold(f32::INFINITY, minimum),
    }
}

fn reduce_integer(kind: Reduction, line: &[i64]) -> i64 {
    let numbers = line.iter().copied();
    match kind {
        Reduction::Sum => numbers.fold(0, i64::wrapping_add),
        Reduction::Prod => numbers.fold(1, i64::wrapping_mul),
        Reduction::Max => numbers.fold(i64::MIN, i64::max),
        Reduction::Min => numbers.fold(i64::MAX, i64::min),
    }
}

fn matmul(left: &Array, right: &Array, shape: &Shape) -> HostData {
    let (rank, inner) = (shape.rank(), left.shape[left.shape.rank() - 1]);
    let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
    let side = |side: &Array, last: [usize; 2]| {
        let dims: Vec<usize> = shape[..rank - 2].iter().copied().chain(last).collect();
        expand(side, &Shape::new(&dims).unwrap_or_default())
    };
    let (left, right) = (side(left, [rows, inner]), side(right, [inner, columns]));
    let at = move |place: usize, i: usize| {
        let (matrix, row, column) = (place / columns / rows, place / columns % rows, place % columns);
        ((matrix * rows + row) * inner + i, (matrix * inner + i) * columns + column)
    };
    let places = 0..shape.count();
    if let (HostData::F32(left), HostData::F32(right)) = (&left, &right) {
        let sum = |place| (0..inner).map(|i| at(place, i)).map(|(x, y)| left[x] * right[y]).sum();
        return HostData::F32(places.map(sum).collect());
    }
    let (left, right) = (ints(&left), ints(&right));
    let terms = |place| (0..inner).map(move |i| at(place, i));
    let sum = |place| terms(place).map(|(x, y)| left[x].wrapping_mul(right[y])).fold(0, i64::wrapping_add);
    HostData::I64(places.map(sum).collect())
}

fn running_sum<T: Element>(values: &[T], shape: &Shape, axis: usize, reverse: bool, add: impl Fn(&mut T, T)) -> Vec<T> {
    let positions: Vec<usize> = line_positions(shape, &[axis]).collect();
    let mut sums = values.to_vec();
    for line in positions.chunks(shape[axis].max(1)) {
        let mut sum = T::default();
        for at in 0..line.len() {
            let place = line[if reverse { line.len() - 1 - at } else { at }];
            add(&mut sum, values[place]);
            sums[place] = sum;
        }
    }
    sums
}

/// For each line along `axis` the order of its elements. NaN is the largest, or first on either side if `nan_first`.
fn sorted(x: &Array, axis: usize, descending: bool, nan_first: bool) -> impl Iterator<Item = Vec<usize>> {
    // i64 compares as such; the other dtypes are exact in f64.
    let keys: Vec<(f64, i64)> = match &x.data {
        HostData::I64(values) => values.iter().map(|&x| (0.0, x)).collect(),
        values => values.to_f64().into_iter().map(|x| (x, 0)).collect(),
    };
    let less = move |x: (f64, i64), y: (f64, i64)| {
        let order = match x.0.partial_cmp(&y.0) {
            Some(order) => order.then(x.1.cmp(&y.1)),
            None if nan_first && !descending => y.0.is_nan().cmp(&x.0.is_nan()),
            None => x.0.is_nan().cmp(&y.0.is_nan()),
        };
        if descending { order.reverse() } else { order }
    };
    let lines: Vec<Vec<(f64, i64)>> = line_lists(&keys, &x.shape, &[axis]);
    lines.into_iter().map(move |line| {
        let mut order: Vec<usize> = (0..line.len()).collect();
        order.sort_by(|&a, &b| -> Ordering { less(line[a], line[b]) });
        order
    })
}

/// The indices in a tensor, each checked against the axis.
fn indices(op: &Op, index: &Array, shape: &Shape, axis: usize) -> Result<Vec<usize>> {
    let size = shape[axis];
    let check = |index: i64| {
        usize::try_from(index).ok().filter(|&index| index < size).ok_or_else(|| {
            let problem = format!("index {index} is out of range for axis {axis} of size {size}");
            Error::argument(op.name(), problem, "Keep indices below the size")
        })
    };
    ints(&index.data).into_iter().map(check).collect()
}

/// The elements at `positions`, whatever their dtype.
fn pick(data: &HostData, positions: impl Iterator<Item = usize>) -> HostData {
    match data {
        HostData::F32(values) => HostData::F32(positions.map(|at| values[at]).collect()),
        HostData::I64(values) => HostData::I64(positions.map(|at| values[at]).collect()),
        values => {
            let values = bools(values);
            HostData::Bool(positions.map(|at| values[at]).collect())
        }
    }
}

fn expand(x: &Array, shape: &Shape) -> HostData {
    match Layout::contiguous(x.shape).expand(shape) {
        Some(layout) => pick(&x.data, layout.positions()),
        None => x.data.clone(),
    }
}

fn fill(value: Scalar, dtype: DType, count: usize) -> HostData {
    match dtype {
        DType::F32 => HostData::F32(vec![value.to_f64() as f32; count]),
        DType::I64 => HostData::I64(vec![value.to_i64(); count]),
        _ => HostData::Bool(vec![value.to_i64() != 0; count]),
    }
}

fn concat(parts: &[&HostData]) -> HostData {
    match parts[0] {
        HostData::F32(_) => HostData::F32(parts.iter().flat_map(|part| floats(part)).collect()),
        HostData::I64(_) => HostData::I64(parts.iter().flat_map(|part| ints(part)).collect()),
        _ => HostData::Bool(parts.iter().flat_map(|part| bools(part)).collect()),
    }
}

fn floats(data: &HostData) -> Vec<f32> {
    f32::from_host(data.clone()).unwrap_or_default()
}

fn ints(data: &HostData) -> Vec<i64> {
    i64::from_host(data.clone()).unwrap_or_default()
}

fn bools(data: &HostData) -> Vec<bool> {
    bool::from_host(data.clone()).unwrap_or_default()
}

fn zip<T: Copy, U>(x: &[T], y: &[T], f: impl Fn(T, T) -> U) -> Vec<U> {
    x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect()
}

fn first(mut results: Vec<HostData>) -> HostData {
    results.remove(0)
}

fn copy(x: &Array) -> Array {
    Array { data: x.data.clone(), shape: x.shape }
}

/// The coordinates of each element of `shape`.
fn places(shape: &Shape) -> impl Iterator<Item = Vec<usize>> {
    let shape = *shape;
    (0..shape.count()).map(move |mut index| {
        let mut place: Vec<usize> = shape.iter().rev().map(|size| (index % size, index /= size).0).collect();
        place.reverse();
        place
    })
}

/// The row-major position of a place.
fn flat(shape: &Shape, place: &[usize]) -> usize {
    shape.iter().zip(place).fold(0, |position, (size, at)| position * size + at)
}

/// The positions of all elements, those along `axes` next to each other.
fn line_positions(shape: &Shape, axes: &[usize]) -> impl Iterator<Item = usize> + use<> {
    let kept = (0..shape.rank()).filter(|axis| !axes.contains(axis));
    let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
    Layout::contiguous(*shape).permute(&order).positions()
}

fn line_lists<T: Copy>(values: &[T], shape: &Shape, axes: &[usize]) -> Vec<Vec<T>> {
    let length: usize = axes.iter().map(|&axis| shape[axis]).product();
    let mut ordered = line_positions(shape, axes).map(|at| values[at]);
    (0..shape.reduced(axes, false).count()).map(|_| ordered.by_ref().take(length).collect()).collect()
}

/// The elements along `axes`, one list for each place of the other axes.
fn lines<T: Copy>(values: &[T], shape: &Shape, axes: &[usize]) -> impl Iterator<Item = Vec<T>> {
    line_lists(values, shape, axes).into_iter()
}
