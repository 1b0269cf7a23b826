//! Creation.

use crate::Number::{self, Float, Int};
use crate::number;
use osnova_tensor::random::{self, Distribution, Stream};
use osnova_tensor::{Meta, Result, Scalar};

pub(crate) fn full(output: &Meta, value: Scalar) -> Vec<Number> {
    vec![Number::constant(value, output.dtype); output.shape.count()]
}

/// `start + i·step`, in f64 or i64.
pub(crate) fn arange(output: &Meta, start: Scalar, step: Scalar) -> Vec<Number> {
    let element = |index: usize| {
        if output.dtype.is_float() {
            Float(start.to_f64() + index as f64 * step.to_f64())
        } else {
            Int(start.to_i64()).plus(Int(index as i64).times(Int(step.to_i64())))
        }
    };
    (0..output.shape.count()).map(element).collect()
}

/// The numbers that [`osnova_tensor::random`] defines, for every backend alike.
pub(crate) fn random(output: &Meta, distribution: Distribution, stream: Stream) -> Result<Vec<Number>> {
    Ok(number::from_host(random::generate(distribution, stream, output.shape.count(), output.dtype)?))
}
