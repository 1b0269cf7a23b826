//! Metrics of predicted numbers.

use super::check_lengths;
use crate::{Result, TrainError};

/// What one output column has gathered.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    absolute: f64,
    squared: f64,
    /// Mean and sum of squared deviations of the targets, by Welford's recurrence: no cancellation for targets far from 0.
    mean: f64,
    deviations: f64,
}

/// Errors of predicted numbers, gathered batch by batch. Of several outputs the scores are the mean over the outputs
/// (scikit-learn's `uniform_average`).
///
/// ```
/// use osnova_train::metrics::RegressionScores;
///
/// let mut scores = RegressionScores::new(1)?;
/// scores.update(&[3.0, -0.5], &[2.5, 0.0])?;
/// scores.update(&[2.0, 7.0], &[2.0, 8.0])?;
/// assert_eq!(scores.mean_squared_error()?, 0.375);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RegressionScores {
    columns: Vec<Column>,
    samples: u64,
}

impl RegressionScores {
    /// Nothing yet, of samples with `outputs` numbers each.
    ///
    /// # Errors
    /// There are no outputs, or more than memory holds.
    pub fn new(outputs: usize) -> Result<Self> {
        let operation = "RegressionScores";
        if outputs == 0 {
            return Err(TrainError::argument(operation, "samples have 0 outputs", "Give at least 1"));
        }
        let mut columns = Vec::new();
        columns.try_reserve_exact(outputs).map_err(|_| {
            let problem = format!("the scores of {outputs} outputs do not fit in memory");
            TrainError::argument(operation, problem, "Give as many as a sample has target numbers")
        })?;
        columns.resize(outputs, Column::default());
        Ok(Self { columns, samples: 0 })
    }

    /// Takes more samples: both slices row-major `[samples, outputs]`.
    ///
    /// # Errors
    /// The lengths differ or are no whole samples; then nothing is taken.
    pub fn update(&mut self, targets: &[f64], predictions: &[f64]) -> Result<()> {
        let operation = "RegressionScores";
        if targets.len() != predictions.len() {
            check_lengths(operation, targets.len(), predictions.len())?;
        }
        let outputs = self.columns.len();
        if !targets.len().is_multiple_of(outputs) {
            let problem = format!("{} numbers do not make rows of {outputs}", targets.len());
            return Err(TrainError::argument(operation, problem, "Give one number for each sample and output"));
        }
        for (targets, predictions) in targets.chunks_exact(outputs).zip(predictions.chunks_exact(outputs)) {
            self.samples += 1;
            for ((column, target), prediction) in self.columns.iter_mut().zip(targets).zip(predictions) {
                let error = prediction - target;
                column.absolute += error.abs();
                column.squared += error * error;
                let difference = target - column.mean;
                column.mean += difference / self.samples as f64;
                column.deviations += difference * (target - column.mean);
            }
        }
        Ok(())
    }

    /// The number of samples.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    fn average(&self, operation: &'static str, score: impl Fn(&Column, f64) -> f64) -> Result<f64> {
        if self.samples == 0 {
            return Err(TrainError::argument(operation, "there are no samples", "Give at least one"));
        }
        let samples = self.samples as f64;
        Ok(self.columns.iter().map(|column| score(column, samples)).sum::<f64>() / self.columns.len() as f64)
    }

    /// MAE: the mean of |prediction − target|.
    ///
    /// # Errors
    /// There are no samples.
    pub fn mean_absolute_error(&self) -> Result<f64> {
        self.average("mean_absolute_error", |column, samples| column.absolute / samples)
    }

    /// MSE: the mean of (prediction − target)².
    ///
    /// # Errors
    /// There are no samples.
    pub fn mean_squared_error(&self) -> Result<f64> {
        self.average("mean_squared_error", |column, samples| column.squared / samples)
    }

    /// RMSE: the square root of MSE, for each output by itself.
    ///
    /// # Errors
    /// There are no samples.
    pub fn root_mean_squared_error(&self) -> Result<f64> {
        self.average("root_mean_squared_error", |column, samples| (column.squared / samples).sqrt())
    }

    /// R² = 1 − Σ(prediction − target)² / Σ(target − mean)²: 1 is perfect, 0 is what the mean would do. Of constant targets
    /// it is 1 if they are met and 0 if not.
    ///
    /// # Errors
    /// There are fewer than two samples.
    pub fn r2_score(&self) -> Result<f64> {
        if self.samples < 2 {
            let problem = format!("there are {} samples", self.samples);
            return Err(TrainError::argument("r2_score", problem, "R² needs at least 2"));
        }
        self.average("r2_score", |column, _| match (column.squared, column.deviations) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => 0.0,
            (squared, deviations) => 1.0 - squared / deviations,
        })
    }
}

