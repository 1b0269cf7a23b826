//! The names of the functions that the sweep must know, read from the sources.

use std::path::{Path, PathBuf};

/// What is not swept, and why.
pub(crate) const EXEMPT: [&str; 10] = [
    // For backends alone.
    "from_parts",
    "storage",
    "storage_mut",
    // Look at nothing but the handle.
    "same",
    "node_id",
    "is_tracked",
    "detach",
    "into_detached",
    // A user's operation: what it does is the user's.
    "Op::Custom",
    // A trait's.
    "Loss::forward",
];

fn sources(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The name behind `pub fn `, at the given indentation.
fn public(line: &str, indentation: &str) -> Option<String> {
    let rest = line.strip_prefix(indentation)?.strip_prefix("pub fn ")?;
    let name: String = rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The methods of tensors and of generators, the losses and the functions of `osnova::nn`.
pub(crate) fn functions() -> Vec<String> {
    let mut names = Vec::new();
    for file in sources("osnova-tensor/src/tensor") {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut made = false;
        for line in text.lines() {
            names.extend(public(line, "    "));
            // Methods that a macro makes: lines `name => Kind;` behind `…_methods! {`.
            made = line.contains("_methods! {") || made && line != "    }";
            if made && let Some((name, _)) = line.trim().split_once(" => ") {
                names.push(name.to_owned());
            }
        }
    }
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("../osnova-tensor/src/random/generator.rs");
    let text = std::fs::read_to_string(generator).unwrap();
    names.extend(text.lines().filter_map(|line| public(line, "    ")).map(|name| format!("Generator::{name}")));
    for file in sources("osnova-nn/src/losses") {
        let text = std::fs::read_to_string(&file).unwrap();
        names.extend(text.lines().filter_map(|line| public(line, "")));
        let losses = text.lines().filter_map(|line| line.strip_prefix("pub struct ")?.split_once("Loss "));
        names.extend(losses.map(|(name, _)| format!("{name}Loss")));
    }
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../osnova-nn/src/functions.rs");
    let text = std::fs::read_to_string(functions).unwrap();
    names.extend(text.lines().filter_map(|line| public(line, "")));
    assert!(names.iter().any(|name| name == "exp_m1") && names.iter().any(|name| name == "FocalLoss"), "{names:?}");
    names
}
