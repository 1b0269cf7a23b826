//! Where the elements of a tensor lie in its storage.

use crate::{MAX_RANK, Shape, SliceRange};
use std::ops::Deref;

/// Distances, in elements, between neighbours along each axis. Dereferences to `[isize]`.
#[derive(Clone, Copy, Debug)]
pub struct Strides {
    strides: [isize; MAX_RANK],
    rank: u8,
}

impl Deref for Strides {
    type Target = [isize];
    #[inline]
    fn deref(&self) -> &[isize] {
        &self.strides[..(self.rank as usize).min(MAX_RANK)]
    }
}

/// A shape, the strides to walk it with, and where its first element lies. Views differ in their layout alone.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    shape: Shape,
    offset: usize,
    // Row-major layouts leave this zero: their strides follow from the shape.
    strides: [isize; MAX_RANK],
    contiguous: bool,
}

impl Layout {
    /// The row-major layout of `shape`, starting at element 0.
    #[inline]
    pub fn contiguous(shape: Shape) -> Self {
        Self { shape, offset: 0, strides: [0; MAX_RANK], contiguous: true }
    }

    fn strided(shape: Shape, strides: [isize; MAX_RANK], offset: usize) -> Self {
        let mut expected = 1isize;
        let mut contiguous = true;
        for (&dim, &stride) in shape.iter().zip(&strides).rev() {
            if dim != 1 && stride != expected {
                contiguous = false;
                break;
            }
            expected *= dim as isize;
        }
        if contiguous || shape.count() == 0 {
            return Self { offset, ..Self::contiguous(shape) };
        }
        Self { shape, offset, strides, contiguous }
    }

