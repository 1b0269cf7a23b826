//! A table while it is read, row by row.

use super::budget::Budget;
use super::cells::{Cells, Fault};
use super::columns::Columns;
use super::labels::{LABEL_OVERHEAD, Labels};
use super::number::{Fit, fit};
use super::roles::{Role, Roles};
use super::{CsvReader, MissingValues, NAME};
use crate::text::{listed, quoted};
use crate::{ArrayDataset, DataError, Result, Source, memory};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A table while it is read.
pub(super) struct Table<'a> {
    options: &'a CsvReader,
    columns: Columns<'a>,
    roles: Roles,
    budget: Budget<'a>,
    pub(super) rows: usize,
    features: Vec<f32>,
    values: Vec<f32>,
    classes: Vec<i64>,
    class_labels: Labels,
    categories: Vec<Labels>,
    /// By column: whether it holds a number that is only read exactly, and one that is only written so; see [`Fit`].
    unusual: BTreeMap<usize, [bool; 2]>,
}

impl<'a> Table<'a> {
    /// Starts with the first row, on which `cells` stands.
    pub(super) fn new<R: Read>(options: &'a CsvReader, path: &'a Path, cells: &mut Cells<R>) -> Result<Self> {
        let row = cells.row();
        let mut budget = Budget::new(path, options.max_bytes);
        let columns = Columns::read(options, path, cells, &mut budget)?;
        let roles = Roles::assign(options, &columns, row)?;
        let categories = roles.categorical.iter().map(|_| Labels::default()).collect();
        let mut table = Self {
            options,
            columns,
            roles,
            budget,
            rows: 0,
            features: Vec::new(),
            values: Vec::new(),
            classes: Vec::new(),
            class_labels: Labels::default(),
            categories,
            unusual: BTreeMap::new(),
        };
        table.fix_classes()?;
        if options.has_header == Some(false) {
            table.begin_row()?;
            // The first row is also data. It is taken out while its cells are, for it is part of the columns.
            let first = std::mem::take(&mut table.columns.first);
            let taken = (0..first.len()).try_for_each(|column| table.take(first.cell(column), row, column));
            table.columns.first = first;
            taken?;
            table.rows = 1;
        }
        Ok(table)
    }

    /// Numbers the given classes in the given order.
    fn fix_classes(&mut self) -> Result<()> {
        for label in self.options.classes.iter().flatten() {
            if !self.class_labels.number(label)?.is_new {
                let problem = format!("class {} is given twice", quoted(label));
                return Err(DataError::argument("CsvReader::classes", problem, "Give each class once"));
            }
        }
        Ok(())
    }

    /// Makes room for the numbers of one more row.
    fn begin_row(&mut self) -> Result<()> {
        let (features, values) = (self.roles.features.len(), self.roles.value_width);
        self.budget.charge(4 * (features + values) + 8)?;
        memory::reserve(NAME, "the features", &mut self.features, features)?;
        memory::reserve(NAME, "the target numbers", &mut self.values, values)?;
        memory::reserve(NAME, "the classes", &mut self.classes, 1)?;
        self.features.resize(self.features.len() + features, 0.0);
        self.values.resize(self.values.len() + values, 0.0);
        Ok(())
    }

    /// Takes the row on which `cells` stands.
    pub(super) fn push<R: Read>(&mut self, cells: &mut Cells<R>) -> Result<()> {
        let (row, comment) = (cells.row(), cells.first_byte() == b'#');
        self.begin_row()?;
        let (width, mut column, mut wrong) = (self.columns.width(), 0, None);
        // Whether the last cell is empty, which in one too many is a delimiter at the end of the line.
        let mut open = false;
        loop {
            // A bad cell is reported if the row has as many cells as it should: else that is what is wrong with it.
            let used = column < width && wrong.is_none() && !matches!(self.roles.of_column[column], Role::Ignored);
            match cells.next_cell(used || column == width) {
                Ok(Some(cell)) => {
                    open = cell.is_empty();
                    if used {
                        wrong = self.take(cell, row, column).err();
                    }
                }
                Ok(None) => break,
                Err(fault) => return Err(self.fault(fault, row, column)),
            }
            column += 1;
        }
        if column != width {
            return Err(self.columns.ragged(row, column, comment, open));
        }
        self.rows += 1;
        wrong.map_or(Ok(()), Err)
    }

