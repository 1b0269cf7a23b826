//! One function a workload: it prepares the data and gives the step to time.

use osnova::generative::{GenerativeModel, Likelihood, VariationalAutoencoder};
use osnova::prelude::*;

/// What is timed, again and again.
pub type Step = Box<dyn FnMut() -> Result<()>>;

/// A workload: its name, how often to time it, how often to run it before, and how to prepare it.
pub struct Workload {
    /// The name, as in the peers' programs.
    pub name: &'static str,
    /// Timed runs, of which the median counts.
    pub repeats: usize,
    /// Runs before.
    pub warm_up: usize,
    /// Makes the data and the model.
    pub prepare: fn(Device) -> Result<Step>,
}

/// All workloads, in the peers' order.
pub const ALL: &[Workload] = &[
    Workload { name: "sgemm_1024", repeats: 15, warm_up: 4, prepare: |device| sgemm(device, 1024) },
    Workload { name: "sgemm_256", repeats: 200, warm_up: 20, prepare: |device| sgemm(device, 256) },
    Workload { name: "gelu_chain_4m", repeats: 15, warm_up: 4, prepare: gelu_chain },
    Workload { name: "softmax_ce_4096x1000", repeats: 15, warm_up: 4, prepare: softmax_cross_entropy },
    Workload { name: "sum_axis_4096x4096", repeats: 15, warm_up: 4, prepare: sum_axis },
    Workload { name: "mlp_step_b128", repeats: 200, warm_up: 8, prepare: |device| mlp_step(device, 128) },
    Workload { name: "mlp_step_b32", repeats: 200, warm_up: 8, prepare: |device| mlp_step(device, 32) },
    Workload { name: "mlp_infer_b1", repeats: 500, warm_up: 50, prepare: mlp_inference },
    Workload { name: "vae_step_b128", repeats: 100, warm_up: 8, prepare: vae_step },
];

pub(crate) fn normal<const N: usize>(shape: [usize; N], device: Device) -> Result<Tensor> {
    Tensor::normal(shape, 0.0, 1.0, DType::F32, &Generator::new(0), device)
}

fn uniform<const N: usize>(shape: [usize; N], device: Device) -> Result<Tensor> {
    Tensor::uniform(shape, 0.0, 1.0, DType::F32, &Generator::new(0), device)
}

/// Class indices drawn evenly.
fn classes(count: usize, classes: usize, device: Device) -> Result<Tensor> {
    (uniform([count], device)? * classes as f64)?.floor()?.to_dtype(DType::I64)
}

fn sgemm(device: Device, size: usize) -> Result<Step> {
    let (a, b) = (normal([size, size], device)?, normal([size, size], device)?);
    Ok(Box::new(move || a.matmul(&b).map(drop)))
}

fn gelu_chain(device: Device) -> Result<Step> {
    let x = normal([1 << 22], device)?;
    Ok(Box::new(move || x.gelu(true).map(drop)))
}

fn softmax_cross_entropy(device: Device) -> Result<Step> {
    let logits = normal([4096, 1000], device)?.to_device(device.autodiff())?.tracked()?;
    let target = classes(4096, 1000, device)?;
    Ok(Box::new(move || logits.cross_entropy(&target)?.backward().map(drop)))
}

fn sum_axis(device: Device) -> Result<Step> {
    let x = normal([4096, 4096], device)?;
    Ok(Box::new(move || {
        x.sum(0, false)?;
        x.sum(1, false).map(drop)
    }))
}

/// 784 → 256 → 128 → 10 with ReLU: 235,146 parameters.
#[derive(Module, Clone)]
struct Mlp {
    first: Linear,
    second: Linear,
    out: Linear,
}

impl Mlp {
    fn new(device: Device) -> Result<Self> {
        let generator = Generator::new(0);
        Ok(Self {
            first: Linear::new(784, 256, &generator, device)?.with_activation(Activation::Relu),
            second: Linear::new(256, 128, &generator, device)?.with_activation(Activation::Relu),
            out: Linear::new(128, 10, &generator, device)?,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.out.forward(&self.second.forward(&self.first.forward(input)?)?)
    }
}

/// One Adam step of the MLP on a batch of this size: the README's loop.
pub fn mlp_step(device: Device, batch: usize) -> Result<Step> {
    let mut model = Mlp::new(device.autodiff())?;
    let mut optimizer = Adam::new(1e-3);
    let (input, target) = (uniform([batch, 784], device)?, classes(batch, 10, device)?);
    Ok(Box::new(move || {
        let loss = model.forward(&input)?.cross_entropy(&target)?;
        optimizer.step(&mut model, &loss.backward()?)
    }))
}

fn mlp_inference(device: Device) -> Result<Step> {
    let model = Mlp::new(device)?;
    let input = uniform([1, 784], device)?;
    Ok(Box::new(move || model.forward(&input).map(drop)))
}

/// A variational autoencoder, 784–400–20–400–784, with Bernoulli likelihood: one Adam step.
fn vae_step(device: Device) -> Result<Step> {
    let (generator, recording) = (Generator::new(0), device.autodiff());
    let encoder = osnova::nn::Mlp::new(784, &[400], Head::Regression(2 * 20), &generator, recording)?;
    let decoder = osnova::nn::Mlp::new(20, &[400], Head::Regression(784), &generator, recording)?;
    let mut model =
        VariationalAutoencoder::options(encoder, decoder, 20).likelihood(Likelihood::Bernoulli).build(&generator)?;
    let mut optimizer = Adam::new(1e-3);
    let input = uniform([128, 784], device)?;
    Ok(Box::new(move || {
        let loss = model.loss(&input, None)?.total(|_| 1.0)?;
        optimizer.step(&mut model, &loss.backward()?)
    }))
}
