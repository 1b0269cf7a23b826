//! `device NAME [--largest N] [--rounds N] [--round-ms N] [FILTER]`: the speed of a device, one workload a line, for `cargo xtask bench`.
//!
//! Fields are set apart by tabs: name, seconds, floating-point operations, bytes, what bounds it. What the device cannot do
//! has its error instead.

use osnova::prelude::*;
use osnova_benches::device::{Bound, workloads};
use std::process::ExitCode;
use std::time::Duration;

/// Matrices on hardware and on a software driver, which takes seconds for a product of 512.
const LARGEST: [usize; 2] = [8192, 128];

struct Options {
    device: String,
    filter: String,
    largest: Option<usize>,
    rounds: usize,
    round: Duration,
}

fn main() -> ExitCode {
    let outcome =
        options(std::env::args().skip(1)).and_then(|options| run(&options).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("device: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        device: "cpu".into(),
        filter: String::new(),
        largest: None,
        rounds: 7,
        round: Duration::from_millis(100),
    };
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        if !word.starts_with("--") {
            names.push(word);
            continue;
        }
        let number = words.next().and_then(|number| number.parse::<usize>().ok());
        let number = number.filter(|&number| number > 0).ok_or_else(|| format!("{word} takes a positive number"))?;
        match word.as_str() {
            "--largest" => options.largest = Some(number),
            "--rounds" => options.rounds = number,
            "--round-ms" => options.round = Duration::from_millis(number as u64),
            _ => return Err(format!("there is no option {word}; there are --largest, --rounds and --round-ms")),
        }
    }
    let mut names = names.into_iter();
    options.device = names.next().unwrap_or(options.device);
    options.filter = names.next().unwrap_or_default();
    match names.next() {
        Some(extra) => Err(format!("{extra} is one word too many: there are a device and a filter")),
        None => Ok(options),
    }
}

/// What the device is, and whether it is a program on the processor.
fn describe(device: Device) -> Result<(String, bool)> {
    let name = device.name();
    for info in Device::available().unwrap_or_default() {
        if name == format!("vulkan:{}", info.index) {
            return Ok((info.to_string(), info.kind == osnova::vulkan::Kind::Software));
        }
    }
    Ok((name, false))
}

fn run(options: &Options) -> Result<()> {
    let device = osnova::device(&options.device)?;
    let (description, is_software) = describe(device)?;
    println!("device\t{description}");
    let largest = options.largest.unwrap_or(LARGEST[usize::from(is_software)]);
    println!("largest\t{largest}");
    for workload in workloads(largest) {
        // Whatever is chosen, there is a copy to hold it against.
        if !workload.name.contains(&options.filter) && workload.name != "copy" {
            continue;
        }
        let name = &workload.name;
        match workload.seconds(device, options.round, options.rounds) {
            Ok(seconds) => {
                let bound = match workload.bound {
                    Bound::Memory => "memory",
                    Bound::Arithmetic(dtype) => dtype.name(),
                    Bound::Nothing => "",
                };
                println!("{name}\t{seconds:.9}\t{}\t{}\t{bound}", workload.operations, workload.bytes);
            }
            Err(error) => println!("{name}\terror\t{}", error.to_string().replace(['\t', '\n'], " ")),
        }
    }
    Ok(())
}
