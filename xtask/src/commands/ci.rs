//! `cargo xtask ci`: what must pass before a change is merged.
//!
//! Cheap steps come first. All steps build the whole workspace in the same profile with the same
//! features and flags, so each reuses what those before it compiled.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{self, Command};

use super::{docs, test};
use crate::links;
use crate::process::{Error, Result, Steps, built, cargo, root, run as run_command};

pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::new("ci");
    // Where the examples will lie; asked before the tests rebuild this very program.
    let examples = built("debug")?.join("examples");
    steps.step("format", || run_command(&mut cargo(["fmt", "--all", "--check"])))?;
    steps.step("links in the documentation", || links::check(root()))?;
    steps.step("clippy", || {
        // `--locked`: a manifest that disagrees with the committed lock file fails here, at once.
        let words = ["clippy", "--locked", "--workspace", "--exclude", "osnova-shaders", "--all-targets"];
        run_command(cargo(words).args(["--", "-D", "warnings"]))
    })?;
    steps.step("tests", || test::run(&test::Arguments::default()))?;
    if env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() {
        steps.step("Vulkan under the validation layers", validate_vulkan)?;
        steps.step("Vulkan as on a lesser device", lesser_vulkan)?;
    } else {
        steps.skip(
            "Vulkan under the validation layers and as on a lesser device",
            "set OSNOVA_REQUIRE_VULKAN=1 where libvulkan1, mesa-vulkan-drivers and vulkan-validationlayers are installed",
        );
    }
    steps.step("shaders", || run_command(&mut cargo(["xtask", "shaders", "--check"])))?;
    steps.step("API documentation", || docs::document(false))?;
    steps.step("examples", || {
        run_command(&mut cargo(["build", "--workspace", "--exclude", "osnova-shaders", "--examples"]))
    })?;
    steps.step("pictures of the book", draw_pictures)?;
    steps.step("a short run of the digits example", || {
        let files = ["model.safetensors", "manifest.json", "loss.svg", "confusion.svg"];
        run_example(&examples, "digits", &["--epochs", "3"], &files)?;
        without_output(&examples, &files)
    })?;
    steps.step("a short run of the generative example", || {
        let files = ["model.safetensors", "manifest.json", "index.html", "samples.png"];
        for model in ["vae", "conditional", "sparse", "denoising"] {
            run_example(&examples, "generative", &["--epochs", "3", "--model", model], &files)?;
        }
        Ok(())
    })?;
    steps.finish();
    Ok(())
}

/// The tests of the Vulkan backend once more, with fewer random cases.
fn vulkan_again(cases: &str, variables: &[(&str, &str)]) -> Result<()> {
    let mut tests = cargo(["test", "-p", "osnova-vulkan", "--tests"]);
    run_command(tests.env("PROPTEST_CASES", cases).envs(variables.iter().copied()))
}

/// Where the validation layers end the program at the first wrong call or missing barrier.
fn validate_vulkan() -> Result<()> {
    vulkan_again("16", &[("OSNOVA_VULKAN_VALIDATION", "abort")])
}

/// Where kernels must do without what many devices lack, on the smallest subgroups that there are.
fn lesser_vulkan() -> Result<()> {
    let without = "f16-arithmetic,f64,i16,cooperative-matrix,push-descriptors,subgroup-sizes";
    // The second variable is lavapipe's: subgroups of 4 instead of 8. Other drivers do not look at it.
    vulkan_again("8", &[("OSNOVA_VULKAN_WITHOUT", without), ("LP_NATIVE_VECTOR_WIDTH", "128")])
}

/// Draws the book's pictures into a folder that is thrown away: rounding may differ between processors, so nothing is compared.
fn draw_pictures() -> Result<()> {
    let out = env::temp_dir().join(format!("osnova-ci-pictures-{}", process::id()));
    let drawn = docs::draw(&out.to_string_lossy());
    let _ = fs::remove_dir_all(&out);
    drawn
}

/// A run that cannot print writes its results all the same, and says so; nothing panics.
fn without_output(folder: &Path, files: &[&str]) -> Result<()> {
    let Ok(full) = fs::File::options().write(true).open("/dev/full") else { return Ok(()) };
    let out = env::temp_dir().join(format!("osnova-ci-full-{}", process::id()));
    let mut example = Command::new(folder.join("digits"));
    example.current_dir(root()).args(["--epochs", "1", "--out"]).arg(&out).stdout(full);
    let status = example.status().map_err(|error| Error(format!("the digits example: {error}")))?;
    let missing = files.iter().find(|file| !out.join(file).is_file());
    let _ = fs::remove_dir_all(&out);
    match (status.code(), missing) {
        (Some(1), None) => Ok(()),
        (Some(1), Some(file)) => Err(Error(format!("the digits example without output wrote no {file}"))),
        (code, _) => Err(Error(format!("the digits example ended with {code:?} on a full output, not with 1"))),
    }
}

/// Trains for a few epochs into a folder that is thrown away.
fn run_example(folder: &Path, name: &str, arguments: &[&str], files: &[&str]) -> Result<()> {
    let out = env::temp_dir().join(format!("osnova-ci-{name}-{}", process::id()));
    let mut example = Command::new(folder.join(name));
    let trained = run_command(example.current_dir(root()).args(arguments).arg("--out").arg(&out));
    let written = trained.and_then(|()| match files.iter().find(|file| !out.join(file).is_file()) {
        None => Ok(()),
        Some(file) => Err(Error(format!("the {name} example wrote no {file}"))),
    });
    // Best effort: what stays behind lies in the system's temporary folder.
    let _ = fs::remove_dir_all(&out);
    written
}
