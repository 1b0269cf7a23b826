//! Elements by index: gather and index-select. The index is checked by the kernel, and what is wrong is told later: see
//! [`crate::faults`].

use super::shader_by_width;
use crate::engine::Engine;
use crate::faults::Watch;
use crate::walk::Walk;
use osnova_tensor::{Device, Error, Layout, Meta, Result, Shape, SliceRange, Tensor};

pub(crate) fn gather(
    engine: &Engine,
    device: Device,
    input: &Tensor,
    index: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
    pick(engine, device, "gather", input, index, index.layout(), axis, meta)
}

pub(crate) fn index_select(
    engine: &Engine,
    device: Device,
    input: &Tensor,
    index: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
    // The index along its axis, repeated along the others.
    let mut dims = vec![1; meta.shape.rank()];
    dims[axis] = index.count();
    let along = index.layout().reshape(&Shape::new(&dims)?).and_then(|layout| layout.expand(&meta.shape));
    let along = along.ok_or_else(|| engine.unsupported("index_select of this layout", Some(input.dtype())))?;
    pick(engine, device, "index_select", input, index, &along, axis, meta)
}

/// For each element of the output the one of the input at the same place, but for the axis: there the index tells.
#[expect(clippy::too_many_arguments, reason = "what two operations share")]
fn pick(
    engine: &Engine,
    device: Device,
    operation: &'static str,
    input: &Tensor,
    index: &Tensor,
    along: &Layout,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let count = engine.count(meta.shape.count())?;
    if count == 0 {
        return Ok(output);
    }
    let size = input.shape()[axis];
    if size == 0 {
        let problem = format!("axis {axis} is empty, so no index is in range");
        return Err(Error::argument(operation, problem, "Give an empty index"));
    }
    // The input's first slice along the axis, repeated: the kernel adds the index times the stride.
    let ranges: Vec<SliceRange> = (meta.shape.iter().enumerate())
        .map(|(at, &dim)| SliceRange { start: 0, length: if at == axis { 1 } else { dim }, step: 1 })
        .collect();
    let first = input.layout().slice(&ranges).expand(&meta.shape);
    let first = first.ok_or_else(|| engine.unsupported(operation, Some(input.dtype())))?;
    let walk = Walk::new(&meta.shape, [&first, along]);
    let (target, source, indices) = (engine.output(&output)?, engine.input(input)?, engine.input(index)?);
    let slot = engine.fault_slot()?;
    let stride = input.layout().strides()[axis] as i32;
    engine
        .shader(shader_by_width!("gather", input.dtype()))
        .constant(walk.is_linear())
        .bind(&target)
        .bind(&source)
        .bind(&indices)
        .bind(&engine.faults())
        .words(&[count, slot.number(), size as u32, stride as u32])
        .words(&walk.words([&source, &indices]))
        .elements(count)?;
    slot.watch(Watch { operation, axis, size });
    Ok(output)
}
