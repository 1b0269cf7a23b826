//! Orthogonal matrices.

use super::{room, standard_normal};
use osnova_tensor::{Error, Generator, Result, Shape};

/// Gram and Schmidt's method, twice for accuracy, on normally distributed rows: evenly distributed over all rotations.
pub(super) fn orthogonal(shape: &Shape, gain: f64, generator: &Generator) -> Result<Vec<f64>> {
    let &[rows, ref rest @ ..] = shape.dims() else {
        return Err(Error::shape(
            "initialise",
            [*shape],
            "an orthogonal matrix has two axes",
            "Use another initialiser",
        ));
    };
    if rest.is_empty() {
        return Err(Error::shape(
            "initialise",
            [*shape],
            "an orthogonal matrix has two axes",
            "Use another initialiser",
        ));
    }
    if shape.count() == 0 {
        return Ok(Vec::new());
    }
    let columns: usize = rest.iter().product();
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut values = room(shape.count())?;
    // The draws become the basis in place.
    let mut basis = standard_normal(count * length, generator)?;
    for index in 0..count {
        let (known, rest) = basis.split_at_mut(index * length);
        let vector = &mut rest[..length];
        for _ in 0..2 {
            for other in known.chunks_exact(length) {
                let along: f64 = vector.iter().zip(other).map(|(left, right)| left * right).sum();
                vector.iter_mut().zip(other).for_each(|(value, part)| *value -= along * part);
            }
        }
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|value| *value /= norm);
    }
    let at = |row: usize, column: usize| if rows <= columns { row * length + column } else { column * length + row };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    values.extend(places.map(|(row, column)| gain * basis[at(row, column)]));
    Ok(values)
}
