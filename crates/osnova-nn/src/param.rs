//! What a module holds: parameters, buffers, modes.

use osnova_tensor::{DType, Device, Error, Meta, Result, Shape, Tensor};
use std::fmt;
use std::ops::Deref;
use std::sync::{PoisonError, RwLock};

/// A tensor that is trained.
///
/// On a recording device it is a tracked leaf, so that [`Tensor::backward`] gives its gradient; elsewhere, and while
/// [frozen](Self::freeze), it is a plain constant. It can be used like a `&Tensor`. A clone has the same values, shared
/// until one of both is updated, and gradients of its own.
pub struct Param {
    value: Tensor,
    meta: Meta,
    device: Device,
    trainable: bool,
}

impl Param {
    /// A parameter with these values, tracked if their device records. Whatever the tensor was computed from is forgotten.
    ///
    /// # Errors
    /// A tensor that is no float.
    pub fn new(value: Tensor) -> Result<Self> {
        let (meta, device) = (Meta::new(*value.shape(), value.dtype()), value.device());
        if !meta.dtype.is_float() {
            return Err(Error::dtype(
                "parameter",
                [meta.dtype],
                "only floats can be trained",
                "Convert with `to_dtype`, or keep the tensor as a `Buffer`",
            ));
        }
        let value = attach(settle(value.into_detached())?, device, true)?;
        Ok(Self { value, meta, device, trainable: true })
    }

    /// The tensor to compute with: a tracked leaf where that is possible.
    #[inline]
    pub fn tensor(&self) -> &Tensor {
        &self.value
    }

    /// The values as a constant on the device that does not record. Shares the elements.
    pub fn value(&self) -> Tensor {
        self.value.detach()
    }

    /// The shape and dtype, which never change.
    #[inline]
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The shape.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.meta.shape
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.meta.dtype
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.meta.shape.count()
    }

    /// The device the parameter is used on.
    #[inline]
    pub fn device(&self) -> Device {
        self.device
    }

    /// Whether optimizers change it.
    #[inline]
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Makes it a constant: no gradient is computed for it and no optimizer changes it.
    pub fn freeze(&mut self) {
        self.set_trainable(false);
    }

    /// Lets it be trained again.
    pub fn unfreeze(&mut self) {
        self.set_trainable(true);
    }

    /// Freezes or unfreezes.
    pub fn set_trainable(&mut self, trainable: bool) {
        if self.trainable == trainable {
            return;
        }
        self.trainable = trainable;
        // Only wrapped differently on a device that it is inside of already, which cannot fail.
        if let Ok(value) = attach(self.value.detach(), self.device, trainable) {
            self.value = value;
        }
    }

    /// Gives it other values of the same shape and dtype, moved to its device.
    ///
    /// # Errors
    /// Another shape or dtype, a device that cannot take them. The parameter then keeps its values.
    pub fn set_value(&mut self, value: Tensor) -> Result<()> {
        if *value.shape() != self.meta.shape {
            return Err(Error::shape(
                "set_value",
                [self.meta.shape, *value.shape()],
                "the parameter has another shape",
                "Give values of the parameter's shape",
            ));
        }
        if value.dtype() != self.meta.dtype {
            return Err(Error::dtype(
                "set_value",
                [self.meta.dtype, value.dtype()],
                "the parameter has another dtype",
                "Convert the values with `to_dtype`",
            ));
        }
        self.value = attach(settle(value.into_detached())?, self.device, self.trainable)?;
        Ok(())
    }

    /// Takes the values out as a constant, with the last handle if nobody else holds one, and leaves `placeholder`.
    /// For optimizers, which update in place and give the result to [`set_value`](Self::set_value).
    pub fn take_value(&mut self, placeholder: Tensor) -> Tensor {
        std::mem::replace(&mut self.value, placeholder).into_detached()
    }

    /// Becomes another handle to the very tensor of `other`: the same leaf, where a clone would be a leaf of its own.
    pub(crate) fn alias(&mut self, other: &Self) {
        *self = Self { value: other.value.clone(), meta: other.meta, device: other.device, trainable: other.trainable };
    }

    /// Moves it to another device: tracked there if that one records.
    ///
    /// # Errors
    /// A device that cannot take the values. The parameter then stays where it is.
    pub fn to_device(&mut self, device: Device) -> Result<()> {
        if self.device != device {
            self.value = attach(self.value.detach(), device, self.trainable)?;
            self.device = device;
        }
        Ok(())
    }
}

