//! Looking at what activation functions give, in a forward pass that is made anyway.
//!
//! For one step the model moves onto a device that wraps its own and notes the output of every ReLU, sigmoid and tanh,
//! fused or not. So it works for modules of any kind, on any device, without a second forward pass and without a change of
//! any bit. Each tensor on that device remembers which parameter it last met, so an activation is known by the layer before
//! it even in a forward pass written by hand.

use osnova_autodiff::AutodiffDevice;
use osnova_nn::Module;
use osnova_tensor::{
    Activation, Backend, Capabilities, DType, Device, Gradients, HostData, Inputs, Meta, Metas, NodeId, Op, Outputs,
    Result, Shape, Tensor, Unary, Wrapper, decompose,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// From here on a tanh counts as saturated: its slope is below 0.06 of 1.
const SATURATED_TANH: f64 = 0.97;
/// From here on, either way from ½, a sigmoid counts as saturated: its slope is below 0.03 of the possible 0.25.
const SATURATED_SIGMOID: f64 = 0.47;

/// What an activation function gave in the forward pass of a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActivationStatistics {
    /// The layer before it: the name of its parameters without the last part, `hidden` for `hidden.weight`.
    pub layer: String,
    /// ReLU, sigmoid or tanh.
    pub function: Activation,
    /// Which activation of the forward pass it is, counted from 1; the first one where the layer is used several times.
    pub position: usize,
    /// How many samples (and positions within a sample) each unit saw.
    pub samples: usize,
    /// For ReLU: whether each unit gave more than 0 anywhere in the batch. Empty otherwise.
    pub active: Vec<bool>,
    /// For sigmoid and tanh: the share of the outputs that are next to a limit. 0 otherwise.
    pub saturated: f64,
}

/// The name of the layer that a parameter belongs to.
pub(super) fn layer_name(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or(parameter, |(layer, _)| layer)
}

/// What one forward pass has shown.
#[derive(Debug, Default)]
struct Log {
    /// Only the forward pass is noted: the way back uses the same operations.
    closed: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// How often a parameter has met data.
    meetings: usize,
    outputs: Vec<Output>,
}

/// The output of an activation function.
#[derive(Clone, Debug)]
struct Output {
    function: Activation,
    fused: bool,
    origin: Origin,
    tensor: Tensor,
}

/// The parameter that a tensor has last met, and at which meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    meeting: usize,
    parameter: usize,
}

/// What a tensor remembers.
#[derive(Clone, Debug)]
struct Trace {
    log: Arc<Log>,
    /// `None`: the tensor is the parameter itself, or made of parameters alone.
    origin: Option<Origin>,
    parameter: usize,
}

/// The storage of a tensor of the watching device. An option so that a last handle can give the inner tensor away.
#[derive(Debug)]
struct Held {
    inner: Option<Tensor>,
    trace: OnceLock<Trace>,
}

impl Held {
    fn wrap(device: Device, inner: Tensor, trace: Option<Trace>) -> Tensor {
        let (layout, dtype) = (*inner.layout(), inner.dtype());
        let trace = trace.map_or_else(OnceLock::new, OnceLock::from);
        Tensor::from_parts(device, layout, dtype, Self { inner: Some(inner), trace })
    }

    fn unwrap(mut tensor: Tensor) -> Tensor {
        if let Some(Self { inner, .. }) = tensor.storage_mut() {
            if let Some(inner) = inner.take() {
                return inner;
            }
        } else if let Some(Self { inner: Some(inner), .. }) = tensor.storage() {
            return inner.clone();
        }
        unreachable!("a wrapping tensor holds an inner tensor as long as it lives")
    }
}

/// The device that watches another.
fn watching(inner: Device) -> Device {
    static DEVICES: Mutex<Vec<(Device, Device)>> = Mutex::new(Vec::new());
    let mut known = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, outer)) = known.iter().find(|(of, _)| *of == inner) {
        return *outer;
    }
    let outer = Device::intern(Watching { inner });
    known.push((inner, outer));
    outer
}

