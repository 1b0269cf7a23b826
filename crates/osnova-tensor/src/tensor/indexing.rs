//! By index. Index tensors are `i64`, `i32` or `u32` with values in `0..size`.

use super::run;
use crate::shape::resolve_axis;
use crate::{DType, Device, Error, HostData, IntoShape, Op, Result, Scalar, Tensor};
use smallvec::smallvec;

impl Tensor {
    /// Indices, classes or counts as a tensor of an [index dtype](DType::is_index): that of the device, most often
    /// ([`Device::index_dtype`]).
    ///
    /// # Errors
    /// Another dtype, a value that it does not hold, and what [`from_vec`](Self::from_vec) reports.
    pub fn from_indices(values: Vec<i64>, shape: impl IntoShape, dtype: DType, device: Device) -> Result<Self> {
        fn narrowed<T: TryFrom<i64>>(values: &[i64]) -> Result<Vec<T>, i64> {
            values.iter().map(|&value| T::try_from(value).map_err(|_| value)).collect()
        }
        let data = match dtype {
            DType::I64 => Ok(HostData::I64(values)),
            DType::I32 => narrowed(&values).map(HostData::I32),
            DType::U32 => narrowed(&values).map(HostData::U32),
            _ => return Err(Error::dtype("from_indices", [dtype], "it is no dtype of indices", "Use i64, i32 or u32")),
        };
        match data {
            Ok(data) => Self::from_host(data, shape, device),
            Err(value) => Err(Error::dtype("from_indices", [dtype], format!("it does not hold {value}"), "Use i64")),
        }
    }

    /// `y[i][j] = x[index[i][j]][j]` (axis 0; likewise for others): one element for each entry of `index`.
    ///
    /// # Errors
    /// An index of another dtype than `i64`, `i32` and `u32`, of another rank, or out of range.
    pub fn gather(&self, axis: isize, index: &Self) -> Result<Self> {
        let axis = resolve_axis("gather", axis, self.rank())?;
        run(&Op::Gather { axis }, smallvec![self.clone(), index.clone()])
    }

    /// This tensor with `source` added where `index` says: `y[index[i][j]][j] += source[i][j]`; entries may repeat.
    ///
    /// # Errors
    /// An index of another dtype than `i64`, `i32` and `u32`, does not have the source's shape, or is out of range.
    pub fn scatter_add(&self, axis: isize, index: &Self, source: &Self) -> Result<Self> {
        let axis = resolve_axis("scatter_add", axis, self.rank())?;
        run(&Op::ScatterAdd { axis }, smallvec![self.clone(), index.clone(), source.clone()])
    }

    /// Whole slices along `axis`, in the order of `index` (`[n]`, may repeat).
    ///
    /// # Errors
    /// An index of another dtype than `i64`, `i32` and `u32`, not a vector, or out of range.
    pub fn index_select(&self, axis: isize, index: &Self) -> Result<Self> {
        let axis = resolve_axis("index_select", axis, self.rank())?;
        run(&Op::IndexSelect { axis }, smallvec![self.clone(), index.clone()])
    }

    /// This tensor with slices of `source` added where `index` (`[n]`, may repeat) says.
    ///
    /// # Errors
    /// An index of another dtype than `i64`, `i32` and `u32`, not a vector, or out of range; a source of another shape.
    pub fn index_add(&self, axis: isize, index: &Self, source: &Self) -> Result<Self> {
        let axis = resolve_axis("index_add", axis, self.rank())?;
        run(&Op::IndexAdd { axis }, smallvec![self.clone(), index.clone(), source.clone()])
    }

    /// A new last axis of `classes` elements: 1 at the class, 0 elsewhere. A class outside `0..classes` gives zeros.
    ///
    /// # Errors
    /// A tensor of another dtype than `i64`, `i32` and `u32`, more classes than that counts.
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Result<Self> {
        if !self.dtype().is_index() {
            return Err(Error::dtype(
                "one_hot",
                [self.dtype()],
                "classes must be i64, i32 or u32",
                "Convert them with `to_dtype(DType::I64)`",
            ));
        }
        let range = counted("one_hot", classes, self.dtype(), self.device())?;
        self.unsqueeze(-1)?.equal(range)?.to_dtype(dtype)
    }

    /// The lower triangle (of the last two axes): elements above the diagonal `offset` become 0.
    ///
    /// # Errors
    /// Fewer than two axes.
    pub fn tril(&self, offset: i64) -> Result<Self> {
        self.triangle("tril", |row, column| (row + self.within(offset))?.greater_equal(column))
    }

    /// The upper triangle (of the last two axes): elements below the diagonal `offset` become 0.
    ///
    /// # Errors
    /// Fewer than two axes.
    pub fn triu(&self, offset: i64) -> Result<Self> {
        self.triangle("triu", |row, column| (row + self.within(offset))?.less_equal(column))
    }

    fn triangle(&self, operation: &'static str, keep: impl FnOnce(Self, Self) -> Result<Self>) -> Result<Self> {
        let [.., rows, columns] = *self.dims() else {
            return Err(Error::shape(operation, [*self.shape()], "it needs two axes", "Use `unsqueeze`"));
        };
        let dtype = self.device().index_dtype();
        let row = counted(operation, rows, dtype, self.device())?.unsqueeze(1)?;
        let column = counted(operation, columns, dtype, self.device())?;
        keep(row, column)?.where_(self, self.zeros_like()?)
    }

    /// A diagonal's offset, or the nearest that a matrix of this tensor's size still has: one that no sum with a row overflows by.
    fn within(&self, offset: i64) -> i64 {
        let size = |axis| self.size(axis).map_or(0, |size| size as i64);
        offset.clamp(-size(-2), size(-1))
    }
}

/// `0..count` as a constant beside `device`.
pub(super) fn counted(operation: &'static str, count: usize, dtype: DType, device: Device) -> Result<Tensor> {
    if count > 0 && !Scalar::from(i64::try_from(count - 1).unwrap_or(i64::MAX)).fits(dtype) {
        return Err(Error::argument(operation, format!("{dtype} does not count up to {count}"), "Use i64"));
    }
    Tensor::arange_of(0, 1, count, dtype, device.without_recording())
}
