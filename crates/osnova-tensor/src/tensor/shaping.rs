//! Shapes: views where possible, copies where not.

use super::run;
use crate::shape::resolve_axis;
use crate::{Axes, Error, IntoAxes, IntoReshape, IntoShape, Op, Result, Scalar, Shape, SliceRange, Tensor};
use smallvec::{SmallVec, smallvec};
use std::ops::{Bound, RangeBounds};

impl Tensor {
    /// The same elements, row-major, under another shape; one size may be −1. A view where strides allow, else a copy.
    ///
    /// # Errors
    /// Another number of elements.
    pub fn reshape(&self, shape: impl IntoReshape) -> Result<Self> {
        let shape = shape.into_reshape(self.shape())?;
        if shape == *self.shape() {
            return Ok(self.clone());
        }
        run(&Op::Reshape { shape }, smallvec![self.clone()])
    }

    /// The axes from `start` to `end` (included; negative from the back) merged into one.
    ///
    /// # Errors
    /// An axis out of range, `start` after `end`.
    pub fn flatten(&self, start: isize, end: isize) -> Result<Self> {
        if self.rank() == 0 {
            return self.reshape([1usize]);
        }
        let (first, last) = (resolve_axis("flatten", start, self.rank())?, resolve_axis("flatten", end, self.rank())?);
        if first > last {
            return Err(Error::argument("flatten", format!("axis {start} comes after axis {end}"), "Swap them"));
        }
        let mut dims: SmallVec<[usize; 8]> = self.dims()[..first].into();
        dims.push(self.dims()[first..=last].iter().product());
        dims.extend_from_slice(&self.dims()[last + 1..]);
        self.reshape(&dims[..])
    }

    /// The axes in another order: `axes[i]` becomes axis i.
    ///
    /// # Errors
    /// Not each axis once.
    pub fn permute(&self, axes: impl IntoAxes) -> Result<Self> {
        let axes = axes.into_axes("permute", self.rank())?;
        run(&Op::Permute { axes }, smallvec![self.clone()])
    }

