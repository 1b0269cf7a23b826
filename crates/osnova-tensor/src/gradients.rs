//! What a backward pass gives.

use crate::Tensor;
use std::collections::HashMap;

/// The identity of a recorded tensor: unique in the program, larger for later ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// Gradients of one scalar with respect to the tracked tensors it was computed from.
///
/// They live on the device inside the recording one, so they are plain constants there.
#[derive(Debug, Default, Clone)]
pub struct Gradients(HashMap<NodeId, Tensor>);

impl Gradients {
    /// No gradients yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The gradient with respect to `tensor`: same shape and dtype. `None` if the scalar does not depend on it or it was not tracked.
    pub fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.node_id()?)
    }

    /// Takes the gradient with respect to `tensor` out, so that its last handle can be written in place.
    pub fn remove(&mut self, tensor: &Tensor) -> Option<Tensor> {
        self.0.remove(&tensor.node_id()?)
    }

    /// The gradient of the tensor with this identity.
    pub fn of(&self, id: NodeId) -> Option<&Tensor> {
        self.0.get(&id)
    }

    /// Takes the gradient of the tensor with this identity out, so that its last handle can be written in place.
    pub fn take(&mut self, id: NodeId) -> Option<Tensor> {
        self.0.remove(&id)
    }

    /// Puts a gradient for a recorded tensor, replacing what was there.
    pub fn insert(&mut self, id: NodeId, gradient: Tensor) -> Option<Tensor> {
        self.0.insert(id, gradient)
    }

    /// How many tensors have a gradient.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing has a gradient.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The gradients with the identities of their tensors, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Tensor)> {
        self.0.iter().map(|(id, gradient)| (*id, gradient))
    }
}
