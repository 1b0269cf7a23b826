//! Files in one piece: a reader or a crash meets the old file or the new one.

use crate::{Result, TrainError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` to a temporary file beside `path`, syncs it and renames it. Missing directories are made.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let named = |error| TrainError::io(path, error);
    let temporary = temporary_path(path).map_err(named)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory).map_err(|error| TrainError::io(directory, error))?;
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report; the file may not even exist.
        let _ = fs::remove_file(&temporary);
    } else if cfg!(unix)
        && let Ok(directory) = File::open(directory.unwrap_or(Path::new(".")))
    {
        // So that the rename itself survives a crash. Not every file system can; the content is safe all the same.
        let _ = directory.sync_all();
    }
    written.map_err(named)
}

fn temporary_path(path: &Path) -> io::Result<PathBuf> {
    // Two threads may write the same file; the process and a count keep their temporaries apart.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(temporary))
}

/// Writes a value as JSON for people to read too.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|source| TrainError::Json { path: path.to_owned(), source })?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Reads a value that [`write_json`] wrote.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(|error| TrainError::io(path, error))?;
    serde_json::from_slice(&bytes).map_err(|source| TrainError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/file.json");
        write(&path, b"one").unwrap();
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(read_json::<Vec<i32>>(&path).unwrap(), [1, 2]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn errors_name_the_file_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        write(&file, b"{").unwrap();
        let message = write(&file.join("below"), b"").unwrap_err().to_string();
        assert!(message.contains("choose another place"), "{message}");
        assert!(read_json::<i32>(&file).unwrap_err().to_string().contains("file"));
        assert!(read_json::<i32>(&directory.path().join("none")).unwrap_err().to_string().contains("Check the path"));
        assert!(write(Path::new(".."), b"").is_err());
    }
}
