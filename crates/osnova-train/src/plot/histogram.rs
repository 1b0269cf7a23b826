//! The distribution of a set of numbers.

use std::io;
use std::path::Path;

use super::axes::{self, Axes, Data};
use super::scale::{Range, Spacing};
use super::{series_color, svg};

/// The most bars a chart draws: more would be thinner than a pixel.
const MOST_BINS: usize = 400;

/// A bar chart of how many values fall into each of several equal intervals.
///
/// Intervals are half open, `[low, high)`, but for the last, which has its upper end too. Values
/// that are not finite are left out, and a line under the title says how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    axes: Axes,
    values: Vec<f64>,
    bins: Option<usize>,
}

impl Histogram {
    /// The distribution of `values`, 720 by 440 pixels; the y axis is named "count".
    pub fn new(title: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let mut axes = Axes::new(title);
        axes.y_label = "count".to_owned();
        Self { axes, values: values.into_iter().collect(), bins: None }
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

    /// Sets the number of intervals, 1 to 400. Without it the Freedman–Diaconis rule decides:
    /// a width of `2 · IQR / n^(1/3)`.
    #[must_use]
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = Some(bins.clamp(1, MOST_BINS));
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
        let mut finite: Vec<f64> = self.values.iter().copied().filter(|value| value.is_finite()).collect();
        finite.sort_by(f64::total_cmp);
        let left_out = self.values.len() - finite.len();
        let range = Range::of(finite.iter().copied(), Spacing::Linear).map(|range| range.padded(0.0, Spacing::Linear));
        let bins = self.bins.unwrap_or_else(|| freedman_diaconis(&finite));
        let counts = range.map_or_else(Vec::new, |range| count(&finite, range, bins));
        let most = counts.iter().copied().max().unwrap_or(0);
        let data = Data {
            x: range.map(|range| range.padded(0.02, Spacing::Linear)),
            y: range.map(|_| Range { low: 0.0, high: most as f64 * 1.05 }),
            whole_x: false,
            whole_y: true,
            legend: Vec::new(),
            note: (left_out > 0).then(|| match left_out {
                1 => "1 value that is not finite is left out".to_owned(),
                several => format!("{several} values that are not finite are left out"),
            }),
        };
        axes::render(&self.axes, &data, |svg, plot| {
            let Some(range) = range else { return };
            let edge = |index: usize| plot.x.position(bin_edge(range, bins, index));
            for (index, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let (from, to) = (edge(index), edge(index + 1));
                let top = plot.y.position(count as f64);
                // A pixel between bars, as long as there are pixels to spare.
                let gap = if to - from > 4.0 { 1.0 } else { 0.0 };
                let tooltip =
                    format!("{:.4} to {:.4}: {count}", bin_edge(range, bins, index), bin_edge(range, bins, index + 1));
                svg.rect(from, top, to - from - gap, plot.bottom() - top, series_color(0), Some(&tooltip));
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

/// The number of intervals by the Freedman–Diaconis rule, 5 to 100.
fn freedman_diaconis(sorted: &[f64]) -> usize {
    let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else {
        return 1;
    };
    let quantile = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    let width = 2.0 * (quantile(0.75) - quantile(0.25)) / (sorted.len() as f64).cbrt();
    let bins = (high - low) / width;
    // A width of zero or a range that overflows: fall back on Sturges's rule.
    let bins = if bins.is_finite() { bins } else { (sorted.len() as f64).log2() + 1.0 };
    bins.ceil().clamp(5.0, 100.0) as usize
}

fn bin_edge(range: Range, bins: usize, index: usize) -> f64 {
    let part = index as f64 / bins as f64;
    range.low * (1.0 - part) + range.high * part
}

fn count(finite: &[f64], range: Range, bins: usize) -> Vec<usize> {
    let mut counts = vec![0; bins];
    for &value in finite {
        // Halves keep the difference of huge numbers finite.
        let part = (value / 2.0 - range.low / 2.0) / (range.high / 2.0 - range.low / 2.0);
        let index = (part * bins as f64) as usize;
        counts[index.min(bins - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_once_and_the_last_edge_belongs_to_the_last_bin() {
        let range = Range { low: 0.0, high: 4.0 };
        let counts = count(&[0.0, 0.5, 1.0, 2.0, 3.9, 4.0], range, 4);
        assert_eq!(counts, [2, 1, 1, 2]);
    }

    #[test]
    fn the_rule_agrees_with_its_formula() {
        // 0..=999: IQR 749 - 250 (nearest ranks), width 2·499/10, range 999: 10.01 widths.
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(freedman_diaconis(&values), 11);
        assert_eq!(freedman_diaconis(&[]), 1);
        assert_eq!(freedman_diaconis(&[3.0; 8]), 5);
    }
}
