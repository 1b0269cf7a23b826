//! The backend: which kernel answers which operation.

use crate::engine::Engine;
use crate::faults::Verdicts;
use crate::kernels::reduce::{self, Method};
use crate::kernels::{
    argreduce, create, cumsum, elementwise, index, losses, matmul, movement, normalise, optimize, softmax, sort,
};
use crate::storage::{rest_on, verdicts, view};
use osnova_tensor::{
    Backend, Capabilities, Device, Error, HostData, Inputs, Meta, Op, Outputs, Result, Shape, Tensor, view_layout,
};
use smallvec::smallvec;

/// A Vulkan device.
#[derive(Debug)]
pub(crate) struct Vulkan(pub(crate) &'static Engine);

impl Vulkan {
    fn missing(&self, op: &Op, inputs: &[Tensor]) -> Box<Error> {
        self.0.unsupported(op.name(), inputs.first().map(Tensor::dtype))
    }
}

impl Backend for Vulkan {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::new(self.0.gpu.info.dtypes);
        capabilities.asynchronous = true;
        capabilities
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        match op {
            Op::Activate(kind) | Op::Linear { activation: kind, .. } => elementwise::activation_number(*kind).is_some(),
            Op::ActivationGradient(kind) => elementwise::gradient_number(*kind).is_some(),
            Op::Softmax { .. } | Op::LogSoftmax { .. } => true,
            Op::Mean { .. } | Op::Variance { .. } | Op::LogSumExp { .. } => true,
            Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_) | Op::LayerNorm(_) => true,
            Op::Optimize(attributes) => optimize::fits(attributes, inputs),
            _ => false,
        }
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        let tensor = self.0.create(device, &Meta::new(shape, data.dtype()))?;
        self.0.write(&tensor, 0, data.as_bytes())?;
        Ok(tensor)
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let row_major = movement::made_contiguous(self.0, tensor.device(), tensor.clone())?;
        self.0.read(&row_major, &verdicts([tensor]))
    }

    fn synchronize(&self) -> Result<()> {
        self.0.synchronize()
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let mut all = if self.0.is_quiet() { Verdicts::default() } else { verdicts(&inputs) };
        let mut made = self.record(device, op, inputs, outputs, &mut all)?;
        if !all.is_empty() {
            made.iter_mut().for_each(|output| rest_on(output, &all));
        }
        Ok(made)
    }
}

