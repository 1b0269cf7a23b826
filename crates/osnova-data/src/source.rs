//! Where data came from: the bytes a data set was read from, hashed on the way, gunzipped if they are gzip.

use crate::{DataError, Result};
use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};
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
    /// [`DataError::Io`] if the file cannot be read, or is no regular file.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Tracked::new(open_regular(path)?).finish(path, true)
    }
}

/// Opens a regular file. A directory has no content, a device may never end, and a pipe waits for ever for a writer that
/// nobody has started.
fn open_regular(path: &Path) -> Result<File> {
    let metadata = std::fs::metadata(path).map_err(|error| DataError::io(path, error))?;
    if metadata.is_file() {
        return File::open(path).map_err(|error| DataError::io(path, error));
    }
    let what = if metadata.is_dir() { "it is a directory" } else { "it is not a regular file but a pipe or a device" };
    Err(DataError::Io {
        file: path.to_owned(),
        source: io::Error::new(ErrorKind::InvalidInput, what),
        advice:
            "Give a regular file. A pipe or a device can be opened by the caller, and given to a reader's `read_from`"
                .to_owned(),
    })
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
        // An interruption is no error, but the decoder would take it for one and then for the end.
        let count = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

pub(crate) type Peeked<R> = Chain<Cursor<Vec<u8>>, Tracked<R>>;

/// The content of a file: gunzipped if it starts with gzip's magic number, whatever its name says.
pub(crate) enum Content<R> {
    Plain(Peeked<R>),
    Gzip(Box<Members<Peeked<R>>>),
}

impl Content<File> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::new(open_regular(path)?, path)
    }
}

impl<R: Read> Content<R> {
    pub(crate) fn new(reader: R, path: &Path) -> Result<Self> {
        let mut tracked = Tracked::new(reader);
        let mut magic = Vec::with_capacity(2);
        tracked.by_ref().take(2).read_to_end(&mut magic).map_err(|error| DataError::io(path, error))?;
        let gzip = magic == [0x1f, 0x8b];
        let peeked = Cursor::new(magic).chain(tracked);
        Ok(if gzip { Self::Gzip(Box::new(Members::new(peeked))) } else { Self::Plain(peeked) })
    }

    /// The record of all bytes, read or not.
    pub(crate) fn finish(self, path: &Path, is_file: bool) -> Result<Source> {
        let peeked = match self {
            Self::Plain(peeked) => peeked,
            Self::Gzip(members) => members.into_inner(),
        };
        peeked.into_inner().1.finish(path, is_file)
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(members) => members.read(buffer),
        }
    }
}

/// The content of gzip's members, one after the other. Zeros may follow, with which tapes and some tools fill up a block;
/// anything else that follows is an error.
pub(crate) struct Members<R> {
    /// `None` only while one member's decoder gives way to the next one's.
    decoder: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> Members<R> {
    fn new(reader: R) -> Self {
        Self { decoder: Some(GzDecoder::new(BufReader::with_capacity(1 << 15, reader))) }
    }

    fn into_inner(self) -> R {
        self.decoder.expect("there is a decoder between two reads").into_inner().into_inner()
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let decoder = self.decoder.as_mut().expect("there is a decoder between two reads");
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match first_after_zeros(decoder.get_mut())? {
                None => return Ok(0),
                Some(0x1f) => self.decoder = self.decoder.take().map(|decoder| GzDecoder::new(decoder.into_inner())),
                Some(_) => {
                    let what = "bytes that are no gzip data follow the compressed data";
                    return Err(io::Error::new(ErrorKind::InvalidData, what));
                }
            }
        }
    }
}

/// Skips zeros; the byte after them, which is not consumed.
fn first_after_zeros(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = reader.fill_buf()?;
        let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        if let Some(&byte) = bytes.get(zeros) {
            reader.consume(zeros);
            return Ok(Some(byte));
        }
        if zeros == 0 {
            return Ok(None);
        }
        reader.consume(zeros);
    }
}
