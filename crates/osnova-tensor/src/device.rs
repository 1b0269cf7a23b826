//! Handles to devices.

use crate::backend::{Backend, Capabilities, Inputs, Outputs};
use crate::{DType, Error, HostData, Op, Result, Shape, Tensor, decompose, infer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr;

/// A handle to a backend that lives as long as the program. Two handles are equal if they name the same backend.
#[derive(Clone, Copy)]
pub struct Device(&'static dyn Backend);

impl Device {
    /// A device for a backend. The backend is kept for the rest of the program, so make one for each physical device
    /// (or each inner device, for a wrapper), not one for each use.
    pub fn intern(backend: impl Backend + 'static) -> Self {
        Self(Box::leak(Box::new(backend)))
    }

    /// A device for a backend in a `static`.
    pub const fn from_static(backend: &'static dyn Backend) -> Self {
        Self(backend)
    }

    /// The backend.
    #[inline]
    pub fn backend(self) -> &'static dyn Backend {
        self.0
    }

    /// The backend's name.
    pub fn name(self) -> String {
        self.0.name()
    }

    /// What the device can hold and do.
    pub fn capabilities(self) -> Capabilities {
        self.0.capabilities()
    }

    /// The dtype for indices and counters that are made on the device: `i64`, or `i32` or `u32` where it has no 64-bit integers.
    pub fn index_dtype(self) -> DType {
        let supported = self.capabilities().dtypes;
        DType::INDICES.into_iter().find(|&dtype| supported.contains(dtype)).unwrap_or(DType::I64)
    }

    /// The device this one wraps.
    #[inline]
    pub fn inner(self) -> Option<Self> {
        Some(self.0.as_wrapper()?.inner())
    }

    /// How many devices this one wraps: 0 for a concrete one.
    pub fn depth(self) -> usize {
        self.inner().map_or(0, |inner| inner.depth() + 1)
    }

    /// The concrete device under all wrappers.
    pub fn innermost(self) -> Self {
        self.inner().map_or(self, Self::innermost)
    }

    /// Whether `other` is this device or one inside it.
    pub fn contains(self, other: Self) -> bool {
        self == other || self.inner().is_some_and(|inner| inner.contains(other))
    }

    /// Whether this device itself takes part in differentiation: it records, or its tensors carry derivatives.
    pub fn differentiates(self) -> bool {
        self.0.as_recorder().is_some() || self.0.as_wrapper().is_some_and(crate::Wrapper::carries_derivatives)
    }

    /// The innermost device that takes no part in differentiation: where values live that need no gradient.
    ///
    /// For `cpu.autodiff()` that is `cpu`, for `cpu` it is `cpu` itself.
    pub fn without_recording(self) -> Self {
        match self.inner() {
            Some(inner) if self.differentiates() => inner.without_recording(),
            _ => self,
        }
    }

    /// Waits until all work given to the device is done.
    ///
    /// # Errors
    /// Whatever went wrong in asynchronous work.
    pub fn synchronize(self) -> Result<()> {
        self.0.synchronize()
    }

    /// Checks an operation and runs it here. The inputs live on this device or one inside it.
    ///
    /// # Errors
    /// Whatever inference finds wrong with the inputs, and whatever the backend reports.
    pub fn apply(self, op: &Op, inputs: Inputs) -> Result<Outputs> {
        let outputs = infer::infer(op, &inputs)?;
        // What an input has on this device already, the device supports.
        let held = inputs.first().map(Tensor::dtype);
        for meta in &outputs {
            if held != Some(meta.dtype) {
                self.supports(op.name(), meta.dtype)?;
            }
        }
        if op.is_composite() && !self.0.claims(op, &inputs) {
            return decompose(self, op, inputs, &outputs);
        }
        self.0.execute(self, op, inputs, &outputs)
    }

    /// Puts values on the device.
    pub(crate) fn upload(self, data: HostData, shape: Shape) -> Result<Tensor> {
        if data.len() != shape.count() {
            return Err(Error::shape(
                "from_vec",
                [shape],
                format!("{} values were given, the shape holds {}", data.len(), shape.count()),
                "Give one value for each element",
            ));
        }
        self.supports("from_vec", data.dtype())?;
        self.0.upload(self, data, shape)
    }

    #[inline]
    fn supports(self, operation: &'static str, dtype: DType) -> Result<()> {
        if self.0.capabilities().dtypes.contains(dtype) {
            return Ok(());
        }
        Err(Error::device(
            self.name(),
            format!("{operation} needs {dtype}, which this device does not support"),
            "Use `to_dtype` or another device",
        ))
    }
}

impl PartialEq for Device {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::addr_eq(self.0, other.0)
    }
}

impl Eq for Device {}

impl Hash for Device {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (ptr::from_ref(self.0) as *const ()).hash(state);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.0.name())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}
