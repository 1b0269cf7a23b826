//! The way from one code to another.

use super::{Evaluated, enough, from_f64, label, repeat_each};
use crate::GenerativeModel;
use crate::pictures::{ImageGrid, ImageShape};
use osnova_tensor::{Error, Result, Tensor};

/// Below this sine of the angle between two codes the plane they span is rounding error.
const PARALLEL: f64 = 1e-6;

/// How to go from one code to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// In a straight line: (1 − t)·a + t·b.
    #[default]
    Linear,
    /// Along an arc: [sin((1 − t)Ω)·a + sin(tΩ)·b] / sin Ω, with Ω the angle between the codes (Shoemake 1985). Codes from
    /// N(0, I) of many features lie near a sphere; the straight line leaves it, the arc does not (White 2016). Where the codes
    /// are parallel or opposite, no arc is better than others, and the way is straight.
    Spherical,
}

/// Codes in even steps from each of `from` to its partner in `to`, both `[pairs, latent_features]`: `[pairs, steps,
/// latent_features]`. The first and the last of each are the codes given, bit by bit.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::pictures::{Interpolation, interpolate};
/// use osnova_tensor::{Device, Tensor};
///
/// let (from, to) = (Tensor::new([[1.0, 0.0]], Device::cpu())?, Tensor::new([[0.0, 1.0]], Device::cpu())?);
/// let straight = interpolate(&from, &to, 3, Interpolation::Linear)?;
/// assert_eq!(straight.to_vec::<f64>()?, [1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
/// let arc = interpolate(&from, &to, 3, Interpolation::Spherical)?.to_vec::<f64>()?;
/// assert!((arc[2] - 0.5f64.sqrt()).abs() < 1e-15 && (arc[3] - 0.5f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// They are worked out on the host and are constants: no gradient goes through them.
///
/// # Errors
/// Shapes that differ or are not `[pairs, latent_features]`, fewer than two steps.
pub fn interpolate(from: &Tensor, to: &Tensor, steps: usize, kind: Interpolation) -> Result<Tensor> {
    enough("interpolate", steps, 2)?;
    let &[pairs, latent] = from.dims() else { return Err(unpaired(from, to)) };
    if from.shape() != to.shape() || latent == 0 {
        return Err(unpaired(from, to));
    }
    let host = |codes: &Tensor| -> Result<Vec<f64>> { Ok(codes.detach().to_host()?.to_f64()) };
    let (starts, ends) = (host(from)?, host(to)?);
    let mut values = Vec::with_capacity(pairs * steps * latent);
    for (start, end) in starts.chunks_exact(latent).zip(ends.chunks_exact(latent)) {
        let angle = match kind {
            Interpolation::Linear => None,
            Interpolation::Spherical => angle(start, end).filter(|angle| angle.sin() > PARALLEL),
        };
        for step in 0..steps {
            let part = step as f64 / (steps - 1) as f64;
            let (first, second) = match angle {
                // The ends are exact and not only nearly so.
                _ if step == 0 => (1.0, 0.0),
                _ if step + 1 == steps => (0.0, 1.0),
                None => (1.0 - part, part),
                Some(angle) => (((1.0 - part) * angle).sin() / angle.sin(), (part * angle).sin() / angle.sin()),
            };
            values.extend(start.iter().zip(end).map(|(start, end)| mixed(first, *start, second, *end)));
        }
    }
    from_f64(&values, &[pairs, steps, latent], from.dtype(), from.detach().device())
}

/// first·start + second·end, in which 0 of something that is not finite is nothing.
fn mixed(first: f64, start: f64, second: f64, end: f64) -> f64 {
    match (first, second) {
        (_, 0.0) => start,
        (0.0, _) => end,
        _ => first * start + second * end,
    }
}

/// The angle between two vectors, exact also where they are nearly parallel (Kahan 2006): 2·atan2(‖u − v‖, ‖u + v‖) of the
/// unit vectors. `None` where one of them is 0.
fn angle(left: &[f64], right: &[f64]) -> Option<f64> {
    let norm = |vector: &[f64]| vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let (left_norm, right_norm) = (norm(left), norm(right));
    if !(left_norm > 0.0 && right_norm > 0.0) {
        return None;
    }
    let distance = |sign: f64| {
        let parts = left.iter().zip(right).map(|(left, right)| left / left_norm + sign * right / right_norm);
        parts.map(|part| part * part).sum::<f64>().sqrt()
    };
    Some(2.0 * distance(-1.0).atan2(distance(1.0)))
}

#[cold]
fn unpaired(from: &Tensor, to: &Tensor) -> Box<Error> {
    Error::shape(
        "interpolate",
        [*from.shape(), *to.shape()],
        "each code needs a partner of its width",
        "Give both as [pairs, latent_features]",
    )
}

/// The way from each image of `from` to its partner in `to`, `[pairs, …]` as the model takes them: a row a pair, decoded in even
/// steps between their codes.
///
/// A conditional model is told one class a pair, i64 of shape `[pairs]`.
///
/// # Errors
/// Images that are not paired or do not fit the model or the shape, fewer than two steps, missing classes.
pub fn interpolation(
    model: &dyn GenerativeModel,
    from: &Tensor,
    to: &Tensor,
    steps: usize,
    kind: Interpolation,
    classes: Option<&Tensor>,
    shape: ImageShape,
) -> Result<ImageGrid> {
    let evaluated = Evaluated::new(model)?;
    let classes = evaluated.classes(classes)?;
    let encode = |images: &Tensor| evaluated.model.encode(&evaluated.here(images)?, classes.as_ref());
    let codes = interpolate(&encode(from)?, &encode(to)?, steps, kind)?;
    let mut grid = ImageGrid::new(
        match kind {
            Interpolation::Linear => "Linear interpolation",
            Interpolation::Spherical => "Spherical interpolation",
        },
        shape,
    )
    .column_labels((0..steps).map(|step| label(step as f64 / (steps - 1) as f64)));
    for pair in 0..codes.dims().first().copied().unwrap_or(0) {
        let class = classes.as_ref().map(|classes| repeat_each(&classes.narrow(0, pair, 1)?, steps)).transpose()?;
        let images = evaluated.model.decode(&codes.select(0, pair as isize)?, class.as_ref())?;
        grid = grid.row("", &images)?;
    }
    Ok(grid)
}
