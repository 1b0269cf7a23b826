//! What comes back of samples.

use super::Evaluated;
use crate::GenerativeModel;
use crate::pictures::{ImageGrid, ImageShape};
use osnova_tensor::{Error, Generator, Result, Tensor};

/// More images than these go on in further rows.
const COLUMNS: usize = 10;

/// Images, `[images, …]` as the model takes them, above what the model makes of them by way of their codes.
///
/// # Errors
/// No images, images that do not fit the model or the shape, classes (i64, `[images]`) missing from a conditional model.
pub fn reconstructions(
    model: &dyn GenerativeModel,
    images: &Tensor,
    classes: Option<&Tensor>,
    shape: ImageShape,
) -> Result<ImageGrid> {
    let evaluated = Evaluated::new(model)?;
    let images = evaluated.here(images)?;
    let again = evaluated.model.reconstruct(&images, evaluated.classes(classes)?.as_ref())?;
    stacked("Reconstructions", shape, &[("original", &images), ("reconstruction", &again)])
}

/// Clean images, `[images, …]` as the model takes them, above what its noise makes of them and what the model makes of that.
/// The same generator gives the same noise.
///
/// # Errors
/// A model that [corrupts](GenerativeModel::corrupt) nothing, no images, images that do not fit the model or the shape.
pub fn restorations(
    model: &dyn GenerativeModel,
    clean: &Tensor,
    generator: &Generator,
    shape: ImageShape,
) -> Result<ImageGrid> {
    let evaluated = Evaluated::new(model)?;
    let clean = evaluated.here(clean)?;
    let Some(corrupted) = evaluated.model.corrupt(&clean, generator)? else {
        return Err(Error::argument(
            "restorations",
            "the model is given its samples whole",
            "Give a denoising one, or use `reconstructions`",
        ));
    };
    let restored = evaluated.model.reconstruct(&corrupted, None)?;
    stacked("Restorations", shape, &[("clean", &clean), ("corrupted", &corrupted), ("restored", &restored)])
}

/// Rows of images that belong together column by column, group after group.
fn stacked(title: &str, shape: ImageShape, rows: &[(&str, &Tensor)]) -> Result<ImageGrid> {
    let mut grid = ImageGrid::new(title, shape);
    let count = rows.iter().map(|(_, images)| images.dims().first().copied().unwrap_or(0)).min().unwrap_or(0);
    // Without images there is still one group, in which the grid says what is wrong.
    for start in (0..count.max(1)).step_by(COLUMNS) {
        for (label, images) in rows {
            grid = grid.row(*label, &images.narrow(0, start, COLUMNS.min(count - start))?)?;
        }
    }
    Ok(grid)
}
