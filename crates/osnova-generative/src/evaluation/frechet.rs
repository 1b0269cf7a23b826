//! The Fréchet distance between two sets of features.

use super::eigen::SymmetricEigen;
use super::matrix::Matrix;
use osnova_tensor::{Error, Tensor};
use osnova_train::Result;

/// The squared Fréchet distance between normal distributions with the means and covariances of two sets of features, each
/// `[samples, features]`:
///
/// ```text
/// ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½)
/// ```
///
/// (Dowson and Landau 1982; as a score of samples Heusel et al. 2017.) Covariances are divided by the number of samples less
/// one. It is computed on the host in `f64`: the square root by way of the eigenvalues of the symmetric Σ₁^½Σ₂Σ₁^½, which
/// are those of Σ₁Σ₂; rounding below 0 counts as 0.
///
/// Few samples make it too large, so compare sets of equal sizes.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::evaluation::frechet_distance;
/// use osnova_tensor::{Device, Tensor};
///
/// // Means 0 and 1, deviations √2 and √8: 1² + (√8 − √2)² = 3.
/// let narrow = Tensor::new([[-1.0], [1.0]], Device::cpu())?;
/// let wide = Tensor::new([[-1.0], [3.0]], Device::cpu())?;
/// assert!((frechet_distance(&narrow, &wide)? - 3.0).abs() < 1e-12);
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
///
/// # Errors
/// Fewer than two samples in a set, features of different widths, values that are not finite.
pub fn frechet_distance(real: &Tensor, generated: &Tensor) -> Result<f64> {
    const OPERATION: &str = "frechet_distance";
    let (first, second) = (Matrix::of(OPERATION, real, 2)?, Matrix::of(OPERATION, generated, 2)?);
    let width = first.width();
    if width != second.width() {
        return Err(Error::shape(
            OPERATION,
            [*real.shape(), *generated.shape()],
            "the two sets have different numbers of features",
            "Take both from one feature extractor",
        )
        .into());
    }
    let (first_mean, second_mean) = (first.means(), second.means());
    let between: f64 = first_mean.iter().zip(&second_mean).map(|(left, right)| (left - right).powi(2)).sum();
    let (first, second) = (first.covariance(&first_mean), second.covariance(&second_mean));
    let trace = |matrix: &[f64]| matrix.iter().step_by(width + 1).sum::<f64>();
    let spread = trace(&first) + trace(&second) - 2.0 * trace_of_root_of_product(&first, &second, width);
    Ok((between + spread).max(0.0))
}

/// tr (Σ₁Σ₂)^½ of two covariances. With Σ₁ = VΛVᵀ and B = Λ^½Vᵀ, BΣ₂Bᵀ is symmetric and has the eigenvalues of Σ₁Σ₂.
fn trace_of_root_of_product(first: &[f64], second: &[f64], width: usize) -> f64 {
    let SymmetricEigen { values, mut vectors } = SymmetricEigen::of(first, width);
    for (row, value) in vectors.chunks_exact_mut(width).zip(&values) {
        let root = value.max(0.0).sqrt();
        row.iter_mut().for_each(|entry| *entry *= root);
    }
    // Symmetric matrices are their own transposes, so rows meet rows: (BΣ₂)ᵢⱼ, then (BΣ₂Bᵀ)ᵢⱼ.
    let half = rows_times_rows(&vectors, second, width);
    let mut product = rows_times_rows(&half, &vectors, width);
    for i in 0..width {
        for j in 0..i {
            let mean = (product[i * width + j] + product[j * width + i]) / 2.0;
            (product[i * width + j], product[j * width + i]) = (mean, mean);
        }
    }
    SymmetricEigen::of(&product, width).values.iter().map(|value| value.max(0.0).sqrt()).sum()
}

/// A·Bᵀ.
fn rows_times_rows(left: &[f64], right: &[f64], width: usize) -> Vec<f64> {
    let dot = |row: &[f64], other: &[f64]| row.iter().zip(other).map(|(left, right)| left * right).sum();
    left.chunks_exact(width).flat_map(|row| right.chunks_exact(width).map(move |other| dot(row, other))).collect()
}
