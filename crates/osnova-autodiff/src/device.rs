//! The recording device.

use crate::backward::{self, Wanted};
use crate::checkpoint::{self, paused};
use crate::forward::ForwardDevice;
use crate::node::{Edge, Node, Recorded, Saved};
use crate::rules::{self, Rule, half};
use osnova_tensor::{
    Backend, Capabilities, Device, Error, Gradients, HostData, Inputs, Meta, Metas, NodeId, Op, Outputs, Recompute,
    Recorder, Result, Shape, Tensor, Wrapper, decompose,
};
use smallvec::{SmallVec, smallvec};
use std::sync::{Arc, Mutex, PoisonError};

/// Adds [`autodiff`](Self::autodiff) to [`Device`].
pub trait AutodiffDevice {
    /// The device that records operations over this one, so that [`Tensor::backward`] gives gradients. Two calls on one
    /// device give the same device. On a device that records already the result gives second derivatives.
    fn autodiff(self) -> Device;
}

impl AutodiffDevice for Device {
    fn autodiff(self) -> Device {
        static DEVICES: Wrappers<()> = Wrappers::new();
        DEVICES.of(self, |inner| (Device::intern(Autodiff::new(inner)), ())).0
    }
}

/// The wrapping devices of one kind, by the device inside, each made once.
pub(crate) struct Wrappers<T>(Mutex<Vec<(Device, Device, T)>>);

impl<T: Copy> Wrappers<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn of(&self, inner: Device, make: impl FnOnce(Device) -> (Device, T)) -> (Device, T) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, outer, extra)) = known.iter().find(|(of, ..)| *of == inner) {
            return (*outer, *extra);
        }
        let (outer, extra) = make(inner);
        known.push((inner, outer, extra));
        (outer, extra)
    }

    /// What belongs to a wrapping device of this kind.
    pub(crate) fn find(&self, outer: Device) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(_, of, _)| *of == outer).map(|(.., extra)| *extra)
    }
}

/// Devices that differentiate stay outermost: what wraps a device, asked to wrap one of those, goes inside it.
pub(crate) fn inside(device: Device, wrap: impl FnOnce(Device) -> Device) -> Option<Device> {
    let inner = device.inner().filter(|_| device.differentiates())?;
    Some(match device.backend().as_recorder() {
        Some(_) => wrap(inner).autodiff(),
        None => wrap(inner).forward_mode(),
    })
}

/// Runs a checked operation on `device` without checking it again; the outputs live there.
pub(crate) fn run(device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
    if !op.is_composite() || device.backend().claims(op, &inputs) {
        return device.backend().execute(device, op, inputs, outputs);
    }
    // The parts may have ended on a device further inside, where nothing they did needed this one.
    let results = decompose(device, op, inputs, &Metas::from_slice(outputs))?;
    results
        .into_iter()
        .map(|result| if result.device() == device { Ok(result) } else { result.to_device(device) })
        .collect()
}

#[derive(Debug)]
pub(crate) struct Autodiff {
    inner: Device,
    capabilities: Capabilities,
    /// Whether a device inside differentiates too: then what the forward pass computes must itself be differentiable.
    nested: bool,
}

impl Autodiff {
    fn new(inner: Device) -> Self {
        let mut nested = false;
        let mut at = Some(inner);
        while let Some(device) = at {
            nested |= device.differentiates();
            at = device.inner();
        }
        Self { inner, capabilities: inner.capabilities(), nested }
    }

    /// The inner tensor and its history. Tensors of devices further inside are constants.
    #[inline]
    pub(crate) fn take_apart(device: Device, mut tensor: Tensor) -> (Tensor, Option<Edge>) {
        if tensor.device() != device {
            return (tensor, None);
        }
        if let Some(Recorded { inner, edge }) = tensor.storage_mut() {
            if let Some(inner) = inner.take() {
                return (inner, edge.take());
            }
        } else if let Some(Recorded { inner: Some(inner), edge }) = tensor.storage() {
            return (inner.clone(), edge.clone());
        }
        unreachable!("a tensor of an autodiff device holds an inner tensor as long as it lives")
    }

    #[inline]
    pub(crate) fn put_together(device: Device, inner: Tensor, edge: Option<Edge>) -> Tensor {
        Tensor::from_parts(device, *inner.layout(), inner.dtype(), Recorded { inner: Some(inner), edge })
    }

