//! What it costs the host to record an operation: `cargo run --release -p osnova-vulkan --example overhead`.
//!
//! Each call is timed by itself and the median taken, so that submissions, which are rare, do not count.

use osnova_tensor::{Device, Result, Tensor};
use osnova_vulkan::VulkanDevice;
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
const OPERATIONS: usize = 64;

fn main() -> Result<()> {
    let device = Device::vulkan(0)?;
    let x = Tensor::new([1.0f32, 2.0, 3.0, 4.0], device)?;
    let bias = Tensor::new([1.0f32, 2.0, 3.0, 4.0], device)?;
    let rows = Tensor::from_vec(vec![1.0f32; 16], [4, 4], device)?;
    measure(device, "add, independent", || (&x + &bias).map(drop))?;
    let mut total = x.zeros_like()?;
    measure(device, "add, chained", || {
        total = (&total + &bias)?;
        Ok(())
    })?;
    measure(device, "relu", || x.relu().map(drop))?;
    measure(device, "add with a broadcast", || (&rows + &bias).map(drop))?;
    measure(device, "transpose (no kernel)", || rows.transpose(0, 1).map(drop))
}

fn measure(device: Device, name: &str, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    let mut times = Vec::with_capacity(ROUNDS * OPERATIONS);
    let mut whole = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        device.synchronize()?;
        let mut round = Duration::ZERO;
        for _ in 0..OPERATIONS {
            let start = Instant::now();
            work()?;
            let took = start.elapsed();
            round += took;
            times.push(took);
        }
        whole.push(round / OPERATIONS as u32);
    }
    times.sort();
    whole.sort();
    println!(
        "{name:<24} {:>6} ns, with submissions {:>6} ns",
        times[times.len() / 2].as_nanos(),
        whole[ROUNDS / 2].as_nanos()
    );
    Ok(())
}
