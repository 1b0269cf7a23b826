//! What becomes of each column.

use super::columns::Columns;
use super::{CsvReader, NAME};
use crate::{DataError, Result, memory};

/// What becomes of a column's cells.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Ignored,
    /// A feature, at this place of a sample's.
    Number(usize),
    /// A feature with labels, at this place of a sample's; the second number is its place among the categorical ones.
    Category(usize, usize),
    /// A target number, at this place of a sample's.
    Value(usize),
    Class,
}

/// The role of each column, of which it has one.
pub(super) struct Roles {
    pub(super) of_column: Vec<Role>,
    /// The columns of the features, in order.
    pub(super) features: Vec<usize>,
    /// The features with labels, in the order of `categorical`.
    pub(super) categorical: Vec<usize>,
    pub(super) value_width: usize,
}

impl Roles {
    /// The roles that the options give the columns; `row` is the first line's.
    pub(super) fn assign(options: &CsvReader, columns: &Columns, row: u64) -> Result<Self> {
        let mut of_column = memory::room(NAME, "the columns", Some(columns.width()))?;
        of_column.resize(columns.width(), Role::Ignored);
        let mut roles = Self { of_column, features: Vec::new(), categorical: Vec::new(), value_width: 0 };
        let mut taken = memory::room(NAME, "the columns", Some(columns.width()))?;
        taken.resize(columns.width(), false);
        roles.take_targets(options, columns, row, &mut taken)?;
        roles.ignore(options, columns, row, &mut taken)?;
        roles.take_features(options, columns, row, &mut taken)?;
        roles.take_categories(options, columns, row)?;
        Ok(roles)
    }

    fn take_targets(&mut self, options: &CsvReader, columns: &Columns, row: u64, taken: &mut [bool]) -> Result<()> {
        if let Some(column) = &options.class_target {
            let column = columns.find(column, row)?;
            (self.of_column[column], taken[column]) = (Role::Class, true);
        }
        for (slot, column) in options.value_targets.iter().flatten().enumerate() {
            let column = columns.find(column, row)?;
            if std::mem::replace(&mut taken[column], true) {
                let advice = "Give each column once";
                return Err(columns.error(row, Some(column), "the column is a target twice", advice));
            }
            self.of_column[column] = Role::Value(slot);
            self.value_width = slot + 1;
        }
        Ok(())
    }

    fn ignore(&mut self, options: &CsvReader, columns: &Columns, row: u64, taken: &mut [bool]) -> Result<()> {
        for column in &options.ignore {
            let column = columns.find(column, row)?;
            if !matches!(self.of_column[column], Role::Ignored) {
                return Err(columns.error(row, Some(column), "the target is to be ignored", "Drop it from `ignore`"));
            }
            taken[column] = true;
        }
        Ok(())
    }

    fn take_features(&mut self, options: &CsvReader, columns: &Columns, row: u64, taken: &mut [bool]) -> Result<()> {
        self.features = memory::room(NAME, "the columns", Some(columns.width()))?;
        match &options.features {
            None => self.features.extend((0..taken.len()).filter(|&column| !taken[column])),
            Some(chosen) => {
                for column in chosen {
                    let column = columns.find(column, row)?;
                    if std::mem::replace(&mut taken[column], true) {
                        let advice = "A column is a feature once, a target, or ignored";
                        return Err(columns.error(row, Some(column), "the column is used twice", advice));
                    }
                    self.features.push(column);
                }
            }
        }
        if self.features.is_empty() {
            let advice = "Check the delimiter and the columns";
            return Err(columns.error(row, None, "no column is left for features", advice));
        }
        for (slot, &column) in self.features.iter().enumerate() {
            self.of_column[column] = Role::Number(slot);
        }
        Ok(())
    }

    fn take_categories(&mut self, options: &CsvReader, columns: &Columns, row: u64) -> Result<()> {
        for column in &options.categorical {
            let column = columns.find(column, row)?;
            let Role::Number(slot) = self.of_column[column] else {
                let advice = "Only features can be categorical, and each once";
                return Err(columns.error(row, Some(column), "the categorical column is no feature", advice));
            };
            self.of_column[column] = Role::Category(slot, self.categorical.len());
            self.categorical.push(slot);
        }
        Ok(())
    }
}

/// Fails where two options contradict each other, or one would be ignored.
pub(super) fn check(options: &CsvReader) -> Result<()> {
    let wrong = |problem: String, advice: &str| Err(DataError::argument(NAME, problem, advice));
    if !options.delimiter.is_ascii() || matches!(options.delimiter, b'"' | b'\n' | b'\r') {
        let problem = format!("the delimiter is the byte {:?}", char::from(options.delimiter));
        return wrong(problem, "Give an ASCII character that is neither a quote nor the end of a line");
    }
    if options.class_target.is_some() && options.value_targets.is_some() {
        let problem = "both `target_classes` and `target_values` were given".to_owned();
        return wrong(problem, "A sample has one kind of target: choose one");
    }
    if options.value_targets.as_ref().is_some_and(Vec::is_empty) {
        return wrong("`target_values` names no column".to_owned(), "Name at least one, or read without a target");
    }
    if options.classes.is_some() && options.class_target.is_none() {
        return wrong("`classes` were given without `target_classes`".to_owned(), "Say which column holds them");
    }
    if options.features.as_ref().is_some_and(Vec::is_empty) {
        return wrong("`features` names no column".to_owned(), "Name at least one, or leave it out to take all");
    }
    Ok(())
}
