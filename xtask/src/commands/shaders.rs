//! `cargo xtask shaders`: the GLSL of the Vulkan backend to SPIR-V.

use clap::Args;

use crate::process::{Result, cargo, run as run_command};

#[derive(Debug, Args, Default)]
pub(crate) struct Arguments {
    /// Write nothing: fail where a committed module differs from its source, or spirv-val refuses it
    #[arg(long)]
    pub(crate) check: bool,
    /// Only sources whose file names contain one of these
    names: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // A crate of its own: it builds glslang, which takes a C++ compiler and a minute or two, and nothing else needs it.
    let mut command = cargo(["run", "--quiet", "--package", "osnova-shaders", "--"]);
    if arguments.check {
        command.arg("--check");
    }
    run_command(command.args(&arguments.names))
}
