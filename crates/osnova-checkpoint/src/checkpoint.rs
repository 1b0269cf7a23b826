//! Checkpoints of a training run: everything it needs to go on with the same bits.

use crate::atomic::Draft;
use crate::lock::Lock;
use crate::metadata::{
    FORMAT, FileRecord, Files, METADATA_FILE, MODEL_FILE, Metadata, TRAINING_FILE, VERSION, parse_metadata,
    read_metadata,
};
use crate::tensors::{self, Stored, StoredMap, TensorFile, TensorMap};
use crate::{CheckpointError, Result, files, hash, model, temporary, text};
use osnova_nn::{Module, StateDict};
use osnova_optim::{Optimizer, OptimizerState};
use osnova_tensor::random::Stream;
use osnova_tensor::{Device, Tensor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A snapshot of a training run.
///
/// It is filled from the run ([`put_model`](Self::put_model), [`put`](Self::put), [`put_tensors`](Self::put_tensors)), saved
/// as a directory of three files, loaded, and given back to a fresh run. Tensors are shared with the run, not copied: taking
/// a snapshot is cheap, and training may go on before it is saved.
///
/// ```
/// use osnova_checkpoint::Checkpoint;
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Linear, Module};
/// use osnova_tensor::{Device, Generator};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("first");
/// let mut model = Linear::new(3, 2, &Generator::new(0), Device::cpu())?;
/// let mut checkpoint = Checkpoint::new(100, 2);
/// checkpoint.put_model(&model);
/// checkpoint.put("patience", &7u32)?;
/// checkpoint.set_metric("validation_loss", 0.25);
/// checkpoint.save(&path)?;
///
/// let checkpoint = Checkpoint::load(&path)?;
/// checkpoint.restore_model(&mut model)?;
/// assert_eq!((checkpoint.step(), checkpoint.epoch()), (100, 2));
/// assert_eq!(checkpoint.get::<u32>("patience")?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint {
    /// Where it came from, for messages.
    source: PathBuf,
    step: u64,
    epoch: u64,
    model: StoredMap,
    /// Named `part/tensor`.
    training: StoredMap,
    random: Vec<(String, RandomState)>,
    /// As JSON, until someone asks for a part and says its type.
    parts: BTreeMap<String, Box<RawValue>>,
    metrics: BTreeMap<String, f64>,
    metadata: Value,
}

/// Where a random generator stands, in a form that can be saved: see [`osnova_tensor::Generator::position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomState {
    /// Which sequence.
    pub seed: u64,
    /// Where in it.
    pub counter: u64,
}

impl From<Stream> for RandomState {
    fn from(stream: Stream) -> Self {
        Self { seed: stream.seed, counter: stream.counter }
    }
}

impl From<RandomState> for Stream {
    fn from(state: RandomState) -> Self {
        Self { seed: state.seed, counter: state.counter }
    }
}

/// An optimizer's state but for its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizerRecord {
    optimizer: String,
    learning_rate: f64,
    steps: Vec<(String, u64)>,
}

impl Checkpoint {
    /// An empty snapshot of a run after `step` optimizer steps, in its `epoch` (both counted from 0).
    pub fn new(step: u64, epoch: u64) -> Self {
        Self {
            source: PathBuf::from("checkpoint"),
            step,
            epoch,
            model: StoredMap::new(),
            training: StoredMap::new(),
            random: Vec::new(),
            parts: BTreeMap::new(),
            metrics: BTreeMap::new(),
            metadata: Value::Null,
        }
    }

    /// How many optimizer steps the run had made.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The epoch the run was in.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes in a model: its parameters, buffers, and where its random generators stand.
    pub fn put_model(&mut self, model: &dyn Module) {
        self.model = model.state_dict().into_iter().map(|(name, tensor)| (name, Stored::Device(tensor))).collect();
        self.random = model.random_state().into_iter().map(|(name, stream)| (name, stream.into())).collect();
    }

