//! Charts of a training run, as SVG files.
//!
//! [`LineChart`] draws curves over epochs or steps, [`ScatterChart`] points, [`Histogram`] a
//! distribution, [`Heatmap`] a matrix of numbers, [`ConfusionChart`] the counts of a classifier and
//! [`ContourChart`] paths over the level lines of a function. [`ImageGrid`] shows images, also as PNG, and [`Page`] puts it all
//! into one HTML file.
//! Each is built by chained calls, gives its picture by `to_svg` and writes it by `save`, which
//! never leaves half a file behind.
//!
//! ```
//! use osnova_train::plot::LineChart;
//!
//! let train = [0.9, 0.5, 0.3, 0.2];
//! let validation = [0.8, 0.5, 0.4, 0.45];
//! let chart = LineChart::new("Loss")
//!     .x_label("epoch")
//!     .y_label("cross-entropy")
//!     .values("train", train)
//!     .values("validation", validation)
//!     .marker("best epoch", 3.0);
//! assert!(chart.to_svg().starts_with("<svg"));
//! ```
//!
//! # What does not make a picture
//!
//! A chart never fails for its numbers. A value that is not finite is a gap in a line and is left
//! out of points and bars (a histogram says how many it left out); a matrix shows it as a grey cell. A chart without any
//! number says "no data". A text too long for its place is shortened with "…".
//!
//! # Why our own SVG
//!
//! Measured on two cores, release build, only the SVG backend enabled: `kuva` 0.6 costs 30 seconds,
//! a third of what the whole facade may take, for its seventy kinds of chart. `plotters` 0.3 costs
//! 3 seconds and four crates, but it places text by guess, has no legend outside the plot
//! and no confusion matrix, so most of the code here would stand beside it all the same. The facade
//! may have fewer than eighty crates; six kinds of chart are not worth four of them.

mod axes;
mod confusion;
mod contour;
mod grid;
mod heatmap;
mod histogram;
mod image_grid;
#[cfg(test)]
mod image_tests;
mod line;
mod page;
mod png;
mod scale;
mod scatter;
mod svg;
#[cfg(test)]
mod tests;

pub use confusion::ConfusionChart;
pub use contour::ContourChart;
pub use heatmap::Heatmap;
pub use histogram::Histogram;
pub use image_grid::{ImageGrid, ImageShape};
pub use line::LineChart;
pub use page::Page;
pub use scatter::ScatterChart;

/// The colours of series, in order: Okabe and Ito's, which colour-blind readers tell apart, and three of Tol's, for ten classes.
const SERIES_COLORS: [&str; 10] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#332288", "#882255", "#999933"];

/// One named series of points, as the charts with axes keep it.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect() }
    }
}

/// The colour of the series at `index`.
fn series_color(index: usize) -> &'static str {
    SERIES_COLORS[index % SERIES_COLORS.len()]
}
