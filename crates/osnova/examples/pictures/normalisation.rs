//! A hundred layers: plain, normalised, residual.

use crate::training::train;
use osnova::nn::losses::binary_cross_entropy_with_logits;
use osnova::nn::{BatchNorm, Layer, Residual};
use osnova::prelude::*;
use osnova::train::plot::LineChart;

const WIDTH: usize = 8;
const LAYERS: usize = 100;

/// Makes one of the layers.
type Block = fn(&Generator, Device) -> Result<Box<dyn Layer>>;

/// The loss of three networks of a hundred layers on one small problem.
pub(crate) fn depth() -> osnova::train::Result<String> {
    let device = Device::cpu().autodiff();
    let input = Tensor::uniform([64, 2], -1.0, 1.0, DType::F32, &Generator::new(4), device)?;
    // Whether both coordinates have the same sign.
    let product = (input.narrow(1, 0, 1)? * input.narrow(1, 1, 1)?)?;
    let target = product.greater(0.0)?.to_dtype(DType::F32)?;
    let mut chart =
        LineChart::new("100 layers of 8 units: x₁ and x₂ of the same sign?").x_label("step").y_label("cross-entropy");
    let blocks: [(&str, Block); 3] =
        [("plain", plain), ("batch normalisation", normalised), ("batch normalisation, residual", residual)];
    for (name, block) in blocks {
        let generator = Generator::new(3);
        let mut model = Sequential::new().with(Linear::new(2, WIDTH, &generator, device)?);
        for _ in 0..LAYERS {
            model.layers_mut().push(block(&generator, device)?);
        }
        model.push(Linear::new(WIDTH, 1, &generator, device)?);
        chart = chart.values(name, train(&mut model, (&input, &target), binary_cross_entropy_with_logits, 3e-3, 200)?);
    }
    Ok(chart.y_range(0.0, 1.0).to_svg())
}

fn plain(generator: &Generator, device: Device) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Sequential::new().with(Linear::new(WIDTH, WIDTH, generator, device)?).with(Tanh)))
}

fn body(generator: &Generator, device: Device) -> Result<Sequential> {
    let linear = Linear::new(WIDTH, WIDTH, generator, device)?;
    Ok(Sequential::new().with(BatchNorm::new(WIDTH, device)?).with(Tanh).with(linear))
}

fn normalised(generator: &Generator, device: Device) -> Result<Box<dyn Layer>> {
    Ok(Box::new(body(generator, device)?))
}

fn residual(generator: &Generator, device: Device) -> Result<Box<dyn Layer>> {
    Ok(Box::new(Residual::new(body(generator, device)?)))
}
