//! Pictures of how optimizers go down a valley, for the program beside this file and for the book.

use osnova::nn::{Forward, Linear, Module, Param, StateDict, losses};
use osnova::optim::{AdaGrad, Adam, Lion, Optimizer, RmsProp, Schedule, Sgd, schedules};
use osnova::prelude::{AutodiffDevice, CpuDevice, DType, Device, Generator, Result, Tensor};
use osnova::train::plot::{ContourChart, LineChart};

/// What draws a picture: an SVG document.
pub(crate) type Draw = fn() -> Result<String>;

/// The name of each file and what draws it.
pub(crate) const PICTURES: [(&str, Draw); 5] = [
    ("descent-batches.svg", batches),
    ("descent-optimizers.svg", optimizers),
    ("descent-learning-rates.svg", learning_rates),
    ("descent-losses.svg", losses_by_learning_rate),
    ("schedules.svg", learning_rate_schedules),
];

/// Noisy points of a line, whose slope and intercept are to be found: the loss is a valley across both axes.
struct Line {
    x: Vec<f32>,
    y: Vec<f32>,
}

const SAMPLES: usize = 64;
/// Slope and intercept that every path begins with.
const START: (f64, f64) = (-0.6, 2.6);

impl Line {
    fn new() -> Result<Self> {
        let generator = Generator::new(11);
        let numbers = |mean: f64, deviation: f64| {
            Tensor::normal([SAMPLES], mean, deviation, DType::F32, &generator, Device::cpu())?.to_vec()
        };
        let x: Vec<f32> = numbers(0.9, 0.8)?;
        let noise: Vec<f32> = numbers(0.0, 0.4)?;
        let y = x.iter().zip(noise).map(|(x, noise)| 1.2 * x + 0.4 + noise).collect();
        Ok(Self { x, y })
    }

    /// The mean squared error of a slope and an intercept.
    fn loss(&self, slope: f64, intercept: f64) -> f64 {
        let squares =
            self.x.iter().zip(&self.y).map(|(&x, &y)| (slope * f64::from(x) + intercept - f64::from(y)).powi(2));
        squares.sum::<f64>() / SAMPLES as f64
    }

    /// The slopes and intercepts of a training in batches of this size.
    fn path(&self, optimizer: &mut dyn Optimizer, batch: usize, steps: usize) -> Result<Vec<(f64, f64)>> {
        let device = Device::cpu().autodiff();
        let mut model = Linear::new(1, 1, &Generator::new(0), device)?;
        let start = StateDict::from_iter([
            ("weight", Tensor::new([[START.0 as f32]], Device::cpu())?),
            ("bias", Tensor::new([START.1 as f32], Device::cpu())?),
        ]);
        model.load_state_dict(&start)?;
        let x = Tensor::from_slice(&self.x, [SAMPLES, 1], Device::cpu())?;
        let y = Tensor::from_slice(&self.y, [SAMPLES, 1], Device::cpu())?;
        let (order, mut path) = (Generator::new(4), vec![START]);
        while path.len() <= steps {
            let epoch = Tensor::permutation(SAMPLES, &order, Device::cpu())?.split(batch, 0)?;
            for index in epoch.iter().take(steps + 1 - path.len()) {
                let output = model.forward(&x.index_select(0, index)?)?;
                let loss = losses::mean_squared_error(&output, &y.index_select(0, index)?)?;
                optimizer.step(&mut model, &loss.backward()?)?;
                let parameters = model.parameters();
                path.push((parameters[0].item()?, parameters[1].item()?));
            }
        }
        Ok(path)
    }

    fn chart(&self, title: &str) -> ContourChart {
        ContourChart::new(title, (-1.4, 2.2), (-0.8, 3.0), |slope, intercept| self.loss(slope, intercept))
            .x_label("slope")
            .y_label("intercept")
    }
}

/// Full-batch, mini-batch and stochastic descent on one data set: the smaller the batch, the rougher the path and the
/// cheaper its steps.
pub(crate) fn batches() -> Result<String> {
    let line = Line::new()?;
    let mut chart = line.chart("40 steps on one data set, by size of the batch");
    for (name, batch) in [("stochastic (batch of 1)", 1), ("mini-batch (of 8)", 8), ("full batch (of 64)", SAMPLES)] {
        chart = chart.path(name, line.path(&mut Sgd::new(0.1), batch, 40)?);
    }
    Ok(chart.to_svg())
}