    /// Passes an operation on without recording it.
    fn pass(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let inputs = inputs.into_iter().map(|input| Self::take_apart(device, input).0).collect();
        let mut results = run(self.inner, op, inputs, outputs)?;
        if results.len() == 1
            && let Some(inner) = results.pop()
        {
            return Ok(smallvec![Self::put_together(device, inner, None)]);
        }
        Ok(results.into_iter().map(|inner| Self::put_together(device, inner, None)).collect())
    }

    /// Runs an operation inside and records it under `rule`.
    fn record(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta], rule: Rule) -> Result<Outputs> {
        let mut edges: SmallVec<[Option<Edge>; 3]> = SmallVec::new();
        let mut inner = Inputs::new();
        let mut reads = rules::NOTHING;
        for (index, input) in inputs.into_iter().enumerate() {
            let (tensor, edge) = Self::take_apart(device, input);
            if edge.is_some() {
                reads |= rule.reads(index);
            }
            inner.push(tensor);
            edges.push(edge);
        }
        let metas = (reads & rules::SHAPES != 0)
            .then(|| inner.iter().map(|input| Meta::new(*input.shape(), input.dtype())).collect());
        let mut saved = Saved::new();
        if reads & rules::TENSORS != 0 {
            for (index, input) in inner.iter().enumerate() {
                saved.push((reads & rules::input(index) != 0).then(|| input.clone()));
            }
        }
        let wide = half::keeps_wide_results(op, reads, &inner);
        let mut results = match (rules::with_gradient(op), wide) {
            // A loss makes its gradient in the same pass: the last output, kept for the way back.
            (Some(op), false) => self.inner.apply(&op, inner)?,
            (Some(op), true) => self.inner.apply(&op, half::widened(&inner)?)?,
            (None, false) => run(self.inner, op, inner, outputs)?,
            (None, true) => run(self.inner, op, half::widened(&inner)?, &half::widened_metas(outputs))?,
        };
        if reads & rules::TENSORS != 0 {
            for (index, result) in results.iter().enumerate() {
                saved.push((reads & rules::output(index) != 0).then(|| result.clone()));
            }
        }
        results.truncate(outputs.len());
        if wide {
            results = half::rounded(results, outputs)?;
        }
        let node = Arc::new(Node::new(Some(op.clone()), edges, metas, saved, outputs.len()));
        if outputs.len() == 1
            && let Some(inner) = results.pop()
        {
            return Ok(smallvec![Self::put_together(device, inner, Some(Edge { node, output: 0 }))]);
        }
        let wrap = |(output, inner): (usize, Tensor)| {
            let edge = inner.dtype().is_float().then(|| Edge { node: node.clone(), output: output as u32 });
            Self::put_together(device, inner, edge)
        };
        Ok(results.into_iter().enumerate().map(wrap).collect())
    }
}

/// Whether `tensor` is a recorded tensor of `device`.
#[inline]
pub(crate) fn tracked(device: Device, tensor: &Tensor) -> bool {
    tensor.device() == device && tensor.storage::<Recorded>().is_some_and(|recorded| recorded.edge.is_some())
}

impl Backend for Autodiff {
    fn name(&self) -> String {
        format!("autodiff({})", self.inner)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        // Constants, and all tensors of devices further inside, need no rule.
        let recorded = |tensor: &Tensor| {
            let device = tensor.device();
            std::ptr::addr_eq(device.backend(), self) && self.node_id(tensor).is_some() && !paused(device)
        };
        match op {
            Op::Optimize(_) => true,
            // The gradient that the forward pass makes is a constant: not for second derivatives, not for other inputs.
            Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_) if inputs.iter().any(recorded) => {
                !self.nested && rules::rule(op).is_some() && !inputs[1..].iter().any(recorded)
            }
            // Recorded as two operations, between which a half type must not be rounded: taken apart, it is recorded in f32.
            Op::Linear { activation, .. } if !activation.derivative_from_output() => {
                !half::is_half(inputs[0].dtype()) || !inputs.iter().any(recorded)
            }
            _ => rules::rule(op).is_some() || !inputs.iter().any(recorded),
        }
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        let inner = self.inner.backend().upload(self.inner, data, shape)?;
        Ok(Self::put_together(device, inner, None))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let inner = self.unwrap(tensor.clone());
        inner.device().backend().download(&inner)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn execute(&self, device: Device, op: &Op, mut inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        if !inputs.iter().any(|input| tracked(device, input)) {
            return self.pass(device, op, inputs, outputs);
        }
        if paused(device) {
            checkpoint::meet(device, &inputs);
            return self.pass(device, op, inputs, outputs);
        }
        match op {
            Op::Binary(_) | Op::Where => {
                // Broadcasting becomes an operation of its own, so that no other rule need know about it. Constants
                // may stay as they are: nobody asks for their gradient.
                let shape = outputs[0].shape;
                for input in &mut inputs {
                    if *input.shape() != shape && tracked(device, input) {
                        *input = input.expand(shape)?;
                    }
                }
            }
            // The derivative needs what goes into the activation: two operations then.
            Op::Linear { bias, activation } if !activation.derivative_from_output() => {
                let linear = Op::Linear { bias: *bias, activation: osnova_tensor::Activation::Identity };
                let product = self.execute(device, &linear, inputs, outputs)?;
                let product = product.into_iter().collect();
                return run(device, &Op::Activate(*activation), product, outputs);
            }
            _ => {}
        }
        match rules::rule(op) {
            Some(rule) => self.record(device, op, inputs, outputs, rule),
            None if rules::stops(op, outputs) => self.pass(device, op, inputs, outputs),
            None => Err(rules::unknown(op)),
        }
    }

    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }

    fn as_recorder(&self) -> Option<&dyn Recorder> {
        Some(self)
    }
}

