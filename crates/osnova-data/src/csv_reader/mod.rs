//! Tables in CSV: columns by name or number, classes from strings or numbers, errors by row and column.

mod lines;
mod table;

use crate::source::Content;
use crate::{ArrayDataset, DataError, Result};
use csv::ByteRecord;
use lines::Lines;
use std::io::{self, Cursor, Read};
use std::path::Path;
use table::Table;

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

#[derive(Clone, Debug)]
enum Target {
    None,
    Classes(Column),
    Values(Vec<Column>),
}

/// Reads a CSV file, plain or gzip (told apart by content), into an [`ArrayDataset`].
///
/// All columns that are not a target and not [ignored](Self::ignore) are features. Cells are UTF-8 and are trimmed;
/// quotes are as in RFC 4180; empty lines are skipped. Numbers are written with a point, and must fit in an `f32`.
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
    has_header: bool,
    delimiter: u8,
    target: Target,
    features: Option<Vec<Column>>,
    ignore: Vec<Column>,
    categorical: Vec<Column>,
    missing: MissingValues,
    missing_markers: Vec<String>,
    classes: Option<Vec<String>>,
    max_bytes: u64,
}

impl Default for CsvReader {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvReader {
    /// A reader of comma-separated tables with a header and no target, of at most 4 GiB.
    pub fn new() -> Self {
        Self {
            has_header: true,
            delimiter: b',',
            target: Target::None,
            features: None,
            ignore: Vec::new(),
            categorical: Vec::new(),
            missing: MissingValues::Refuse,
            missing_markers: ["", "NA", "N/A", "NaN", "nan", "null", "?"].map(String::from).to_vec(),
            classes: None,
            max_bytes: 4 << 30,
        }
    }

    /// Whether the first line names the columns.
    pub fn has_header(mut self, has_header: bool) -> Self {
        self.has_header = has_header;
        self
    }

    /// The byte between cells, such as `b';'` or `b'\t'`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Takes this column as the class. Its labels, strings or numbers, become indices in sorted order (by value if all
    /// are numbers) and the names of the classes.
    pub fn target_classes(mut self, column: impl Into<Column>) -> Self {
        self.target = Target::Classes(column.into());
        self
    }

    /// Fixes the classes and their order, so that several files agree; any other label is an error.
    pub fn classes<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.classes = Some(labels.into_iter().map(Into::into).collect());
        self
    }

    /// Takes these columns as target numbers.
    pub fn target_values<C: Into<Column>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.target = Target::Values(columns.into_iter().map(Into::into).collect());
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
    /// [`OneHotEncoder`](crate::OneHotEncoder); [`ArrayDataset::categories`] tells which is which.
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
        self.missing_markers = markers.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts tables of up to this many bytes, decompressed.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be read, [`DataError::TooLarge`] beyond the limit, [`DataError::Table`] for what is
    /// wrong in it: no rows, rows of different length, text that is not UTF-8, a cell that is not a number, a missing
    /// value, a column that does not exist, a label outside [`classes`](Self::classes).
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
        // One byte more than allowed, to tell "exactly the limit" from "more".
        let mut limited = content.take(self.max_bytes.saturating_add(1));
        let start = without_byte_order_mark(&mut limited).map_err(|error| DataError::io(path, error))?;
        let lines = Lines::new(Cursor::new(start).chain(limited));
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(self.delimiter).from_reader(lines);
        let table = self.read_records(&mut reader, path);
        let limited = reader.into_inner().inner.into_inner().1;
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
        Err(DataError::Table {
            file: path.to_owned(),
            row: None,
            column: None,
            problem: problem.to_owned(),
            advice: "Check that this is the right file; if its first line is data, use `has_header(false)`".to_owned(),
        })
    }

    fn read_records<'a, R: Read>(
        &'a self,
        reader: &mut csv::Reader<Lines<R>>,
        path: &'a Path,
    ) -> Result<Option<Table<'a>>> {
        let mut table = None;
        let mut record = ByteRecord::new();
        loop {
            let more = reader.read_byte_record(&mut record);
            let start = record.position().map_or(0, csv::Position::byte);
            let row = reader.get_mut().row_from(start);
            if !more.map_err(|error| csv_error(path, row, error))? {
                return Ok(table);
            }
            match &mut table {
                None => {
                    let mut new = Table::new(self, path, &record, row)?;
                    if !self.has_header {
                        new.push(&record, row)?;
                    }
                    table = Some(new);
                }
                Some(table) => table.push(&record, row)?,
            }
        }
    }
}

fn csv_error(path: &Path, row: u64, error: csv::Error) -> DataError {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DataError::io(path, source),
        _ => DataError::Table {
            file: path.to_owned(),
            row: Some(row),
            column: None,
            problem: text,
            advice: "Check the line".to_owned(),
        },
    }
}

/// The first bytes of a text, without UTF-8's byte order mark.
fn without_byte_order_mark(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(3);
    reader.by_ref().take(3).read_to_end(&mut start)?;
    if start == "\u{feff}".as_bytes() {
        start.clear();
    }
    Ok(start)
}
