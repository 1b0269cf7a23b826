//! SHA-256 of files, and the hash files beside them in the format of `sha256sum`.

use crate::{CheckpointError, Result, files};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A hash file has one line, two after an interrupted save; more than this is no hash file.
const MAX_HASH_FILE_BYTES: u64 = 64 * 1024;

/// SHA-256 of what passes by.
#[derive(Clone)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// The hash of what is left to read.
pub(crate) fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn of_file(path: &Path) -> Result<String> {
    let (file, _) = files::open(path)?;
    of_reader(file).map_err(CheckpointError::io(path, "read"))
}

/// The hash file of a file: `model.safetensors.sha256`.
pub(crate) fn path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

/// The content of a hash file, as `sha256sum` writes it.
pub(crate) fn lines(file: &Path, hashes: &[String]) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    hashes.iter().fold(String::new(), |mut text, hash| {
        let _ = writeln!(text, "{hash}  {name}");
        text
    })
}

/// The hashes that the hash file beside `file` accepts; `None` if there is none. The names in it are not looked at, so that
/// a file and its hash can be renamed together.
pub(crate) fn accepted(file: &Path) -> Result<Option<Vec<String>>> {
    let path = path(file);
    let Some((opened, _)) = files::open_if_there(&path)? else { return Ok(None) };
    let wrong = |problem: String| Err(CheckpointError::HashFile { file: path.clone(), problem });
    let mut bytes = Vec::new();
    opened.take(MAX_HASH_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(CheckpointError::io(&path, "read"))?;
    if bytes.len() as u64 > MAX_HASH_FILE_BYTES {
        return wrong(format!("it is longer than {MAX_HASH_FILE_BYTES} bytes, which no hash file is"));
    }
    let mut hashes: Vec<String> = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match line.split_at_checked(64) {
            Some((hash, rest)) if is_hash(hash) && rest.first().is_none_or(|&byte| byte == b' ' || byte == b'\r') => {
                hashes.push(String::from_utf8_lossy(hash).to_ascii_lowercase());
            }
            _ => return wrong(format!("line {} does not begin with a SHA-256 of 64 hexadecimal digits", index + 1)),
        }
    }
    if hashes.is_empty() {
        return wrong("it holds no hash".to_owned());
    }
    Ok(Some(hashes))
}

/// Whether a text is a hash as [`Hasher::finish`] writes it, in whatever case.
pub(crate) fn is_hash(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit)
}

/// Hashes in words: one, or two after an interrupted save; of the many that a stranger wrote the first ones.
pub(crate) fn either(hashes: &[String]) -> String {
    const SHOWN: usize = 2;
    let mut text = hashes[..hashes.len().min(SHOWN)].join(" or ");
    if hashes.len() > SHOWN {
        let _ = write!(text, " or one of {} more", hashes.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        // FIPS 180-2, appendix B.1, and the empty message.
        assert_eq!(of_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(of_bytes(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of_reader(&b"abc"[..]).unwrap(), of_bytes(b"abc"));
    }
}
