//! `cargo xtask test`: every test of the workspace.

use clap::Args;

use crate::process::{Result, Steps, answers, cargo, run as run_command};

/// How many cases a property test draws under `--thorough`.
const THOROUGH_CASES: &str = "10000";

#[derive(Debug, Args, Default)]
pub(crate) struct Arguments {
    /// Draw 10,000 cases for each property and check what takes hours (all f32, long runs)
    #[arg(long)]
    thorough: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = Steps::new("test");
    let mut vulkan = false;
    steps.step("devices of the Vulkan tests", || {
        vulkan = run_command(&mut cargo(["run", "--quiet", "-p", "osnova-vulkan", "--example", "devices"])).is_ok();
        Ok(())
    })?;
    // The shader compiler is C++ that takes minutes to build and has nothing to test.
    // `--tests` takes every library, program and integration test; benches and examples stay out.
    let nextest = answers(&mut cargo(["nextest", "--version"]));
    let mut tests = if nextest {
        cargo(["nextest", "run", "--workspace", "--exclude", "osnova-shaders", "--tests"])
    } else {
        println!(
            "cargo-nextest is not installed, so `cargo test` runs the tests, one program after \
             the other.\nIt is faster with: cargo install --locked cargo-nextest"
        );
        cargo(["test", "--workspace", "--exclude", "osnova-shaders", "--tests"])
    };
    let mut examples = cargo(["test", "--workspace", "--exclude", "osnova-shaders", "--doc"]);
    if arguments.thorough {
        for command in [&mut tests, &mut examples] {
            command.env("OSNOVA_THOROUGH", "1");
            command.env("PROPTEST_CASES", THOROUGH_CASES);
        }
    }
    steps.step("unit, property and integration tests", || run_command(&mut tests))?;
    steps.step("examples in the documentation", || run_command(&mut examples))?;
    steps.finish();
    if !vulkan {
        println!(
            "\nNOT TESTED: the Vulkan backend, for want of a device. Software does: on Debian and Ubuntu, install\n\
             libvulkan1 and mesa-vulkan-drivers. OSNOVA_REQUIRE_VULKAN=1 makes this a failure."
        );
    }
    Ok(())
}
