//! What numerical differentiation costs: central differences for every parameter, beside one backward pass.
//!
//! `cargo run --release -p osnova-autodiff --example numerical_cost`
use osnova_autodiff::grad;
use osnova_cpu::CpuDevice;
use osnova_tensor::{Activation, DType, Device, Generator, Result, Tensor};
use std::time::Instant;

const STEP: f64 = 1e-6;

/// Milliseconds, the best of several, and the result.
fn timed<R>(rounds: usize, run: impl Fn() -> Result<R>) -> Result<(f64, R)> {
    let mut best = (f64::INFINITY, run()?);
    for _ in 0..rounds {
        let start = Instant::now();
        let result = run()?;
        best = (best.0.min(start.elapsed().as_secs_f64() * 1e3), result);
    }
    Ok(best)
}

fn main() -> Result<()> {
    let device = Device::cpu();
    println!(
        "| parameters | loss | loss and gradient | by differences | ratio | largest difference |\n|---|---|---|---|---|---|"
    );
    for width in [4usize, 16, 64, 96] {
        let generator = Generator::new(0);
        let normal = |dims: &[usize]| Tensor::normal(dims, 0.0, 0.3, DType::F64, &generator, device);
        // width – width – 10, both layers' weights and biases in one vector.
        let count = width * width + width + 10 * width + 10;
        let parameters = normal(&[count])?;
        let input = normal(&[32, width])?;
        let target = normal(&[32, 10])?.argmax(1, false)?;
        let loss = |parameters: &[Tensor]| {
            let mut start = 0;
            let mut next = |dims: &[usize]| {
                let length = dims.iter().product();
                start += length;
                parameters[0].narrow(0, start - length, length)?.reshape(dims)
            };
            let (weight1, bias1) = (next(&[width, width])?, next(&[width])?);
            let (weight2, bias2) = (next(&[10, width])?, next(&[10])?);
            let hidden = input.linear(&weight1, Some(&bias1), Activation::Tanh)?;
            hidden.linear(&weight2, Some(&bias2), Activation::Identity)?.cross_entropy(&target)
        };
        let point = [parameters];
        let (evaluation, _) = timed(20, || loss(&point))?;
        let (backward, gradient) = timed(20, || grad(loss, &point))?;
        let exact = gradient[0].to_vec::<f64>()?;
        let values = point[0].to_vec::<f64>()?;
        let moved = |at: usize, by: f64| {
            let mut values = values.clone();
            values[at] += by;
            loss(&[Tensor::from_vec(values, count, device)?])?.item()
        };
        // Each parameter's two passes by themselves, so that the median tells their time on a busy machine, too.
        let (mut times, mut approximate) = (Vec::new(), Vec::new());
        for at in 0..count {
            let start = Instant::now();
            approximate.push((moved(at, STEP)? - moved(at, -STEP)?) / (2.0 * STEP));
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let numerical = times[count / 2] * count as f64;
        let off = exact.iter().zip(&approximate).map(|(exact, other)| (exact - other).abs()).fold(0.0, f64::max);
        println!(
            "| {count} | {evaluation:.3} ms | {backward:.3} ms | {numerical:.1} ms | {:.0} | {off:.0e} |",
            numerical / backward
        );
    }
    Ok(())
}
