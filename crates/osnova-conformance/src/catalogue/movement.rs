//! Views and movement.

use super::{Draw, Entry};
use crate::case::Case;
use crate::draw::{broadcast_to, case, fits, inputs, shape, shape_and_axis, shape_of_rank};
use crate::values::Values;
use osnova_tensor::{DType, Op, Scalar, SliceRange};
use proptest::prelude::*;

/// Cases of an operation on one tensor of any dtype, drawn with the tensor's shape.
fn on_one(draw: &Draw, name: &str, shape_and_op: BoxedStrategy<(Vec<usize>, Op)>) -> Vec<Entry> {
    let values = draw.values(Values::Wide, Values::Special, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|_| true) else { return Vec::new() };
    let cases = (shape_and_op, dtype).prop_flat_map(move |((dims, op), dtype)| case(op, vec![(dims, dtype, values)]));
    vec![(name.into(), cases.boxed())]
}

pub(super) fn reshape(draw: &Draw) -> Vec<Entry> {
    let cases = (shape(), any::<u64>()).prop_map(|(dims, mut bits)| {
        let mut draw = |below: usize| {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (bits >> 33) as usize % below
        };
        let count: usize = dims.iter().product();
        let mut target = vec![1; draw(6)];
        if target.is_empty() && count != 1 {
            target.push(1);
        }
        if count == 0 {
            target.iter_mut().for_each(|dim| *dim = draw(4));
            target[0] = 0;
        } else {
            // The prime factors of the count, each given to one axis.
            let (mut rest, mut prime) = (count, 2);
            while rest > 1 {
                if rest % prime == 0 {
                    let axis = draw(target.len());
                    target[axis] *= prime;
                    rest /= prime;
                } else {
                    prime += 1;
                }
            }
        }
        let op = Op::Reshape { shape: fits(&target) };
        (dims, op)
    });
    on_one(draw, "reshape", cases.boxed())
}

pub(super) fn permute(draw: &Draw) -> Vec<Entry> {
    let cases = shape().prop_flat_map(|dims| {
        let axes = Just((0..dims.len()).collect::<Vec<_>>()).prop_shuffle();
        axes.prop_map(move |axes| (dims.clone(), Op::Permute { axes: axes.into_iter().collect() }))
    });
    on_one(draw, "permute", cases.boxed())
}

pub(super) fn expand(draw: &Draw) -> Vec<Entry> {
    let cases = shape().prop_flat_map(|dims| {
        let op = Op::Expand { shape: fits(&dims) };
        broadcast_to(dims).prop_map(move |from| (from, op.clone()))
    });
    on_one(draw, "expand", cases.boxed())
}

/// A range within an axis: any start, any step that fits.
fn range(size: usize) -> BoxedStrategy<SliceRange> {
    if size == 0 {
        return (-2..=2isize)
            .prop_map(|step| SliceRange { start: 0, length: 0, step: if step == 0 { 1 } else { step } })
            .boxed();
    }
    (0..size, any::<bool>(), 1..4usize, 0..=size)
        .prop_map(move |(start, backwards, step, length)| {
            let room = if backwards { start } else { size - 1 - start };
            let length = length.min(room / step + 1);
            SliceRange { start, length, step: if backwards { -(step as isize) } else { step as isize } }
        })
        .boxed()
}

pub(super) fn slice(draw: &Draw) -> Vec<Entry> {
    let cases = shape().prop_flat_map(|dims| {
        let ranges: Vec<_> = dims.iter().map(|&size| range(size)).collect();
        ranges.prop_map(move |ranges| (dims.clone(), Op::Slice { ranges: ranges.into_iter().collect() }))
    });
    on_one(draw, "slice", cases.boxed())
}

pub(super) fn contiguous(draw: &Draw) -> Vec<Entry> {
    on_one(draw, "contiguous", shape().prop_map(|dims| (dims, Op::Contiguous)).boxed())
}

pub(super) fn pad(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Wide, Values::Special, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|_| true) else { return Vec::new() };
    let cases = (shape_of_rank(0..=4usize), dtype, 0..100u8).prop_flat_map(move |(dims, dtype, number)| {
        let value = match dtype {
            DType::Bool => Scalar::Bool(number % 2 == 1),
            dtype if dtype.is_float() => Scalar::from(f64::from(number) / 8.0),
            _ => Scalar::Int(number.into()),
        };
        let padding: Vec<_> = dims.iter().map(|_| (0..3usize, 0..3usize)).collect();
        padding.prop_flat_map(move |padding| {
            let op = Op::Pad { padding: padding.into_iter().collect(), value };
            case(op, vec![(dims.clone(), dtype, values)])
        })
    });
    vec![("pad".into(), cases.boxed())]
}

pub(super) fn concat(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Wide, Values::Special, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|_| true) else { return Vec::new() };
    let sizes = proptest::collection::vec(0..5usize, 1..5);
    let cases = (shape_and_axis(), dtype, sizes).prop_flat_map(move |((dims, axis), dtype, sizes)| {
        let part = |size: usize| {
            let mut dims = dims.clone();
            dims[axis] = size;
            (dims, dtype, values)
        };
        inputs(sizes.into_iter().map(part).collect()).prop_map(move |inputs| Case { op: Op::Concat { axis }, inputs })
    });
    vec![("concat".into(), cases.boxed())]
}
