//! Where data came from: the bytes a data set was read from, hashed on the way, gunzipped if they are gzip.

use crate::{DataError, Result};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;

/// The origin of a data set, for a run's manifest: whoever has a file with the same SHA-256 has the same data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// A short name, such as the file's.
    pub name: String,
    /// The path it was read from, if it was a file.
    pub file: Option<String>,
    /// The size in bytes as stored (compressed, if it is).
    pub bytes: u64,
    /// The SHA-256 of the bytes as stored, in lower-case hexadecimal.
    pub sha256: String,
}

impl Source {
    /// The source record of bytes in memory.
    ///
    /// ```
    /// let source = osnova_data::Source::of_bytes("abc", b"abc");
    /// assert_eq!(source.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /// ```
    pub fn of_bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), file: None, bytes: bytes.len() as u64, sha256: hexadecimal(&Sha256::digest(bytes)) }
    }

    /// The source record of a file, read to its end.
    ///
    /// # Errors
    /// [`DataError::Io`] if the file cannot be read.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| DataError::io(path, error))?;
        Tracked::new(file).finish(path, true)
    }
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[digit as usize]))
        .collect()
}

/// A reader that hashes and counts what passes.
pub(crate) struct Tracked<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Tracked<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// Reads what is left, and gives the record of all bytes.
    fn finish(mut self, path: &Path, is_file: bool) -> Result<Source> {
        io::copy(&mut BufReader::with_capacity(1 << 16, &mut self), &mut io::sink())
            .map_err(|error| DataError::io(path, error))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let file = is_file.then(|| path.to_string_lossy().into_owned());
        Ok(Source { name, file, bytes: self.bytes, sha256: hexadecimal(&self.hash.finalize()) })
    }
}

impl<R: Read> Read for Tracked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

pub(crate) type Peeked<R> = Chain<Cursor<Vec<u8>>, Tracked<R>>;

/// The content of a file: gunzipped if it starts with gzip's magic number, whatever its name says.
pub(crate) enum Content<R> {
    Plain(BufReader<Peeked<R>>),
    Gzip(Box<MultiGzDecoder<Peeked<R>>>),
}

impl Content<File> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| DataError::io(path, error))?;
        Self::new(file, path)
    }
}

impl<R: Read> Content<R> {
    pub(crate) fn new(reader: R, path: &Path) -> Result<Self> {
        let mut tracked = Tracked::new(reader);
        let mut magic = Vec::with_capacity(2);
        tracked.by_ref().take(2).read_to_end(&mut magic).map_err(|error| DataError::io(path, error))?;
        let gzip = magic == [0x1f, 0x8b];
        let peeked = Cursor::new(magic).chain(tracked);
        Ok(if gzip {
            Self::Gzip(Box::new(MultiGzDecoder::new(peeked)))
        } else {
            Self::Plain(BufReader::with_capacity(1 << 16, peeked))
        })
    }

    /// The record of all bytes, read or not.
    pub(crate) fn finish(self, path: &Path, is_file: bool) -> Result<Source> {
        let peeked = match self {
            Self::Plain(reader) => reader.into_inner(),
            Self::Gzip(decoder) => decoder.into_inner(),
        };
        peeked.into_inner().1.finish(path, is_file)
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}