impl Vulkan {
    /// Records an operation whose inputs rest on `verdicts`; its outputs rest on what these become.
    fn record(
        &self,
        device: Device,
        op: &Op,
        mut inputs: Inputs,
        outputs: &[Meta],
        verdicts: &mut Verdicts,
    ) -> Result<Outputs> {
        let engine = self.0;
        // An optimizer of no parameters has no output.
        let Some(meta) = outputs.first() else { return Ok(Outputs::new()) };
        // Inference has counted the inputs; the last one comes off first.
        let last = |inputs: &mut Inputs| inputs.pop().ok_or_else(|| self.missing(op, &[]));
        let output = match op {
            Op::Full { value, .. } => create::full(engine, device, *value, meta)?,
            Op::Arange { start, step, .. } => create::arange(engine, device, *start, *step, meta)?,
            Op::Random { distribution, stream, .. } => create::random(engine, device, *distribution, *stream, meta)?,
            Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } | Op::Slice { .. } => {
                let mut input = last(&mut inputs)?;
                let layout = match view_layout(op, input.layout()) {
                    Some(layout) => layout,
                    None => {
                        input = movement::made_contiguous(engine, device, input)?;
                        view_layout(op, input.layout()).ok_or_else(|| self.missing(op, &[]))?
                    }
                };
                view(&input, layout)
            }
            Op::Contiguous => movement::made_contiguous(engine, device, last(&mut inputs)?)?,
            Op::Pad { padding, value } => movement::pad(engine, device, &inputs[0], padding, *value, meta)?,
            Op::Concat { axis } => movement::concat(engine, device, &inputs, *axis, meta)?,
            Op::Unary(kind) => elementwise::unary(engine, device, *kind, last(&mut inputs)?, meta)?,
            Op::Binary(kind) => {
                let right = last(&mut inputs)?;
                elementwise::binary(engine, device, *kind, last(&mut inputs)?, right, meta)?
            }
            Op::Compare(kind) => elementwise::compare(engine, device, *kind, &inputs[0], &inputs[1], meta)?,
            Op::Clamp { low, high } => elementwise::clamp(engine, device, *low, *high, last(&mut inputs)?, meta)?,
            Op::Where => elementwise::where_(engine, device, &inputs[0], &inputs[1], &inputs[2], meta)?,
            Op::Cast { .. } => elementwise::cast(engine, device, last(&mut inputs)?, meta)?,
            Op::Reduce { kind, axes, .. } => {
                reduce::reduce(engine, device, Method::Plain(*kind), &inputs[0], axes, meta)?
            }
            Op::ArgReduce { kind, axis, .. } => argreduce::arg_reduce(engine, device, *kind, &inputs[0], *axis, meta)?,
            Op::CumulativeSum { axis, reverse } => {
                cumsum::cumulative_sum(engine, device, &inputs[0], *axis, *reverse, meta)?
            }
            Op::Mean { axes, .. } => reduce::reduce(engine, device, Method::Mean, &inputs[0], axes, meta)?,
            Op::Variance { axes, correction, .. } => {
                reduce::reduce(engine, device, Method::Variance(*correction), &inputs[0], axes, meta)?
            }
            Op::LogSumExp { axes, .. } => reduce::reduce(engine, device, Method::LogSumExp, &inputs[0], axes, meta)?,
            Op::Matmul => matmul::matmul(engine, device, &inputs[0], &inputs[1], meta)?,
            Op::Linear { activation, .. } => matmul::linear(engine, device, &inputs, *activation, meta)?,
            Op::Gather { axis } => index::gather(engine, device, &inputs, *axis, meta, verdicts)?,
            Op::IndexSelect { axis } => index::index_select(engine, device, &inputs, *axis, meta, verdicts)?,
            Op::ScatterAdd { axis } | Op::IndexAdd { axis } => {
                let (source, index) = (last(&mut inputs)?, last(&mut inputs)?);
                let add = if matches!(op, Op::ScatterAdd { .. }) { index::scatter_add } else { index::index_add };
                add(engine, device, [last(&mut inputs)?, index, source], *axis, meta, verdicts)?
            }
            Op::Sort { axis, descending } => {
                return sort::sort(engine, device, &inputs[0], *axis, *descending, outputs);
            }
            Op::Activate(kind) => elementwise::activate(engine, device, *kind, last(&mut inputs)?, meta)?,
            Op::ActivationGradient(kind) => {
                let output = last(&mut inputs)?;
                elementwise::activation_gradient(engine, device, *kind, last(&mut inputs)?, output, meta)?
            }
            Op::Softmax { axis } => softmax::softmax(engine, device, last(&mut inputs)?, *axis, false, meta)?,
            Op::LogSoftmax { axis } => softmax::softmax(engine, device, last(&mut inputs)?, *axis, true, meta)?,
            Op::LayerNorm(attributes) => normalise::layer_norm(engine, device, attributes, inputs, meta)?,
            Op::CrossEntropy(attributes) => {
                return losses::cross_entropy(engine, device, attributes, &inputs, outputs, verdicts);
            }
            Op::BinaryCrossEntropy(attributes) => {
                return losses::binary_cross_entropy(engine, device, attributes, &inputs, outputs);
            }
            Op::Optimize(attributes) => return optimize::optimize(engine, device, attributes, inputs),
            _ => return Err(self.missing(op, &inputs)),
        };
        Ok(smallvec![output])
    }
}
