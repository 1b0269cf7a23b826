//! Files that appear whole or not at all.
//!
//! A file is written under a temporary name in the same directory, synced to the disk, renamed over the old one (which
//! POSIX makes atomic), and the directory is synced so that the rename itself lasts.

use crate::hash::{self, Hasher};
use crate::lock::Lock;
use crate::{CheckpointError, Result, files, temporary};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    /// A file that is to become `target`, with the owner and the permissions of the file that is there.
    pub(crate) fn new(target: &Path) -> Result<Self> {
        let path = temporary::beside(target)?;
        let draft = Self::create(&path, target, Temporary(Some(path.clone())))?;
        keep_permissions(&draft.file, target).map_err(CheckpointError::save(target, "keep the permissions"))?;
        Ok(draft)
    }

    /// A file under its final name, in a directory that is itself still temporary. Errors name `shown`.
    pub(crate) fn inside_temporary(path: &Path, shown: &Path) -> Result<Self> {
        Self::create(path, shown, Temporary(None))
    }

    fn create(path: &Path, target: &Path, temporary: Temporary) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(CheckpointError::save(target, "create the file"))?;
        Ok(Self { target: target.to_owned(), temporary, file, hasher: Hasher::new() })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(CheckpointError::save(&self.target, "write"))
    }

    /// Brings the content to the disk.
    pub(crate) fn seal(self) -> Result<Sealed> {
        self.file.sync_all().map_err(CheckpointError::save(&self.target, "sync"))?;
        let bytes = self.file.metadata().map_err(CheckpointError::save(&self.target, "read the length of"))?.len();
        Ok(Sealed { target: self.target, temporary: self.temporary, hash: self.hasher.finish(), bytes })
    }
}

/// Writes a file in one piece, without a hash beside it: a reader or a crash meets the old file or the new one.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("history.csv");
/// osnova_checkpoint::write_file(&path, b"epoch,loss\n1,0.5\n")?;
/// assert_eq!(osnova_checkpoint::read_file(&path, 1000)?, b"epoch,loss\n1,0.5\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A file that is replaced leaves its permissions to the new one, and a link is followed to the file it leads to.
///
/// # Errors
/// Something is at `path` that is no plain file, or the system refuses. What was there before is untouched then.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = &files::resolve(path.as_ref())?;
    files::require_place(path)?;
    temporary::remove_abandoned(files::parent(path), Some(path));
    let mut draft = Draft::new(path)?;
    draft.write(bytes)?;
    draft.seal()?.publish()
}

/// Gives a new file the permissions of the one it replaces, and its owner where the system allows it, before anything is
/// in it.
fn keep_permissions(file: &File, replaced: &Path) -> io::Result<()> {
    let Ok(old) = fs::metadata(replaced) else { return Ok(()) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Only a privileged program may.
            let _ = fchown(file, Some(old.uid()), Some(old.gid()));
        }
        if new.permissions() == old.permissions() {
            return Ok(());
        }
    }
    file.set_permissions(old.permissions())
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
        if let Some(path) = &self.temporary.0 {
            fs::rename(path, &self.target).map_err(CheckpointError::save(&self.target, "rename"))?;
            self.temporary.0 = None;
        }
        files::sync_directory(files::parent(&self.target))
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
    /// Two savers of one file take turns, or the file would be the one's and the hash the other's.
    pub(crate) fn publish_with_hash(self) -> Result<()> {
        let _turn = Lock::to_save(files::parent(&self.target))?;
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
        } else if accepted.is_empty() && fs::symlink_metadata(hash::path(&target)).is_ok() {
            // A stale or malformed hash file would condemn the new file.
            let path = hash::path(&target);
            fs::remove_file(&path).map_err(CheckpointError::save(&path, "remove"))?;
            files::sync_directory(files::parent(&target))?;
        }
        self.publish()?;
        write_hash_file(&target, &[hash])
    }
}

/// Fails before anything is written if a file and its hash cannot be put at `target`.
pub(crate) fn require_places(target: &Path) -> Result<()> {
    files::require_place(target)?;
    files::require_place(&hash::path(target))
}

/// Writes the hash file beside `target`, atomically.
pub(crate) fn write_hash_file(target: &Path, hashes: &[String]) -> Result<()> {
    let path = hash::path(target);
    let mut draft = Draft::new(&path)?;
    draft.write(hash::lines(target, hashes).as_bytes())?;
    draft.seal()?.publish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_hashed(target: &Path, bytes: &[u8]) -> Result<()> {
        let mut draft = Draft::new(target)?;
        draft.write(bytes)?;
        draft.seal()?.publish_with_hash()
    }

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
        write_hashed(&target, b"old").unwrap();
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
        write_hashed(&target, b"old").unwrap();
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
        write_hashed(&target, b"newer").unwrap();
        check(b"newer", &[&hash::of_bytes(b"newer")]);
    }

    #[test]
    fn a_stale_or_malformed_hash_file_does_not_condemn_the_next_save() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a");
        for stale in ["", "not a hash\n", &hash::lines(&target, &[hash::of_bytes(b"other")])] {
            fs::write(hash::path(&target), stale).unwrap();
            write_hashed(&target, b"new").unwrap();
            assert_eq!(hash::accepted(&target).unwrap(), Some(vec![hash::of_bytes(b"new")]));
        }
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        write_hashed(&target, b"secret").unwrap();
        for (file, hash_file) in [(0o600, 0o640), (0o444, 0o400), (0o664, 0o666)] {
            fs::set_permissions(&target, fs::Permissions::from_mode(file)).unwrap();
            fs::set_permissions(hash::path(&target), fs::Permissions::from_mode(hash_file)).unwrap();
            write_hashed(&target, format!("{file:o}").as_bytes()).unwrap();
            assert_eq!((mode(&target), mode(&hash::path(&target))), (file, hash_file));
            assert_eq!(fs::read(&target).unwrap(), format!("{file:o}").as_bytes());
        }
    }
}
