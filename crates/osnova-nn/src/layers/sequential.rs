//! Layers one after another.

use crate::{Forward, Layer, Module};
use osnova_tensor::{Result, Shape, Tensor};

/// Layers one after another. Parameters are named as in PyTorch: `0.weight`, `0.bias`, `2.weight`, …
///
/// A [`Linear`](crate::Linear) layer that is followed by an activation it can fuse (ReLU, sigmoid, tanh, …) runs together
/// with it, as one operation; the names stay the same.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Forward, Linear, Module, Relu, Sequential};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let (generator, device) = (Generator::new(0), Device::cpu());
/// let model = Sequential::new()
///     .with(Linear::new(64, 32, &generator, device)?)
///     .with(Relu)
///     .with(Linear::new(32, 10, &generator, device)?);
/// let names: Vec<_> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// let output = model.forward(&Tensor::zeros([5, 64], DType::F32, device)?)?;
/// assert_eq!(output.dims(), [5, 10]);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Module, Clone, Debug, Default)]
#[module(manual)]
pub struct Sequential {
    #[module(flatten)]
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// No layers yet: gives back its input.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more layer at the end.
    pub fn with(mut self, layer: impl Layer + 'static) -> Self {
        self.push(layer);
        self
    }

    /// Adds a layer at the end.
    pub fn push(&mut self, layer: impl Layer + 'static) {
        self.layers.push(Box::new(layer));
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// The layers in order, to be changed.
    pub fn layers_mut(&mut self) -> &mut Vec<Box<dyn Layer>> {
        &mut self.layers
    }
}

impl FromIterator<Box<dyn Layer>> for Sequential {
    fn from_iter<I: IntoIterator<Item = Box<dyn Layer>>>(layers: I) -> Self {
        Self { layers: layers.into_iter().collect() }
    }
}

impl Module for Sequential {
    fn kind(&self) -> &'static str {
        "Sequential"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        self.layers.iter().try_fold(*input, |shape, layer| layer.output_shape(&shape))
    }
}

impl Forward for Sequential {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = None;
        let mut layers = self.layers.iter().peekable();
        while let Some(layer) = layers.next() {
            let input = output.as_ref().unwrap_or(input);
            let next = layers.peek().and_then(|next| next.activation());
            output = Some(match next {
                Some(activation) => {
                    layers.next();
                    layer.forward_activated(input, activation)?
                }
                None => layer.forward(input)?,
            });
        }
        Ok(output.unwrap_or_else(|| input.clone()))
    }
}
