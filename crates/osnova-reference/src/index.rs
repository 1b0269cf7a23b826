//! By index.

use crate::Number;
use crate::array::{Array, coordinates, place};
use osnova_tensor::{Error, Result, Shape};

/// `y[c] = x[c with index[c] at axis]`, for each place c of the index.
pub(crate) fn gather(input: &Array, index: &Array, axis: usize) -> Result<Vec<Number>> {
    let values = input.values();
    let at = |(mut coordinates, number): (Vec<usize>, Number)| {
        coordinates[axis] = checked("gather", number, axis, input.shape())?;
        Ok(values[place(input.shape(), &coordinates)])
    };
    coordinates(index.shape()).zip(index.values()).map(at).collect()
}

/// `y = base; y[c with index[c] at axis] += source[c]`, for each place c of the source. Inputs: base, index, source.
pub(crate) fn scatter_add(inputs: &[Array], axis: usize) -> Result<Vec<Number>> {
    let [base, index, source] = inputs else { return Ok(Vec::new()) };
    let mut values = base.values();
    for ((mut coordinates, number), addend) in coordinates(index.shape()).zip(index.values()).zip(source.values()) {
        coordinates[axis] = checked("scatter_add", number, axis, base.shape())?;
        let sum = &mut values[place(base.shape(), &coordinates)];
        *sum = sum.plus(addend);
    }
    Ok(values)
}

/// `y[…, i, …] = x[…, index[i], …]`, with i at `axis`.
pub(crate) fn select(input: &Array, index: &Array, axis: usize) -> Result<Vec<Number>> {
    let index = all_checked("index_select", index, axis, input.shape())?;
    let mut dims = input.shape().to_vec();
    dims[axis] = index.len();
    let values = input.values();
    let at = |mut coordinates: Vec<usize>| {
        coordinates[axis] = index[coordinates[axis]];
        values[place(input.shape(), &coordinates)]
    };
    Ok(coordinates(&Shape::new(&dims)?).map(at).collect())
}

/// `y = base; y[…, index[i], …] += source[…, i, …]`, with i at `axis`. Inputs: base, index, source.
pub(crate) fn add(inputs: &[Array], axis: usize) -> Result<Vec<Number>> {
    let [base, index, source] = inputs else { return Ok(Vec::new()) };
    let index = all_checked("index_add", index, axis, base.shape())?;
    let mut values = base.values();
    for (mut coordinates, addend) in coordinates(source.shape()).zip(source.values()) {
        coordinates[axis] = index[coordinates[axis]];
        let sum = &mut values[place(base.shape(), &coordinates)];
        *sum = sum.plus(addend);
    }
    Ok(values)
}

fn all_checked(operation: &'static str, index: &Array, axis: usize, shape: &Shape) -> Result<Vec<usize>> {
    index.values().into_iter().map(|number| checked(operation, number, axis, shape)).collect()
}

/// An index that lies in `0..size` of the axis.
fn checked(operation: &'static str, number: Number, axis: usize, shape: &Shape) -> Result<usize> {
    let (index, size) = (number.int(), shape[axis]);
    usize::try_from(index).ok().filter(|&index| index < size).ok_or_else(|| {
        Error::argument(
            operation,
            format!("index {index} is out of range for axis {axis} of size {size}"),
            "Keep indices from 0 to the size less 1; none counts from the back",
        )
    })
}
