//! The IDX format of MNIST and its kin: a magic number, big-endian sizes, and the elements.
//!
//! ```text
//! bytes 0–1   zero
//! byte  2     element type: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64
//! byte  3     number of dimensions
//! then        one big-endian u32 a dimension, then the elements, big-endian, last dimension fastest
//! ```
//!
//! Files may be hostile: sizes are multiplied with overflow checks and held against a limit before anything is
//! allocated, memory grows only as data arrive and never past the declared size, and decompression stops one byte
//! after it.

use crate::source::Content;
use crate::{DataError, Result, Source};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The elements of an IDX array.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum IdxData {
    /// Type 08.
    U8(Vec<u8>),
    /// Type 09.
    I8(Vec<i8>),
    /// Type 0B.
    I16(Vec<i16>),
    /// Type 0C.
    I32(Vec<i32>),
    /// Type 0D.
    F32(Vec<f32>),
    /// Type 0E.
    F64(Vec<f64>),
}

/// An array read from an IDX file.
#[derive(Clone, Debug, PartialEq)]
pub struct IdxArray {
    /// The size along each dimension; the first is the number of samples.
    pub dims: Vec<usize>,
    /// The elements, row-major.
    pub data: IdxData,
}

impl IdxArray {
    /// The elements as `f32`; `i32` and `f64` round to the nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            IdxData::U8(data) => data.iter().map(|&x| x.into()).collect(),
            IdxData::I8(data) => data.iter().map(|&x| x.into()).collect(),
            IdxData::I16(data) => data.iter().map(|&x| x.into()).collect(),
            IdxData::I32(data) => data.iter().map(|&x| x as f32).collect(),
            IdxData::F32(data) => data.clone(),
            IdxData::F64(data) => data.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The elements as `i64`, or `None` if they are floats.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match &self.data {
            IdxData::U8(data) => Some(data.iter().map(|&x| x.into()).collect()),
            IdxData::I8(data) => Some(data.iter().map(|&x| x.into()).collect()),
            IdxData::I16(data) => Some(data.iter().map(|&x| x.into()).collect()),
            IdxData::I32(data) => Some(data.iter().map(|&x| x.into()).collect()),
            IdxData::F32(_) | IdxData::F64(_) => None,
        }
    }
}

/// Reads IDX files, plain or gzip (told apart by content, not by name).
///
/// ```
/// use osnova_data::{IdxData, IdxReader};
///
/// let bytes = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9];
/// let (array, source) = IdxReader::new().read_from(&bytes[..], "three.idx")?;
/// assert_eq!(array.dims, [1, 3]);
/// assert_eq!(array.data, IdxData::U8(vec![7, 8, 9]));
/// assert_eq!(source.bytes, 15);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct IdxReader {
    max_bytes: u64,
}

impl Default for IdxReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Data are read in pieces of this size, so that a short file with a large claim costs little.
const PIECE: usize = 1 << 20;

impl IdxReader {
    /// A reader that accepts arrays of up to 1 GiB.
    pub fn new() -> Self {
        Self { max_bytes: 1 << 30 }
    }

