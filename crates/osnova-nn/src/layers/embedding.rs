//! Vectors for numbers.

use crate::{Forward, Initializer, Module, Param};
use osnova_tensor::{DType, Device, Generator, Result, Shape, Tensor};

/// A learned vector for each of a number of entries: indices (`i64`, `i32` or `u32`) of any shape to `[…, size]`.
///
/// Parameter: `weight` `[entries, size]`, standard normal at first.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Embedding {
    /// `[entries, size]`.
    pub weight: Param,
}

impl Embedding {
    /// A layer of `f32` vectors.
    ///
    /// # Errors
    /// Sizes that do not fit in memory.
    pub fn new(entries: usize, size: usize, generator: &Generator, device: Device) -> Result<Self> {
        let normal = Initializer::Normal { mean: 0.0, standard_deviation: 1.0 };
        Ok(Self { weight: Param::new(normal.make([entries, size], DType::F32, generator, device)?)? })
    }
}

impl Module for Embedding {
    fn kind(&self) -> &'static str {
        "Embedding"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        Shape::new(&[input.dims(), &self.weight.shape()[1..]].concat()).ok()
    }
}

impl Forward for Embedding {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let size = self.weight.shape()[1];
        let vectors = self.weight.index_select(0, &input.reshape([input.count()])?)?;
        vectors.reshape([input.dims(), &[size]].concat())
    }
}
