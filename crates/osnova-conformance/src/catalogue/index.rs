//! By index.

use super::{Draw, Entry};
use crate::draw::{case, shape_and_axis};
use crate::values::Values;
use osnova_tensor::{DType, Op};
use proptest::prelude::*;

/// The dtypes for indexing, of elements and of indices; none if the device has no indices.
fn dtypes(draw: &Draw, numbers: bool) -> Option<impl Strategy<Value = (DType, DType)> + use<>> {
    Some((draw.dtype(|dtype| !numbers || dtype != DType::Bool)?, draw.index()?))
}

/// A shape, an axis of it, and an index shape that is no longer on the other axes.
fn shapes() -> BoxedStrategy<(Vec<usize>, usize, Vec<usize>)> {
    (shape_and_axis(), any::<u64>(), 0..7usize)
        .prop_map(|((dims, axis), bits, length)| {
            let shorter = |(at, &dim): (usize, &usize)| dim - (bits >> (8 * at)) as usize % 3 % (dim + 1);
            let mut index: Vec<usize> = dims.iter().enumerate().map(shorter).collect();
            // Nothing can be picked from an empty axis.
            index[axis] = if dims[axis] == 0 { 0 } else { length };
            (dims, axis, index)
        })
        .boxed()
}

pub(super) fn gather(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Wide, Values::Special, Values::OffGrid(0.1));
    let Some(dtypes) = dtypes(draw, false) else { return Vec::new() };
    let cases = (shapes(), dtypes).prop_flat_map(move |((dims, axis, index), (dtype, held))| {
        let size = dims[axis];
        case(Op::Gather { axis }, vec![(dims, dtype, values), (index, held, Values::Index(size))])
    });
    vec![("gather".into(), cases.boxed())]
}

pub(super) fn scatter_add(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Between(-4.0, 4.0), Values::NotFinite, Values::OffGrid(0.1));
    let Some(dtypes) = dtypes(draw, true) else { return Vec::new() };
    let cases = (shapes(), dtypes).prop_flat_map(move |((dims, axis, index), (dtype, held))| {
        let size = dims[axis];
        let parts = vec![(dims, dtype, values), (index.clone(), held, Values::Index(size)), (index, dtype, values)];
        case(Op::ScatterAdd { axis }, parts)
    });
    vec![("scatter_add".into(), cases.boxed())]
}

/// A shape, an axis of it, and how many slices to pick.
fn slices() -> BoxedStrategy<(Vec<usize>, usize, usize)> {
    (shape_and_axis(), 0..7usize)
        .prop_map(|((dims, axis), length)| {
            let length = if dims[axis] == 0 { 0 } else { length };
            (dims, axis, length)
        })
        .boxed()
}

pub(super) fn select(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Wide, Values::Special, Values::OffGrid(0.1));
    let Some(dtypes) = dtypes(draw, false) else { return Vec::new() };
    let cases = (slices(), dtypes).prop_flat_map(move |((dims, axis, length), (dtype, held))| {
        let size = dims[axis];
        case(Op::IndexSelect { axis }, vec![(dims, dtype, values), (vec![length], held, Values::Index(size))])
    });
    vec![("index_select".into(), cases.boxed())]
}

pub(super) fn add(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Between(-4.0, 4.0), Values::NotFinite, Values::OffGrid(0.1));
    let Some(dtypes) = dtypes(draw, true) else { return Vec::new() };
    let cases = (slices(), dtypes).prop_flat_map(move |((dims, axis, length), (dtype, held))| {
        let size = dims[axis];
        let mut source = dims.clone();
        source[axis] = length;
        let parts = vec![(dims, dtype, values), (vec![length], held, Values::Index(size)), (source, dtype, values)];
        case(Op::IndexAdd { axis }, parts)
    });
    vec![("index_add".into(), cases.boxed())]
}
