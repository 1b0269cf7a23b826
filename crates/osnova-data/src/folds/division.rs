//! Folds one after the other: how samples are divided, and the iterator that makes a fold when it is asked for.

use super::{KFold, StratifiedKFold};
use crate::{Result, memory};

/// Which samples validate in each fold of a division: fold by fold, in each ascending. All others train.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    members: Vec<usize>,
    /// Where each fold ends in `members`.
    ends: Vec<usize>,
}

impl Assigned {
    /// From the fold in which each sample validates.
    pub(super) fn new(operation: &'static str, fold_of: &[usize], folds: usize) -> Result<Self> {
        let mut ends = memory::room(operation, "the sizes of the folds", Some(folds))?;
        ends.resize(folds, 0);
        for &fold in fold_of {
            ends[fold] += 1;
        }
        let mut start = 0;
        for end in &mut ends {
            // Until all members are placed, a fold's end is where the next one goes.
            start += std::mem::replace(end, start);
        }
        let mut members = memory::indices(operation, fold_of.len())?;
        for (sample, &fold) in fold_of.iter().enumerate() {
            members[ends[fold]] = sample;
            ends[fold] += 1;
        }
        Ok(Self { members, ends })
    }

    fn validation(&self, fold: usize) -> Vec<usize> {
        let start = fold.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.members[start..self.ends[fold]].to_vec()
    }
}

/// How the folds of a division come about. Only what one fold needs is ever made.
#[derive(Clone, Debug)]
pub(super) enum Division {
    Assigned(Assigned),
    /// Each sample validates alone.
    Single,
    /// Each fold validates on the `size` samples from `first + fold · size` on.
    Series {
        first: usize,
        size: usize,
        gap: usize,
        max_train_size: usize,
    },
    /// One division after the other, each with `folds` folds.
    Repeated {
        current: Assigned,
        repetition: usize,
        folds: usize,
        again: Repeat,
    },
}

/// How to divide anew.
#[derive(Clone, Debug)]
pub(super) enum Repeat {
    Plain(KFold),
    Stratified(StratifiedKFold, Vec<i64>),
}

impl Repeat {
    pub(super) fn divide(&self, samples: usize, repetition: usize) -> Result<Assigned> {
        const NAME: &str = "RepeatedKFold";
        match self {
            Self::Plain(folds) => folds.divide(NAME, samples, repetition as u64),
            Self::Stratified(folds, classes) => folds.divide(NAME, classes, repetition as u64),
        }
    }
}

/// The folds of a data set: an iterator of `(train, validation)` indices, each ascending. Each fold is made when it is
/// asked for.
#[derive(Clone, Debug)]
pub struct Folds {
    samples: usize,
    division: Division,
    next: usize,
    count: usize,
}

impl Folds {
    pub(super) fn new(samples: usize, division: Division, count: usize) -> Self {
        Self { samples, division, next: 0, count }
    }

    fn complement(&self, validation: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
        let mut rest = validation.iter().copied().peekable();
        let train = (0..self.samples).filter(|&sample| rest.next_if_eq(&sample).is_none()).collect();
        (train, validation)
    }
}

impl Iterator for Folds {
    type Item = (Vec<usize>, Vec<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let fold = self.next;
        self.next += 1;
        let validation = match &mut self.division {
            Division::Assigned(assigned) => assigned.validation(fold),
            Division::Single => vec![fold],
            Division::Series { first, size, gap, max_train_size } => {
                let start = *first + fold * *size;
                let end = start - *gap;
                return Some(((end.saturating_sub(*max_train_size)..end).collect(), (start..start + *size).collect()));
            }
            Division::Repeated { current, repetition, folds, again } => {
                if fold / *folds > *repetition {
                    *repetition = fold / *folds;
                    // What could be divided once can be divided again.
                    *current = again.divide(self.samples, *repetition).ok()?;
                }
                current.validation(fold % *folds)
            }
        };
        Some(self.complement(validation))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.next, Some(self.count - self.next))
    }
}

impl ExactSizeIterator for Folds {}