    #[cold]
    fn fault(&self, fault: Fault, row: u64, column: usize) -> DataError {
        self.columns.fault(fault, row, (column < self.columns.width()).then_some(column))
    }

    /// Takes one cell of the row that was begun last.
    fn take(&mut self, cell: &[u8], row: u64, column: usize) -> Result<()> {
        let role = self.roles.of_column[column];
        if matches!(role, Role::Ignored) {
            return Ok(());
        }
        let text = self.columns.text(cell, row, column)?;
        let missing = self.options.missing_markers.iter().any(|marker| marker == text);
        let feature = self.features.len() - self.roles.features.len();
        match role {
            Role::Ignored => {}
            Role::Number(slot) | Role::Category(slot, _) if missing => {
                if self.options.missing == MissingValues::Refuse {
                    return Err(self.missing_feature(text, row, column));
                }
                self.features[feature + slot] = f32::NAN;
            }
            Role::Number(slot) => self.features[feature + slot] = self.number(text, row, column)?,
            Role::Category(slot, place) => self.features[feature + slot] = self.category(place, text, row, column)?,
            Role::Value(_) | Role::Class if missing => {
                let advice = "A sample without a target cannot be learned from: remove the row";
                return Err(self.columns.error(row, Some(column), "the target is missing", advice));
            }
            Role::Value(slot) => {
                let first = self.values.len() - self.roles.value_width;
                self.values[first + slot] = self.number(text, row, column)?;
            }
            Role::Class => {
                let class = self.class(text, row, column)?;
                self.classes.push(class);
            }
        }
        Ok(())
    }

    #[cold]
    fn missing_feature(&self, text: &str, row: u64, column: usize) -> DataError {
        let unnamed = self.columns.name(column).is_none_or(str::is_empty);
        let advice = if text.is_empty() && unnamed && column + 1 == self.columns.width() {
            "If every line ends with a delimiter, leave the empty column behind it out with `ignore([Column::Last])`; else \
             use `missing_values(MissingValues::Nan)` and fill it with `SimpleImputer`, or remove the row"
        } else {
            "Use `missing_values(MissingValues::Nan)` and fill it with `SimpleImputer`, or remove the row"
        };
        self.columns.error(row, Some(column), "the value is missing", advice)
    }

    fn number(&mut self, text: &str, row: u64, column: usize) -> Result<f32> {
        let number = match text.parse::<f32>() {
            Ok(number) if number.is_finite() => number,
            Ok(_) => {
                let advice = "Leave the cell empty if the value is missing, or scale the column";
                let problem = format!("{} is not a finite 32-bit number", quoted(text));
                return Err(self.columns.error(row, Some(column), problem, advice));
            }
            Err(_) => return Err(self.no_number(text, row, column)),
        };
        if self.options.round_to_f32 {
            return Ok(number);
        }
        match fit(text, number) {
            Fit::Near => Ok(number),
            Fit::Lost => Err(self.lost(text, number, row, column)),
            kind => {
                let seen = self.unusual.entry(column).or_default();
                seen[usize::from(kind == Fit::Shortest)] = true;
                if *seen == [true; 2] { Err(self.lost(text, number, row, column)) } else { Ok(number) }
            }
        }
    }

