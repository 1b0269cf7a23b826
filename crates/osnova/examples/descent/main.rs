//! Draws how optimizers go down a valley: full-batch, mini-batch and stochastic descent, momentum and adaptive methods, and learning rates
//! below, at and over the stability limit.
//!
//! ```text
//! cargo run --release --example descent
//! ```
//!
//! writes `runs/descent/*.svg`.

mod pictures;

use std::fs;
use std::path::Path;

fn main() -> pictures::Result<()> {
    let folder = Path::new("runs/descent");
    fs::create_dir_all(folder)?;
    for (name, svg) in pictures::all()? {
        let path = folder.join(name).with_extension("svg");
        fs::write(&path, svg)?;
        println!("{}", path.display());
    }
    Ok(())
}
