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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symmetric() -> impl Strategy<Value = (Vec<f64>, usize)> {
        let entries = (1_usize..9, -12_i32..12)
            .prop_flat_map(|(size, scale)| (prop::collection::vec(-1.0..1.0, size * size), Just(size), Just(scale)));
        entries.prop_map(|(mut matrix, size, scale)| {
            for i in 0..size {
                for j in 0..=i {
                    let entry = matrix[i * size + j] * 10_f64.powi(scale);
                    (matrix[i * size + j], matrix[j * size + i]) = (entry, entry);
                }
            }
            (matrix, size)
        })
    }

    fn dot(left: &[f64], right: &[f64]) -> f64 {
        left.iter().zip(right).map(|(left, right)| left * right).sum()
    }

    proptest! {
        #[test]
        fn vectors_are_orthogonal_and_give_the_matrix_back((matrix, size) in symmetric()) {
            let eigen = SymmetricEigen::of(&matrix, size);
            let norm = dot(&matrix, &matrix).sqrt();
            let rows: Vec<&[f64]> = eigen.vectors.chunks_exact(size).collect();
            for i in 0..size {
                for j in 0..size {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    prop_assert!((dot(rows[i], rows[j]) - expected).abs() < 1e-13);
                    let again: f64 =
                        rows.iter().zip(&eigen.values).map(|(vector, value)| value * vector[i] * vector[j]).sum();
                    prop_assert!((again - matrix[i * size + j]).abs() <= 1e-13 * norm, "{matrix:?} {eigen:?}");
                }
            }
        }
    }

    #[test]
    fn known_matrices_have_their_eigenvalues() {
        for (matrix, size, expected) in [
            (vec![2.0, 1.0, 1.0, 2.0], 2, vec![1.0, 3.0]),
            (vec![0.0; 9], 3, vec![0.0; 3]),
            (vec![-4.0], 1, vec![-4.0]),
            // All ones: rank one.
            (vec![1.0; 16], 4, vec![0.0, 0.0, 0.0, 4.0]),
            // Second differences: 2 − 2cos(kπ/4).
            (
                vec![2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0],
                3,
                vec![2.0 - 2_f64.sqrt(), 2.0, 2.0 + 2_f64.sqrt()],
            ),
        ] {
            let mut values = SymmetricEigen::of(&matrix, size).values;
            values.sort_by(f64::total_cmp);
            for (value, expected) in values.iter().zip(&expected) {
                assert!((value - expected).abs() < 1e-14, "{matrix:?}: {values:?}");
            }
        }
        assert!(SymmetricEigen::of(&[], 0).values.is_empty());
    }
}