    /// Accepts arrays of up to this many bytes, decompressed.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DataError::Io`] if it cannot be read or its gzip stream is damaged, [`DataError::Format`] if it is not a
    /// complete IDX file with nothing behind it, [`DataError::TooLarge`] if its header declares more than the limit.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<(IdxArray, Source)> {
        let path = path.as_ref();
        self.read_content(Content::open(path)?, path, true)
    }

    /// Reads from anything; `name` stands for the file in errors and in the source record.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_from(&self, reader: impl Read, name: &str) -> Result<(IdxArray, Source)> {
        let path = Path::new(name);
        self.read_content(Content::new(reader, path)?, path, false)
    }

    fn read_content<R: Read>(&self, mut content: Content<R>, path: &Path, is_file: bool) -> Result<(IdxArray, Source)> {
        let (element, dims, header) = read_header(&mut content, path)?;
        let size = dims.iter().try_fold(element.size() as u64, |product, &dim| product.checked_mul(u64::from(dim)));
        let size = match size.map(|bytes| (bytes, usize::try_from(bytes))) {
            Some((bytes, Ok(size))) if bytes <= self.max_bytes => size,
            other => {
                let bytes = other.map(|(bytes, _)| bytes);
                return Err(DataError::TooLarge { file: path.to_owned(), bytes, limit: self.max_bytes });
            }
        };
        let bytes = read_exactly(&mut content, size, header, path)?;
        // Reading on to the end also checks gzip's own checksum.
        if read_some(&mut content, &mut [0], path)? > 0 {
            return Err(DataError::Format {
                file: path.to_owned(),
                offset: header + size as u64,
                problem: format!("the file goes on after the {size} bytes of data that its sizes {dims:?} declare"),
                advice: "The header or the file is damaged; fetch it again".to_owned(),
            });
        }
        let dims = dims.iter().map(|&dim| dim as usize).collect();
        Ok((IdxArray { dims, data: element.decode(bytes) }, content.finish(path, is_file)?))
    }
}

#[derive(Clone, Copy)]
enum Element {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Element {
    fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Self::U8,
            0x09 => Self::I8,
            0x0B => Self::I16,
            0x0C => Self::I32,
            0x0D => Self::F32,
            0x0E => Self::F64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn decode(self, bytes: Vec<u8>) -> IdxData {
        fn wide<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|&chunk| decode(chunk)).collect()
        }
        match self {
            Self::U8 => IdxData::U8(bytes),
            Self::I8 => IdxData::I8(bytes.into_iter().map(|byte| byte as i8).collect()),
            Self::I16 => IdxData::I16(wide(&bytes, i16::from_be_bytes)),
            Self::I32 => IdxData::I32(wide(&bytes, i32::from_be_bytes)),
            Self::F32 => IdxData::F32(wide(&bytes, f32::from_be_bytes)),
            Self::F64 => IdxData::F64(wide(&bytes, f64::from_be_bytes)),
        }
    }
}

/// The element type, the sizes, and the header's length.
fn read_header(content: &mut impl Read, path: &Path) -> Result<(Element, Vec<u32>, u64)> {
    let magic = read_exactly(content, 4, 0, path)?;
    let element = match (&magic[..2], Element::of_code(magic[2])) {
        ([0, 0], Some(element)) => element,
        _ => {
            return Err(DataError::Format {
                file: path.to_owned(),
                offset: 0,
                problem: format!("the file starts with {magic:02x?}, which is not the magic number of an IDX file"),
                advice: "IDX starts with 00 00, then an element type (08, 09, 0b, 0c, 0d, 0e), then the number of \
                         dimensions. Check that this is the right file"
                    .to_owned(),
            });
        }
    };
    let sizes = read_exactly(content, 4 * usize::from(magic[3]), 4, path)?;
    let dims: Vec<u32> = sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size)).collect();
    Ok((element, dims, 4 + sizes.len() as u64))
}

/// Exactly `size` bytes, which start at `offset` of the content.
fn read_exactly(content: &mut impl Read, size: usize, offset: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut filled = 0;
    while filled < size {
        if filled == bytes.len() {
            // Doubling keeps copying linear; never more than declared.
            let target = size.min((2 * filled).max(PIECE));
            bytes.try_reserve_exact(target - filled).map_err(|_| DataError::TooLarge {
                file: path.to_owned(),
                bytes: Some(size as u64),
                limit: filled as u64,
            })?;
            bytes.resize(target, 0);
        }
        match read_some(content, &mut bytes[filled..], path)? {
            0 => {
                return Err(DataError::Format {
                    file: path.to_owned(),
                    offset: offset + filled as u64,
                    problem: format!("the file ends here, {} bytes short of what its header declares", size - filled),
                    advice: "The file is cut off; fetch it again".to_owned(),
                });
            }
            count => filled += count,
        }
    }
    Ok(bytes)
}

fn read_some(content: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<usize> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map_err(|error| DataError::io(path, error)),
        }
    }
}
