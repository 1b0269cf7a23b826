//! Values on their way between the host and a device.

use crate::{DType, Element, Error, Result};
use half::{bf16, f16};

/// A tensor's values in host memory, row-major, typed.
#[derive(Clone, Debug, PartialEq)]
pub enum HostData {
    /// `f32` values.
    F32(Vec<f32>),
    /// `f64` values.
    F64(Vec<f64>),
    /// `f16` values.
    F16(Vec<f16>),
    /// `bf16` values.
    BF16(Vec<bf16>),
    /// `i64` values.
    I64(Vec<i64>),
    /// `i32` values.
    I32(Vec<i32>),
    /// `u32` values.
    U32(Vec<u32>),
    /// `u8` values.
    U8(Vec<u8>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// The values in a vector, unless there is no room for one.
pub(crate) fn collected<T>(operation: &'static str, values: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let mut collected = Vec::new();
    collected
        .try_reserve_exact(values.len())
        .map_err(|_| Error::host_memory(operation, values.len(), size_of::<T>()))?;
    collected.extend(values);
    Ok(collected)
}

/// Refuses where the host has no room for `count` things of `size` bytes that something else is about to allocate.
pub(crate) fn room_for(operation: &'static str, count: usize, size: usize) -> Result<()> {
    let bytes = count.checked_mul(size).ok_or_else(|| Error::host_memory(operation, count, size))?;
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Error::host_memory(operation, count, size))
}

/// The values in a vector, however many come, unless there is no room for them.
pub(crate) fn collected_all<T>(operation: &'static str, values: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let no_room = |count| move |_| Error::host_memory(operation, count, size_of::<T>());
    let expected = values.size_hint().0;
    let mut collected = Vec::new();
    collected.try_reserve(expected).map_err(no_room(expected))?;
    for value in values {
        if collected.len() == collected.capacity() {
            collected.try_reserve(1).map_err(no_room(collected.len() + 1))?;
        }
        collected.push(value);
    }
    Ok(collected)
}

/// Runs `$body` with `$values` bound to the typed vector inside a [`HostData`].
macro_rules! each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            HostData::F32($values) => $body,
            HostData::F64($values) => $body,
            HostData::F16($values) => $body,
            HostData::BF16($values) => $body,
            HostData::I64($values) => $body,
            HostData::I32($values) => $body,
            HostData::U32($values) => $body,
            HostData::U8($values) => $body,
            HostData::Bool($values) => $body,
        }
    };
}

/// Runs `$body` with `$rust` as the type of a dtype's elements.
macro_rules! of_dtype {
    ($dtype:expr, $rust:ident => $body:expr) => {
        match $dtype {
            DType::F32 => of_dtype!(@ $rust = f32; $body),
            DType::F64 => of_dtype!(@ $rust = f64; $body),
            DType::F16 => of_dtype!(@ $rust = f16; $body),
            DType::BF16 => of_dtype!(@ $rust = bf16; $body),
            DType::I64 => of_dtype!(@ $rust = i64; $body),
            DType::I32 => of_dtype!(@ $rust = i32; $body),
            DType::U32 => of_dtype!(@ $rust = u32; $body),
            DType::U8 => of_dtype!(@ $rust = u8; $body),
            DType::Bool => of_dtype!(@ $rust = bool; $body),
        }
    };
    (@ $rust:ident = $type:ty; $body:expr) => {{
        type $rust = $type;
        $body
    }};
}

impl HostData {
    /// The dtype of the values.
    pub fn dtype(&self) -> DType {
        fn of<T: Element>(_: &[T]) -> DType {
            T::DTYPE
        }
        each!(self, values => of(values))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as bytes, in the machine's byte order.
    pub fn as_bytes(&self) -> &[u8] {
        each!(self, values => bytemuck::cast_slice(values))
    }

    /// The values from bytes in the machine's byte order.
    ///
    /// # Errors
    /// Bytes that are no whole number of elements, a `bool` that is neither 0 nor 1, too little memory.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Result<Self> {
        fn read<T: bytemuck::AnyBitPattern, const N: usize>(bytes: &[u8]) -> Result<Vec<T>> {
            collected("from_bytes", bytes.chunks_exact(N).map(bytemuck::pod_read_unaligned))
        }
        if !bytes.len().is_multiple_of(dtype.size()) {
            return Err(Error::argument(
                "from_bytes",
                format!("{} bytes are no whole number of {dtype} elements of {} bytes", bytes.len(), dtype.size()),
                "Give all bytes of each element",
            ));
        }
        Ok(match dtype {
            DType::F32 => Self::F32(read::<_, 4>(bytes)?),
            DType::F64 => Self::F64(read::<_, 8>(bytes)?),
            DType::F16 => Self::F16(read::<_, 2>(bytes)?),
            DType::BF16 => Self::BF16(read::<_, 2>(bytes)?),
            DType::I64 => Self::I64(read::<_, 8>(bytes)?),
            DType::I32 => Self::I32(read::<_, 4>(bytes)?),
            DType::U32 => Self::U32(read::<_, 4>(bytes)?),
            DType::U8 => Self::U8(read::<_, 1>(bytes)?),
            DType::Bool => {
                if let Some(byte) = bytes.iter().find(|&&byte| byte > 1) {
                    return Err(Error::argument(
                        "from_bytes",
                        format!("a truth value is {byte}, neither 0 nor 1"),
                        "Give 0 for false and 1 for true",
                    ));
                }
                Self::Bool(collected("from_bytes", bytes.iter().map(|&byte| byte == 1))?)
            }
        })
    }

