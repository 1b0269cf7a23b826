//! Shapes: views where possible, copies where not. Ranges of axes are in `slicing.rs`.

use super::run;
use crate::shape::resolve_axis;
use crate::{Axes, Error, IntoAxes, IntoReshape, IntoShape, Op, Result, Scalar, Tensor};
use smallvec::{SmallVec, smallvec};

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

    /// The tensor surrounded by `value`: `(before, after)` for each axis.
    ///
    /// # Errors
    /// Not one pair for each axis, a value that does not fit the dtype.
    pub fn pad(&self, padding: &[(usize, usize)], value: impl Into<Scalar>) -> Result<Self> {
        let value = value.into().as_held(self.dtype());
        run(&Op::Pad { padding: padding.into(), value }, smallvec![self.clone()])
    }

    /// Tensors one after another along `axis`.
    ///
    /// # Errors
    /// No tensors, shapes that differ elsewhere, dtypes that differ.
    pub fn concat<T: AsRef<Tensor>>(tensors: &[T], axis: isize) -> Result<Self> {
        let axis = resolve_axis("concat", axis, first_of("concat", tensors)?.rank())?;
        run(&Op::Concat { axis }, tensors.iter().map(|tensor| tensor.as_ref().clone()).collect())
    }

    /// Tensors of one shape along a new axis.
    ///
    /// # Errors
    /// No tensors, shapes or dtypes that differ.
    pub fn stack<T: AsRef<Tensor>>(tensors: &[T], axis: isize) -> Result<Self> {
        let first = first_of("stack", tensors)?;
        let differs = tensors.iter().find(|tensor| tensor.as_ref().shape() != first.shape());
        if let Some(other) = differs {
            let shapes = [*first.shape(), *other.as_ref().shape()];
            return Err(Error::shape("stack", shapes, "they differ", "Stack tensors of one shape, or use `concat`"));
        }
        let axis = resolve_axis("stack", axis, first.rank() + 1)? as isize;
        let raised: Vec<Self> = tensors.iter().map(|tensor| tensor.as_ref().unsqueeze(axis)).collect::<Result<_>>()?;
        Self::concat(&raised, axis)
    }
}

fn first_of<'a, T: AsRef<Tensor>>(operation: &'static str, tensors: &'a [T]) -> Result<&'a Tensor> {
    let first = tensors.first().map(AsRef::as_ref);
    first.ok_or_else(|| Error::argument(operation, "no tensors were given", "Give at least one"))
}

impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}
