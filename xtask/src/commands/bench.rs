//! `cargo xtask bench`: the benches.

use clap::Args;

use crate::process::{Result, cargo, run as run_command};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run only the benches whose name contains this
    filter: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = cargo(["bench", "-p", "osnova-benches", "--benches"]);
    if let Some(filter) = &arguments.filter {
        command.args(["--", filter]);
    }
    run_command(&mut command)
}
