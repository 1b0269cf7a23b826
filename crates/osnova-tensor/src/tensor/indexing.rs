//! By index. Index tensors are `i64` with values in `0..size`.

use super::run;
use crate::shape::resolve_axis;
use crate::{DType, Error, Op, Result, Tensor};
use smallvec::smallvec;

impl Tensor {
    /// `y[i][j] = x[index[i][j]][j]` (axis 0; likewise for others): one element for each entry of `index`.
    ///
    /// # Errors
    /// An index that is not `i64`, of another rank, or out of range.
    pub fn gather(&self, axis: isize, index: &Self) -> Result<Self> {
        let axis = resolve_axis("gather", axis, self.rank())?;
        run(&Op::Gather { axis }, smallvec![self.clone(), index.clone()])
    }

    /// This tensor with `source` added where `index` says: `y[index[i][j]][j] += source[i][j]`; entries may repeat.
    ///
    /// # Errors
    /// An index that is not `i64`, does not have the source's shape, or is out of range.
    pub fn scatter_add(&self, axis: isize, index: &Self, source: &Self) -> Result<Self> {
        let axis = resolve_axis("scatter_add", axis, self.rank())?;
        run(&Op::ScatterAdd { axis }, smallvec![self.clone(), index.clone(), source.clone()])
    }

    /// Whole slices along `axis`, in the order of `index` (`[n]`, may repeat).
    ///
    /// # Errors
    /// An index that is not `i64`, not a vector, or out of range.
    pub fn index_select(&self, axis: isize, index: &Self) -> Result<Self> {
        let axis = resolve_axis("index_select", axis, self.rank())?;
        run(&Op::IndexSelect { axis }, smallvec![self.clone(), index.clone()])
    }

    /// This tensor with slices of `source` added where `index` (`[n]`, may repeat) says.
    ///
    /// # Errors
    /// An index that is not `i64`, not a vector, or out of range; a source of another shape.
    pub fn index_add(&self, axis: isize, index: &Self, source: &Self) -> Result<Self> {
        let axis = resolve_axis("index_add", axis, self.rank())?;
        run(&Op::IndexAdd { axis }, smallvec![self.clone(), index.clone(), source.clone()])
    }

    /// A new last axis of `classes` elements: 1 at the class, 0 elsewhere. A class outside `0..classes` gives zeros.
    ///
    /// # Errors
    /// A tensor that is not `i64`.
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Result<Self> {
        if self.dtype() != DType::I64 {
            return Err(Error::dtype(
                "one_hot",
                [self.dtype()],
                "classes must be i64",
                "Convert them with `to_dtype(DType::I64)`",
            ));
        }
        let range = Self::arange_of(0, 1, classes, DType::I64, self.device().without_recording())?;
        self.unsqueeze(-1)?.equal(range)?.to_dtype(dtype)
    }

    /// The lower triangle (of the last two axes): elements above the diagonal `offset` become 0.
    ///
    /// # Errors
    /// Fewer than two axes.
    pub fn tril(&self, offset: i64) -> Result<Self> {
        self.triangle("tril", |row, column| (row + offset)?.greater_equal(column))
    }

    /// The upper triangle (of the last two axes): elements below the diagonal `offset` become 0.
    ///
    /// # Errors
    /// Fewer than two axes.
    pub fn triu(&self, offset: i64) -> Result<Self> {
        self.triangle("triu", |row, column| (row + offset)?.less_equal(column))
    }

    fn triangle(&self, operation: &'static str, keep: impl FnOnce(Self, Self) -> Result<Self>) -> Result<Self> {
        let [.., rows, columns] = *self.dims() else {
            return Err(Error::shape(operation, [*self.shape()], "it needs two axes", "Use `unsqueeze`"));
        };
        let device = self.device().without_recording();
        let row = Self::arange_of(0, 1, rows, DType::I64, device)?.unsqueeze(1)?;
        let column = Self::arange_of(0, 1, columns, DType::I64, device)?;
        keep(row, column)?.where_(self, self.zeros_like()?)
    }
}
