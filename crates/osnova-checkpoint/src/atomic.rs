//! Files that appear whole or not at all.
//!
//! A file is written under a temporary name in the same directory, synced to the disk, renamed over the old one (which
//! POSIX makes atomic), and the directory is synced so that the rename itself lasts.

use crate::hash::{self, Hasher};
use crate::{CheckpointError, Result};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What every temporary name begins with.
const PREFIX: &str = ".osnova-";
/// A temporary that nobody has written to for so long belongs to a program that is gone.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A name that no other save uses, in this process or another: the process, when it began to save, and a count.
fn unique_name(target: &OsStr) -> OsString {
    static BEGAN: OnceLock<u128> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let began = BEGAN.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos()));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = OsString::from(format!("{PREFIX}{}-{began}-{count}-", std::process::id()));
    name.push(target);
    name
}

/// A fresh temporary path beside `target`.
pub(crate) fn temporary_beside(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| {
        CheckpointError::unsaveable(target, "the path names no file", "Give a path that ends in a file name")
    })?;
    Ok(parent(target).join(unique_name(name)))
}

/// Whether a directory entry is a temporary of ours, living or left behind.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// The directory of a path.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory's entries last through a power cut. Windows has no such call and needs none.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    if cfg!(unix) {
        let file = File::open(directory).map_err(CheckpointError::io(directory, "open the directory"))?;
        file.sync_all().map_err(CheckpointError::io(directory, "sync the directory"))?;
    }
    Ok(())
}

/// Removes temporaries in `directory` whose names end in `ending` and that a program that was killed left behind. Best effort.
pub(crate) fn remove_abandoned(directory: &Path, ending: &OsStr) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if is_temporary(&name)
            && name.as_encoded_bytes().ends_with(ending.as_encoded_bytes())
            && is_abandoned(&entry.path())
        {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
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

/// A file under way: written under a temporary name and hashed as it goes. Dropped before [`publish`](Sealed::publish) it
/// leaves nothing behind.
pub(crate) struct Draft {
    target: PathBuf,
    temporary: Temporary,
    file: File,
    hasher: Hasher,
}

/// Removes the file when dropped, unless it has been renamed.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = fs::remove_file(path);
        }
    }
}

impl Draft {
    pub(crate) fn new(target: &Path) -> Result<Self> {
        let path = temporary_beside(target)?;
        let file = create(&path, target)?;
        Ok(Self { target: target.to_owned(), temporary: Temporary(Some(path)), file, hasher: Hasher::new() })
    }

    /// A file under its final name, in a directory that is itself still temporary.
    pub(crate) fn inside_temporary(target: &Path) -> Result<Self> {
        let file = create(target, target)?;
        Ok(Self { target: target.to_owned(), temporary: Temporary(None), file, hasher: Hasher::new() })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(CheckpointError::io(&self.target, "write"))
    }

    /// Brings the content to the disk.
    pub(crate) fn seal(self) -> Result<Sealed> {
        self.file.sync_all().map_err(CheckpointError::io(&self.target, "sync"))?;
        let bytes = self.file.metadata().map_err(CheckpointError::io(&self.target, "read the length of"))?.len();
        Ok(Sealed { target: self.target, temporary: self.temporary, hash: self.hasher.finish(), bytes })
    }
}

fn create(path: &Path, target: &Path) -> Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.map_err(CheckpointError::io(target, "create the file (does its directory exist?)"))
}

/// A file that is complete on the disk, still under its temporary name.
pub(crate) struct Sealed {
    target: PathBuf,
    temporary: Temporary,
    /// SHA-256 in hexadecimal.
    pub(crate) hash: String,
    pub(crate) bytes: u64,
}

impl Sealed {
    /// Gives the file its name, over whatever had it.
    pub(crate) fn publish(mut self) -> Result<()> {
        if let Some(path) = self.temporary.0.take() {
            let renamed = fs::rename(&path, &self.target).map_err(CheckpointError::io(&self.target, "rename"));
            if renamed.is_err() {
                let _ = fs::remove_file(path);
            }
            renamed?;
        }
        sync_directory(parent(&self.target))
    }

