//! Programs that are killed while they save: what is found afterwards is the old state or the new one, whole and verified.

use osnova_checkpoint::{Checkpoint, CheckpointDirectory, TensorFile, save_tensors};
use osnova_cpu::CpuDevice;
use osnova_tensor::{Device, Generator, Tensor};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Tells the program, which is this test itself, where to save until it is killed.
const DIRECTORY: &str = "OSNOVA_TEST_SAVE_UNTIL_KILLED";
const KILLS: usize = 200;
const COUNT: usize = 40_000;

fn values(step: u64) -> Tensor {
    let values = (0..COUNT).map(|index| (step * 7 + index as u64) as f32).collect();
    Tensor::from_vec(values, COUNT, Device::cpu()).unwrap()
}

/// The step whose values these are, all of them.
fn step_of(values: &[f32]) -> u64 {
    let step = values[0] as u64 / 7;
    assert_eq!(values.len(), COUNT);
    assert!(values.iter().enumerate().all(|(index, &value)| value == (step * 7 + index as u64) as f32));
    step
}

fn model_file(directory: &Path) -> PathBuf {
    directory.join("model.safetensors")
}

fn checkpoints(directory: &Path) -> CheckpointDirectory {
    CheckpointDirectory::create(directory.join("checkpoints")).unwrap().keep_last(2).unwrap()
}

fn save_file(directory: &Path, step: u64) {
    save_tensors(model_file(directory), [("values", values(step))], &BTreeMap::new()).unwrap();
}

fn save_checkpoint(directory: &Path, step: u64) {
    let mut checkpoint = Checkpoint::new(step, 0);
    checkpoint.put("step", &step).unwrap();
    checkpoint.put_tensors("values", [("values", values(step))]).unwrap();
    checkpoints(directory).save(&checkpoint).unwrap();
}

/// The step in the model file, whose hash must be there and right.
fn load_file(directory: &Path) -> u64 {
    assert!(directory.join("model.safetensors.sha256").exists());
    let file = TensorFile::read(model_file(directory)).unwrap();
    step_of(&file.tensor("values", Device::cpu()).unwrap().to_vec().unwrap())
}

/// The step of the newest checkpoint, the same in all its files.
fn load_checkpoint(directory: &Path) -> u64 {
    let checkpoint = checkpoints(directory).load_latest().unwrap().unwrap();
    let step = step_of(&checkpoint.tensors("values", Device::cpu()).unwrap()["values"].to_vec().unwrap());
    assert_eq!((checkpoint.step(), checkpoint.get::<u64>("step").unwrap()), (step, step));
    step
}

/// Saves one step after another, and says so after each save.
fn save_until_killed(directory: &Path) -> ! {
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let (mut file, mut checkpoint) = (load_file(directory), load_checkpoint(directory));
    say("\nstarted\n".to_owned());
    loop {
        file += 1;
        save_file(directory, file);
        say(format!("\nfile {file}\n"));
        checkpoint += 1;
        save_checkpoint(directory, checkpoint);
        say(format!("\ncheckpoint {checkpoint}\n"));
    }
}

#[test]
fn two_hundred_kills_while_saving_always_leave_the_old_or_the_new() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        save_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let began = Instant::now();
    save_file(directory, 0);
    save_checkpoint(directory, 0);
    save_file(directory, 1);
    // Kills fall anywhere in the first two rounds of saving, on a slow disk too.
    let longest = (2 * began.elapsed()).clamp(Duration::from_millis(10), Duration::from_millis(80));
    let delays = Generator::new(9);

    let (mut file, mut checkpoint) = (1, 0);
    let mut new_but_unsaid = 0;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "two_hundred_kills_while_saving_always_leave_the_old_or_the_new", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "started"), "the program did not start to save");
        let part = delays.take(1).word(0) as f64 / u32::MAX as f64;
        std::thread::sleep(longest.mul_f64(part));
        child.kill().unwrap();
        // The last line may be cut; those before are promises.
        let said: Vec<String> = lines.collect();
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success());
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(!complaints.contains("panicked"), "{complaints}");
        let promised = |what: &str, before: u64| {
            let steps = said.iter().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok());
            steps.max().unwrap_or(before).max(before)
        };
        let (said_file, said_checkpoint) = (promised("file ", file), promised("checkpoint ", checkpoint));
        (file, checkpoint) = (load_file(directory), load_checkpoint(directory));
        // What was reported as saved is there; what was under way is there whole or not at all.
        assert!(file == said_file || file == said_file + 1, "{file}, said {said_file}");
        assert!(
            checkpoint == said_checkpoint || checkpoint == said_checkpoint + 1,
            "{checkpoint}, said {said_checkpoint}"
        );
        new_but_unsaid += (file > said_file) as usize + (checkpoint > said_checkpoint) as usize;
    }
    let left = |directory: &Path| {
        let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with('.')).count()
    };
    let (files, directories) = (left(directory), left(checkpoints(directory).path()));
    println!(
        "{file} files, {checkpoint} checkpoints; interrupted {files} and {directories}, finished unsaid {new_but_unsaid}"
    );
    // The kills did hit saves: otherwise the test has shown nothing.
    assert!(files > 0 && directories > 0);
}

/// One program saves, another reads: the reader never sees a half, nor takes a change for damage.
#[test]
fn readers_beside_a_writer_see_whole_states() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    save_file(directory, 0);
    save_checkpoint(directory, 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for step in 1..40 {
                save_file(directory, step);
                save_checkpoint(directory, step);
            }
            done.store(true, Ordering::Release);
        });
        let (mut file, mut checkpoint) = (0, 0);
        while !done.load(Ordering::Acquire) {
            let seen = (load_file(directory), load_checkpoint(directory));
            assert!(seen.0 >= file && seen.1 >= checkpoint);
            (file, checkpoint) = seen;
        }
    });
    assert_eq!((load_file(directory), load_checkpoint(directory)), (39, 39));
    assert_eq!(checkpoints(directory).entries().unwrap().len(), 2);
}
