//! What second derivatives cost: a Hessian–vector product by every order of both modes, beside one gradient.
//!
//! `cargo run --release -p osnova-autodiff --example second_order`
use osnova_autodiff::{grad, jvp};
use osnova_cpu::{CpuDevice, memory};
use osnova_tensor::{Activation, DType, Device, Generator, Result, Tensor};
use std::hint::black_box;
use std::time::Instant;

const DEPTH: usize = 8;

/// The loss of a classifier of `DEPTH` layers, by its weights.
fn loss(weights: &[Tensor], input: &Tensor, target: &Tensor) -> Result<Tensor> {
    let mut hidden = input.clone();
    for weight in weights {
        hidden = hidden.linear(weight, None, Activation::Tanh)?;
    }
    hidden.cross_entropy(target)
}

/// Milliseconds, the best of several, and the most bytes in use beyond those before.
fn measure(name: &str, run: impl Fn() -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
    let mut best = f64::INFINITY;
    let mut result = run()?;
    let before = memory::memory_statistics().bytes_in_use;
    memory::reset_peak();
    for _ in 0..7 {
        let start = Instant::now();
        result = black_box(run()?);
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let bytes = memory::memory_statistics().peak_bytes_in_use - before;
    println!("{name:24} {best:8.2} ms {:8.2} MB", bytes as f64 / 1e6);
    Ok(result)
}

fn main() -> Result<()> {
    let device = Device::cpu();
    for (batch, width) in [(64usize, 64usize), (256, 256)] {
        println!("{DEPTH} layers of {width}, a batch of {batch}");
        let generator = Generator::new(0);
        let normal = |rows: usize, columns: usize, deviation: f64| {
            Tensor::normal([rows, columns], 0.0, deviation, DType::F32, &generator, device)
        };
        let many = |deviation| (0..DEPTH).map(|_| normal(width, width, deviation)).collect::<Result<Vec<_>>>();
        let (weights, directions) = (many(1.0 / (width as f64).sqrt())?, many(1.0)?);
        let (input, target) = (normal(batch, width, 1.0)?, normal(batch, width, 1.0)?.argmax(1, false)?);
        let function = |weights: &[Tensor]| loss(weights, &input, &target);
        let dot = |left: &[Tensor], right: &[Tensor]| {
            let products = left.iter().zip(right).map(|(left, right)| (left * right)?.sum(.., false));
            products.reduce(|sum, term| sum? + term).unwrap_or_else(|| Tensor::zeros((), DType::F32, device))
        };
        measure("gradient", || grad(function, &weights))?;
        measure("jvp", || Ok(vec![jvp(function, &weights, &directions)?.1]))?;
        measure("forward over reverse", || osnova_autodiff::hvp(function, &weights, &directions))?;
        measure("reverse over reverse", || grad(|weights| dot(&grad(function, weights)?, &directions), &weights))?;
        measure("reverse over forward", || grad(|weights| Ok(jvp(function, weights, &directions)?.1), &weights))?;
    }
    Ok(())
}
