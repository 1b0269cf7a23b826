//! What the features of a code mean.

use super::{Evaluated, enough, label, repeat_each, standard_normal_quantile};
use crate::GenerativeModel;
use crate::pictures::{ImageGrid, ImageShape};
use osnova_tensor::{Error, Result, Tensor};

/// What happens to an image as a feature of its code changes: a row for each of `dimensions` (counted from 0), in which it runs
/// evenly over `range` while the others stay what the image's code says. −3 to 3 is nearly all of N(0, 1).
///
/// `image` is one, `[1, …]` as the model takes it; a conditional model is told its class, i64 of shape `[1]`.
///
/// # Errors
/// More or fewer images than one, dimensions that the code does not have or none, a range that is none, fewer than two steps,
/// images that do not fit the model or the shape, a missing class.
pub fn traversal(
    model: &dyn GenerativeModel,
    image: &Tensor,
    dimensions: &[usize],
    range: (f64, f64),
    steps: usize,
    classes: Option<&Tensor>,
    shape: ImageShape,
) -> Result<ImageGrid> {
    if image.dims().first() != Some(&1) {
        return Err(Error::shape("traversal", [*image.shape()], "one image is needed", "Give it as [1, …]"));
    }
    let evaluated = Evaluated::new(model)?;
    let classes = evaluated.classes(classes)?;
    let code = evaluated.model.encode(&evaluated.here(image)?, classes.as_ref())?.to_host()?.to_f64();
    let values = evenly(range, steps)?;
    let class = classes.map(|class| repeat_each(&class, steps)).transpose()?;
    if dimensions.is_empty() {
        return Err(Error::argument("traversal", "there are no dimensions", "Give at least one"));
    }
    let mut grid = ImageGrid::new("Latent traversal", shape).column_labels(values.iter().copied().map(label));
    for &dimension in dimensions {
        let codes = evaluated.codes(&traverse(&code, dimension, &values)?, &[steps, code.len()])?;
        grid = grid.row(format!("code {dimension}"), &evaluated.model.decode(&codes, class.as_ref())?)?;
    }
    Ok(grid)
}

/// `steps` numbers from one end of a range to the other.
fn evenly((low, high): (f64, f64), steps: usize) -> Result<Vec<f64>> {
    enough("traversal", steps, 2)?;
    if !(low < high && (high - low).is_finite()) {
        let problem = format!("the range is {low} to {high}");
        return Err(Error::argument("traversal", problem, "Give two finite numbers, the lower first"));
    }
    let last = (steps - 1) as f64;
    let value = |step: usize| match step {
        // The ends are exact and not only nearly so.
        0 => low,
        _ if step + 1 == steps => high,
        _ => low + (high - low) * step as f64 / last,
    };
    Ok((0..steps).map(value).collect())
}

/// The code with one of its features replaced by each of the values, one after another.
fn traverse(code: &[f64], dimension: usize, values: &[f64]) -> Result<Vec<f64>> {
    let mut codes = Vec::with_capacity(code.len() * values.len());
    for &value in values {
        let start = codes.len();
        codes.extend_from_slice(code);
        let place = codes.get_mut(start + dimension).ok_or_else(|| missing("traversal", dimension, code.len()))?;
        *place = value;
    }
    Ok(codes)
}

