//! Dot products by AVX2 and FMA. (As plain loops they were not vectorised: six to eight times slower.)

use std::arch::x86_64::*;

macro_rules! dots {
    ($name:ident, $rows:ident, $type:ty, $vector:ty, $lanes:literal, $integer:ty, $zero:ident, $load:ident,
     $masked:ident, $multiply_add:ident, $add:ident, $sum:ident) => {
        /// The dot product of `x` with each of the rows of `matrix` that start every `stride` elements.
        ///
        /// Four rows at a time share the loads of `x`. A row is summed in the same order whether alone or with others.
        #[target_feature(enable = "avx2,fma")]
        pub(super) fn $name(x: &[$type], matrix: &[$type], stride: usize, output: &mut [$type]) {
            let row = |index: usize| &matrix[index * stride..index * stride + x.len()];
            let mut index = 0;
            while index + 4 <= output.len() {
                let rows = [row(index), row(index + 1), row(index + 2), row(index + 3)];
                output[index..index + 4].copy_from_slice(&$rows(x, rows));
                index += 4;
            }
            for index in index..output.len() {
                output[index] = $rows(x, [row(index)])[0];
            }
        }

        #[target_feature(enable = "avx2,fma")]
        #[inline]
        fn $rows<const ROWS: usize>(x: &[$type], rows: [&[$type]; ROWS]) -> [$type; ROWS] {
            let length = x.len();
            assert!(rows.iter().all(|row| row.len() == length));
            let (mut even, mut odd) = ([$zero(); ROWS], [$zero(); ROWS]);
            let mut start = 0;
            while start + 2 * $lanes <= length {
                // SAFETY: all slices have `length` elements, and two vectors from `start` end within them.
                unsafe {
                    let (first, second) = ($load(x.as_ptr().add(start)), $load(x.as_ptr().add(start + $lanes)));
                    for row in 0..ROWS {
                        let values = rows[row].as_ptr().add(start);
                        even[row] = $multiply_add(first, $load(values), even[row]);
                        odd[row] = $multiply_add(second, $load(values.add($lanes)), odd[row]);
                    }
                }
                start += 2 * $lanes;
            }
            while start < length {
                let mut mask: [$integer; $lanes] = [0; $lanes];
                mask[..(length - start).min($lanes)].fill(-1);
                // SAFETY: the mask is a vector long; the masked loads touch only elements before `length`.
                unsafe {
                    let mask = _mm256_loadu_si256(mask.as_ptr().cast::<__m256i>());
                    let first = $masked(x.as_ptr().add(start), mask);
                    for row in 0..ROWS {
                        let values: $vector = $masked(rows[row].as_ptr().add(start), mask);
                        even[row] = $multiply_add(first, values, even[row]);
                    }
                }
                start += $lanes;
            }
            std::array::from_fn(|row| $sum($add(even[row], odd[row])))
        }
    };
}

dots!(
    dots_f32,
    rows_f32,
    f32,
    __m256,
    8,
    i32,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_maskload_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    sum_f32
);
dots!(
    dots_f64,
    rows_f64,
    f64,
    __m256d,
    4,
    i64,
    _mm256_setzero_pd,
    _mm256_loadu_pd,
    _mm256_maskload_pd,
    _mm256_fmadd_pd,
    _mm256_add_pd,
    sum_f64
);

#[target_feature(enable = "avx2,fma")]
#[inline]
fn sum_f32(vector: __m256) -> f32 {
    let quarter = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
    let pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn sum_f64(vector: __m256d) -> f64 {
    let pair = _mm_add_pd(_mm256_castpd256_pd128(vector), _mm256_extractf128_pd::<1>(vector));
    _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
}
