//! A table while it is read: what becomes of each column, and the errors by row and column.

use super::{Column, CsvReader, MissingValues, Target};
use crate::{ArrayDataset, DataError, Result, Source};
use csv::ByteRecord;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What becomes of a column's cells.
#[derive(Clone, Copy)]
enum Role {
    Ignored,
    Number(usize),
    Category(usize),
    Value(usize),
    Class,
}

/// Labels numbered in order of appearance; sorted at the end.
#[derive(Default)]
struct Labels {
    numbers: HashMap<String, usize>,
}

impl Labels {
    fn number(&mut self, label: &str) -> usize {
        match self.numbers.get(label) {
            Some(&number) => number,
            None => {
                let number = self.numbers.len();
                self.numbers.insert(label.to_owned(), number);
                number
            }
        }
    }

    /// The labels in order (by value if all are numbers), and the new number of each old one.
    fn sorted(self) -> (Vec<String>, Vec<usize>) {
        let mut labels: Vec<(String, usize)> = self.numbers.into_iter().collect();
        let values: Option<HashMap<String, f64>> = labels
            .iter()
            .map(|(label, _)| Some((label.clone(), label.parse::<f64>().ok().filter(|value| value.is_finite())?)))
            .collect();
        labels.sort_by(|(left, _), (right, _)| match &values {
            Some(values) => values[left].total_cmp(&values[right]).then_with(|| left.cmp(right)),
            None => left.cmp(right),
        });
        let mut renumbered = vec![0; labels.len()];
        for (new, (_, old)) in labels.iter().enumerate() {
            renumbered[*old] = new;
        }
        (labels.into_iter().map(|(label, _)| label).collect(), renumbered)
    }
}

/// A table while it is read.
pub(super) struct Table<'a> {
    options: &'a CsvReader,
    path: &'a Path,
    header: Option<Vec<String>>,
    roles: Vec<Role>,
    feature_columns: Vec<usize>,
    value_width: usize,
    pub(super) rows: usize,
    features: Vec<f32>,
    values: Vec<f32>,
    class_numbers: Vec<usize>,
    class_labels: Labels,
    categories: BTreeMap<usize, Labels>,
}

impl<'a> Table<'a> {
    pub(super) fn new(options: &'a CsvReader, path: &'a Path, first: &ByteRecord, row: u64) -> Result<Self> {
        let mut table = Self {
            options,
            path,
            header: None,
            roles: vec![Role::Ignored; first.len()],
            feature_columns: Vec::new(),
            value_width: 0,
            rows: 0,
            features: Vec::new(),
            values: Vec::new(),
            class_numbers: Vec::new(),
            class_labels: Labels::default(),
            categories: BTreeMap::new(),
        };
        if options.has_header {
            let names = (0..first.len()).map(|column| Ok(table.text(first, row, column)?.to_owned()));
            table.header = Some(names.collect::<Result<_>>()?);
        }
        table.assign_roles(row)?;
        if let Some(classes) = &options.classes {
            for (index, label) in classes.iter().enumerate() {
                if table.class_labels.number(label) != index {
                    return Err(DataError::argument(
                        "CsvReader::classes",
                        format!("class {label:?} is given twice"),
                        "Give each class once",
                    ));
                }
            }
        }
        Ok(table)
    }

