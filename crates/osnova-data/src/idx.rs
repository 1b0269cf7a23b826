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
//! allocated, memory grows only as data arrive and never past the declared size (but while it is copied to a larger
//! place), and decompression stops one byte after it.

use crate::source::Content;
use crate::{DataError, Result, Source, foreign, memory, text};
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
    /// The elements as `f32`; `i32` and `f64` round to the nearest, whatever that loses: see
    /// [`try_to_f32`](Self::try_to_f32).
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

    /// [`to_f32`](Self::to_f32), unless that loses a value: a whole number that `f32` does not hold (it holds all up to
    /// 2²⁴ = 16,777,216), or a finite number that would become infinite, or zero. Fractions round, as they always do.
    ///
    /// # Errors
    /// An element cannot be held.
    ///
    /// ```
    /// use osnova_data::{IdxArray, IdxData};
    ///
    /// let times = IdxArray { dims: vec![2], data: IdxData::I32(vec![1_700_000_001, 1_700_000_050]) };
    /// assert_eq!(times.to_f32(), [1_700_000_000.0; 2]);
    /// assert!(times.try_to_f32().unwrap_err().to_string().contains("element 0 is 1700000001"));
    /// ```
    pub fn try_to_f32(&self) -> Result<Vec<f32>> {
        let lost = match &self.data {
            IdxData::I32(data) => data.iter().map(|&x| f64::from(x)).enumerate().find(|&(_, x)| is_lost_in_f32(x)),
            IdxData::F64(data) => data.iter().copied().enumerate().find(|&(_, x)| is_lost_in_f32(x)),
            _ => None,
        };
        match lost {
            None => Ok(self.to_f32()),
            Some((index, value)) => Err(DataError::argument(
                "IdxArray::try_to_f32",
                format!("element {index} is {value}, which an f32 does not hold: it would become {}", value as f32),
                "Subtract an offset or rescale in f64 first, or accept the rounding with `to_f32`",
            )),
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

/// Whether rounding to `f32` changes more than the last digits of a fraction.
fn is_lost_in_f32(value: f64) -> bool {
    // Beyond 2^53 an f64 itself no longer tells whole numbers from fractions.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let narrow = value as f32;
    let whole = value.fract() == 0.0 && value.abs() <= WHOLE;
    value.is_finite()
        && (narrow.is_infinite() || (narrow == 0.0 && value != 0.0) || (whole && f64::from(narrow) != value))
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

/// How errors call the reader.
const NAME: &str = "IdxReader";

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
        let size = dims.iter().try_fold(element.size() as u64, |product, &dim| product.checked_mul(dim as u64));
        let size = match size.map(|bytes| (bytes, usize::try_from(bytes))) {
            Some((bytes, Ok(size))) if bytes <= self.max_bytes => size,
            other => {
                let bytes = other.map(|(bytes, _)| bytes);
                return Err(DataError::TooLarge { file: path.to_owned(), bytes, limit: self.max_bytes });
            }
        };
        let data = element.read(&mut Elements { content: &mut content, header, size, path })?;
        // Reading on to the end also checks gzip's own checksum.
        if read_some(&mut content, &mut [0], path)? > 0 {
            let sizes = text::shape(&dims);
            return Err(DataError::Format {
                file: path.to_owned(),
                offset: header + size as u64,
                problem: format!("the file goes on after the {size} bytes of data that its sizes {sizes} declare"),
                advice: "The header or the file is damaged; fetch it again".to_owned(),
            });
        }
        Ok((IdxArray { dims, data }, content.finish(path, is_file)?))
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

    fn read(self, elements: &mut Elements<impl Read>) -> Result<IdxData> {
        Ok(match self {
            Self::U8 => IdxData::U8(elements.read(u8::from_be_bytes)?),
            Self::I8 => IdxData::I8(elements.read(i8::from_be_bytes)?),
            Self::I16 => IdxData::I16(elements.read(i16::from_be_bytes)?),
            Self::I32 => IdxData::I32(elements.read(i32::from_be_bytes)?),
            Self::F32 => IdxData::F32(elements.read(f32::from_be_bytes)?),
            Self::F64 => IdxData::F64(elements.read(f64::from_be_bytes)?),
        })
    }
}

/// The `size` bytes of elements that follow a header.
struct Elements<'a, R> {
    content: &'a mut R,
    header: u64,
    size: usize,
    path: &'a Path,
}

impl<R: Read> Elements<'_, R> {
    /// All elements, decoded as they arrive.
    fn read<const N: usize, T>(&mut self, decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
        let end = self.header + self.size as u64;
        let (mut elements, total) = (Vec::new(), self.size / N);
        let mut piece = memory::room(NAME, "a piece of the file", Some(PIECE.min(self.size)))?;
        piece.resize(PIECE.min(self.size), 0);
        while elements.len() < total {
            let done = elements.len() * N;
            let piece = &mut piece[..PIECE.min(self.size - done)];
            read_exactly(self.content, piece, self.header + done as u64, end, self.path)?;
            let (pieces, _) = piece.as_chunks::<N>();
            if elements.capacity() - elements.len() < pieces.len() {
                // Doubling keeps copying linear; never more than declared.
                let wanted = elements.len().saturating_mul(2).max(elements.len() + pieces.len()).min(total);
                elements.try_reserve_exact(wanted - elements.len()).map_err(|_| DataError::OutOfMemory {
                    operation: NAME,
                    what: format!("the elements of {}", self.path.display()),
                    bytes: Some(self.size as u64),
                })?;
            }
            elements.extend(pieces.iter().map(|&bytes| decode(bytes)));
        }
        Ok(elements)
    }
}

