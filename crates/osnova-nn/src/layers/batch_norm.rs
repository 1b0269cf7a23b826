//! Batch normalisation.

use crate::wide::{rounded_once, widened};
use crate::{Buffer, Forward, Mode, Module, Param};
use osnova_tensor::{
    Axes, Custom, CustomOp, DType, Device, Error, Inputs, Meta, Metas, Outputs, Result, Shape, Tensor,
};

/// `(x − mean)/√(variance + ε) · weight + bias` for each channel, with mean and variance over the batch and all places.
/// Ioffe & Szegedy 2015.
///
/// Channels are axis 1 of an input of any rank from 2 on: `[batch, features]`, `[batch, channels, length]`,
/// `[batch, channels, height, width]`. While training it normalises by the batch's own mean and (biased) variance, and moves
/// the running ones towards them, `running ← (1 − momentum)·running + momentum·batch`, with the unbiased variance as in
/// PyTorch. In evaluation it uses the running ones, so that a sample's output does not depend on its neighbours.
///
/// Parameters: `weight` (ones) and `bias` (zeros), `[channels]`. Buffers: `running_mean` (zeros) and `running_var` (ones),
/// `[channels]`, and `num_batches_tracked` (`i64`, or what the device [counts](Device::index_dtype) with): PyTorch's state dicts load as they are.
/// The running statistics of a layer of `f16` or `bf16` are `f32`: a tenth of a small change would be lost in them.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{BatchNorm, Forward, Module};
/// use osnova_tensor::{Device, Tensor};
///
/// let mut layer = BatchNorm::new(2, Device::cpu())?;
/// let batch = Tensor::new([[1.0f32, 10.0], [3.0, 30.0]], Device::cpu())?;
/// let output = layer.forward(&batch)?.to_vec::<f32>()?;
/// assert!(output.iter().zip([-1.0, -1.0, 1.0, 1.0]).all(|(value, expected)| (value - expected).abs() < 1e-4));
/// // A tenth of the way from 0 to the batch's mean.
/// let mean = layer.running_mean.as_ref().unwrap().value().to_vec::<f32>()?;
/// assert!((mean[0] - 0.2).abs() < 1e-6 && (mean[1] - 2.0).abs() < 1e-6);
/// layer.eval();   // from now on the running statistics
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct BatchNorm {
    /// A factor for each channel.
    pub weight: Option<Param>,
    /// Added to each channel.
    pub bias: Option<Param>,
    /// The mean of each channel over the batches so far.
    pub running_mean: Option<Buffer>,
    /// The variance of each channel over the batches so far.
    pub running_var: Option<Buffer>,
    /// How many batches that were.
    pub num_batches_tracked: Option<Buffer>,
    channels: usize,
    epsilon: f64,
    momentum: Option<f64>,
    #[module(skip)]
    operation: Custom,
    mode: Mode,
}

/// PyTorch's name for [`BatchNorm`] over `[batch, features]` or `[batch, channels, length]`.
pub type BatchNorm1d = BatchNorm;
/// PyTorch's name for [`BatchNorm`] over images `[batch, channels, height, width]`.
pub type BatchNorm2d = BatchNorm;
/// PyTorch's name for [`BatchNorm`] over volumes `[batch, channels, depth, height, width]`.
pub type BatchNorm3d = BatchNorm;

impl BatchNorm {
    /// A layer with weights, biases and running statistics; ε is 1e-5, the momentum 0.1.
    ///
    /// # Errors
    /// No channels, sizes that do not fit in memory.
    pub fn new(channels: usize, device: Device) -> Result<Self> {
        Self::options(channels).build(device)
    }

    /// All that can be chosen about the layer; finish with [`BatchNormOptions::build`].
    pub fn options(channels: usize) -> BatchNormOptions {
        BatchNormOptions {
            channels,
            epsilon: 1e-5,
            momentum: Some(0.1),
            affine: true,
            track_running_stats: true,
            dtype: DType::F32,
        }
    }

    /// The size of the input's axis 1.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// By the statistics of the batch itself, which move the running ones.
    fn by_batch(&self, input: &Tensor) -> Result<Tensor> {
        let count = input.count() / self.channels;
        if count < 2 {
            return Err(Error::shape(
                "batch_norm",
                [*input.shape()],
                "a channel has fewer than two values, and so no variance",
                "Train on batches of two or more samples (drop the last batch if it is one), or call `eval()` to predict",
            ));
        }
        let affine = self.weight.iter().chain(&self.bias).map(|parameter| parameter.tensor().clone());
        let mut outputs = self.operation.apply(std::iter::once(input.clone()).chain(affine))?.into_iter();
        let [Some(output), Some(mean), Some(variance)] = [outputs.next(), outputs.next(), outputs.next()] else {
            return Err(Error::device(
                input.device().name(),
                "batch_norm returned too little",
                "This is a defect of the backend: report it",
            ));
        };
        if let (Some(mean_so_far), Some(variance_so_far), Some(batches)) =
            (&self.running_mean, &self.running_var, &self.num_batches_tracked)
        {
            let number = (batches.value() + 1)?;
            let unbiased = (variance.detach() * (count as f64 / (count - 1) as f64))?;
            for (buffer, batch) in [(mean_so_far, mean.detach()), (variance_so_far, unbiased)] {
                let current = buffer.value();
                let batch = batch.reshape([self.channels])?.to_dtype(current.dtype())?.to_device(current.device())?;
                let change = (batch - &current)?;
                let step = match self.momentum {
                    Some(momentum) => (change * momentum)?,
                    None => (change / number.to_dtype(current.dtype())?)?,
                };
                buffer.set((current + step)?)?;
            }
            batches.set(number)?;
        }
        Ok(output)
    }

