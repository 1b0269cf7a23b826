//! The sparse autoencoder.

use super::Autoencoder;
use crate::gaussian::wide;
use crate::{AutoencoderOptions, CodePrior, GenerativeModel, Likelihood, LossParts};
use osnova_nn::{Buffer, Layer, Mode, Module};
use osnova_tensor::{Error, Generator, Result, Tensor};

/// What is asked of codes so that few of their units speak at a time.
///
/// | sparsity | penalty on codes z, `[batch, latent]` |
/// |---|---|
/// | `L1` | Σ\|z\| over the units, the mean over the batch |
/// | `Kl` | Σ KL(ρ ‖ ρ̂) over the units, with ρ̂ a unit's mean over the batch and KL(ρ ‖ ρ̂) = ρ ln(ρ/ρ̂) + (1 − ρ) ln((1 − ρ)/(1 − ρ̂)) (Ng 2011, CS294A lecture notes) |
///
/// `L1` suits an encoder that ends in a rectifier, which can say 0. Scaling codes down and the decoder's weights up lowers it
/// for nothing; weight decay on the decoder stops that. `Kl` takes ρ̂ for a probability, so that codes must lie between 0 and
/// 1: give the encoder a sigmoid at its end.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::Sparsity;
/// use osnova_tensor::{Device, Tensor};
///
/// let codes = Tensor::new([[0.8, 0.1, 0.9, 0.05, 0.7]], Device::cpu())?;
/// assert!((Sparsity::L1.penalty(&codes)?.item()? - 2.55).abs() < 1e-5);
/// // Two samples that use the unit at 0.8 in the mean, where 0.05 is wanted.
/// let codes = Tensor::new([[0.7], [0.9]], Device::cpu())?;
/// assert!((Sparsity::Kl { target: 0.05, momentum: None }.penalty(&codes)?.item()? - 1.342).abs() < 1e-3);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sparsity {
    /// Small codes.
    L1,
    /// Units that are seldom on.
    Kl {
        /// ρ, the mean that each unit should have over the data: 0.05, say.
        target: f64,
        /// With m, ρ̂ is a running mean, ρ̂ ← (1 − m)·ρ̂ + m·batch: for batches too small to judge by. Without, it is the
        /// batch's own.
        momentum: Option<f64>,
    },
}

impl Sparsity {
    /// The sparsity itself, if its numbers make sense.
    ///
    /// # Errors
    /// A target that is not between 0 and 1, a momentum that is not above 0 and at most 1.
    pub fn checked(self) -> Result<Self> {
        let Self::Kl { target, momentum } = self else { return Ok(self) };
        if !(target > 0.0 && target < 1.0) {
            return Err(refused(format!("the target is {target}"), "Give a number between 0 and 1, such as 0.05"));
        }
        match momentum {
            Some(momentum) if !(momentum > 0.0 && momentum <= 1.0) => {
                Err(refused(format!("the momentum is {momentum}"), "Give a number above 0 and at most 1, such as 0.1"))
            }
            _ => Ok(self),
        }
    }

    /// The penalty of codes, `[batch, latent]`, by themselves: ρ̂ is that of the batch. Of half types it is `f32`.
    ///
    /// # Errors
    /// Codes of another rank, numbers that make no sense; for `Kl`, a unit whose mean is not within 0 to 1.
    pub fn penalty(self, codes: &Tensor) -> Result<Tensor> {
        self.checked()?;
        if codes.rank() != 2 {
            return Err(Error::shape(
                "sparsity",
                [*codes.shape()],
                "codes of the shape [batch, latent] are needed",
                "Flatten each sample's code to one axis",
            ));
        }
        let codes = wide(codes)?;
        match self {
            Self::L1 => codes.abs()?.sum(1, false)?.mean(.., false),
            Self::Kl { target, .. } => divergence(target, &codes.mean(0, false)?),
        }
    }
}

/// Σ KL(ρ ‖ ρ̂) for the mean activation of each unit, `[latent]`.
fn divergence(target: f64, activation: &Tensor) -> Result<Tensor> {
    /// Far enough from 0 and 1 for `f32` to tell: a silent unit costs much, not infinitely much.
    const MARGIN: f64 = 1e-6;
    let outside = |&value: &f64| (value - 0.5).abs() > 0.5 + MARGIN;
    if let Some(value) = activation.detach().to_host()?.to_f64().into_iter().find(outside) {
        return Err(refused(
            format!("a code unit is {value} in the mean, which is no probability"),
            "Give the encoder a sigmoid at its end, or use `Sparsity::L1`",
        ));
    }
    // Squeezed and not clamped: a unit at 0 or 1 keeps its gradient.
    let on = ((activation * (1.0 - 2.0 * MARGIN))? + MARGIN)?;
    let off = (1.0 - &on)?;
    let term = |wanted: f64, share: Tensor| (share * (1.0 / wanted))?.ln()? * -wanted;
    (term(target, on)? + term(1.0 - target, off)?)?.sum(.., false)
}

fn refused(problem: String, advice: &'static str) -> Box<Error> {
    Error::argument("sparsity", problem, advice)
}

