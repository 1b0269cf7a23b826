//! A function of two variables by its level lines, and paths over it.

use std::io;
use std::path::Path;

use super::axes::{self, Axes, Data, LegendEntry, Plot, Symbol};
use super::grid::{blend, hex};
use super::scale::Range;
use super::svg::{INK, Segment, Svg};
use super::{Series, series_color, svg};

/// Cells along each axis that the level lines are found in.
const CELLS: usize = 72;
/// Level lines from low to high: dark where the valley is, but paler than any path.
const SHADES: [(u8, u8, u8); 2] = [(126, 138, 156), (222, 227, 233)];

/// A chart of the level lines of a function, with named paths over them: how an optimizer goes down a valley, say.
///
/// Each path begins at a ring and ends at a large dot. What leaves the ranges is cut off; a point that is not finite is
/// a gap.
///
/// ```
/// use osnova_train::plot::ContourChart;
///
/// let chart = ContourChart::new("A bowl", (-2.0, 2.0), (-1.0, 1.0), |x, y| x * x + 4.0 * y * y)
///     .path("by hand", [(-1.5, 0.8), (-0.5, 0.1), (0.0, 0.0)]);
/// assert!(chart.to_svg().contains("by hand"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ContourChart {
    axes: Axes,
    x: Range,
    y: Range,
    /// The function at the corners of the cells, row by row from low y.
    values: Vec<f64>,
    levels: usize,
    paths: Vec<Series>,
}

impl ContourChart {
    /// The level lines of `function` for x and y from low to high, 720 by 540 pixels. A range that is empty or not
    /// finite becomes 0 to 1.
    pub fn new(
        title: impl Into<String>,
        x: (f64, f64),
        y: (f64, f64),
        mut function: impl FnMut(f64, f64) -> f64,
    ) -> Self {
        let range = |(low, high): (f64, f64)| match low.is_finite() && high.is_finite() && low < high {
            true => Range { low, high },
            false => Range { low: 0.0, high: 1.0 },
        };
        let (x, y) = (range(x), range(y));
        let corners = (0..=CELLS).flat_map(|row| (0..=CELLS).map(move |column| (row, column)));
        let values = corners.map(|(row, column)| function(corner(x, column), corner(y, row))).collect();
        let mut axes = Axes::new(title);
        axes.resize(720, 540);
        Self { axes, x, y, values, levels: 14, paths: Vec::new() }
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

    /// How many level lines there are: 14 unless said otherwise. They stand closer to each other where the function is
    /// low, so that those of a quadratic valley are evenly spaced.
    #[must_use]
    pub fn levels(mut self, count: usize) -> Self {
        self.levels = count.min(100);
        self
    }

    /// Adds a path through `(x, y)` points.
    #[must_use]
    pub fn path(mut self, name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.paths.push(Series::new(name, points));
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
        let legend = self.paths.iter().enumerate().map(|(index, path)| LegendEntry {
            name: &path.name,
            color: series_color(index),
            symbol: Symbol::Line(""),
        });
        let data = Data {
            x: Some(self.x),
            y: Some(self.y),
            whole_x: false,
            whole_y: false,
            legend: legend.collect(),
            note: None,
        };
        axes::render(&self.axes, &data, |svg, plot| {
            self.draw_levels(svg, plot);
            for (index, path) in self.paths.iter().enumerate() {
                draw_path(svg, plot, path, series_color(index));
            }
        })
    }

    fn draw_levels(&self, svg: &mut Svg, plot: &Plot) {
        let finite = || self.values.iter().copied().filter(|value| value.is_finite());
        let (low, high) =
            finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        for index in 1..=self.levels {
            let part = index as f64 / (self.levels + 1) as f64;
            let level = low + (high - low) * part * part;
            let segments = segments(&self.values, self.x, self.y, level);
            let pixels = |(x, y): (f64, f64)| (plot.x.position(x), plot.y.position(y));
            let pixels: Vec<Segment> = segments.into_iter().map(|(from, to)| (pixels(from), pixels(to))).collect();
            svg.segments(&pixels, &hex(blend(&SHADES, part)), 1.0);
        }
    }

    /// Writes the picture to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; the message names it. Missing folders are not made.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        svg::save(path.as_ref(), &self.to_svg())
    }
}

