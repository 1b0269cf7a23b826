//! Ten layers of sigmoid, and four ways out: gradient norms by layer, as a table and as pictures.
//!
//! ```text
//! cargo run --release -p osnova-train --example vanishing_gradients -- [folder for the pictures]
//! ```

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_data::{DataLoader, StandardScaler, Transform, digits};
use osnova_nn::{BatchNorm, Fan, Initializer, Linear, Nonlinearity, Relu, Residual, Sequential, Sigmoid};
use osnova_optim::Sgd;
use osnova_tensor::{Device, Generator};
use osnova_train::plot::LineChart;
use osnova_train::{Classification, Doctor, Result, Trainer};
use std::path::PathBuf;

const LAYERS: usize = 10;
const WIDTH: usize = 64;

/// What stands in a network of ten layers.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sigmoid,
    Relu,
    Normalised,
    Residual,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Sigmoid, "sigmoid"),
    (Kind::Relu, "ReLU, He"),
    (Kind::Normalised, "sigmoid, batch norm"),
    (Kind::Residual, "sigmoid, residual"),
];

fn model(kind: Kind) -> Result<Sequential> {
    let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
    let weight = match kind {
        Kind::Relu => Initializer::HeNormal { fan: Fan::In, nonlinearity: Nonlinearity::Relu },
        _ => Initializer::XavierNormal { gain: 1.0 },
    };
    let linear =
        |outputs| Linear::options(64, outputs).weight(weight).bias(Initializer::Zeros).build(&generator, device);
    let mut model = Sequential::new();
    for _ in 1..LAYERS {
        model = match kind {
            Kind::Sigmoid => model.with(linear(WIDTH)?).with(Sigmoid),
            Kind::Relu => model.with(linear(WIDTH)?).with(Relu),
            Kind::Normalised => model.with(linear(WIDTH)?).with(BatchNorm::new(WIDTH, device)?).with(Sigmoid),
            Kind::Residual => model.with(Residual::new(Sequential::new().with(linear(WIDTH)?).with(Sigmoid))),
        };
    }
    Ok(model.with(linear(10)?))
}

fn examine(kind: Kind) -> Result<Trainer> {
    let data = digits()?;
    let scaler = StandardScaler::new().fit(&data)?;
    let mut train = DataLoader::new(scaler.apply(&data)?, 32)?.shuffle(0);
    let mut trainer = Trainer::new(5).callback(Doctor::new().quiet());
    trainer.fit(&mut Classification, &mut model(kind)?, &mut Sgd::new(0.01), &mut train, None)?;
    Ok(trainer)
}

/// The norm of each linear layer's gradient at the first step.
fn first_norms(doctor: &Doctor, kind: Kind) -> Vec<f64> {
    // A normalisation has parameters of its own, between two linear layers.
    let step = if kind == Kind::Normalised { 2 } else { 1 };
    doctor.gradient_norms().iter().step_by(step).filter_map(|(_, looks)| Some(looks.first()?.1)).collect()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from);
    let mut chart =
        LineChart::new("Ten layers: gradient norms at the first step").x_label("layer").y_label("norm").log_y();
    let mut columns = Vec::new();
    for (kind, name) in KINDS {
        let trainer = examine(kind)?;
        let Some(doctor) = trainer.find_callback::<Doctor>() else { continue };
        let norms = first_norms(doctor, kind);
        chart = chart.values(name, norms.iter().copied());
        columns.push(norms);
        if let Some(folder) = &folder {
            match kind {
                Kind::Sigmoid => doctor.save_gradient_flow(folder.join("gradient-flow-sigmoid.svg"))?,
                Kind::Relu => doctor.save_gradient_flow(folder.join("gradient-flow-relu.svg"))?,
                _ => {}
            }
        }
    }
    if let Some(folder) = &folder {
        chart.save(folder.join("vanishing-gradients.svg"))?;
    }
    println!("| layer | {} |", KINDS.map(|(_, name)| name).join(" | "));
    println!("|---|{}", "---|".repeat(KINDS.len()));
    for layer in 0..LAYERS {
        let norms: Vec<String> = columns.iter().map(|column| format!("{:.2e}", column[layer])).collect();
        println!("| {} | {} |", layer + 1, norms.join(" | "));
    }
    Ok(())
}
