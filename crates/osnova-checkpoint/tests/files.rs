//! Other people's files, and other savers: nothing of theirs is removed, nothing is left half, nothing waits for ever.

use osnova_checkpoint::{Checkpoint, CheckpointDirectory, CheckpointError, TensorFile, load_tensors, save_tensors};
use osnova_cpu::CpuDevice;
use osnova_tensor::{Device, Tensor};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Barrier;

fn tensor(value: f32) -> Tensor {
    Tensor::full([1000], value, osnova_tensor::DType::F32, Device::cpu()).unwrap()
}

fn save(path: &Path, value: f32) -> osnova_checkpoint::Result<()> {
    save_tensors(path, [("x", tensor(value))], &Default::default())
}

/// The value in a file, all of whose elements must have it.
fn load(path: &Path) -> f32 {
    let values = load_tensors(path, Device::cpu()).unwrap()["x"].to_vec::<f32>().unwrap();
    assert!(values.iter().all(|&value| value == values[0]));
    values[0]
}

fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn two_savers_of_one_file_leave_the_file_of_one_of_them() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..40 {
        let path = directory.path().join(format!("{round}.safetensors"));
        let together = Barrier::new(3);
        std::thread::scope(|scope| {
            for saver in 0..2 {
                let (path, together) = (&path, &together);
                scope.spawn(move || {
                    together.wait();
                    (0..3).for_each(|time| save(path, (10 * saver + time) as f32).unwrap());
                });
            }
            // And a reader, who never takes a change for damage.
            together.wait();
            while !path.exists() {}
            (0..5).for_each(|_| assert!([0.0, 1.0, 2.0, 10.0, 11.0, 12.0].contains(&load(&path))));
        });
        assert!([2.0, 12.0].contains(&load(&path)));
        let hash = fs::read_to_string(directory.path().join(format!("{round}.safetensors.sha256"))).unwrap();
        assert_eq!(hash.lines().count(), 1);
    }
    assert_eq!(names(directory.path()).len(), 80);
}

#[test]
fn two_runs_in_one_directory_each_get_their_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let together = Barrier::new(4);
    std::thread::scope(|scope| {
        for run in 0..4 {
            let (directory, together) = (directory.path(), &together);
            scope.spawn(move || {
                let checkpoints = CheckpointDirectory::create(directory).unwrap();
                together.wait();
                for step in 0..10 {
                    checkpoints.save(&Checkpoint::new(100 * run + step, 0)).unwrap();
                }
            });
        }
    });
    let entries = CheckpointDirectory::create(directory.path()).unwrap().entries().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.number()).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    assert_eq!(entries.iter().map(|entry| entry.step()).collect::<BTreeSet<_>>().len(), 40);
    entries.iter().for_each(|entry| entry.verify().unwrap());
    assert_eq!(names(directory.path()).len(), 40);
}

/// Two savers of one checkpoint's path: one is told.
#[test]
fn a_path_is_given_to_one_checkpoint_only() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = directory.path().join(round.to_string());
        let together = Barrier::new(2);
        let results = std::thread::scope(|scope| {
            let saver = || {
                together.wait();
                Checkpoint::new(1, 0).save(&path)
            };
            let savers = [scope.spawn(saver), scope.spawn(saver)];
            savers.map(|saver| saver.join().unwrap())
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let error = results.into_iter().find_map(Result::err).unwrap();
        assert!(error.to_string().contains("something is there already"), "{error}");
        Checkpoint::load(&path).unwrap();
    }
    assert_eq!(names(directory.path()).len(), 20);
    // An empty directory is someone's too.
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(Checkpoint::new(1, 0).save(&empty).is_err());
}

#[test]
fn only_what_was_written_by_a_checkpoint_directory_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = |name: &str, file: &str, content: &str| {
        fs::create_dir_all(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name).join(file), content).unwrap();
    };
    // Named as ours would be, or nearly, and old; some hold files named as ours.
    foreign("000000-step-0", "weights.pt", "theirs");
    foreign("000001-step-1", "checkpoint.json", "{\"format\": \"another\"}");
    foreign("000002-step-2", "model.safetensors", "theirs");
    foreign("3-step-3", "checkpoint.json", "\"osnova-checkpoint\"");
    foreign("runs", "log", "theirs");
    fs::write(directory.path().join("notes.txt"), "theirs").unwrap();
    fs::write(directory.path().join("000004-step-4"), "a file").unwrap();
    let before = names(directory.path());
    let checkpoints = CheckpointDirectory::create(directory.path()).unwrap().keep_last(1).unwrap();
    let first = checkpoints.save(&Checkpoint::new(10, 0)).unwrap();
    // Notes that someone put into a checkpoint keep all of it.
    fs::write(first.path().join("notes.txt"), "good one").unwrap();
    for step in 11..15 {
        checkpoints.save(&Checkpoint::new(step, 0)).unwrap();
    }
    let mut expected = before;
    expected.insert("000005-step-10".to_owned());
    expected.insert("000009-step-14".to_owned());
    assert_eq!(names(directory.path()), expected);
    assert!(directory.path().join("000000-step-0/weights.pt").exists());
    Checkpoint::load(first.path()).unwrap();
}

