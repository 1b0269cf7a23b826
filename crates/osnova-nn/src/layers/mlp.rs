//! The multi-layer perceptron.

use super::{BatchNorm, Dropout, LayerNorm, Linear, RmsNorm, Selu, Sequential};
use crate::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss, MseLoss};
use crate::{Forward, Initializer, Layer, Module, Relu};
use osnova_tensor::{Activation, DType, Device, Error, Generator, Result, Shape, Tensor};

/// What a network's last layer is for. It fixes how many numbers that layer gives (logits, or predictions as they are), which
/// loss they go with and what becomes of them in the end.
///
/// | head | outputs | [loss](Self::loss) | [predict](Self::predict) | [decide](Self::decide) |
/// |---|---|---|---|---|
/// | `Binary` | 1 | binary cross-entropy with logits | sigmoid: P(yes) | `bool`: P > ½ |
/// | `MultiClass` | classes | cross-entropy | softmax: P of each class | `i64`: the likeliest class |
/// | `Regression` | numbers | mean squared error | as they are | as they are |
///
/// The network ends in the plain numbers and the loss does the rest, because a sigmoid or softmax of its own before the
/// logarithm would lose digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Yes or no: one logit a sample, `[batch, 1]`, as the targets are (0 or 1).
    Binary,
    /// One of so many classes: `[batch, classes]` logits, targets `[batch]` (`i64`).
    MultiClass(usize),
    /// So many numbers: `[batch, numbers]`, as the targets are.
    Regression(usize),
}

impl Head {
    /// How many numbers the last layer gives.
    pub fn outputs(self) -> usize {
        match self {
            Self::Binary => 1,
            Self::MultiClass(outputs) | Self::Regression(outputs) => outputs,
        }
    }

    /// The loss that goes with the last layer's numbers: the negative log-likelihood of the targets, for regression with a
    /// normally distributed error.
    pub fn loss(self) -> Box<dyn Loss> {
        match self {
            Self::Binary => Box::new(BceWithLogitsLoss::default()),
            Self::MultiClass(_) => Box::new(CrossEntropyLoss::default()),
            Self::Regression(_) => Box::new(MseLoss::default()),
        }
    }

    /// Probabilities of the last layer's logits, or the numbers as they are.
    ///
    /// # Errors
    /// Logits without a batch axis, a tensor that is no float.
    pub fn predict(self, outputs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Binary => outputs.sigmoid(),
            Self::MultiClass(_) => outputs.softmax(-1),
            Self::Regression(_) => Ok(outputs.clone()),
        }
    }

    /// The decision: `bool`, the index of a class, or the numbers as they are.
    ///
    /// # Errors
    /// Logits without a batch axis, a tensor that is no float.
    pub fn decide(self, outputs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Binary => outputs.greater(0.0),
            Self::MultiClass(_) => outputs.argmax(-1, false),
            Self::Regression(_) => Ok(outputs.clone()),
        }
    }
}

/// What an [`Mlp`] normalises before each activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalisation {
    /// Nothing.
    #[default]
    None,
    /// Each feature over the batch: [`BatchNorm`].
    Batch,
    /// Each sample over its features: [`LayerNorm`].
    Layer,
    /// Each sample by its root mean square: [`RmsNorm`].
    Rms,
}

/// A multi-layer perceptron: linear layers with an activation between them, and a [`Head`] that says what the last one is for.
/// `[…, in_features]` to `[…, head.outputs()]`.
///
/// Each hidden layer is linear, normalisation, activation, dropout, as far as they are chosen. Weights start by the scheme
/// that suits the activation (He, or Xavier for tanh and sigmoid, LeCun for SELU), biases from 0. Names are those of PyTorch's
/// `Sequential`: `0.weight`, `0.bias`, `2.weight`, …
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Forward, Head, Mlp, Module};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let model = Mlp::new(784, &[256, 128], Head::MultiClass(10), &Generator::new(0), Device::cpu())?;
/// assert_eq!(model.parameter_count(), 235_146);   // 200,960 + 32,896 + 1,290
/// println!("{}", model.summary([32, 784])?);
///
/// let images = Tensor::zeros([32, 784], DType::F32, Device::cpu())?;
/// let logits = model.forward(&images)?;                 // for the loss
/// let loss = model.head().loss().forward(&logits, &Tensor::zeros(32, DType::I64, Device::cpu())?)?;
/// assert_eq!(loss.dims(), []);
/// assert_eq!(model.predict(&images)?.dims(), [32, 10]);  // probabilities
/// assert_eq!(model.decide(&images)?.dims(), [32]);       // classes
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Mlp {
    #[module(flatten)]
    layers: Sequential,
    #[module(skip)]
    head: Head,
}

impl Mlp {
    /// A perceptron with these hidden widths and ReLU.
    ///
    /// # Errors
    /// No inputs, a width or head of 0, sizes that do not fit in memory.
    pub fn new(
        in_features: usize,
        hidden: &[usize],
        head: Head,
        generator: &Generator,
        device: Device,
    ) -> Result<Self> {
        Self::options(in_features, hidden, head).build(generator, device)
    }

