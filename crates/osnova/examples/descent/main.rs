//! Draws how optimizers go down a valley: full-batch, mini-batch and stochastic descent, momentum and adaptive methods,
//! and learning rates below, at and over the stability limit.
//!
//! ```text
//! cargo run --release --example descent
//! ```
//!
//! writes `runs/descent/*.svg`; another folder can be named as the argument.

mod pictures;
#[path = "../shared/print.rs"]
mod print;

use print::say;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    print::finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(|| PathBuf::from("runs/descent"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    for (name, draw) in pictures::PICTURES {
        let path = folder.join(name);
        fs::write(&path, draw()?)?;
        say!("{}", path.display());
    }
    Ok(())
}
