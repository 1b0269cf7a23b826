//! `compare THREADS [name,name]`: prints `name seconds` (median) for each workload, like the peers' programs, and with the
//! name `overhead` the nanoseconds of tiny operations.

use osnova::prelude::*;
use osnova_benches::workloads::{ALL, Step};
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let threads = arguments.first().map_or("2", String::as_str);
    // The number of threads is read once, at the first kernel: it must stand in the environment before.
    if std::env::var("OSNOVA_NUM_THREADS").ok().as_deref() != Some(threads) {
        let again = std::env::current_exe()
            .and_then(|program| Command::new(program).args(&arguments).env("OSNOVA_NUM_THREADS", threads).status());
        return match again {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("compare: cannot start again with OSNOVA_NUM_THREADS={threads}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let names: Option<Vec<&str>> = arguments.get(1).map(|names| names.split(',').collect());
    match run(names.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(names: Option<&[&str]>) -> Result<()> {
    let device = Device::cpu();
    for workload in ALL {
        if names.is_some_and(|names| !names.contains(&workload.name)) {
            continue;
        }
        let mut step = (workload.prepare)(device)?;
        println!("{} {:.9}", workload.name, median(&mut step, workload.repeats, workload.warm_up)?);
    }
    if names.is_none_or(|names| names.contains(&"overhead")) {
        overhead(device)?;
    }
    Ok(())
}

/// How long a workload runs at least before it is timed.
const WARM_UP: Duration = Duration::from_millis(100);

fn median(step: &mut Step, repeats: usize, warm_up: usize) -> Result<f64> {
    // A worker that wakes on the main thread's core is moved to a free one only after some milliseconds.
    let start = Instant::now();
    let mut runs = 0;
    while runs < warm_up || start.elapsed() < WARM_UP {
        step()?;
        runs += 1;
    }
    let mut seconds = Vec::with_capacity(repeats);
    for _ in 0..repeats {
        let start = Instant::now();
        step()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[repeats / 2])
}

/// Adding four numbers: plain, in place, recorded, and the backward pass for each addition of a chain.
fn overhead(device: Device) -> Result<()> {
    const COUNT: u32 = 100_000;
    let time = |name: &str, work: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let mut nanoseconds = Vec::new();
        for _ in 0..9 {
            let start = Instant::now();
            work()?;
            nanoseconds.push(start.elapsed().as_nanos() as f64 / f64::from(COUNT));
        }
        nanoseconds.sort_by(f64::total_cmp);
        println!("{name} {:.12}", nanoseconds[nanoseconds.len() / 2] * 1e-9);
        Ok(())
    };
    let (x, y) = (Tensor::ones([4], DType::F32, device)?, Tensor::ones([4], DType::F32, device)?);
    time("overhead_eager_add", &mut || {
        for _ in 0..COUNT {
            black_box((&x + &y)?);
        }
        Ok(())
    })?;
    let tracked = x.to_device(device.autodiff())?.tracked()?;
    time("overhead_recorded_add", &mut || {
        for _ in 0..COUNT {
            black_box((&tracked + &y)?);
        }
        Ok(())
    })
}
