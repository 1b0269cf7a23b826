//! Layers that keep little for the backward pass.

use crate::{Forward, Module, Visit, Visitor, VisitorMut};
use osnova_tensor::{Result, Shape, Tensor, checkpoint_with};
use std::sync::Arc;

/// A layer (a [`Sequential`](crate::Sequential) of them, say) whose intermediate results are not kept for the backward pass but computed again
/// there: see [`checkpoint`](osnova_tensor::checkpoint). One forward pass more for the memory of all but its input.
///
/// Parameters, names and modes are those of the layer inside; gradients too, and dropout drops the same elements in both runs. What a layer
/// changes when it runs, running statistics say, it changes once: the second run is a copy's.
///
/// ```
/// use osnova_autodiff::AutodiffDevice;
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Checkpointed, Forward, Linear, Module, Relu, Sequential};
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
/// let block = Sequential::new()
///     .with(Linear::new(64, 64, &generator, device)?)
///     .with(Relu)
///     .with(Linear::new(64, 64, &generator, device)?);
/// let model = Sequential::new().with(Checkpointed::new(block)).with(Linear::new(64, 1, &generator, device)?);
/// let loss = model.forward(&Tensor::ones([8, 64], DType::F32, device)?)?.sum(.., false)?;
/// let gradients = loss.backward()?;
/// assert!(model.parameters().iter().all(|parameter| gradients.get(parameter).is_some()));
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpointed<L> {
    layer: L,
}

impl<L> Checkpointed<L> {
    /// Wraps a layer.
    pub fn new(layer: L) -> Self {
        Self { layer }
    }

    /// The layer inside.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// The layer inside, to be changed.
    pub fn layer_mut(&mut self) -> &mut L {
        &mut self.layer
    }
}

impl<L: Visit> Visit for Checkpointed<L> {
    fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        self.layer.visit(visitor);
    }
    fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
        self.layer.visit_mut(visitor);
    }
}

impl<L: Module> Module for Checkpointed<L> {
    fn kind(&self) -> &'static str {
        self.layer.kind()
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        self.layer.output_shape(input)
    }
}

impl<L: Module + Forward + Clone + Send + Sync + 'static> Forward for Checkpointed<L> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let parameters = self.layer.parameters();
        // The record is kept where the parameters live, for an input that is a constant too.
        let outermost = parameters.iter().map(|parameter| parameter.device()).max_by_key(|device| device.depth());
        let input = match outermost {
            Some(device) if device.contains(input.device()) => input.to_device(device)?,
            _ => input.clone(),
        };
        // By the time of the backward pass the layer may have changed. The copy computes with the very same parameters; what it
        // changes is its own.
        let mut copy = self.layer.clone();
        for (own, parameter) in copy.parameters_mut().into_iter().zip(parameters) {
            own.alias(parameter);
        }
        let again = Arc::new(move |inputs: &[Tensor]| Ok(vec![copy.forward(&inputs[0])?]));
        let mut outputs = checkpoint_with(|inputs| Ok(vec![self.layer.forward(&inputs[0])?]), again, &[input])?;
        Ok(outputs.remove(0))
    }
}
