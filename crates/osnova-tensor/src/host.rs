//! Values on their way between the host and a device.

use crate::{DType, Element};
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

    /// The values from bytes in the machine's byte order. `None` if `bytes` is no whole number of elements or a `bool` is neither 0 nor 1.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Self> {
        fn read<T: bytemuck::AnyBitPattern, const N: usize>(bytes: &[u8]) -> Option<Vec<T>> {
            bytes.len().is_multiple_of(N).then(|| bytes.chunks_exact(N).map(bytemuck::pod_read_unaligned).collect())
        }
        Some(match dtype {
            DType::F32 => Self::F32(read::<_, 4>(bytes)?),
            DType::F64 => Self::F64(read::<_, 8>(bytes)?),
            DType::F16 => Self::F16(read::<_, 2>(bytes)?),
            DType::BF16 => Self::BF16(read::<_, 2>(bytes)?),
            DType::I64 => Self::I64(read::<_, 8>(bytes)?),
            DType::I32 => Self::I32(read::<_, 4>(bytes)?),
            DType::U32 => Self::U32(read::<_, 4>(bytes)?),
            DType::U8 => Self::U8(bytes.to_vec()),
            DType::Bool => {
                if bytes.iter().any(|&byte| byte > 1) {
                    return None;
                }
                Self::Bool(bytes.iter().map(|&byte| byte == 1).collect())
            }
        })
    }

    /// The values converted to `f64`.
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

    /// Values of `dtype` from `f64`, each rounded to nearest (truncated for integers).
    pub fn from_f64(dtype: DType, values: &[f64]) -> Self {
        fn convert<T: Element>(values: &[f64]) -> HostData {
            T::into_host(values.iter().map(|&value| T::from_f64(value)).collect())
        }
        match dtype {
            DType::F32 => convert::<f32>(values),
            DType::F64 => convert::<f64>(values),
            DType::F16 => convert::<f16>(values),
            DType::BF16 => convert::<bf16>(values),
            DType::I64 => convert::<i64>(values),
            DType::I32 => convert::<i32>(values),
            DType::U32 => convert::<u32>(values),
            DType::U8 => convert::<u8>(values),
            DType::Bool => convert::<bool>(values),
        }
    }
}
