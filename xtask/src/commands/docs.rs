//! `cargo xtask docs`: the pictures of the book, and the API documentation of all crates.

use clap::Args;

use crate::process::{Result, cargo, run as run_command};

#[derive(Debug, Args, Default)]
pub(crate) struct Arguments {
    /// Open the API documentation in a browser
    #[arg(long)]
    open: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    draw("docs/pictures")?;
    document(arguments.open)
}

/// Draws every picture of the book into a folder.
pub(crate) fn draw(folder: &str) -> Result<()> {
    run_command(&mut cargo(["run", "--quiet", "-p", "osnova", "--example", "pictures", "--", "--out", folder]))?;
    run_command(&mut cargo(["run", "--quiet", "-p", "osnova", "--example", "descent", "--", folder]))?;
    run_command(&mut cargo(["run", "--quiet", "-p", "osnova-train", "--example", "vanishing_gradients", "--", folder]))
}

/// Builds the API documentation.
pub(crate) fn document(open: bool) -> Result<()> {
    let mut command = cargo(["doc", "--workspace", "--exclude", "osnova-shaders", "--no-deps"]);
    // A broken link or an example in an unknown language is an error, as in CI.
    command.env("RUSTDOCFLAGS", "-D warnings");
    if open {
        command.arg("--open");
    }
    run_command(&mut command)
}
