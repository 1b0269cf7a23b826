//! The first batches: are the features scaled, and does one of them hold the label?

use super::diagnosis::{Disease, Finding, Place, Severity};
use crate::Result;
use osnova_data::TensorBatch;
use serde::{Deserialize, Serialize};

/// The root mean square of all features above which they are too large. Standardised features have 1, pixels from 0 to 1
/// about 0.4.
const LARGE: f64 = 5.0;
/// That of a single feature.
const LARGE_FEATURE: f64 = 50.0;
/// That of the largest feature below which all are too small.
const SMALL: f64 = 0.02;
/// The part of a feature's variance that the label explains, from which on the feature holds the label.
const EXPLAINED: f64 = 0.9999;
/// Batches in which it must do so.
const BATCHES: usize = 2;
/// Elements of a batch that are looked at.
const ELEMENTS: usize = 1 << 22;

/// What the first batches have shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Inputs {
    samples: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
    /// The features that the label explained in every batch so far that could tell.
    explained: Option<Vec<usize>>,
    batches: usize,
}

/// The label of a sample: a class, or numbers.
enum Labels {
    Classes(Vec<i64>),
    Numbers(Vec<f64>, usize),
}

impl Inputs {
    /// Takes a batch; judges if it is the last one looked at.
    pub(super) fn look(&mut self, batch: &TensorBatch, last: bool) -> Result<Vec<Finding>> {
        let samples = batch.features.dims().first().copied().unwrap_or(0);
        let width = batch.features.count().checked_div(samples).unwrap_or(0);
        if !batch.features.dtype().is_float() || width == 0 {
            return Ok(Vec::new());
        }
        let rows = samples.min((ELEMENTS / width).max(1));
        let features = batch.features.narrow(0, 0, rows)?.to_host()?.to_f64();
        self.sums.resize(width, 0.0);
        self.squares.resize(width, 0.0);
        self.samples += rows as f64;
        for row in features.chunks_exact(width) {
            for ((value, sum), square) in row.iter().zip(&mut self.sums).zip(&mut self.squares) {
                *sum += value;
                *square += value * value;
            }
        }
        if let Some(targets) = &batch.targets {
            let values = targets.narrow(0, 0, rows)?.to_host()?.to_f64();
            let labels = if targets.dtype().is_index() {
                Labels::Classes(values.into_iter().map(|value| value as i64).collect())
            } else {
                let columns = values.len() / rows;
                Labels::Numbers(values, columns)
            };
            if let Some(explained) = labels.explain(&features, width) {
                self.batches = self.batches.saturating_add(1);
                self.explained = Some(match self.explained.take() {
                    Some(before) => before.into_iter().filter(|feature| explained.contains(feature)).collect(),
                    None => explained,
                });
            }
        }
        Ok(if last { self.judge().into_iter().chain(self.leaked()).collect() } else { Vec::new() })
    }

    /// Whether the features are scaled, as far as they have been seen.
    pub(super) fn judge(&self) -> Option<Finding> {
        if self.samples == 0.0 {
            return None;
        }
        let roots = || self.squares.iter().map(|square| (square / self.samples).sqrt());
        let all = (self.squares.iter().sum::<f64>() / self.samples / self.squares.len() as f64).sqrt();
        let (feature, largest) = roots().enumerate().max_by(|left, right| left.1.total_cmp(&right.1))?;
        let place = if all > LARGE || largest < SMALL {
            Place::Features
        } else if largest > LARGE_FEATURE {
            Place::Feature(feature)
        } else {
            return None;
        };
        if largest == 0.0 {
            return None;
        }
        let mean = self.sums[feature] / self.samples;
        let deviation = (largest * largest - mean * mean).max(0.0).sqrt();
        let text = format!(
            "the root mean square of the features is {all:.3e} in the first batches; the largest, feature {feature}, has \
             mean {mean:.3e} and deviation {deviation:.3e}, where 0 and 1 are wanted"
        );
        let advice = "`StandardScaler` or `MinMaxScaler`, fitted on the training part alone (`scaler.fit(&split.train)`); \
                      bytes of pixels divided by 255";
        let finding = Finding::new(Disease::UnscaledInputs, place, Severity::Warning, text, advice);
        let finding = finding.evidence("root mean square", all).evidence("mean", mean);
        Some(finding.evidence("deviation", deviation))
    }

