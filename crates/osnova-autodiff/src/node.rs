//! The record: who made a tensor, and what its derivative needs.

use crate::checkpoint::{Recomputation, let_go};
use osnova_tensor::{Meta, NodeId, Op, Tensor};
use smallvec::SmallVec;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The storage of an autodiff device's tensor: the inner tensor, and the output of the node that made it.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// Always there while the tensor lives; an option so that a last handle can give it away.
    pub(crate) inner: Option<Tensor>,
    /// Absent for a constant.
    pub(crate) edge: Option<Edge>,
}

/// One output of a node.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) node: Arc<Node>,
    pub(crate) output: u32,
}

impl Edge {
    /// The identity of the tensor: a node reserves one number for each output.
    pub(crate) fn id(&self) -> NodeId {
        NodeId(self.node.id + u64::from(self.output))
    }
}

/// Inner tensors a derivative reads: the inputs at their own positions, then the outputs. Empty if it reads none.
pub(crate) type Saved = SmallVec<[Option<Tensor>; 4]>;

/// A recorded operation, or a leaf.
#[derive(Debug)]
pub(crate) struct Node {
    /// Larger than those of all nodes it was computed from, which is the order a backward pass needs.
    pub(crate) id: u64,
    /// `None` for a leaf.
    pub(crate) op: Option<Op>,
    /// Where each input came from; `None` for constants.
    pub(crate) inputs: SmallVec<[Option<Edge>; 3]>,
    /// Shapes and dtypes of the inputs, if the derivative reads them.
    pub(crate) metas: Option<Box<[Meta]>>,
    // A pass takes the tensors out through a shared handle. The lock is never waited for but by passes that run at the
    // same moment over the same graph.
    saved: Mutex<Saved>,
    freed: AtomicBool,
    /// For a checkpoint, what makes its record anew.
    pub(crate) recomputation: Option<Box<Recomputation>>,
}

/// Numbers for nodes, in the order of creation over the whole program.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A number larger than those of all nodes so far, and smaller than those of all later ones.
pub(crate) fn now() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Node {
    /// A tensor that gradients are computed for.
    pub(crate) fn leaf() -> Self {
        Self::new(None, SmallVec::new(), None, Saved::new(), 1)
    }

    /// A recorded operation.
    #[inline]
    pub(crate) fn new(
        op: Option<Op>,
        inputs: SmallVec<[Option<Edge>; 3]>,
        metas: Option<Box<[Meta]>>,
        saved: Saved,
        outputs: usize,
    ) -> Self {
        let id = NEXT.fetch_add(outputs as u64, Ordering::Relaxed);
        Self { id, op, inputs, metas, saved: Mutex::new(saved), freed: AtomicBool::new(false), recomputation: None }
    }

    /// What the derivative reads; `None` if an earlier pass freed it. Leaves it there if `retain`.
    #[inline]
    pub(crate) fn saved(&self, retain: bool) -> Option<Saved> {
        if self.freed.load(Ordering::Acquire) {
            return None;
        }
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if retain {
            return Some(saved.clone());
        }
        // Two passes may have read the flag before either came here: the second one finds it set now.
        if self.freed.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(mem::take(&mut *saved))
    }
}

impl Drop for Node {
    /// Without recursion: a chain of a million operations hangs on its last node.
    fn drop(&mut self) {
        let mut pending = SmallVec::new();
        release(&mut self.inputs, &mut pending);
        while let Some(mut node) = pending.pop() {
            match Arc::get_mut(&mut node) {
                Some(node) => release(&mut node.inputs, &mut pending),
                None => release_last(node, &mut pending),
            }
        }
        if let Some(recomputation) = self.recomputation.take() {
            let_go(*recomputation);
        }
    }
}

/// Lets the inputs of a dying node go; those that die with it wait in `pending`.
#[inline]
fn release(inputs: &mut [Option<Edge>], pending: &mut SmallVec<[Arc<Node>; 8]>) {
    for edge in inputs.iter_mut().filter_map(Option::take) {
        if Arc::strong_count(&edge.node) == 1 {
            pending.push(edge.node);
        } else {
            release_last(edge.node, pending);
        }
    }
}

/// Lets a handle go that other threads may be letting go too: exactly one of them gets the node.
fn release_last(node: Arc<Node>, pending: &mut SmallVec<[Arc<Node>; 8]>) {
    if let Some(mut node) = Arc::into_inner(node) {
        pending.extend(node.inputs.drain(..).flatten().map(|edge| edge.node));
    }
}
