//! Labels numbered in order of appearance, compactly: a column may have as many as rows.

use super::NAME;
use crate::{DataError, Result, memory};
use std::hash::{BuildHasher, RandomState};

/// What a label costs besides its text: its end, its places in the table and in the order, and a `String` at last.
pub(super) const LABEL_OVERHEAD: usize = 64;

/// Labels numbered in order of appearance; sorted at the end.
#[derive(Default)]
pub(super) struct Labels {
    text: String,
    ends: Vec<usize>,
    /// Numbers + 1 at the place their label's hash says, or at the next free one; 0 is free. At most half full.
    places: Vec<u32>,
    /// Randomly seeded, so that no file can make all labels collide.
    hasher: RandomState,
}

/// What became of a label.
pub(super) struct Numbered {
    pub(super) number: u32,
    pub(super) is_new: bool,
}

impl Labels {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn label(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// Where a label is, or the free place where it belongs. There are places, of which some are free.
    fn place(&self, label: &str) -> usize {
        let mask = self.places.len() - 1;
        let mut place = self.hasher.hash_one(label) as usize & mask;
        while self.places[place] != 0 && self.label(self.places[place] as usize - 1) != label {
            place = (place + 1) & mask;
        }
        place
    }

    /// The number of a label; a new one if it has none.
    pub(super) fn number(&mut self, label: &str) -> Result<Numbered> {
        if 2 * self.ends.len() >= self.places.len() {
            self.grow()?;
        }
        let place = self.place(label);
        if let Some(number) = self.places[place].checked_sub(1) {
            return Ok(Numbered { number, is_new: false });
        }
        if self.ends.len() + 1 >= u32::MAX as usize {
            let problem = format!("a column has more than {} different labels", self.ends.len());
            return Err(DataError::argument(
                NAME,
                problem,
                "So many are no classes but an identifier: `ignore` the column",
            ));
        }
        self.text.try_reserve(label.len()).map_err(|_| no_room(self.text.len() + label.len()))?;
        memory::reserve(NAME, "the labels", &mut self.ends, 1)?;
        let number = self.ends.len() as u32;
        self.text.push_str(label);
        self.ends.push(self.text.len());
        self.places[place] = number + 1;
        Ok(Numbered { number, is_new: true })
    }

    /// Doubles the number of places.
    fn grow(&mut self) -> Result<()> {
        let count = (2 * self.places.len()).max(16);
        let mut places = memory::room(NAME, "the labels", Some(count))?;
        places.resize(count, 0);
        self.places = places;
        for number in 0..self.ends.len() {
            let place = self.place(self.label(number));
            self.places[place] = number as u32 + 1;
        }
        Ok(())
    }

    /// The labels in order (by value if all are numbers), and the new number of each old one.
    pub(super) fn sorted(mut self) -> Result<(Vec<String>, Vec<u32>)> {
        self.places = Vec::new();
        let count = self.len();
        let mut order: Vec<u32> = memory::room(NAME, "the order of the labels", Some(count))?;
        order.extend(0..count as u32);
        let label = |number: u32| self.label(number as usize);
        match self.values()? {
            Some(values) => order.sort_unstable_by(|&left, &right| {
                let by_value = values[left as usize].total_cmp(&values[right as usize]);
                by_value.then_with(|| label(left).cmp(label(right)))
            }),
            None => order.sort_unstable_by(|&left, &right| label(left).cmp(label(right))),
        }
        let mut renumbered = memory::room(NAME, "the order of the labels", Some(count))?;
        renumbered.resize(count, 0);
        let mut names = memory::room(NAME, "the names of the classes", Some(count))?;
        for (new, &old) in order.iter().enumerate() {
            renumbered[old as usize] = new as u32;
            let mut name = String::new();
            name.try_reserve_exact(label(old).len()).map_err(|_| no_room(label(old).len()))?;
            name.push_str(label(old));
            names.push(name);
        }
        Ok((names, renumbered))
    }

    /// The labels' values, if all are finite numbers.
    fn values(&self) -> Result<Option<Vec<f64>>> {
        let mut values = memory::room(NAME, "the values of the labels", Some(self.len()))?;
        for number in 0..self.len() {
            match self.label(number).parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ => return Ok(None),
            }
        }
        Ok(Some(values))
    }
}

#[cold]
fn no_room(bytes: usize) -> DataError {
    memory::out_of_memory::<u8>(NAME, "the text of the labels", Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbered_by_appearance_and_sorted_by_value_or_letter() {
        let mut labels = Labels::default();
        // Far more than there are places at first, so that they grow and collide.
        for round in 0..2 {
            for index in 0..5000u32 {
                let numbered = labels.number(&(7919 * index % 5000).to_string()).unwrap();
                assert_eq!((numbered.number, numbered.is_new), (index, round == 0));
            }
        }
        let (names, renumbered) = labels.sorted().unwrap();
        assert_eq!(names[..3], ["0", "1", "2"]);
        assert!((0..5000).all(|index| renumbered[index] as usize == 7919 * index % 5000));
        let mut labels = Labels::default();
        for label in ["b", "10", "", "a"] {
            labels.number(label).unwrap();
        }
        assert_eq!(labels.sorted().unwrap(), (["", "10", "a", "b"].map(String::from).to_vec(), vec![3, 1, 0, 2]));
    }
}
