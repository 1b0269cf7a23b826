//! Safetensors files of named tensors.

use crate::atomic::{self, Draft};
use crate::hash::{self, Hasher};
use crate::header::{self, Header, LENGTH_BYTES};
use crate::lock::Lock;
use crate::{CheckpointError, Result, files, temporary, text};
use osnova_nn::{StateDict, StateDictMismatch};
use osnova_tensor::{DType, Device, HostData, Shape, Tensor, bf16, f16};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::Path;

/// Tensors by name.
pub type TensorMap = BTreeMap<String, Tensor>;

/// A tensor's values in host memory, as a file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// The shape.
    pub shape: Shape,
    /// The values, row-major.
    pub values: HostData,
}

/// The content of a safetensors file: tensors by name, and the text entries of its header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// The tensors.
    pub tensors: BTreeMap<String, HostTensor>,
    /// The header's `__metadata__`: text by key. PyTorch's files have `format: pt`.
    pub metadata: BTreeMap<String, String>,
}

/// Writes named tensors to a safetensors file, atomically, with its SHA-256 in `<path>.sha256` beside it.
///
/// ```
/// use osnova_checkpoint::{load_tensors, save_tensors};
/// use osnova_cpu::CpuDevice;
/// use osnova_tensor::{Device, Tensor};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("tensors.safetensors");
/// let weight = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], Device::cpu())?;
/// save_tensors(&path, [("weight", weight)], &Default::default())?;
///
/// let tensors = load_tensors(&path, Device::cpu())?;
/// assert_eq!(tensors["weight"].to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The order of the tensors does not matter: the same tensors and metadata give the same bytes. A crash at any moment
/// leaves the old file or the new one; of two programs that save at once the later one's file is left. A file that is
/// replaced leaves its permissions to the new one, and a link is followed: the file it leads to is replaced.
///
/// # Errors
/// Two tensors of one name, the name `__metadata__`, something at `path` or beside it that is no plain file, whatever the
/// system or the tensors' device reports. The old file is then still there, untouched.
pub fn save_tensors<N: Into<String>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, Tensor)>,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let path = &files::resolve(path.as_ref())?;
    let tensors = unique(path, tensors)?;
    atomic::require_places(path)?;
    temporary::remove_abandoned(files::parent(path), Some(path));
    let mut draft = Draft::new(path)?;
    write(&mut draft, path, &tensors, metadata)?;
    draft.seal()?.publish_with_hash()
}

/// A tensor to be saved, or one that was loaded.
#[derive(Clone)]
pub(crate) enum Stored {
    Device(Tensor),
    Host(HostTensor),
}

impl Stored {
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Device(tensor) => *tensor.shape(),
            Self::Host(tensor) => tensor.shape,
        }
    }

    pub(crate) fn dtype(&self) -> DType {
        match self {
            Self::Device(tensor) => tensor.dtype(),
            Self::Host(tensor) => tensor.values.dtype(),
        }
    }

    fn values(&self) -> osnova_tensor::Result<Cow<'_, HostData>> {
        Ok(match self {
            Self::Device(tensor) => Cow::Owned(tensor.to_host()?),
            Self::Host(tensor) => Cow::Borrowed(&tensor.values),
        })
    }

    pub(crate) fn to_tensor(&self, device: Device) -> osnova_tensor::Result<Tensor> {
        match self {
            Self::Device(tensor) => tensor.to_device(device),
            Self::Host(tensor) => tensor.clone().into_tensor(device),
        }
    }
}

pub(crate) type StoredMap = BTreeMap<String, Stored>;

/// Collects tensors by name, each name once.
pub(crate) fn unique<N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, Tensor)>,
) -> Result<StoredMap> {
    let mut map = StoredMap::new();
    for (name, tensor) in tensors {
        let name = name.into();
        if map.contains_key(&name) {
            let problem = format!("two tensors are named {}", text::name(&name));
            return Err(CheckpointError::unsaveable(path, problem, "Give each tensor a name of its own"));
        }
        map.insert(name, Stored::Device(tensor));
    }
    Ok(map)
}

/// Writes the format, one tensor in host memory at a time. Errors name the file `path`.
pub(crate) fn write(
    draft: &mut Draft,
    path: &Path,
    tensors: &StoredMap,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let described = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape(), tensor.dtype()));
    let (header, places) = header::lay_out(path, described, metadata)?;
    draft.write(&header)?;
    for place in &places {
        let values = tensors[&place.name].values().map_err(CheckpointError::tensor(path, &place.name))?;
        let mut bytes = Cow::Borrowed(values.as_bytes());
        if cfg!(target_endian = "big") {
            swap_on_big_endian(bytes.to_mut(), place.dtype.size());
        }
        draft.write(&bytes)?;
    }
    Ok(())
}

