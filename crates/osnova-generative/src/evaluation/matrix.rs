//! A table of numbers on the host, checked once.

use osnova_tensor::{Error, Tensor};
use osnova_train::Result;

/// Finite numbers, `[samples, width]` row by row, neither of them 0.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    values: Vec<f64>,
    width: usize,
}

impl Matrix {
    /// # Errors
    /// Not two axes, fewer samples than `least`, no columns, numbers that are not finite.
    pub(super) fn of(operation: &'static str, tensor: &Tensor, least: usize) -> Result<Self> {
        let width = match *tensor.dims() {
            [samples, width] if samples >= least.max(1) && width > 0 => width,
            _ => {
                return Err(Error::shape(
                    operation,
                    [*tensor.shape()],
                    format!("[samples, features] with at least {} samples is needed", least.max(1)),
                    "Give more samples, one a row",
                )
                .into());
            }
        };
        let values = tensor.to_host()?.to_f64();
        if values.iter().any(|value| !value.is_finite()) {
            let advice = "Look for NaN or infinite values in the data or the model's parameters";
            return Err(Error::argument(operation, "a value is not finite", advice).into());
        }
        Ok(Self { values, width })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn samples(&self) -> usize {
        self.values.len() / self.width
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// The mean of each column.
    pub(super) fn means(&self) -> Vec<f64> {
        self.column_means(|value, _| value, &vec![0.0; self.width])
    }

    /// The variance of each column about these means, divided by the number of samples.
    pub(super) fn variances(&self, means: &[f64]) -> Vec<f64> {
        self.column_means(|value, mean| (value - mean).powi(2), means)
    }

    fn column_means(&self, of: impl Fn(f64, f64) -> f64, centre: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for row in self.rows() {
            sums.iter_mut().zip(row).zip(centre).for_each(|((sum, &value), &centre)| *sum += of(value, centre));
        }
        sums.iter().map(|sum| sum / self.samples() as f64).collect()
    }

    /// The covariance of the columns about these means, `[width, width]`, divided by the number of samples less one.
    pub(super) fn covariance(&self, means: &[f64]) -> Vec<f64> {
        let mut covariance = vec![0.0; self.width * self.width];
        let mut centred = vec![0.0; self.width];
        let divisor = (self.samples() - 1).max(1) as f64;
        for row in self.rows() {
            centred.iter_mut().zip(row).zip(means).for_each(|((centred, value), mean)| *centred = value - mean);
            for (entries, left) in covariance.chunks_exact_mut(self.width).zip(&centred) {
                let scaled = left / divisor;
                entries.iter_mut().zip(&centred).for_each(|(entry, right)| *entry += scaled * right);
            }
        }
        covariance
    }
}
