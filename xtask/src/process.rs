//! Running other programs from the workspace's root, and saying what happened.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Why a task stopped, in words for the one who called it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error(pub(crate) String);

/// What a task returns.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts a profile's programs: beside this one, which cargo built.
pub(crate) fn built(profile: &str) -> Result<PathBuf> {
    let unknown = |reason: &str| Error(format!("cannot tell where cargo builds: {reason}"));
    let this = env::current_exe().map_err(|error| unknown(&error.to_string()))?;
    let target = this.parent().and_then(Path::parent);
    let target = target.ok_or_else(|| unknown("this program lies outside a target folder"))?;
    Ok(target.join(profile))
}

/// Cargo, run from the root with these words.
pub(crate) fn cargo<const N: usize>(words: [&str; N]) -> Command {
    // Set when cargo runs us: the same cargo, whatever a version manager would pick.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).current_dir(root());
    command
}

/// Whether a program can be run at all.
pub(crate) fn answers(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Runs a command to its end; an error tells which it was and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| Error(format!("cannot start `{line}`: {error}")))?;
    if status.success() { Ok(()) } else { Err(Error(format!("`{line}` failed ({status})"))) }
}

/// Runs a command to its end and returns what it printed; its errors go to ours.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Error(format!("cannot start `{line}`: {error}")))?;
    if !output.status.success() {
        return Err(Error(format!("`{line}` failed ({})", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it, without the path to the program.
fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Named steps, one after the other, with their durations.
#[derive(Debug)]
pub(crate) struct Steps {
    task: &'static str,
    start: Instant,
    done: Vec<(&'static str, Duration)>,
    skipped: Vec<(&'static str, &'static str)>,
}

impl Steps {
    pub(crate) fn new(task: &'static str) -> Self {
        Self { task, start: Instant::now(), done: Vec::new(), skipped: Vec::new() }
    }

    /// Does one step; an error names it.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("==> {}: {name}", self.task);
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        match outcome {
            Ok(()) => {
                println!("==> {}: {name} passed in {}", self.task, duration(took));
                self.done.push((name, took));
                Ok(())
            }
            Err(Error(reason)) => {
                Err(Error(format!("{}: step '{name}' FAILED after {}: {reason}", self.task, duration(took))))
            }
        }
    }

    /// Notes a step that cannot be done here, and what would let it.
    pub(crate) fn skip(&mut self, name: &'static str, advice: &'static str) {
        println!("==> {}: {name} SKIPPED", self.task);
        self.skipped.push((name, advice));
    }

    /// Prints the durations, what was skipped, and the closing line.
    pub(crate) fn finish(self) {
        println!();
        for (name, took) in &self.done {
            println!("{:>12}  {name}", duration(*took));
        }
        let total = duration(self.start.elapsed());
        for (name, advice) in &self.skipped {
            println!("     SKIPPED  {name}: {advice}");
        }
        let all = if self.skipped.is_empty() { "all" } else { "all others" };
        println!("{}: {all} passed in {total}", self.task);
    }
}

/// A duration as people say it.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let seconds = seconds.round() as u64;
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let cases =
            [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.97, "1 min 00 s"), (125.0, "2 min 05 s"), (4000.0, "66 min 40 s")];
        for (seconds, expected) in cases {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected);
        }
    }

    #[test]
    fn the_first_failing_step_is_named() {
        let mut steps = Steps::new("ci");
        assert_eq!(steps.step("first", || Ok(())), Ok(()));
        let outcome = steps.step("second", || Err(Error("it broke".to_owned())));
        let Err(Error(message)) = outcome else {
            panic!("the step failed, so must this");
        };
        assert!(message.starts_with("ci: step 'second' FAILED after "), "{message}");
        assert!(message.ends_with("it broke"), "{message}");
    }

    #[test]
    fn failures_name_the_command() {
        let missing = run(Command::new("/no/such/program").arg("--now"));
        let Err(Error(message)) = missing else {
            panic!("there is no such program");
        };
        assert!(message.contains("`program --now`"), "{message}");
        let failing = run(cargo(["--no-such-option"]).stderr(Stdio::null()));
        assert!(failing.is_err_and(|error| error.0.contains("--no-such-option")));
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }
}
