//! Points in the plane.

use std::io;
use std::path::Path;

use super::axes::{self, Axes, Data, LegendEntry, Symbol};
use super::scale::{Range, Spacing};
use super::{Series, series_color, svg};

/// A chart of one or more named clouds of points, such as a two-dimensional embedding by class.
///
/// A point with a coordinate that is not finite is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterChart {
    axes: Axes,
    series: Vec<Series>,
}

impl ScatterChart {
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

    /// Adds a cloud of `(x, y)` points.
    #[must_use]
    pub fn series(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series.push(Series::new(name, points));
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
        let shown = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let points = || self.series.iter().flat_map(|series| &series.points);
        let range = |coordinate: fn(&(f64, f64)) -> f64| {
            Range::of(points().filter(shown).map(coordinate), Spacing::Linear)
                .map(|range| range.padded(0.05, Spacing::Linear))
        };
        let legend = self.series.iter().enumerate().map(|(index, series)| {
            let color = series_color(index);
            LegendEntry { name: &series.name, color, symbol: Symbol::Dot }
        });
        let data = Data {
            x: range(|point| point.0),
            y: range(|point| point.1),
            whole_x: false,
            whole_y: false,
            legend: legend.collect(),
            note: None,
        };
        // Many points overlap; they are smaller and let those below shine through.
        let count = points().count();
        let (radius, opacity) = match count {
            0..=200 => (3.5, 0.85),
            201..=2000 => (2.5, 0.6),
            _ => (1.6, 0.45),
        };
        axes::render(&self.axes, &data, |svg, plot| {
            for (index, series) in self.series.iter().enumerate() {
                for point in series.points.iter().filter(shown) {
                    let (x, y) = (plot.x.position(point.0), plot.y.position(point.1));
                    svg.circle(x, y, radius, series_color(index), opacity);
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
}