    /// All that can be chosen about the perceptron; finish with [`MlpOptions::build`].
    pub fn options(in_features: usize, hidden: &[usize], head: Head) -> MlpOptions {
        MlpOptions {
            in_features,
            hidden: hidden.to_vec(),
            head,
            activation: Box::new(Relu),
            normalisation: Normalisation::None,
            dropout: 0.0,
            weight: None,
            dtype: DType::F32,
        }
    }

    /// What the last layer is for.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The layers in order.
    pub fn layers(&self) -> &Sequential {
        &self.layers
    }

    /// Probabilities, or numbers: [`Head::predict`] of the output. Call [`Module::eval`] first, or use [`Module::inference`].
    ///
    /// # Errors
    /// As for [`Forward::forward`].
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        self.head.predict(&self.forward(input)?)
    }

    /// Decisions: [`Head::decide`] of the output. Call [`Module::eval`] first, or use [`Module::inference`].
    ///
    /// # Errors
    /// As for [`Forward::forward`].
    pub fn decide(&self, input: &Tensor) -> Result<Tensor> {
        self.head.decide(&self.forward(input)?)
    }
}

impl Module for Mlp {
    fn kind(&self) -> &'static str {
        "Mlp"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        self.layers.output_shape(input)
    }
}

impl Forward for Mlp {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.layers.forward(input)
    }
}

/// What can be chosen about an [`Mlp`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct MlpOptions {
    in_features: usize,
    hidden: Vec<usize>,
    head: Head,
    activation: Box<dyn Layer>,
    normalisation: Normalisation,
    dropout: f64,
    weight: Option<Initializer>,
    dtype: DType,
}

impl MlpOptions {
    /// The activation behind each hidden layer, a copy for each; ReLU unless said otherwise.
    pub fn activation(mut self, activation: impl Layer + 'static) -> Self {
        self.activation = Box::new(activation);
        self
    }

    /// What is normalised before each activation.
    pub fn normalisation(mut self, normalisation: Normalisation) -> Self {
        self.normalisation = normalisation;
        self
    }

    /// The probability that a hidden unit is dropped while training.
    pub fn dropout(mut self, probability: f64) -> Self {
        self.dropout = probability;
        self
    }

    /// How all weights start, instead of the scheme that suits the activation.
    pub fn weight(mut self, initializer: Initializer) -> Self {
        self.weight = Some(initializer);
        self
    }

    /// The parameters' dtype; `f32` unless said otherwise.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The perceptron. Its values are drawn from the generator layer by layer.
    ///
    /// # Errors
    /// No inputs, a width or head of 0, a probability outside 0 to 1, sizes that do not fit in memory.
    pub fn build(self, generator: &Generator, device: Device) -> Result<Mlp> {
        let outputs = self.head.outputs();
        if self.in_features == 0 || outputs == 0 || self.hidden.contains(&0) {
            let problem = format!("the widths are {}, {:?}, {outputs}", self.in_features, self.hidden);
            return Err(Error::argument("mlp", problem, "Give every layer at least one unit"));
        }
        let mut layers = Sequential::new();
        let mut width = self.in_features;
        for &hidden in &self.hidden {
            // Batch normalisation takes the mean away, and with it any bias.
            let bias = (self.normalisation != Normalisation::Batch).then_some(Initializer::Zeros);
            let weight = self.weight.unwrap_or_else(|| scheme_for(&*self.activation));
            let linear = Linear::options(width, hidden).weight(weight).bias(bias).dtype(self.dtype);
            layers.push(linear.build(generator, device)?);
            match self.normalisation {
                Normalisation::None => {}
                Normalisation::Batch => layers.push(BatchNorm::options(hidden).dtype(self.dtype).build(device)?),
                Normalisation::Layer => layers.push(LayerNorm::options(hidden)?.dtype(self.dtype).build(device)?),
                Normalisation::Rms => layers.push(RmsNorm::options(hidden)?.dtype(self.dtype).build(device)?),
            }
            layers.layers_mut().push(self.activation.clone());
            if self.dropout != 0.0 {
                layers.push(Dropout::new(self.dropout, generator)?);
            }
            width = hidden;
        }
        let weight = self.weight.unwrap_or(Initializer::XAVIER);
        let last = Linear::options(width, outputs).weight(weight).bias(Initializer::Zeros).dtype(self.dtype);
        layers.push(last.build(generator, device)?);
        Ok(Mlp { layers, head: self.head })
    }
}

/// The initialiser that keeps the variance of signals through this activation.
fn scheme_for(activation: &dyn Layer) -> Initializer {
    match activation.activation() {
        Some(Activation::Tanh | Activation::Sigmoid | Activation::Identity) => Initializer::XAVIER,
        _ if activation.as_any().is::<Selu>() => Initializer::LecunNormal,
        _ => Initializer::HE,
    }
}
