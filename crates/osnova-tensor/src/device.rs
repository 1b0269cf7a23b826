//! Handles to devices.

use crate::backend::{Backend, Capabilities, Inputs, Outputs};
use crate::{DType, Error, HostData, Op, Result, Shape, Tensor, decompose, infer};
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr;

/// A handle to a backend that lives as long as the program. Two handles are equal if they name the same backend.
#[derive(Clone, Copy)]
pub struct Device(&'static dyn Backend);

/// A backend with an address of its own, as a backend without fields would not have it: all of those could lie in one place.
#[repr(C)]
struct Placed<B> {
    // First, so that it lies where this struct begins.
    backend: B,
    place: u8,
}

impl Device {
    /// A device for a backend, equal to no other. The backend is kept for the rest of the program, so make one for each physical device
    /// (or each inner device, for a wrapper), not one for each use.
    pub fn intern(backend: impl Backend + 'static) -> Self {
        Self(&Box::leak(Box::new(Placed { backend, place: 0 })).backend)
    }

    /// A device for a backend in a `static`: every call with one `static` gives the same device.
    ///
    /// Several statics of one type without fields may be one device, since nothing tells them apart; [`intern`](Self::intern) does.
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
    /// By address, and by type too: statics of different types share an address if one has no fields or is the first field of another.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Both words first, which settles it nearly always. Tables of one type may lie in several places: then the types decide.
        ptr::eq(self.0, other.0) || ptr::addr_eq(self.0, other.0) && Any::type_id(self.0) == Any::type_id(other.0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DTypeSet, Meta};
    use std::collections::HashSet;

    /// Backends that can do nothing.
    macro_rules! idle {
        ($($(#[$attribute:meta])* $kind:ident $(($field:ty))?;)*) => {$(
            $(#[$attribute])*
            #[derive(Debug)]
            struct $kind $(($field))?;

            impl Backend for $kind {
                fn name(&self) -> String {
                    stringify!($kind).into()
                }
                fn capabilities(&self) -> Capabilities {
                    Capabilities::new(DTypeSet::ALL)
                }
                fn upload(&self, _: Device, _: HostData, _: Shape) -> Result<Tensor> {
                    Err(Error::device(self.name(), "it can do nothing", "Use another device"))
                }
                fn download(&self, _: &Tensor) -> Result<HostData> {
                    Err(Error::device(self.name(), "it can do nothing", "Use another device"))
                }
                fn execute(&self, _: Device, _: &Op, _: Inputs, _: &[Meta]) -> Result<Outputs> {
                    Err(Error::device(self.name(), "it can do nothing", "Use another device"))
                }
            }
        )*};
    }

    idle! {
        One;
        Other;
        /// Its address is a multiple of 64.
        #[repr(align(64))]
        Aligned;
        Sized(u64);
        /// A backend whose first field is a backend.
        #[repr(transparent)]
        Around(One);
    }

    #[test]
    fn backends_without_fields_are_devices_of_their_own() {
        let devices = [
            Device::intern(One),
            Device::intern(Other),
            Device::intern(One),
            Device::intern(Aligned),
            Device::intern(Aligned),
            Device::intern(Around(One)),
            Device::intern(Sized(1)),
            Device::intern(Sized(1)),
        ];
        for (at, device) in devices.iter().enumerate() {
            for (other_at, other) in devices.iter().enumerate() {
                assert_eq!(device == other, at == other_at, "{device} and {other}");
            }
        }
        assert_eq!(HashSet::from(devices).len(), devices.len());
        assert_eq!(devices[1].name(), "Other");
        let copy = devices[1];
        assert!(copy == devices[1] && devices[1].contains(copy) && !devices[0].contains(copy));
    }

    #[test]
    fn statics_are_told_apart_by_type_where_they_share_an_address() {
        static ONE: One = One;
        static OTHER: Other = Other;
        static SIZED: Sized = Sized(1);
        static AROUND: Around = Around(One);
        const CONSTANT: Device = Device::from_static(&ONE);
        assert_eq!(CONSTANT, Device::from_static(&ONE));
        let devices =
            [CONSTANT, Device::from_static(&OTHER), Device::from_static(&SIZED), Device::from_static(&AROUND)];
        for (at, device) in devices.iter().enumerate() {
            for (other_at, other) in devices.iter().enumerate() {
                assert_eq!(device == other, at == other_at, "{device} and {other}");
            }
        }
        assert_eq!(SIZED.0, 1);
        // One lies where the other begins, whatever the linker did with the rest.
        assert_ne!(Device::from_static(&AROUND), Device::from_static(&AROUND.0));
        assert_ne!(Device::from_static(&ONE), Device::intern(One));
    }
}
