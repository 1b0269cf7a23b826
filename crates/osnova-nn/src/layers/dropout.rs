//! Dropout.

use crate::wide::rounded_once;
use crate::{Forward, Mode, Module};
use osnova_tensor::{Error, Generator, Result, Shape, Tensor};

/// Sets each element to 0 with a probability while training, and scales the others by 1/(1 − probability), so that the mean
/// stays; in evaluation it does nothing. Srivastava et al. 2014.
///
/// Each layer has a random sequence of its own, whose position is part of a checkpoint.
#[derive(Module, Clone, Debug)]
#[module(manual)]
pub struct Dropout {
    #[module(skip)]
    probability: f64,
    generator: Generator,
    mode: Mode,
}

impl Dropout {
    /// A layer that drops elements with this probability. Its random sequence is forked off the generator, so that
    /// several layers made from one generator drop independently.
    ///
    /// # Errors
    /// A probability outside 0 to 1.
    pub fn new(probability: f64, generator: &Generator) -> Result<Self> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(Error::argument(
                "dropout",
                format!("the probability is {probability}"),
                "Give a number from 0 to 1, the share of elements to drop",
            ));
        }
        let label = generator.take(1).counter;
        Ok(Self { probability, generator: generator.fork(label), mode: Mode::Training })
    }

    /// The probability that an element is dropped.
    pub fn probability(&self) -> f64 {
        self.probability
    }
}

impl Module for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        Some(*input)
    }
}

impl Forward for Dropout {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if !self.mode.is_training() || self.probability == 0.0 {
            return Ok(input.clone());
        }
        let device = input.device().without_recording();
        let keep = 1.0 - self.probability;
        let mask = Tensor::bernoulli(*input.shape(), keep, input.dtype(), &self.generator, device)?;
        rounded_once([input, &mask], |[input, mask]| {
            // Everything dropped: there is nothing to scale.
            let mask = if keep == 0.0 { mask.clone() } else { (mask * (1.0 / keep))? };
            input * mask
        })
    }
}
