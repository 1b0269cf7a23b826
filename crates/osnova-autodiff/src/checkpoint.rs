//! Checkpoints: a stretch of the record that is kept as a function and made anew in the backward pass.
//!
//! While a checkpointed function runs, its device passes operations on without recording them, and writes down the recorded tensors
//! that they meet: the function's inputs, and what it took from outside. These are what the one node in place of the stretch depends
//! on. The backward pass runs the function again, on the record, and walks that until it meets the same tensors.

use crate::AutodiffDevice;
use crate::backward::{Wanted, backward};
use crate::device::{Autodiff, tracked};
use crate::node::{Edge, Node, Saved, now};
use crate::rules::Emit;
use osnova_tensor::random::{Stream, noted, replayed};
use osnova_tensor::{
    Custom, CustomOp, Device, Error, Inputs, Meta, Metas, NodeId, Op, Outputs, Recompute, Result, Tensor,
};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A function that is running on this thread.
struct Pause {
    device: Device,
    /// The recorded tensors that were met; `None` where a recomputation has taken up recording again.
    met: Option<Met>,
}

/// Recorded tensors in the order in which they were met, each once.
#[derive(Default)]
struct Met {
    edges: Vec<Edge>,
    known: HashSet<NodeId>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static PAUSES: RefCell<Vec<Pause>> = const { RefCell::new(Vec::new()) };
}

/// Ends the innermost pause, on a panic too.
struct Guard;

impl Guard {
    fn enter(device: Device, met: Option<Met>) -> Self {
        PAUSES.with_borrow_mut(|pauses| pauses.push(Pause { device, met }));
        DEPTH.set(DEPTH.get() + 1);
        Self
    }

    /// What was met.
    fn finish(self) -> Vec<Edge> {
        let met = PAUSES.with_borrow_mut(|pauses| pauses.last_mut().and_then(|pause| pause.met.take()));
        met.unwrap_or_default().edges
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        PAUSES.with_borrow_mut(|pauses| pauses.truncate(DEPTH.get()));
    }
}

/// Whether `device` is to record nothing now.
#[inline]
pub(crate) fn paused(device: Device) -> bool {
    DEPTH.get() > 0 && innermost(device, |pause| pause.met.is_some()) == Some(true)
}

#[cold]
fn innermost<R>(device: Device, read: impl FnOnce(&mut Pause) -> R) -> Option<R> {
    PAUSES.with_borrow_mut(|pauses| pauses.iter_mut().rev().find(|pause| pause.device == device).map(read))
}

/// Writes down the recorded tensors among the inputs of an operation.
#[cold]
pub(crate) fn meet(device: Device, inputs: &[Tensor]) {
    innermost(device, |pause| {
        let Some(met) = &mut pause.met else { return };
        for input in inputs.iter().filter(|input| tracked(device, input)) {
            let (_, edge) = Autodiff::take_apart(device, input.clone());
            met.edges.extend(edge.filter(|edge| met.known.insert(edge.id())));
        }
    });
}

/// The name of a checkpoint in messages.
#[derive(Debug)]
struct Checkpoint;

impl CustomOp for Checkpoint {
    fn name(&self) -> &'static str {
        "checkpoint"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        Ok(inputs.iter().copied().collect())
    }
    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        Ok(inputs.into_iter().collect())
    }
}