/// The same start and the same valley by six optimizers.
pub(crate) fn optimizers() -> Result<String> {
    let mut chart = valley("Six optimizers, 30 steps each");
    let optimizers: [(&str, Box<dyn Optimizer>); 6] = [
        ("gradient descent", Box::new(Sgd::new(0.17))),
        ("momentum", Box::new(Sgd::new(0.04).momentum(0.85))),
        ("AdaGrad", Box::new(AdaGrad::new(1.2))),
        ("RMSprop", Box::new(RmsProp::new(0.12).decay(0.9))),
        ("Adam", Box::new(Adam::new(0.35))),
        ("Lion", Box::new(Lion::new(0.13))),
    ];
    for (name, mut optimizer) in optimizers {
        chart = chart.path(name, descend(&mut *optimizer, 30)?.into_iter().map(|(place, _)| place));
    }
    Ok(chart.to_svg())
}

/// Slopes of the valley ½(x² + 10y²): the largest curvature is 10, so descent is stable up to a learning rate of 2/10.
const CURVATURES: [f64; 2] = [1.0, 10.0];
const RATES: [(&str, f64); 4] =
    [("0.02, too small", 0.02), ("0.1, good", 0.1), ("0.2, at the limit", 0.2), ("0.206, over the limit", 0.206)];

#[derive(Module)]
struct Point {
    position: Param,
}

fn valley(title: &str) -> ContourChart {
    let function = |x: f64, y: f64| 0.5 * (CURVATURES[0] * x * x + CURVATURES[1] * y * y);
    ContourChart::new(title, (-4.6, 1.6), (-1.6, 1.6), function).x_label("x").y_label("y")
}

/// The places of a descent in that valley, and the loss at each.
fn descend(optimizer: &mut dyn Optimizer, steps: usize) -> Result<Vec<((f64, f64), f64)>> {
    let device = Device::cpu();
    let curvatures = Tensor::new(CURVATURES, device)?;
    let mut point = Point { position: Param::new(Tensor::new([-4.0_f64, 0.8], device.autodiff())?)? };
    let mut places = Vec::with_capacity(steps + 1);
    for _ in 0..=steps {
        let loss = ((point.position.square()? * &curvatures)? * 0.5)?.sum(.., false)?;
        let place = point.position.to_vec::<f64>()?;
        places.push(((place[0], place[1]), loss.item()?));
        optimizer.step(&mut point, &loss.backward()?)?;
    }
    Ok(places)
}

/// Gradient descent with learning rates below, at and over the stability limit.
pub(crate) fn learning_rates() -> Result<String> {
    let mut chart = valley("½(x² + 10y²): stable up to a learning rate of 0.2");
    // The wildest first: the others are drawn over it.
    for (name, learning_rate) in RATES.into_iter().rev() {
        chart = chart.path(name, descend(&mut Sgd::new(learning_rate), 20)?.into_iter().map(|(place, _)| place));
    }
    Ok(chart.to_svg())
}

/// The loss by step for the same learning rates.
pub(crate) fn losses_by_learning_rate() -> Result<String> {
    let mut chart = LineChart::new("Loss by learning rate").x_label("step").y_label("loss").log_y();
    for (name, learning_rate) in RATES.into_iter().rev() {
        let losses = descend(&mut Sgd::new(learning_rate), 60)?.into_iter().enumerate();
        chart = chart.series(name, losses.map(|(step, (_, loss))| (step as f64, loss)));
    }
    Ok(chart.to_svg())
}

/// The shapes of the usual schedules.
pub(crate) fn learning_rate_schedules() -> Result<String> {
    let (maximum, steps) = (1.0, 200);
    let schedules: [(&str, Box<dyn Schedule>); 6] = [
        ("step", Box::new(schedules::Step { learning_rate: maximum, size: 50, gamma: 0.5 })),
        ("exponential", Box::new(schedules::Exponential { learning_rate: maximum, gamma: 0.985 })),
        ("warm-up, cosine", Box::new(schedules::warm_up_cosine(maximum, 20, steps))),
        (
            "restarts",
            Box::new(schedules::CosineRestarts { learning_rate: maximum, minimum: 0.0, steps: 29, factor: 2 }),
        ),
        ("one cycle", Box::new(schedules::OneCycle::new(maximum, steps))),
        (
            "cyclic",
            Box::new(schedules::Cyclic { minimum: 0.1, maximum, rise: 25, fall: 25, cycle: schedules::Cycle::Halving }),
        ),
    ];
    let mut chart = LineChart::new("Learning rates by step, as shares of the highest").x_label("step").size(720, 480);
    for (name, schedule) in schedules {
        chart = chart.series(name, (0..steps).map(|step| (step as f64, schedule.learning_rate(step))));
    }
    Ok(chart.to_svg())
}
