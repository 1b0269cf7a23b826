//! Functions element by element: unary, binary, comparisons, clamp, where, cast.

use super::movement;
use super::tiles::{CHUNK, Kernel, Source, Stored, map, map_to};
use crate::failure::Failure;
use crate::memory::OutOfMemory;
use crate::native::{Native, Number, Truth, with_native};
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{contiguous, create, elements, writable};
use crate::vector::{self, VectorMath};
use half::{bf16, f16};
use osnova_tensor::{Activation, Binary, Comparison, DType, Device, Layout, Meta, Scalar, Tensor, Unary};

/// A function of slices of a computed type.
type Map1<C> = fn(&[C], &mut [C]);
type Map2<C> = fn(&[C], &[C], &mut [C]);

/// What a computed type offers to unary operations.
pub(crate) trait UnaryKernels: Number {
    /// The kernel of a function and its rough cost in nanoseconds an element; nothing where there is none.
    fn unary(kind: Unary) -> Option<(Map1<Self>, f64)>;
}

simd_dispatch! {
    /// `out = f(input)`.
    fn each[S]<C, U, F>(input: &[C], out: &mut [U], f: F) where [C: Copy, F: Fn(C) -> U] {
        out.iter_mut().zip(input).for_each(|(slot, &value)| *slot = f(value));
    }

    /// `out = f(left, right)`.
    fn each_pair[S]<C, U, F>(left: &[C], right: &[C], out: &mut [U], f: F) where [C: Copy, F: Fn(C, C) -> U] {
        let (left, right) = (&left[..out.len()], &right[..out.len()]);
        for index in 0..out.len() {
            out[index] = f(left[index], right[index]);
        }
    }
}

macro_rules! integer_kernels {
    ($($type:ty),*) => {$(
        impl UnaryKernels for $type {
            fn unary(kind: Unary) -> Option<(Map1<Self>, f64)> {
                let kernel: Map1<Self> = match kind {
                    Unary::Neg => |input, out| each(input, out, Number::neg),
                    Unary::Abs => |input, out| each(input, out, Number::abs),
                    Unary::Sign => |input, out| each(input, out, Number::sign),
                    Unary::Relu => |input, out| each(input, out, |x| Number::max(x, 0)),
                    Unary::Not => |input, out| each(input, out, |x: $type| !x),
                    _ => return None,
                };
                Some((kernel, 0.3))
            }
        }
    )*};
}
integer_kernels!(i64, i32, u32, u8);

macro_rules! float_kernels {
    ($($type:ident),*) => {$(
        impl UnaryKernels for $type {
            fn unary(kind: Unary) -> Option<(Map1<Self>, f64)> {
                let found: (Map1<Self>, f64) = match kind {
                    Unary::Neg => (|input, out| each(input, out, |x: $type| -x), 0.2),
                    Unary::Abs => (|input, out| each(input, out, $type::abs), 0.2),
                    Unary::Sign => (|input, out| each(input, out, Number::sign), 0.3),
                    Unary::Relu => (|input, out| each(input, out, |x: $type| if x < 0.0 { 0.0 } else { x }), 0.2),
                    Unary::Floor => (|input, out| each(input, out, $type::floor), 1.0),
                    Unary::Ceil => (|input, out| each(input, out, $type::ceil), 1.0),
                    Unary::Round => (|input, out| each(input, out, $type::round_ties_even), 1.0),
                    Unary::Sqrt => (|input, out| each(input, out, $type::sqrt), 0.5),
                    Unary::Rsqrt => (|input, out| each(input, out, |x: $type| 1.0 / x.sqrt()), 0.8),
                    Unary::Recip => (|input, out| each(input, out, |x: $type| 1.0 / x), 0.5),
                    Unary::Exp => (vector::exp::<$type>, 0.5),
                    Unary::Expm1 => (vector::expm1::<$type>, 0.7),
                    Unary::Ln => (vector::ln::<$type>, 1.0),
                    Unary::Ln1p => (vector::ln1p::<$type>, 1.0),
                    Unary::Sin => (vector::sin::<$type>, 1.0),
                    Unary::Cos => (vector::cos::<$type>, 1.0),
                    Unary::Tanh => (vector::tanh::<$type>, 0.8),
                    Unary::Sigmoid => (vector::sigmoid::<$type>, 0.8),
                    Unary::Erf => (vector::erf::<$type>, 1.2),
                    _ => return None,
                };
                Some(found)
            }
        }
    )*};
}
float_kernels!(f32, f64);

/// Whether an input already has the output's shape, lies row-major and is the last handle on its memory.
fn reusable<T: Native>(tensor: &mut Tensor, meta: &Meta) -> bool {
    *tensor.shape() == meta.shape && tensor.dtype() == meta.dtype && writable::<T>(tensor).is_some()
}

