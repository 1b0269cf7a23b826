//! Registers of x86-64: 256 bits (AVX2 with fused multiply-add) and 512 bits (AVX-512).

// The safety of every call here is the promise that `Register` asks of its callers.
#![allow(clippy::undocumented_unsafe_blocks)]

use super::register::Register;
use std::arch::x86_64::*;

/// Eight `f32`.
#[derive(Clone, Copy)]
pub(super) struct Avx2F32(__m256);
/// Four `f64`.
#[derive(Clone, Copy)]
pub(super) struct Avx2F64(__m256d);
/// Sixteen `f32`.
#[derive(Clone, Copy)]
pub(super) struct Avx512F32(__m512);
/// Eight `f64`.
#[derive(Clone, Copy)]
pub(super) struct Avx512F64(__m512d);

/// What the four have in common: their names for the same instructions.
macro_rules! register {
    ($name:ident: $element:ty, $lanes:literal lanes, $step:literal columns; $zero:ident $load:ident $splat:ident
     $multiply_add:ident $add:ident $sum:ident $store:ident; $load_part:ident $store_part:ident $mask:expr; $transpose:ident) => {
        impl Register for $name {
            type Element = $element;
            const LANES: usize = $lanes;
            const STEP: usize = $step;

            #[inline(always)]
            unsafe fn zero() -> Self {
                Self(unsafe { $zero() })
            }

            #[inline(always)]
            unsafe fn load(source: *const $element) -> Self {
                Self(unsafe { $load(source) })
            }

            #[inline(always)]
            unsafe fn splat(source: *const $element) -> Self {
                Self(unsafe { $splat(*source) })
            }

            #[inline(always)]
            unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
                Self(unsafe { $multiply_add(self.0, factor.0, sum.0) })
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn sum(self) -> $element {
                unsafe { $sum(self.0) }
            }

            #[inline(always)]
            unsafe fn store(self, target: *mut $element) {
                unsafe { $store(target, self.0) }
            }

            #[inline(always)]
            unsafe fn load_part(source: *const $element, count: usize) -> Self {
                Self(unsafe { $load_part($mask(count), source) })
            }

            #[inline(always)]
            unsafe fn store_part(self, target: *mut $element, count: usize) {
                unsafe { $store_part(target, $mask(count), self.0) }
            }

            #[inline(always)]
            unsafe fn transpose(row: impl Fn(usize) -> *const $element) -> [Self; 4] {
                unsafe { $transpose(row) }.map(Self)
            }
        }
    };
}

register!(Avx2F32: f32, 8 lanes, 4 columns; _mm256_setzero_ps _mm256_loadu_ps _mm256_set1_ps _mm256_fmadd_ps
    _mm256_add_ps sum_f32 _mm256_storeu_ps; maskload_f32 _mm256_maskstore_ps mask_of_8; transpose_8x4);
register!(Avx2F64: f64, 4 lanes, 2 columns; _mm256_setzero_pd _mm256_loadu_pd _mm256_set1_pd _mm256_fmadd_pd
    _mm256_add_pd sum_f64 _mm256_storeu_pd; maskload_f64 _mm256_maskstore_pd mask_of_4; transpose_4x2);
register!(Avx512F32: f32, 16 lanes, 4 columns; _mm512_setzero_ps _mm512_loadu_ps _mm512_set1_ps _mm512_fmadd_ps
    _mm512_add_ps _mm512_reduce_add_ps _mm512_storeu_ps; _mm512_maskz_loadu_ps _mm512_mask_storeu_ps bits_of_16; transpose_16x4);
register!(Avx512F64: f64, 8 lanes, 2 columns; _mm512_setzero_pd _mm512_loadu_pd _mm512_set1_pd _mm512_fmadd_pd
    _mm512_add_pd _mm512_reduce_add_pd _mm512_storeu_pd; _mm512_maskz_loadu_pd _mm512_mask_storeu_pd bits_of_8; transpose_8x2);

