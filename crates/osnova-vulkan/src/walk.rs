//! How a kernel walks strided tensors: as few axes as the layouts allow.

use crate::engine::{Place, Words};
use osnova_tensor::{Layout, Shape};
use smallvec::SmallVec;

/// A box of elements and the strides of `N` tensors through it, innermost axis first. `shaders/include/strided.glsl` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk<const N: usize> {
    dims: SmallVec<[u32; 8]>,
    strides: SmallVec<[[i32; N]; 8]>,
}

impl<const N: usize> Walk<N> {
    /// The elements of `shape` in row-major order, through layouts of that shape. Axes that lie evenly in all of them become one.
    ///
    /// Sizes and strides fit 32 bits: a kernel sees at most 2³² bytes of a tensor, and arithmetic on positions wraps.
    pub(crate) fn new(shape: &Shape, layouts: [&Layout; N]) -> Self {
        let all = layouts.map(Layout::strides);
        let mut walk = Self { dims: SmallVec::new(), strides: SmallVec::new() };
        for axis in (0..shape.rank()).rev() {
            let dim = shape[axis] as u32;
            if dim == 1 {
                continue;
            }
            let strides = std::array::from_fn(|index| all[index][axis] as i32);
            match (walk.dims.last_mut(), walk.strides.last()) {
                (Some(last), Some(inner))
                    if (0..N).all(|index| strides[index] == inner[index].wrapping_mul(*last as i32)) =>
                {
                    *last *= dim;
                }
                _ => {
                    walk.dims.push(dim);
                    walk.strides.push(strides);
                }
            }
        }
        walk
    }

    /// Whether one stride for each tensor is enough.
    pub(crate) fn is_linear(&self) -> bool {
        self.dims.len() <= 1
    }

    /// The size and strides of the innermost axis; of a single element `(1, [0; N])`.
    pub(crate) fn innermost(&self) -> (u32, [i32; N]) {
        (self.dims.first().copied().unwrap_or(1), self.strides.first().copied().unwrap_or([0; N]))
    }

    /// `[rank, sizes…, (start, strides…) for each tensor]`, innermost first; for a linear walk `(start, stride)` for each tensor.
    pub(crate) fn words(&self, places: [&Place; N]) -> Words {
        let mut words = Words::new();
        if self.is_linear() {
            for (index, place) in places.into_iter().enumerate() {
                words.extend([place.start, self.strides.first().map_or(0, |strides| strides[index] as u32)]);
            }
            return words;
        }
        self.long_words(places)
    }

    /// The words of a walk that is not linear, which serve any walk: for kernels to which the difference is nothing.
    pub(crate) fn long_words(&self, places: [&Place; N]) -> Words {
        let mut words = Words::new();
        words.push(self.dims.len() as u32);
        words.extend_from_slice(&self.dims);
        for (index, place) in places.into_iter().enumerate() {
            words.push(place.start);
            words.extend(self.strides.iter().map(|strides| strides[index] as u32));
        }
        words
    }
}

impl Walk<2> {
    /// The same walk with the tensors swapped.
    pub(crate) fn swapped(&self) -> Self {
        Self { dims: self.dims.clone(), strides: self.strides.iter().map(|&[first, second]| [second, first]).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dims: &[usize]) -> Layout {
        Layout::contiguous(Shape::new(dims).unwrap())
    }

    #[test]
    fn even_axes_become_one() {
        let whole = layout(&[2, 1, 3, 4]);
        let walk = Walk::new(whole.shape(), [&whole, &whole]);
        assert!(walk.is_linear());
        assert_eq!((&walk.dims[..], &walk.strides[..]), (&[24][..], &[[1, 1]][..]));
        let scalar = layout(&[]).expand(whole.shape()).unwrap();
        assert!(Walk::new(whole.shape(), [&whole, &scalar]).is_linear());
    }

    #[test]
    fn a_bias_takes_two_axes() {
        let matrix = layout(&[5, 2, 3]);
        let bias = layout(&[3]).expand(matrix.shape()).unwrap();
        let walk = Walk::new(matrix.shape(), [&matrix, &bias]);
        assert_eq!((&walk.dims[..], &walk.strides[..]), (&[3, 10][..], &[[1, 1], [3, 0]][..]));
    }

    #[test]
    fn a_scalar_is_linear() {
        let scalar = layout(&[]);
        assert!(Walk::new(scalar.shape(), [&scalar]).is_linear());
    }
}
