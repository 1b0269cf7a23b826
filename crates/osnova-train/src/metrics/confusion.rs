//! The confusion matrix and what follows from it.

use super::check_lengths;
use crate::{Result, TrainError, text};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most characters of a class's name in a table.
const NAME_WIDTH: usize = 32;

/// How scores of single classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Over all decisions: every sample counts the same.
    Micro,
    /// The mean over classes: every class counts the same.
    Macro,
    /// The mean over classes by their number of samples.
    Weighted,
}

/// Precision, recall and F1 of one class (or an average).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Of the samples that were taken for this class, the share that is.
    pub precision: f64,
    /// Of the samples of this class, the share that was found.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// The number of samples of the class.
    pub support: u64,
}

/// How often samples of a class were taken for each class: `matrix[target][prediction]`.
///
/// A class that has neither samples nor predictions is left out of averages, and a share of nothing is 0, as in
/// scikit-learn.
///
/// ```
/// use osnova_train::metrics::{Average, ConfusionMatrix};
///
/// let matrix = ConfusionMatrix::of(&[0, 0, 1, 1], &[0, 1, 1, 1], 2)?;
/// assert_eq!(matrix.rows().collect::<Vec<_>>(), [[1, 1], [0, 2]]);
/// assert_eq!(matrix.accuracy()?, 0.75);
/// assert_eq!(matrix.recall(Average::Macro)?, 0.75);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// An empty matrix of this many classes.
    ///
    /// # Errors
    /// There are no classes, or more than memory holds a matrix of.
    pub fn new(classes: usize) -> Result<Self> {
        let operation = "ConfusionMatrix";
        if classes == 0 {
            return Err(TrainError::argument(operation, "there are 0 classes", "Give at least 1"));
        }
        // 16,384² counts are 2 GiB.
        if classes > 1 << 14 {
            return Err(TrainError::argument(
                operation,
                format!("a matrix of {classes} classes is too large"),
                "Use `accuracy`, or put classes together",
            ));
        }
        Ok(Self { classes, counts: vec![0; classes * classes] })
    }

    /// The matrix of these predictions.
    ///
    /// # Errors
    /// The lengths differ, there are no samples, or a class is out of range.
    pub fn of(targets: &[i64], predictions: &[i64], classes: usize) -> Result<Self> {
        check_lengths("ConfusionMatrix", targets.len(), predictions.len())?;
        let mut matrix = Self::new(classes)?;
        matrix.update(targets, predictions)?;
        Ok(matrix)
    }

    /// Counts more samples, such as the next batch.
    ///
    /// # Errors
    /// The lengths differ or a class is out of range; then nothing is counted.
    pub fn update(&mut self, targets: &[i64], predictions: &[i64]) -> Result<()> {
        if targets.len() != predictions.len() {
            check_lengths("ConfusionMatrix", targets.len(), predictions.len())?;
        }
        for (what, classes) in [("target", targets), ("prediction", predictions)] {
            if let Some(sample) = classes.iter().position(|&class| !(0..self.classes as i64).contains(&class)) {
                return Err(TrainError::argument(
                    "ConfusionMatrix",
                    format!("the {what} of sample {sample} is {}, not below {}", classes[sample], self.classes),
                    "Classes are indices from 0 to the number of classes less one",
                ));
            }
        }
        for (&target, &prediction) in targets.iter().zip(predictions) {
            self.counts[target as usize * self.classes + prediction as usize] += 1;
        }
        Ok(())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of samples of class `target` that were taken for `prediction`; `None` if there are no such classes.
    pub fn count(&self, target: usize, prediction: usize) -> Option<u64> {
        self.counts.chunks_exact(self.classes).nth(target)?.get(prediction).copied()
    }

    /// The rows, one a true class.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes)
    }

    /// The number of samples.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of samples on the diagonal.
    pub fn right(&self) -> u64 {
        self.counts.iter().step_by(self.classes + 1).sum()
    }

    /// The share of samples on the diagonal.
    ///
    /// # Errors
    /// There are no samples.
    pub fn accuracy(&self) -> Result<f64> {
        check_lengths("accuracy", self.samples() as usize, self.samples() as usize)?;
        Ok(self.right() as f64 / self.samples() as f64)
    }

    fn parts(&self, class: usize) -> (u64, u64, u64) {
        let right = self.counts[class * self.classes + class];
        let predicted: u64 = self.counts.iter().skip(class).step_by(self.classes).sum();
        let support: u64 = self.counts[class * self.classes..][..self.classes].iter().sum();
        (right, predicted, support)
    }

    /// The scores of one class; `None` if there is no such class.
    pub fn class(&self, class: usize) -> Option<ClassScores> {
        (class < self.classes).then(|| {
            let (right, predicted, support) = self.parts(class);
            scores(right, predicted, support)
        })
    }

    /// Precision, recall and F1, averaged. As in scikit-learn, the average of F1 is that of the classes' F1.
    ///
    /// # Errors
    /// There are no samples.
    pub fn scores(&self, average: Average) -> Result<ClassScores> {
        let samples = self.samples();
        check_lengths("ConfusionMatrix::scores", samples as usize, samples as usize)?;
        if average == Average::Micro {
            // Every wrong prediction is wrong for two classes, so all three are the accuracy.
            return Ok(scores(self.right(), samples, samples));
        }
        let mut sum = ClassScores { precision: 0.0, recall: 0.0, f1: 0.0, support: samples };
        let mut weights = 0.0;
        for class in 0..self.classes {
            let (right, predicted, support) = self.parts(class);
            if predicted == 0 && support == 0 {
                continue;
            }
            let weight = if average == Average::Macro { 1.0 } else { support as f64 };
            let class = scores(right, predicted, support);
            sum.precision += weight * class.precision;
            sum.recall += weight * class.recall;
            sum.f1 += weight * class.f1;
            weights += weight;
        }
        sum.precision /= weights;
        sum.recall /= weights;
        sum.f1 /= weights;
        Ok(sum)
    }

    /// [`scores`](Self::scores)' precision.
    ///
    /// # Errors
    /// There are no samples.
    pub fn precision(&self, average: Average) -> Result<f64> {
        Ok(self.scores(average)?.precision)
    }

    /// [`scores`](Self::scores)' recall.
    ///
    /// # Errors
    /// There are no samples.
    pub fn recall(&self, average: Average) -> Result<f64> {
        Ok(self.scores(average)?.recall)
    }

    /// [`scores`](Self::scores)' F1.
    ///
    /// # Errors
    /// There are no samples.
    pub fn f1(&self, average: Average) -> Result<f64> {
        Ok(self.scores(average)?.f1)
    }

    /// A table of every class's scores and their averages, like scikit-learn's `classification_report`. Classes without a
    /// name in `names` go by their number.
    ///
    /// # Errors
    /// There are no samples.
    pub fn report(&self, names: &[String]) -> Result<String> {
        let mut lines = vec![];
        for class in 0..self.classes {
            let (right, predicted, support) = self.parts(class);
            if predicted > 0 || support > 0 {
                lines.push((self.name(names, class), scores(right, predicted, support)));
            }
        }
        let accuracy = self.accuracy()?;
        let averages = [("macro avg", self.scores(Average::Macro)?), ("weighted avg", self.scores(Average::Weighted)?)];
        let width = lines.iter().map(|(name, _)| name.chars().count()).chain([12]).max().unwrap_or(12);
        let line = |name: &str, scores: &ClassScores| {
            let ClassScores { precision, recall, f1, support } = scores;
            format!("{name:>width$} {precision:>9.2} {recall:>9.2} {f1:>9.2} {support:>9}\n")
        };
        let mut report =
            format!("{:width$} {:>9} {:>9} {:>9} {:>9}\n\n", "", "precision", "recall", "f1-score", "support");
        lines.iter().for_each(|(name, scores)| report.push_str(&line(name, scores)));
        report.push_str(&format!("\n{:>width$} {:9} {:9} {accuracy:>9.2} {:>9}\n", "accuracy", "", "", self.samples()));
        averages.iter().for_each(|(name, scores)| report.push_str(&line(name, scores)));
        Ok(report)
    }

    /// The matrix as text, a row a true class, a column a predicted one. Classes without a name in `names` go by their
    /// number; 0 is a dot, so that what is wrong stands out.
    pub fn table(&self, names: &[String]) -> String {
        let names: Vec<String> = (0..self.classes).map(|class| self.name(names, class)).collect();
        let left = names.iter().map(|name| name.chars().count()).chain(["true".len()]).max().unwrap_or(4);
        let digits = self.counts.iter().max().map_or(1, |most| most.to_string().len());
        let right = names.iter().map(|name| name.chars().count()).chain([digits]).max().unwrap_or(1);
        let mut table = format!("{:>left$} │", "true");
        names.iter().for_each(|name| table.push_str(&format!(" {name:>right$}")));
        table.push_str("  ← predicted\n");
        table.push_str(&format!("{}─┼{}\n", "─".repeat(left), "─".repeat((right + 1) * self.classes)));
        for (name, row) in names.iter().zip(self.rows()) {
            table.push_str(&format!("{name:>left$} │"));
            for &count in row {
                let count = if count == 0 { "·".to_owned() } else { count.to_string() };
                table.push_str(&format!(" {count:>right$}"));
            }
            table.push('\n');
        }
        table
    }

    /// A class's name as it can stand in a table: what a file gave must neither break lines nor speak to the terminal.
    fn name(&self, names: &[String], class: usize) -> String {
        names.get(class).map_or_else(|| class.to_string(), |name| text::shown(name, NAME_WIDTH))
    }
}