/// What differs between a model and tensors that were saved.
pub(crate) fn mismatch<'a>(
    model: &StateDict,
    saved: impl Iterator<Item = (&'a str, Shape, DType)>,
) -> StateDictMismatch {
    let mut saved: BTreeMap<&str, (Shape, DType)> = saved.map(|(name, shape, dtype)| (name, (shape, dtype))).collect();
    let mut mismatch = StateDictMismatch::default();
    for (name, tensor) in model.iter() {
        match saved.remove(name) {
            None => mismatch.missing.push(name.to_owned()),
            Some((shape, dtype)) => {
                if *tensor.shape() != shape {
                    mismatch.shapes.push((name.to_owned(), *tensor.shape(), shape));
                }
                if tensor.dtype() != dtype {
                    mismatch.dtypes.push((name.to_owned(), tensor.dtype(), dtype));
                }
            }
        }
    }
    mismatch.unexpected = saved.into_keys().map(str::to_owned).collect();
    mismatch
}

/// Reads the tensors of a safetensors file onto a device.
///
/// The file's hash is verified if `<path>.sha256` is there.
///
/// # Errors
/// Those of [`TensorFile::read`], and whatever the device reports (a dtype it lacks, too little memory).
pub fn load_tensors(path: impl AsRef<Path>, device: Device) -> Result<TensorMap> {
    let path = path.as_ref();
    TensorFile::read(path)?.into_tensors_of(path, device)
}

impl TensorFile {
    /// Reads and checks a safetensors file; its hash too, if `<path>.sha256` is there.
    ///
    /// Any file may be given, however hostile: nothing is allocated that the file's length does not warrant, and nothing
    /// is returned before all of it has been checked.
    ///
    /// # Errors
    /// The file is missing, cut short, malformed, damaged, or holds a dtype that Osnova lacks.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = &files::resolve(path.as_ref())?;
        let read = || read_verified(path, &hash::path(path), hash::accepted(path)?.as_deref());
        match read() {
            // Another program may have replaced file and hash between our two readings: not while no one saves.
            Err(CheckpointError::Damaged { .. } | CheckpointError::HashFile { .. }) => {
                let _quiet = Lock::to_read(files::parent(path))?;
                read()
            }
            result => result,
        }
    }

    /// Reads a safetensors file in memory. Errors name it `name`.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), but for hashes.
    pub fn from_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<Self> {
        read_from(name.as_ref(), bytes, bytes.len() as u64, None)
    }

    /// One tensor, on a device.
    ///
    /// # Errors
    /// There is none of that name (the error lists the names), or the device cannot hold it.
    pub fn tensor(&self, name: &str, device: Device) -> Result<Tensor> {
        let tensor = self.tensors.get(name).ok_or_else(|| CheckpointError::NoTensor {
            name: name.to_owned(),
            known: self.tensors.keys().cloned().collect(),
        })?;
        tensor.clone().into_tensor(device).map_err(CheckpointError::tensor(Path::new("safetensors"), name))
    }

    /// All tensors, on a device.
    ///
    /// # Errors
    /// The device cannot hold them.
    pub fn into_tensors(self, device: Device) -> Result<TensorMap> {
        self.into_tensors_of(Path::new("safetensors"), device)
    }

    pub(crate) fn into_tensors_of(self, path: &Path, device: Device) -> Result<TensorMap> {
        let tensors = self.tensors.into_iter();
        tensors
            .map(|(name, tensor)| {
                let tensor = tensor.into_tensor(device).map_err(CheckpointError::tensor(path, &name))?;
                Ok((name, tensor))
            })
            .collect()
    }
}

impl HostTensor {
    /// The tensor on a device.
    ///
    /// # Errors
    /// The device lacks the dtype or the memory.
    pub fn into_tensor(self, device: Device) -> osnova_tensor::Result<Tensor> {
        Tensor::from_host(self.values, self.shape.dims(), device)
    }
}

