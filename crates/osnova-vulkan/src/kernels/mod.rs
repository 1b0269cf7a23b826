//! The kernels, one family a file: what is bound, which constants and metadata a shader gets.

pub(crate) mod argreduce;
pub(crate) mod create;
pub(crate) mod cumsum;
pub(crate) mod elementwise;
pub(crate) mod index;
pub(crate) mod losses;
pub(crate) mod matmul;
pub(crate) mod movement;
pub(crate) mod normalise;
pub(crate) mod optimize;
pub(crate) mod reduce;
pub(crate) mod rows;
pub(crate) mod softmax;
pub(crate) mod sort;

use crate::engine::Engine;
use osnova_tensor::{DType, Result, Scalar, Tensor};

/// The names of a shader's modules for each dtype: `shader!("unary", dtype)` is `Some("unary_f32")` and so on.
///
/// Truth values are bytes: they take the modules of `u8`.
macro_rules! shader {
    ($family:literal, $dtype:expr) => {
        match $dtype {
            osnova_tensor::DType::F32 => concat!($family, "_f32"),
            osnova_tensor::DType::F64 => concat!($family, "_f64"),
            osnova_tensor::DType::F16 => concat!($family, "_f16"),
            osnova_tensor::DType::BF16 => concat!($family, "_bf16"),
            osnova_tensor::DType::I64 => concat!($family, "_i64"),
            osnova_tensor::DType::I32 => concat!($family, "_i32"),
            osnova_tensor::DType::U32 => concat!($family, "_u32"),
            osnova_tensor::DType::U8 | osnova_tensor::DType::Bool => concat!($family, "_u8"),
        }
    };
}

/// The names of a shader's modules by the width of an element: for kernels that move elements without reading them.
macro_rules! shader_by_width {
    ($family:literal, $dtype:expr) => {
        match $dtype.size() {
            1 => concat!($family, "_8"),
            2 => concat!($family, "_16"),
            4 => concat!($family, "_32"),
            _ => concat!($family, "_64"),
        }
    };
}

pub(crate) use {shader, shader_by_width};

/// Truth values as the bits of a specialisation constant, the first one lowest.
pub(crate) fn bits(flags: &[bool]) -> u32 {
    flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u32::from(flag))
}

/// How a shader reads the elements of an index, numbered as in `shaders/include/index.glsl`.
pub(crate) fn index_kind(engine: &Engine, operation: &str, index: &Tensor) -> Result<u32> {
    match index.dtype() {
        DType::I64 => Ok(0),
        DType::I32 => Ok(1),
        DType::U32 => Ok(2),
        other => Err(engine.unsupported(&format!("{operation} by an index"), Some(other))),
    }
}

/// A number as a shader computes with it: two words, of which narrow types use the first. Half types compute in `f32`.
pub(crate) fn scalar_words(value: Scalar, dtype: DType) -> [u32; 2] {
    let wide = |bits: u64| [bits as u32, (bits >> 32) as u32];
    match dtype {
        DType::F64 => wide(value.to_f64().to_bits()),
        DType::F32 | DType::F16 | DType::BF16 => {
            // Rounded to the dtype first, as the oracle does.
            let rounded = osnova_tensor::HostData::from_f64(dtype, &[value.to_f64()]).to_f64()[0];
            [(rounded as f32).to_bits(), 0]
        }
        _ => wide(value.to_i64() as u64),
    }
}
