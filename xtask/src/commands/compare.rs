//! `cargo xtask compare`: our workloads against PyTorch's and JAX's, in turn, on the same threads.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;

use crate::process::{Error, Result, answers, built, cargo, output, root, run as run_command};
use crate::race::{Runner, Times, memory_table, table};
use crate::report;

/// The workload whose peak memory is compared.
const MEMORY_WORKLOAD: &str = "mlp_step_b128";

/// The workloads that have a bar to meet.
const WORKLOADS: &str = "mlp_step_b128,mlp_step_b32,mlp_infer_b1,softmax_ce_4096x1000,\
                         sum_axis_4096x4096,sgemm_1024,sgemm_256,vae_step_b128";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A Python that has torch, jax and optax
    #[arg(long, value_name = "PATH")]
    python: PathBuf,
    /// The folder of torch_bench.py and jax_bench.py [default: ../shared/peers beside the
    /// workspace]
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// How often each runs; the table shows medians
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many threads each may use
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// The workloads to run
    #[arg(
        long,
        value_delimiter = ',',
        default_value = WORKLOADS
    )]
    workloads: Vec<String>,
    /// Store the report in this file; in a page with the lines `<!-- compare:begin -->` and
    /// `<!-- compare:end -->` what stands between them is replaced, else it goes to the end
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// One of those who race.
struct Racer {
    program: PathBuf,
    /// Words before the number of threads and the workloads.
    words: Vec<PathBuf>,
    runner: Runner,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let bench = ["-p", "osnova-benches", "--bin", "compare"];
    run_command(cargo(["build", "--release"]).args(bench))?;
    let cores = Cores::choose(arguments.threads)?;
    let mut ours = Racer::new("Osnova", built("release")?.join("compare"), Vec::new());
    let mut peers = peers(arguments);
    if peers.is_empty() {
        return Err(Error(format!(
            "there is nobody to race: install torch, jax and optax beside {} or give --peers DIR",
            arguments.python.display()
        )));
    }

    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let mut racers: Vec<&mut Racer> = std::iter::once(&mut ours).chain(&mut peers).collect();
        // Another one starts each round: a machine that warms up or tires treats all alike.
        let first = round as usize % racers.len();
        racers.rotate_left(first);
        for racer in racers {
            let command = &mut racer.command(arguments, &cores, &arguments.workloads.join(","));
            let printed = output(command)?;
            let name = racer.runner.name;
            let added = racer.runner.times.add_round(&printed, &arguments.workloads);
            added.map_err(|Error(reason)| Error(format!("{name}: {reason}")))?;
        }
    }
    for racer in std::iter::once(&mut ours).chain(&mut peers) {
        let command = racer.command(arguments, &cores, MEMORY_WORKLOAD);
        racer.runner.peak_memory = peak_memory(command)?;
    }

    let peers: Vec<Runner> = peers.into_iter().map(|peer| peer.runner).collect();
    let text = format!(
        "{}\n{}\n{}",
        header(arguments),
        table(&arguments.workloads, &ours.runner, &peers),
        memory_table(MEMORY_WORKLOAD, std::iter::once(&ours.runner).chain(&peers)),
    );
    println!("{text}");
    match &arguments.write {
        Some(path) => report::write(path, "compare", &text),
        None => Ok(()),
    }
}

impl Racer {
    fn new(name: &'static str, program: PathBuf, words: Vec<PathBuf>) -> Self {
        Self { program, words, runner: Runner { name, times: Times::default(), peak_memory: None } }
    }

    fn command(&self, arguments: &Arguments, cores: &Cores, workloads: &str) -> Command {
        let threads = arguments.threads.to_string();
        let mut command = cores.command(&self.program);
        command.args(&self.words).arg(&threads).arg(workloads);
        for variable in
            ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "OSNOVA_NUM_THREADS"]
        {
            command.env(variable, &threads);
        }
        // The race is between processors, whatever else the machine has.
        command.env("JAX_PLATFORMS", "cpu").env("CUDA_VISIBLE_DEVICES", "");
        command
    }
}

/// The peers that can run here; of one that cannot, the table has no column.
fn peers(arguments: &Arguments) -> Vec<Racer> {
    let known = [("PyTorch", "torch_bench.py", "import torch"), ("JAX", "jax_bench.py", "import jax, optax")];
    let beside = || root().join("../shared/peers");
    let folder = arguments.peers.clone().unwrap_or_else(beside);
    let mut found = Vec::new();
    for (name, script, import) in known {
        let path = folder.join(script);
        if !path.is_file() {
            eprintln!("without {name}: there is no {}", path.display());
        } else if !answers(Command::new(&arguments.python).args(["-c", import])) {
            eprintln!("without {name}: `{import}` fails in this Python");
        } else {
            found.push(Racer::new(name, arguments.python.clone(), vec![path]));
        }
    }
    found
}

