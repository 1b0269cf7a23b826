//! Values of command-line options, and what some of them stand for.

use osnova::prelude::CpuDevice;
use osnova::tensor::Device;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("give a whole number of at least 1".to_owned()),
    }
}

pub(crate) fn width(text: &str) -> Result<usize, String> {
    match at_least_one(text)? {
        number @ 1..=65_536 => Ok(number),
        _ => Err("at most 65536 are possible".to_owned()),
    }
}

pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match at_least_one(text)? {
        number @ 1..=1024 => Ok(number),
        _ => Err("at most 1024 are possible".to_owned()),
    }
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("give a positive number such as 0.001".to_owned()),
    }
}

/// The device of this name, or the default one; on the CPU with so many threads.
pub(crate) fn device(name: Option<&str>, threads: Option<usize>) -> Result<Device, Box<dyn Error>> {
    let device = match name {
        Some(name) => osnova::device(name)?,
        None => osnova::default_device()?,
    };
    match threads {
        None => Ok(device),
        Some(threads) if device == Device::cpu() => Ok(Device::cpu_with_threads(threads)?),
        Some(_) => Err(format!("--threads is for the CPU, and this runs on {device}: leave it out").into()),
    }
}

/// The output directory, made and found writable before any work is done; without the checkpoints of an earlier run unless
/// this one goes on from them.
pub(crate) fn prepare_out(out: &Path, resume: bool) -> Result<PathBuf, Box<dyn Error>> {
    let refused = |error: std::io::Error| {
        format!("cannot write to {}: {error}. Choose another directory with --out", out.display())
    };
    fs::create_dir_all(out).map_err(refused)?;
    let probe = out.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(refused)?;
    let checkpoints = out.join("checkpoints");
    if !resume && checkpoints.exists() {
        // Its best would pass for this one's.
        fs::remove_dir_all(&checkpoints).map_err(refused)?;
    }
    Ok(out.to_owned())
}
