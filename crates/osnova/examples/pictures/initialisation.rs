//! What first weights do to a signal on its way through many layers.

use crate::panels::panels;
use osnova::nn::{Initializer, Nonlinearity};
use osnova::prelude::*;
use osnova::train::plot::LineChart;

const WIDTH: usize = 512;
const LAYERS: usize = 20;

/// The mean square of the sums of each of twenty layers, for ReLU and for tanh.
pub(crate) fn variance_by_depth() -> osnova::train::Result<String> {
    let small = ("N(0, 0.03²)", Initializer::Normal { mean: 0.0, standard_deviation: 0.03 });
    let large = ("N(0, 0.1²)", Initializer::Normal { mean: 0.0, standard_deviation: 0.1 });
    let xavier = ("Xavier", Initializer::XAVIER);
    let gained = ("Xavier, gain 5/3", Initializer::XavierUniform { gain: Nonlinearity::Tanh.gain() });
    let charts = [
        ("ReLU: mean square of a layer's sums", Activation::Relu, vec![("He", Initializer::HE), xavier, small, large]),
        ("tanh: mean square of a layer's sums", Activation::Tanh, vec![gained, xavier, small, large]),
    ];
    let chart = |(title, activation, schemes): (&str, Activation, Vec<(&str, Initializer)>)| -> Result<String> {
        let mut chart = LineChart::new(title).x_label("layer").y_label("E[z²]").log_y().size(560, 400);
        for (name, scheme) in schemes {
            chart = chart.values(name, squares(scheme, activation)?);
        }
        Ok(chart.to_svg())
    };
    Ok(panels(2, &charts.into_iter().map(chart).collect::<Result<Vec<_>>>()?))
}

fn squares(initializer: Initializer, activation: Activation) -> Result<Vec<f64>> {
    let (device, generator) = (Device::cpu(), Generator::new(8));
    let mut signal = Tensor::normal([64, WIDTH], 0.0, 1.0, DType::F64, &generator, device)?;
    let options = Linear::options(WIDTH, WIDTH).weight(initializer).bias(Initializer::Zeros).dtype(DType::F64);
    let layer = |_| -> Result<f64> {
        let sums = options.build(&generator, device)?.forward(&signal)?;
        signal = sums.activate(activation)?;
        sums.square()?.mean(.., false)?.item()
    };
    (0..LAYERS).map(layer).collect()
}