    /// Two axes swapped.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn transpose(&self, first: isize, second: isize) -> Result<Self> {
        let (first, second) =
            (resolve_axis("transpose", first, self.rank())?, resolve_axis("transpose", second, self.rank())?);
        let mut axes: Axes = (0..self.rank()).collect();
        axes.swap(first, second);
        run(&Op::Permute { axes }, smallvec![self.clone()])
    }

    /// A matrix (or batch of matrices) with its last two axes swapped.
    ///
    /// # Errors
    /// Fewer than two axes.
    pub fn t(&self) -> Result<Self> {
        self.transpose(-2, -1)
    }

    /// Size-1 axes, and new ones in front, repeated to `shape`. A view.
    ///
    /// # Errors
    /// An axis that is neither of size 1 nor of the wanted size.
    pub fn expand(&self, shape: impl IntoShape) -> Result<Self> {
        let shape = shape.into_shape()?;
        if shape == *self.shape() {
            return Ok(self.clone());
        }
        run(&Op::Expand { shape }, smallvec![self.clone()])
    }

    /// A new axis of size 1 before `axis` (−1: at the end).
    ///
    /// # Errors
    /// An axis out of range.
    pub fn unsqueeze(&self, axis: isize) -> Result<Self> {
        let axis = resolve_axis("unsqueeze", axis, self.rank() + 1)?;
        let mut dims: SmallVec<[usize; 8]> = self.dims().into();
        dims.insert(axis, 1);
        self.reshape(&dims[..])
    }

    /// Without `axes`, which have size 1.
    ///
    /// # Errors
    /// An axis out of range or of another size.
    pub fn squeeze(&self, axes: impl IntoAxes) -> Result<Self> {
        let axes = axes.into_axes("squeeze", self.rank())?;
        if let Some(&axis) = axes.iter().find(|&&axis| self.shape()[axis] != 1) {
            return Err(Error::shape(
                "squeeze",
                [*self.shape()],
                format!("axis {axis} does not have size 1"),
                "Squeeze axes of size 1, or use `reshape`",
            ));
        }
        self.reshape(self.shape().reduced(&axes, false))
    }

    /// The same elements lying row-major without gaps; the same handle if they do already.
    ///
    /// # Errors
    /// Out of memory.
    pub fn contiguous(&self) -> Result<Self> {
        if self.layout().is_contiguous() {
            return Ok(self.clone());
        }
        run(&Op::Contiguous, smallvec![self.clone()])
    }

    fn slice_with(&self, axis: usize, range: SliceRange) -> Result<Self> {
        let mut ranges: SmallVec<[SliceRange; 4]> =
            self.dims().iter().map(|&length| SliceRange { start: 0, length, step: 1 }).collect();
        ranges[axis] = range;
        run(&Op::Slice { ranges }, smallvec![self.clone()])
    }

    /// `length` elements of `axis` from `start` on. A view.
    ///
    /// # Errors
    /// A range outside the axis.
    pub fn narrow(&self, axis: isize, start: usize, length: usize) -> Result<Self> {
        let axis = resolve_axis("narrow", axis, self.rank())?;
        if start.checked_add(length).is_none_or(|end| end > self.shape()[axis]) {
            return Err(Error::shape(
                "narrow",
                [*self.shape()],
                format!("{length} elements from {start} on are not all on axis {axis}"),
                "Keep start + length within the axis",
            ));
        }
        self.slice_with(axis, SliceRange { start, length, step: 1 })
    }

    /// A range of `axis` with a step, as Python's `x[start:end:step]`: negative bounds count from the back, bounds outside are cut.
    /// A negative step walks backwards from `start` (default: the last element).
    ///
    /// # Errors
    /// An axis out of range, a step of 0.
    pub fn slice(&self, axis: isize, range: impl RangeBounds<isize>, step: isize) -> Result<Self> {
        let axis = resolve_axis("slice", axis, self.rank())?;
        if step == 0 {
            return Err(Error::argument("slice", "a step of 0 never arrives", "Give a positive or negative step"));
        }
        let size = self.shape()[axis] as isize;
        // Python's rules: clamp into -1..size backwards, 0..=size forwards.
        let (lowest, highest) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let place = |bound: isize| (if bound < 0 { bound + size } else { bound }).clamp(lowest, highest);
        let start = match range.start_bound() {
            Bound::Included(&start) => place(start),
            Bound::Excluded(&start) => place(start.saturating_add(1)),
            Bound::Unbounded => {
                if step > 0 {
                    0
                } else {
                    size - 1
                }
            }
        };
        let end = match range.end_bound() {
            Bound::Excluded(&end) => place(end),
            Bound::Included(&end) => {
                if step > 0 {
                    (place(end) + 1).min(highest)
                } else {
                    (place(end) - 1).max(lowest)
                }
            }
            Bound::Unbounded => {
                if step > 0 {
                    size
                } else {
                    -1
                }
            }
        };
        let span = if step > 0 { end - start } else { start - end };
        let length = if span <= 0 { 0 } else { (span as usize - 1) / step.unsigned_abs() + 1 };
        let start = if length == 0 { 0 } else { start as usize };
        self.slice_with(axis, SliceRange { start, length, step })
    }

    /// One element of `axis` (negative: from the back), without the axis. A view.
    ///
    /// # Errors
    /// An index outside the axis.
    pub fn select(&self, axis: isize, index: isize) -> Result<Self> {
        let axis = resolve_axis("select", axis, self.rank())?;
        let size = self.shape()[axis] as isize;
        let place = if index < 0 { index + size } else { index };
        if !(0..size).contains(&place) {
            return Err(Error::shape(
                "select",
                [*self.shape()],
                format!("index {index} is outside axis {axis}"),
                "Use an index the axis has",
            ));
        }
        let sliced = self.slice_with(axis, SliceRange { start: place as usize, length: 1, step: 1 })?;
        sliced.reshape(self.shape().reduced(&[axis], false))
    }

    /// The elements in reverse order along `axes`. A view.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn flip(&self, axes: impl IntoAxes) -> Result<Self> {
        let axes = axes.into_axes("flip", self.rank())?;
        let ranges = self.dims().iter().enumerate().map(|(axis, &length)| {
            if axes.contains(&axis) && length > 0 {
                SliceRange { start: length - 1, length, step: -1 }
            } else {
                SliceRange { start: 0, length, step: 1 }
            }
        });
        run(&Op::Slice { ranges: ranges.collect() }, smallvec![self.clone()])
    }

    /// Pieces of `size` elements along `axis`; the last may be shorter. Views.
    ///
    /// # Errors
    /// An axis out of range, a size of 0.
    pub fn split(&self, size: usize, axis: isize) -> Result<Vec<Self>> {
        if size == 0 {
            return Err(Error::argument(
                "split",
                "pieces of 0 elements never cover the axis",
                "Give a size of at least 1",
            ));
        }
        let total = self.size(axis)?;
        (0..total).step_by(size).map(|start| self.narrow(axis, start, size.min(total - start))).collect()
    }

    /// The tensor surrounded by `value`: `(before, after)` for each axis.
    ///
    /// # Errors
    /// Not one pair for each axis, a value that does not fit the dtype.
    pub fn pad(&self, padding: &[(usize, usize)], value: impl Into<Scalar>) -> Result<Self> {
        run(&Op::Pad { padding: padding.into(), value: value.into() }, smallvec![self.clone()])
    }

    /// Tensors one after another along `axis`.
    ///
    /// # Errors
    /// No tensors, shapes that differ elsewhere, dtypes that differ.
    pub fn concat<T: AsRef<Tensor>>(tensors: &[T], axis: isize) -> Result<Self> {
        let rank = tensors.first().map_or(1, |first| first.as_ref().rank());
        let axis = resolve_axis("concat", axis, rank)?;
        run(&Op::Concat { axis }, tensors.iter().map(|tensor| tensor.as_ref().clone()).collect())
    }

    /// Tensors of one shape along a new axis.
    ///
    /// # Errors
    /// No tensors, shapes or dtypes that differ.
    pub fn stack<T: AsRef<Tensor>>(tensors: &[T], axis: isize) -> Result<Self> {
        let shapes: SmallVec<[Shape; 4]> = tensors.iter().map(|tensor| *tensor.as_ref().shape()).collect();
        if shapes.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Error::shape("stack", shapes, "they differ", "Stack tensors of one shape, or use `concat`"));
        }
        let rank = shapes.first().map_or(0, Shape::rank) + 1;
        let axis = resolve_axis("stack", axis, rank)? as isize;
        let raised: Vec<Self> = tensors.iter().map(|tensor| tensor.as_ref().unsqueeze(axis)).collect::<Result<_>>()?;
        Self::concat(&raised, axis)
    }
}

impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}