    fn assign_roles(&mut self, row: u64) -> Result<()> {
        let mut taken = vec![false; self.roles.len()];
        match &self.options.target {
            Target::None => {}
            Target::Classes(column) => {
                let column = self.find(column, row)?;
                self.roles[column] = Role::Class;
                taken[column] = true;
            }
            Target::Values(columns) => {
                for (slot, column) in columns.iter().enumerate() {
                    let column = self.find(column, row)?;
                    self.roles[column] = Role::Value(slot);
                    taken[column] = true;
                }
                self.value_width = columns.len();
            }
        }
        for column in &self.options.ignore {
            let column = self.find(column, row)?;
            if !matches!(self.roles[column], Role::Ignored) {
                return Err(self.error(row, Some(column), "the target is to be ignored", "Drop it from `ignore`"));
            }
            taken[column] = true;
        }
        self.feature_columns = match &self.options.features {
            None => (0..taken.len()).filter(|&column| !taken[column]).collect(),
            Some(columns) => {
                let columns: Vec<usize> = columns.iter().map(|column| self.find(column, row)).collect::<Result<_>>()?;
                for &column in &columns {
                    if std::mem::replace(&mut taken[column], true) {
                        let advice = "A column is a feature once, a target, or ignored";
                        return Err(self.error(row, Some(column), "the column is used twice", advice));
                    }
                }
                columns
            }
        };
        if self.feature_columns.is_empty() {
            return Err(self.error(row, None, "no column is left for features", "Check the delimiter and the columns"));
        }
        for (slot, &column) in self.feature_columns.iter().enumerate() {
            self.roles[column] = Role::Number(slot);
        }
        for column in &self.options.categorical {
            let column = self.find(column, row)?;
            let Role::Number(slot) = self.roles[column] else {
                let advice = "Only features can be categorical, and each once";
                return Err(self.error(row, Some(column), "the categorical column is no feature", advice));
            };
            self.roles[column] = Role::Category(slot);
            self.categories.insert(slot, Labels::default());
        }
        Ok(())
    }

    fn find(&self, column: &Column, row: u64) -> Result<usize> {
        let width = self.roles.len();
        match column {
            Column::Last => Ok(width - 1),
            Column::Index(index) if *index < width => Ok(*index),
            Column::Index(index) => {
                let problem = format!("there is no column with index {index}: the table has {width} columns");
                Err(self.error(row, None, problem, "Indices count from 0"))
            }
            Column::Name(name) => {
                let Some(header) = &self.header else {
                    let problem = format!("column {name:?} was asked for, but the table is read without a header");
                    return Err(self.error(row, None, problem, "Use `has_header(true)`, or give the column's index"));
                };
                let mut places = header.iter().enumerate().filter(|(_, have)| *have == name);
                match (places.next(), places.next()) {
                    (Some((index, _)), None) => Ok(index),
                    (Some(_), Some(_)) => {
                        let problem = format!("more than one column is called {name:?}");
                        Err(self.error(row, None, problem, "Give the column's index instead"))
                    }
                    (None, _) => {
                        let problem = format!("there is no column {name:?}");
                        Err(self.error(row, None, problem, format!("The columns are {}", header.join(", "))))
                    }
                }
            }
        }
    }