#[inline(always)]
fn bits_of_16(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

#[inline(always)]
fn bits_of_8(count: usize) -> __mmask8 {
    ((1u32 << count) - 1) as __mmask8
}

#[inline(always)]
unsafe fn mask_of_8(count: usize) -> __m256i {
    // SAFETY: the callers have AVX2.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

#[inline(always)]
unsafe fn mask_of_4(count: usize) -> __m256i {
    // SAFETY: the callers have AVX2.
    unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(count as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
}

#[inline(always)]
unsafe fn maskload_f32(mask: __m256i, source: *const f32) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_maskload_ps(source, mask) }
}

#[inline(always)]
unsafe fn maskload_f64(mask: __m256i, source: *const f64) -> __m256d {
    // SAFETY: the caller's promise.
    unsafe { _mm256_maskload_pd(source, mask) }
}

#[inline(always)]
unsafe fn sum_f32(lanes: __m256) -> f32 {
    // SAFETY: the callers have AVX2.
    unsafe {
        let quarter = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
        _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
    }
}

#[inline(always)]
unsafe fn sum_f64(lanes: __m256d) -> f64 {
    // SAFETY: the callers have AVX2.
    unsafe {
        let pair = _mm_add_pd(_mm256_castpd256_pd128(lanes), _mm256_extractf128_pd::<1>(lanes));
        _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
    }
}

// A register is a row of 128-bit parts. Each transposition gathers parts so that part `p` of register `r` comes from
// row `r + parts·…`, and then exchanges rows and columns inside the parts: part `p` of every result holds the rows that
// belong there, in order.

/// Exchanges rows and columns of the 4×4 numbers in each 128-bit part of four registers.
macro_rules! transpose_parts_of_four {
    ($rows:expr, $low:ident, $high:ident, $shuffle:ident) => {{
        let [a, b, c, d] = $rows;
        let (low_ab, high_ab, low_cd, high_cd) = ($low(a, b), $high(a, b), $low(c, d), $high(c, d));
        [
            $shuffle::<0b01_00_01_00>(low_ab, low_cd),
            $shuffle::<0b11_10_11_10>(low_ab, low_cd),
            $shuffle::<0b01_00_01_00>(high_ab, high_cd),
            $shuffle::<0b11_10_11_10>(high_ab, high_cd),
        ]
    }};
}

#[inline(always)]
unsafe fn transpose_8x4(row: impl Fn(usize) -> *const f32) -> [__m256; 4] {
    // SAFETY: every row has four elements, the callers AVX2.
    unsafe {
        let parts = |first: usize| {
            let low = _mm256_castps128_ps256(_mm_loadu_ps(row(first)));
            _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(row(first + 4)))
        };
        let rows = [parts(0), parts(1), parts(2), parts(3)];
        transpose_parts_of_four!(rows, _mm256_unpacklo_ps, _mm256_unpackhi_ps, _mm256_shuffle_ps)
    }
}

#[inline(always)]
unsafe fn transpose_16x4(row: impl Fn(usize) -> *const f32) -> [__m512; 4] {
    // SAFETY: every row has four elements, the callers AVX-512.
    unsafe {
        let parts = |first: usize| {
            let low = _mm512_castps128_ps512(_mm_loadu_ps(row(first)));
            let low = _mm512_insertf32x4::<1>(low, _mm_loadu_ps(row(first + 4)));
            let low = _mm512_insertf32x4::<2>(low, _mm_loadu_ps(row(first + 8)));
            _mm512_insertf32x4::<3>(low, _mm_loadu_ps(row(first + 12)))
        };
        let rows = [parts(0), parts(1), parts(2), parts(3)];
        transpose_parts_of_four!(rows, _mm512_unpacklo_ps, _mm512_unpackhi_ps, _mm512_shuffle_ps)
    }
}

#[inline(always)]
unsafe fn transpose_4x2(row: impl Fn(usize) -> *const f64) -> [__m256d; 4] {
    // SAFETY: every row has two elements, the callers AVX2.
    unsafe {
        let parts = |first: usize| {
            let low = _mm256_castpd128_pd256(_mm_loadu_pd(row(first)));
            _mm256_insertf128_pd::<1>(low, _mm_loadu_pd(row(first + 2)))
        };
        let (even, odd) = (parts(0), parts(1));
        let (first, second) = (_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd));
        [first, second, first, second]
    }
}

#[inline(always)]
unsafe fn transpose_8x2(row: impl Fn(usize) -> *const f64) -> [__m512d; 4] {
    // SAFETY: every row has two elements, the callers AVX-512.
    unsafe {
        let parts = |first: usize| {
            let low = _mm512_castpd128_pd512(_mm_loadu_pd(row(first)));
            let low = _mm512_insertf64x2::<1>(low, _mm_loadu_pd(row(first + 2)));
            let low = _mm512_insertf64x2::<2>(low, _mm_loadu_pd(row(first + 4)));
            _mm512_insertf64x2::<3>(low, _mm_loadu_pd(row(first + 6)))
        };
        let (even, odd) = (parts(0), parts(1));
        let (first, second) = (_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd));
        [first, second, first, second]
    }
}
