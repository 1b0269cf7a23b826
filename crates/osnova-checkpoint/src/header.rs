//! The header of a safetensors file: 8 bytes of length, then JSON that says where each tensor lies.
//!
//! The `safetensors` crate reads such headers safely but leniently: it takes the last of two tensors of one name, ignores
//! fields it does not know, and its errors name no place. Here every rule of the format is checked first, with the
//! file, byte and tensor in the error; what passes must also satisfy the crate, whose judgement on offsets is final.

use crate::bounded::{self, MOST_ENTRIES};
use crate::error::DTYPE_NAMES;
use crate::{CheckpointError, Result, text};
use osnova_tensor::{DType, MAX_RANK, Shape};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::value::{Error as PlainError, StrDeserializer};
use serde::de::{Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The bytes before the header.
pub(crate) const LENGTH_BYTES: u64 = 8;
/// The longest header that is read, as in the reference implementation.
pub(crate) const MAX_HEADER_BYTES: u64 = 100_000_000;
/// More tensors than this has no file: each takes many times the memory of its few bytes of header.
const MOST_TENSORS: usize = 1 << 17;
/// The key of the text entries.
pub(crate) const METADATA_KEY: &str = "__metadata__";

const FROM_OTHER: &str = "The file was not made by a correct safetensors writer: make it again";

/// One tensor's place in the data part.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A checked header: the places follow each other without gaps and fill the data part.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) places: Vec<Place>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The header's length from the file's first 8 bytes, checked against the file's length.
pub(crate) fn header_length(file: &Path, first: [u8; 8], file_length: u64) -> Result<u64> {
    let length = u64::from_le_bytes(first);
    if length > MAX_HEADER_BYTES {
        return Err(CheckpointError::format(
            file,
            0,
            None,
            format!("it declares a header of {length} bytes, the format allows {MAX_HEADER_BYTES}"),
            "This is no safetensors file, or it is damaged",
        ));
    }
    if LENGTH_BYTES + length > file_length {
        return Err(CheckpointError::Truncated {
            file: file.to_owned(),
            what: "the header".to_owned(),
            needed: LENGTH_BYTES + length,
            found: file_length,
        });
    }
    Ok(length)
}

/// Reads and checks the header's JSON. `data_length` is the number of bytes after it.
pub(crate) fn parse(file: &Path, json: &[u8], data_length: u64) -> Result<Header> {
    let text = std::str::from_utf8(json).map_err(|error| {
        let offset = LENGTH_BYTES + error.valid_up_to() as u64;
        CheckpointError::format(file, offset, None, "the header is not UTF-8", FROM_OTHER)
    })?;
    if !text.starts_with('{') {
        let problem = "the header does not begin with `{`";
        return Err(CheckpointError::format(file, LENGTH_BYTES, None, problem, "This is no safetensors file"));
    }
    let raw: RawHeader = serde_json::from_str(text).map_err(|error| {
        let offset = LENGTH_BYTES + byte_of(text, error.line(), error.column());
        CheckpointError::format(
            file,
            offset,
            None,
            format!("the header is wrong: {}", text::sentence(error)),
            FROM_OTHER,
        )
    })?;
    let data_start = LENGTH_BYTES + json.len() as u64;
    let mut places =
        raw.tensors.into_iter().map(|(name, raw)| raw.check(file, name, data_start)).collect::<Result<Vec<_>>>()?;
    places.sort_by(|left, right| (left.start, left.end, &left.name).cmp(&(right.start, right.end, &right.name)));
    check_cover(file, &places, data_start, data_length)?;
    second_opinion(file, &places)?;
    Ok(Header { places, metadata: raw.metadata })
}

/// Places must follow each other without overlap or gap and end with the data.
fn check_cover(file: &Path, places: &[Place], data_start: u64, data_length: u64) -> Result<()> {
    let mut reached = 0;
    let mut previous: Option<&Place> = None;
    for place in places {
        let wrong = |problem: String| {
            Err(CheckpointError::format(
                file,
                data_start.saturating_add(place.start),
                Some(&place.name),
                problem,
                FROM_OTHER,
            ))
        };
        if place.start < reached {
            let other = previous.map_or("", |place| &place.name);
            let other = text::name(other);
            return wrong(format!("its data overlaps that of {other}, which ends at offset {reached}"));
        }
        if place.start > reached {
            return wrong(format!("{} bytes before its data belong to no tensor", place.start - reached));
        }
        if place.end > data_length {
            return Err(CheckpointError::Truncated {
                file: file.to_owned(),
                what: format!("tensor {}", text::name(&place.name)),
                needed: data_start.saturating_add(place.end),
                found: data_start + data_length,
            });
        }
        reached = place.end;
        previous = Some(place);
    }
    if reached < data_length {
        let problem = format!("{} bytes after the last tensor belong to no tensor", data_length - reached);
        return Err(CheckpointError::format(file, data_start + reached, None, problem, FROM_OTHER));
    }
    Ok(())
}

/// The reference implementation's own check of the same places, some at a time lest a million names be copied at once.
fn second_opinion(file: &Path, places: &[Place]) -> Result<()> {
    for some in places.chunks(4096) {
        let start = some[0].start;
        let moved = |place: &Place| Place { start: place.start - start, end: place.end - start, ..place.clone() };
        let infos = some.iter().map(|place| (place.name.clone(), info(&moved(place)))).collect();
        Metadata::new(None, infos).map_err(|error| {
            let problem = format!("the header is wrong: {}", text::sentence(error));
            CheckpointError::format(file, LENGTH_BYTES, None, problem, FROM_OTHER)
        })?;
    }
    Ok(())
}

fn info(place: &Place) -> TensorInfo {
    TensorInfo {
        dtype: dtype_of(place.dtype),
        shape: place.shape.dims().to_vec(),
        data_offsets: (place.start as usize, place.end as usize),
    }
}

/// The format's counterpart of a dtype.
fn dtype_of(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

/// Lays tensors out as the reference implementation does (widest dtype first, then by name) and writes the header,
/// length and padding included. The same tensors and metadata always give the same bytes.
pub(crate) fn lay_out<'a>(
    file: &Path,
    tensors: impl Iterator<Item = (&'a str, Shape, DType)>,
    metadata: &BTreeMap<String, String>,
) -> Result<(Vec<u8>, Vec<Place>)> {
    let mut tensors: Vec<_> = tensors.collect();
    if tensors.len() > MOST_TENSORS || metadata.len() > MOST_ENTRIES {
        let (count, entries) = (tensors.len(), metadata.len());
        let problem = format!(
            "there are {count} tensors and {entries} entries of metadata, at most {MOST_TENSORS} and {MOST_ENTRIES} are read"
        );
        return Err(CheckpointError::unsaveable(file, problem, "Save them in several files"));
    }
    tensors.sort_by(|left, right| (dtype_of(right.2), left.0).cmp(&(dtype_of(left.2), right.0)));
    let mut start = 0_u64;
    let mut places = Vec::with_capacity(tensors.len());
    for (name, shape, dtype) in tensors {
        if name == METADATA_KEY {
            let problem = format!("a tensor is named `{METADATA_KEY}`, which the format reserves");
            return Err(CheckpointError::unsaveable(file, problem, "Give the tensor another name"));
        }
        let end = (shape.count() as u64)
            .checked_mul(dtype.size() as u64)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or_else(|| CheckpointError::unsaveable(file, "the tensors exceed 2^64 bytes", "Save them in parts"))?;
        places.push(Place { name: name.to_owned(), dtype, shape, start, end });
        start = end;
    }
    let mut json = serde_json::to_vec(&Written { places: &places, metadata }).map_err(|error| {
        CheckpointError::unsaveable(file, format!("the header cannot be written: {error}"), "Report this as a defect")
    })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() as u64 > MAX_HEADER_BYTES {
        let problem = format!("names and metadata take {} bytes, the format allows {MAX_HEADER_BYTES}", json.len());
        return Err(CheckpointError::unsaveable(file, problem, "Save fewer tensors in a file or less metadata"));
    }
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.append(&mut json);
    Ok((header, places))
}

struct Written<'a> {
    places: &'a [Place],
    metadata: &'a BTreeMap<String, String>,
}

impl serde::Serialize for Written<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = (!self.metadata.is_empty()).then_some((METADATA_KEY, self.metadata));
        let mut map = serializer.serialize_map(None)?;
        use serde::ser::SerializeMap;
        if let Some((key, metadata)) = metadata {
            map.serialize_entry(key, metadata)?;
        }
        for place in self.places {
            map.serialize_entry(&place.name, &info(place))?;
        }
        map.end()
    }
}