#[derive(Debug)]
struct Watching {
    inner: Device,
}

impl Backend for Watching {
    fn name(&self) -> String {
        format!("watching({})", self.inner)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        let own = |tensor: &Tensor| std::ptr::addr_eq(tensor.device().backend(), self);
        let inner = |tensor: &Tensor| if own(tensor) { Held::unwrap(tensor.clone()) } else { tensor.clone() };
        let inputs: Inputs = inputs.iter().map(inner).collect();
        self.inner.backend().claims(op, &inputs)
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(Held::wrap(device, self.inner.backend().upload(self.inner, data, shape)?, None))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let inner = Held::unwrap(tensor.clone());
        inner.device().backend().download(&inner)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let closed = Trace::known(device, &inputs).next().is_some_and(Trace::is_closed);
        let trace = if closed { None } else { Trace::of(device, op, &inputs) };
        let inside = |input: Tensor| if input.device() == device { Held::unwrap(input) } else { input };
        let inputs: Inputs = inputs.into_iter().map(inside).collect();
        let results = if !op.is_composite() || self.inner.backend().claims(op, &inputs) {
            self.inner.backend().execute(self.inner, op, inputs, outputs)?
        } else {
            decompose(self.inner, op, inputs, &Metas::from_slice(outputs))?
        };
        if let (Some(trace), Some((function, fused)), Some(result)) = (&trace, activation(op), results.first()) {
            trace.note(function, fused, result);
        }
        // The parts may have ended on a device further inside.
        let results = results.into_iter().map(|result| result.to_device(self.inner));
        if closed {
            // Nothing is left to note: what comes out, and all that is made of it, goes on without this device.
            return results.collect();
        }
        results.map(|result| Ok(Held::wrap(device, result?, trace.clone()))).collect()
    }

    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }
}

impl Wrapper for Watching {
    fn inner(&self) -> Device {
        self.inner
    }

    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        Held::wrap(device, inner, None)
    }

    fn unwrap(&self, tensor: Tensor) -> Tensor {
        Held::unwrap(tensor)
    }
}

/// The watched function that an operation applies, and whether a layer does it in the same kernel.
fn activation(op: &Op) -> Option<(Activation, bool)> {
    match op {
        Op::Unary(Unary::Relu) => Some((Activation::Relu, false)),
        Op::Unary(Unary::Sigmoid) => Some((Activation::Sigmoid, false)),
        Op::Unary(Unary::Tanh) => Some((Activation::Tanh, false)),
        Op::Activate(function @ (Activation::Relu | Activation::Sigmoid | Activation::Tanh)) => {
            Some((*function, false))
        }
        Op::Linear { activation: function @ (Activation::Relu | Activation::Sigmoid | Activation::Tanh), .. } => {
            Some((*function, true))
        }
        _ => None,
    }
}

impl Trace {
    /// What the inputs remember, those that do.
    fn known(device: Device, inputs: &Inputs) -> impl Iterator<Item = &Self> {
        let own = inputs.iter().filter(move |input| input.device() == device);
        own.filter_map(|input| input.storage::<Held>()?.trace.get())
    }

    fn is_closed(&self) -> bool {
        self.log.closed.load(Ordering::Relaxed)
    }

    /// What the output of an operation remembers.
    fn of(device: Device, op: &Op, inputs: &Inputs) -> Option<Self> {
        let known = || Self::known(device, inputs);
        let log = &known().next()?.log;
        let parameter = known().find(|trace| trace.origin.is_none());
        let met = match parameter {
            Some(parameter)
                if op.is_view() || known().filter(|trace| trace.origin.is_none()).count() == inputs.len() =>
            {
                return Some(parameter.clone());
            }
            Some(parameter) => {
                let mut seen = log.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.meetings += 1;
                Some(Origin { meeting: seen.meetings, parameter: parameter.parameter })
            }
            None => known().filter_map(|trace| trace.origin).max(),
        };
        met.map(|origin| Self { log: log.clone(), origin: Some(origin), parameter: origin.parameter })
    }

