//! The backward pass.
//!
//! Every node has a larger number than those it was computed from, so taking the largest number first visits a node
//! after all that used it: no sorting beforehand, no marks on the nodes, no recursion.

use crate::node::{Edge, Node};
use crate::rules::{self, Record};
use osnova_tensor::{Device, Error, Gradients, NodeId, Result, Tensor};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// A node on the way, with the gradients that have reached its outputs so far.
struct Pending<'a> {
    node: &'a Node,
    gradients: SmallVec<[Option<Tensor>; 1]>,
    /// The gradient is the 1 the pass started from: multiplying by it can be left out.
    unit: bool,
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
            let mut pending = Pending { node, gradients: SmallVec::new(), unit };
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
            // By value: in place, unless somebody else holds the sum so far.
            Some(sum) => {
                self.unit = false;
                (sum + gradient)?
            }
            None => gradient,
        });
        Ok(())
    }
}

/// Gradients of `Σ seed · tensor`, where `root` made the tensor. `seed` (1 if absent) lives on `inner` or a device inside it.
pub(crate) fn backward(
    inner: Device,
    tensor: &Tensor,
    root: &Edge,
    seed: Option<Tensor>,
    wanted: Option<&[NodeId]>,
    retain_graph: bool,
) -> Result<Gradients> {
    let unit = seed.is_none();
    let seed = match seed {
        Some(seed) => seed,
        None => Tensor::ones(*tensor.shape(), tensor.dtype(), inner.without_recording())?,
    };
    let wanted = wanted.map(|wanted| {
        let mut sorted = wanted.to_vec();
        sorted.sort_unstable();
        sorted
    });
    // Nothing below the smallest wanted number can lead to a wanted tensor.
    let lowest = match &wanted {
        Some(wanted) => wanted.first().map_or(u64::MAX, |id| id.0),
        None => 0,
    };
    let mut result = Gradients::new();
    let mut frontier = Frontier::default();
    frontier.add(&root.node, root.output as usize, seed, unit)?;
    while let Some(Pending { node, mut gradients, unit }) = frontier.pop() {
        match &wanted {
            Some(wanted) => {
                for (output, gradient) in gradients.iter().enumerate() {
                    let id = NodeId(node.id + output as u64);
                    if let (Ok(_), Some(gradient)) = (wanted.binary_search(&id), gradient) {
                        result.insert(id, gradient.to_device(inner)?);
                    }
                }
            }
            None if node.op.is_none() => {
                if let Some(gradient) = gradients.pop().flatten() {
                    result.insert(NodeId(node.id), gradient.to_device(inner)?);
                }
            }
            None => {}
        }
        let Some(op) = &node.op else { continue };
        if node.id <= lowest {
            continue;
        }
        let Some(saved) = node.saved(retain_graph) else {
            return Err(Error::gradient(
                "backward",
                format!("the record of `{}` was freed by an earlier backward pass", op.name()),
                "Use `backward_retaining` for every pass but the last, or compute the loss anew",
            ));
        };
        let needs = |index: usize| node.inputs[index].as_ref().is_some_and(|edge| edge.id().0 >= lowest);
        let mut record = Record {
            op,
            inputs: node.inputs.len(),
            saved,
            metas: node.metas.as_deref().unwrap_or_default(),
            needs: &needs,
            unit,
        };
        let edges = &node.inputs;
        rules::pull(&mut record, gradients, &mut |index, gradient| match &edges[index] {
            Some(edge) => frontier.add(&edge.node, edge.output as usize, gradient, false),
            None => Ok(()),
        })?;
    }
    Ok(result)
}
