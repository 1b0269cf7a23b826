//! What checkpoints cost and save: one training step's gradients of a deep network, with checkpoints every so many layers.
//!
//! `cargo run --release -p osnova-autodiff --example checkpoint`
use osnova_autodiff::{AutodiffDevice, checkpoint};
use osnova_cpu::CpuDevice;
use osnova_cpu::memory::{memory_statistics, reset_peak};
use osnova_tensor::{Activation, DType, Device, Generator, Result, Tensor};
use std::time::Instant;

const LAYERS: usize = 64;
const BATCH: usize = 1024;
const WIDTH: usize = 128;

fn run(weights: &[Tensor], input: &Tensor) -> Result<Tensor> {
    weights.iter().try_fold(input.clone(), |hidden, weight| hidden.linear(weight, None, Activation::Tanh))
}

/// The layers in checkpoints of `every`.
fn segments(weights: &[Tensor], every: usize, input: &Tensor) -> Result<Tensor> {
    weights.chunks(every).try_fold(input.clone(), |hidden, segment| {
        let segment = segment.to_vec();
        checkpoint(move |inputs| run(&segment, &inputs[0]), &[hidden])
    })
}

/// Checkpoints within checkpoints: halves, quarters, …
fn halves(weights: &[Tensor], input: &Tensor) -> Result<Tensor> {
    if weights.len() == 1 {
        return run(weights, input);
    }
    let (first, second) = weights.split_at(weights.len() / 2);
    let (first, second) = (first.to_vec(), second.to_vec());
    let hidden = checkpoint(move |inputs| halves(&first, &inputs[0]), std::slice::from_ref(input))?;
    checkpoint(move |inputs| halves(&second, &inputs[0]), &[hidden])
}

fn measure(name: &str, loss: impl Fn() -> Result<Tensor>) -> Result<()> {
    let mut best = f64::INFINITY;
    let mut peak = 0;
    for _ in 0..7 {
        let before = memory_statistics().bytes_in_use;
        reset_peak();
        let start = Instant::now();
        let gradients = loss()?.backward()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
        peak = memory_statistics().peak_bytes_in_use - before;
        assert!(gradients.len() >= LAYERS);
    }
    println!("| {name:32} | {:7.1} | {best:7.1} |", peak as f64 / 1e6);
    Ok(())
}

fn main() -> Result<()> {
    let device = Device::cpu().autodiff();
    let generator = Generator::new(0);
    let deviation = 1.0 / (WIDTH as f64).sqrt();
    let weight = || Tensor::normal([WIDTH, WIDTH], 0.0, deviation, DType::F32, &generator, device)?.into_tracked();
    let weights = (0..LAYERS).map(|_| weight()).collect::<Result<Vec<_>>>()?;
    let input = Tensor::normal([BATCH, WIDTH], 0.0, 1.0, DType::F32, &generator, device)?.into_tracked()?;
    println!(
        "{LAYERS} layers of {WIDTH}, a batch of {BATCH}: one activation is {:.2} MB",
        (BATCH * WIDTH * 4) as f64 / 1e6
    );
    println!("| checkpoints                      | peak MB |      ms |\n|---|---|---|");
    measure("none", || run(&weights, &input)?.sum(.., false))?;
    for every in [4, 8, 16, 64] {
        measure(&format!("every {every} layers"), || segments(&weights, every, &input)?.sum(.., false))?;
    }
    measure("halves of halves", || halves(&weights, &input)?.sum(.., false))?;
    Ok(())
}
