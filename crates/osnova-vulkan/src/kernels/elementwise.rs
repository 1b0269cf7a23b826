//! Functions element by element: unary, binary, comparisons, clamp, where, cast, activations.
//!
//! A module computes all functions of one dtype; which one is a specialisation constant. The numbers of the functions are
//! those in `shaders/include/operations.glsl`.

use super::{create, scalar_words, shader, shader_by_width};
use crate::engine::{Engine, Words};
use crate::storage::is_last;
use crate::walk::Walk;
use osnova_tensor::{Activation, Binary, Comparison, DType, Device, Layout, Meta, Result, Scalar, Tensor, Unary};

/// The number of clamp among the functions of one tensor.
const CLAMP: u32 = 100;
/// The number of no function at all, for kernels that end with an activation.
pub(crate) const IDENTITY: u32 = 99;
/// The numbers of the activations that are no unary functions.
const GELU: u32 = 101;
const GELU_TANH: u32 = 102;
const SILU: u32 = 103;
/// `not` of truth values, which share the module of bytes.
const LOGICAL_NOT: u32 = 104;
/// The numbers of the gradients of activations among the functions of two tensors: of relu, sigmoid and tanh.
const RELU_GRADIENT: u32 = 100;
const SIGMOID_GRADIENT: u32 = 101;
const TANH_GRADIENT: u32 = 102;

/// The number of a function of one tensor in the module of a dtype; none if it is not there.
fn unary_number(kind: Unary, dtype: DType) -> Option<u32> {
    let number = match kind {
        Unary::Neg => 0,
        Unary::Abs => 1,
        Unary::Sign => 2,
        Unary::Exp => 3,
        Unary::Expm1 => 4,
        Unary::Ln => 5,
        Unary::Ln1p => 6,
        Unary::Sqrt => 7,
        Unary::Rsqrt => 8,
        Unary::Recip => 9,
        Unary::Sin => 10,
        Unary::Cos => 11,
        Unary::Tanh => 12,
        Unary::Sigmoid => 13,
        Unary::Erf => 14,
        Unary::Floor => 15,
        Unary::Ceil => 16,
        Unary::Round => 17,
        Unary::Relu => 18,
        Unary::Not if dtype == DType::Bool => LOGICAL_NOT,
        Unary::Not => 19,
        _ => return None,
    };
    let known = match dtype {
        DType::Bool => number == LOGICAL_NOT,
        float if float.is_float() => number <= 18,
        _ => matches!(number, 0..=2 | 18..=19),
    };
    known.then_some(number)
}

/// The same of a function of two tensors.
fn binary_number(kind: Binary, dtype: DType) -> Option<u32> {
    let number = match kind {
        Binary::Add => 0,
        Binary::Sub => 1,
        Binary::Mul => 2,
        Binary::Div => 3,
        Binary::Pow => 4,
        Binary::Min => 5,
        Binary::Max => 6,
        Binary::And => 7,
        Binary::Or => 8,
        Binary::Xor => 9,
        _ => return None,
    };
    (number <= 6 || !dtype.is_float()).then_some(number)
}

fn comparison_number(kind: Comparison) -> u32 {
    match kind {
        Comparison::Equal => 0,
        Comparison::NotEqual => 1,
        Comparison::Less => 2,
        Comparison::LessEqual => 3,
        Comparison::Greater => 4,
        Comparison::GreaterEqual => 5,
    }
}

/// The layout of an input repeated to the output's shape, as inference has checked.
fn repeated(tensor: &Tensor, meta: &Meta) -> Layout {
    tensor.layout().expand(&meta.shape).unwrap_or(*tensor.layout())
}

/// Whether the output may take an input's place: the same shape and dtype, row-major, the last handle.
pub(super) fn reusable(tensor: &mut Tensor, meta: &Meta) -> bool {
    *tensor.shape() == meta.shape && tensor.dtype() == meta.dtype && tensor.layout().is_contiguous() && is_last(tensor)
}

