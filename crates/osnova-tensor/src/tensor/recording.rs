//! Gradients: the tensor's side of a recording device.

use crate::{Error, Gradients, NodeId, Result, Tensor};

impl Tensor {
    /// A tensor that gradients are computed for: a leaf of the record. Its values are this tensor's.
    ///
    /// # Errors
    /// The device does not record: make the tensor on `device.autodiff()`. The dtype is no float.
    pub fn tracked(&self) -> Result<Self> {
        self.clone().into_tracked()
    }

    /// Like [`tracked`](Self::tracked), keeping a last handle the last one.
    ///
    /// # Errors
    /// As for [`tracked`](Self::tracked).
    pub fn into_tracked(self) -> Result<Self> {
        let device = self.device();
        let backend = device.backend();
        let (Some(recorder), Some(wrapper)) = (backend.as_recorder(), backend.as_wrapper()) else {
            return Err(Error::gradient(
                "tracked",
                format!("the device {device} does not record operations"),
                "Make the tensor on `device.autodiff()`",
            ));
        };
        if !self.dtype().is_float() {
            return Err(Error::dtype(
                "tracked",
                [self.dtype()],
                "only floats have gradients",
                "Convert with `to_dtype` first",
            ));
        }
        Ok(recorder.track(device, wrapper.unwrap(self)))
    }

    /// Whether operations on this tensor are recorded.
    pub fn is_tracked(&self) -> bool {
        self.node_id().is_some()
    }

    /// The identity of a recorded tensor; `None` for a constant.
    pub fn node_id(&self) -> Option<NodeId> {
        self.device().backend().as_recorder()?.node_id(self)
    }

    /// Gradients of this scalar with respect to the tracked tensors it was computed from. Frees what the record kept; a
    /// second pass needs [`backward_retaining`](Self::backward_retaining) first.
    ///
    /// # Errors
    /// Not a single element, nothing recorded, a record that was freed already.
    pub fn backward(&self) -> Result<Gradients> {
        self.gradients(None, None, false)
    }

    /// Like [`backward`](Self::backward), and the record can be walked again.
    ///
    /// # Errors
    /// As for [`backward`](Self::backward).
    pub fn backward_retaining(&self) -> Result<Gradients> {
        self.gradients(None, None, true)
    }

    /// The general form: gradients of `Σ seed · self` with respect to the leaves, or to the recorded tensors in `wanted`.
    /// `seed` has this tensor's shape and lives on the inner device; it may be left out for a single element.
    ///
    /// # Errors
    /// As for [`backward`](Self::backward); a seed of another shape or dtype.
    pub fn gradients(&self, seed: Option<Tensor>, wanted: Option<&[NodeId]>, retain_graph: bool) -> Result<Gradients> {
        let device = self.device();
        let Some(recorder) = device.backend().as_recorder() else {
            return Err(Error::gradient(
                "backward",
                format!(
                    "the tensor lives on {device}, which does not record operations: it was detached, or computed from constants alone"
                ),
                "Compute it on `device.autodiff()` from tracked tensors, and do not detach it or what leads to it",
            ));
        };
        recorder.backward(self, seed, wanted, retain_graph)
    }
}