/// Reads a file and holds its hash against the accepted ones, which came from `source_of_hash`.
pub(crate) fn read_verified(path: &Path, source_of_hash: &Path, accepted: Option<&[String]>) -> Result<TensorFile> {
    let (mut file, length) = files::open(path)?;
    let Some(accepted) = accepted else {
        return read_from(path, &mut file, length, None);
    };
    let mut hasher = Hasher::new();
    let result = read_from(path, &mut file, length, Some(&mut hasher));
    let found = match &result {
        Ok(_) => hasher.finish(),
        Err(_) => {
            // The format broke somewhere: whether the file is damaged or was written so, its whole hash tells.
            file.rewind().map_err(CheckpointError::io(path, "read"))?;
            hash::of_reader(&mut file).map_err(CheckpointError::io(path, "read"))?
        }
    };
    if accepted.contains(&found) {
        return result;
    }
    Err(CheckpointError::Damaged {
        file: path.to_owned(),
        source_of_hash: source_of_hash.to_owned(),
        expected: hash::either(accepted),
        found,
        detail: result.err().map(Box::new),
    })
}

/// Reads and checks `length` bytes of a safetensors file.
fn read_from(path: &Path, reader: impl Read, length: u64, hasher: Option<&mut Hasher>) -> Result<TensorFile> {
    let mut reader = Reader { path, reader, hasher, offset: 0, length };
    if length < LENGTH_BYTES {
        return Err(reader.truncated("the header's length", LENGTH_BYTES));
    }
    let mut first = [0; LENGTH_BYTES as usize];
    reader.fill(&mut first, "the header's length")?;
    let header_length = header::header_length(path, first, length)?;
    let mut json = reader.buffer(header_length as usize, "the header")?;
    reader.fill(&mut json, "the header")?;
    let Header { places, metadata } = header::parse(path, &json, length - LENGTH_BYTES - header_length)?;
    let mut tensors = BTreeMap::new();
    for place in places {
        let values = reader.values(&place.name, place.dtype, place.shape.count())?;
        tensors.insert(place.name, HostTensor { shape: place.shape, values });
    }
    Ok(TensorFile { tensors, metadata })
}

/// Reads in order, hashing, and knows where it is.
struct Reader<'a, R> {
    path: &'a Path,
    reader: R,
    hasher: Option<&'a mut Hasher>,
    offset: u64,
    length: u64,
}

impl<R: Read> Reader<'_, R> {
    fn truncated(&self, what: &str, needed: u64) -> CheckpointError {
        CheckpointError::Truncated { file: self.path.to_owned(), what: what.to_owned(), needed, found: self.length }
    }

    fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<()> {
        let needed = self.offset + bytes.len() as u64;
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            // The file has shrunk since its length was taken.
            io::ErrorKind::UnexpectedEof => self.truncated(what, needed),
            _ => CheckpointError::io(self.path, "read")(error),
        })?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.offset = needed;
        Ok(())
    }

    /// Zeros to read into. The length is within the file's, but memory may still be short: an error, not an abort.
    fn buffer<T: Clone + Default>(&self, count: usize, what: &str) -> Result<Vec<T>> {
        let mut buffer = files::room(self.path, what, count)?;
        buffer.resize(count, T::default());
        Ok(buffer)
    }

    fn numbers<T: bytemuck::Pod + Default>(&mut self, name: &str, count: usize) -> Result<Vec<T>> {
        let mut values: Vec<T> = self.buffer(count, &text::name(name))?;
        let bytes = bytemuck::cast_slice_mut(&mut values);
        self.fill(bytes, &text::name(name))?;
        swap_on_big_endian(bytes, size_of::<T>());
        Ok(values)
    }

    fn values(&mut self, name: &str, dtype: DType, count: usize) -> Result<HostData> {
        Ok(match dtype {
            DType::F32 => HostData::F32(self.numbers(name, count)?),
            DType::F64 => HostData::F64(self.numbers(name, count)?),
            DType::F16 => HostData::F16(self.numbers::<f16>(name, count)?),
            DType::BF16 => HostData::BF16(self.numbers::<bf16>(name, count)?),
            DType::I64 => HostData::I64(self.numbers(name, count)?),
            DType::I32 => HostData::I32(self.numbers(name, count)?),
            DType::U32 => HostData::U32(self.numbers(name, count)?),
            DType::U8 => HostData::U8(self.numbers(name, count)?),
            DType::Bool => {
                let start = self.offset;
                let bytes: Vec<u8> = self.numbers(name, count)?;
                if let Some(index) = bytes.iter().position(|&byte| byte > 1) {
                    return Err(CheckpointError::format(
                        self.path,
                        start + index as u64,
                        Some(name),
                        format!("a truth value is stored as {}, not 0 or 1", bytes[index]),
                        "The file was not made by a correct safetensors writer: make it again",
                    ));
                }
                HostData::Bool(bytes.into_iter().map(|byte| byte == 1).collect())
            }
        })
    }
}

/// The format is little-endian. Reverses each element's bytes on machines that are not.
fn swap_on_big_endian(bytes: &mut [u8], size: usize) {
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}