/// Runs a shader whose bindings are the output and `N` inputs, repeated to the output's shape. The metadata are `[count, start of
/// the output, scalars…, walk…]`, the constants whether the walk is linear and `operation`.
fn map<const N: usize>(
    engine: &Engine,
    shader: &'static str,
    operation: u32,
    inputs: [&Tensor; N],
    output: &Tensor,
    scalars: &[u32],
) -> Result<()> {
    let meta = Meta::new(*output.shape(), output.dtype());
    let count = engine.count(output.count())?;
    if count == 0 {
        return Ok(());
    }
    let layouts = inputs.map(|input| repeated(input, &meta));
    let walk: Walk<N> = Walk::new(&meta.shape, std::array::from_fn(|index| &layouts[index]));
    let target = engine.output(output)?;
    let mut places = [target; N];
    for (place, input) in places.iter_mut().zip(inputs) {
        *place = engine.input(input)?;
    }
    let mut words = Words::new();
    words.extend([count, target.start]);
    words.extend_from_slice(scalars);
    words.extend(walk.words(std::array::from_fn(|index| &places[index])));
    let dispatch = engine.shader(shader).constant(walk.is_linear()).constant(operation).bind(&target);
    places.iter().fold(dispatch, |dispatch, place| dispatch.bind(place)).words(&words).elements(count)
}

/// A function of one tensor with two scalars, in place where the input's memory may be reused.
fn apply(
    engine: &Engine,
    device: Device,
    operation: u32,
    mut input: Tensor,
    meta: &Meta,
    scalars: [[u32; 2]; 2],
) -> Result<Tensor> {
    let output = if reusable(&mut input, meta) { input.clone() } else { engine.create(device, meta)? };
    map(engine, shader!("unary", meta.dtype), operation, [&input], &output, scalars.as_flattened())?;
    Ok(output)
}

pub(crate) fn unary(engine: &Engine, device: Device, kind: Unary, input: Tensor, meta: &Meta) -> Result<Tensor> {
    let number = unary_number(kind, meta.dtype).ok_or_else(|| engine.unsupported(kind.name(), Some(meta.dtype)))?;
    apply(engine, device, number, input, meta, [[0; 2]; 2])
}

pub(crate) fn clamp(
    engine: &Engine,
    device: Device,
    low: Scalar,
    high: Scalar,
    input: Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    // As in PyTorch: a bound that is NaN makes every element NaN.
    if [low, high].iter().any(|bound| bound.to_f64().is_nan()) {
        return create::full(engine, device, f64::NAN.into(), meta);
    }
    let bounds = [low, high].map(|bound| scalar_words(bound, meta.dtype));
    apply(engine, device, CLAMP, input, meta, bounds)
}

/// The number of an activation among the functions of one tensor of floats; that of identity is no function's. None if it is not known.
pub(crate) fn activation_number(kind: Activation) -> Option<u32> {
    match kind {
        Activation::Identity => Some(IDENTITY),
        Activation::Relu => unary_number(Unary::Relu, DType::F32),
        Activation::Sigmoid => unary_number(Unary::Sigmoid, DType::F32),
        Activation::Tanh => unary_number(Unary::Tanh, DType::F32),
        Activation::Gelu => Some(GELU),
        Activation::GeluTanh => Some(GELU_TANH),
        Activation::Silu => Some(SILU),
        _ => None,
    }
}

/// The number of an activation's gradient among the functions of two tensors of floats; that of identity is no function's. None if it is not known, or
/// not told from the output.
pub(crate) fn gradient_number(kind: Activation) -> Option<u32> {
    match kind {
        Activation::Identity => Some(IDENTITY),
        Activation::Relu => Some(RELU_GRADIENT),
        Activation::Sigmoid => Some(SIGMOID_GRADIENT),
        Activation::Tanh => Some(TANH_GRADIENT),
        _ => None,
    }
}

/// An activation function of floats.
pub(crate) fn activate(
    engine: &Engine,
    device: Device,
    kind: Activation,
    input: Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    let number = activation_number(kind).ok_or_else(|| engine.unsupported(kind.name(), Some(meta.dtype)))?;
    if number == IDENTITY {
        return Ok(input);
    }
    apply(engine, device, number, input, meta, [[0; 2]; 2])
}

/// A function of two tensors of the output's dtype, by its number, in place where an input's memory may be reused.
fn combine(
    engine: &Engine,
    device: Device,
    operation: u32,
    mut left: Tensor,
    mut right: Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    let output = if reusable(&mut left, meta) {
        left.clone()
    } else if reusable(&mut right, meta) {
        right.clone()
    } else {
        engine.create(device, meta)?
    };
    map(engine, shader!("binary", meta.dtype), operation, [&left, &right], &output, &[])?;
    Ok(output)
}

pub(crate) fn binary(
    engine: &Engine,
    device: Device,
    kind: Binary,
    left: Tensor,
    right: Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    let number = binary_number(kind, meta.dtype).ok_or_else(|| engine.unsupported(kind.name(), Some(meta.dtype)))?;
    combine(engine, device, number, left, right, meta)
}

