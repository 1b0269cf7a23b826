//! `cargo xtask docs`: the API documentation of all crates.

use clap::Args;

use crate::process::{Result, cargo, run as run_command};

#[derive(Debug, Args, Default)]
pub(crate) struct Arguments {
    /// Open it in a browser
    #[arg(long)]
    open: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = cargo(["doc", "--workspace", "--exclude", "osnova-shaders", "--no-deps"]);
    // A broken link or an example in an unknown language is an error, as in CI.
    command.env("RUSTDOCFLAGS", "-D warnings");
    if arguments.open {
        command.arg("--open");
    }
    run_command(&mut command)
}
