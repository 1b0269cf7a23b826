//! What a doctor costs: runs with and without one in turn, and the ratio of their median times.
//!
//! ```text
//! cargo run --release -p osnova-train --example doctor_cost
//! ```

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader};
use osnova_nn::{Dropout, Linear, Relu, Sequential};
use osnova_optim::AdamW;
use osnova_tensor::{DType, Device, Generator, Tensor};
use osnova_train::{Classification, Doctor, Result, Trainer};
use std::time::Instant;

/// Batches an epoch.
const BATCHES: usize = 100;
/// Pairs of runs.
const PAIRS: usize = 15;

struct Recipe {
    name: &'static str,
    widths: &'static [usize],
    batch: usize,
    dropout: f64,
    /// So many that a run takes about a second: what is looked at only in the first steps then weighs little.
    epochs: usize,
}

const RECIPES: [Recipe; 3] = [
    Recipe { name: "digits", widths: &[64, 1024, 10], batch: 32, dropout: 0.6, epochs: 40 },
    Recipe { name: "fashion-mnist", widths: &[784, 256, 128, 10], batch: 128, dropout: 0.0, epochs: 10 },
    Recipe {
        name: "deep and narrow",
        widths: &[64, 32, 32, 32, 32, 32, 32, 32, 32, 10],
        batch: 32,
        dropout: 0.0,
        epochs: 100,
    },
];

fn model(recipe: &Recipe) -> Result<Sequential> {
    let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
    let mut model = Sequential::new();
    for (layer, pair) in recipe.widths.windows(2).enumerate() {
        if layer > 0 {
            model.push(Relu);
            if recipe.dropout > 0.0 {
                model.push(Dropout::new(recipe.dropout, &generator.fork(layer as u64))?);
            }
        }
        model.push(Linear::new(pair[0], pair[1], &generator, device)?);
    }
    Ok(model)
}

/// Microseconds a step.
fn run(recipe: &Recipe, data: &ArrayDataset, doctor: bool) -> Result<f64> {
    let mut train = DataLoader::new(data.clone(), recipe.batch)?;
    let mut trainer = Trainer::new(recipe.epochs);
    if doctor {
        trainer = trainer.callback(Doctor::new().quiet());
    }
    let mut model = model(recipe)?;
    let begin = Instant::now();
    trainer.fit(&mut Classification, &mut model, &mut AdamW::new(1e-3), &mut train, None)?;
    Ok(begin.elapsed().as_secs_f64() * 1e6 / (recipe.epochs * BATCHES) as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    println!("| model | without, µs a step | with, µs a step | ratio |\n|---|---|---|---|");
    for recipe in &RECIPES {
        let samples = BATCHES * recipe.batch;
        let shape = [samples, recipe.widths[0]];
        let features = Tensor::normal(shape, 0.0, 1.0, DType::F32, &Generator::new(1), Device::cpu())?;
        let classes: Vec<i64> = (0..samples as i64).map(|sample| sample * 7 % 10).collect();
        let data = ArrayDataset::classification(features.to_vec::<f32>()?, [shape[1]], classes, 10)?;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        run(recipe, &data, true)?;
        for _ in 0..PAIRS {
            without.push(run(recipe, &data, false)?);
            with.push(run(recipe, &data, true)?);
        }
        let (without, with) = (median(without), median(with));
        println!("| {} {:?} | {without:.0} | {with:.0} | {:.3} |", recipe.name, recipe.widths, with / without);
    }
    Ok(())
}
