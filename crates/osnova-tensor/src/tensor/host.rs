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
        let other = |dtype| {
            Error::dtype("to_vec", [dtype, T::DTYPE], "the tensor holds another type", "Convert with `to_dtype` first")
        };
        // Before the values are copied.
        if self.dtype() != T::DTYPE {
            return Err(other(self.dtype()));
        }
        T::from_host(self.to_host()?).map_err(|data| other(data.dtype()))
    }

    /// The value of a tensor with one element.
    ///
    /// # Errors
    /// More or fewer elements, another dtype.
    pub fn to_scalar<T: Element>(&self) -> Result<T> {
        self.single("to_scalar")?;
        match self.to_vec::<T>()?.as_slice() {
            [value] => Ok(*value),
            _ => Err(self.not_single("to_scalar")),
        }
    }

    /// The value of a tensor with one element of any dtype, as `f64`; an `i64` beyond 2⁵³ rounds, [`to_scalar`](Self::to_scalar) gives it whole.
    ///
    /// # Errors
    /// More or fewer elements.
    pub fn item(&self) -> Result<f64> {
        self.single("item")?;
        self.to_host()?.iter().next().ok_or_else(|| self.not_single("item"))
    }

    /// Refuses another number of elements than one, before they are copied.
    fn single(&self, operation: &'static str) -> Result<()> {
        if self.count() == 1 { Ok(()) } else { Err(self.not_single(operation)) }
    }

    #[cold]
    fn not_single(&self, operation: &'static str) -> Box<Error> {
        Error::shape(
            operation,
            [*self.shape()],
            format!("{} elements are not exactly one", self.count()),
            "Reduce or select first",
        )
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