/// Runs `first` off the record, and puts one node in the place of all that it did, which runs `again` on the way back.
pub(crate) fn checkpoint(
    device: Device,
    first: &mut dyn FnMut(&[Tensor]) -> Result<Vec<Tensor>>,
    again: Recompute,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>> {
    if paused(device) {
        return first(inputs);
    }
    let guard = Guard::enter(device, Some(Met::default()));
    let (outputs, streams) = noted(|| first(inputs));
    let mut results = Vec::new();
    for output in outputs? {
        if !device.contains(output.device()) {
            let (left, right) = (device.name(), output.device().name());
            return Err(Box::new(Error::Devices { operation: "checkpoint", left, right }));
        }
        // A tensor from outside that is handed on as it is.
        meet(device, std::slice::from_ref(&output));
        results.push(output.to_device(device)?);
    }
    let met = guard.finish();

    let (saved, mut edges): (Saved, SmallVec<[Option<Edge>; 3]>) = inputs
        .iter()
        .map(|input| {
            let (inner, edge) = Autodiff::take_apart(device, input.clone());
            (Some(inner), edge)
        })
        .unzip();
    let of_inputs: HashSet<NodeId> = edges.iter().flatten().map(Edge::id).collect();
    edges.extend(met.into_iter().filter(|edge| !of_inputs.contains(&edge.id())).map(Some));
    if edges.iter().all(Option::is_none) {
        return Ok(results);
    }
    let recomputation = Recomputation { function: Mutex::new(Some(again)), streams, outputs: results.len() };
    let op = Op::Custom(Custom::new(Checkpoint));
    let mut node = Node::new(Some(op), edges, None, saved, results.len().max(1));
    node.recomputation = Some(Box::new(recomputation));
    let node = Arc::new(node);
    let record = |(output, result): (usize, Tensor)| {
        let (inner, _) = Autodiff::take_apart(device, result);
        let edge = inner.dtype().is_float().then(|| Edge { node: node.clone(), output: output as u32 });
        Autodiff::put_together(device, inner, edge)
    };
    Ok(results.into_iter().enumerate().map(record).collect())
}

thread_local! {
    /// Recomputations that wait while another one is being dropped.
    static DROPPED: RefCell<Option<Vec<Recomputation>>> = const { RefCell::new(None) };
}

/// Drops the function of a dying node. What it took from outside may be all that holds another checkpoint, and so on along a chain: without
/// recursion.
#[cold]
pub(crate) fn let_go(recomputation: Recomputation) {
    let first = DROPPED.try_with(|dropped| match &mut *dropped.borrow_mut() {
        Some(waiting) => {
            waiting.push(recomputation);
            None
        }
        none => {
            *none = Some(Vec::new());
            Some(recomputation)
        }
    });
    // At the end of a thread the list is gone, and the function with the closure above.
    let mut next = first.ok().flatten();
    while let Some(recomputation) = next.take() {
        drop(recomputation);
        next = DROPPED.with_borrow_mut(|dropped| {
            let waiting = dropped.as_mut().and_then(Vec::pop);
            if waiting.is_none() {
                *dropped = None;
            }
            waiting
        });
    }
}

/// What makes the record of a checkpoint anew.
pub(crate) struct Recomputation {
    /// Taken out by the pass that frees the record.
    function: Mutex<Option<Recompute>>,
    /// The random numbers that it drew.
    streams: Vec<Stream>,
    outputs: usize,
}

impl fmt::Debug for Recomputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recomputation").field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

impl Recomputation {
    /// Runs the function on the record and passes the gradients of its outputs to what it depends on: `edges`, first those of its inputs, whose
    /// values are `saved`.
    #[expect(clippy::too_many_arguments, reason = "the parts of a node and of the pass that visits it")]
    pub(crate) fn pull(
        &self,
        inner: Device,
        edges: &[Option<Edge>],
        saved: Saved,
        gradients: &[Option<Tensor>],
        needs: &dyn Fn(usize) -> bool,
        retain: bool,
        emit: &mut Emit,
    ) -> Result<()> {
        let other = |problem: &str| {
            Error::gradient("checkpoint", problem, "Checkpoint functions that do the same each time they run")
        };
        let function = {
            let mut function = self.function.lock().unwrap_or_else(PoisonError::into_inner);
            if retain { function.clone() } else { function.take() }
        };
        let function = function.expect("the record was not freed, so the function is there");

        let device = inner.autodiff();
        let start = now();
        let enter = |(value, edge): (Option<Tensor>, &Option<Edge>)| {
            let value = value.expect("a checkpoint keeps all its inputs");
            let value = value.to_device(device)?;
            if edge.is_some() { value.into_tracked() } else { Ok(value) }
        };
        let inputs: Vec<Tensor> = saved.into_iter().zip(edges).map(enter).collect::<Result<_>>()?;
        let guard = Guard::enter(device, None);
        let (outputs, exact) = replayed(&self.streams, || function(&inputs));
        drop((guard, function));
        let outputs = outputs?;
        if !exact {
            return Err(other("the function drew other random numbers when it ran again"));
        }
        if outputs.len() != self.outputs {
            return Err(other("the function gave another number of results when it ran again"));
        }
        let leaves: Vec<Option<NodeId>> = inputs.iter().map(Tensor::node_id).collect();
        drop(inputs);
        let mut roots = Vec::new();
        for (output, gradient) in outputs.into_iter().zip(gradients) {
            if let Some(gradient) = gradient {
                if output.shape() != gradient.shape() || output.dtype() != gradient.dtype() {
                    return Err(other("the function gave results of other shapes when it ran again"));
                }
                let (_, edge) = Autodiff::take_apart(device, output);
                roots.extend(edge.map(|edge| (edge, gradient.clone())));
            }
        }
        let seeds = roots.iter().map(|(edge, gradient)| (edge, gradient.clone(), false));
        let reached = backward(inner, seeds, Wanted::Before(start), false)?;
        let mut reached: HashMap<NodeId, Tensor> =
            reached.iter().map(|(id, gradient)| (id, gradient.clone())).collect();
        drop(roots);
        for (index, edge) in edges.iter().enumerate() {
            let Some(edge) = edge else { continue };
            // The function may also have taken one of its inputs from outside.
            for id in leaves.get(index).copied().flatten().into_iter().chain([edge.id()]) {
                if let Some(gradient) = reached.remove(&id).filter(|_| needs(index)) {
                    emit(index, gradient)?;
                }
            }
        }
        if reached.is_empty() { Ok(()) } else { Err(other("the function used other tensors when it ran again")) }
    }
}