/// The element type, the sizes, and the header's length.
fn read_header(content: &mut impl Read, path: &Path) -> Result<(Element, Vec<usize>, u64)> {
    let mut magic = [0; 4];
    read_exactly(content, &mut magic, 0, 4, path)?;
    let element = match (&magic[..2], Element::of_code(magic[2])) {
        ([0, 0], Some(element)) => element,
        _ => return Err(wrong_magic_number(content, magic, path)),
    };
    let mut sizes = vec![0; 4 * usize::from(magic[3])];
    let header = 4 + sizes.len() as u64;
    read_exactly(content, &mut sizes, 4, header, path)?;
    let dims = sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size) as usize);
    Ok((element, dims.collect(), header))
}

#[cold]
fn wrong_magic_number(content: &mut impl Read, magic: [u8; 4], path: &Path) -> DataError {
    let problem = format!("the file starts with {magic:02x?}, which is not the magic number of an IDX file");
    // A little more tells what it is instead; if it cannot be read, nothing is lost.
    let mut start = magic.to_vec();
    let _ = content.take(foreign::START as u64).read_to_end(&mut start);
    let (problem, advice) = match foreign::binary_format(&start) {
        Some(known) => (format!("{problem}: it is {}", known.what), known.advice),
        None => (
            problem,
            "IDX starts with 00 00, then an element type (08, 09, 0b, 0c, 0d, 0e), then the number of dimensions. Check \
             that this is the right file",
        ),
    };
    DataError::Format { file: path.to_owned(), offset: 0, problem, advice: advice.to_owned() }
}

/// Fills the buffer with what starts at `offset` of the content, whose header says that it goes on to `end`.
fn read_exactly(content: &mut impl Read, buffer: &mut [u8], offset: u64, end: u64, path: &Path) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(content, &mut buffer[filled..], path)? {
            0 => {
                let offset = offset + filled as u64;
                return Err(DataError::Format {
                    file: path.to_owned(),
                    offset,
                    problem: format!("the file ends here, {} bytes short of what its header declares", end - offset),
                    advice: "The file is cut off; fetch it again".to_owned(),
                });
            }
            count => filled += count,
        }
    }
    Ok(())
}

fn read_some(content: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<usize> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result.map_err(|error| DataError::io(path, error)),
        }
    }
}
