//! One SIMD register, as the tiles of a product see it.
//!
//! Everything here is `#[inline(always)]`, so that it becomes part of a function compiled for the register's
//! instruction set: only such a function may call it.

use super::Element;

/// A register of `LANES` numbers.
///
/// # Safety
/// The methods may be called only where the processor has the register's instruction set. Pointers must be good for as
/// many elements as the method says.
pub(super) trait Register: Copy {
    /// What it holds.
    type Element: Element;
    /// How many it holds.
    const LANES: usize;
    /// How many consecutive elements of a row [`transpose`](Self::transpose) takes at a time.
    const STEP: usize;

    /// All zeros.
    unsafe fn zero() -> Self;
    /// `LANES` elements from `source`.
    unsafe fn load(source: *const Self::Element) -> Self;
    /// The element at `source` in every lane.
    unsafe fn splat(source: *const Self::Element) -> Self;
    /// `self · factor + sum`.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// The sum of the lanes.
    unsafe fn sum(self) -> Self::Element;
    /// The lanes to `target`.
    unsafe fn store(self, target: *mut Self::Element);
    /// The first `count` elements from `source`, zeros behind them; `count` ≤ `LANES`.
    unsafe fn load_part(source: *const Self::Element, count: usize) -> Self;
    /// The first `count` lanes to `target`; `count` ≤ `LANES`.
    unsafe fn store_part(self, target: *mut Self::Element, count: usize);
    /// `STEP` elements from each of `LANES` rows, as `STEP` columns: lane `l` of result `s` is element `s` of row `l`.
    /// Only the first `STEP` results mean anything.
    unsafe fn transpose(row: impl Fn(usize) -> *const Self::Element) -> [Self; 4];
}

/// Registers of the instruction set that every processor of the target has: the compiler finds them for arrays.
#[derive(Clone, Copy)]
pub(super) struct Portable<T, const LANES: usize>([T; LANES]);

impl<T: Element, const LANES: usize> Register for Portable<T, LANES> {
    type Element = T;
    const LANES: usize = LANES;
    const STEP: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([T::ZERO; LANES])
    }

    #[inline(always)]
    unsafe fn load(source: *const T) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { source.cast::<[T; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn splat(source: *const T) -> Self {
        // SAFETY: the caller's promise.
        Self([unsafe { *source }; LANES])
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        use crate::dispatch;
        Self(std::array::from_fn(|lane| self.0[lane].mul_add::<dispatch::Portable>(factor.0[lane], sum.0[lane])))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    unsafe fn sum(mut self) -> T {
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                self.0[lane] = self.0[lane] + self.0[lane + width];
            }
            width /= 2;
        }
        self.0[0]
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut T) {
        // SAFETY: the caller's promise.
        unsafe { target.cast::<[T; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn load_part(source: *const T, count: usize) -> Self {
        // SAFETY: only the first `count` are read.
        Self(std::array::from_fn(|lane| if lane < count { unsafe { *source.add(lane) } } else { T::ZERO }))
    }

    #[inline(always)]
    unsafe fn store_part(self, target: *mut T, count: usize) {
        for (lane, &value) in self.0.iter().enumerate().take(count) {
            // SAFETY: only the first `count` are written.
            unsafe { *target.add(lane) = value };
        }
    }

    #[inline(always)]
    unsafe fn transpose(row: impl Fn(usize) -> *const T) -> [Self; 4] {
        // SAFETY: the caller's promise.
        let column = Self(std::array::from_fn(|lane| unsafe { *row(lane) }));
        [column; 4]
    }
}