/// A header as it stands in the file, each name once.
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, RawTensor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: RawDType,
    shape: Sizes,
    data_offsets: (u64, u64),
}

/// A dtype, or a name that is none of Osnova's.
enum RawDType {
    Known(DType),
    Other(Box<str>),
}

impl<'de> Deserialize<'de> for RawDType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = DTYPE_NAMES.iter().find(|(known, _)| *known == name);
        Ok(known.map_or_else(|| Self::Other(name.into()), |(_, dtype)| Self::Known(*dtype)))
    }
}

/// A tensor's sizes: no more than it may have, however many a file gives.
#[derive(Default)]
struct Sizes {
    sizes: [u64; MAX_RANK],
    count: usize,
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizesVisitor;

        impl<'de> Visitor<'de> for SizesVisitor {
            type Value = Sizes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sizes, A::Error> {
                let mut shape = Sizes::default();
                while let Some(size) = list.next_element()? {
                    let place = shape.sizes.get_mut(shape.count);
                    *place.ok_or_else(|| A::Error::custom(format!("a tensor has at most {MAX_RANK} dimensions")))? =
                        size;
                    shape.count += 1;
                }
                Ok(shape)
            }
        }
        deserializer.deserialize_seq(SizesVisitor)
    }
}

impl RawTensor {
    /// Everything that can be said of one tensor without the others.
    fn check(self, file: &Path, name: String, data_start: u64) -> Result<Place> {
        let (start, end) = self.data_offsets;
        let offset = data_start.saturating_add(start);
        let wrong = |problem: String| Err(CheckpointError::format(file, offset, Some(&name), problem, FROM_OTHER));
        let dtype = match self.dtype {
            RawDType::Known(dtype) => dtype,
            RawDType::Other(dtype) => {
                let plain: StrDeserializer<'_, PlainError> = (*dtype).into_deserializer();
                if Dtype::deserialize(plain).is_ok() {
                    return Err(CheckpointError::DType { file: file.to_owned(), tensor: name, dtype: dtype.into() });
                }
                return wrong(format!("{} is no dtype of the format", text::name(&dtype)));
            }
        };
        let sizes = &self.shape.sizes[..self.shape.count];
        let bytes = sizes.iter().try_fold(dtype.size() as u64, |bytes, &size| bytes.checked_mul(size));
        let dims: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
        let (Some(bytes), Some(dims)) = (bytes, dims) else {
            return wrong(format!("the product of its shape {sizes:?} overflows"));
        };
        if end < start {
            return wrong(format!("its data ends at offset {end}, before it begins at {start}"));
        }
        if end - start != bytes {
            return wrong(format!("its shape {dims:?} of {dtype} takes {bytes} bytes, its data has {}", end - start));
        }
        let shape = Shape::new(&dims).map_err(CheckpointError::tensor(file, &name))?;
        Ok(Place { name, dtype, shape, start, end })
    }
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawHeaderVisitor)
    }
}

struct RawHeaderVisitor;

impl<'de> Visitor<'de> for RawHeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that describes tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut header = RawHeader { metadata: BTreeMap::new(), tensors: BTreeMap::new() };
        let mut has_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA_KEY {
                if has_metadata {
                    return Err(A::Error::custom(format!("`{METADATA_KEY}` appears twice")));
                }
                has_metadata = true;
                header.metadata = map.next_value::<TextEntries>()?.0;
                continue;
            }
            if header.tensors.contains_key(&name) {
                return Err(A::Error::custom(format!("two tensors are named {}", text::name(&name))));
            }
            if header.tensors.len() == MOST_TENSORS {
                return Err(A::Error::custom(format!("there are more than {MOST_TENSORS} tensors")));
            }
            let tensor = map.next_value()?;
            header.tensors.insert(name, tensor);
        }
        Ok(header)
    }
}

#[derive(Deserialize)]
struct TextEntries(#[serde(deserialize_with = "bounded::object")] BTreeMap<String, String>);

/// The byte in `text` of a line and column, both counted from 1.
fn byte_of(text: &str, line: usize, column: usize) -> u64 {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)) as u64
}
