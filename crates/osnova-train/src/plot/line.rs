//! Curves over epochs or steps.

use std::io;
use std::path::Path;

use super::axes::{self, Axes, Data, LegendEntry, Symbol};
use super::scale::{Range, Spacing};
use super::{Series, series_color, svg};

/// A chart of one or more named curves over a common x axis.
///
/// A value that is not finite (on a logarithmic axis also one that is not positive) is a gap in
/// its curve.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    axes: Axes,
    series: Vec<Series>,
}

impl LineChart {
    /// An empty chart, 720 by 440 pixels.
    pub fn new(title: impl Into<String>) -> Self {
        Self { axes: Axes::new(title), series: Vec::new() }
    }

    /// Names the x axis.
    #[must_use]
    pub fn x_label(mut self, label: impl Into<String>) -> Self {
        self.axes.x_label = label.into();
        self
    }

    /// Names the y axis.
    #[must_use]
    pub fn y_label(mut self, label: impl Into<String>) -> Self {
        self.axes.y_label = label.into();
        self
    }

    /// Adds a curve through `(x, y)` points, in the order given.
    #[must_use]
    pub fn series(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series.push(Series::new(name, points));
        self
    }

    /// Adds a curve of one value an epoch; the first stands at x = 1.
    #[must_use]
    pub fn values(self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let points = values.into_iter().enumerate().map(|(index, value)| ((index + 1) as f64, value));
        self.series(name, points)
    }

    /// Adds a dashed vertical line at `x`, such as the best epoch; outside the curves' range it is
    /// not drawn.
    #[must_use]
    pub fn marker(mut self, label: impl Into<String>, x: f64) -> Self {
        self.axes.markers.push((label.into(), x));
        self
    }

    /// Makes the x axis logarithmic.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.axes.x_spacing = Spacing::Logarithmic;
        self
    }

    /// Makes the y axis logarithmic.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.axes.y_spacing = Spacing::Logarithmic;
        self
    }

    /// Fixes the y axis to `low..=high`, such as 0 to 1 for an accuracy. Ignored unless both are
    /// finite and `low < high` (and positive on a logarithmic axis).
    #[must_use]
    pub fn y_range(mut self, low: f64, high: f64) -> Self {
        self.axes.y_range = Some((low, high));
        self
    }

    /// Sets the size in pixels, between 280 × 220 and 10,000 × 10,000.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.axes.resize(width, height);
        self
    }

    /// The picture, as a complete SVG document.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (x_spacing, y_spacing) = (self.axes.x_spacing, self.axes.y_spacing);
        let shown = |point: &&(f64, f64)| x_spacing.shows(point.0) && y_spacing.shows(point.1);
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Range::of(points().filter(shown).map(|point| point.0), x_spacing);
        let y = Range::of(points().filter(shown).map(|point| point.1), y_spacing);
        let data = Data {
            x: x.map(|range| range.padded(0.02, x_spacing)),
            y: y.map(|range| range.padded(0.05, y_spacing)),
            whole_x: points().filter(shown).all(|point| point.0.fract() == 0.0),
            whole_y: false,
            legend: self.legend(),
            note: None,
        };
        axes::render(&self.axes, &data, |svg, plot| {
            for (index, series) in self.series.iter().enumerate() {
                let color = series_color(index);
                let curves = series.points.split(|point| !shown(&point)).filter(|curve| !curve.is_empty());
                // Dots show where the measurements are, until they would run together.
                let dotted = series.points.len() <= 40;
                for curve in curves {
                    let pixels: Vec<_> =
                        curve.iter().map(|point| (plot.x.position(point.0), plot.y.position(point.1))).collect();
                    if pixels.len() > 1 {
                        svg.polyline(&pixels, color, dash(index));
                    }
                    if dotted || pixels.len() == 1 {
                        for &(x, y) in &pixels {
                            svg.circle(x, y, 3.0, color, 1.0);
                        }
                    }
                }
            }
        })
    }

    /// Writes the picture to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; the message names it. Missing folders are not made.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        svg::save(path.as_ref(), &self.to_svg())
    }

    fn legend(&self) -> Vec<LegendEntry<'_>> {
        self.series
            .iter()
            .enumerate()
            .map(|(index, series)| LegendEntry {
                name: &series.name,
                color: series_color(index),
                symbol: Symbol::Line(dash(index)),
            })
            .collect()
    }
}

/// The dash pattern of a series: the colours repeat after ten, the pair does not before 40.
fn dash(index: usize) -> &'static str {
    ["", "7 4", "2 4", "9 4 2 4"][index / super::SERIES_COLORS.len() % 4]
}
