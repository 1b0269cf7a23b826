//! Half types: a derivative of several steps is computed in `f32` and rounded once.
//!
//! Here it is said which derivatives are a single step; all others, rules that are yet to be written among them, are wide. Reverse mode widens the
//! gradient and what was saved before it looks up a rule ([`pull`](super::pull)), forward mode a whole step. What a derivative reads of the *result* is saved
//! before it is rounded ([`keeps_wide_results`]): 1 − tanh² x or Σ g·y would lose most of their digits by its rounding.

use super::{OUTPUT, Reads, SECOND};
use osnova_tensor::{Activation, Binary, DType, Inputs, Meta, Metas, Op, Outputs, Reduction, Result, Tensor, Unary};

/// Whether the dtype is a half type.
#[inline]
pub(crate) fn is_half(dtype: DType) -> bool {
    dtype != dtype.accumulator()
}

/// Whether what flows back through `op` is rounded once at most as it is: it is chosen, moved, summed, or made by one function or product.
pub(crate) fn rounds_once(op: &Op, gradient: &Tensor, metas: &[Meta]) -> bool {
    match op {
        Op::Unary(Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round) => true,
        Op::Unary(Unary::Exp | Unary::Ln | Unary::Relu) => true,
        Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Min | Binary::Max) => true,
        Op::Clamp { .. } | Op::Where | Op::Cast { .. } => true,
        Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } | Op::Slice { .. } => true,
        Op::Contiguous | Op::Pad { .. } | Op::Concat { .. } => true,
        Op::Reduce { kind: Reduction::Sum, .. } | Op::CumulativeSum { .. } => true,
        Op::Gather { .. } | Op::ScatterAdd { .. } | Op::IndexSelect { .. } | Op::IndexAdd { .. } => true,
        Op::Sort { .. } => true,
        // A product, and after it a sum where one side was repeated along the batch.
        Op::Matmul => {
            let batch = |shape: &[usize]| shape[..shape.len() - 2].to_vec();
            metas.iter().all(|meta| batch(&meta.shape) == batch(gradient.dims()))
        }
        Op::Activate(kind) | Op::Linear { activation: kind, .. } => selects(*kind),
        _ => false,
    }
}

/// Whether an activation's derivative is 0 or 1.
fn selects(kind: Activation) -> bool {
    matches!(kind, Activation::Identity | Activation::Relu)
}

/// Whether the derivative of `op`, which reads these, reads results as they were before they were rounded.
pub(crate) fn keeps_wide_results(op: &Op, reads: Reads, inputs: &[Tensor]) -> bool {
    let exact = match op {
        // Results that are elements of the input, or whose derivative is a single step.
        Op::Reduce { kind: Reduction::Max | Reduction::Min, .. } | Op::Sort { .. } => true,
        Op::Unary(Unary::Exp | Unary::Relu) => true,
        Op::Activate(kind) | Op::Linear { activation: kind, .. } => selects(*kind),
        Op::Custom(_) => true,
        _ => false,
    };
    !exact && reads & (OUTPUT | SECOND) != 0 && inputs.iter().any(|input| is_half(input.dtype()))
}

/// The tensors with half types in `f32`.
pub(crate) fn widened(inputs: &[Tensor]) -> Result<Inputs> {
    inputs.iter().map(|input| input.to_dtype(input.dtype().accumulator())).collect()
}

/// What inference gives for widened inputs.
pub(crate) fn widened_metas(outputs: &[Meta]) -> Metas {
    outputs.iter().map(|meta| Meta::new(meta.shape, meta.dtype.accumulator())).collect()
}

/// The results as inference promised them.
pub(crate) fn rounded(results: Outputs, outputs: &[Meta]) -> Result<Outputs> {
    results.into_iter().zip(outputs).map(|(result, meta)| result.to_dtype(meta.dtype)).collect()
}
