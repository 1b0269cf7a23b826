//! Values of command-line options, and what some of them stand for.

use osnova::prelude::CpuDevice;
use osnova::tensor::Device;
use std::error::Error;

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("give a whole number of at least 1".to_owned()),
    }
}

/// At most `most`: more would take hours, or more memory than there is.
pub(crate) fn at_most(text: &str, most: usize) -> Result<usize, String> {
    match at_least_one(text)? {
        number if number <= most => Ok(number),
        _ => Err(format!("at most {most} are possible")),
    }
}

pub(crate) fn batch_size(text: &str) -> Result<usize, String> {
    at_most(text, 1 << 20)
}

pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

pub(crate) fn count(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| "give a whole number such as 5000, or 0".to_owned())
}

pub(crate) fn width(text: &str) -> Result<usize, String> {
    at_most(text, 65_536)
}

pub(crate) fn threads(text: &str) -> Result<usize, String> {
    at_most(text, 1024)
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
