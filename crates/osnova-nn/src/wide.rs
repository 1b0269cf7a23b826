//! Half types in formulas of several steps: computed in `f32` throughout and rounded once.

use osnova_tensor::{Result, Tensor};

/// The tensor in the dtype that its numbers are computed in: `f32` for the half types, else its own.
pub(crate) fn widened(tensor: &Tensor) -> Result<Tensor> {
    tensor.to_dtype(tensor.dtype().accumulator())
}

/// What `formula` makes of the inputs, in the dtype of the first one. It is given half types as `f32`: step by step in
/// their own dtype squares would overflow, small constants vanish, and every step round.
pub(crate) fn rounded_once<const N: usize>(
    inputs: [&Tensor; N],
    formula: impl FnOnce([&Tensor; N]) -> Result<Tensor>,
) -> Result<Tensor> {
    let dtype = inputs[0].dtype();
    if dtype == dtype.accumulator() {
        return formula(inputs);
    }
    let wide: Vec<Tensor> = inputs.iter().map(|input| widened(input)).collect::<Result<_>>()?;
    formula(std::array::from_fn(|index| &wide[index]))?.to_dtype(dtype)
}

/// `values · weight`, in which a weight of 0 leaves a value out whatever it is: infinite, or not a number.
pub(crate) fn weighted(values: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let weight = widened(weight)?;
    weight.equal(0.0)?.where_(0.0, values)? * weight
}

/// `share · values`, which is 0 where the share is and the values are infinite: the limit of p·ln q.
pub(crate) fn product_with_limit(share: &Tensor, values: &Tensor) -> Result<Tensor> {
    const LARGEST: f64 = f32::MAX as f64;
    share.equal(0.0)?.where_(values.clamp(-LARGEST, LARGEST)?, values)? * share
}

/// What to divide by so that squares cannot overflow: the largest size along `axis`, kept as 1, where it is that large,
/// else 1. A constant: what is computed must not depend on it.
pub(crate) fn magnitude(values: &Tensor, axis: isize) -> Result<Tensor> {
    /// A thousand squares of this, multiplied by as many, stay in the range of `f32`.
    const LARGE: f64 = 1e6;
    let largest = values.detach().abs()?.max(axis, true)?;
    largest.greater(LARGE)?.where_(&largest, 1.0)
}