    pub(super) fn push(&mut self, record: &ByteRecord, row: u64) -> Result<()> {
        if record.len() != self.roles.len() {
            let problem = format!("the row has {} cells, but the first line has {}", record.len(), self.roles.len());
            return Err(self.error(row, None, problem, "Check the delimiter, and quote cells that contain it"));
        }
        let (feature, value) = (self.features.len(), self.values.len());
        self.features.resize(feature + self.feature_columns.len(), 0.0);
        self.values.resize(value + self.value_width, 0.0);
        for column in 0..self.roles.len() {
            let role = self.roles[column];
            if matches!(role, Role::Ignored) {
                continue;
            }
            let text = self.text(record, row, column)?;
            let missing = self.options.missing_markers.iter().any(|marker| marker == text);
            match role {
                Role::Ignored => {}
                Role::Number(slot) | Role::Category(slot) if missing => {
                    if self.options.missing == MissingValues::Refuse {
                        let advice = "Use `missing_values(MissingValues::Nan)` and fill it with `SimpleImputer`, or \
                                      remove the row";
                        return Err(self.error(row, Some(column), "the value is missing", advice));
                    }
                    self.features[feature + slot] = f32::NAN;
                }
                Role::Number(slot) => self.features[feature + slot] = self.number(text, row, column)?,
                Role::Category(slot) => {
                    if let Some(labels) = self.categories.get_mut(&slot) {
                        // Exact up to 2^24 categories; `finish` renumbers.
                        self.features[feature + slot] = labels.number(text) as f32;
                    }
                }
                Role::Value(_) | Role::Class if missing => {
                    let advice = "A sample without a target cannot be learned from: remove the row";
                    return Err(self.error(row, Some(column), "the target is missing", advice));
                }
                Role::Value(slot) => self.values[value + slot] = self.number(text, row, column)?,
                Role::Class => {
                    if let Some(classes) = &self.options.classes
                        && !classes.iter().any(|class| class == text)
                    {
                        let problem = format!("label {text:?} is none of the {} classes", classes.len());
                        let advice = format!("The classes are {}", classes.join(", "));
                        return Err(self.error(row, Some(column), problem, advice));
                    }
                    self.class_numbers.push(self.class_labels.number(text));
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn text<'r>(&self, record: &'r ByteRecord, row: u64, column: usize) -> Result<&'r str> {
        let cell = &record[column];
        match std::str::from_utf8(cell) {
            Ok(text) => Ok(text.trim()),
            Err(error) => {
                let problem = format!("byte {} of the cell is not UTF-8", error.valid_up_to() + 1);
                Err(self.error(row, Some(column), problem, "Save the file as UTF-8"))
            }
        }
    }

    fn number(&self, text: &str, row: u64, column: usize) -> Result<f32> {
        let (problem, advice) = match text.parse::<f32>() {
            Ok(number) if number.is_finite() => return Ok(number),
            Ok(_) => ("a finite 32-bit number", "Leave the cell empty if the value is missing, or scale the column"),
            Err(_) => ("a number", "Declare the column with `categorical`, `ignore` it, or mend the cell"),
        };
        // A cell can be megabytes long; its start is enough to find it.
        let shown: String = text.chars().take(40).collect();
        Err(self.error(row, Some(column), format!("{shown:?} is not {problem}"), advice))
    }

    #[cold]
    fn error(
        &self,
        row: u64,
        column: Option<usize>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> DataError {
        let column = column.map(|column| match self.header.as_ref().and_then(|header| header.get(column)) {
            Some(name) => format!("{} {name:?}", column + 1).into(),
            None => format!("{}", column + 1).into(),
        });
        DataError::Table {
            file: self.path.to_owned(),
            row: Some(row),
            column,
            problem: problem.into(),
            advice: advice.into(),
        }
    }

    pub(super) fn finish(self, source: Source) -> Result<ArrayDataset> {
        let width = self.feature_columns.len();
        let mut features = self.features;
        let mut categories = BTreeMap::new();
        for (slot, labels) in self.categories {
            let (labels, renumbered) = labels.sorted();
            for value in features.iter_mut().skip(slot).step_by(width).filter(|value| !value.is_nan()) {
                *value = renumbered[*value as usize] as f32;
            }
            categories.insert(slot, labels);
        }
        let data = match &self.options.target {
            Target::None => ArrayDataset::unlabelled(features, [width])?,
            Target::Values(_) => ArrayDataset::regression(features, [width], self.values, self.value_width)?,
            Target::Classes(_) => {
                let (labels, renumbered) = match &self.options.classes {
                    Some(classes) => (classes.clone(), (0..classes.len()).collect()),
                    None => self.class_labels.sorted(),
                };
                let classes: Vec<i64> = self.class_numbers.iter().map(|&class| renumbered[class] as i64).collect();
                ArrayDataset::classification(features, [width], classes, labels.len())?.with_class_names(labels)?
            }
        };
        let data = data.with_source(source).with_categories(categories);
        match self.header {
            Some(header) => data.with_feature_names(self.feature_columns.iter().map(|&column| header[column].clone())),
            None => Ok(data),
        }
    }
}
