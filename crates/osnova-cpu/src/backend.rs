//! The backend: which kernel answers which operation.

use crate::failure::Failure;
use crate::kernels::{create, elementwise, index, losses, movement, normalise, optimize, product, reduce, softmax};
use crate::memory::Buffer;
use crate::parallel::Parallel;
use crate::storage::{Storage, view};
use osnova_tensor::{
    Backend, Capabilities, DType, DTypeSet, Device, Error, HostData, Inputs, Layout, Meta, Op, Outputs, Result, Shape,
    Tensor, view_layout,
};
use smallvec::smallvec;

/// The CPU with a fixed number of threads.
#[derive(Debug)]
pub(crate) struct Cpu {
    parallel: &'static Parallel,
    name: String,
}

impl Cpu {
    pub(crate) fn new(parallel: &'static Parallel, name: String) -> Self {
        Self { parallel, name }
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DTypeSet::ALL)
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        let Some(first) = inputs.first() else { return false };
        let single = matches!(first.dtype(), DType::F32 | DType::F64);
        match op {
            Op::Activate(kind) => elementwise::knows(*kind),
            Op::ActivationGradient(kind) => elementwise::knows_gradient(*kind),
            Op::Softmax { axis } | Op::LogSoftmax { axis } => single && axis + 1 == first.rank(),
            Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_) | Op::LayerNorm(_) => single,
            Op::Linear { activation, .. } => single && elementwise::knows(*activation),
            Op::Mean { .. } => single,
            Op::Optimize(kind) => optimize::knows(kind) && optimize::fits(kind, inputs),
            _ => false,
        }
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        let dtype = data.dtype();
        let buffer = match data {
            HostData::F32(values) => Buffer::from_vec(values),
            HostData::F64(values) => Buffer::from_vec(values),
            HostData::F16(values) => Buffer::from_vec(values),
            HostData::BF16(values) => Buffer::from_vec(values),
            HostData::I64(values) => Buffer::from_vec(values),
            HostData::I32(values) => Buffer::from_vec(values),
            HostData::U32(values) => Buffer::from_vec(values),
            HostData::U8(values) => Buffer::from_vec(values),
            HostData::Bool(values) => {
                Buffer::copy_of(bytemuck::cast_slice::<bool, u8>(&values)).map_err(|refused| {
                    Failure::from(refused).explain(&self.name, "copy from the host", &[Meta::new(shape, dtype)])
                })?
            }
        };
        Ok(Tensor::from_parts(device, Layout::contiguous(shape), dtype, Storage::Own(buffer)))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let meta = Meta::new(*tensor.shape(), tensor.dtype());
        movement::to_host(self.parallel, tensor)
            .map_err(|refused| Failure::from(refused).explain(&self.name, "copy to the host", &[meta]))?
            .ok_or_else(|| Error::device(&self.name, "a truth value is neither 0 nor 1", "This is a defect: report it"))
    }

    #[inline]
    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let outcome = match self.parallel.own() {
            None => self.run(device, op, inputs, outputs),
            Some(pool) => pool.run(|| self.run(device, op, inputs, outputs)),
        };
        outcome.map_err(|failure| failure.explain(&self.name, op.name(), outputs))
    }
}