    /// The values converted to `f64`, one after another. Integers beyond 2⁵³ round.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).map(|index| each!(self, values => values[index].to_f64()))
    }

    /// The values converted to `f64`: eight bytes for each, so that a small tensor may well be read, but one that just fits in memory calls for
    /// [`try_to_f64`](Self::try_to_f64). Integers beyond 2⁵³ round.
    pub fn to_f64(&self) -> Vec<f64> {
        each!(self, values => values.iter().map(|&value| value.to_f64()).collect())
    }

    /// The values as `i64`, truth values as 0 and 1; `None` for floats.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        fn convert<T: Copy + Into<i64>>(values: &[T]) -> Option<Vec<i64>> {
            Some(values.iter().map(|&value| value.into()).collect())
        }
        match self {
            Self::I64(values) => Some(values.clone()),
            Self::I32(values) => convert(values),
            Self::U32(values) => convert(values),
            Self::U8(values) => convert(values),
            Self::Bool(values) => convert(values),
            Self::F32(_) | Self::F64(_) | Self::F16(_) | Self::BF16(_) => None,
        }
    }

    /// [`to_f64`](Self::to_f64), with an error where there is no room for the copy.
    ///
    /// # Errors
    /// Too little memory.
    pub fn try_to_f64(&self) -> Result<Vec<f64>> {
        each!(self, values => collected("to_f64", values.iter().map(|&value| value.to_f64())))
    }

    /// Values of `dtype` from `f64`, each rounded to nearest (truncated for integers). Where there may be too little memory for them, use
    /// [`from_fn`](Self::from_fn).
    pub fn from_f64(dtype: DType, values: &[f64]) -> Self {
        fn convert<T: Element>(values: &[f64]) -> HostData {
            T::into_host(values.iter().map(|&value| T::from_f64(value)).collect())
        }
        of_dtype!(dtype, T => convert::<T>(values))
    }

    /// `count` values of `dtype`, each the function's value for its index, rounded to nearest (truncated for integers).
    ///
    /// # Errors
    /// Too little memory.
    pub fn from_fn(dtype: DType, count: usize, value: impl Fn(usize) -> f64) -> Result<Self> {
        // Generic, so that the trait's conversions are meant: the types of `half` have others of the same name.
        fn make<T: Element>(count: usize, value: impl Fn(usize) -> f64) -> Result<HostData> {
            let values = (0..count).map(|index| T::from_f64(value(index)));
            Ok(T::into_host(collected("from_fn", values)?))
        }
        of_dtype!(dtype, T => make::<T>(count, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_make_no_values_are_refused() {
        for dtype in DType::ALL {
            assert!(HostData::from_bytes(dtype, &[]).unwrap().is_empty());
            assert_eq!(HostData::from_bytes(dtype, &[1; 8]).unwrap().dtype(), dtype);
            if dtype.size() > 1 {
                let error = HostData::from_bytes(dtype, &[0; 9]).unwrap_err().to_string();
                assert!(error.contains("9 bytes") && error.contains(dtype.name()), "{error}");
            }
        }
        let error = HostData::from_bytes(DType::Bool, &[0, 1, 7]).unwrap_err().to_string();
        assert!(error.contains("is 7"), "{error}");
    }

    #[test]
    fn values_come_one_by_one_and_all_together() {
        for dtype in DType::ALL {
            let data = HostData::from_fn(dtype, 2, |index| index as f64).unwrap();
            assert_eq!(data, HostData::from_f64(dtype, &[0.0, 1.0]));
            assert_eq!(data.iter().collect::<Vec<_>>(), [0.0, 1.0]);
            assert_eq!(data.try_to_f64().unwrap(), data.to_f64());
        }
        // Beside the middle of two neighbours by less than an f32 keeps: rounded once.
        let beside = HostData::from_fn(DType::BF16, 1, |_| 938.000_000_1).unwrap();
        assert_eq!(beside, HostData::from_f64(DType::BF16, &[938.000_000_1]));
        assert_eq!(beside.to_f64(), [940.0]);
    }

    #[test]
    fn what_has_no_room_is_an_error() {
        let error = HostData::from_fn(DType::F64, usize::MAX, |_| 0.0).unwrap_err().to_string();
        assert!(error.contains("out of memory") && error.contains(&usize::MAX.to_string()), "{error}");
    }
}