fn scores(right: u64, predicted: u64, support: u64) -> ClassScores {
    let share = |of: u64, whole: u64| if whole == 0 { 0.0 } else { of as f64 / whole as f64 };
    ClassScores {
        precision: share(right, predicted),
        recall: share(right, support),
        f1: share(2 * right, predicted + support),
        support,
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(&[]))
    }
}

impl From<ConfusionMatrix> for Vec<Vec<u64>> {
    fn from(matrix: ConfusionMatrix) -> Self {
        matrix.rows().map(<[u64]>::to_vec).collect()
    }
}

impl TryFrom<Vec<Vec<u64>>> for ConfusionMatrix {
    type Error = String;

    fn try_from(rows: Vec<Vec<u64>>) -> Result<Self, String> {
        let classes = rows.len();
        if classes == 0 || rows.iter().any(|row| row.len() != classes) {
            return Err("a confusion matrix is square and not empty".to_owned());
        }
        if rows.iter().flatten().try_fold(0u64, |sum, &count| sum.checked_add(count)).is_none() {
            return Err("a confusion matrix counts no more than 2⁶⁴ samples".to_owned());
        }
        Ok(Self { classes, counts: rows.concat() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(left: ClassScores, right: [f64; 3]) {
        for (left, right) in [left.precision, left.recall, left.f1].into_iter().zip(right) {
            assert!((left - right).abs() < 1e-15, "{left} {right}");
        }
    }

    fn example() -> ConfusionMatrix {
        ConfusionMatrix::of(&[0, 1, 2, 2, 1, 0, 2, 1, 1, 3], &[0, 2, 2, 2, 1, 0, 1, 1, 0, 3], 4).unwrap()
    }

    #[test]
    fn values_are_scikit_learns() {
        let matrix = example();
        let rows: Vec<&[u64]> = matrix.rows().collect();
        assert_eq!(rows, [[2, 0, 0, 0], [1, 2, 1, 0], [0, 1, 2, 0], [0, 0, 0, 1]]);
        assert_eq!((matrix.count(1, 2), matrix.count(4, 0), matrix.count(0, 4)), (Some(1), None, None));
        close(matrix.scores(Average::Micro).unwrap(), [0.7, 0.7, 0.7]);
        close(matrix.scores(Average::Macro).unwrap(), [0.75, 0.7916666666666666, 0.7595238095238095]);
        close(matrix.scores(Average::Weighted).unwrap(), [0.7, 0.7, 0.6885714285714286]);
        close(matrix.class(1).unwrap(), [2.0 / 3.0, 0.5, 4.0 / 7.0]);
        assert_eq!(matrix.class(4), None);
    }

    #[test]
    fn absent_classes_are_treated_as_by_scikit_learn() {
        // 2 and 4 do not occur at all; 3 is never predicted.
        let matrix = ConfusionMatrix::of(&[0, 0, 1, 3], &[0, 1, 1, 1], 5).unwrap();
        close(matrix.scores(Average::Macro).unwrap(), [0.4444444444444444, 0.5, 0.38888888888888884]);
        close(matrix.scores(Average::Weighted).unwrap(), [0.5833333333333334, 0.5, 0.4583333333333333]);
    }

    #[test]
    fn the_report_is_scikit_learns() {
        let report = example().report(&[]).unwrap();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let expected = "precision recall f1-score support
            0 0.67 1.00 0.80 2
            1 0.67 0.50 0.57 4
            2 0.67 0.67 0.67 3
            3 1.00 1.00 1.00 1
            accuracy 0.70 10
            macro avg 0.75 0.79 0.76 10
            weighted avg 0.70 0.70 0.69 10";
        assert_eq!(words(&report), words(expected));
    }

    #[test]
    fn the_table_shows_what_is_wrong() {
        let matrix = ConfusionMatrix::of(&[0, 0, 1], &[0, 1, 1], 2).unwrap();
        let table = matrix.table(&["cat".into(), "dog".into()]);
        assert_eq!(table, "true │ cat dog  ← predicted\n─────┼────────\n cat │   1   1\n dog │   ·   1\n");
        assert_eq!(matrix.to_string().lines().nth(2), Some("   0 │ 1 1"));
    }

    #[test]
    fn bad_input_is_named_and_counts_nothing() {
        assert!(ConfusionMatrix::new(0).is_err());
        assert!(ConfusionMatrix::new(usize::MAX).is_err());
        let mut matrix = ConfusionMatrix::new(2).unwrap();
        let message = matrix.update(&[0, 1], &[0, 2]).unwrap_err().to_string();
        assert!(message.contains("prediction of sample 1 is 2"), "{message}");
        assert!(matrix.update(&[-1], &[0]).unwrap_err().to_string().contains("target of sample 0 is -1"));
        assert!(matrix.update(&[1], &[]).is_err());
        assert_eq!(matrix.samples(), 0);
        assert!(matrix.accuracy().is_err() && matrix.scores(Average::Macro).is_err() && matrix.report(&[]).is_err());
        assert!(serde_json::from_str::<ConfusionMatrix>("[[1,2],[3]]").is_err());
        assert!(serde_json::from_str::<ConfusionMatrix>("[]").is_err());
    }

    proptest! {
        #[test]
        fn any_predictions_give_consistent_scores(
            pairs in prop::collection::vec((0i64..6, 0i64..6), 1..80), cut in 0usize..80,
        ) {
            let (targets, predictions): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            let whole = ConfusionMatrix::of(&targets, &predictions, 6).unwrap();
            let cut = cut.min(targets.len());
            let mut batched = ConfusionMatrix::new(6).unwrap();
            batched.update(&targets[..cut], &predictions[..cut]).unwrap();
            batched.update(&targets[cut..], &predictions[cut..]).unwrap();
            prop_assert_eq!(&batched, &whole);
            let accuracy = super::super::accuracy(&targets, &predictions).unwrap();
            prop_assert_eq!(whole.accuracy().unwrap(), accuracy);
            prop_assert!((whole.recall(Average::Weighted).unwrap() - accuracy).abs() < 1e-12);
            prop_assert!((whole.f1(Average::Micro).unwrap() - accuracy).abs() < 1e-12);
            for average in [Average::Micro, Average::Macro, Average::Weighted] {
                let ClassScores { precision, recall, f1, support } = whole.scores(average).unwrap();
                prop_assert!([precision, recall, f1].iter().all(|score| (0.0..=1.0 + 1e-12).contains(score)));
                prop_assert_eq!(support, pairs.len() as u64);
            }
            let json = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<ConfusionMatrix>(&json).unwrap(), whole);
        }
    }
}
