//! The task runner of the workspace: `cargo xtask <command>`, one file a command.
#![forbid(unsafe_code)]

mod commands;
mod gauge;
mod links;
mod process;
mod race;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{bench, ci, compare, docs, shaders, test};

/// The tasks of the Osnova workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every test: unit, property and integration tests, then the examples in the docs
    Test(test::Arguments),
    /// Run what must pass before a change is merged: format, links, lints, tests, docs, examples
    Ci,
    /// Run the benches
    Bench(bench::Arguments),
    /// Race our workloads against PyTorch and JAX on this machine and print a table
    Compare(compare::Arguments),
    /// Draw the pictures of the book and build the API documentation of all crates
    Docs(docs::Arguments),
    /// Compile the shaders of the Vulkan backend
    Shaders(shaders::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Ci => ci::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Compare(arguments) => compare::run(&arguments),
        Task::Docs(arguments) => docs::run(&arguments),
        Task::Shaders(arguments) => shaders::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