    /// Gives the file its name and puts its SHA-256 beside it.
    ///
    /// Two files cannot be renamed at once, so for a moment the hash file holds two hashes, the old file's and the new
    /// one's, and a reader accepts either:
    ///
    /// | a crash after | file | hash file |
    /// |---|---|---|
    /// | nothing | old | old |
    /// | the first step | old | old, new |
    /// | the second | new | old, new |
    /// | the third | new | new |
    ///
    /// Where the old file has no hash beside it, the first step is left out: the old file stays loadable, unverified as it was.
    pub(crate) fn publish_with_hash(self) -> Result<()> {
        let (target, hash) = (self.target.clone(), self.hash.clone());
        let mut accepted = match fs::symlink_metadata(&target) {
            // The hash file of a file that is gone says nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            _ => hash::accepted(&target).ok().flatten().unwrap_or_default(),
        };
        if accepted.len() > 1 {
            // An earlier save was interrupted: only the hash of the file that is there counts, lest the list grow.
            let present = hash::of_file(&target).ok();
            accepted.retain(|hash| Some(hash) == present.as_ref());
        }
        if !accepted.is_empty() && !accepted.contains(&hash) {
            accepted.push(hash.clone());
            write_hash_file(&target, &accepted)?;
        } else if accepted.is_empty() && hash::path(&target).exists() {
            // A stale or malformed hash file would condemn the new file.
            remove(&hash::path(&target))?;
            sync_directory(parent(&target))?;
        }
        self.publish()?;
        write_hash_file(&target, &[hash])
    }
}

/// Writes the hash file beside `target`, atomically.
pub(crate) fn write_hash_file(target: &Path, hashes: &[String]) -> Result<()> {
    let path = hash::path(target);
    let mut draft = Draft::new(&path)?;
    draft.write(hash::lines(target, hashes).as_bytes())?;
    draft.seal()?.publish()
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(CheckpointError::io(path, "remove"))
}

/// Writes a whole small file, atomically, with its hash beside it.
#[cfg(test)]
fn write_file(target: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = Draft::new(target)?;
    draft.write(bytes)?;
    draft.seal()?.publish_with_hash()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_the_old_file_and_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a");
        write_file(&target, b"old").unwrap();
        let mut draft = Draft::new(&target).unwrap();
        draft.write(b"half of the n").unwrap();
        assert_eq!(names(directory.path()).len(), 3);
        drop(draft);
        assert_eq!(names(directory.path()), ["a", "a.sha256"]);
        assert_eq!(fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn a_crash_between_any_two_steps_leaves_a_file_that_its_hashes_accept() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a");
        write_file(&target, b"old").unwrap();
        let (old, new) = (hash::of_bytes(b"old"), hash::of_bytes(b"new"));
        let check = |content: &[u8], hashes: &[&String]| {
            assert_eq!(fs::read(&target).unwrap(), content);
            let accepted = hash::accepted(&target).unwrap().unwrap();
            assert_eq!(accepted.iter().collect::<Vec<_>>(), hashes);
            assert!(accepted.contains(&hash::of_file(&target).unwrap()));
        };
        check(b"old", &[&old]);
        write_hash_file(&target, &[old.clone(), new.clone()]).unwrap();
        check(b"old", &[&old, &new]);
        fs::write(&target, b"new").unwrap();
        check(b"new", &[&old, &new]);
        // The next save after a crash starts from the hash that holds.
        write_file(&target, b"newer").unwrap();
        check(b"newer", &[&hash::of_bytes(b"newer")]);
    }

    #[test]
    fn a_stale_or_malformed_hash_file_does_not_condemn_the_next_save() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a");
        for stale in ["", "not a hash\n", &hash::lines(&target, &[hash::of_bytes(b"other")])] {
            fs::write(hash::path(&target), stale).unwrap();
            write_file(&target, b"new").unwrap();
            assert_eq!(hash::accepted(&target).unwrap(), Some(vec![hash::of_bytes(b"new")]));
        }
    }

    #[test]
    fn abandoned_temporaries_go_and_living_ones_stay() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("model");
        let (dead, living) = (temporary_beside(&target).unwrap(), temporary_beside(&target).unwrap());
        let dead_directory = temporary_beside(&target).unwrap();
        fs::create_dir(&dead_directory).unwrap();
        let hour_ago = SystemTime::now() - ABANDONED - Duration::from_secs(1);
        for path in [&dead, &living, &dead_directory.join("part")] {
            fs::write(path, b"").unwrap();
        }
        for path in [&dead, &dead_directory.join("part"), &dead_directory] {
            File::open(path).unwrap().set_modified(hour_ago).unwrap();
        }
        remove_abandoned(directory.path(), OsStr::new("another"));
        assert!(dead.exists() && dead_directory.exists());
        remove_abandoned(directory.path(), OsStr::new("model"));
        assert!(!dead.exists() && !dead_directory.exists() && living.exists());
    }
}