/// Elements in row-major order, each at a place of its own, so that an update in place is safe.
fn settle(value: Tensor) -> Result<Tensor> {
    if value.layout().is_contiguous() { Ok(value) } else { value.contiguous() }
}

/// A constant as a tensor of `device`: tracked if it records and the parameter is trained.
fn attach(value: Tensor, device: Device, trainable: bool) -> Result<Tensor> {
    let backend = device.backend();
    let (Some(recorder), Some(wrapper), true) = (backend.as_recorder(), backend.as_wrapper(), trainable) else {
        return value.to_device(device);
    };
    let inner = if value.device() == wrapper.inner() { value } else { value.to_device(wrapper.inner())? };
    Ok(recorder.track(device, inner))
}

impl Clone for Param {
    fn clone(&self) -> Self {
        // A leaf of its own. Wrapping on the same device cannot fail.
        let value = attach(self.value.detach(), self.device, self.trainable).unwrap_or_else(|_| self.value.clone());
        Self { value, ..*self }
    }
}

impl Deref for Param {
    type Target = Tensor;
    #[inline]
    fn deref(&self) -> &Tensor {
        &self.value
    }
}

impl AsRef<Tensor> for Param {
    fn as_ref(&self) -> &Tensor {
        &self.value
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frozen = if self.trainable { "" } else { ", frozen" };
        write!(f, "Param({} of {} on {}{frozen})", self.meta.shape, self.meta.dtype, self.device)
    }
}

/// A tensor that belongs to a module and is saved with it, but is not trained: running statistics, say.
///
/// A forward pass has the module by shared reference, so a buffer can be [set](Self::set) through one.
pub struct Buffer(RwLock<Tensor>);

impl Buffer {
    /// A buffer with these values, as a constant.
    pub fn new(value: Tensor) -> Self {
        Self(RwLock::new(value.into_detached()))
    }

    /// The values.
    pub fn value(&self) -> Tensor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the values by others of the same shape and dtype, moved to the buffer's device.
    ///
    /// # Errors
    /// Another shape or dtype, a device that cannot take them.
    pub fn set(&self, value: Tensor) -> Result<()> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if value.shape() != current.shape() {
            return Err(Error::shape(
                "set_buffer",
                [*current.shape(), *value.shape()],
                "the buffer has another shape",
                "Give values of the buffer's shape",
            ));
        }
        if value.dtype() != current.dtype() {
            return Err(Error::dtype(
                "set_buffer",
                [current.dtype(), value.dtype()],
                "the buffer has another dtype",
                "Convert the values with `to_dtype`",
            ));
        }
        *current = value.into_detached().to_device(current.device())?;
        Ok(())
    }

    /// Moves it to a device; beside a recording one it stays a constant. A counter (`i64`) gets the
    /// [index dtype](Device::index_dtype) of a device without 64-bit integers.
    ///
    /// # Errors
    /// A device that cannot take the values, a count that is too large for it.
    pub fn to_device(&mut self, device: Device) -> Result<()> {
        let current = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let lacking = current.dtype() == DType::I64 && !device.capabilities().dtypes.contains(DType::I64);
        let dtype = if lacking { device.index_dtype() } else { current.dtype() };
        *current = moved(current, dtype, device.without_recording())?;
        Ok(())
    }
}

/// Values on another device, counts as an index dtype that they may not have had: by way of the host, since either device may lack the
/// other's.
///
/// # Errors
/// A device that cannot take the values, a count that the dtype does not hold.
pub(crate) fn moved(values: &Tensor, dtype: DType, device: Device) -> Result<Tensor> {
    match values.dtype() {
        own if own == dtype => values.to_device(device),
        _ => Tensor::from_indices(values.to_host()?.to_i64().unwrap_or_default(), values.shape(), dtype, device),
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self(RwLock::new(self.value()))
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value();
        write!(f, "Buffer({} of {} on {})", value.shape(), value.dtype(), value.device())
    }
}

/// Whether a layer trains (the start) or predicts; set for a whole model by [`Module::train`](crate::Module::train) and
/// [`Module::eval`](crate::Module::eval).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Dropout drops, batch normalisation uses and updates the batch's statistics.
    #[default]
    Training,
    /// Everything is a pure function of the input.
    Evaluation,
}

impl Mode {
    /// Whether the layer trains.
    #[inline]
    pub fn is_training(self) -> bool {
        self == Self::Training
    }
}