    fn note(&self, function: Activation, fused: bool, output: &Tensor) {
        if let Some(origin) = self.origin {
            let mut seen = self.log.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.outputs.push(Output { function, fused, origin, tensor: output.clone() });
        }
    }
}

/// The name and shape of each parameter of a model.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, Shape)>);

impl Parameters {
    pub(crate) fn of(model: &dyn Module) -> Self {
        let named = model.named_parameters().into_iter();
        Self(named.map(|(name, parameter)| (name, *parameter.shape())).collect())
    }
}

/// A step that is watched: the model is on the watching device from [`begin`](Self::begin) to [`end`](Self::end), or until
/// the watch is dropped, which an error or a panic of the step does.
pub(crate) struct Watch<'m, M: Module> {
    model: &'m mut M,
    /// Whether the model is away from where it belongs.
    away: bool,
    /// Where it belongs.
    device: Device,
    log: Arc<Log>,
    /// Who the parameters were before.
    ids: Vec<Option<NodeId>>,
}

/// The parameters' new identities: moving a parameter makes a new leaf.
pub(crate) struct Renamed(HashMap<NodeId, NodeId>);

impl Renamed {
    /// Gradients of the leaves that were, as gradients of those that are, on `device`.
    pub(crate) fn apply(&self, gradients: &Gradients, device: Device) -> Result<Gradients> {
        let mut renamed = Gradients::new();
        for (id, gradient) in gradients.iter() {
            renamed.insert(self.0.get(&id).copied().unwrap_or(id), gradient.to_device(device)?);
        }
        Ok(renamed)
    }
}

fn ids(model: &dyn Module) -> Vec<Option<NodeId>> {
    model.parameters().iter().map(|parameter| parameter.tensor().node_id()).collect()
}

impl<'m, M: Module> Watch<'m, M> {
    /// Moves the model, which costs nothing; `None` where its device cannot be watched (it records twice over).
    pub(crate) fn begin(model: &'m mut M) -> Result<Option<Self>> {
        let Some(device) = model.device() else { return Ok(None) };
        let plain = device.without_recording();
        if device.inner() != Some(plain) {
            return Ok(None);
        }
        let ids = ids(model);
        let watch = Self { model, away: true, device, log: Arc::new(Log::default()), ids };
        watch.model.to_device(watching(plain).autodiff())?;
        for (index, parameter) in watch.model.parameters().into_iter().enumerate() {
            if let Some(held) = parameter.value().storage::<Held>() {
                // A parameter that two modules share keeps the first name.
                let _ = held.trace.set(Trace { log: watch.log.clone(), origin: None, parameter: index });
            }
        }
        Ok(Some(watch))
    }

    /// The model on the watching device; after [`end`](Self::end), where it belongs.
    pub(crate) fn model(&mut self) -> &mut M {
        self.model
    }

    /// The forward pass is over.
    pub(crate) fn close(&self) {
        self.log.closed.store(true, Ordering::Relaxed);
    }

    /// The device where values live that need no gradient.
    pub(crate) fn plain(&self) -> Device {
        self.device.without_recording()
    }

    /// Moves the model back.
    pub(crate) fn end(&mut self) -> Result<Renamed> {
        let watched = ids(self.model);
        self.model.to_device(self.device)?;
        self.away = false;
        let new = ids(self.model);
        let pairs = |old: &[Option<NodeId>]| -> Vec<(NodeId, NodeId)> {
            old.iter().zip(&new).filter_map(|(old, new)| (*old).zip(*new)).collect()
        };
        Ok(Renamed(pairs(&self.ids).into_iter().chain(pairs(&watched)).collect()))
    }

