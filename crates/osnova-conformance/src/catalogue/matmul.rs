//! Contraction.

use super::{Draw, Entry};
use crate::draw::{broadcast_to, case, filled, shape_of_rank, size};
use crate::values::Values;
use osnova_tensor::{DType, Op};
use proptest::prelude::*;

pub(super) fn matmul(draw: &Draw) -> Vec<Entry> {
    let values = draw.values(Values::Between(-2.0, 2.0), Values::NotFinite, Values::OffGrid(0.1));
    let Some(dtype) = draw.dtype(|dtype| dtype != DType::Bool) else { return Vec::new() };
    let small = (shape_of_rank(0..=2usize), [size().boxed(), size().boxed(), size().boxed()]);
    let filled = (shape_of_rank(0..=2usize), [filled().boxed(), filled().boxed(), filled().boxed()]);
    // Sizes beyond one register or cache block of a fast kernel, and odd ones.
    let large = (Just(Vec::new()), [(1..40usize).boxed(), (1..40usize).boxed(), (1..40usize).boxed()]);
    let sizes = if draw.gradient() { filled.boxed() } else { prop_oneof![2 => small, 4 => filled, 1 => large].boxed() };
    let cases = (sizes, dtype)
        .prop_flat_map(|((batch, sizes), dtype)| {
            (broadcast_to(batch.clone()), broadcast_to(batch), Just(sizes), Just(dtype))
        })
        .prop_flat_map(move |(mut left, mut right, [rows, inner, columns], dtype)| {
            left.extend([rows, inner]);
            right.extend([inner, columns]);
            let values = if dtype.is_integer() { Values::Wide } else { values };
            case(Op::Matmul, vec![(left, dtype, values), (right, dtype, values)])
        });
    vec![("matmul".into(), cases.boxed())]
}
