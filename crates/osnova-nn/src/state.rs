//! The values of a module by name.

use osnova_tensor::{DType, Error, Meta, Shape, Tensor};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Tensors by name, in order: the values of a module's parameters and buffers, named as in PyTorch.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    entries: Vec<(String, Tensor)>,
    places: HashMap<String, usize>,
}

impl StateDict {
    /// No entries yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry at the end, or replaces the one of this name and gives it back.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        let name = name.into();
        if let Some(&place) = self.places.get(&name) {
            return Some(std::mem::replace(&mut self.entries[place].1, tensor));
        }
        self.places.insert(name.clone(), self.entries.len());
        self.entries.push((name, tensor));
        None
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        Some(&self.entries[*self.places.get(name)?].1)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and tensors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The names in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

impl<N: Into<String>> FromIterator<(N, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(entries: I) -> Self {
        let mut state = Self::new();
        for (name, tensor) in entries {
            state.insert(name, tensor);
        }
        state
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// All that keeps a state dict from fitting a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct StateDictMismatch {
    /// Names that the module has and the state dict lacks.
    pub missing: Vec<String>,
    /// Names that the state dict has and the module lacks.
    pub unexpected: Vec<String>,
    /// Names with the module's and the state dict's shape.
    pub shapes: Vec<(String, Shape, Shape)>,
    /// Names with the module's and the state dict's dtype.
    pub dtypes: Vec<(String, DType, DType)>,
}

impl StateDictMismatch {
    /// What differs between what is expected and what is given.
    pub fn between(expected: &[(String, Meta)], given: &StateDict) -> Self {
        let mut mismatch = Self::default();
        for (name, meta) in expected {
            let Some(tensor) = given.get(name) else {
                mismatch.missing.push(name.clone());
                continue;
            };
            if meta.shape != *tensor.shape() {
                mismatch.shapes.push((name.clone(), meta.shape, *tensor.shape()));
            }
            if meta.dtype != tensor.dtype() {
                mismatch.dtypes.push((name.clone(), meta.dtype, tensor.dtype()));
            }
        }
        let known: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let unexpected = given.names().filter(|name| !known.contains(name));
        mismatch.unexpected.extend(unexpected.map(str::to_owned));
        mismatch
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shapes.is_empty() && self.dtypes.is_empty()
    }

    /// Whether this entry of the module gets no value.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        self.missing.iter().any(|other| other == name)
            || self.shapes.iter().any(|(other, ..)| other == name)
            || self.dtypes.iter().any(|(other, ..)| other == name)
    }
}

impl fmt::Display for StateDictMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the state dict does not fit the module")?;
        let mut separator = ": ";
        let mut part = |f: &mut fmt::Formatter<'_>, text: String| {
            let result = write!(f, "{separator}{text}");
            separator = "; ";
            result
        };
        if !self.missing.is_empty() {
            part(f, format!("missing {}", self.missing.join(", ")))?;
        }
        if !self.unexpected.is_empty() {
            part(f, format!("unexpected {}", self.unexpected.join(", ")))?;
        }
        for (name, expected, given) in &self.shapes {
            part(f, format!("{name} has shape {given} instead of {expected}"))?;
        }
        for (name, expected, given) in &self.dtypes {
            part(f, format!("{name} has dtype {given} instead of {expected}"))?;
        }
        Ok(())
    }
}

impl From<StateDictMismatch> for Box<Error> {
    fn from(mismatch: StateDictMismatch) -> Self {
        Self::new(Error::External { operation: "load_state_dict", source: Box::new(mismatch) })
    }
}
