//! Layers that keep little for the backward pass.

use crate::{Forward, Module, Visit, Visitor, VisitorMut};
use osnova_tensor::{Result, Shape, Tensor, checkpoint};
use std::sync::Arc;

/// A layer (a [`Sequential`](crate::Sequential) of them, say) whose intermediate results are not kept for the backward pass but computed again
/// there: see [`checkpoint`]. One forward pass more for the memory of all but its input.
///
/// Parameters, names and modes are those of the layer inside; gradients too, and dropout drops the same elements in both runs. What a layer
/// changes when it runs, running statistics say, it changes twice.
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
#[derive(Debug)]
pub struct Checkpointed<L> {
    /// Shared with the record of a forward pass until its backward pass.
    layer: Arc<L>,
}

impl<L> Checkpointed<L> {
    /// Wraps a layer.
    pub fn new(layer: L) -> Self {
        Self { layer: Arc::new(layer) }
    }

    /// The layer inside.
    pub fn layer(&self) -> &L {
        &self.layer
    }
}

impl<L: Clone> Checkpointed<L> {
    /// The layer inside, to be changed.
    pub fn layer_mut(&mut self) -> &mut L {
        Arc::make_mut(&mut self.layer)
    }
}

impl<L: Clone> Clone for Checkpointed<L> {
    fn clone(&self) -> Self {
        // Of the layer, not of the handle: a copy has random numbers of its own.
        Self::new(L::clone(&self.layer))
    }
}

impl<L: Visit + Clone> Visit for Checkpointed<L> {
    fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        self.layer.visit(visitor);
    }
    fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
        self.layer_mut().visit_mut(visitor);
    }
}

impl<L: Module + Clone> Module for Checkpointed<L> {
    fn kind(&self) -> &'static str {
        self.layer.kind()
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        self.layer.output_shape(input)
    }
}

impl<L: Module + Forward + Clone + Send + Sync + 'static> Forward for Checkpointed<L> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        // The record is kept where the parameters live, for an input that is a constant too.
        let devices = self.layer.parameters().into_iter().map(|parameter| parameter.device());
        let input = match devices.max_by_key(|device| device.depth()) {
            Some(device) if device.contains(input.device()) => input.to_device(device)?,
            _ => input.clone(),
        };
        let layer = self.layer.clone();
        checkpoint(move |inputs| layer.forward(&inputs[0]), &[input])
    }
}
