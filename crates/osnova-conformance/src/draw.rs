//! What cases are drawn from: dtypes, shapes, layouts, axes.

use crate::case::{Arrangement, Case, Input};
use crate::values::Values;
use osnova_tensor::{DType, Op, Shape};
use proptest::prelude::*;
use proptest::sample::select;

/// The most elements an input has: enough for every boundary of rank, size and layout, few enough to stay fast.
const LARGEST: usize = 200;

/// Sizes from 0 to 7; 0 and 1 on purpose, 0 seldom enough that most tensors hold something.
pub(crate) fn size() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![1 => Just(0usize), 4 => Just(1), 14 => 2..8usize]
}

/// Sizes from 1 to 7.
pub(crate) fn filled() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![1 => Just(1usize), 4 => 2..8usize]
}

/// A shape of the given rank.
pub(crate) fn shape_of_rank(rank: impl Strategy<Value = usize> + 'static) -> BoxedStrategy<Vec<usize>> {
    rank.prop_flat_map(|rank| proptest::collection::vec(size(), rank)).prop_map(capped).boxed()
}

/// A shape of rank 0 to 5.
pub(crate) fn shape() -> BoxedStrategy<Vec<usize>> {
    shape_of_rank(0..=5usize)
}

/// A shape with at least one axis, and one of them.
pub(crate) fn shape_and_axis() -> BoxedStrategy<(Vec<usize>, usize)> {
    shape_of_rank(1..=5usize).prop_flat_map(|dims| (0..dims.len()).prop_map(move |axis| (dims.clone(), axis))).boxed()
}

/// A shape and some of its axes, ascending: none, some, all.
pub(crate) fn shape_and_axes() -> BoxedStrategy<(Vec<usize>, Vec<usize>)> {
    (shape(), any::<u8>())
        .prop_map(|(dims, bits)| {
            let axes = (0..dims.len()).filter(|axis| bits >> axis & 1 == 1).collect();
            (dims, axes)
        })
        .boxed()
}

/// The shape with its later sizes cut so that it holds few elements.
pub(crate) fn capped(mut dims: Vec<usize>) -> Vec<usize> {
    let mut count = 1;
    for dim in &mut dims {
        *dim = (*dim).min(LARGEST / count);
        count *= (*dim).max(1);
    }
    dims
}

/// One of the dtypes, of which there is at least one.
pub(crate) fn dtype(dtypes: &[DType]) -> BoxedStrategy<DType> {
    select(dtypes.to_vec()).boxed()
}

/// An input of this shape in any layout.
pub(crate) fn input(dims: &[usize], dtype: DType, values: Values) -> BoxedStrategy<Input> {
    let shape = fits(dims);
    let arrangement = prop_oneof![
        4 => Just(Arrangement::Contiguous),
        2 => Just(Arrangement::Offset),
        4 => Just(Arrangement::Transposed),
        3 => Just(Arrangement::Sliced),
        2 => Just(Arrangement::Reversed),
        3 => (1..=31u8).prop_map(Arrangement::Expanded),
    ];
    let values = if values == Values::Wide && dtype.is_integer() {
        prop_oneof![Just(Values::Wide), Just(Values::Between(-5.0, 5.0)), Just(Values::Special)].boxed()
    } else {
        Just(values).boxed()
    };
    (arrangement, values, any::<u32>())
        .prop_map(move |(arrangement, values, seed)| Input { shape, dtype, arrangement, values, seed: seed.into() })
        .boxed()
}

/// Several inputs, each of its own shape, dtype and values.
pub(crate) fn inputs(parts: Vec<(Vec<usize>, DType, Values)>) -> BoxedStrategy<Vec<Input>> {
    parts.into_iter().map(|(dims, dtype, values)| input(&dims, dtype, values)).collect::<Vec<_>>().boxed()
}

/// A case of one operation on inputs of these shapes, dtypes and values.
pub(crate) fn case(op: Op, parts: Vec<(Vec<usize>, DType, Values)>) -> BoxedStrategy<Case> {
    inputs(parts).prop_map(move |inputs| Case { op: op.clone(), inputs }).boxed()
}

/// A shape that broadcasts to `dims`: some sizes 1, some leading axes missing.
pub(crate) fn broadcast_to(dims: Vec<usize>) -> BoxedStrategy<Vec<usize>> {
    let plain = Just(dims.clone());
    let broadcast = (any::<u8>(), 0..=dims.len()).prop_map(move |(ones, missing)| {
        let keep = |(axis, &dim): (usize, &usize)| if ones >> axis & 1 == 1 { 1 } else { dim };
        dims.iter().enumerate().map(keep).skip(missing).collect()
    });
    prop_oneof![2 => plain, 3 => broadcast].boxed()
}

/// `count` shapes that broadcast to one common shape.
pub(crate) fn broadcasting(count: usize) -> BoxedStrategy<Vec<Vec<usize>>> {
    shape().prop_flat_map(move |dims| (0..count).map(|_| broadcast_to(dims.clone())).collect::<Vec<_>>()).boxed()
}

/// A shape that the kit has kept small.
pub(crate) fn fits(dims: &[usize]) -> Shape {
    // Every size is small, so that this cannot fail; a scalar would show up as a refused case.
    Shape::new(dims).unwrap_or_default()
}