    /// The shape.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The position of the first element in the storage, in elements.
    #[inline]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the elements lie row-major without gaps, starting at [`Self::offset`].
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.contiguous
    }

    /// The strides.
    #[inline]
    pub fn strides(&self) -> Strides {
        let mut strides = self.strides;
        if self.contiguous {
            let mut stride = 1;
            for axis in (0..self.shape.rank()).rev() {
                strides[axis] = stride;
                stride *= self.shape[axis] as isize;
            }
        }
        Strides { strides, rank: self.shape.rank() as u8 }
    }

    /// The axes in another order. `axes` is a permutation, as inference has checked.
    pub fn permute(&self, axes: &[usize]) -> Self {
        let strides = self.strides();
        let mut dims = [0; MAX_RANK];
        let mut permuted = [0; MAX_RANK];
        for (slot, &axis) in axes.iter().enumerate() {
            dims[slot] = self.shape[axis];
            permuted[slot] = strides[axis];
        }
        let shape = Shape::new(&dims[..axes.len()]).unwrap_or_default();
        Self::strided(shape, permuted, self.offset)
    }

    /// The layout repeated along new or size-1 axes, by NumPy's rules. `None` if `shape` does not extend this one.
    pub fn expand(&self, shape: &Shape) -> Option<Self> {
        if *shape == self.shape {
            return Some(*self);
        }
        let shift = shape.rank().checked_sub(self.shape.rank())?;
        let own = self.strides();
        let mut strides = [0; MAX_RANK];
        for (axis, (&dim, &stride)) in self.shape.iter().zip(own.iter()).enumerate() {
            strides[axis + shift] = match (dim, shape[axis + shift]) {
                (from, to) if from == to => stride,
                (1, _) => 0,
                _ => return None,
            };
        }
        Some(Self::strided(*shape, strides, self.offset))
    }

    /// Every `step`-th element of each axis from `start` on. The ranges are in bounds, as inference has checked.
    pub fn slice(&self, ranges: &[SliceRange]) -> Self {
        let own = self.strides();
        let mut dims = [0; MAX_RANK];
        let mut strides = [0; MAX_RANK];
        let mut offset = self.offset as isize;
        for (axis, range) in ranges.iter().enumerate() {
            dims[axis] = range.length;
            // A step that is never taken may be of any width.
            strides[axis] = if range.length > 1 { own[axis] * range.step } else { own[axis] };
            if range.length > 0 {
                offset += range.start as isize * own[axis];
            }
        }
        let shape = Shape::new(&dims[..ranges.len()]).unwrap_or_default();
        let offset = if shape.count() == 0 { self.offset } else { offset as usize };
        Self::strided(shape, strides, offset)
    }

    /// The same elements, in the same order, under another shape. `None` where that needs a copy.
    pub fn reshape(&self, shape: &Shape) -> Option<Self> {
        if self.shape.count() != shape.count() {
            return None;
        }
        if self.contiguous {
            return Some(Self { offset: self.offset, ..Self::contiguous(*shape) });
        }
        // Walk both shapes from the back in groups of equal element count; a group of old axes can be regrouped when
        // its axes lie in one even run.
        let own = self.strides();
        let old: smallvec::SmallVec<[(usize, isize); MAX_RANK]> =
            self.shape.iter().copied().zip(own.iter().copied()).filter(|&(dim, _)| dim != 1).collect();
        let mut strides = [0; MAX_RANK];
        let mut new_axis = shape.rank();
        let mut old_axis = old.len();
        while old_axis > 0 {
            old_axis -= 1;
            let (mut old_count, run) = old[old_axis];
            let mut new_count = 1;
            let mut stride = run;
            loop {
                while new_count < old_count {
                    new_axis = new_axis.checked_sub(1)?;
                    strides[new_axis] = stride;
                    stride *= shape[new_axis] as isize;
                    new_count *= shape[new_axis];
                }
                if new_count == old_count {
                    break;
                }
                // The new axis reaches over into the next old one: it must continue the run.
                old_axis = old_axis.checked_sub(1)?;
                let (dim, next) = old[old_axis];
                if next != run * old_count as isize {
                    return None;
                }
                old_count *= dim;
            }
        }
        for axis in (0..new_axis).rev() {
            debug_assert_eq!(shape[axis], 1);
            strides[axis] = 1;
        }
        Some(Self::strided(*shape, strides, self.offset))
    }

    /// The storage position of each element in row-major order. Slow and simple: for oracles, tests and rare paths.
    pub fn positions(&self) -> impl Iterator<Item = usize> + use<> {
        let layout = *self;
        let strides = self.strides();
        (0..self.shape.count()).map(move |mut index| {
            let mut position = layout.offset as isize;
            for axis in (0..layout.shape.rank()).rev() {
                let dim = layout.shape[axis];
                position += (index % dim) as isize * strides[axis];
                index /= dim;
            }
            position as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout<const N: usize>(dims: [usize; N]) -> Layout {
        Layout::contiguous(Shape::new(&dims).unwrap())
    }

    fn positions(layout: &Layout) -> Vec<usize> {
        layout.positions().collect()
    }

    #[test]
    fn a_transposed_matrix_walks_down_its_columns() {
        let transposed = layout([2, 3]).permute(&[1, 0]);
        assert!(!transposed.is_contiguous());
        assert_eq!(positions(&transposed), [0, 3, 1, 4, 2, 5]);
        assert!(transposed.permute(&[1, 0]).is_contiguous());
    }

    #[test]
    fn a_negative_step_reverses() {
        let flipped = layout([4]).slice(&[SliceRange { start: 3, length: 4, step: -1 }]);
        assert_eq!(positions(&flipped), [3, 2, 1, 0]);
    }

    #[test]
    fn a_step_that_is_never_taken_may_be_of_any_width() {
        for step in [isize::MIN, isize::MAX] {
            let ranges = [SliceRange { start: 2, length: 1, step }, SliceRange { start: 0, length: 3, step: 1 }];
            assert_eq!(positions(&layout([4, 3]).slice(&ranges)), [6, 7, 8]);
            let nothing = SliceRange { start: 0, length: 0, step };
            assert_eq!(layout([4]).slice(&[nothing]).shape().count(), 0);
        }
    }

    #[test]
    fn expanding_repeats() {
        let expanded = layout([3, 1]).expand(&Shape::new(&[2, 3, 2]).unwrap()).unwrap();
        assert_eq!(positions(&expanded), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
        assert!(layout([3]).expand(&Shape::new(&[4]).unwrap()).is_none());
    }

    #[test]
    fn reshape_is_a_view_where_the_elements_lie_evenly() {
        let rows = layout([4, 6])
            .slice(&[SliceRange { start: 0, length: 2, step: 2 }, SliceRange { start: 0, length: 6, step: 1 }]);
        let split = rows.reshape(&Shape::new(&[2, 3, 2]).unwrap()).unwrap();
        assert_eq!(positions(&split), positions(&rows));
        assert!(rows.reshape(&Shape::new(&[12]).unwrap()).is_none());
        let transposed = layout([2, 3]).permute(&[1, 0]);
        assert!(transposed.reshape(&Shape::new(&[6]).unwrap()).is_none());
        assert_eq!(
            positions(&transposed.reshape(&Shape::new(&[3, 1, 2, 1]).unwrap()).unwrap()),
            positions(&transposed)
        );
    }
}
