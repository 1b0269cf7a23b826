//! Activation functions with their derivatives.

use crate::panels::panels;
use osnova::nn::{
    Elu, Gelu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyRelu, LogSigmoid, Mish, Relu6, Selu, Silu, Softmax,
    Softplus, Softshrink, Softsign, Tanhshrink, Threshold,
};
use osnova::prelude::*;
use osnova::train::plot::LineChart;

/// Each activation and its derivative from −5 to 5.
pub(crate) fn curves() -> osnova::train::Result<String> {
    let layers: [(&str, &dyn Forward); 21] = [
        ("sigmoid", &Sigmoid),
        ("tanh", &Tanh),
        ("softsign", &Softsign),
        ("log-sigmoid", &LogSigmoid),
        ("ReLU", &Relu),
        ("leaky ReLU, slope 0.1", &LeakyRelu { slope: 0.1 }),
        ("ReLU6", &Relu6),
        ("softplus", &Softplus { beta: 1.0, threshold: 20.0 }),
        ("ELU", &Elu { alpha: 1.0 }),
        ("SELU", &Selu),
        ("GELU", &Gelu { approximate: false }),
        ("GELU by tanh", &Gelu { approximate: true }),
        ("SiLU", &Silu),
        ("Mish", &Mish),
        ("hardswish", &Hardswish),
        ("hardsigmoid", &Hardsigmoid),
        ("hardtanh", &Hardtanh { low: -1.0, high: 1.0 }),
        ("tanhshrink", &Tanhshrink),
        ("softshrink, λ = 0.5", &Softshrink { lambda: 0.5 }),
        ("hardshrink, λ = 0.5", &Hardshrink { lambda: 0.5 }),
        ("threshold 1, value −1", &Threshold { threshold: 1.0, value: -1.0 }),
    ];
    let device = Device::cpu().autodiff();
    let points = Tensor::linspace(-5.0, 5.0, 201, DType::F64, device)?.into_tracked()?;
    let x = points.to_vec::<f64>()?;
    let chart = |(name, layer): (&str, &dyn Forward)| -> Result<String> {
        let output = layer.forward(&points)?;
        let gradients = output.sum(.., false)?.backward()?;
        let slopes = match gradients.get(&points) {
            Some(slopes) => slopes.to_vec::<f64>()?,
            None => vec![0.0; x.len()],
        };
        let along = |values: Vec<f64>| x.iter().copied().zip(values).collect::<Vec<_>>();
        let chart = LineChart::new(name).size(320, 250);
        Ok(chart.series("f(x)", along(output.to_vec()?)).series("f′(x)", along(slopes)).to_svg())
    };
    Ok(panels(3, &layers.into_iter().map(chart).collect::<Result<Vec<_>>>()?))
}

/// The shares that softmax gives three scores at temperatures from cold to hot.
pub(crate) fn temperature() -> osnova::train::Result<String> {
    let logits = Tensor::new([2.0, 1.0, 0.1], Device::cpu())?;
    let exponents: Vec<f64> = (0..=120).map(|at| -1.5 + f64::from(at) / 40.0).collect();
    let shares = exponents.iter().map(|exponent| {
        let softmax = Softmax { temperature: 10.0_f64.powf(*exponent), ..Softmax::default() };
        softmax.forward(&logits)?.to_vec::<f64>()
    });
    let shares = shares.collect::<Result<Vec<_>>>()?;
    let chart = LineChart::new("softmax(x / T) of x = (2, 1, 0.1)")
        .x_label("log₁₀ T")
        .y_label("share")
        .y_range(0.0, 1.0)
        .marker("T = 1", 0.0);
    let chart = ["x = 2", "x = 1", "x = 0.1"].iter().enumerate().fold(chart, |chart, (place, name)| {
        chart.series(*name, exponents.iter().zip(&shares).map(|(exponent, shares)| (*exponent, shares[place])))
    });
    Ok(chart.to_svg())
}
