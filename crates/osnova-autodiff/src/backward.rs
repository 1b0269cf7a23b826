//! The backward pass.
//!
//! Every node has a larger number than those it was computed from, so taking the largest number first visits a node
//! after all that used it: no sorting beforehand, no marks on the nodes, no recursion.

use crate::node::{Edge, Node};
use crate::rules::{self, Record};
use osnova_tensor::{DType, Device, Error, Gradients, NodeId, Result, Tensor};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// A node on the way, with the gradients that have reached its outputs so far.
struct Pending<'a> {
    node: &'a Node,
    gradients: SmallVec<[Option<Tensor>; 1]>,
    /// The outputs of half types whose gradients add up in `f32`, to be rounded when all are there: in bf16 the 257th of equal ones would
    /// change nothing. Mostly empty.
    widened: Vec<(usize, DType)>,
    /// The gradient is the 1 the pass started from: multiplying by it can be left out.
    unit: bool,
}

/// The tensor in a dtype; a last handle stays one.
#[inline]
fn in_dtype(tensor: Tensor, dtype: DType) -> Result<Tensor> {
    if tensor.dtype() == dtype { Ok(tensor) } else { tensor.to_dtype(dtype) }
}

/// The nodes on the way, largest number first.
#[derive(Default)]
struct Frontier<'a> {
    /// The node with the largest number of all: in a chain it is the only one, and the map stays empty.
    next: Option<Pending<'a>>,
    others: BTreeMap<u64, Pending<'a>>,
}

impl<'a> Frontier<'a> {
    /// Adds a gradient to what has reached an output of a node.
    #[inline]
    fn add(&mut self, node: &'a Node, output: usize, gradient: Tensor, unit: bool) -> Result<()> {
        let fresh = |gradient| {
            let mut pending = Pending { node, gradients: SmallVec::new(), widened: Vec::new(), unit };
            pending.put(output, gradient).map(|()| pending)
        };
        match &mut self.next {
            None if self.others.is_empty() => self.next = Some(fresh(gradient)?),
            Some(next) if next.node.id == node.id => next.put(output, gradient)?,
            Some(next) if next.node.id < node.id => {
                let next = std::mem::replace(next, fresh(gradient)?);
                self.others.insert(next.node.id, next);
            }
            _ => match self.others.entry(node.id) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(fresh(gradient)?);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().put(output, gradient)?,
            },
        }
        Ok(())
    }

    #[inline]
    fn pop(&mut self) -> Option<Pending<'a>> {
        self.next.take().or_else(|| self.others.pop_last().map(|(_, pending)| pending))
    }
}

impl Pending<'_> {
    #[inline]
    fn put(&mut self, output: usize, gradient: Tensor) -> Result<()> {
        while self.gradients.len() <= output {
            self.gradients.push(None);
        }
        let slot = &mut self.gradients[output];
        *slot = Some(match slot.take() {
            Some(sum) => {
                self.unit = false;
                let (dtype, wide) = (sum.dtype(), sum.dtype().accumulator());
                if dtype != wide {
                    self.widened.push((output, dtype));
                }
                // By value: in place, unless somebody else holds the sum so far.
                (in_dtype(sum, wide)? + in_dtype(gradient, wide)?)?
            }
            None => gradient,
        });
        Ok(())
    }

    /// Rounds what added up in `f32`.
    #[inline]
    fn round(&mut self) -> Result<()> {
        for (output, dtype) in self.widened.drain(..) {
            if let Some(sum) = self.gradients[output].take() {
                self.gradients[output] = Some(in_dtype(sum, dtype)?);
            }
        }
        Ok(())
    }
}

/// What a pass computes gradients for.
pub(crate) enum Wanted<'a> {
    /// The leaves.
    Leaves,
    /// These tensors.
    Tensors(&'a [NodeId]),
    /// The leaves, and all that was recorded before this number, where the pass ends: the record of a checkpoint.
    Before(u64),
}

/// Gradients of `Σ seed · tensor` over `roots`: the edges that made the tensors, with their seeds, on `inner` or a device inside it, and
/// whether a seed is 1.
pub(crate) fn backward<'a>(
    inner: Device,
    roots: impl IntoIterator<Item = (&'a Edge, Tensor, bool)>,
    wanted: Wanted,
    retain_graph: bool,
) -> Result<Gradients> {
    let (ids, boundary) = match wanted {
        Wanted::Tensors(ids) => {
            let mut sorted = ids.to_vec();
            sorted.sort_unstable();
            (Some(sorted), 0)
        }
        Wanted::Leaves => (None, 0),
        Wanted::Before(number) => (None, number),
    };
    // Nothing below the smallest wanted number can lead to a wanted tensor.
    let lowest = match &ids {
        Some(ids) => ids.first().map_or(u64::MAX, |id| id.0),
        None => 0,
    };
    let mut result = Gradients::new();
    let mut frontier = Frontier::default();
    for (root, seed, unit) in roots {
        frontier.add(&root.node, root.output as usize, seed, unit)?;
    }
    while let Some(mut pending) = frontier.pop() {
        pending.round()?;
        let Pending { node, mut gradients, unit, .. } = pending;
        let ends = node.op.is_none() || node.id < boundary;
        if ids.is_some() || ends {
            for (output, gradient) in gradients.iter().enumerate() {
                let id = NodeId(node.id + output as u64);
                let chosen = ids.as_ref().is_none_or(|ids| ids.binary_search(&id).is_ok());
                if let (true, Some(gradient)) = (chosen, gradient) {
                    result.insert(id, gradient.to_device(inner)?);
                }
            }
        }
        let Some(op) = node.op.as_ref().filter(|_| !ends && node.id > lowest) else { continue };
        let Some(saved) = node.saved(retain_graph) else {
            return Err(Error::gradient(
                "backward",
                format!("the record of `{}` was freed by an earlier backward pass", op.name()),
                "Use `backward_retaining` for every pass but the last, or compute the loss anew",
            ));
        };
        let edges = &node.inputs;
        let needs = |index: usize| edges[index].as_ref().is_some_and(|edge| edge.id().0 >= lowest);
        let mut emit = |index: usize, gradient| match &edges[index] {
            Some(edge) => frontier.add(&edge.node, edge.output as usize, gradient, false),
            None => Ok(()),
        };
        if let Some(recomputation) = &node.recomputation {
            recomputation.pull(inner, edges, saved, &gradients, &needs, retain_graph, &mut emit)?;
            continue;
        }
        let mut record = Record {
            op,
            inputs: node.inputs.len(),
            saved,
            metas: node.metas.as_deref().unwrap_or_default(),
            needs: &needs,
            unit,
            wide_range: false,
        };
        rules::pull(&mut record, std::mem::take(&mut gradients), &mut emit)?;
    }
    Ok(result)
}
