//! What recording costs: tiny operations, so that nothing else shows.
//!
//! `cargo run --release -p osnova-autodiff --example overhead`
use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_tensor::{Device, Result, Tensor};
use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds a call, the best of several rounds.
fn nanoseconds(calls: usize, mut round: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..15 {
        best = best.min(round()? / calls as f64);
    }
    Ok(best)
}

fn timed<R>(work: impl FnOnce() -> Result<R>) -> Result<(f64, R)> {
    let start = Instant::now();
    let result = work()?;
    Ok((start.elapsed().as_secs_f64() * 1e9, result))
}

const CALLS: usize = 20_000;

fn eager(name: &str, x: &Tensor, op: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let time = nanoseconds(CALLS, || {
        let (time, ()) = timed(|| {
            for _ in 0..CALLS {
                black_box(op(x)?);
            }
            Ok(())
        })?;
        Ok(time)
    })?;
    println!("{name:40} {time:7.1} ns");
    Ok(())
}

fn chain(name: &str, device: Device, op: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<()> {
    let x = Tensor::new([1.0f32, 2.0, 3.0, 4.0], device)?.into_tracked()?;
    let other = x.detach();
    let mut parts = [f64::INFINITY; 3];
    for _ in 0..15 {
        let (forward, y) = timed(|| {
            let mut y = x.clone();
            for _ in 0..CALLS {
                y = op(&y, &other)?;
            }
            Ok(y)
        })?;
        let seed = Some(other.to_device(device.inner().unwrap_or(device))?);
        let (backward, gradients) = timed(|| y.gradients(seed, None, false))?;
        black_box(gradients.get(&x));
        let (drop, ()) = timed(|| {
            drop(y);
            Ok(())
        })?;
        for (best, time) in parts.iter_mut().zip([forward, backward, drop]) {
            *best = best.min(time / CALLS as f64);
        }
    }
    println!("{name:40} {:7.1} ns forward {:7.1} backward {:6.1} drop", parts[0], parts[1], parts[2]);
    Ok(())
}

fn main() -> Result<()> {
    let plain = Device::cpu();
    let recording = plain.autodiff();
    let x = Tensor::new([1.0f32, 2.0, 3.0, 4.0], plain)?;
    eager("add, plain", &x, |x| x + x)?;
    eager("add, constants on the recording device", &x.to_device(recording)?, |x| x + x)?;
    eager("add, recorded", &x.to_device(recording)?.into_tracked()?, |x| x + x)?;
    eager("multiply, recorded", &x.to_device(recording)?.into_tracked()?, |x| x * x)?;
    eager("exp, recorded", &x.to_device(recording)?.into_tracked()?, Tensor::exp)?;
    let twice = recording.autodiff();
    let inner = x.to_device(recording)?.into_tracked()?;
    eager("add, recorded twice", &inner.to_device(twice)?.into_tracked()?, |x| x + x)?;
    chain("chain of additions", recording, |y, other| y + other)?;
    chain("chain of additions to itself", recording, |y, _| y + y)?;
    chain("chain of multiplications", recording, |y, other| y * other)?;
    chain("chain of squares", recording, |y, _| y * y)?;
    chain("chain of tanh", recording, |y, _| y.tanh())?;
    Ok(())
}