fn draw_path(svg: &mut Svg, plot: &Plot, path: &Series, color: &str) {
    let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let pixels = |point: &(f64, f64)| (plot.x.position(point.0), plot.y.position(point.1));
    for piece in path.points.split(|point| !finite(point)).filter(|piece| !piece.is_empty()) {
        let piece: Vec<(f64, f64)> = piece.iter().map(pixels).collect();
        if piece.len() > 1 {
            svg.polyline(&piece, color, "");
        }
        for &(x, y) in &piece {
            svg.circle(x, y, 2.4, color, 1.0);
        }
    }
    let mut ends = path.points.iter().filter(|point| finite(point)).map(pixels);
    if let Some((x, y)) = ends.next() {
        svg.circle(x, y, 6.0, INK, 1.0);
        svg.circle(x, y, 4.0, "#ffffff", 1.0);
    }
    if let Some((x, y)) = ends.next_back() {
        svg.circle(x, y, 5.5, color, 1.0);
    }
}

/// The coordinate of a corner of the cells.
fn corner(range: Range, index: usize) -> f64 {
    let part = index as f64 / CELLS as f64;
    range.low * (1.0 - part) + range.high * part
}

/// Where the function, between its values at the corners, has the level: marching squares. Cells with a value that is
/// not finite have no line.
fn segments(values: &[f64], x: Range, y: Range, level: f64) -> Vec<Segment> {
    let mut segments = Vec::new();
    for row in 0..CELLS {
        for column in 0..CELLS {
            // Around the cell, so that neighbours share an edge.
            let corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
                .map(|(row, column)| (corner(x, column), corner(y, row), values[row * (CELLS + 1) + column]));
            if corners.iter().any(|corner| !corner.2.is_finite()) {
                continue;
            }
            let crossing = |index: usize| {
                let (from, to) = (corners[index], corners[(index + 1) % 4]);
                ((from.2 < level) != (to.2 < level)).then(|| {
                    let part = (level - from.2) / (to.2 - from.2);
                    (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part)
                })
            };
            // A saddle has four crossings: the pairs do not cross each other.
            let crossings: Vec<(f64, f64)> = (0..4).filter_map(crossing).collect();
            segments.extend(crossings.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(function: impl FnMut(f64, f64) -> f64, level: f64) -> Vec<Segment> {
        let chart = ContourChart::new("", (-1.0, 1.0), (-1.0, 1.0), function);
        segments(&chart.values, chart.x, chart.y, level)
    }

    #[test]
    fn the_level_lines_of_a_bowl_are_circles_without_gaps() {
        let circle = lines(|x, y| x * x + y * y, 0.49);
        let length: f64 = circle.iter().map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1)).sum();
        assert!((length - 1.4 * std::f64::consts::PI).abs() < 0.01, "{length}");
        for (from, to) in circle {
            assert!((from.0.hypot(from.1) - 0.7).abs() < 1e-3 && (to.0.hypot(to.1) - 0.7).abs() < 1e-3);
        }
    }

    #[test]
    fn a_plane_has_straight_lines_and_a_hole_has_none() {
        let line = lines(|x, _| x, 0.5);
        assert_eq!(line.len(), CELLS);
        assert!(line.iter().all(|(from, to)| (from.0 - 0.5).abs() < 1e-12 && (to.0 - 0.5).abs() < 1e-12));
        assert!(lines(|_, _| f64::NAN, 0.0).is_empty() && lines(|_, _| 1.0, 1.0).is_empty());
    }

    #[test]
    fn nothing_makes_it_fail() {
        let path = [(f64::NAN, 0.0), (1e300, -1e300), (0.0, f64::INFINITY), (0.5, 0.5)];
        for function in [|_: f64, _: f64| f64::INFINITY, |x: f64, y: f64| 1.0 / (x - y), |x: f64, _: f64| x * 1e308] {
            let chart = ContourChart::new("<&>", (0.0, 1.0), (f64::NAN, 1.0), function).path("a", path).path("b", []);
            let svg = chart.to_svg();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        }
    }
}
