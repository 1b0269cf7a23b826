//! `cargo xtask bench`: the benches, and the speed of a device.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::gauge::Gauges;
use crate::process::{Error, Result, answers, built, cargo, output, root, run as run_command};
use crate::race::parse;
use crate::report;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run only the benches whose name contains this
    filter: Option<String>,
    /// Measure single operations and training steps on a device (cpu, vulkan, vulkan:1) as a table with GFLOP/s, GB/s and
    /// the share of the best measured, in place of the criterion benches
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Rows and columns of the largest matrices [default: 8192, and 128 on software drivers]
    #[arg(long, value_name = "N", requires = "device")]
    largest: Option<usize>,
    /// Rounds, of which the median counts
    #[arg(long, value_name = "N", requires = "device")]
    rounds: Option<usize>,
    /// A Python with torch that sees the same card: its times on CUDA come beside ours
    #[arg(long, value_name = "PATH", requires = "device")]
    python: Option<PathBuf>,
    /// Store the table in this file, between `<!-- device:begin -->` and `<!-- device:end -->` if it has those lines
    #[arg(long, value_name = "FILE", requires = "device")]
    write: Option<PathBuf>,
}

/// The peer's program.
const PEER: &str = "benches/peers/torch_cuda_bench.py";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(device) = &arguments.device {
        return gauge(device, arguments);
    }
    let mut command = cargo(["bench", "-p", "osnova-benches", "--benches"]);
    if let Some(filter) = &arguments.filter {
        command.args(["--", filter]);
    }
    run_command(&mut command)
}

fn gauge(device: &str, arguments: &Arguments) -> Result<()> {
    run_command(cargo(["build", "--release"]).args(["-p", "osnova-benches", "--bin", "device"]))?;
    let mut command = Command::new(built("release")?.join("device"));
    command.arg(device).args(&arguments.filter);
    for (option, number) in [("--largest", arguments.largest), ("--rounds", arguments.rounds)] {
        if let Some(number) = number {
            command.arg(option).arg(number.to_string());
        }
    }
    eprintln!("measuring {device}: this can take minutes");
    let gauges = Gauges::parse(&output(&mut command)?)?;
    let peer = match &arguments.python {
        Some(python) => Some(parse(&torch(python, &gauges)?)),
        None => None,
    };
    let table = gauges.table(peer.as_ref().map(|times| ("PyTorch on CUDA", times)));
    let text = format!("{}\n\n```sh\n{}\n```\n\n{table}", gauges.device, again(device, arguments));
    println!("{text}");
    match &arguments.write {
        Some(path) => report::write(path, "device", &text),
        None => Ok(()),
    }
}

/// What PyTorch measures for the same workloads.
fn torch(python: &Path, gauges: &Gauges) -> Result<String> {
    if !answers(Command::new(python).args(["-c", "import torch; assert torch.cuda.is_available()"])) {
        let python = python.display();
        return Err(Error(format!(
            "{python} has no torch that sees a CUDA device; leave out --python, or install torch"
        )));
    }
    let mut command = Command::new(python);
    command.arg(root().join(PEER)).args(["--largest", &gauges.largest, "--workloads", &gauges.names().join(",")]);
    output(&mut command)
}

/// The command that measures this again.
fn again(device: &str, arguments: &Arguments) -> String {
    let mut line = format!("cargo xtask bench --device {device}");
    for (option, number) in [("--largest", arguments.largest), ("--rounds", arguments.rounds)] {
        if let Some(number) = number {
            line += &format!(" {option} {number}");
        }
    }
    if arguments.python.is_some() {
        line += " --python PATH";
    }
    if let Some(filter) = &arguments.filter {
        line += &format!(" {filter}");
    }
    line
}
