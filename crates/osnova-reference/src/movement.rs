//! Movement: elements are copied, not changed.

use crate::Number;
use crate::array::{Array, coordinates, place};
use osnova_tensor::{Meta, Scalar};

pub(crate) fn pad(input: &Array, output: &Meta, padding: &[(usize, usize)], value: Scalar) -> Vec<Number> {
    let mut values = vec![Number::constant(value, output.dtype); output.shape.count()];
    for (coordinates, number) in coordinates(input.shape()).zip(input.values()) {
        let moved: Vec<usize> = coordinates.iter().zip(padding).map(|(at, (before, _))| at + before).collect();
        values[place(&output.shape, &moved)] = number;
    }
    values
}

/// For each position before `axis`, the block of each input in turn.
pub(crate) fn concat(inputs: &[Array], axis: usize) -> Vec<Number> {
    let outer: usize = inputs[0].shape()[..axis].iter().product();
    let blocks: Vec<(Vec<Number>, usize)> =
        inputs.iter().map(|input| (input.values(), input.shape()[axis..].iter().product())).collect();
    let block = |at: usize| blocks.iter().flat_map(move |(values, length)| &values[at * length..(at + 1) * length]);
    (0..outer).flat_map(block).copied().collect()
}
