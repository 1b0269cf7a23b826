//! Values back to the host, and dtypes.

use super::run;
use crate::{DType, Element, Error, HostData, Op, Result, Tensor};
use smallvec::smallvec;

impl Tensor {
    /// The values in host memory, row-major, after all pending work on them.
    ///
    /// # Errors
    /// Whatever went wrong in pending work on an asynchronous device.
    pub fn to_host(&self) -> Result<HostData> {
        self.device().backend().download(self)
    }

    /// The values, row-major.
    ///
    /// # Errors
    /// `T` is not the tensor's element type, and whatever [`to_host`](Self::to_host) reports.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        T::from_host(self.to_host()?).map_err(|data| {
            Error::dtype(
                "to_vec",
                [data.dtype(), T::DTYPE],
                "the tensor holds another type",
                "Convert with `to_dtype` first",
            )
        })
    }

    /// The value of a tensor with one element.
    ///
    /// # Errors
    /// More or fewer elements, another dtype.
    pub fn to_scalar<T: Element>(&self) -> Result<T> {
        match self.to_vec::<T>()?.as_slice() {
            [value] => Ok(*value),
            _ => Err(Error::shape(
                "to_scalar",
                [*self.shape()],
                "it does not hold exactly one element",
                "Reduce or select first",
            )),
        }
    }

    /// The value of a tensor with one element of any dtype, as `f64`.
    ///
    /// # Errors
    /// More or fewer elements.
    pub fn item(&self) -> Result<f64> {
        match self.to_host()?.to_f64().as_slice() {
            [value] => Ok(*value),
            _ => Err(Error::shape(
                "item",
                [*self.shape()],
                "it does not hold exactly one element",
                "Reduce or select first",
            )),
        }
    }

    /// The values as another dtype (see [`Op::Cast`] for the rounding); the same handle if it is the same.
    ///
    /// # Errors
    /// A dtype the device lacks.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        run(&Op::Cast { dtype }, smallvec![self.clone()])
    }
}
