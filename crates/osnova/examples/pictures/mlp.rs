//! What a hidden layer can do: exclusive or, and any continuous function.

use crate::panels::panels;
use crate::training::train;
use osnova::nn::losses::{binary_cross_entropy_with_logits, mean_squared_error};
use osnova::nn::{Head, Initializer, Mlp};
use osnova::prelude::*;
use osnova::train::plot::{Heatmap, LineChart};

const CORNERS: [[f32; 2]; 4] = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];

/// The probabilities that a network with two hidden units gives over the plane, and its hidden space.
pub(crate) fn exclusive_or() -> osnova::train::Result<String> {
    let device = Device::cpu().autodiff();
    let (input, target) = (Tensor::new(CORNERS, device)?, Tensor::new([[0.0f32], [1.0], [1.0], [0.0]], device)?);
    let options = Mlp::options(2, &[2], Head::Binary).activation(Tanh);
    // Many starts end in a valley: the best of ten.
    let mut best = (f64::INFINITY, options.clone().build(&Generator::new(0), device)?);
    for seed in 0..10 {
        let mut model = options.clone().build(&Generator::new(seed), device)?;
        let losses = train(&mut model, (&input, &target), binary_cross_entropy_with_logits, 0.1, 400)?;
        let loss = losses.last().copied().unwrap_or(f64::INFINITY);
        if loss < best.0 {
            best = (loss, model);
        }
    }
    Ok(panels(2, &[probabilities("Two hidden units: probability of 1", &best.1)?, hidden_space(&best.1)?]))
}

/// The probability of 1 over the square from −0.5 to 1.5.
fn probabilities(title: &str, model: &Mlp) -> Result<String> {
    const SIDE: usize = 25;
    let place = |at: usize| -0.5 + 2.0 * at as f32 / (SIDE - 1) as f32;
    let points: Vec<f32> =
        (0..SIDE).rev().flat_map(|row| (0..SIDE).flat_map(move |column| [place(column), place(row)])).collect();
    let shares = model.inference()?.predict(&Tensor::from_vec(points, [SIDE * SIDE, 2], Device::cpu())?)?;
    let shares = shares.to_vec::<f32>()?;
    let names = |at: usize| if at.is_multiple_of(6) { format!("{}", place(at)) } else { String::new() };
    let rows = shares.chunks(SIDE).map(|row| row.iter().map(|share| f64::from(*share)));
    let chart = Heatmap::new(title, rows)
        .x_label("x₁")
        .y_label("x₂")
        .column_names((0..SIDE).map(names))
        .row_names((0..SIDE).rev().map(names))
        .color_range(0.0, 1.0);
    Ok(chart.to_svg())
}

/// Where the hidden units put the four corners, and the line that then parts them.
fn hidden_space(model: &Mlp) -> Result<String> {
    let layers = model.layers().layers();
    let hidden = |input: &Tensor| layers[1].forward(&layers[0].forward(input)?)?.to_vec::<f32>();
    let points = hidden(&Tensor::new(CORNERS, Device::cpu().autodiff())?)?;
    let out = model.state_dict();
    let values = |name: &str| out.get(name).map_or(Ok(Vec::new()), Tensor::to_vec::<f32>);
    let (weight, bias) = (values("2.weight")?, values("2.bias")?);
    // w₁h₁ + w₂h₂ + b = 0.
    let line = (0..=100).map(|at| {
        let h = -1.2 + 0.024 * f64::from(at);
        (h, -(f64::from(weight[0]) * h + f64::from(bias[0])) / f64::from(weight[1]))
    });
    let line = line.filter(|(_, h)| h.abs() <= 1.2);
    let point = |corner: usize| (f64::from(points[2 * corner]), f64::from(points[2 * corner + 1]));
    // Not joined: a gap lies between.
    let gap = (f64::NAN, f64::NAN);
    let chart = LineChart::new("The hidden space: what the last layer sees")
        .x_label("hidden unit 1")
        .y_label("hidden unit 2")
        .y_range(-1.3, 1.3)
        .size(600, 560)
        .series("boundary", line)
        .series("(0, 0) and (1, 1)", [point(0), gap, point(3)])
        .series("(0, 1) and (1, 0)", [point(1), gap, point(2)]);
    Ok(chart.to_svg())
}

fn curve(x: f64) -> f64 {
    (2.0 * std::f64::consts::TAU * x).sin() * x + (x - 0.4).abs()
}

/// How one hidden layer of sigmoids comes nearer to a continuous function the wider it is.
pub(crate) fn approximation() -> osnova::train::Result<String> {
    let points: Vec<f64> = (0..=200).map(|at| f64::from(at) / 200.0).collect();
    let truth: Vec<f64> = points.iter().map(|x| curve(*x)).collect();
    let along = |values: &[f64]| points.iter().copied().zip(values.to_vec()).collect::<Vec<_>>();
    let mut fits =
        LineChart::new("sin(4πx)·x + |x − 0.4|").x_label("x").size(560, 400).series("function", along(&truth));
    let mut errors = Vec::new();
    for width in [2, 4, 8, 16, 32, 64] {
        let fit = approximated(width, &points, &truth)?;
        let error = fit.iter().zip(&truth).map(|(fit, truth)| (fit - truth).abs()).fold(0.0, f64::max);
        errors.push((f64::from(width as u32).log2(), error));
        if [2, 4, 16].contains(&width) {
            fits = fits.series(format!("{width} sigmoids"), along(&fit));
        }
    }
    let errors = LineChart::new("Largest error on [0, 1]")
        .x_label("log₂ of the hidden layer's width")
        .y_label("error")
        .log_y()
        .size(560, 400)
        .series("after 3,000 steps", errors);
    Ok(panels(2, &[fits.to_svg(), errors.to_svg()]))
}

/// What a hidden layer of this width makes of the points, after training from evenly spread steps.
fn approximated(width: usize, points: &[f64], truth: &[f64]) -> Result<Vec<f64>> {
    let device = Device::cpu().autodiff();
    let input = Tensor::from_slice(points, [points.len(), 1], device)?;
    let target = Tensor::from_slice(truth, [truth.len(), 1], device)?;
    let options = Mlp::options(1, &[width], Head::Regression(1)).activation(Sigmoid).dtype(DType::F64);
    let mut model = options.weight(Initializer::Zeros).build(&Generator::new(0), device)?;
    let slope = 1.5 * width as f64;
    let middles = Tensor::linspace(-0.1, 1.1, width, DType::F64, device)?;
    let mut parameters = model.parameters_mut();
    parameters[0].set_value(Tensor::full([width, 1], slope, DType::F64, device)?)?;
    parameters[1].set_value((middles * -slope)?)?;
    for learning_rate in [0.03, 0.01, 0.002] {
        train(&mut model, (&input, &target), mean_squared_error, learning_rate, 1000)?;
    }
    model.inference()?.forward(&input.detach())?.to_vec()
}
