//! Where a run writes: one run at a time, and nothing that is not its own is touched.

use crate::print::say;
use osnova::checkpoint::{Checkpoint, CheckpointDirectory};
use osnova::train::Manifest;
use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// What a run was asked to do, written when it begins: a manifest without results.
const RUN: &str = "run.json";
/// The file whose lock a run holds; it stays, empty.
const LOCK: &str = ".osnova.lock";
/// What a run writes under a name that others may use too.
const RESULTS: [&str; 5] = ["checkpoints", "index.html", "manifest.json", "model.safetensors", "preprocessing.json"];

/// The output directory of a run, kept for it as long as this lives.
pub(crate) struct RunDirectory {
    path: PathBuf,
    resume: bool,
    /// Locked; the system unlocks it when the program ends, however it ends.
    _lock: File,
}

impl RunDirectory {
    /// Makes the directory, or takes over that of an earlier run. With `resume` the run goes on, so it must have been
    /// asked for the same; without, the earlier run's checkpoints go: their best would pass for this one's.
    pub(crate) fn open(path: PathBuf, resume: bool, manifest: &Manifest) -> Result<Self, Box<dyn Error>> {
        let refused = |problem: &dyn std::fmt::Display| {
            format!("cannot write to {}: {problem}. Choose another directory with --out", path.display())
        };
        if path.exists() && !path.is_dir() {
            return Err(refused(&"it is no directory").into());
        }
        fs::create_dir_all(&path).map_err(|error| refused(&error))?;
        let earlier = Manifest::load(path.join(RUN));
        if earlier.is_err()
            && Manifest::load(path.join("manifest.json")).is_err()
            && let Some(name) = RESULTS.iter().find(|name| path.join(name).symlink_metadata().is_ok())
        {
            return Err(refused(&format_args!("`{name}` lies there, which this program has not written")).into());
        }
        let lock = File::options().create(true).append(true).open(path.join(LOCK)).map_err(|error| refused(&error))?;
        // Some file systems have no locks; then two runs at a time are the user's affair.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(refused(&"another run writes there now").into());
        }
        let directory = Self { path, resume, _lock: lock };
        match earlier {
            Ok(earlier) if resume => same(&earlier, manifest)?,
            _ if directory.path.join("checkpoints").exists() && !resume => directory.checkpoints()?.clear()?,
            _ => {}
        }
        manifest.save(directory.path.join(RUN))?;
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run's checkpoints go.
    pub(crate) fn checkpoints(&self) -> osnova::checkpoint::Result<CheckpointDirectory> {
        CheckpointDirectory::create(self.path.join("checkpoints"))
    }

    /// The checkpoint to go on from, if the run resumes and there is one.
    pub(crate) fn last_checkpoint(&self, epochs: usize) -> Result<Option<Checkpoint>, Box<dyn Error>> {
        if !self.resume {
            return Ok(None);
        }
        let Some(checkpoint) = self.checkpoints()?.load_latest()? else {
            say!("no checkpoint yet: starts anew");
            return Ok(None);
        };
        let done = checkpoint.epoch();
        if epochs as u64 <= done {
            return Err(format!(
                "--epochs {epochs}: {done} epochs are done already. Ask for more, or leave out --resume"
            )
            .into());
        }
        say!("goes on after epoch {done}");
        Ok(Some(checkpoint))
    }
}

/// Refuses to go on with other choices than the run began with: they would be passed over in silence, or another seed
/// would split the data anew and put what was trained on among what is tested.
fn same(earlier: &Manifest, now: &Manifest) -> Result<(), String> {
    let mut differences = Vec::new();
    let mut compare = |name: &str, then: String, now: String| {
        if then != now {
            differences.push(format!("{name} was {then} and is {now} now"));
        }
    };
    compare("dataset", earlier.dataset.name.clone(), now.dataset.name.clone());
    compare("seed", earlier.seed.to_string(), now.seed.to_string());
    let text = |value: Option<&serde_json::Value>| value.map_or_else(|| "not given".to_owned(), ToString::to_string);
    let names = earlier.hyperparameters.keys().chain(now.hyperparameters.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    // A run may go on for more epochs.
    for name in names.into_iter().filter(|name| *name != "epochs") {
        compare(name, text(earlier.hyperparameters.get(name)), text(now.hyperparameters.get(name)));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!(
        "--resume goes on with the choices of the first run, but {}. Give the same, or leave out --resume",
        differences.join(", ")
    ))
}
