//! The columns of a table: how many there are, their names, and errors that name them.

use super::budget::Budget;
use super::cells::{Cells, Fault, LONGEST_CELL};
use super::{Column, CsvReader, NAME};
use crate::text::{OneLine, listed, quoted};
use crate::{DataError, Result, memory};
use std::io::Read;
use std::path::Path;

/// What a column costs besides its name: its end, its role, its place among the features, and a `String` at last.
const COLUMN_OVERHEAD: usize = 96;

/// The cells of a first row: text one after the other, and where each ends.
#[derive(Default)]
pub(super) struct FirstRow {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl FirstRow {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn cell(&self, column: usize) -> &[u8] {
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[column]]
    }
}

/// The columns of a table. Errors name them, and the file.
pub(super) struct Columns<'a> {
    path: &'a Path,
    width: usize,
    /// The first row, which in a table with a header is the names.
    pub(super) first: FirstRow,
    named: bool,
}

impl<'a> Columns<'a> {
    /// Reads the first row.
    pub(super) fn read<R: Read>(
        options: &CsvReader,
        path: &'a Path,
        cells: &mut Cells<R>,
        budget: &mut Budget,
    ) -> Result<Self> {
        let most = options.max_columns;
        let mut columns = Self { path, width: 0, first: FirstRow::default(), named: false };
        let row = cells.row();
        loop {
            let cell = match cells.next_cell(true) {
                Ok(Some(cell)) => cell,
                Ok(None) => break,
                Err(fault) => return Err(columns.fault(fault, row, Some(columns.width()))),
            };
            if columns.width() == most {
                let problem = format!("the first line has more than {most} columns");
                let advice = "Check the delimiter; if there are so many, raise the limit with `max_columns`";
                return Err(columns.error(row, None, problem, advice));
            }
            budget.charge(cell.len() + COLUMN_OVERHEAD)?;
            let first = &mut columns.first;
            memory::reserve(NAME, "the first line", &mut first.text, cell.len())?;
            memory::reserve(NAME, "the columns", &mut first.ends, 1)?;
            first.text.extend_from_slice(cell);
            first.ends.push(first.text.len());
            columns.width += 1;
        }
        if options.has_header != Some(false) {
            for column in 0..columns.width() {
                columns.text(columns.first.cell(column), row, column)?;
            }
            columns.named = true;
        }
        if options.has_header.is_none() {
            columns.refuse_data_as_names(row)?;
        }
        Ok(columns)
    }