/// `gradient · f′`, told from the activation's output.
pub(crate) fn activation_gradient(
    engine: &Engine,
    device: Device,
    kind: Activation,
    gradient: Tensor,
    output: Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    let unknown = || engine.unsupported(&format!("the gradient of {}", kind.name()), Some(meta.dtype));
    let number = gradient_number(kind).ok_or_else(unknown)?;
    if number == IDENTITY {
        return Ok(gradient);
    }
    combine(engine, device, number, gradient, output, meta)
}

pub(crate) fn compare(
    engine: &Engine,
    device: Device,
    kind: Comparison,
    left: &Tensor,
    right: &Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let shader = shader!("compare", left.dtype());
    map(engine, shader, comparison_number(kind), [left, right], &output, &[])?;
    Ok(output)
}

pub(crate) fn where_(
    engine: &Engine,
    device: Device,
    condition: &Tensor,
    x: &Tensor,
    y: &Tensor,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    map(engine, shader_by_width!("where", meta.dtype), 0, [condition, x, y], &output, &[])?;
    Ok(output)
}

pub(crate) fn cast(engine: &Engine, device: Device, input: Tensor, meta: &Meta) -> Result<Tensor> {
    /// As in `shaders/cast.comp`.
    fn number(dtype: DType) -> u32 {
        match dtype {
            DType::F32 => 0,
            DType::F64 => 1,
            DType::F16 => 2,
            DType::BF16 => 3,
            DType::I64 => 4,
            DType::I32 => 5,
            DType::U32 => 6,
            DType::U8 => 7,
            DType::Bool => 8,
        }
    }
    if input.dtype() == meta.dtype {
        return Ok(input);
    }
    let output = engine.create(device, meta)?;
    // A module asks only for what its dtypes need of the device.
    let has = |wanted: DType| [input.dtype(), meta.dtype].contains(&wanted);
    let narrow = [input.dtype(), meta.dtype].iter().any(|dtype| dtype.size() < 4);
    let shader = match (has(DType::I64), has(DType::F64), narrow) {
        (false, false, false) => "cast_32",
        (false, false, true) => "cast_narrow",
        (true, false, false) => "cast_i64",
        (true, false, true) => "cast_i64_narrow",
        (false, true, false) => "cast_f64",
        (false, true, true) => "cast_f64_narrow",
        (true, true, _) => "cast_i64_f64",
    };
    map(engine, shader, number(input.dtype()) * 16 + number(meta.dtype), [&input], &output, &[])?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the cases in each function called `name` of a shader, in the order of the functions.
    fn cases(source: &str, name: &str) -> Vec<Vec<u32>> {
        let functions = source.split("\n}").filter(|function| function.contains(&format!(" {name}(")));
        let number = |line: &str| line.trim().strip_prefix("case ")?.split(':').next()?.parse().ok();
        functions.map(|function| function.lines().filter_map(number).collect()).collect()
    }

    /// A number that the host may send and a shader lacks would compute something else.
    #[test]
    fn shaders_know_every_number() {
        let source = include_str!("../../shaders/include/operations.glsl");
        let (unary, binary) = (cases(source, "unary"), cases(source, "binary"));
        assert!(unary.len() == 2 && binary.len() == 2, "one for floats, one for integers");
        for dtype in DType::ALL {
            let family = usize::from(!dtype.is_float());
            for kind in Unary::ALL {
                let number = unary_number(kind, dtype);
                assert!(number.is_none_or(|number| unary[family].contains(&number)), "{kind:?} of {dtype}");
                assert!(number.is_some() || !kind.accepts(dtype), "{kind:?} of {dtype}");
            }
            for kind in Binary::ALL {
                let number = binary_number(kind, dtype);
                assert!(number.is_none_or(|number| binary[family].contains(&number)), "{kind:?} of {dtype}");
                assert!(number.is_some() || !kind.accepts(dtype), "{kind:?} of {dtype}");
            }
        }
        assert!(unary.iter().all(|known| known.contains(&CLAMP)));
        let finished = &cases(include_str!("../../shaders/include/finish.glsl"), "activated")[0];
        for kind in Activation::ALL {
            let number = activation_number(kind).expect("all activations are known");
            assert!(finished.contains(&number), "{kind:?} at the end of a product");
            assert!(number == IDENTITY || unary[0].contains(&number), "{kind:?}");
            let gradient = gradient_number(kind);
            assert!(gradient.is_none_or(|number| number == IDENTITY || binary[0].contains(&number)), "{kind:?}");
            assert_eq!(gradient.is_some(), kind.derivative_from_output(), "{kind:?}");
        }
    }
}
