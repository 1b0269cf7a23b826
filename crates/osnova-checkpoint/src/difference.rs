//! How the tensors of a checkpoint differ from those of a model.

use osnova_tensor::{DType, Shape};
use std::collections::BTreeMap;
use std::fmt;

/// Everything in which a checkpoint's tensors differ from the model's: all of it, so that one look shows the cause.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// Names that the model has and the checkpoint lacks.
    pub missing: Vec<String>,
    /// Names that the checkpoint has and the model lacks.
    pub unexpected: Vec<String>,
    /// Tensors of another shape: the name, the model's shape, the checkpoint's.
    pub shapes: Vec<(String, Shape, Shape)>,
    /// Tensors of another dtype: the name, the model's dtype, the checkpoint's.
    pub dtypes: Vec<(String, DType, DType)>,
}

impl Differences {
    /// Compares names, shapes and dtypes.
    pub fn between<'a>(
        model: impl IntoIterator<Item = (&'a str, Shape, DType)>,
        checkpoint: impl IntoIterator<Item = (&'a str, Shape, DType)>,
    ) -> Self {
        let mut found: BTreeMap<&str, (Shape, DType)> =
            checkpoint.into_iter().map(|(name, shape, dtype)| (name, (shape, dtype))).collect();
        let mut differences = Self::default();
        for (name, shape, dtype) in model {
            match found.remove(name) {
                None => differences.missing.push(name.to_owned()),
                Some((other_shape, other_dtype)) => {
                    if shape != other_shape {
                        differences.shapes.push((name.to_owned(), shape, other_shape));
                    }
                    if dtype != other_dtype {
                        differences.dtypes.push((name.to_owned(), dtype, other_dtype));
                    }
                }
            }
        }
        differences.unexpected = found.into_keys().map(str::to_owned).collect();
        differences
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shapes.is_empty() && self.dtypes.is_empty()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.missing {
            writeln!(f, "  missing in the checkpoint: {name}")?;
        }
        for name in &self.unexpected {
            writeln!(f, "  unexpected in the checkpoint: {name}")?;
        }
        for (name, model, checkpoint) in &self.shapes {
            writeln!(f, "  {name}: the model has shape {model}, the checkpoint {checkpoint}")?;
        }
        for (name, model, checkpoint) in &self.dtypes {
            writeln!(f, "  {name}: the model has dtype {model}, the checkpoint {checkpoint}")?;
        }
        f.write_str("Build the model with the same layers and sizes as the one that was saved")
    }
}
