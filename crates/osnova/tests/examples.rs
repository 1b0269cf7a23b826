//! What the example programs share: the directory that they write to, and how they print.

#[path = "../examples/shared/print.rs"]
#[expect(dead_code, reason = "programs alone use all of it")]
mod print;
#[path = "../examples/shared/run_directory.rs"]
mod run_directory;

use osnova::checkpoint::Checkpoint;
use osnova::train::Manifest;
use run_directory::RunDirectory;
use std::fs;
use std::path::Path;

fn manifest(seed: u64, learning_rate: f64) -> Manifest {
    let mut manifest = Manifest::new(seed, "cpu");
    manifest.hyperparameter("epochs", 10).unwrap();
    manifest.hyperparameter("learning_rate", learning_rate).unwrap();
    manifest
}

fn open(path: &Path, resume: bool, manifest: &Manifest) -> Result<RunDirectory, String> {
    RunDirectory::open(path.to_owned(), resume, manifest).map_err(|error| error.to_string())
}

/// All files below, with their contents.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn what_others_have_written_is_left_alone() {
    for (name, content) in [
        ("checkpoints/my-run/weights.pt", "theirs"),
        ("checkpoints/000001-step-7/weights.pt", "theirs"),
        ("model.safetensors", "theirs"),
        ("manifest.json", "{\"theirs\": true}"),
        ("preprocessing.json", "theirs"),
        ("index.html", "theirs"),
    ] {
        for resume in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, content).unwrap();
            let before = files(directory.path());
            let message = open(directory.path(), resume, &manifest(0, 0.1)).err().expect(name);
            assert!(message.contains("has not written") && message.contains("--out"), "{message}");
            assert_eq!(files(directory.path()), before, "{name}");
        }
    }
    // Files of other names are in nobody's way.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    open(directory.path(), false, &manifest(0, 0.1)).unwrap();
    assert_eq!(fs::read(directory.path().join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn only_checkpoints_go_when_a_run_begins_where_another_was() {
    let directory = tempfile::tempdir().unwrap();
    let run = open(directory.path(), false, &manifest(0, 0.1)).unwrap();
    run.checkpoints().unwrap().save(&Checkpoint::new(3, 1)).unwrap();
    let theirs = directory.path().join("checkpoints/theirs.txt");
    fs::write(&theirs, "theirs").unwrap();
    drop(run);
    let run = open(directory.path(), false, &manifest(1, 0.2)).unwrap();
    assert_eq!(run.path(), directory.path());
    assert!(run.checkpoints().unwrap().latest().unwrap().is_none());
    assert!(theirs.is_file());
    // A name like a checkpoint's makes no checkpoint.
    let weights = directory.path().join("checkpoints/000009-step-9/weights.pt");
    fs::create_dir(weights.parent().unwrap()).unwrap();
    fs::write(&weights, "theirs").unwrap();
    drop(run);
    open(directory.path(), false, &manifest(1, 0.2)).unwrap();
    assert!(weights.is_file());
}

#[test]
fn a_second_run_waits_its_turn() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path(), false, &manifest(0, 0.1)).unwrap();
    first.checkpoints().unwrap().save(&Checkpoint::new(3, 1)).unwrap();
    let before = files(directory.path());
    let message = open(directory.path(), false, &manifest(0, 0.1)).err().unwrap();
    assert!(message.contains("another run"), "{message}");
    assert_eq!(files(directory.path()), before);
    drop(first);
    open(directory.path(), true, &manifest(0, 0.1)).unwrap();
}

#[test]
fn a_run_goes_on_with_its_own_choices_only() {
    let directory = tempfile::tempdir().unwrap();
    let run = open(directory.path(), false, &manifest(0, 0.1)).unwrap();
    run.checkpoints().unwrap().save(&Checkpoint::new(30, 3)).unwrap();
    drop(run);
    let before = files(directory.path());
    for (other, word) in [(manifest(1, 0.1), "seed was 0 and is 1 now"), (manifest(0, 0.2), "learning_rate was 0.1")] {
        let message = open(directory.path(), true, &other).err().unwrap();
        assert!(message.contains(word), "{message}");
        assert_eq!(files(directory.path()), before);
    }
    let mut more = manifest(0, 0.1);
    more.hyperparameter("dropout", 0.5).unwrap();
    assert!(open(directory.path(), true, &more).err().unwrap().contains("dropout was not given"));

    let run = open(directory.path(), true, &manifest(0, 0.1)).unwrap();
    let fewer = run.last_checkpoint(3).unwrap_err().to_string();
    assert!(fewer.contains("--epochs 3") && fewer.contains("done already"), "{fewer}");
    assert_eq!(run.last_checkpoint(4).unwrap().unwrap().epoch(), 3);
}

#[test]
fn what_is_no_directory_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let message = open(&file, false, &manifest(0, 0.1)).err().unwrap();
    assert!(message.contains("it is no directory"), "{message}");
    let message = open(&file.join("below"), false, &manifest(0, 0.1)).err().unwrap();
    assert!(message.contains("--out"), "{message}");
}