/// The samples of a whole plane of codes: the first of `dimensions` grows to the right and the second upwards, as in a chart,
/// both over `steps` quantiles of N(0, 1), (i + ½)/steps, so that each image stands for as much of the prior as any other. The
/// other features are 0.
///
/// A conditional model is told one class for all, i64 of shape `[1]`.
///
/// # Errors
/// Dimensions that the code does not have or that are one and the same, no steps, samples of another size than the shape's, a
/// missing class.
pub fn manifold(
    model: &dyn GenerativeModel,
    dimensions: (usize, usize),
    steps: usize,
    classes: Option<&Tensor>,
    shape: ImageShape,
) -> Result<ImageGrid> {
    enough("manifold", steps, 1)?;
    let evaluated = Evaluated::new(model)?;
    let class = evaluated.classes(classes)?.map(|class| repeat_each(&class, steps)).transpose()?;
    let latent = evaluated.model.latent_features();
    let quantiles = quantiles(steps);
    let mut grid = ImageGrid::new("Latent manifold", shape)
        .note(format!("code {} to the right, code {} upwards", dimensions.0, dimensions.1))
        .column_labels(quantiles.iter().copied().map(label));
    // The top row is the greatest.
    for &upwards in quantiles.iter().rev() {
        let codes = evaluated.codes(&plane_row(latent, dimensions, upwards, &quantiles)?, &[steps, latent])?;
        grid = grid.row(label(upwards), &evaluated.model.decode(&codes, class.as_ref())?)?;
    }
    Ok(grid)
}

/// The middles of `steps` parts of N(0, 1) of equal probability.
fn quantiles(steps: usize) -> Vec<f64> {
    (0..steps).map(|step| standard_normal_quantile((step as f64 + 0.5) / steps as f64)).collect()
}

/// The codes of a row of the plane.
fn plane_row(latent: usize, (right, up): (usize, usize), upwards: f64, values: &[f64]) -> Result<Vec<f64>> {
    if right == up {
        let problem = format!("dimension {right} cannot run both ways");
        return Err(Error::argument("manifold", problem, "Give two different ones"));
    }
    let mut code = vec![0.0; latent];
    *code.get_mut(up).ok_or_else(|| missing("manifold", up, latent))? = upwards;
    match right < latent {
        true => traverse(&code, right, values),
        false => Err(missing("manifold", right, latent)),
    }
}

#[cold]
pub(super) fn missing(operation: &'static str, dimension: usize, latent: usize) -> Box<Error> {
    Error::argument(
        operation,
        format!("there is no dimension {dimension} in a code of {latent}"),
        "Count dimensions from 0, and give a model with enough of them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_plane_is_symmetric_and_evenly_likely() {
        let values = quantiles(5);
        assert_eq!(values[2], 0.0);
        for (low, high) in values.iter().zip(values.iter().rev()) {
            assert!((low + high).abs() < 1e-15);
        }
        for (step, value) in values.iter().enumerate() {
            let probability = 0.5 * libm::erfc(-value / 2f64.sqrt());
            assert!((probability - (step as f64 + 0.5) / 5.0).abs() < 1e-15);
        }
    }

    #[test]
    fn a_row_of_the_plane_runs_over_its_first_dimension() {
        let row = plane_row(3, (2, 0), 0.7, &[-1.0, 1.0]).unwrap();
        assert_eq!(row, [0.7, 0.0, -1.0, 0.7, 0.0, 1.0]);
        for dimensions in [(1, 1), (0, 3), (3, 0)] {
            assert!(plane_row(3, dimensions, 0.0, &[0.0]).is_err(), "{dimensions:?}");
        }
    }

    proptest! {
        #[test]
        fn a_traversal_changes_one_dimension_only(
            code in prop::collection::vec(-3.0f64..3.0, 1..8), dimension in 0usize..9, steps in 2usize..9,
            low in -5.0f64..0.0, width in 0.1f64..9.0,
        ) {
            let range = (low, low + width);
            let values = evenly(range, steps).unwrap();
            prop_assert_eq!((values[0], values[steps - 1]), range);
            let Ok(codes) = traverse(&code, dimension, &values) else {
                prop_assert!(dimension >= code.len());
                return Ok(());
            };
            prop_assert_eq!(codes.len(), steps * code.len());
            for (traversed, value) in codes.chunks(code.len()).zip(&values) {
                for (index, (now, before)) in traversed.iter().zip(&code).enumerate() {
                    prop_assert_eq!(now, if index == dimension { value } else { before });
                }
            }
        }
    }
}