    /// What the activation functions gave, in the order of the forward pass; one entry for a function and a layer.
    pub(crate) fn statistics(&self, parameters: &Parameters) -> Result<Vec<ActivationStatistics>> {
        let mut seen = self.log.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let meetings = seen.meetings;
        let outputs = std::mem::take(&mut seen.outputs);
        drop(seen);
        let mut kept = Vec::new();
        let mut parts = Vec::new();
        for (position, output) in outputs.iter().enumerate() {
            // Behind the last layer: an output may be certain, and a loss (a hinge, say) may use the same functions.
            let last = output.origin.meeting == meetings;
            if (last && !(output.fused && output.function == Activation::Relu)) || output.tensor.count() == 0 {
                continue;
            }
            let part = output.measure(&parameters.0[output.origin.parameter].1)?;
            kept.push((position + 1, output, part.count()));
            parts.push(part);
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        // One read for all.
        let values = Tensor::concat(&parts, 0)?.to_host()?.to_f64();
        let mut statistics: Vec<ActivationStatistics> = Vec::new();
        let mut times: Vec<f64> = Vec::new();
        let mut rest = values.as_slice();
        for (position, output, count) in kept {
            let (part, after) = rest.split_at(count);
            rest = after;
            let layer = layer_name(&parameters.0[output.origin.parameter].0);
            let relu = output.function == Activation::Relu;
            let same = |old: &ActivationStatistics| old.layer == layer && old.function == output.function;
            let samples = output.tensor.count() / count;
            let known = statistics.iter().position(same);
            if let Some(index) = known
                && (!relu || statistics[index].active.len() == part.len())
            {
                let (old, times) = (&mut statistics[index], &mut times[index]);
                if relu {
                    old.samples += samples;
                    old.active.iter_mut().zip(part).for_each(|(active, &largest)| *active |= largest != 0.0);
                } else {
                    old.saturated = (old.saturated * *times + part[0]) / (*times + 1.0);
                    *times += 1.0;
                }
                continue;
            }
            statistics.push(ActivationStatistics {
                layer: layer.to_owned(),
                function: output.function,
                position,
                samples,
                // NaN is no death: another disease.
                active: if relu { part.iter().map(|&largest| largest != 0.0).collect() } else { Vec::new() },
                saturated: if relu { 0.0 } else { part[0] },
            });
            times.push(1.0);
        }
        Ok(statistics)
    }
}

impl<M: Module> Drop for Watch<'_, M> {
    fn drop(&mut self) {
        if self.away {
            // The step has failed or panics already; that is what the caller is told.
            let _ = self.model.to_device(self.device);
        }
    }
}

impl Output {
    /// For ReLU the largest output of each unit, else the share of saturated outputs: one axis, `f32`.
    fn measure(&self, parameter: &Shape) -> Result<Tensor> {
        let tensor = self.tensor.detach();
        let share = |saturated: Tensor| saturated.to_dtype(DType::F32)?.mean(.., false)?.reshape([1]);
        match self.function {
            Activation::Tanh => share(tensor.abs()?.greater(SATURATED_TANH)?),
            Activation::Sigmoid => share((tensor - 0.5)?.abs()?.greater(SATURATED_SIGMOID)?),
            _ => {
                let units = self.unit_axis(parameter);
                let others: Vec<isize> =
                    (0..tensor.rank()).filter(|axis| *axis != units).map(|axis| axis as isize).collect();
                let largest = tensor.max(&others[..], false)?.to_dtype(DType::F32)?;
                // A scalar is a unit too.
                if largest.rank() == 0 { largest.reshape([1]) } else { Ok(largest) }
            }
        }
    }

    /// Along which axis the units of a layer stand: the last, or axis 1 behind a convolution.
    fn unit_axis(&self, parameter: &Shape) -> usize {
        let parameter = parameter.dims();
        let dims = self.tensor.dims();
        let last = dims.len().saturating_sub(1);
        let channels = parameter.first().copied();
        let second = dims.len() > 2 && dims.get(1).copied() == channels;
        if second && (parameter.len() > 2 || Some(dims[last]) != channels) { 1 } else { last }
    }
}