    /// Fails if the first line looks like a row: its names would be data that nobody misses.
    fn refuse_data_as_names(&self, row: u64) -> Result<()> {
        let is_whole = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = |name: &str| name.parse::<f64>().is_ok_and(f64::is_finite);
        let mut wholes = memory::room(NAME, "the columns", Some(self.width))?;
        wholes.extend(self.names().filter(|name| is_whole(name)));
        // Whole numbers alone can be names, such as years; but then they differ.
        let all_whole = wholes.len() == self.width;
        wholes.sort_unstable();
        let repeated = wholes.windows(2).find(|pair| all_whole && pair[0] == pair[1]).map(|pair| pair[0]);
        let Some(name) = self.names().find(|name| !is_whole(name) && is_number(name)).or(repeated) else {
            return Ok(());
        };
        let problem =
            format!("the first line looks like data, not like the names of columns: it holds {}", quoted(name));
        let advice = "If it is data, use `has_header(false)`; if these are names, say so with `has_header(true)`";
        Err(self.error(row, None, problem, advice))
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The names of the columns, in a table that has names.
    fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.width).map(|column| self.name(column).unwrap_or(""))
    }

    /// The name of a column, in a table that has names.
    pub(super) fn name(&self, column: usize) -> Option<&str> {
        // Checked when the row was read.
        self.named.then(|| std::str::from_utf8(self.first.cell(column)).unwrap_or("").trim())
    }

    /// The index of a column; `row` is the header's.
    pub(super) fn find(&self, column: &Column, row: u64) -> Result<usize> {
        let width = self.width();
        let name = match column {
            Column::Last => return Ok(width - 1),
            Column::Index(index) if *index < width => return Ok(*index),
            Column::Index(index) => {
                let problem = format!("there is no column with index {index}: the table has {width} columns");
                return Err(self.error(row, None, problem, "Indices count from 0"));
            }
            Column::Name(name) => name,
        };
        let shown = quoted(name);
        if !self.named {
            let problem = format!("column {shown} was asked for, but the table is read without a header");
            return Err(self.error(row, None, problem, "Use `has_header(true)`, or give the column's index"));
        }
        let mut places = self.names().enumerate().filter(|(_, have)| have == name);
        match (places.next(), places.next()) {
            (Some((index, _)), None) => Ok(index),
            (Some(_), Some(_)) => {
                let problem = format!("more than one column is called {shown}");
                Err(self.error(row, None, problem, "Give the column's index instead"))
            }
            (None, _) => {
                let problem = format!("there is no column {shown}");
                Err(self.error(row, None, problem, format!("The columns are {}", listed(self.names()))))
            }
        }
    }

    /// A cell as text without blanks around it.
    pub(super) fn text<'c>(&self, cell: &'c [u8], row: u64, column: usize) -> Result<&'c str> {
        match std::str::from_utf8(cell) {
            Ok(text) => Ok(text.trim()),
            Err(error) => {
                let problem = format!("byte {} of the cell is not UTF-8", error.valid_up_to() + 1);
                Err(self.error(row, Some(column), problem, "Save the file as UTF-8"))
            }
        }
    }

    #[cold]
    pub(super) fn error(
        &self,
        row: u64,
        column: Option<usize>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> DataError {
        let column = column.map(|column| match self.name(column) {
            Some(name) => format!("{} {}", column + 1, quoted(name)).into(),
            None => format!("{}", column + 1).into(),
        });
        let (problem, advice) = (problem.into(), advice.into());
        DataError::Table { file: self.path.to_owned(), row: Some(row), column, problem, advice }
    }

    /// The error of a fault in a row.
    #[cold]
    pub(super) fn fault(&self, fault: Fault, row: u64, column: Option<usize>) -> DataError {
        match fault {
            Fault::Io(error) => DataError::io(self.path, error),
            Fault::UnclosedQuote { line } => self.error(
                line,
                column,
                format!("the quote opened in row {line} is never closed, so the rest of the file would be one cell"),
                "Close it; a quote inside a quoted cell is doubled (\"\")",
            ),
            Fault::BehindQuote { line } => self.error(
                line,
                column,
                "text follows the quote that closes the cell",
                "A quote inside a quoted cell is doubled (\"\"); a cell that is not quoted does not start with a quote",
            ),
            Fault::TooLong { quote } => self.error(
                quote.unwrap_or(row),
                column,
                match quote {
                    Some(line) => format!("the cell whose quote is opened in row {line} is longer than {LONGEST_CELL} bytes"),
                    None => format!("the cell is longer than {LONGEST_CELL} bytes"),
                },
                "Check that the quote is closed and that this is a table; a column of long texts can be left out with `ignore`",
            ),
        }
    }

    /// The error of a row of another length; `comment` if it starts with #, `open` if its last cell is empty.
    #[cold]
    pub(super) fn ragged(&self, row: u64, cells: usize, comment: bool, open: bool) -> DataError {
        let width = self.width();
        let problem = format!("the row has {cells} cells, but the first line has {width}");
        let advice = if comment {
            "The line looks like a comment; comments are not part of CSV: remove it".to_owned()
        } else if self.first.cell(0).starts_with(b"#") && width < cells {
            format!(
                "The first line looks like a comment ({}): remove it",
                OneLine(&String::from_utf8_lossy(self.first.cell(0)), 40)
            )
        } else if open && cells == width + 1 {
            "The row ends with a delimiter, and the first line does not: remove it from the row".to_owned()
        } else {
            "Check the delimiter, and quote cells that contain it".to_owned()
        };
        self.error(row, None, problem, advice)
    }
}