#[test]
fn messages_name_the_place_that_was_asked_for_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent/model.safetensors");
    let error = save(&absent, 0.0).unwrap_err().to_string();
    assert!(error.contains("absent/model.safetensors") && error.contains("its directory must be there"), "{error}");
    assert!(error.contains("What was there before is untouched") && !error.contains(".osnova-"), "{error}");
    fs::write(directory.path().join("file"), "").unwrap();
    let error = CheckpointDirectory::create(directory.path().join("file")).unwrap_err().to_string();
    assert!(error.contains("choose another place"), "{error}");
    let error = Checkpoint::new(0, 0).save(directory.path().join("absent/1")).unwrap_err().to_string();
    assert!(error.contains("absent/1: cannot create the directory") && !error.contains(".osnova-"), "{error}");
    // A path with control characters does not reach the terminal.
    let error = TensorFile::read(directory.path().join("a\u{1b}[2J\nb")).unwrap_err();
    assert!(!error.to_string().contains(char::is_control) && !format!("{error:?}").contains(char::is_control));
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    fn pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    }

    /// Puts something at a path.
    type Make = fn(&Path);

    /// Each hangs or does harm where it is opened or replaced as if it were a file.
    #[test]
    fn pipes_sockets_devices_and_directories_are_neither_read_nor_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let good = directory.path().join("good.safetensors");
        save(&good, 1.0).unwrap();
        let make: [(&str, Make); 4] = [
            ("a pipe", pipe),
            ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
            ("a directory", |path| fs::create_dir(path).unwrap()),
            ("a device", |path| symlink("/dev/zero", path).unwrap()),
        ];
        for (number, (kind, make)) in make.into_iter().enumerate() {
            let check = |error: CheckpointError| {
                let message = error.to_string();
                assert!(message.contains(kind), "{kind}: {message}");
            };
            // In place of the file.
            let file = directory.path().join(format!("{number}.safetensors"));
            make(&file);
            let before = fs::metadata(&file).unwrap().file_type();
            check(TensorFile::read(&file).unwrap_err());
            check(save(&file, 2.0).unwrap_err());
            assert_eq!(fs::metadata(&file).unwrap().file_type(), before);
            // In place of its hash: the good file beside it stays.
            let other = directory.path().join(format!("hash-{number}.safetensors"));
            fs::copy(&good, &other).unwrap();
            let hash = directory.path().join(format!("hash-{number}.safetensors.sha256"));
            make(&hash);
            check(TensorFile::read(&other).unwrap_err());
            if kind != "a device" {
                check(save(&other, 2.0).unwrap_err());
                assert_eq!(fs::read(&other).unwrap(), fs::read(&good).unwrap());
            }
            // In a checkpoint.
            for name in ["checkpoint.json", "checkpoint.json.sha256", "model.safetensors"] {
                let path = directory.path().join(format!("checkpoint-{number}-{name}"));
                Checkpoint::new(1, 0).save(&path).unwrap();
                fs::remove_file(path.join(name)).unwrap();
                make(&path.join(name));
                check(Checkpoint::load(&path).unwrap_err());
            }
        }
        assert!(!fs::metadata("/dev/null").unwrap().file_type().is_file());
        assert!(save(Path::new("/dev/null"), 0.0).is_err());
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_link_is_kept_and_the_file_it_leads_to_is_saved() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("real")).unwrap();
        save(&at("real/model.safetensors"), 1.0).unwrap();
        symlink("real/model.safetensors", at("link")).unwrap();
        symlink(at("link"), at("link to the link")).unwrap();
        assert_eq!(load(&at("link to the link")), 1.0);
        save(&at("link to the link"), 2.0).unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(at("link to the link")).unwrap().is_symlink());
        assert_eq!((load(&at("real/model.safetensors")), load(&at("link"))), (2.0, 2.0));
        assert_eq!(names(&at("real")).len(), 2);
        // The hash beside the real file is looked at, whichever way one came.
        fs::write(at("real/model.safetensors"), b"damaged").unwrap();
        assert!(matches!(TensorFile::read(at("link")), Err(CheckpointError::Damaged { .. })));
        // A link to nothing yet, and one to itself.
        symlink("real/new.safetensors", at("dangling")).unwrap();
        save(&at("dangling"), 3.0).unwrap();
        assert_eq!((load(&at("real/new.safetensors")), load(&at("dangling"))), (3.0, 3.0));
        symlink("loop", at("loop")).unwrap();
        for error in [save(&at("loop"), 0.0).unwrap_err(), TensorFile::read(at("loop")).unwrap_err()] {
            assert!(error.to_string().contains("links"), "{error}");
        }
    }

    #[test]
    fn the_permissions_of_a_file_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        save(&path, 1.0).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        save(&path, 2.0).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(load(&path), 2.0);
    }

    /// Up to the 255 bytes that the name of the hash file may have; beyond, it is said, and nothing is written.
    #[test]
    fn every_name_that_fits_the_file_system_with_its_hash_can_be_saved() {
        let directory = tempfile::tempdir().unwrap();
        for length in [200, 212, 240, 248] {
            let path = directory.path().join("x".repeat(length));
            save(&path, length as f32).unwrap();
            save(&path, length as f32).unwrap();
            assert_eq!(load(&path), length as f32);
        }
        let before = names(directory.path());
        for length in [249, 255, 256, 1000] {
            let error = save(&directory.path().join("x".repeat(length)), 0.0).unwrap_err().to_string();
            assert!(error.contains("Give a shorter name"), "{error}");
        }
        assert_eq!(names(directory.path()), before);
    }
}
