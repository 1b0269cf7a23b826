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

    /// The entries of the module that get no value.
    pub(crate) fn without_value(&self) -> HashSet<&str> {
        let shapes = self.shapes.iter().map(|(name, ..)| name);
        let dtypes = self.dtypes.iter().map(|(name, ..)| name);
        self.missing.iter().chain(shapes).chain(dtypes).map(String::as_str).collect()
    }
}

/// So many differences of a kind are shown; a file can hold millions.
const SHOWN: usize = 16;

/// A few of the differences of each kind. The fields have all of them.
impl fmt::Display for StateDictMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[String]| names.iter().map(|name| Name(name).to_string()).collect();
        let shapes = self.shapes.iter().take(SHOWN);
        let dtypes = self.dtypes.iter().take(SHOWN);
        let parts: [(&str, Vec<String>, usize); 4] = [
            ("missing ", names(&self.missing[..self.missing.len().min(SHOWN)]), self.missing.len()),
            ("unexpected ", names(&self.unexpected[..self.unexpected.len().min(SHOWN)]), self.unexpected.len()),
            (
                "",
                shapes.map(|(name, own, given)| format!("{} has shape {given} instead of {own}", Name(name))).collect(),
                self.shapes.len(),
            ),
            (
                "",
                dtypes.map(|(name, own, given)| format!("{} has dtype {given} instead of {own}", Name(name))).collect(),
                self.dtypes.len(),
            ),
        ];
        f.write_str("the state dict does not fit the module")?;
        for (number, (what, shown, count)) in parts.iter().filter(|(.., count)| *count > 0).enumerate() {
            write!(f, "{}{what}{}", if number == 0 { ": " } else { "; " }, shown.join(", "))?;
            if *count > SHOWN {
                write!(f, " and {} more", count - SHOWN)?;
            }
        }
        Ok(())
    }
}

/// A name that may come from a file: on one line, and not a line long.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 64;
        for (count, character) in self.0.chars().enumerate() {
            if count == LONGEST {
                return f.write_str("…");
            }
            match character {
                // What turns the direction of writing can forge a line as well as an escape sequence can.
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                _ => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

impl From<StateDictMismatch> for Box<Error> {
    fn from(mismatch: StateDictMismatch) -> Self {
        Self::new(Error::External { operation: "load_state_dict", source: Box::new(mismatch) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_fits_a_screen_and_holds_no_control_characters() {
        let short = StateDictMismatch {
            missing: vec!["a".to_owned(), "b".to_owned()],
            shapes: vec![("c".to_owned(), Shape::new(&[2]).unwrap(), Shape::new(&[3]).unwrap())],
            ..StateDictMismatch::default()
        };
        let text = short.to_string();
        assert_eq!(text, "the state dict does not fit the module: missing a, b; c has shape [3] instead of [2]");
        let forged = "w\u{1b}[2J\r\n\u{202e}".to_owned();
        let shape = Shape::new(&[1; 8]).unwrap();
        let hostile = StateDictMismatch {
            missing: vec![forged.clone(); 1000],
            unexpected: vec!["x".repeat(1_000_000); 20],
            shapes: vec![(forged.clone(), shape, shape); 1000],
            dtypes: vec![(forged, DType::F32, DType::BF16); 1000],
        };
        let text = hostile.to_string();
        assert!(text.chars().count() < 5000, "{}", text.len());
        assert!(!text.contains(|character: char| character.is_control() || character == '\u{202e}'), "{text:?}");
        assert!(text.contains("w\\u{1b}[2J\\r\\n\\u{202e}") && text.contains("and 984 more"), "{text}");
    }
}
