//! A matrix of numbers, by colour.

use std::io;
use std::path::Path;

use super::grid::{Cell, Grid, Key, Rgb, blend};
use super::scale::{Range, Spacing, label_one};
use super::svg;

/// Viridis, in nine steps: even to the eye, readable in grey and to colour-blind readers.
const VIRIDIS: [Rgb; 9] = [
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
];

/// A chart of a matrix of numbers as coloured cells, with a colour key.
///
/// A value that is not finite, or missing because its row is shorter than the others, is a grey
/// cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    title: String,
    rows: Vec<Vec<f64>>,
    x_label: String,
    y_label: String,
    row_names: Vec<String>,
    column_names: Vec<String>,
    decimals: Option<usize>,
    range: Option<(f64, f64)>,
}

impl Heatmap {
    /// A chart of `rows`, the first at the top.
    pub fn new<Row>(title: impl Into<String>, rows: impl IntoIterator<Item = Row>) -> Self
    where
        Row: IntoIterator<Item = f64>,
    {
        Self {
            title: title.into(),
            rows: rows.into_iter().map(|row| row.into_iter().collect()).collect(),
            x_label: String::new(),
            y_label: String::new(),
            row_names: Vec::new(),
            column_names: Vec::new(),
            decimals: None,
            range: None,
        }
    }

    /// Names the axis along the columns.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.x_label = label.into();
        self
    }

    /// Names the axis along the rows.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.y_label = label.into();
        self
    }

    /// Names the rows; rows beyond the names show their index.
    #[must_use]
    pub fn row_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.row_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Names the columns; columns beyond the names show their index.
    #[must_use]
    pub fn column_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.column_names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Writes each value into its cell with so many decimals, where it can be read at that size.
    #[must_use]
    pub fn annotate(mut self, decimals: usize) -> Self {
        self.decimals = Some(decimals.min(10));
        self
    }

    /// Fixes the ends of the colour key, such as -1 and 1 for correlations. Ignored unless both
    /// are finite and `low < high`.
    #[must_use]
    pub fn color_range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// The picture, as a complete SVG document.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let rows = if columns == 0 { 0 } else { self.rows.len() };
        let row_names = names(&self.row_names, rows);
        let column_names = names(&self.column_names, columns);
        let fixed = self
            .range
            .filter(|(low, high)| low.is_finite() && high.is_finite() && low < high)
            .map(|(low, high)| Range { low, high });
        let found = Range::of(self.rows.iter().flatten().copied(), Spacing::Linear);
        let range = fixed.or(found);
        let part = |value: f64, range: Range| {
            let width = range.high / 2.0 - range.low / 2.0;
            if width > 0.0 { (value / 2.0 - range.low / 2.0) / width } else { 0.5 }
        };
        let mut cells = Vec::with_capacity(rows * columns);
        for (row, row_name) in self.rows.iter().zip(&row_names) {
            for (column, column_name) in column_names.iter().enumerate() {
                let value = row.get(column).copied().unwrap_or(f64::NAN);
                let finite = range.filter(|_| value.is_finite());
                cells.push(Cell {
                    color: finite.map(|range| blend(&VIRIDIS, part(value, range))),
                    text: match (self.decimals, finite) {
                        (Some(decimals), Some(_)) => format!("{value:.decimals$}"),
                        _ => String::new(),
                    },
                    muted: false,
                    tooltip: format!("{row_name}, {column_name}: {value}"),
                });
            }
        }
        let key = range.filter(|_| rows > 0).map(|range| {
            let step = ((range.high / 2.0 - range.low / 2.0) / 50.0).max(f64::MIN_POSITIVE);
            let label = |value: f64| {
                let step = if range.low < range.high { step } else { value.abs() / 100.0 };
                label_one(value, step)
            };
            Key { low: label(range.low), high: label(range.high), color: |part| blend(&VIRIDIS, part) }
        });
        Grid {
            title: &self.title,
            note: None,
            x_label: &self.x_label,
            y_label: &self.y_label,
            row_names,
            column_names,
            cells,
            key,
        }
        .render()
    }

    /// Writes the picture to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; the message names it. Missing folders are not made.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        svg::save(path.as_ref(), &self.to_svg())
    }
}

/// `count` names: those given, then indices.
pub(super) fn names(given: &[String], count: usize) -> Vec<String> {
    (0..count).map(|index| given.get(index).cloned().unwrap_or_else(|| index.to_string())).collect()
}
