//! New samples.

use super::{Evaluated, repeat_each};
use crate::GenerativeModel;
use crate::pictures::{ImageGrid, ImageShape};
use osnova_tensor::{Error, Generator, Result, Tensor};

/// New samples in a square. The same generator gives the same ones.
///
/// A conditional model is told a class for each, i64 of shape `[count]`.
///
/// # Errors
/// No samples, samples of another size than the shape's, classes that do not fit the model.
pub fn samples(
    model: &dyn GenerativeModel,
    count: usize,
    classes: Option<&Tensor>,
    generator: &Generator,
    shape: ImageShape,
) -> Result<ImageGrid> {
    let evaluated = Evaluated::new(model)?;
    let classes = evaluated.classes(classes)?;
    let images = evaluated.model.sample(count, classes.as_ref(), generator)?;
    ImageGrid::new("Samples", shape).rows_of(count.isqrt() + usize::from(count.isqrt().pow(2) < count), &images)
}

/// New samples of a conditional model, a row a class, in which the codes are the same in each row: what the columns have in
/// common is the code's, what the rows have is the class's.
///
/// Rows are called by `class_names`, or by the number of the class where there are fewer names.
///
/// # Errors
/// A model that takes no classes, no samples, samples of another size than the shape's.
pub fn class_samples(
    model: &dyn GenerativeModel,
    class_names: &[impl AsRef<str>],
    per_class: usize,
    generator: &Generator,
    shape: ImageShape,
) -> Result<ImageGrid> {
    let Some(count) = model.class_count() else {
        return Err(Error::argument(
            "class_samples",
            "the model takes no classes",
            "Give a conditional one, or use `samples`",
        ));
    };
    let evaluated = Evaluated::new(model)?;
    let codes = evaluated.model.sample_codes(per_class, generator)?;
    let mut grid = ImageGrid::new("Samples by class", shape);
    for class in 0..count {
        let name = class_names.get(class).map_or_else(|| class.to_string(), |name| name.as_ref().to_owned());
        let class = Tensor::from_vec(vec![class as i64], [1], evaluated.device)?;
        let images = evaluated.model.decode(&codes, Some(&repeat_each(&class, per_class)?))?;
        grid = grid.row(name, &images)?;
    }
    Ok(grid)
}
