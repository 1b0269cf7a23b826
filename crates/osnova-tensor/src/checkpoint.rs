//! Gradient checkpointing: time for memory.

use crate::{Recompute, Result, Tensor};
use std::sync::Arc;

/// Runs `function` at `inputs` without keeping what its derivative reads; the backward pass runs it again. Chen et al., *Training Deep
/// Nets with Sublinear Memory Cost*, 2016.
///
/// A record keeps every intermediate result until the backward pass has used it. Within a checkpoint it keeps the inputs alone: one
/// forward pass more, and only one checkpoint's intermediate results in memory at a time.
///
/// - Gradients reach the inputs and whatever tracked tensors the function took from outside, such as a layer's parameters.
/// - Random numbers are those of the first run, so that dropout drops the same elements.
/// - Checkpoints nest, and have derivatives of any order. (Those are taken of the recomputed pass, which is recorded in full.)
/// - The function must do the same each time. What it changes besides its result, running statistics say, it changes twice.
/// - It runs on the calling thread, and what belongs to it is told by that. Two models that train at once do so on threads of their own, not as
///   tasks of one thread pool, where a thread that waits for one may take up the other.
///
/// The outermost device of the inputs keeps the record. Where that does not record, the function simply runs: bring a constant to the
/// parameters' device first, `input.to_device(device)?`.
///
/// # Errors
/// Whatever the function reports. The backward pass reports a function that does something else when it runs again.
///
/// ```
/// # use osnova_tensor::{Device, Result, Tensor, checkpoint};
/// # fn run(device: Device, x: &Tensor, weight: Tensor) -> Result<()> {
/// let hidden = checkpoint(move |x| x[0].matmul(&weight)?.tanh(), &[x.clone()])?;
/// # Ok(())
/// # }
/// ```
pub fn checkpoint(
    function: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
    inputs: &[Tensor],
) -> Result<Tensor> {
    let outputs = checkpoint_many(move |inputs| Ok(vec![function(inputs)?]), inputs)?;
    crate::tensor::only(outputs.into_iter().collect())
}

/// [`checkpoint`] for a function with any number of results.
///
/// # Errors
/// As for [`checkpoint`].
pub fn checkpoint_many(
    function: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>> {
    let function: Recompute = Arc::new(function);
    let again = function.clone();
    checkpoint_with(|inputs| function(inputs), again, inputs)
}

/// [`checkpoint_many`] for two functions that compute the same: the first runs now, the other in the backward pass, if there is one. For functions
/// of things that may have changed by then: the other gets a copy.
///
/// # Errors
/// As for [`checkpoint`].
pub fn checkpoint_with(
    mut first: impl FnMut(&[Tensor]) -> Result<Vec<Tensor>>,
    again: Recompute,
    inputs: &[Tensor],
) -> Result<Vec<Tensor>> {
    let outermost = inputs.iter().map(Tensor::device).max_by_key(|device| device.depth());
    match outermost.and_then(|device| Some((device, device.backend().as_recorder()?))) {
        Some((device, recorder)) => recorder.checkpoint(device, &mut first, again, inputs),
        None => first(inputs),
    }
}