    /// Fails where [`restore_model`](Self::restore_model) would because it is another model, and changes nothing.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] with all differences, [`CheckpointError::Part`] if it has other random generators.
    pub fn check_model(&self, model: &dyn Module) -> Result<()> {
        let state = model.state_dict();
        let saved = self.model.iter().map(|(name, tensor)| (name.as_str(), tensor.shape(), tensor.dtype()));
        let mismatch = tensors::mismatch(&state, saved);
        if !mismatch.is_empty() {
            return Err(CheckpointError::Mismatch { file: self.source.clone(), mismatch: Box::new(mismatch) });
        }
        let own: Vec<String> = model.random_state().into_iter().map(|(name, _)| name).collect();
        let saved: Vec<String> = self.random.iter().map(|(name, _)| name.clone()).collect();
        if own == saved {
            return Ok(());
        }
        let listed = |names: &[String]| text::names(names.iter().map(String::as_str));
        let problem = format!("it has the random generators {}, the model has {}", listed(&saved), listed(&own));
        Err(self.part(problem, "Build the model as it was, with the same dropout and noise layers"))
    }

    /// Gives parameters, buffers and random state to a model.
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`] with all differences if it is another model, [`CheckpointError::Part`] if it has other
    /// random generators. The model is unchanged then.
    pub fn restore_model(&self, model: &mut dyn Module) -> Result<()> {
        self.check_model(model)?;
        let state = model.state_dict();
        let mut values = StateDict::new();
        for (name, tensor) in &self.model {
            if let Some(device) = model::device_of(&state, name) {
                let tensor = tensor.to_tensor(device).map_err(CheckpointError::tensor(&self.source, name))?;
                values.insert(name, tensor);
            }
        }
        let random_before = model.random_state();
        let random: Vec<(String, Stream)> =
            self.random.iter().map(|(name, state)| (name.clone(), (*state).into())).collect();
        model.load_random_state(&random).map_err(|error| {
            self.part(error.to_string(), "Build the model as it was, with the same dropout and noise layers")
        })?;
        model.load_state_dict(&values).map_err(|error| {
            // Its own generators fit it.
            let _ = model.load_random_state(&random_before);
            CheckpointError::tensor(&self.source, "the model")(error)
        })
    }

    /// A snapshot of a model and its optimizer: [`new`](Self::new), [`put_model`](Self::put_model) and
    /// [`put_optimizer`](Self::put_optimizer) as part `optimizer`.
    ///
    /// # Errors
    /// Those of [`put_optimizer`](Self::put_optimizer).
    pub fn capture(step: u64, epoch: u64, model: &dyn Module, optimizer: &dyn Optimizer) -> Result<Self> {
        let mut checkpoint = Self::new(step, epoch);
        checkpoint.put_model(model);
        checkpoint.put_optimizer("optimizer", optimizer)?;
        Ok(checkpoint)
    }

    /// Gives a model and its optimizer what [`capture`](Self::capture) took.
    ///
    /// # Errors
    /// Those of [`restore_model`](Self::restore_model) and [`restore_optimizer`](Self::restore_optimizer). Both are
    /// unchanged then.
    pub fn restore(&self, model: &mut dyn Module, optimizer: &mut dyn Optimizer) -> Result<()> {
        let mut before = Self::new(0, 0);
        before.put_model(model);
        self.restore_model(model)?;
        self.restore_optimizer("optimizer", optimizer, model).inspect_err(|_| {
            // Its own values fit it.
            let _ = before.restore_model(model);
        })
    }

    /// Takes in the state of an optimizer under a part's name.
    ///
    /// # Errors
    /// The learning rate is NaN or infinite; the part's name contains `/`.
    pub fn put_optimizer(&mut self, part: &str, optimizer: &dyn Optimizer) -> Result<()> {
        let OptimizerState { optimizer, learning_rate, steps, tensors } = optimizer.state_dict();
        self.put(part, &OptimizerRecord { optimizer, learning_rate, steps })?;
        self.put_tensors(part, tensors)
    }

    /// Gives an optimizer the state kept under a part's name. `model` is the model it updates.
    ///
    /// # Errors
    /// There is no such part, it is another kind of optimizer's, or of another model's. The optimizer is unchanged then.
    pub fn restore_optimizer(&self, part: &str, optimizer: &mut dyn Optimizer, model: &dyn Module) -> Result<()> {
        let OptimizerRecord { optimizer: name, learning_rate, steps } = self.get(part)?;
        if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
            let problem = format!("the state {} has the learning rate {learning_rate}", text::name(part));
            return Err(self.part(problem, "It is damaged: use another checkpoint"));
        }
        let tensors = match model.device() {
            Some(device) => self.tensors(part, device.without_recording())?,
            None => TensorMap::new(),
        };
        let state = OptimizerState { optimizer: name, learning_rate, steps, tensors: tensors.into_iter().collect() };
        optimizer.load_state_dict(model, &state).map_err(|error| {
            self.part(
                format!("the state {} does not fit the optimizer: {error}", text::name(part)),
                "Make the optimizer and the model as they were when the checkpoint was saved",
            )
        })
    }

    /// Keeps plain data under a name: a loader's state, a schedule's, a run's settings.
    ///
    /// # Errors
    /// The data does not come back from JSON: it holds NaN or an infinity, or keys that are no text.
    pub fn put<T: Serialize + DeserializeOwned>(&mut self, part: &str, data: &T) -> Result<()> {
        let name = || text::name(part);
        let value = serde_json::value::to_raw_value(data).map_err(|error| {
            let problem = format!("part {} cannot be written as JSON: {}", name(), text::sentence(error));
            CheckpointError::unsaveable(&self.source, problem, "Use texts as keys")
        })?;
        // An infinity, say the best loss so far, becomes `null` without a word. Better to fail now than at the resume.
        serde_json::from_str::<T>(value.get()).map_err(|error| {
            let problem = format!("part {} would not come back from JSON: {}", name(), text::sentence(error));
            CheckpointError::unsaveable(&self.source, problem, "NaN and infinities become null: use an `Option`")
        })?;
        self.parts.insert(part.to_owned(), value);
        Ok(())
    }

    /// The data kept under a name.
    ///
    /// # Errors
    /// There is none, or it is of another type.
    pub fn get<T: DeserializeOwned>(&self, part: &str) -> Result<T> {
        let value = self.parts.get(part).ok_or_else(|| {
            let known = text::names(self.parts.keys().map(String::as_str));
            self.part(format!("it has no part {}", text::name(part)), format!("It has {known}"))
        })?;
        serde_json::from_str(value.get()).map_err(|error| {
            let problem = format!("part {} is of another type: {}", text::name(part), text::sentence(error));
            self.part(problem, "Load it as the type that was saved")
        })
    }

    /// Whether data is kept under a name.
    pub fn has(&self, part: &str) -> bool {
        self.parts.contains_key(part)
    }

    /// Keeps tensors under a part's name, such as an optimizer's moments. They replace those the part had.
    ///
    /// # Errors
    /// A part's name with `/`, two tensors of one name.
    pub fn put_tensors<N: Into<String>>(
        &mut self,
        part: &str,
        tensors: impl IntoIterator<Item = (N, Tensor)>,
    ) -> Result<()> {
        if part.contains('/') {
            let problem = format!("the name of part {} contains `/`", text::name(part));
            return Err(CheckpointError::unsaveable(&self.source, problem, "Use another character"));
        }
        let tensors = tensors::unique(&self.source, tensors)?;
        let prefix = format!("{part}/");
        self.training.retain(|name, _| !name.starts_with(&prefix));
        self.training.extend(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
        Ok(())
    }

    /// The tensors kept under a part's name, on a device. Empty if there are none.
    ///
    /// # Errors
    /// The device cannot hold them.
    pub fn tensors(&self, part: &str, device: Device) -> Result<TensorMap> {
        let prefix = format!("{part}/");
        let own = self.training.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor)));
        own.map(|(name, tensor)| {
            let tensor = tensor.to_tensor(device).map_err(CheckpointError::tensor(&self.source, name))?;
            Ok((name.to_owned(), tensor))
        })
        .collect()
    }

    /// The model's tensors by name, on a device: to look at, or for a model that shares only some layers
    /// ([`Module::load_matching`]).
    ///
    /// # Errors
    /// The device cannot hold them.
    pub fn model_tensors(&self, device: Device) -> Result<TensorMap> {
        let tensors = self.model.iter();
        tensors
            .map(|(name, tensor)| {
                let tensor = tensor.to_tensor(device).map_err(CheckpointError::tensor(&self.source, name))?;
                Ok((name.clone(), tensor))
            })
            .collect()
    }

    /// Notes a metric, such as the validation loss; NaN and infinities are kept too.
    pub fn set_metric(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), value);
    }

    /// The metrics by name.
    pub fn metrics(&self) -> &BTreeMap<String, f64> {
        &self.metrics
    }

    /// Notes anything else that should be found beside the tensors: the command line, the data set's hash.
    pub fn set_metadata(&mut self, metadata: Value) {
        self.metadata = metadata;
    }

    /// What [`set_metadata`](Self::set_metadata) noted.
    pub fn metadata(&self) -> &Value {
        &self.metadata
    }

    /// Writes the checkpoint as a new directory, atomically: it appears whole under `path` or not at all.
    ///
    /// # Errors
    /// Something is at `path` already (a directory cannot be replaced atomically: a [`CheckpointDirectory`] numbers them),
    /// or whatever the system reports; nothing is left behind then.
    ///
    /// [`CheckpointDirectory`]: crate::CheckpointDirectory
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        require_nothing(path)?;
        let written = self.write(path, path)?;
        let _turn = Lock::to_save(files::parent(path))?;
        written.publish(path)
    }

    /// Writes a complete checkpoint under a temporary name beside `path`. Errors name `shown`.
    pub(crate) fn write(&self, path: &Path, shown: &Path) -> Result<Written> {
        let written = Written(temporary::beside(path)?);
        fs::create_dir(&written.0).map_err(CheckpointError::save(shown, "create the directory"))?;
        self.write_into(&written.0, shown)?;
        Ok(written)
    }

    fn write_into(&self, directory: &Path, shown: &Path) -> Result<()> {
        let write = |name: &str, tensors: &StoredMap| -> Result<FileRecord> {
            let path = directory.join(name);
            let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
            let mut draft = Draft::inside_temporary(&path, shown)?;
            tensors::write(&mut draft, shown, tensors, &metadata)?;
            let sealed = draft.seal()?;
            write_hash(&path, shown, &sealed.hash)?;
            Ok(FileRecord { bytes: sealed.bytes, sha256: sealed.hash.clone() })
        };
        let files = Files { model: write(MODEL_FILE, &self.model)?, training: write(TRAINING_FILE, &self.training)? };
        let metadata = Metadata {
            format: FORMAT.to_owned(),
            version: VERSION,
            step: self.step,
            epoch: self.epoch,
            files,
            random: self.random.clone(),
            metrics: self.metrics.clone(),
            parts: self.parts.clone(),
            metadata: self.metadata.clone(),
        };
        let unsaveable =
            |problem, advice| CheckpointError::unsaveable(shown, format!("{METADATA_FILE} {problem}"), advice);
        let mut json = serde_json::to_vec_pretty(&metadata).map_err(|error| {
            unsaveable(format!("cannot be written as JSON: {}", text::sentence(error)), "Use plain data")
        })?;
        json.push(b'\n');
        // Values nested deeper than the reader follows, or more of them than it takes, could be written, but never read.
        if let Err(CheckpointError::Metadata { problem, .. }) = parse_metadata(shown, &json) {
            let advice = "Nest it less deeply, or keep less in it: tensors belong into `put_tensors`";
            return Err(unsaveable(format!("would not come back: {problem}"), advice));
        }
        let path = directory.join(METADATA_FILE);
        let mut draft = Draft::inside_temporary(&path, shown)?;
        draft.write(&json)?;
        write_hash(&path, shown, &draft.seal()?.hash)?;
        files::sync_directory(directory)
    }

    /// Loads a checkpoint that [`save`](Self::save) wrote, and verifies every byte of it.
    ///
    /// # Errors
    /// It is missing, incomplete, damaged (the error names the file), or of a later version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = read_metadata(path)?;
        let model = read_tensors(path, MODEL_FILE, &metadata.files.model)?;
        let training = read_tensors(path, TRAINING_FILE, &metadata.files.training)?;
        Ok(Self {
            source: path.to_owned(),
            step: metadata.step,
            epoch: metadata.epoch,
            model: stored(model),
            training: stored(training),
            random: metadata.random,
            parts: metadata.parts,
            metrics: metadata.metrics,
            metadata: metadata.metadata,
        })
    }

    fn part(&self, problem: impl Into<String>, advice: impl Into<String>) -> CheckpointError {
        CheckpointError::Part { file: self.source.clone(), problem: problem.into(), advice: advice.into() }
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("source", &self.source)
            .field("step", &self.step)
            .field("epoch", &self.epoch)
            .field("model", &self.model.len())
            .field("training", &self.training.len())
            .field("parts", &self.parts.len())
            .field("metrics", &self.metrics.len())
            .finish_non_exhaustive()
    }
}

/// A checkpoint that is complete on the disk, still under its temporary name. Dropped, it is gone.
pub(crate) struct Written(PathBuf);

impl Written {
    /// Gives it its name, which must be free.
    pub(crate) fn publish(self, path: &Path) -> Result<()> {
        // An empty directory would be replaced.
        require_nothing(path)?;
        fs::rename(&self.0, path).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                occupied(path)
            }
            _ => CheckpointError::save(path, "rename")(error),
        })?;
        files::sync_directory(files::parent(path))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // After `publish` there is nothing.
        let _ = temporary::remove(&self.0);
    }
}

fn require_nothing(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() { Err(occupied(path)) } else { Ok(()) }
}

#[cold]
fn occupied(path: &Path) -> CheckpointError {
    let advice = "Choose another path, or let a `CheckpointDirectory` number the checkpoints";
    CheckpointError::unsaveable(path, "something is there already", advice)
}

fn write_hash(path: &Path, shown: &Path, hash: &str) -> Result<()> {
    let mut draft = Draft::inside_temporary(&hash::path(path), shown)?;
    draft.write(hash::lines(path, &[hash.to_owned()]).as_bytes())?;
    draft.seal().map(|_| ())
}

/// Reads a file of a checkpoint and verifies that it is the one `checkpoint.json` means.
fn read_tensors(checkpoint: &Path, name: &str, record: &FileRecord) -> Result<TensorFile> {
    let expected = [record.sha256.clone()];
    tensors::read_verified(&checkpoint.join(name), &checkpoint.join(METADATA_FILE), Some(&expected))
}

fn stored(file: TensorFile) -> StoredMap {
    file.tensors.into_iter().map(|(name, tensor)| (name, Stored::Host(tensor))).collect()
}

/// Verifies a checkpoint, one file in memory at a time.
pub(crate) fn verify(path: &Path) -> Result<()> {
    let metadata = read_metadata(path)?;
    read_tensors(path, MODEL_FILE, &metadata.files.model)?;
    read_tensors(path, TRAINING_FILE, &metadata.files.training)?;
    Ok(())
}
