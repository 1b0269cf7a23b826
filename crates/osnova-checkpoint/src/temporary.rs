//! Names for what is not complete yet, and what is left of programs that were killed.
//!
//! A temporary is named `.osnova-<process>-<time>-<count>-<tag>`; the tag tells what it was to become. Nothing else is
//! ever removed: a name that only begins alike is someone else's.

use crate::{CheckpointError, Result, files, hash, metadata};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What every temporary name begins with.
const PREFIX: &str = ".osnova-";
/// A temporary that nobody has written to for so long belongs to a program that is gone.
const ABANDONED: Duration = Duration::from_secs(60 * 60);
/// Hexadecimal digits of a tag.
const TAG: usize = 16;

/// Stands for a file's name, which may be too long to be a part of another.
fn tag(name: &OsStr) -> String {
    let mut tag = hash::of_bytes(name.as_encoded_bytes());
    tag.truncate(TAG);
    tag
}

/// A fresh path beside `target` that no other save uses, in this process or another: the process, when it began to save,
/// and a count.
pub(crate) fn beside(target: &Path) -> Result<PathBuf> {
    static BEGAN: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().ok_or_else(|| {
        CheckpointError::unsaveable(target, "the path names no file", "Give a path that ends in a file name")
    })?;
    let began = BEGAN.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos()));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = format!("{PREFIX}{}-{began}-{count}-{}", std::process::id(), tag(name));
    Ok(files::parent(target).join(temporary))
}

/// The tag of a temporary's name; `None` if it is no name of ours.
fn tag_of(name: &OsStr) -> Option<&str> {
    let parts: Vec<&str> = name.to_str()?.strip_prefix(PREFIX)?.split('-').collect();
    let [process, began, count, tag] = parts[..] else { return None };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let tagged = tag.len() == TAG && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digits(process) && digits(began) && digits(count) && tagged).then_some(tag)
}

/// Removes what programs that were killed left behind in `directory`: of the saves of `target`, or of all saves. Best
/// effort.
pub(crate) fn remove_abandoned(directory: &Path, target: Option<&Path>) {
    let tags: Option<Vec<String>> = target.map(|target| {
        [Some(target), Some(&*hash::path(target))].into_iter().flatten().filter_map(Path::file_name).map(tag).collect()
    });
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = tag_of(&name).is_some_and(|tag| tags.as_ref().is_none_or(|tags| tags.iter().any(|one| one == tag)));
        if ours && is_abandoned(&entry.path()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Removes a file, or a directory that holds nothing but the files of a checkpoint.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    let file_type = fs::symlink_metadata(path)?.file_type();
    if !file_type.is_dir() {
        return if file_type.is_file() { fs::remove_file(path) } else { Ok(()) };
    }
    if holds_only_a_checkpoint(path) {
        for entry in fs::read_dir(path)? {
            fs::remove_file(entry?.path())?;
        }
        // Fails if anything has come since.
        fs::remove_dir(path)?;
    }
    Ok(())
}

/// Whether everything in a directory is a plain file with the name of one of a checkpoint's.
pub(crate) fn holds_only_a_checkpoint(directory: &Path) -> bool {
    let known = |name: &OsStr| {
        let name = name.to_str().unwrap_or_default();
        let file = name.strip_suffix(".sha256").unwrap_or(name);
        [metadata::METADATA_FILE, metadata::MODEL_FILE, metadata::TRAINING_FILE].contains(&file)
    };
    fs::read_dir(directory).is_ok_and(|mut entries| {
        entries.all(|entry| {
            entry.is_ok_and(|entry| known(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()))
        })
    })
}

fn is_abandoned(path: &Path) -> bool {
    let modified = |path: &Path| fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    let mut newest = modified(path);
    if let Ok(entries) = fs::read_dir(path) {
        newest =
            entries.flatten().map(|entry| modified(&entry.path())).fold(newest, |newest, time| match (newest, time) {
                (Ok(newest), Ok(time)) => Ok(newest.max(time)),
                (Err(error), _) | (_, Err(error)) => Err(error),
            });
    }
    newest.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn grow_old(path: &Path) {
        let hour_ago = SystemTime::now() - ABANDONED - Duration::from_secs(1);
        File::open(path).unwrap().set_modified(hour_ago).unwrap();
    }

    #[test]
    fn abandoned_temporaries_go_and_living_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("model");
        let (dead, living) = (beside(&target).unwrap(), beside(&target).unwrap());
        let dead_hash = beside(&hash::path(&target)).unwrap();
        let dead_directory = beside(&target).unwrap();
        let inside = dead_directory.join(metadata::MODEL_FILE);
        fs::create_dir(&dead_directory).unwrap();
        for path in [&dead, &dead_hash, &living, &inside] {
            fs::write(path, b"").unwrap();
        }
        [&dead, &dead_hash, &inside, &dead_directory].into_iter().for_each(|path| grow_old(path));
        remove_abandoned(directory.path(), Some(&directory.path().join("another")));
        assert!(dead.exists() && dead_hash.exists() && dead_directory.exists());
        remove_abandoned(directory.path(), Some(&target));
        assert!(!dead.exists() && !dead_hash.exists() && !dead_directory.exists() && living.exists());
    }

    /// Names that only begin like ours, and directories in which someone has put something: never removed.
    #[test]
    fn what_others_wrote_stays() {
        let directory = tempfile::tempdir().unwrap();
        let names = [
            ".osnova-settings",
            ".osnova-1-2-3-model",
            ".osnova-1-2-0123456789abcdef",
            ".osnova-1-2-x-0123456789abcdef",
            ".osnova-1-2-3-0123456789abcdef-old",
            ".osnova-1-2-3-0123456789abcdeg",
        ];
        for name in names {
            fs::write(directory.path().join(name), b"").unwrap();
        }
        let mixed = directory.path().join(".osnova-1-2-3-0123456789abcdef");
        fs::create_dir(&mixed).unwrap();
        fs::write(mixed.join("notes.txt"), b"").unwrap();
        fs::write(mixed.join(metadata::MODEL_FILE), b"").unwrap();
        let nested = directory.path().join(".osnova-1-2-4-0123456789abcdef");
        fs::create_dir_all(nested.join(metadata::MODEL_FILE)).unwrap();
        let before = fs::read_dir(directory.path()).unwrap().count();
        for path in fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()) {
            for inner in fs::read_dir(&path).into_iter().flatten() {
                grow_old(&inner.unwrap().path());
            }
            grow_old(&path);
        }
        remove_abandoned(directory.path(), None);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before);
        assert!(mixed.join("notes.txt").exists() && mixed.join(metadata::MODEL_FILE).exists());
        // The same directory without the notes is one of ours.
        fs::remove_file(mixed.join("notes.txt")).unwrap();
        grow_old(&mixed);
        remove_abandoned(directory.path(), None);
        assert!(!mixed.exists());
    }

    #[test]
    fn the_longest_names_of_a_file_system_have_temporaries() {
        let name = beside(Path::new(&"x".repeat(255))).unwrap();
        assert!(name.file_name().unwrap().len() < 100, "{name:?}");
        assert!(tag_of(name.file_name().unwrap()).is_some());
        assert!(beside(Path::new("..")).is_err());
    }
}
