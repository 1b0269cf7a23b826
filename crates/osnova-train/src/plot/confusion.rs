//! What a classifier took for what.

use std::io;
use std::path::Path;

use super::grid::{Cell, Grid, Rgb, blend};
use super::heatmap::names;
use super::svg;

/// White to dark blue, through colours of evenly falling lightness.
const BLUES: [Rgb; 5] = [(247, 251, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107)];

/// A chart of a confusion matrix: rows are true classes, columns predicted ones.
///
/// Each cell shows its count and is coloured by its share of its row, so a rare class is as
/// readable as a frequent one. A line under the title gives the accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionChart {
    title: String,
    class_names: Vec<String>,
    counts: Vec<Vec<u64>>,
}

impl ConfusionChart {
    /// A chart of `counts[true class][predicted class]`. The matrix is as large as its longest
    /// side or the number of names; missing counts are 0 and missing names the class's index.
    pub fn new<Row>(
        title: impl Into<String>,
        class_names: impl IntoIterator<Item = impl Into<String>>,
        counts: impl IntoIterator<Item = Row>,
    ) -> Self
    where
        Row: IntoIterator<Item = u64>,
    {
        Self {
            title: title.into(),
            class_names: class_names.into_iter().map(Into::into).collect(),
            counts: counts.into_iter().map(|row| row.into_iter().collect()).collect(),
        }
    }

    /// The picture, as a complete SVG document.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let longest_row = self.counts.iter().map(Vec::len).max().unwrap_or(0);
        let classes = longest_row.max(self.counts.len()).max(self.class_names.len());
        let names = names(&self.class_names, classes);
        let count = |row: usize, column: usize| -> u64 {
            let row = self.counts.get(row);
            row.and_then(|row| row.get(column)).copied().unwrap_or(0)
        };
        let mut cells = Vec::with_capacity(classes * classes);
        let (mut correct, mut total) = (0u128, 0u128);
        for row in 0..classes {
            let in_row: u128 = (0..classes).map(|column| u128::from(count(row, column))).sum();
            total += in_row;
            correct += u128::from(count(row, row));
            for column in 0..classes {
                let here = count(row, column);
                let share = here as f64 / in_row.max(1) as f64;
                cells.push(Cell {
                    color: Some(blend(&BLUES, share)),
                    text: here.to_string(),
                    muted: here == 0,
                    tooltip: format!(
                        "true {}, predicted {}: {here} ({:.1} %)",
                        names[row],
                        names[column],
                        share * 100.0
                    ),
                });
            }
        }
        let note = (total > 0).then(|| {
            let accuracy = correct as f64 / total as f64 * 100.0;
            format!("{correct} of {total} right, {accuracy:.2} %; colour: share of the row")
        });
        Grid {
            title: &self.title,
            note,
            x_label: "predicted",
            y_label: "true",
            row_names: names.clone(),
            column_names: names,
            cells,
            key: None,
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
