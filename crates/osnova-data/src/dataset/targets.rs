//! Targets in memory, and the checks that arrays fit each other.

use super::{TargetKind, check_buffer, check_index, wrong_target};
use crate::{DataError, Result, memory, text};
use std::sync::Arc;

/// The targets of a data set in memory.
#[derive(Clone, Debug)]
pub(super) enum Targets {
    None,
    Classes { indices: Arc<Vec<i64>>, count: usize },
    Values { values: Arc<Vec<f32>>, width: usize },
}

impl Targets {
    pub(super) fn classes(operation: &'static str, indices: Vec<i64>, count: usize) -> Result<Self> {
        for (sample, &class) in indices.iter().enumerate() {
            if usize::try_from(class).map_or(true, |class| class >= count) {
                return Err(DataError::argument(
                    operation,
                    format!("sample {sample} has class {class}, but there are {count} classes"),
                    "Classes are indices from 0 to the number of classes less one",
                ));
            }
        }
        Ok(Self::Classes { indices: Arc::new(indices), count })
    }

    /// `width` numbers a sample, which are whole samples: see [`samples`].
    pub(super) fn of_values(values: Vec<f32>, width: usize) -> Self {
        Self::Values { values: Arc::new(values), width }
    }

    pub(super) fn kind(&self) -> TargetKind {
        match self {
            Self::None => TargetKind::None,
            Self::Classes { count, .. } => TargetKind::Class { count: *count },
            Self::Values { width, .. } => TargetKind::Values { width: *width },
        }
    }

    pub(super) fn class(&self, index: usize) -> Result<i64> {
        match self {
            Self::Classes { indices, .. } => {
                check_index("read_class", index, indices.len())?;
                Ok(indices[index])
            }
            _ => Err(wrong_target("read_class", self.kind(), "classes")),
        }
    }

    pub(super) fn values(&self, index: usize, output: &mut [f32]) -> Result<()> {
        match self {
            Self::Values { values, width } => {
                check_index("read_values", index, values.len() / width)?;
                check_buffer("read_values", output.len(), *width)?;
                output.copy_from_slice(&values[index * width..][..*width]);
                Ok(())
            }
            _ => Err(wrong_target("read_values", self.kind(), "values")),
        }
    }
}

/// The product of the sizes, if it fits in a word.
fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

/// The number of samples that `total` numbers make at `shape` each; fails if that is not a whole number.
pub(super) fn samples(operation: &'static str, total: usize, shape: &[usize]) -> Result<usize> {
    let size = element_count(shape).unwrap_or(0);
    if size == 0 || !total.is_multiple_of(size) {
        return Err(DataError::argument(
            operation,
            format!("{total} numbers do not make whole samples of shape {}", text::shape(shape)),
            "Give the shape of one sample, without the number of samples, and no size of zero",
        ));
    }
    Ok(total / size)
}

pub(super) fn same_count(operation: &'static str, features: usize, targets: usize) -> Result<()> {
    if features == targets {
        return Ok(());
    }
    Err(DataError::argument(
        operation,
        format!("features for {features} samples, but targets for {targets}"),
        "Give one target a sample",
    ))
}

pub(super) fn reshaped(operation: &'static str, from: &[usize], to: &[usize]) -> Result<Arc<[usize]>> {
    if element_count(to).is_some_and(|count| element_count(from) == Some(count)) {
        return Ok(to.into());
    }
    Err(DataError::argument(
        operation,
        format!("samples of shape {} cannot be seen as {}", text::shape(from), text::shape(to)),
        "The product of the sizes must stay the same",
    ))
}

/// One name each for `wanted` features or classes.
pub(super) fn one_name_each<S: Into<String>>(
    operation: &'static str,
    given: impl IntoIterator<Item = S>,
    wanted: usize,
    what: &str,
) -> Result<Arc<Vec<String>>> {
    let mut names = Vec::new();
    // One more than wanted tells that there are too many, however many follow.
    for name in given.into_iter().take(wanted.saturating_add(1)) {
        memory::reserve(operation, "the names", &mut names, 1)?;
        names.push(name.into());
    }
    if names.len() == wanted {
        return Ok(Arc::new(names));
    }
    let many = if names.len() > wanted { "or more " } else { "" };
    let problem = format!("{} {many}names for {wanted} {what}", names.len());
    Err(DataError::argument(operation, problem, "Give one name each"))
}
