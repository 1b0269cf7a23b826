//! Tables in CSV: columns by name or number, classes from strings or numbers, errors by row and column.

mod budget;
mod cells;
mod columns;
mod labels;
mod number;
mod roles;
mod table;

use crate::source::Content;
use crate::{ArrayDataset, DataError, Result, foreign};
use cells::{Cells, Fault};
use std::io::Read;
use std::path::Path;
use table::Table;

/// The numbers of categories are `f32`, which counts no further.
const MOST_CATEGORIES: usize = 1 << f32::MANTISSA_DIGITS;

/// How errors call the reader.
const NAME: &str = "CsvReader";

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Column {
    /// By its name in the header.
    Name(String),
    /// By its position, counted from 0.
    Index(usize),
    /// The last one.
    Last,
}

impl From<&str> for Column {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Column {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for Column {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// What to do with a feature whose cell is empty or says that the value is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingValues {
    /// Fail and name the cell.
    #[default]
    Refuse,
    /// Deliver NaN, for [`SimpleImputer`](crate::SimpleImputer) to fill.
    Nan,
}

/// Reads a CSV file, plain or gzip (told apart by content), into an [`ArrayDataset`].
///
/// All columns that are not a target and not [ignored](Self::ignore) are features. Cells are UTF-8 and are trimmed, and
/// at most a megabyte long unless they are ignored; quotes are as in RFC 4180, and blanks may surround them; empty lines
/// are skipped.
///
/// Numbers are written with a point, and must fit in an `f32`. Fractions round to the nearest one; a number of 2²⁴ =
/// 16,777,216 or more that would change by a unit or more (an identifier, a time in seconds), and one so small that it
/// would become zero, are errors, unless [`round_to_f32`](Self::round_to_f32) accepts that. Numbers written by programs
/// that hold `f32` themselves are read as these wrote them.
///
/// ```
/// use osnova_data::{CsvReader, Dataset};
///
/// let text = "length,width,species\n5.1,3.5,setosa\n6.2,2.9,versicolor\n4.9,3.0,setosa\n";
/// let data = CsvReader::new().target_classes("species").read_from(text.as_bytes(), "iris.csv")?;
/// assert_eq!(data.features(), [5.1, 3.5, 6.2, 2.9, 4.9, 3.0]);
/// assert_eq!(data.class_indices(), Some(&[0, 1, 0][..]));
/// assert_eq!(data.class_names().unwrap(), ["setosa", "versicolor"]);
///
/// let error = CsvReader::new().read_from("a,b\n1,2\n3,four\n".as_bytes(), "bad.csv").unwrap_err();
/// assert!(error.to_string().starts_with("bad.csv, row 3, column 2 \"b\": \"four\" is not a number"));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CsvReader {
    /// `None` is a header, unless it looks like data.
    has_header: Option<bool>,
    delimiter: u8,
    class_target: Option<Column>,
    value_targets: Option<Vec<Column>>,
    features: Option<Vec<Column>>,
    ignore: Vec<Column>,
    categorical: Vec<Column>,
    missing: MissingValues,
    missing_markers: Vec<String>,
    classes: Option<Vec<String>>,
    round_to_f32: bool,
    max_bytes: u64,
    max_columns: usize,
    /// The most labels of a categorical feature, less only in a test.
    most_categories: usize,
}

impl Default for CsvReader {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvReader {
    /// A reader of comma-separated tables with a header and no target, of at most 4 GiB and 2²⁰ columns.
    pub fn new() -> Self {
        Self {
            has_header: None,
            delimiter: b',',
            class_target: None,
            value_targets: None,
            features: None,
            ignore: Vec::new(),
            categorical: Vec::new(),
            missing: MissingValues::Refuse,
            missing_markers: ["", "NA", "N/A", "NaN", "nan", "null", "?"].map(String::from).to_vec(),
            classes: None,
            round_to_f32: false,
            max_bytes: 4 << 30,
            max_columns: 1 << 20,
            most_categories: MOST_CATEGORIES,
        }
    }

    /// Whether the first line names the columns. Without this it does, but a first line that looks like data (a name is
    /// a fraction or negative, or all are whole numbers and some are the same) is an error, so that no row is lost.
    pub fn has_header(mut self, has_header: bool) -> Self {
        self.has_header = Some(has_header);
        self
    }

    /// The ASCII character between cells, such as `b';'` or `b'\t'`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Takes this column as the class. Its labels, strings or numbers, become indices in sorted order (by value if all
    /// are numbers) and the names of the classes.
    pub fn target_classes(mut self, column: impl Into<Column>) -> Self {
        self.class_target = Some(column.into());
        self
    }

    /// Fixes the classes and their order, so that several files agree; any other label is an error.
    pub fn classes<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.classes = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Takes these columns as target numbers.
    pub fn target_values<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.value_targets = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Takes only these columns as features, in this order.
    pub fn features<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.features = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves these columns out.
    pub fn ignore<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.ignore = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Takes these features as categories: their labels become the numbers 0, 1, … in sorted order, for
    /// [`OneHotEncoder`](crate::OneHotEncoder); [`ArrayDataset::categories`] tells which is which. At most 2²⁴ = 16,777,216
    /// labels, for these numbers are `f32`.
    pub fn categorical<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.categorical = columns.into_iter().map(Into::into).collect();
        self
    }

    /// What to do with missing features. A missing target is always an error.
    pub fn missing_values(mut self, missing: MissingValues) -> Self {
        self.missing = missing;
        self
    }