/// Applies a function to every element, in place where the input's memory may be reused.
fn apply<S: Stored>(
    parallel: &Parallel,
    device: Device,
    mut input: Tensor,
    meta: &Meta,
    cost: f64,
    f: &Kernel<'_, S::Compute, S::Compute, 1>,
) -> Result<Tensor, OutOfMemory> {
    if reusable::<S>(&mut input, meta)
        && let Some(out) = writable::<S>(&mut input)
    {
        map(parallel, [Source::Output], out, cost, f);
        return Ok(input);
    }
    create::<S>(device, meta, |out| map(parallel, [Source::of(&input, input.layout())], out, cost, f))
}

pub(crate) fn unary(
    parallel: &Parallel,
    device: Device,
    kind: Unary,
    input: Tensor,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    if meta.dtype == DType::Bool {
        return match kind {
            Unary::Not => {
                Ok(apply::<Truth>(parallel, device, input, meta, 0.1, &|[input], out| each(input, out, |x| x ^ 1))?)
            }
            _ => Err(Failure::Unknown(kind.name())),
        };
    }
    with_native!(meta.dtype, T => {
        let known = <<T as Stored>::Compute as UnaryKernels>::unary(kind);
        let (kernel, cost) = known.ok_or(Failure::Unknown(kind.name()))?;
        Ok(apply::<T>(parallel, device, input, meta, cost, &|[input], out| kernel(input, out))?)
    })
}

/// The kernel of an activation function and its rough cost in nanoseconds an element; nothing where there is none, or nothing to do.
pub(crate) fn activation<C: VectorMath + UnaryKernels>(kind: Activation) -> Option<(Map1<C>, f64)> {
    match kind {
        Activation::Relu => C::unary(Unary::Relu),
        Activation::Sigmoid => C::unary(Unary::Sigmoid),
        Activation::Tanh => C::unary(Unary::Tanh),
        Activation::Gelu => Some((vector::gelu, 1.4)),
        Activation::GeluTanh => Some((vector::gelu_tanh, 1.0)),
        Activation::Silu => Some((vector::silu, 0.9)),
        _ => None,
    }
}

/// Whether an activation has a kernel.
pub(crate) fn knows(kind: Activation) -> bool {
    kind == Activation::Identity || activation::<f32>(kind).is_some()
}

/// An activation function of floats.
pub(crate) fn activate(
    parallel: &Parallel,
    device: Device,
    kind: Activation,
    input: Tensor,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    fn typed<S: Stored>(
        parallel: &Parallel,
        device: Device,
        kind: Activation,
        input: Tensor,
        meta: &Meta,
    ) -> Result<Tensor, Failure>
    where
        S::Compute: VectorMath + UnaryKernels,
    {
        if kind == Activation::Identity {
            return Ok(input);
        }
        let (kernel, cost) = activation::<S::Compute>(kind).ok_or(Failure::Unknown(kind.name()))?;
        Ok(apply::<S>(parallel, device, input, meta, cost, &|[input], out| kernel(input, out))?)
    }
    match meta.dtype {
        DType::F32 => typed::<f32>(parallel, device, kind, input, meta),
        DType::F64 => typed::<f64>(parallel, device, kind, input, meta),
        DType::F16 => typed::<f16>(parallel, device, kind, input, meta),
        DType::BF16 => typed::<bf16>(parallel, device, kind, input, meta),
        _ => Err(Failure::Unknown(kind.name())),
    }
}

/// The kernel of a function and its rough cost in nanoseconds an element; nothing where there is none.
fn binary_kernel<C: Number + Bits>(kind: Binary) -> Option<(Map2<C>, f64)> {
    let found: (Map2<C>, f64) = match kind {
        Binary::Add => (|x, y, out| each_pair(x, y, out, C::add), 0.25),
        Binary::Sub => (|x, y, out| each_pair(x, y, out, C::sub), 0.25),
        Binary::Mul => (|x, y, out| each_pair(x, y, out, C::mul), 0.25),
        Binary::Div => (|x, y, out| each_pair(x, y, out, C::div), 0.7),
        Binary::Pow => (|x, y, out| each_pair(x, y, out, C::pow), 15.0),
        Binary::Min => (|x, y, out| each_pair(x, y, out, C::min), 0.3),
        Binary::Max => (|x, y, out| each_pair(x, y, out, C::max), 0.3),
        Binary::And => (|x, y, out| each_pair(x, y, out, C::and), 0.25),
        Binary::Or => (|x, y, out| each_pair(x, y, out, C::or), 0.25),
        Binary::Xor => (|x, y, out| each_pair(x, y, out, C::xor), 0.25),
        _ => return None,
    };
    Some(found)
}