    /// By given statistics: one factor and one summand a channel.
    fn by_running(&self, input: &Tensor, mean: &Buffer, variance: &Buffer) -> Result<Tensor> {
        let mut factor = (variance.value() + self.epsilon)?.rsqrt()?;
        if let Some(weight) = &self.weight {
            factor = (widened(weight.tensor())? * factor)?;
        }
        let mut summand = (-(&factor * mean.value())?)?;
        if let Some(bias) = &self.bias {
            summand = (summand + widened(bias.tensor())?)?;
        }
        rounded_once([input], |[input]| {
            (input * along_channels(&factor, input.rank())?)? + along_channels(&summand, input.rank())?
        })
    }
}

/// Numbers `[channels]` as they broadcast along axis 1 of an input of this rank.
pub(super) fn along_channels(values: &Tensor, rank: usize) -> Result<Tensor> {
    let mut dims = vec![1; rank - 1];
    dims[0] = values.count();
    values.reshape(dims)
}

/// Refuses an input without this many channels on axis 1, or with too few axes.
pub(super) fn check_channels(name: &'static str, input: &Tensor, channels: usize, rank: usize) -> Result<()> {
    if input.rank() >= rank && input.dims()[1] == channels {
        return Ok(());
    }
    Err(Error::shape(
        name,
        [*input.shape()],
        format!("the layer takes at least {rank} axes with {channels} channels on axis 1"),
        "Make the layer with the size of the input's axis 1",
    ))
}

/// Refuses an ε that is negative, infinite or NaN.
pub(super) fn check_epsilon(name: &'static str, epsilon: f64) -> Result<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(Error::argument(name, format!("ε is {epsilon}"), "Give a small number such as 1e-5"))
}

impl Module for BatchNorm {
    fn kind(&self) -> &'static str {
        "BatchNorm"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        (input.rank() >= 2 && input[1] == self.channels).then_some(*input)
    }
}

impl Forward for BatchNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        check_channels("batch_norm", input, self.channels, 2)?;
        match (&self.running_mean, &self.running_var) {
            (Some(mean), Some(variance)) if !self.mode.is_training() => self.by_running(input, mean, variance),
            _ => self.by_batch(input),
        }
    }
}

/// Normalisation by the batch's statistics. Inputs: `[x]` or `[x, weight, bias]`; outputs: the result, and each channel's
/// mean and biased variance as they broadcast against x.
///
/// An operation of its own because its derivative by hand reads x twice; that of its parts would keep and read five tensors
/// of x's size.
#[derive(Debug)]
struct Normalise {
    epsilon: f64,
}

impl Normalise {
    /// All axes but that of the channels.
    fn axes(input: &Tensor) -> Axes {
        (0..input.rank()).filter(|&axis| axis != 1).collect()
    }
}

