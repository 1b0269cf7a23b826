//! Histories and manifests changed at random: read without a panic, and told in a few words.

use osnova_train::{EpochRecord, History, Manifest};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn check<T>(read: impl FnOnce(&Path) -> osnova_train::Result<T>, path: &Path) {
    if let Err(error) = read(path) {
        let message = error.to_string();
        assert!(message.chars().count() < 2000, "{} characters", message.chars().count());
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

fn samples(directory: &Path) -> [Vec<u8>; 2] {
    let metrics = BTreeMap::from([("train_loss".to_owned(), 0.5), ("validation_loss".to_owned(), f64::NAN)]);
    let record = EpochRecord { epoch: 1, step: 10, learning_rate: 0.1, seconds: 2.0, metrics };
    let history = History { epochs: vec![record], ..History::default() };
    let mut manifest = Manifest::new(3, "cpu");
    manifest.record(&history);
    let (first, second) = (directory.join("history.json"), directory.join("manifest.json"));
    history.save_json(&first).unwrap();
    manifest.save(&second).unwrap();
    [first, second].map(|path| fs::read(path).unwrap())
}

proptest! {
    #[test]
    fn changed_histories_and_manifests(
        changes in proptest::collection::vec((any::<usize>(), 0usize..4, any::<u8>()), 1..5), which in 0usize..2
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("changed.json");
        let mut bytes = samples(directory.path())[which].clone();
        for (place, kind, byte) in changes {
            let at = place % bytes.len().max(1);
            match kind {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..at, *b"18446744073709551616")),
                _ => drop(bytes.splice(at..at, *b"\\u001b[2J")),
            }
        }
        fs::write(&path, bytes).unwrap();
        check(|path| History::load_json(path).map(|_| ()), &path);
        check(|path| Manifest::load(path).map(|_| ()), &path);
    }
}

#[test]
fn long_names_are_cut_and_their_control_characters_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forged.json");
    fs::write(&path, format!("{{\"epochs\": \"{}\"}}", "\\u001b[2J".repeat(1_000_000))).unwrap();
    check(|path| History::load_json(path).map(|_| ()), &path);
    check(|path| Manifest::load(path).map(|_| ()), &path);
    assert!(History::load_json(&path).is_err() && Manifest::load(directory.path()).is_err());
}