/// The processor cores the race is held on.
struct Cores(Option<String>);

impl Cores {
    /// The first `threads` cores this process may use. All racers are bound to them: XLA takes as
    /// many threads as it sees cores, whatever it is told.
    fn choose(threads: u32) -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = parse_cores(list.unwrap_or(""));
        let threads = threads as usize;
        if !allowed.is_empty() && allowed.len() < threads {
            return Err(Error(format!(
                "{threads} threads on {} cores would measure the waiting; give --threads {}",
                allowed.len(),
                allowed.len()
            )));
        }
        if allowed.is_empty() || !answers(Command::new("taskset").arg("--version")) {
            eprintln!("no taskset here: JAX may use more than {threads} threads");
            return Ok(Self(None));
        }
        let chosen: Vec<_> = allowed.iter().take(threads).map(u32::to_string).collect();
        Ok(Self(Some(chosen.join(","))))
    }

    fn command(&self, program: &Path) -> Command {
        match &self.0 {
            Some(list) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", list]).arg(program);
                command
            }
            None => Command::new(program),
        }
    }
}

/// The cores of a list such as `0-2,5`.
fn parse_cores(list: &str) -> Vec<u32> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cores.extend(first..=last);
        }
    }
    cores
}

/// Runs a command and watches how much memory it holds at most; `None` where the system does not
/// tell.
fn peak_memory(mut command: Command) -> Result<Option<u64>> {
    let cannot = |error: std::io::Error| Error(format!("cannot run for its memory: {error}"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(cannot)?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = None;
    // `taskset` becomes the program it starts, so the number stays. The system keeps the high-water
    // mark itself: looking now and then misses at most what the last moment adds.
    let status = loop {
        let seen = fs::read_to_string(&status_file).ok();
        peak = seen.and_then(|text| high_water_mark(&text)).max(peak);
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        thread::sleep(Duration::from_millis(5));
    };
    if status.success() { Ok(peak) } else { Err(Error(format!("the run for its memory failed ({status})"))) }
}

/// The most memory a process has held, in bytes, from its `/proc/PID/status`.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes = line.trim().strip_suffix("kB")?.trim();
    Some(kibibytes.parse::<u64>().ok()? * 1024)
}

/// What was measured, with what, and how to do it again.
fn header(arguments: &Arguments) -> String {
    let python = |code: &str| {
        let mut command = Command::new(&arguments.python);
        command.args(["-c", code]).env("JAX_PLATFORMS", "cpu");
        command.stderr(Stdio::null());
        let printed = command.output().ok().filter(|out| out.status.success());
        printed.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let versions = [
        output(Command::new(rustc).arg("--version")).ok().map(|text| text.trim().to_owned()),
        python("import torch; print('PyTorch', torch.__version__)"),
        python("import jax; print('JAX', jax.__version__)"),
        python("import platform; print('Python', platform.python_version())"),
    ];
    let versions: Vec<_> = versions.into_iter().flatten().collect();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let (threads, rounds) = (arguments.threads, arguments.rounds);
    let words = if threads == 1 { "thread" } else { "threads" };
    let workloads = arguments.workloads.join(",");
    let chosen = if workloads == WORKLOADS { String::new() } else { format!(" --workloads {workloads}") };
    format!(
        "{}, {threads} {words}. {}. Medians over {rounds} rounds in turn.\n\n\
         ```sh\ncargo xtask compare --python PATH --rounds {rounds} --threads {threads}{chosen}\n```\n",
        cpu_name(&cpu).unwrap_or("An unknown processor"),
        versions.join(", "),
    )
}

/// The processor's name in `/proc/cpuinfo`.
fn cpu_name(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_lists_are_read_as_linux_writes_them() {
        assert_eq!(parse_cores("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_cores("7"), [7]);
        assert_eq!(parse_cores(""), [0u32; 0]);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(high_water_mark(status), Some(2 << 20));
        assert_eq!(high_water_mark("VmHWM:\tmany kB\n"), None);
        assert_eq!(high_water_mark(""), None);
    }

    #[test]
    fn the_processor_has_a_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel name\t: other\n";
        assert_eq!(cpu_name(text), Some("Some CPU @ 2.0GHz"));
        assert_eq!(cpu_name(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_a_child_is_seen() {
        let mut command = Command::new("sleep");
        command.arg("0.2");
        let peak = peak_memory(command).expect("sleep runs");
        assert!(peak.is_some_and(|bytes| bytes > 100_000), "{peak:?}");
        let mut failing = Command::new("sleep");
        failing.arg("no time").stderr(Stdio::null());
        assert!(peak_memory(failing).is_err());
    }
}
