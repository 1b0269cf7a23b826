//! The tensor: one non-generic handle.

mod create;
mod display;
mod elementwise;
mod host;
mod indexing;
mod network;
mod operators;
mod recording;
mod reductions;
mod shaping;
mod slicing;

pub use create::NestedArray;
pub use operators::Operand;

use crate::{DType, Device, Error, Inputs, Layout, Op, Outputs, Result, Shape};
use std::any::Any;
use std::sync::Arc;

/// An n-dimensional array of numbers on a device.
///
/// A handle of 16 bytes; a clone shares the elements, which never change under it. Operations on tensors return
/// [`Result`], and so do the operators `+ - * /`, which also take a `Result` on one side, so that a formula needs one `?`:
/// `(&a * &b + &c)?`.
#[derive(Clone)]
pub struct Tensor(Arc<Inner<dyn Any + Send + Sync>>);

struct Inner<S: ?Sized> {
    device: Device,
    layout: Layout,
    dtype: DType,
    storage: S,
}

impl Tensor {
    /// A tensor of a backend's own storage. For backends; users start from [`Tensor::new`] or [`Tensor::from_vec`].
    #[inline]
    pub fn from_parts<S: Any + Send + Sync>(device: Device, layout: Layout, dtype: DType, storage: S) -> Self {
        Self(Arc::new(Inner { device, layout, dtype, storage }))
    }

    /// The backend's storage, if it is of type `S`.
    #[inline]
    pub fn storage<S: Any>(&self) -> Option<&S> {
        self.0.storage.downcast_ref()
    }

    /// The backend's storage, if it is of type `S` and this is the tensor's last handle.
    #[inline]
    pub fn storage_mut<S: Any>(&mut self) -> Option<&mut S> {
        // Asked first because it is cheap: a look at the count, where `get_mut` writes to it twice.
        if Arc::strong_count(&self.0) != 1 {
            return None;
        }
        Arc::get_mut(&mut self.0)?.storage.downcast_mut()
    }

    /// The device.
    #[inline]
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// The shape.
    #[inline]
    pub fn shape(&self) -> &Shape {
        self.0.layout.shape()
    }

    /// The sizes along each axis.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        self.0.layout.shape().dims()
    }

    /// The number of axes.
    #[inline]
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The number of elements.
    #[inline]
    pub fn count(&self) -> usize {
        self.shape().count()
    }

    /// The size along `axis` (negative: from the back).
    ///
    /// # Errors
    /// The axis is out of range.
    pub fn size(&self, axis: isize) -> Result<usize> {
        Ok(self.shape()[crate::shape::resolve_axis("size", axis, self.rank())?])
    }

    /// The element type.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where the elements lie in the storage.
    #[inline]
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// Whether two handles share one tensor.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The tensor on another device: free between devices that wrap the same one, a copy through the host otherwise.
    ///
    /// From a recording device to one inside it the result is a constant.
    ///
    /// # Errors
    /// Out of memory, a dtype the device lacks, whatever went wrong in pending work.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        if self.device() == device {
            return Ok(self.clone());
        }
        if device.contains(self.device()) {
            return Ok(wrap_up(self.clone(), device));
        }
        if self.device().contains(device) {
            return Ok(unwrap_down(self.clone(), device));
        }
        let plain = unwrap_down(self.clone(), self.device().innermost());
        let target = device.innermost();
        if plain.device() == target {
            return Ok(wrap_up(plain, device));
        }
        let data = plain.device().backend().download(&plain)?;
        Ok(wrap_up(target.upload(data, *self.shape())?, device))
    }

    /// The tensor as a constant, without its history: on the device inside all recording ones. Free.
    pub fn detach(&self) -> Self {
        unwrap_down(self.clone(), self.device().without_recording())
    }

    /// Like [`detach`](Self::detach), keeping a last handle the last one, so that kernels may write in place.
    pub fn into_detached(self) -> Self {
        let device = self.device().without_recording();
        unwrap_down(self, device)
    }
}

fn wrap_up(tensor: Tensor, device: Device) -> Tensor {
    if tensor.device() == device {
        return tensor;
    }
    match device.backend().as_wrapper() {
        Some(wrapper) => wrapper.wrap(device, wrap_up(tensor, wrapper.inner())),
        None => tensor,
    }
}

fn unwrap_down(mut tensor: Tensor, device: Device) -> Tensor {
    while tensor.device() != device {
        match tensor.device().backend().as_wrapper() {
            Some(wrapper) => tensor = wrapper.unwrap(tensor),
            None => break,
        }
    }
    tensor
}

/// Runs an operation on the outermost device of its inputs, of which there is at least one.
pub(crate) fn dispatch(op: &Op, inputs: Inputs) -> Result<Outputs> {
    let mut tensors = inputs.iter();
    let Some(first) = tensors.next() else {
        return Err(Error::argument(op.name(), "no tensors were given", "Give at least one"));
    };
    let mut device = first.device();
    for tensor in tensors {
        let other = tensor.device();
        if other == device || device.contains(other) {
            continue;
        }
        if !other.contains(device) {
            return Err(Box::new(Error::Devices { operation: op.name(), left: device.name(), right: other.name() }));
        }
        device = other;
    }
    device.apply(op, inputs)
}

/// The first output. Inference has made sure that there is one.
pub(crate) fn only(outputs: Outputs) -> Result<Tensor> {
    let mut outputs = outputs;
    outputs.truncate(1);
    outputs.pop().ok_or_else(|| {
        Error::device("backend", "an operation returned no output", "This is a defect of the backend: report it")
    })
}

/// Runs an operation with one output.
#[inline]
pub(crate) fn run(op: &Op, inputs: Inputs) -> Result<Tensor> {
    only(dispatch(op, inputs)?)
}

impl Tensor {
    /// Runs any operation on the outermost device of `inputs` (at least one). The methods of this type are shorthands for it.
    ///
    /// # Errors
    /// Whatever inference or the backend finds wrong.
    pub fn apply(op: &Op, inputs: impl IntoIterator<Item = Tensor>) -> Result<Outputs> {
        dispatch(op, inputs.into_iter().collect())
    }
}