/// Bitwise operations; inference keeps floats away from them.
trait Bits: Copy {
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
}
macro_rules! bits {
    ($($type:ty),* ; $($float:ty),*) => {
        $(impl Bits for $type {
            #[inline(always)]
            fn and(self, other: Self) -> Self { self & other }
            #[inline(always)]
            fn or(self, other: Self) -> Self { self | other }
            #[inline(always)]
            fn xor(self, other: Self) -> Self { self ^ other }
        })*
        $(impl Bits for $float {
            fn and(self, _: Self) -> Self { self }
            fn or(self, _: Self) -> Self { self }
            fn xor(self, _: Self) -> Self { self }
        })*
    };
}
bits!(i64, i32, u32, u8; f32, f64);

/// The layout of an input repeated to the output's shape, as inference has checked; the input's own where that is it.
#[inline]
fn repeated<'a>(tensor: &'a Tensor, meta: &Meta, slot: &'a mut Option<Layout>) -> &'a Layout {
    if *tensor.shape() == meta.shape {
        return tensor.layout();
    }
    slot.insert(tensor.layout().expand(&meta.shape).unwrap_or(*tensor.layout()))
}

/// Whether `tensor` is a single 1.
fn is_one<S: Stored>(tensor: &Tensor) -> bool {
    tensor.count() == 1 && elements::<S>(tensor)[tensor.layout().offset()].load() == S::Compute::ONE
}

pub(crate) fn binary(
    parallel: &Parallel,
    device: Device,
    kind: Binary,
    mut left: Tensor,
    mut right: Tensor,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    with_native!(meta.dtype, T => {
        // The gradient that arrives at a loss is a single 1: multiplying by it is free.
        if kind == Binary::Mul && *left.shape() == meta.shape && is_one::<T>(&right) {
            return Ok(left);
        }
        let known = binary_kernel::<<T as Stored>::Compute>(kind);
        let (kernel, cost) = known.ok_or(Failure::Unknown(kind.name()))?;
        let f = |[left, right]: [&[_]; 2], out: &mut [_]| kernel(left, right, out);
        let mut slots = (None, None);
        if reusable::<T>(&mut left, meta) {
            let layout = repeated(&right, meta, &mut slots.0);
            if let Some(out) = writable::<T>(&mut left) {
                map(parallel, [Source::Output, Source::of(&right, layout)], out, cost, &f);
            }
            return Ok(left);
        }
        if reusable::<T>(&mut right, meta) {
            let layout = repeated(&left, meta, &mut slots.0);
            if let Some(out) = writable::<T>(&mut right) {
                map(parallel, [Source::of(&left, layout), Source::Output], out, cost, &f);
            }
            return Ok(right);
        }
        let layouts = (repeated(&left, meta, &mut slots.0), repeated(&right, meta, &mut slots.1));
        let sources = [Source::of(&left, layouts.0), Source::of(&right, layouts.1)];
        Ok(create::<T>(device, meta, |out| map(parallel, sources, out, cost, &f))?)
    })
}

/// The kernel of `gradient · f′`; nothing where there is none, or nothing to do.
fn gradient_kernel<C: Number>(kind: Activation) -> Option<Map2<C>> {
    let kernel: Map2<C> = match kind {
        Activation::Relu => |g, y, out| each_pair(g, y, out, |g: C, y: C| if y > C::ZERO { g } else { C::ZERO }),
        Activation::Sigmoid => |g, y, out| each_pair(g, y, out, |g: C, y: C| g.mul(y.mul(C::ONE.sub(y)))),
        Activation::Tanh => |g, y, out| each_pair(g, y, out, |g: C, y: C| g.mul(C::ONE.sub(y.mul(y)))),
        _ => return None,
    };
    Some(kernel)
}

/// Whether the gradient of an activation has a kernel.
pub(crate) fn knows_gradient(kind: Activation) -> bool {
    kind == Activation::Identity || gradient_kernel::<f32>(kind).is_some()
}

/// `gradient · f′`, told from the activation's output.
pub(crate) fn activation_gradient(
    parallel: &Parallel,
    device: Device,
    kind: Activation,
    mut gradient: Tensor,
    output: &Tensor,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    if kind == Activation::Identity {
        return Ok(gradient);
    }
    with_native!(meta.dtype, T => {
        type C = <T as Stored>::Compute;
        let kernel = gradient_kernel::<C>(kind).ok_or(Failure::Unknown(kind.name()))?;
        let f = |[gradient, output]: [&[_]; 2], out: &mut [_]| kernel(gradient, output, out);
        if reusable::<T>(&mut gradient, meta) {
            if let Some(out) = writable::<T>(&mut gradient) {
                map(parallel, [Source::Output, Source::of(output, output.layout())], out, 0.3, &f);
            }
            return Ok(gradient);
        }
        let sources = [Source::of(&gradient, gradient.layout()), Source::of(output, output.layout())];
        Ok(create::<T>(device, meta, |out| map(parallel, sources, out, 0.3, &f))?)
    })
}

