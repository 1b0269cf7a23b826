//! Eigenvalues of symmetric matrices.

/// Sweeps after which rounding is all that is left; 6 to 10 are usual.
const SWEEPS: usize = 60;

/// A symmetric matrix as V·diag(λ)·Vᵀ.
#[derive(Clone, Debug)]
pub(super) struct SymmetricEigen {
    /// λ, in no order.
    pub(super) values: Vec<f64>,
    /// Vᵀ: row i is the unit eigenvector of `values[i]`.
    pub(super) vectors: Vec<f64>,
}

impl SymmetricEigen {
    /// Of a symmetric `size`×`size` matrix of finite numbers, row by row, by cyclic Jacobi rotations: each makes one pair of
    /// elements off the diagonal zero, and all of them shrink (Golub and Van Loan, Matrix Computations, §8.5).
    pub(super) fn of(matrix: &[f64], size: usize) -> Self {
        let mut matrix = matrix.to_vec();
        let mut vectors = vec![0.0; size * size];
        for i in 0..size {
            vectors[i * size + i] = 1.0;
        }
        let norm = matrix.iter().map(|value| value * value).sum::<f64>().sqrt();
        // An element this small moves no eigenvalue by more than rounding does.
        let nothing = norm * f64::EPSILON / size.max(1) as f64;
        for _ in 0..SWEEPS {
            let mut rotated = false;
            for p in 0..size {
                for q in p + 1..size {
                    let off = matrix[p * size + q];
                    if off.abs() > nothing {
                        rotated = true;
                        rotate(&mut matrix, &mut vectors, size, p, q);
                    }
                }
            }
            if !rotated {
                break;
            }
        }
        let values = (0..size).map(|i| matrix[i * size + i]).collect();
        Self { values, vectors }
    }
}

/// Turns the plane of the axes p < q so that the element between them vanishes.
fn rotate(matrix: &mut [f64], vectors: &mut [f64], size: usize, p: usize, q: usize) {
    let off = matrix[p * size + q];
    let ratio = (matrix[q * size + q] - matrix[p * size + p]) / (2.0 * off);
    // The smaller of the two angles, without cancellation.
    let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    for row in matrix.chunks_exact_mut(size) {
        let (left, right) = (row[p], row[q]);
        row[p] = cosine * left - sine * right;
        row[q] = sine * left + cosine * right;
    }
    rotate_rows(matrix, size, p, q, cosine, sine);
    rotate_rows(vectors, size, p, q, cosine, sine);
    matrix[p * size + q] = 0.0;
    matrix[q * size + p] = 0.0;
}

fn rotate_rows(matrix: &mut [f64], size: usize, p: usize, q: usize, cosine: f64, sine: f64) {
    let (above, below) = matrix.split_at_mut(q * size);
    for (left, right) in above[p * size..(p + 1) * size].iter_mut().zip(below) {
        (*left, *right) = (cosine * *left - sine * *right, sine * *left + cosine * *right);
    }
}
