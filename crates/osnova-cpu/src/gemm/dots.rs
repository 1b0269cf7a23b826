//! Dot products of one vector with many rows: a stream through a matrix. (As plain loops they were not vectorised: six
//! to eight times slower.)

use super::register::Register;

/// The dot product of `x` with each of the rows of `matrix` that start every `stride` elements.
///
/// Four rows at a time share the loads of `x`. A row is summed in the same order whether alone or with others.
///
/// # Safety
/// The processor has the register's instruction set.
#[inline(always)]
unsafe fn dots<R: Register>(x: &[R::Element], matrix: &[R::Element], stride: usize, output: &mut [R::Element]) {
    let inner = x.len();
    let end = output.len().checked_sub(1).map_or(Some(0), |last| last.checked_mul(stride)?.checked_add(inner));
    assert!(end.is_some_and(|end| end <= matrix.len()), "the matrix holds all rows");
    let mut index = 0;
    // SAFETY: the rows lie within the matrix, as was checked.
    unsafe {
        while index + 4 <= output.len() {
            let sums = rows::<R, 4>(x, matrix.as_ptr().add(index * stride), stride);
            output[index..index + 4].copy_from_slice(&sums);
            index += 4;
        }
        while index < output.len() {
            output[index] = rows::<R, 1>(x, matrix.as_ptr().add(index * stride), stride)[0];
            index += 1;
        }
    }
}

/// # Safety
/// The processor has the register's instruction set; `ROWS` rows as long as `x` start every `stride` elements.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn rows<R: Register, const ROWS: usize>(
    x: &[R::Element],
    matrix: *const R::Element,
    stride: usize,
) -> [R::Element; ROWS] {
    // SAFETY: whole registers are read only where they end within a row, the rest in part.
    unsafe {
        let (mut even, mut odd) = ([R::zero(); ROWS], [R::zero(); ROWS]);
        let mut start = 0;
        while start + 2 * R::LANES <= x.len() {
            let (first, second) = (R::load(x.as_ptr().add(start)), R::load(x.as_ptr().add(start + R::LANES)));
            for row in 0..ROWS {
                let values = matrix.add(row * stride + start);
                even[row] = first.multiply_add(R::load(values), even[row]);
                odd[row] = second.multiply_add(R::load(values.add(R::LANES)), odd[row]);
            }
            start += 2 * R::LANES;
        }
        while start < x.len() {
            let count = (x.len() - start).min(R::LANES);
            let first = R::load_part(x.as_ptr().add(start), count);
            for row in 0..ROWS {
                even[row] = first.multiply_add(R::load_part(matrix.add(row * stride + start), count), even[row]);
            }
            start += R::LANES;
        }
        std::array::from_fn(|row| even[row].add(odd[row]).sum())
    }
}

/// The dot products by one register type, compiled for its instruction set.
macro_rules! kernel {
    ($name:ident: $register:ty $(, features $features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        pub(crate) unsafe fn $name(
            x: &[<$register as Register>::Element],
            matrix: &[<$register as Register>::Element],
            stride: usize,
            output: &mut [<$register as Register>::Element],
        ) {
            // SAFETY: the caller's promise.
            unsafe { dots::<$register>(x, matrix, stride, output) }
        }
    };
}

// As wide as NEON needs to be busy.
kernel!(portable_f32: super::register::Portable<f32, 8>);
kernel!(portable_f64: super::register::Portable<f64, 4>);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::register_x86::{Avx2F32, Avx2F64, Avx512F32, Avx512F64};
    use super::*;

    kernel!(avx2_f32: Avx2F32, features "avx2,fma");
    kernel!(avx2_f64: Avx2F64, features "avx2,fma");
    kernel!(avx512_f32: Avx512F32, features "avx512f,avx512vl,avx512bw,avx512dq");
    kernel!(avx512_f64: Avx512F64, features "avx512f,avx512vl,avx512bw,avx512dq");
}
#[cfg(target_arch = "x86_64")]
pub(super) use x86::*;
