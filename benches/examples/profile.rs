//! Where the time of a workload goes: `cargo run --release -p osnova-benches --example profile -- mlp_step_b128`.

use osnova::prelude::*;
use osnova_benches::workloads::ALL;

fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "mlp_step_b128".into());
    let device = Device::cpu().profiled();
    let Some(workload) = ALL.iter().find(|workload| workload.name == name) else {
        let names: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
        println!("no workload is called {name}; there are {}", names.join(", "));
        return Ok(());
    };
    let mut step = (workload.prepare)(device)?;
    for _ in 0..workload.warm_up {
        step()?;
    }
    device.reset_report();
    let start = std::time::Instant::now();
    for _ in 0..workload.repeats {
        step()?;
    }
    let seconds = start.elapsed().as_secs_f64() / workload.repeats as f64;
    println!("{name}: {:.4} ms a step over {} steps", seconds * 1e3, workload.repeats);
    if let Some(report) = device.report() {
        println!("{report}");
    }
    Ok(())
}
