//! `checkpoint.json`: everything in a checkpoint that is no tensor.

use crate::bounded::{list, object};
use crate::{CheckpointError, RandomState, Result, files, hash, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
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
/// No honest `checkpoint.json` comes near: a hundred thousand epochs of history take some 20 MiB.
const MAX_METADATA_BYTES: u64 = 64 << 20;
/// The notes of [`Checkpoint::set_metadata`](crate::Checkpoint::set_metadata) are unfolded when they are read, to some
/// twenty times their text.
const MAX_NOTES_BYTES: usize = 1 << 20;

/// `checkpoint.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    pub(crate) files: Files,
    #[serde(deserialize_with = "list")]
    pub(crate) random: Vec<(String, RandomState)>,
    #[serde(with = "numbers")]
    pub(crate) metrics: BTreeMap<String, f64>,
    /// As text, until someone asks for a part and says its type.
    #[serde(deserialize_with = "object")]
    pub(crate) parts: BTreeMap<String, Box<RawValue>>,
    #[serde(deserialize_with = "notes")]
    pub(crate) metadata: Value,
}

/// The files beside it: these two and no others.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    #[serde(rename = "model.safetensors")]
    pub(crate) model: FileRecord,
    #[serde(rename = "training.safetensors")]
    pub(crate) training: FileRecord,
}

#[derive(Serialize, Deserialize)]
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
    let (file, length) = files::open(&path)?;
    if length > MAX_METADATA_BYTES {
        let problem = format!("it is {length} bytes long, more than any checkpoint's");
        return Err(CheckpointError::Metadata { file: path, problem });
    }
    let mut json = files::room(&path, "checkpoint.json", length as usize)?;
    file.take(length).read_to_end(&mut json).map_err(CheckpointError::io(&path, "read"))?;
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
            expected: hash::either(&accepted),
            found,
        });
    }
    parse_metadata(&path, &json)
}

pub(crate) fn parse_metadata(path: &Path, json: &[u8]) -> Result<Metadata> {
    let wrong = |problem: String| CheckpointError::Metadata { file: path.to_owned(), problem };
    let malformed = |error: serde_json::Error| wrong(text::sentence(error));
    if json.len() as u64 > MAX_METADATA_BYTES {
        return Err(wrong(format!("it is {} bytes long, the most is {MAX_METADATA_BYTES}", json.len())));
    }
    let version: VersionOnly = serde_json::from_slice(json).map_err(malformed)?;
    if version.format != FORMAT {
        return Err(wrong(format!("its format is {}, not `{FORMAT}`", text::name(&version.format))));
    }
    if version.version > VERSION {
        let file = path.to_owned();
        return Err(CheckpointError::Version { file, found: version.version, supported: VERSION });
    }
    let metadata: Metadata = serde_json::from_slice(json).map_err(malformed)?;
    for (name, record) in [(MODEL_FILE, &metadata.files.model), (TRAINING_FILE, &metadata.files.training)] {
        if !hash::is_hash(record.sha256.as_bytes()) {
            return Err(wrong(format!("the SHA-256 of {name} is not written as 64 hexadecimal digits")));
        }
    }
    Ok(metadata)
}

/// Notes of a bounded length.
fn notes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    use serde::de::Error;
    let text = <&RawValue>::deserialize(deserializer)?.get();
    if text.len() > MAX_NOTES_BYTES {
        let length = text.len();
        return Err(D::Error::custom(format!("the metadata is {length} bytes long, the most is {MAX_NOTES_BYTES}")));
    }
    serde_json::from_str(text).map_err(D::Error::custom)
}

/// Numbers in JSON, which has no NaN and no infinities: those are texts.
mod numbers {
    use crate::{bounded, text};
    use serde::de::{Error, Visitor};
    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;
    use std::fmt;

    /// A number, or the word for one.
    struct Number(f64);

    impl<'de> Deserialize<'de> for Number {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(NumberVisitor)
        }
    }

    struct NumberVisitor;

    impl Visitor<'_> for NumberVisitor {
        type Value = Number;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
            Ok(Number(value))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
            Ok(Number(value as f64))
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
            Ok(Number(value as f64))
        }

        fn visit_str<E: Error>(self, word: &str) -> Result<Number, E> {
            match word {
                "NaN" => Ok(Number(f64::NAN)),
                "inf" => Ok(Number(f64::INFINITY)),
                "-inf" => Ok(Number(f64::NEG_INFINITY)),
                word => Err(E::custom(format!("a metric is no number: {}", text::name(word)))),
            }
        }
    }

    pub(super) fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(values.len()))?;
        for (name, value) in values {
            if value.is_finite() {
                map.serialize_entry(name, value)?;
            } else {
                map.serialize_entry(name, &value.to_string())?;
            }
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let numbers: BTreeMap<String, Number> = bounded::object(deserializer)?;
        Ok(numbers.into_iter().map(|(name, Number(value))| (name, value)).collect())
    }
}
