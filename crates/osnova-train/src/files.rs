//! Files in one piece: a reader or a crash meets the old file or the new one.

use crate::{Result, TrainError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// No honest history or manifest is longer.
const MOST_BYTES: u64 = 256 << 20;

/// Writes `bytes` in one piece: see [`osnova_checkpoint::write_file`]. Missing directories are made.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| TrainError::io(directory, error))?;
    }
    Ok(osnova_checkpoint::write_file(path, bytes)?)
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
    let bytes = osnova_checkpoint::read_file(path, MOST_BYTES)?;
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
