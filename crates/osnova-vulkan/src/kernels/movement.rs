//! Elements copied, not changed: contiguous, pad, concat. By width, whatever the dtype.

use super::{create, shader_by_width};
use crate::engine::Engine;
use crate::walk::Walk;
use osnova_tensor::{Device, Layout, Meta, Result, Scalar, SliceRange, Tensor};

use crate::storage::view;

/// The tensor itself if its elements lie row-major, else a copy in which they do.
pub(crate) fn made_contiguous(engine: &Engine, device: Device, input: Tensor) -> Result<Tensor> {
    if input.layout().is_contiguous() {
        return Ok(input);
    }
    let output = engine.create(device, &Meta::new(*input.shape(), input.dtype()))?;
    copy(engine, &input, &output)?;
    Ok(output)
}

/// Copies the elements of one tensor into those of another of the same shape and dtype, whatever their layouts.
pub(crate) fn copy(engine: &Engine, input: &Tensor, output: &Tensor) -> Result<()> {
    let count = engine.count(input.count())?;
    if count == 0 {
        return Ok(());
    }
    let walk = Walk::new(input.shape(), [input.layout(), output.layout()]);
    let (source, target) = (engine.input(input)?, engine.output(output)?);
    engine
        .shader(shader_by_width!("copy", input.dtype()))
        .constant(walk.is_linear())
        .bind(&target)
        .bind(&source)
        .words(&[count])
        .words(&walk.words([&source, &target]))
        .elements(count)
}

/// The box of a tensor that begins at `starts` and has the sizes of `shape`.
fn part(tensor: &Tensor, starts: impl Iterator<Item = usize>, dims: &[usize]) -> Tensor {
    let ranges: Vec<SliceRange> =
        starts.zip(dims).map(|(start, &length)| SliceRange { start, length, step: 1 }).collect();
    let layout: Layout = tensor.layout().slice(&ranges);
    view(tensor, layout)
}

pub(crate) fn pad(
    engine: &Engine,
    device: Device,
    input: &Tensor,
    padding: &[(usize, usize)],
    value: Scalar,
    meta: &Meta,
) -> Result<Tensor> {
    let output = create::full(engine, device, value, meta)?;
    copy(engine, input, &part(&output, padding.iter().map(|&(before, _)| before), input.shape()))?;
    Ok(output)
}

pub(crate) fn concat(engine: &Engine, device: Device, inputs: &[Tensor], axis: usize, meta: &Meta) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let mut start = 0;
    for input in inputs {
        let starts = (0..meta.shape.rank()).map(|at| if at == axis { start } else { 0 });
        copy(engine, input, &part(&output, starts, input.shape()))?;
        start += input.shape()[axis];
    }
    Ok(output)
}
