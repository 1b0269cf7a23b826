//! Draws how optimizers go down a valley: full-batch, mini-batch and stochastic descent, momentum and adaptive methods,
//! and learning rates below, at and over the stability limit.
//!
//! ```text
//! cargo run --release --example descent
//! ```
//!
//! writes `runs/descent/*.svg`; another folder can be named as the argument.

mod pictures;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map_or_else(|| PathBuf::from("runs/descent"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    for (name, draw) in pictures::PICTURES {
        let path = folder.join(name);
        fs::write(&path, draw()?)?;
        println!("{}", path.display());
    }
    Ok(())
}
