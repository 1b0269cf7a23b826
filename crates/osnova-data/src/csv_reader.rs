//! Tables in CSV: columns by name or number, classes from strings or numbers, errors by row and column.

use crate::source::Content;
use crate::{ArrayDataset, DataError, Result, Source};
use csv::ByteRecord;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Cursor, Read};
use std::path::Path;

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

/// The first bytes of a text, without UTF-8's byte order mark.
fn without_byte_order_mark(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(3);
    reader.by_ref().take(3).read_to_end(&mut start)?;
    if start == "\u{feff}".as_bytes() {
        start.clear();
    }
    Ok(start)
}

/// A reader that knows on which line each piece of text stands. The `csv` crate's own line numbers do not count empty
/// lines before a record, and lag behind where lines end in CR LF.
struct Lines<R> {
    inner: R,
    offset: u64,
    line: u64,
    line_is_empty: bool,
    after_carriage_return: bool,
    /// Offset of the first byte and number of every line that is not empty, from the current record on.
    starts: VecDeque<(u64, u64)>,
}

impl<R> Lines<R> {
    fn new(inner: R) -> Self {
        let starts = VecDeque::new();
        Self { inner, offset: 0, line: 1, line_is_empty: true, after_carriage_return: false, starts }
    }

    /// The line of the first text at or after `offset`, which never decreases from call to call.
    fn row_from(&mut self, offset: u64) -> u64 {
        while self.starts.front().is_some_and(|&(start, _)| start < offset) {
            self.starts.pop_front();
        }
        self.starts.front().map_or(self.line, |&(_, line)| line)
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            match byte {
                b'\n' if self.after_carriage_return => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    self.line_is_empty = true;
                }
                _ if self.line_is_empty => {
                    self.line_is_empty = false;
                    self.starts.push_back((self.offset, self.line));
                }
                _ => {}
            }
            self.after_carriage_return = byte == b'\r';
            self.offset += 1;
        }
        Ok(count)
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
struct Table<'a> {
    options: &'a CsvReader,
    path: &'a Path,
    header: Option<Vec<String>>,
    roles: Vec<Role>,
    feature_columns: Vec<usize>,
    value_width: usize,
    rows: usize,
    features: Vec<f32>,
    values: Vec<f32>,
    class_numbers: Vec<usize>,
    class_labels: Labels,
    categories: BTreeMap<usize, Labels>,
}

impl<'a> Table<'a> {
    fn new(options: &'a CsvReader, path: &'a Path, first: &ByteRecord, row: u64) -> Result<Self> {
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

    fn push(&mut self, record: &ByteRecord, row: u64) -> Result<()> {
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

    fn finish(self, source: Source) -> Result<ArrayDataset> {
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