impl Wrapper for Autodiff {
    fn inner(&self) -> Device {
        self.inner
    }

    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        Self::put_together(device, inner, None)
    }

    fn unwrap(&self, tensor: Tensor) -> Tensor {
        let device = tensor.device();
        Self::take_apart(device, tensor).0
    }
}

impl Recorder for Autodiff {
    fn track(&self, device: Device, inner: Tensor) -> Tensor {
        Self::put_together(device, inner, Some(Edge { node: Arc::new(Node::leaf()), output: 0 }))
    }

    #[inline]
    fn node_id(&self, tensor: &Tensor) -> Option<NodeId> {
        tensor.storage::<Recorded>()?.edge.as_ref().map(Edge::id)
    }

    fn backward(
        &self,
        tensor: &Tensor,
        seed: Option<Tensor>,
        wanted: Option<&[NodeId]>,
        retain_graph: bool,
    ) -> Result<Gradients> {
        let Some(root) = tensor.storage::<Recorded>().and_then(|recorded| recorded.edge.as_ref()) else {
            return Err(Error::gradient(
                "backward",
                "the tensor is a constant: no tracked tensor took part in it",
                "Track the parameters with `tensor.tracked()?` and compute the loss from the tracked tensors",
            ));
        };
        let seed = match seed {
            Some(seed) => Some(self.seed(tensor, seed)?),
            None if tensor.count() == 1 => None,
            None => {
                return Err(Error::gradient(
                    "backward",
                    format!("the tensor has shape {}, not a single element", tensor.shape()),
                    "Reduce it with `sum` or `mean`, or give a seed of its shape with `gradients`",
                ));
            }
        };
        let unit = seed.is_none();
        let seed = match seed {
            Some(seed) => seed,
            None => Tensor::ones(*tensor.shape(), tensor.dtype(), self.inner.without_recording())?,
        };
        let wanted = wanted.map_or(Wanted::Leaves, Wanted::Tensors);
        backward::backward(self.inner, [(root, seed, unit)], wanted, retain_graph)
    }

    fn checkpoint(
        &self,
        device: Device,
        first: &mut dyn FnMut(&[Tensor]) -> Result<Vec<Tensor>>,
        again: Recompute,
        inputs: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        checkpoint::checkpoint(device, first, again, inputs)
    }
}

impl Autodiff {
    /// Checks a seed and brings it inside.
    fn seed(&self, tensor: &Tensor, seed: Tensor) -> Result<Tensor> {
        if seed.shape() != tensor.shape() || seed.dtype() != tensor.dtype() {
            return Err(Error::gradient(
                "backward",
                format!(
                    "the seed is {} of {}, the tensor {} of {}",
                    seed.shape(),
                    seed.dtype(),
                    tensor.shape(),
                    tensor.dtype()
                ),
                "Give a seed of the tensor's shape and dtype",
            ));
        }
        let seed = Self::take_apart(tensor.device(), seed).0;
        if !self.inner.contains(seed.device()) {
            return Err(Box::new(Error::Devices {
                operation: "backward",
                left: self.inner.name(),
                right: seed.device().name(),
            }));
        }
        Ok(seed)
    }
}
