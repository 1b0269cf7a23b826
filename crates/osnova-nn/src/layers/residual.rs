//! A layer beside a shortcut.

use crate::{Forward, Layer, Module};
use osnova_tensor::{Error, Result, Shape, Tensor};

/// `body(x) + x`, or `body(x) + projection(x)` where the shapes differ. He et al. 2016.
///
/// The derivative of `f(x) + x` is `f′(x) + 1`: whatever the body does, the gradient reaches the layers below. Parameters are
/// named `body.…` and `projection.…`.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Forward, Linear, Relu, Residual, Sequential};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let (generator, device) = (Generator::new(0), Device::cpu());
/// let block = Residual::new(Sequential::new().with(Linear::new(16, 16, &generator, device)?).with(Relu));
/// let wider = Residual::new(Linear::new(16, 32, &generator, device)?)
///     .with_projection(Linear::new(16, 32, &generator, device)?);
/// let model = Sequential::new().with(block).with(wider);
/// assert_eq!(model.forward(&Tensor::zeros([4, 16], DType::F32, device)?)?.dims(), [4, 32]);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Residual {
    /// What is added to the shortcut.
    pub body: Box<dyn Layer>,
    /// The shortcut; `None` for the input itself.
    pub projection: Option<Box<dyn Layer>>,
}

impl Residual {
    /// `body(x) + x`.
    pub fn new(body: impl Layer + 'static) -> Self {
        Self { body: Box::new(body), projection: None }
    }

    /// `body(x) + projection(x)`: for a body whose output has another shape than its input.
    pub fn with_projection(mut self, projection: impl Layer + 'static) -> Self {
        self.projection = Some(Box::new(projection));
        self
    }
}

impl Module for Residual {
    fn kind(&self) -> &'static str {
        "Residual"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        match &self.projection {
            Some(projection) => projection.output_shape(input),
            None => Some(*input),
        }
    }
}

impl Forward for Residual {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.body.forward(input)?;
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(input)?,
            None => input.clone(),
        };
        // Broadcasting would hide a mistake.
        if output.shape() != shortcut.shape() {
            return Err(Error::shape(
                "residual",
                [*output.shape(), *shortcut.shape()],
                "the body's output and the shortcut differ",
                "Give a projection that brings the input to the shape of the body's output",
            ));
        }
        output + shortcut
    }
}
