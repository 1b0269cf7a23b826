//! Many elements to few. Axes may be one number, several, or `..` for all; negative ones count from the back.

use super::{dispatch, run};
use crate::shape::resolve_axis;
use crate::{ArgReduction, Axes, IntoAxes, Op, Reduction, Result, Tensor};
use smallvec::smallvec;

impl Tensor {
    fn axes(&self, operation: &'static str, axes: impl IntoAxes) -> Result<Axes> {
        let mut axes = axes.into_axes(operation, self.rank())?;
        axes.sort_unstable();
        Ok(axes)
    }

    fn reduce(&self, operation: &'static str, kind: Reduction, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        let axes = self.axes(operation, axes)?;
        run(&Op::Reduce { kind, axes, keep_dims }, smallvec![self.clone()])
    }

    /// The sum along `axes`; 0 of nothing.
    ///
    /// # Errors
    /// An axis out of range, a `bool` tensor.
    pub fn sum(&self, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        self.reduce("sum", Reduction::Sum, axes, keep_dims)
    }

    /// The product along `axes`; 1 of nothing.
    ///
    /// # Errors
    /// An axis out of range, a `bool` tensor.
    pub fn prod(&self, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        self.reduce("prod", Reduction::Prod, axes, keep_dims)
    }

    /// The largest element along `axes`; NaN wins; −∞ or the smallest value of nothing. Of `bool`: any.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn max(&self, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        self.reduce("max", Reduction::Max, axes, keep_dims)
    }

    /// The smallest element along `axes`; NaN wins; ∞ or the largest value of nothing. Of `bool`: all.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn min(&self, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        self.reduce("min", Reduction::Min, axes, keep_dims)
    }

    /// The mean along `axes`; NaN of nothing.
    ///
    /// # Errors
    /// An axis out of range, a tensor that is no float.
    pub fn mean(&self, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        let axes = self.axes("mean", axes)?;
        run(&Op::Mean { axes, keep_dims }, smallvec![self.clone()])
    }

    /// The variance along `axes`: `Σ(x − mean)² / (count − correction)`; 1 is the sample's (PyTorch's default), 0 the population's (NumPy's).
    ///
    /// # Errors
    /// An axis out of range, a tensor that is no float.
    pub fn var(&self, axes: impl IntoAxes, correction: usize, keep_dims: bool) -> Result<Self> {
        let axes = self.axes("var", axes)?;
        run(&Op::Variance { axes, keep_dims, correction }, smallvec![self.clone()])
    }

    /// `ln Σ exp(x)` along `axes`, without overflow.
    ///
    /// # Errors
    /// An axis out of range, a tensor that is no float.
    pub fn logsumexp(&self, axes: impl IntoAxes, keep_dims: bool) -> Result<Self> {
        let axes = self.axes("logsumexp", axes)?;
        run(&Op::LogSumExp { axes, keep_dims }, smallvec![self.clone()])
    }

    /// The position of the largest element along `axis` (`i64`), the first of equals.
    ///
    /// # Errors
    /// An axis out of range or empty; a device without `i64`.
    pub fn argmax(&self, axis: isize, keep_dims: bool) -> Result<Self> {
        let axis = resolve_axis("argmax", axis, self.rank())?;
        run(&Op::ArgReduce { kind: ArgReduction::Max, axis, keep_dims }, smallvec![self.clone()])
    }

    /// The position of the smallest element along `axis` (`i64`), the first of equals.
    ///
    /// # Errors
    /// An axis out of range or empty; a device without `i64`.
    pub fn argmin(&self, axis: isize, keep_dims: bool) -> Result<Self> {
        let axis = resolve_axis("argmin", axis, self.rank())?;
        run(&Op::ArgReduce { kind: ArgReduction::Min, axis, keep_dims }, smallvec![self.clone()])
    }

    /// Running sums along `axis`.
    ///
    /// # Errors
    /// An axis out of range, a `bool` tensor.
    pub fn cumsum(&self, axis: isize) -> Result<Self> {
        let axis = resolve_axis("cumsum", axis, self.rank())?;
        run(&Op::CumulativeSum { axis, reverse: false }, smallvec![self.clone()])
    }

    /// The elements in order along `axis`, and where they were (`i64`). Stable; NaN counts as the largest.
    ///
    /// # Errors
    /// An axis out of range; a device without `i64`.
    pub fn sort(&self, axis: isize, descending: bool) -> Result<(Self, Self)> {
        let axis = resolve_axis("sort", axis, self.rank())?;
        let mut outputs = dispatch(&Op::Sort { axis, descending }, smallvec![self.clone()])?.into_iter();
        match (outputs.next(), outputs.next()) {
            (Some(values), Some(indices)) => Ok((values, indices)),
            _ => Err(crate::Error::device(
                self.device().name(),
                "sort returned too little",
                "This is a defect of the backend: report it",
            )),
        }
    }

    /// The `count` largest (or smallest) elements along `axis` in order, and where they were (`i64`).
    ///
    /// # Errors
    /// An axis out of range, more elements than it has; a device without `i64`.
    pub fn topk(&self, count: usize, axis: isize, largest: bool) -> Result<(Self, Self)> {
        let size = self.size(axis)?;
        if count > size {
            return Err(crate::Error::shape(
                "topk",
                [*self.shape()],
                format!("axis {axis} has {size} elements, {count} were asked for"),
                "Ask for fewer",
            ));
        }
        let (values, indices) = self.sort(axis, largest)?;
        Ok((values.narrow(axis, 0, count)?, indices.narrow(axis, 0, count)?))
    }
}