/// An autoencoder most of whose code units are silent for any one sample (Olshausen and Field 1996; Ng 2011): its code can be
/// wider than what a plain one needs, and each unit stands for something that is seldom there.
///
/// The loss is `reconstruction` + λ·`sparsity`.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::{GenerativeModel, SparseAutoencoder, Sparsity};
/// use osnova_nn::{Linear, Sequential, Sigmoid};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let (generator, device) = (Generator::new(0), Device::cpu());
/// let encoder = Sequential::new().with(Linear::new(64, 100, &generator, device)?).with(Sigmoid);
/// let decoder = Linear::new(100, 64, &generator, device)?;
/// let model = SparseAutoencoder::options(encoder, decoder, 100, Sparsity::Kl { target: 0.05, momentum: Some(0.1) })
///     .weight(0.5)
///     .build()?;
/// let parts = model.loss(&Tensor::zeros([8, 64], DType::F32, device)?, None)?;
/// let weights: Vec<_> = parts.iter().map(|part| (part.name, part.weight)).collect();
/// assert_eq!(weights, [("reconstruction", 1.0), ("sparsity", 0.5)]);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// With a [momentum](Sparsity::Kl) ρ̂ is kept in the buffer `mean_activation`, `[latent]`, which starts at the target, is saved
/// with the model, and moves in training alone; in evaluation ρ̂ is that of the batch, so that the loss depends on its input
/// alone. The gradient treats the whole of ρ̂ as the batch's, ∂ρ̂/∂z = 1/batch: what is wanted is the gradient of KL(ρ ‖ E\[z\]),
/// which is KL′(E\[z\])·∂E\[z\]/∂θ. The running mean is the better guess of E\[z\], and the batch gives an unbiased one of
/// ∂E\[z\]/∂θ. Left as it stands, the formula would count that but m times, and λ would mean another thing for each momentum.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct SparseAutoencoder {
    #[module(flatten)]
    inner: Autoencoder,
    mean_activation: Option<Buffer>,
    mode: Mode,
    #[module(skip)]
    sparsity: Sparsity,
    #[module(skip)]
    weight: f64,
}

impl SparseAutoencoder {
    /// All that can be chosen; finish with [`SparseAutoencoderOptions::build`].
    pub fn options(
        encoder: impl Layer + 'static,
        decoder: impl Layer + 'static,
        latent_features: usize,
        sparsity: Sparsity,
    ) -> SparseAutoencoderOptions {
        let inner = Autoencoder::options(encoder, decoder, latent_features);
        SparseAutoencoderOptions { inner, sparsity, weight: 1.0 }
    }

    /// What the decoder's outputs mean.
    pub fn likelihood(&self) -> Likelihood {
        self.inner.likelihood()
    }

    /// What is asked of the codes.
    pub fn sparsity(&self) -> Sparsity {
        self.sparsity
    }

    /// λ, the weight of the sparsity.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The running ρ̂ of each unit, `[latent]`, if there is one.
    pub fn mean_activation(&self) -> Option<Tensor> {
        self.mean_activation.as_ref().map(Buffer::value)
    }

    fn penalty(&self, codes: &Tensor) -> Result<Tensor> {
        let (Sparsity::Kl { target, momentum: Some(momentum) }, Some(running), true) =
            (self.sparsity, &self.mean_activation, self.mode.is_training())
        else {
            return self.sparsity.penalty(codes);
        };
        let batch = wide(codes)?.mean(0, false)?;
        let own = batch.detach().to_device(running.value().device())?;
        let rest = ((running.value() - &own)? * (1.0 - momentum))?;
        // Its value is (1 − m)·ρ̂ + m·batch, its gradient that of the batch.
        let penalty = divergence(target, &(batch + rest.to_device(codes.device())?)?)?;
        running.set((own + rest)?)?;
        Ok(penalty)
    }
}

impl Module for SparseAutoencoder {
    fn kind(&self) -> &'static str {
        "SparseAutoencoder"
    }
    fn output_shape(&self, input: &osnova_tensor::Shape) -> Option<osnova_tensor::Shape> {
        Some(*input)
    }
}

impl GenerativeModel for SparseAutoencoder {
    fn latent_features(&self) -> usize {
        self.inner.latent_features()
    }
    fn loss(&self, input: &Tensor, _: Option<&Tensor>) -> Result<LossParts> {
        let code = self.inner.encode(input, None)?;
        let reconstruction = self.inner.reconstruction(&code, input)?;
        Ok(LossParts::new().with("reconstruction", reconstruction, 1.0).with(
            "sparsity",
            self.penalty(&code)?,
            self.weight,
        ))
    }
    fn encode(&self, input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        self.inner.encode(input, None)
    }
    fn decode(&self, code: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        self.inner.decode(code, None)
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        self.inner.sample_codes(count, generator)
    }
    fn code_prior(&mut self) -> Option<&mut CodePrior> {
        self.inner.code_prior()
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        Box::new(self.clone())
    }
}

/// What can be chosen about a [`SparseAutoencoder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct SparseAutoencoderOptions {
    inner: AutoencoderOptions,
    sparsity: Sparsity,
    weight: f64,
}

impl SparseAutoencoderOptions {
    /// What the decoder's outputs mean; the squared error unless said otherwise.
    pub fn likelihood(mut self, likelihood: Likelihood) -> Self {
        self.inner = self.inner.likelihood(likelihood);
        self
    }

    /// λ, the weight of the sparsity; 1 unless said otherwise.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// The autoencoder, on the encoder's device.
    ///
    /// # Errors
    /// As for [`AutoencoderOptions::build`] and [`Sparsity::checked`], a weight below 0.
    pub fn build(self) -> Result<SparseAutoencoder> {
        let Self { inner, sparsity, weight } = self;
        let sparsity = sparsity.checked()?;
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(refused(format!("the weight is {weight}"), "Give a number of at least 0"));
        }
        let inner = inner.build()?;
        let mean_activation = match sparsity {
            Sparsity::Kl { target, momentum: Some(_) } => {
                let (device, dtype) = inner.place()?;
                // A small part of a change would be lost in a running mean of a half type.
                let dtype = dtype.accumulator();
                let start = Tensor::full([inner.latent_features()], target, dtype, device.without_recording())?;
                Some(Buffer::new(start))
            }
            _ => None,
        };
        Ok(SparseAutoencoder { inner, mean_activation, mode: Mode::Training, sparsity, weight })
    }
}
