//! Draws the pictures of the book: `cargo run --release --example pictures -- --out docs/pictures`.
//!
//! One module a chapter; [`PICTURES`] lists what each draws. All random numbers are seeded, so the same program draws the same
//! pictures.

mod activations;
mod generative;
mod initialisation;
mod losses;
mod mlp;
mod normalisation;
mod panels;
#[path = "../shared/print.rs"]
mod print;
mod training;

use clap::Parser;
use print::say;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

/// What draws a picture: an SVG document.
type Draw = fn() -> osnova::train::Result<String>;

/// The name of each file and what draws it.
const PICTURES: [(&str, Draw); 22] = [
    ("activations.svg", activations::curves),
    ("approximation.svg", mlp::approximation),
    ("autoencoder-codes.svg", generative::codes),
    ("autoencoder-reconstructions.svg", generative::reconstructions),
    ("beta-schedules.svg", generative::schedules),
    ("denoising-gain.svg", generative::denoising_gain),
    ("denoising.svg", generative::denoising),
    ("depth.svg", normalisation::depth),
    ("exclusive-or.svg", mlp::exclusive_or),
    ("initialisation.svg", initialisation::variance_by_depth),
    ("losses.svg", losses::curves),
    ("softmax-temperature.svg", activations::temperature),
    ("sparse-features.svg", generative::sparse_features),
    ("sparse-tradeoff.svg", generative::sparse_tradeoff),
    ("vae-bound.svg", generative::bound),
    ("vae-collapse.svg", generative::collapse),
    ("vae-conditional.svg", generative::conditional),
    ("vae-curves.svg", generative::curves),
    ("vae-interpolation.svg", generative::interpolation),
    ("vae-manifold.svg", generative::manifold),
    ("vae-samples.svg", generative::samples),
    ("vae-traversal.svg", generative::traversal),
];

/// Draws the pictures of the book.
#[derive(Debug, Parser)]
#[command(name = "pictures", version)]
struct Options {
    /// Where to write
    #[arg(long, value_name = "DIR", default_value = "docs/pictures")]
    out: PathBuf,

    /// Draw only the files whose name holds this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    print::finish(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.out)?;
    for (name, draw) in PICTURES.iter().filter(|(name, _)| name.contains(&options.only)) {
        let path = options.out.join(name);
        let picture = draw().map_err(|error| format!("{name}: {error}"))?;
        fs::write(&path, picture)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        say!("{}", path.display());
    }
    Ok(())
}