impl Cpu {
    fn run(&self, device: Device, op: &Op, mut inputs: Inputs, outputs: &[Meta]) -> Result<Outputs, Failure> {
        let parallel = self.parallel;
        // An optimizer of no parameters has no output.
        let Some(meta) = outputs.first() else { return Ok(Outputs::new()) };
        // Inference has counted the inputs; the last one comes off first.
        let missing = || Failure::Unknown(op.name());
        let last = |inputs: &mut Inputs| inputs.pop().ok_or_else(missing);
        let output = match op {
            Op::Full { value, .. } => create::full(device, *value, meta)?,
            Op::Arange { start, step, .. } => create::arange(device, *start, *step, meta)?,
            Op::Random { distribution, stream, .. } => create::random(parallel, device, *distribution, *stream, meta)?,
            Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } | Op::Slice { .. } => {
                let mut input = last(&mut inputs)?;
                let layout = match view_layout(op, input.layout()) {
                    Some(layout) => layout,
                    None => {
                        input = movement::made_contiguous(parallel, device, input)?;
                        view_layout(op, input.layout()).ok_or_else(missing)?
                    }
                };
                view(&input, layout)
            }
            Op::Contiguous => movement::made_contiguous(parallel, device, last(&mut inputs)?)?,
            Op::Pad { padding, value } => movement::pad(parallel, device, &inputs[0], padding, *value, meta)?,
            Op::Concat { axis } => movement::concat(parallel, device, &inputs, *axis, meta)?,
            Op::Unary(kind) => elementwise::unary(parallel, device, *kind, last(&mut inputs)?, meta)?,
            Op::Binary(kind) => {
                let right = last(&mut inputs)?;
                elementwise::binary(parallel, device, *kind, last(&mut inputs)?, right, meta)?
            }
            Op::Compare(kind) => elementwise::compare(parallel, device, *kind, &inputs[0], &inputs[1], meta)?,
            Op::Clamp { low, high } => elementwise::clamp(parallel, device, *low, *high, last(&mut inputs)?, meta)?,
            Op::Where => elementwise::where_(parallel, device, &inputs[0], &inputs[1], &inputs[2], meta)?,
            Op::Cast { .. } => elementwise::cast(parallel, device, last(&mut inputs)?, meta)?,
            Op::Reduce { kind, axes, .. } => reduce::reduce(parallel, device, *kind, &inputs[0], axes, meta)?,
            Op::ArgReduce { kind, axis, .. } => reduce::arg_reduce(device, *kind, &inputs[0], *axis, meta)?,
            Op::CumulativeSum { axis, reverse } => reduce::cumulative_sum(device, &inputs[0], *axis, *reverse, meta)?,
            Op::Matmul => product::matmul(device, &inputs[0], &inputs[1], meta)?,
            Op::Gather { axis } => index::gather(device, &inputs[0], &inputs[1], *axis, meta)?,
            Op::ScatterAdd { axis } => {
                let base = inputs.remove(0);
                index::scatter_add(parallel, device, base, &inputs[0], &inputs[1], *axis, meta)?
            }
            Op::IndexSelect { axis } => index::index_select(parallel, device, &inputs[0], &inputs[1], *axis, meta)?,
            Op::IndexAdd { axis } => {
                let base = inputs.remove(0);
                index::index_add(parallel, device, base, &inputs[0], &inputs[1], *axis, meta)?
            }
            Op::Sort { axis, descending } => {
                let (values, indices) = index::sort(device, &inputs[0], *axis, *descending, outputs)?;
                return Ok(smallvec![values, indices]);
            }
            Op::Mean { axes, .. } => reduce::mean(parallel, device, &inputs[0], axes, meta)?,
            Op::Softmax { .. } | Op::LogSoftmax { .. } => {
                let logarithm = matches!(op, Op::LogSoftmax { .. });
                softmax::softmax(parallel, device, last(&mut inputs)?, logarithm, meta)?.ok_or_else(missing)?
            }
            Op::Activate(kind) => elementwise::activate(parallel, device, *kind, last(&mut inputs)?, meta)?,
            Op::ActivationGradient(kind) => {
                let output = last(&mut inputs)?;
                elementwise::activation_gradient(parallel, device, *kind, last(&mut inputs)?, &output, meta)?
            }
            Op::Linear { activation, .. } => product::linear(parallel, device, &inputs, *activation, meta)?,
            Op::CrossEntropy(attributes) => {
                return losses::cross_entropy(parallel, device, attributes, &inputs, outputs);
            }
            Op::BinaryCrossEntropy(attributes) => {
                return losses::binary_cross_entropy(parallel, device, attributes, &inputs, outputs);
            }
            Op::LayerNorm(attributes) => normalise::layer_norm(parallel, device, attributes, &inputs, meta)?,
            Op::Optimize(attributes) => {
                return optimize::optimize(parallel, device, attributes, inputs)?.ok_or_else(missing);
            }
            // A composite that is not claimed, or an operation that is newer than this crate.
            _ => return Err(missing()),
        };
        Ok(smallvec![output])
    }
}