    /// The cells that mean "missing"; by default empty, `NA`, `N/A`, `NaN`, `nan`, `null` and `?`.
    pub fn missing_markers<S: Into<String>>(mut self, markers: impl IntoIterator<Item = S>) -> Self {
        self.missing_markers = markers.into_iter().map(|marker| marker.into().trim().to_owned()).collect();
        self
    }

    /// Accepts numbers that an `f32` does not hold, whatever that loses: 1700000001 and 1700000050 both become
    /// 1700000000, and 1e-50 becomes 0. (Too large ones stay errors.)
    pub fn round_to_f32(mut self, round: bool) -> Self {
        self.round_to_f32 = round;
        self
    }

    /// Accepts tables of up to this many bytes: of text, decompressed, and, beyond the first megabyte, of what is kept of
    /// it (4 bytes a feature or target number, 8 a row, 64 and the text for each distinct label, 96 and the name for each
    /// column). Vectors grow by doubling, so a table takes at most four times the limit while it is read.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Accepts tables of up to this many columns.
    pub fn max_columns(mut self, max_columns: usize) -> Self {
        self.max_columns = max_columns;
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be read or is no regular file, [`DataError::TooLarge`] beyond the limit,
    /// [`DataError::OutOfMemory`] if there is no memory for it, [`DataError::Argument`] if the options contradict each
    /// other, [`DataError::Table`] for what is wrong in it: no rows, rows of different length, a quote that is not closed
    /// or has text behind it, text that is not UTF-8, a cell that is not a number or one that an `f32` does not hold, a
    /// missing value, a column that does not exist or has two roles, a label outside [`classes`](Self::classes).
    pub fn read(&self, path: impl AsRef<Path>) -> Result<ArrayDataset> {
        let path = path.as_ref();
        self.read_content(Content::open(path)?, path, true)
    }

    /// Reads from anything; `name` stands for the file in errors and in the source record.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_from(&self, reader: impl Read, name: &str) -> Result<ArrayDataset> {
        let path = Path::new(name);
        self.read_content(Content::new(reader, path)?, path, false)
    }

    fn read_content<R: Read>(&self, content: Content<R>, path: &Path, is_file: bool) -> Result<ArrayDataset> {
        roles::check(self)?;
        // One byte more than allowed, to tell "exactly the limit" from "more".
        let mut cells = Cells::new(content.take(self.max_bytes.saturating_add(1)), self.delimiter);
        let table = self.read_rows(&mut cells, path);
        let limited = cells.into_inner();
        if limited.limit() == 0 {
            // Whatever else is wrong may come from the cut.
            let bytes = Some(self.max_bytes.saturating_add(1));
            return Err(DataError::TooLarge { file: path.to_owned(), bytes, limit: self.max_bytes });
        }
        let problem = match table? {
            Some(table) if table.rows > 0 => return table.finish(limited.into_inner().finish(path, is_file)?),
            Some(_) => "there is a header but no row",
            None => "the file is empty",
        };
        let advice = "Check that this is the right file; if its first line is data, use `has_header(false)`";
        Err(whole_file(path, problem.to_owned(), advice))
    }

    fn read_rows<'a, R: Read>(&'a self, cells: &mut Cells<R>, path: &'a Path) -> Result<Option<Table<'a>>> {
        let fault = |fault| match fault {
            Fault::Io(error) => DataError::io(path, error),
            _ => unreachable!("a fault of a cell, between rows"),
        };
        if let Some(foreign) = foreign::no_utf8_text(cells.beginning(foreign::START).map_err(fault)?) {
            return Err(whole_file(path, format!("the file is {}", foreign.what), foreign.advice));
        }
        cells.skip_byte_order_mark();
        if !cells.next_row().map_err(fault)? {
            return Ok(None);
        }
        let mut table = Table::new(self, path, cells)?;
        while cells.next_row().map_err(fault)? {
            table.push(cells)?;
        }
        Ok(Some(table))
    }
}

/// The error of a file that as a whole is not what it should be.
fn whole_file(path: &Path, problem: String, advice: &str) -> DataError {
    DataError::Table { file: path.to_owned(), row: None, column: None, problem, advice: advice.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    #[test]
    fn more_categories_than_f32_counts_are_refused() {
        // Every number of a category is held, and the next one would not be.
        let held = |number: usize| number as f32 as usize == number;
        assert!((MOST_CATEGORIES - 5..=MOST_CATEGORIES).all(held) && !held(MOST_CATEGORIES + 1));
        let reader = CsvReader { most_categories: 3, ..CsvReader::new().has_header(false).categorical([0]) };
        let read = |text: &str| reader.read_from(text.as_bytes(), "t.csv");
        assert_eq!(read("a\nc\nb\na\nb\n").unwrap().features(), [0.0, 2.0, 1.0, 0.0, 1.0]);
        let error = read("a\nc\nb\na\nd\n").unwrap_err().to_string();
        assert!(error.starts_with("t.csv, row 5, column 1: this is category number 4: 32-bit numbers"), "{error}");
        // Classes are whole numbers of 64 bits, and need no such limit.
        let classes = CsvReader { most_categories: 3, ..CsvReader::new().has_header(false).target_classes(1) };
        let text = "0,a\n0,b\n0,c\n0,d\n";
        assert_eq!(classes.read_from(text.as_bytes(), "t.csv").unwrap().class_count(), Some(4));
    }
}
