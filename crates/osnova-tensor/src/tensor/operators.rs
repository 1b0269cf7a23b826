//! `+ - * /` and unary `-`, on tensors, references, results and numbers.

use super::{only, run};
use crate::{Binary, DType, Device, Inputs, Op, Result, Scalar, Shape, Tensor, Unary};
use smallvec::smallvec;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// What can stand beside a tensor in an operation: a tensor (by value or reference), a `Result` of one, or a number, which
/// takes the tensor's dtype.
pub trait Operand {
    /// The operand's own dtype and device; a number has none.
    fn described(&self) -> Option<(DType, Device)>;
    /// The operand as a tensor; a number becomes a scalar of `dtype` beside `device`.
    ///
    /// # Errors
    /// The error inside a `Result`, a number that does not fit the dtype.
    fn resolve(self, dtype: DType, device: Device) -> Result<Tensor>;
}

impl Operand for Tensor {
    fn described(&self) -> Option<(DType, Device)> {
        Some((self.dtype(), self.device()))
    }
    fn resolve(self, _: DType, _: Device) -> Result<Tensor> {
        Ok(self)
    }
}

impl Operand for &Tensor {
    fn described(&self) -> Option<(DType, Device)> {
        Some((self.dtype(), self.device()))
    }
    #[inline]
    fn resolve(self, _: DType, _: Device) -> Result<Tensor> {
        Ok(self.clone())
    }
}

impl Operand for Result<Tensor> {
    fn described(&self) -> Option<(DType, Device)> {
        self.as_ref().ok().map(|tensor| (tensor.dtype(), tensor.device()))
    }
    fn resolve(self, _: DType, _: Device) -> Result<Tensor> {
        self
    }
}

macro_rules! number_operand {
    ($($number:ty),*) => {$(
        impl Operand for $number {
            fn described(&self) -> Option<(DType, Device)> {
                None
            }
            fn resolve(self, dtype: DType, device: Device) -> Result<Tensor> {
                constant(Scalar::from(self), dtype, device)
            }
        }
    )*};
}
/// A number beside a tensor is a constant: it stays out of the record. As in all arithmetic of floats, what is too large for them is infinite.
fn constant(value: Scalar, dtype: DType, device: Device) -> Result<Tensor> {
    let op = Op::Full { shape: Shape::SCALAR, dtype, value: value.as_held(dtype) };
    only(device.without_recording().apply(&op, Inputs::new())?)
}

number_operand!(f64, f32, i64, i32, u32, u8, bool);

/// Two operands of which at most one is a number; two numbers become `f32`.
pub(super) fn resolve_pair(x: impl Operand, y: impl Operand, device: Device) -> Result<(Tensor, Tensor)> {
    let (dtype, device) = x.described().or(y.described()).unwrap_or((DType::F32, device));
    Ok((x.resolve(dtype, device)?, y.resolve(dtype, device)?))
}

macro_rules! operator {
    ($trait:ident, $method:ident, $kind:ident, $($number:ty),*) => {
        impl<O: Operand> $trait<O> for Tensor {
            type Output = Result<Tensor>;
            #[inline]
            fn $method(self, other: O) -> Result<Tensor> {
                let other = other.resolve(self.dtype(), self.device())?;
                run(&Op::Binary(Binary::$kind), smallvec![self, other])
            }
        }
        impl<O: Operand> $trait<O> for &Tensor {
            type Output = Result<Tensor>;
            #[inline]
            fn $method(self, other: O) -> Result<Tensor> {
                self.clone().$method(other)
            }
        }
        impl $trait<Tensor> for Result<Tensor> {
            type Output = Result<Tensor>;
            fn $method(self, other: Tensor) -> Result<Tensor> {
                self?.$method(other)
            }
        }
        impl $trait<&Tensor> for Result<Tensor> {
            type Output = Result<Tensor>;
            fn $method(self, other: &Tensor) -> Result<Tensor> {
                self?.$method(other)
            }
        }
        $(
            impl $trait<Tensor> for $number {
                type Output = Result<Tensor>;
                fn $method(self, other: Tensor) -> Result<Tensor> {
                    self.resolve(other.dtype(), other.device())?.$method(other)
                }
            }
            impl $trait<&Tensor> for $number {
                type Output = Result<Tensor>;
                fn $method(self, other: &Tensor) -> Result<Tensor> {
                    self.$method(other.clone())
                }
            }
        )*
    };
}

// One float and one integer type on the left: with more, `1.0 - &x` would be ambiguous inside a longer formula.
operator!(Add, add, Add, f64, i64);
operator!(Sub, sub, Sub, f64, i64);
operator!(Mul, mul, Mul, f64, i64);
operator!(Div, div, Div, f64, i64);

impl Neg for Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        run(&Op::Unary(Unary::Neg), smallvec![self])
    }
}

impl Neg for &Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        -self.clone()
    }
}
