//! What a device must be able to do.

use crate::{DTypeSet, Device, Gradients, HostData, Meta, NodeId, Op, Result, Shape, Tensor};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// An operation's inputs, by value: a kernel that holds a tensor's last handle may write into it.
pub type Inputs = SmallVec<[Tensor; 3]>;

/// An operation's outputs.
pub type Outputs = SmallVec<[Tensor; 1]>;

/// What a device can hold and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The dtypes it can hold and compute with.
    pub dtypes: DTypeSet,
    /// Whether `execute` returns before the work is done.
    pub asynchronous: bool,
}

impl Capabilities {
    /// A synchronous device for the given dtypes.
    pub const fn new(dtypes: DTypeSet) -> Self {
        Self { dtypes, asynchronous: false }
    }
}

/// A place where tensors live and operations run. Object-safe and open: implement it in your own crate, make it a
/// [`Device`] with [`Device::intern`], and run `osnova-conformance` on it.
///
/// A backend is complete once it runs the primitives (groups 1 to 7 of [`Op`]). For composites it is asked first:
/// those it [claims](Self::claims) reach [`execute`](Self::execute), the others are decomposed.
pub trait Backend: Any + Debug + Send + Sync {
    /// A short name for messages, for example `cpu` or `autodiff(cpu)`.
    fn name(&self) -> String;

    /// What the device can hold and do.
    fn capabilities(&self) -> Capabilities;

    /// Whether the device has a kernel of its own for this composite operation on these inputs.
    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        let _ = (op, inputs);
        false
    }

    /// Puts values (row-major, as many as `shape` holds) on the device. `device` is the handle to this backend.
    ///
    /// # Errors
    /// Out of memory, a lost device.
    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor>;

    /// The values of a tensor of this device, row-major in its own layout, after all pending work on it.
    ///
    /// # Errors
    /// A lost device, and whatever went wrong in asynchronous work before.
    fn download(&self, tensor: &Tensor) -> Result<HostData>;

    /// Waits until all work given to the device is done.
    ///
    /// # Errors
    /// Whatever went wrong in asynchronous work.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    /// Runs an operation that [`crate::infer`] has checked: `outputs` holds the shape and dtype of each output.
    ///
    /// The inputs live on this device or, for a [`Wrapper`], on one of those inside it.
    ///
    /// # Errors
    /// What inference cannot see: an index out of range, out of memory.
    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs>;

    /// This device as one that wraps another.
    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        None
    }

    /// This device as one that records operations for a backward pass.
    fn as_recorder(&self) -> Option<&dyn Recorder> {
        None
    }
}

/// A device that holds another device and passes operations on to it: autodiff, NaN checks, profiling.
pub trait Wrapper {
    /// The device inside.
    fn inner(&self) -> Device;

    /// A tensor of this device (`device`) for a tensor of the [inner](Self::inner) one, without copying: a constant.
    fn wrap(&self, device: Device, inner: Tensor) -> Tensor;

    /// The tensor of the inner device inside a tensor of this one, without copying. If `tensor` is the last handle, so is the result.
    fn unwrap(&self, tensor: Tensor) -> Tensor;

    /// Whether tensors carry derivatives beside their values (forward mode). Constants then live inside the device, as they do
    /// inside one that records.
    fn carries_derivatives(&self) -> bool {
        false
    }
}

/// A function of tensors that can run again: see [`checkpoint_with`](crate::checkpoint_with).
pub type Recompute = Arc<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync>;

/// A device that records operations, so that gradients can be computed.
pub trait Recorder {
    /// A tensor of the recording device that gradients are computed for (a leaf), from a tensor of the inner device.
    fn track(&self, device: Device, inner: Tensor) -> Tensor;

    /// The identity of a recorded tensor; `None` for a constant.
    fn node_id(&self, tensor: &Tensor) -> Option<NodeId>;

    /// Gradients of `tensor` (with `seed`, a tensor of the inner device of the same shape; ones if absent and `tensor` has one element)
    /// with respect to the leaves, or to the recorded tensors in `wanted`.
    ///
    /// What the recorded operations kept is freed on the way unless `retain_graph`.
    ///
    /// # Errors
    /// Nothing was recorded, the graph was freed by an earlier pass, the seed does not fit.
    fn backward(
        &self,
        tensor: &Tensor,
        seed: Option<Tensor>,
        wanted: Option<&[NodeId]>,
        retain_graph: bool,
    ) -> Result<Gradients>;

    /// Runs `first` at `inputs` and keeps only these and `again`, which the backward pass runs in its place. `device` is the handle to this
    /// backend. A recorder that cannot simply runs `first` on the record.
    ///
    /// # Errors
    /// Whatever the function reports.
    fn checkpoint(
        &self,
        device: Device,
        first: &mut dyn FnMut(&[Tensor]) -> Result<Vec<Tensor>>,
        again: Recompute,
        inputs: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let _ = (device, again);
        first(inputs)
    }
}
