//! Files that are not ours to trust: what a path leads to, and whether it is a plain file at all.

use crate::{CheckpointError, Result};
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// So many links after each other are followed, as Linux does.
const MOST_LINKS: usize = 40;

/// The directory of a path.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What a path leads to in the end: links are followed, so that a save changes the file that a link names, and keeps the
/// link.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let mut resolved = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&resolved) {
            Ok(target) => resolved = parent(&resolved).join(target),
            // It is no link, or nothing.
            Err(_) => return Ok(resolved),
        }
    }
    let source = io::Error::other(format!("it is a chain of more than {MOST_LINKS} links"));
    Err(CheckpointError::io(path, "follow the link")(source))
}

/// What is no plain file, in a word.
fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    if file_type.is_dir() { "a directory" } else { "no plain file" }
}

/// Opens a file to read, with its length; `None` if there is none. Only plain files: a pipe would block, a directory has
/// no content, a device has no end.
pub(crate) fn open_if_there(path: &Path) -> Result<Option<(File, u64)>> {
    let refuse = |file_type| {
        Err(CheckpointError::Missing {
            file: path.to_owned(),
            problem: format!("this is {}, not a file", kind(file_type)),
            advice: "Give the path of a file; a checkpoint directory is loaded with `Checkpoint::load`",
        })
    };
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(CheckpointError::io(path, "read"))?,
    };
    if !metadata.is_file() {
        return refuse(metadata.file_type());
    }
    let file = match File::open(path) {
        // Removed since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(CheckpointError::io(path, "open"))?,
    };
    let metadata = file.metadata().map_err(CheckpointError::io(path, "read the length of"))?;
    if !metadata.is_file() {
        return refuse(metadata.file_type());
    }
    Ok(Some((file, metadata.len())))
}

/// [`open_if_there`], where nothing is an error.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    open_if_there(path)?.ok_or_else(|| CheckpointError::Missing {
        file: path.to_owned(),
        problem: "there is no such file".to_owned(),
        advice: "Check the path",
    })
}

/// Reads a plain file of at most `most` bytes: see [`write_file`](crate::write_file).
///
/// # Errors
/// There is none, it is a pipe, a device or a directory, it is longer, or the system refuses.
pub fn read_file(path: impl AsRef<Path>, most: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let (file, length) = open(path)?;
    if length > most {
        let source =
            io::Error::new(io::ErrorKind::InvalidData, format!("it has {length} bytes, at most {most} are read"));
        return Err(CheckpointError::io(path, "read")(source));
    }
    let mut bytes = room(path, "the file", length as usize)?;
    file.take(length).read_to_end(&mut bytes).map_err(CheckpointError::io(path, "read"))?;
    Ok(bytes)
}

/// Fails unless a plain file may be put at `path`: where nothing is, or one that it replaces.
pub(crate) fn require_place(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) => {
            let problem = format!("{} is there, which is not replaced", kind(metadata.file_type()));
            Err(CheckpointError::unsaveable(path, problem, "Choose another path, or remove it yourself"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CheckpointError::save(path, "look at what is there")(error)),
    }
}

/// Room for so many values. The count is within the file's length, but memory may still be short: an error, not an abort.
pub(crate) fn room<T>(path: &Path, what: &str, count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        let source = io::Error::new(io::ErrorKind::OutOfMemory, format!("{what} does not fit into memory"));
        CheckpointError::io(path, "hold in memory")(source)
    })?;
    Ok(values)
}

/// Makes a directory's entries last through a power cut. Windows has no such call and needs none.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    if cfg!(unix) {
        let left = "What was saved is whole, but may be lost if the power fails now";
        let file = File::open(directory).map_err(CheckpointError::save_leaving(directory, "open", left))?;
        file.sync_all().map_err(CheckpointError::save_leaving(directory, "sync", left))?;
    }
    Ok(())
}