fn of(operation: &'static str, targets: &[f64], predictions: &[f64]) -> Result<RegressionScores> {
    check_lengths(operation, targets.len(), predictions.len())?;
    let mut scores = RegressionScores::new(1)?;
    scores.update(targets, predictions)?;
    Ok(scores)
}

/// MAE: the mean of |prediction − target|.
///
/// # Errors
/// The lengths differ, or there are no samples.
pub fn mean_absolute_error(targets: &[f64], predictions: &[f64]) -> Result<f64> {
    of("mean_absolute_error", targets, predictions)?.mean_absolute_error()
}

/// MSE: the mean of (prediction − target)².
///
/// # Errors
/// The lengths differ, or there are no samples.
pub fn mean_squared_error(targets: &[f64], predictions: &[f64]) -> Result<f64> {
    of("mean_squared_error", targets, predictions)?.mean_squared_error()
}

/// RMSE: the square root of MSE, in the unit of the targets.
///
/// # Errors
/// The lengths differ, or there are no samples.
pub fn root_mean_squared_error(targets: &[f64], predictions: &[f64]) -> Result<f64> {
    of("root_mean_squared_error", targets, predictions)?.root_mean_squared_error()
}

/// R²: see [`RegressionScores::r2_score`].
///
/// # Errors
/// The lengths differ, or there are fewer than two samples.
pub fn r2_score(targets: &[f64], predictions: &[f64]) -> Result<f64> {
    of("r2_score", targets, predictions)?.r2_score()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: Result<f64>, right: f64) {
        let left = left.unwrap();
        assert!((left - right).abs() < 1e-15, "{left} {right}");
    }

    #[test]
    fn values_are_scikit_learns() {
        let (targets, predictions) = ([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]);
        close(mean_absolute_error(&targets, &predictions), 0.5);
        close(mean_squared_error(&targets, &predictions), 0.375);
        close(root_mean_squared_error(&targets, &predictions), 0.6123724356957945);
        close(r2_score(&targets, &predictions), 0.9486081370449679);
        let mut scores = RegressionScores::new(2).unwrap();
        scores.update(&[0.5, 1.0, -1.0, 1.0, 7.0, -6.0], &[0.0, 2.0, -1.0, 2.0, 8.0, -5.0]).unwrap();
        close(scores.mean_absolute_error(), 0.75);
        close(scores.mean_squared_error(), 0.7083333333333334);
        close(scores.root_mean_squared_error(), 0.8227486121839513);
        close(scores.r2_score(), 0.9368005266622779);
    }

    #[test]
    fn constant_targets_have_an_r2() {
        close(r2_score(&[2.0, 2.0], &[2.0, 2.0]), 1.0);
        close(r2_score(&[2.0, 2.0], &[2.0, 3.0]), 0.0);
    }

    #[test]
    fn targets_far_from_zero_keep_their_spread() {
        let targets: Vec<f64> = (0..100).map(|sample| 1e9 + f64::from(sample % 2)).collect();
        let predictions = vec![1e9 + 0.5; 100];
        let score = r2_score(&targets, &predictions).unwrap();
        assert!(score.abs() < 1e-6, "{score}");
    }

    #[test]
    fn bad_input_is_named() {
        assert!(r2_score(&[1.0], &[1.0]).unwrap_err().to_string().contains("at least 2"));
        assert!(mean_absolute_error(&[], &[]).unwrap_err().to_string().contains("no samples"));
        assert!(mean_squared_error(&[1.0], &[]).is_err());
        assert!(RegressionScores::new(0).is_err());
        assert!(RegressionScores::new(2).unwrap().update(&[1.0], &[1.0]).is_err());
        assert!(RegressionScores::new(2).unwrap().mean_absolute_error().is_err());
    }
}
