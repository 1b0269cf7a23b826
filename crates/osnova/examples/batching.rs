//! What batching buys: the same sums by loops, by a product for each sample, and by one product; and a 1000 × 1000 product on one
//! core, on all of them, and on a GPU if `OSNOVA_DEVICE` names one.
//!
//! ```text
//! cargo run --release --example batching
//! OSNOVA_DEVICE=vulkan cargo run --release --example batching --features vulkan
//! ```

#[path = "shared/print.rs"]
mod print;

use osnova::prelude::*;
use print::say;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A layer's sizes, and how many samples go through it.
const INPUTS: usize = 784;
const OUTPUTS: usize = 256;
const SAMPLES: usize = 128;

fn main() -> ExitCode {
    print::finish(run().map_err(Into::into))
}

fn run() -> Result<()> {
    let device = Device::cpu();
    let generator = Generator::new(0);
    let weight = Tensor::normal([OUTPUTS, INPUTS], 0.0, 0.05, DType::F32, &generator, device)?;
    let bias = Tensor::normal([OUTPUTS], 0.0, 1.0, DType::F32, &generator, device)?;
    let batch = Tensor::normal([SAMPLES, INPUTS], 0.0, 1.0, DType::F32, &generator, device)?;
    let samples: Vec<Tensor> = (0..SAMPLES as isize).map(|sample| batch.select(0, sample)).collect::<Result<_>>()?;
    let (w, b, x) = (weight.to_vec::<f32>()?, bias.to_vec::<f32>()?, batch.to_vec::<f32>()?);

    say!("{SAMPLES} samples through {INPUTS} → {OUTPUTS}:");
    let looped = time(|| {
        black_box(by_loops(&w, &b, &x));
        Ok(())
    })?;
    let single = time(|| {
        samples
            .iter()
            .try_for_each(|sample| sample.unsqueeze(0)?.linear(&weight, Some(&bias), Activation::Identity).map(drop))
    })?;
    let whole = time(|| batch.linear(&weight, Some(&bias), Activation::Identity).map(drop))?;
    for (name, duration) in [("three loops", looped), ("a product a sample", single), ("one product", whole)] {
        say!("  {name:20} {:9.3} ms", duration.as_secs_f64() * 1e3);
    }

    say!("1000 × 1000 times 1000 × 1000:");
    let chosen = osnova::default_device()?;
    let mut places = vec![("one core", Device::cpu_with_threads(1)?), ("all cores", device)];
    if chosen != device {
        places.push(("OSNOVA_DEVICE", chosen));
    }
    for (name, device) in places {
        let matrix = Tensor::uniform([1000, 1000], -1.0, 1.0, DType::F32, &generator, device)?;
        let duration = time(|| {
            black_box(matrix.matmul(&matrix)?);
            device.synchronize()
        })?;
        let seconds = duration.as_secs_f64();
        say!("  {name:20} {:9.3} ms  {:7.1} GFLOP/s  ({})", seconds * 1e3, 2.0 / seconds, device.name());
    }
    Ok(())
}

/// `W·x + b` for each sample, as it is written.
fn by_loops(weight: &[f32], bias: &[f32], batch: &[f32]) -> Vec<f32> {
    let rows = || weight.chunks_exact(INPUTS).zip(bias);
    let sample = |x: &[f32]| -> Vec<f32> {
        rows().map(|(row, bias)| bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>()).collect()
    };
    batch.chunks_exact(INPUTS).flat_map(sample).collect()
}

/// The median of several runs, after one that is not counted.
fn time(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    work()?;
    let mut durations = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        work()?;
        durations.push(start.elapsed());
    }
    durations.sort_unstable();
    Ok(durations[durations.len() / 2])
}