    fn leaked(&self) -> Vec<Finding> {
        let explained = match &self.explained {
            Some(explained) if self.batches >= BATCHES => explained.as_slice(),
            _ => &[],
        };
        let finding = |&feature: &usize| {
            let text = format!(
                "the feature and the label tell each other: the label explains over {} % of the feature's variance in \
                 each of the first {} batches",
                100.0 * EXPLAINED,
                self.batches
            );
            let advice = "leaving the feature out, unless it will be known when the model is used; then a look for columns \
                          derived from the label";
            let place = Place::Feature(feature);
            Finding::new(Disease::LeakedLabels, place, Severity::Critical, text, advice)
                .evidence("batches", self.batches as f64)
        };
        // A one-hot label would fill the screen.
        explained.iter().take(3).map(finding).collect()
    }
}

impl Labels {
    /// The features whose variance the labels explain; `None` if the batch is too small to tell.
    fn explain(&self, features: &[f64], width: usize) -> Option<Vec<usize>> {
        match self {
            Self::Classes(classes) => {
                // A class with a single sample explains that sample whatever it is.
                let count = |class: i64| classes.iter().filter(|other| **other == class).count();
                let mut groups: Vec<i64> = classes.iter().copied().filter(|class| count(*class) > 1).collect();
                let members = groups.len();
                groups.sort_unstable();
                groups.dedup();
                if groups.len() < 2 || members < 2 * groups.len() {
                    return None;
                }
                // Sums of each feature by group, and of squares over all groups.
                let mut sums = vec![0.0; groups.len() * width];
                let mut counts = vec![0.0; groups.len()];
                let mut squares = vec![0.0; width];
                for (row, class) in features.chunks_exact(width).zip(classes) {
                    let Ok(group) = groups.binary_search(class) else { continue };
                    counts[group] += 1.0;
                    let sums = &mut sums[group * width..(group + 1) * width];
                    for ((value, sum), square) in row.iter().zip(sums).zip(&mut squares) {
                        *sum += value;
                        *square += value * value;
                    }
                }
                let explained = |feature: &usize| {
                    let group_sums = || sums.iter().skip(*feature).step_by(width);
                    let sum: f64 = group_sums().sum();
                    let between: f64 = group_sums().zip(&counts).map(|(sum, count)| sum * sum / count).sum();
                    let squares = squares[*feature];
                    is_explained(squares - sum * sum / members as f64, squares - between, squares)
                };
                Some((0..width).filter(explained).collect())
            }
            Self::Numbers(values, columns) => {
                let rows = features.len() / width;
                // A line through few points, or the only feature there is, may well be exact.
                if rows < 8 || width < 2 || *columns == 0 {
                    return None;
                }
                let explained = |feature: &usize| {
                    (0..*columns).any(|column| {
                        let pairs =
                            || (0..rows).map(|row| (features[row * width + feature], values[row * columns + column]));
                        let count = rows as f64;
                        let (x, y) = pairs().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
                        let (x, y) = (x / count, y / count);
                        let (mut xx, mut yy, mut xy, mut squares) = (0.0, 0.0, 0.0, 0.0);
                        for (a, b) in pairs() {
                            xx += (a - x) * (a - x);
                            yy += (b - y) * (b - y);
                            xy += (a - x) * (b - y);
                            squares += a * a;
                        }
                        yy > 0.0 && is_explained(xx, xx - xy * xy / yy, squares)
                    })
                };
                Some((0..width).filter(explained).collect())
            }
        }
    }
}

/// Whether next to nothing of a feature's variance is left. A constant feature has none to explain.
fn is_explained(total: f64, left: f64, squares: f64) -> bool {
    total > 1e-9 * squares && left <= (1.0 - EXPLAINED) * total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_any_function_of_the_class_is_found() {
        let labels = Labels::Classes(vec![0, 0, 1, 1, 2, 2]);
        // Constant, a permuted label, noise, a class's own noise.
        let rows = [[5.0, 7.0, 0.1, 0.0], [5.0, 7.0, 0.9, 0.0], [5.0, -1.0, 0.4, 0.0]];
        let more = [[5.0, -1.0, 0.5, 1.0], [5.0, 3.0, 0.7, 0.0], [5.0, 3.0, 0.2, 0.0]];
        let features: Vec<f64> = rows.into_iter().chain(more).flatten().collect();
        assert_eq!(labels.explain(&features, 4).unwrap(), [1]);
        // A sample a class tells nothing.
        assert!(Labels::Classes(vec![0, 1, 2]).explain(&features[..12], 4).is_none());
    }

    #[test]
    fn a_feature_on_a_line_with_the_target_is_found() {
        let rows: Vec<f64> = (0..10).flat_map(|row| [f64::from(row * row % 7), 3.0 - 2.0 * f64::from(row)]).collect();
        let labels = Labels::Numbers((0..10).map(f64::from).collect(), 1);
        assert_eq!(labels.explain(&rows, 2).unwrap(), [1]);
    }
}
