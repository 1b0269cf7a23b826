//! Layers that only look at their input differently.

use crate::{Forward, Module};
use osnova_tensor::{Activation, Result, Shape, Tensor};

/// Gives back its input.
#[derive(Module, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[module(manual)]
pub struct Identity;

impl Module for Identity {
    fn kind(&self) -> &'static str {
        "Identity"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        Some(*input)
    }
}

impl Forward for Identity {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.clone())
    }
    fn activation(&self) -> Option<Activation> {
        Some(Activation::Identity)
    }
}

/// The axes from `start` to `end` (both included) as one: by default all but the first, so that images become rows.
#[derive(Module, Clone, Copy, Debug, PartialEq, Eq)]
#[module(manual)]
pub struct Flatten {
    /// The first axis; negative counts from the back.
    pub start: isize,
    /// The last axis; negative counts from the back.
    pub end: isize,
}

impl Default for Flatten {
    fn default() -> Self {
        Self { start: 1, end: -1 }
    }
}

impl Module for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        let rank = input.rank() as isize;
        let resolve = |axis: isize| if axis < 0 { axis + rank } else { axis };
        let (start, end) = (resolve(self.start), resolve(self.end));
        if !(0 <= start && start <= end && end < rank) {
            return None;
        }
        let (start, end) = (start as usize, end as usize);
        let merged = input[start..=end].iter().product();
        Shape::new(&[&input[..start], &[merged], &input[end + 1..]].concat()).ok()
    }
}

impl Forward for Flatten {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.flatten(self.start, self.end)
    }
}
