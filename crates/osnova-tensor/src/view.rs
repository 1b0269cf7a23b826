//! What concrete backends answer view operations with.

use crate::{Layout, Op, Tensor};
use std::any::Any;

/// The view of `tensor` that a view operation asks for: the same storage under another layout, or `None` where the
/// elements must be copied first (a reshape across uneven strides). `S` is the backend's storage type.
///
/// The operation has passed inference.
pub fn view<S: Any + Send + Sync + Clone>(op: &Op, tensor: &Tensor) -> Option<Tensor> {
    let layout = view_layout(op, tensor.layout())?;
    let storage = tensor.storage::<S>()?.clone();
    Some(Tensor::from_parts(tensor.device(), layout, tensor.dtype(), storage))
}

/// The layout that a view operation gives, for backends that share storage in a way of their own; `None` where the elements
/// must be copied first, and for operations that are no views.
pub fn view_layout(op: &Op, layout: &Layout) -> Option<Layout> {
    match op {
        Op::Reshape { shape } => layout.reshape(shape),
        Op::Permute { axes } => Some(layout.permute(axes)),
        Op::Expand { shape } => layout.expand(shape),
        Op::Slice { ranges } => Some(layout.slice(ranges)),
        _ => None,
    }
}