pub(crate) fn compare(
    parallel: &Parallel,
    device: Device,
    kind: Comparison,
    left: &Tensor,
    right: &Tensor,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    fn kernel<C: Number>(kind: Comparison) -> fn(&[C], &[C], &mut [Truth]) {
        match kind {
            Comparison::Equal => |x, y, out| each_pair(x, y, out, |x, y| Truth::from(x == y)),
            Comparison::NotEqual => |x, y, out| each_pair(x, y, out, |x, y| Truth::from(x != y)),
            Comparison::Less => |x, y, out| each_pair(x, y, out, |x, y| Truth::from(x < y)),
            Comparison::LessEqual => |x, y, out| each_pair(x, y, out, |x, y| Truth::from(x <= y)),
            Comparison::Greater => |x, y, out| each_pair(x, y, out, |x, y| Truth::from(x > y)),
            Comparison::GreaterEqual => |x, y, out| each_pair(x, y, out, |x, y| Truth::from(x >= y)),
        }
    }
    let mut slots = (None, None);
    let layouts = (repeated(left, meta, &mut slots.0), repeated(right, meta, &mut slots.1));
    with_native!(left.dtype(), T => create::<Truth>(device, meta, |out| {
        let kernel = kernel::<<T as Stored>::Compute>(kind);
        let sources = [Source::<T>::of(left, layouts.0), Source::of(right, layouts.1)];
        map_to(parallel, sources, out, 0.3, &|[left, right], out| kernel(left, right, out));
    }))
}

pub(crate) fn clamp(
    parallel: &Parallel,
    device: Device,
    low: Scalar,
    high: Scalar,
    input: Tensor,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    // As in PyTorch. Inference lets no such bound of integers through.
    if [low, high].iter().any(|bound| bound.to_f64().is_nan()) {
        return super::create::full(device, f64::NAN.into(), meta);
    }
    with_native!(meta.dtype, T => {
        type C = <T as Stored>::Compute;
        let bound = |value: Scalar| if C::FLOAT { C::from_f64(value.to_f64()) } else { C::from_i64(value.to_i64()) };
        let (low, high) = (bound(low), bound(high));
        apply::<T>(parallel, device, input, meta, 0.3, &|[input], out| {
            each(input, out, |x: C| {
                let x = if x < low { low } else { x };
                if x > high { high } else { x }
            });
        })
    })
}

pub(crate) fn where_(
    parallel: &Parallel,
    device: Device,
    condition: &Tensor,
    x: &Tensor,
    y: &Tensor,
    meta: &Meta,
) -> Result<Tensor, OutOfMemory> {
    let mut slots = (None, None, None);
    let layouts =
        (repeated(condition, meta, &mut slots.0), repeated(x, meta, &mut slots.1), repeated(y, meta, &mut slots.2));
    with_native!(meta.dtype, T => create::<T>(device, meta, |out| {
        // Elements are only chosen, never computed with: half types need no conversion, but they are rare enough.
        let sources = [Source::<T>::of(x, layouts.1), Source::of(y, layouts.2)];
        let condition = Source::<Truth>::of(condition, layouts.0);
        parallel.chunks(out, CHUNK, 0.4, |start, out| {
            let mut condition = condition.tiles(out.len());
            let mut tiles = sources.map(|source| source.tiles(out.len()));
            for (number, out) in out.chunks_mut(super::tiles::TILE).enumerate() {
                let at = start + number * super::tiles::TILE;
                let condition = condition.read(at, out.len(), &[]);
                let [x, y] = tiles.each_mut().map(|tiles| tiles.read(at, out.len(), &[]));
                for index in 0..out.len() {
                    out[index] = T::store(if condition[index] != 0 { x[index] } else { y[index] });
                }
            }
        });
    }))
}

pub(crate) fn cast(parallel: &Parallel, device: Device, input: Tensor, meta: &Meta) -> Result<Tensor, OutOfMemory> {
    fn typed<S: Native, U: Native>(parallel: &Parallel, source: &[S], out: &mut [U]) {
        parallel.chunks(out, CHUNK, 1.0, |start, out| {
            let source = &source[start..][..out.len()];
            if S::FLOAT {
                each(source, out, |value: S| U::from_f64(value.to_f64()));
            } else {
                each(source, out, |value: S| U::from_i64(value.to_i64()));
            }
        });
    }
    if input.dtype() == meta.dtype {
        return Ok(input);
    }
    let input = movement::made_contiguous(parallel, device, input)?;
    with_native!(input.dtype(), S => with_native!(meta.dtype, U => create::<U>(device, meta, |out| {
        typed::<S, U>(parallel, contiguous(&input).unwrap_or(&[]), out);
    })))
}