impl CustomOp for Normalise {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        let input = inputs[0];
        let channels = Shape::new(&input.shape[1..2])?;
        if !input.dtype.is_float() || inputs.iter().any(|other| other.dtype != input.dtype) {
            return Err(Error::dtype(
                "batch_norm",
                inputs.iter().map(|input| input.dtype).collect::<Vec<_>>(),
                "input and parameters must be floats of one dtype",
                "Convert the input with `to_dtype`, or make the layer with the input's dtype",
            ));
        }
        if let Some(other) = inputs[1..].iter().find(|other| other.shape != channels) {
            return Err(Error::shape(
                "batch_norm",
                [input.shape, other.shape],
                "there must be one weight and one bias for each channel",
                "Give parameters of shape [channels]",
            ));
        }
        let mut dims = vec![1; input.shape.rank()];
        dims[1] = channels[0];
        let statistics = Meta::new(Shape::new(&dims)?, input.dtype.accumulator());
        Ok([input, statistics, statistics].into_iter().collect())
    }

    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        let input = &inputs[0];
        let (dtype, wide, axes) = (input.dtype(), input.dtype().accumulator(), Self::axes(input));
        let values = input.to_dtype(wide)?;
        let mean = values.mean(&axes, true)?;
        let centred = (values - &mean)?;
        let variance = centred.square()?.mean(&axes, true)?;
        let mut factor = (&variance + self.epsilon)?.rsqrt()?;
        if let Some(weight) = inputs.get(1) {
            factor = (factor * along_channels(weight, input.rank())?.to_dtype(wide)?)?;
        }
        let mut output = (centred * factor)?;
        if let Some(bias) = inputs.get(2) {
            output = (output + along_channels(bias, input.rank())?.to_dtype(wide)?)?;
        }
        Ok([output.to_dtype(dtype)?, mean, variance].into_iter().collect())
    }

    fn has_backward(&self) -> bool {
        true
    }

    /// With x̂ = (x − mean)·r and r = 1/√(variance + ε), over the n values of a channel:
    /// dx = w·r·(g − Σg/n − x̂·Σ(g·x̂)/n), dw = Σ g·x̂, db = Σ g.
    ///
    /// The formula reads mean and variance, so a second derivative comes back through those outputs:
    /// dx = dmean/n + dvariance·2(x − mean)/n.
    fn backward(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        gradients: &[Option<Tensor>],
    ) -> Result<Option<Vec<Option<Tensor>>>> {
        let (input, mean, variance) = (&inputs[0], &outputs[1], &outputs[2]);
        let (dtype, wide, axes, rank) = (input.dtype(), mean.dtype(), Self::axes(input), input.rank());
        let count = (input.count() / mean.count()) as f64;
        let centred = (input.to_dtype(wide)? - mean)?;
        let mut pulled = vec![None; inputs.len()];
        let mut total = None;
        if let Some(gradient) = &gradients[0] {
            let gradient = gradient.to_dtype(wide)?;
            let mut factor = (variance + self.epsilon)?.rsqrt()?;
            let normal = (&centred * &factor)?;
            let along = (&gradient * &normal)?.sum(&axes, true)?;
            let level = gradient.sum(&axes, true)?;
            if let Some(weight) = inputs.get(1) {
                factor = (factor * along_channels(weight, rank)?.to_dtype(wide)?)?;
            }
            total = Some((((gradient - (&level / count)?)? - (normal * (&along / count)?)?)? * factor)?);
            for (place, sums) in pulled[1..].iter_mut().zip([along, level]) {
                *place = Some(sums.reshape([sums.count()])?.to_dtype(dtype)?);
            }
        }
        let by_mean = gradients[1].as_ref().map(|gradient| (gradient / count)?.expand(*input.shape()));
        let by_variance = gradients[2].as_ref().map(|gradient| (gradient * (2.0 / count))? * &centred);
        for part in [by_mean, by_variance].into_iter().flatten() {
            total = Some(match total {
                Some(total) => (total + part?)?,
                None => part?,
            });
        }
        pulled[0] = total.map(|total| total.to_dtype(dtype)).transpose()?;
        Ok(Some(pulled))
    }
}

/// What can be chosen about a [`BatchNorm`].
#[derive(Clone, Copy, Debug)]
#[must_use = "call `build`"]
pub struct BatchNormOptions {
    channels: usize,
    epsilon: f64,
    momentum: Option<f64>,
    affine: bool,
    track_running_stats: bool,
    dtype: DType,
}

impl BatchNormOptions {
    /// Added to the variance.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The weight of a new batch in the running statistics, from 0 to 1; `None` for the plain mean of all batches so far.
    pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = momentum.into();
        self
    }

    /// Whether there are a weight and a bias.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Whether there are running statistics. Without them the batch's own are used in evaluation too.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.track_running_stats = track;
        self
    }

    /// The parameters' dtype; `f32` unless said otherwise. Running statistics have its
    /// [accumulator](DType::accumulator).
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// No channels, an ε that is negative or not finite, a momentum outside 0 to 1, a dtype that is no float.
    pub fn build(self, device: Device) -> Result<BatchNorm> {
        if self.channels == 0 {
            return Err(Error::argument("batch_norm", "there are no channels", "Give the size of the input's axis 1"));
        }
        check_epsilon("batch_norm", self.epsilon)?;
        if let Some(momentum) = self.momentum.filter(|momentum| !(0.0..=1.0).contains(momentum)) {
            let advice = "Give the weight of a new batch, from 0 to 1: 0.1 is usual";
            return Err(Error::argument("batch_norm", format!("the momentum is {momentum}"), advice));
        }
        let full = |value: f64, dtype: DType| Tensor::full(self.channels, value, dtype, device);
        let (affine, track) = (self.affine, self.track_running_stats);
        let parameter = |value: f64| affine.then(|| Param::new(full(value, self.dtype)?)).transpose();
        let buffer = |value: f64| track.then(|| full(value, self.dtype.accumulator()).map(Buffer::new)).transpose();
        Ok(BatchNorm {
            weight: parameter(1.0)?,
            bias: parameter(0.0)?,
            running_mean: buffer(0.0)?,
            running_var: buffer(1.0)?,
            num_batches_tracked: track
                .then(|| Tensor::zeros((), device.index_dtype(), device).map(Buffer::new))
                .transpose()?,
            channels: self.channels,
            epsilon: self.epsilon,
            momentum: self.momentum,
            operation: Custom::new(Normalise { epsilon: self.epsilon }),
            mode: Mode::Training,
        })
    }
}