    #[cold]
    fn no_number(&self, text: &str, row: u64, column: usize) -> DataError {
        let advice = if column == 0 && text.starts_with('#') {
            "If the line is a comment, remove it: comments are not part of CSV"
        } else if text.contains('\0') {
            "Zeros in a text: save the file as UTF-8 if it is in UTF-16"
        } else if self.columns.width() == 1 && text.contains([';', '\t', '|', ',']) {
            "Say what stands between the cells with `delimiter`"
        } else if text.replace(',', ".").parse::<f32>().is_ok() {
            "Write decimals with a point"
        } else {
            "Declare the column with `categorical`, `ignore` it, or mend the cell"
        };
        self.columns.error(row, Some(column), format!("{} is not a number", quoted(text)), advice)
    }

    #[cold]
    fn lost(&self, text: &str, number: f32, row: u64, column: usize) -> DataError {
        let problem = format!("{} would become {number} as a 32-bit number", quoted(text));
        let advice = if number == 0.0 {
            "Scale the column, or accept it with `round_to_f32(true)`"
        } else {
            "They hold every whole number only up to 16777216. `ignore` the column (an identifier?), take it as \
             `categorical`, or subtract an offset in the file (a time?); `round_to_f32(true)` accepts the rounding"
        };
        self.columns.error(row, Some(column), problem, advice)
    }

    /// The number of a category, in order of appearance; `finish` renumbers.
    fn category(&mut self, place: usize, text: &str, row: u64, column: usize) -> Result<f32> {
        let numbered = self.categories[place].number(text)?;
        if numbered.is_new {
            self.budget.charge(text.len() + LABEL_OVERHEAD)?;
            let count = self.categories[place].len();
            if count > self.options.most_categories {
                let problem = format!("this is category number {count}: 32-bit numbers count no further");
                let advice = "So many are no categories but an identifier or a measurement: `ignore` the column, or take it \
                              as a number";
                return Err(self.columns.error(row, Some(column), problem, advice));
            }
        }
        Ok(numbered.number as f32)
    }

    /// The number of a class, in order of appearance if they are not given; `finish` renumbers.
    fn class(&mut self, text: &str, row: u64, column: usize) -> Result<i64> {
        let numbered = self.class_labels.number(text)?;
        if numbered.is_new {
            if let Some(classes) = &self.options.classes {
                let problem = format!("label {} is none of the {} classes", quoted(text), classes.len());
                let advice = format!("The classes are {}", listed(classes.iter().map(String::as_str)));
                return Err(self.columns.error(row, Some(column), problem, advice));
            }
            self.budget.charge(text.len() + LABEL_OVERHEAD)?;
        }
        Ok(numbered.number.into())
    }

    pub(super) fn finish(mut self, source: Source) -> Result<ArrayDataset> {
        let width = self.roles.features.len();
        let mut categories = BTreeMap::new();
        for (&slot, labels) in self.roles.categorical.iter().zip(std::mem::take(&mut self.categories)) {
            let (labels, renumbered) = labels.sorted()?;
            for value in self.features.iter_mut().skip(slot).step_by(width).filter(|value| !value.is_nan()) {
                *value = renumbered[*value as usize] as f32;
            }
            categories.insert(slot, labels);
        }
        let data = if self.options.class_target.is_some() {
            let labels = match &self.options.classes {
                Some(classes) => classes.clone(),
                None => {
                    let (labels, renumbered) = std::mem::take(&mut self.class_labels).sorted()?;
                    self.classes.iter_mut().for_each(|class| *class = renumbered[*class as usize].into());
                    labels
                }
            };
            ArrayDataset::classification(self.features, [width], self.classes, labels.len())?
                .with_class_names(labels)?
        } else if self.options.value_targets.is_some() {
            ArrayDataset::regression(self.features, [width], self.values, self.roles.value_width)?
        } else {
            ArrayDataset::unlabelled(self.features, [width])?
        };
        let data = data.with_source(source).with_categories(categories);
        let name = |&column: &usize| self.columns.name(column).unwrap_or("");
        if self.options.has_header == Some(false) {
            return Ok(data);
        }
        data.with_feature_names(self.roles.features.iter().map(name))
    }
}
