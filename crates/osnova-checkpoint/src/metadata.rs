//! `checkpoint.json`: everything in a checkpoint that is no tensor.

use crate::{CheckpointError, RandomState, Result, hash, tensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

/// The model's tensors.
pub(crate) const MODEL_FILE: &str = "model.safetensors";
/// The tensors of everything else: the optimizer's moments.
pub(crate) const TRAINING_FILE: &str = "training.safetensors";
/// Everything that is no tensor, and the hashes of the other files.
pub(crate) const METADATA_FILE: &str = "checkpoint.json";
pub(crate) const FORMAT: &str = "osnova-checkpoint";
pub(crate) const VERSION: u32 = 1;
/// No honest `checkpoint.json` comes near.
const MAX_METADATA_BYTES: u64 = 256 * 1024 * 1024;

/// `checkpoint.json`.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    pub(crate) files: Files,
    pub(crate) random: Vec<(String, RandomState)>,
    #[serde(with = "numbers")]
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) parts: BTreeMap<String, Value>,
    pub(crate) metadata: Value,
}

/// The files beside it: these two and no others.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    #[serde(rename = "model.safetensors")]
    pub(crate) model: FileRecord,
    #[serde(rename = "training.safetensors")]
    pub(crate) training: FileRecord,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// The version alone, read first: a later version may have any other fields.
#[derive(Deserialize)]
struct VersionOnly {
    format: String,
    version: u32,
}

/// Reads `checkpoint.json` in a checkpoint and verifies its hash.
pub(crate) fn read_metadata(checkpoint: &Path) -> Result<Metadata> {
    if !checkpoint.is_dir() {
        let there = fs::symlink_metadata(checkpoint).is_ok();
        let problem = if there { "this is no checkpoint directory" } else { "there is no such checkpoint" };
        let advice = "Check the path; a model file is loaded with `load_model`";
        return Err(CheckpointError::Missing { file: checkpoint.to_owned(), problem: problem.to_owned(), advice });
    }
    let path = checkpoint.join(METADATA_FILE);
    let (file, length) = tensors::open(&path)?;
    if length > MAX_METADATA_BYTES {
        let problem = format!("it is {length} bytes long, more than any checkpoint's");
        return Err(CheckpointError::Metadata { file: path, problem });
    }
    let mut json = Vec::new();
    file.take(MAX_METADATA_BYTES).read_to_end(&mut json).map_err(CheckpointError::io(&path, "read"))?;
    let accepted = hash::accepted(&path)?.ok_or_else(|| CheckpointError::Missing {
        file: hash::path(&path),
        problem: "the checkpoint's hash file is missing".to_owned(),
        advice: "Copy the whole checkpoint, or make the file with `sha256sum` if you trust it",
    })?;
    let found = hash::of_bytes(&json);
    if !accepted.contains(&found) {
        return Err(CheckpointError::Damaged {
            source_of_hash: hash::path(&path),
            detail: parse_metadata(&path, &json).err().map(Box::new),
            file: path,
            expected: accepted.join(" or "),
            found,
        });
    }
    parse_metadata(&path, &json)
}

pub(crate) fn parse_metadata(path: &Path, json: &[u8]) -> Result<Metadata> {
    let wrong = |problem: String| CheckpointError::Metadata { file: path.to_owned(), problem };
    let version: VersionOnly = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
    if version.format != FORMAT {
        return Err(wrong(format!("its format is `{}`, not `{FORMAT}`", version.format)));
    }
    if version.version > VERSION {
        let file = path.to_owned();
        return Err(CheckpointError::Version { file, found: version.version, supported: VERSION });
    }
    serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))
}

/// Numbers in JSON, which has no NaN and no infinities: those are texts.
mod numbers {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| {
            let number = if value.is_finite() { Number::Finite(*value) } else { Number::Text(value.to_string()) };
            (name, number)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let numbers = BTreeMap::<String, Number>::deserialize(deserializer)?;
        let values = numbers.into_iter().map(|(name, number)| {
            let value = match number {
                Number::Finite(value) => value,
                Number::Text(text) => match text.as_str() {
                    "NaN" => f64::NAN,
                    "inf" => f64::INFINITY,
                    "-inf" => f64::NEG_INFINITY,
                    _ => return Err(D::Error::custom(format!("metric `{name}` is no number: `{text}`"))),
                },
            };
            Ok((name, value))
        });
        values.collect()
    }
}
