//! Elements by index: gather, index-select and their adjoints. The index is checked by the kernel, and what is wrong is told later:
//! see [`crate::faults`].
//!
//! The adjoints add where an index may repeat. Atomic additions would come in any order, and floats would round differently from run to
//! run; so the index is sorted, which keeps the order of equals, and one thread adds all that goes to one place.

use super::elementwise::reusable;
use super::movement::copy;
use super::sort::{first_along, sort_index};
use super::{shader, shader_by_width};
use crate::engine::Engine;
use crate::faults::Watch;
use crate::walk::Walk;
use osnova_tensor::{Device, Error, Layout, Meta, Result, Shape, SliceRange, Tensor};

/// Up to here a thread compares the indices of a row with each other, which costs less than another dispatch that sorts them: at most
/// 136 comparisons, of words in the cache.
const FEW_INDICES: usize = 16;

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
    let along = repeated(engine, index.layout(), axis, &meta.shape)?;
    pick(engine, device, "index_select", input, index, &along, axis, meta)
}

/// A vector along an axis of `shape`, repeated along the others.
fn repeated(engine: &Engine, vector: &Layout, axis: usize, shape: &Shape) -> Result<Layout> {
    let mut dims = vec![1; shape.rank()];
    dims[axis] = vector.shape().count();
    let along = vector.reshape(&Shape::new(&dims)?).and_then(|layout| layout.expand(shape));
    along.ok_or_else(|| engine.unsupported("an index of this layout", None))
}

/// The first elements along an axis, repeated to `shape`: the kernel adds the index times the stride.
fn first_repeated(engine: &Engine, layout: &Layout, axis: usize, shape: &Shape) -> Result<Layout> {
    // The layout may be larger than the shape along the other axes.
    let ranges: Vec<SliceRange> = (shape.iter().enumerate())
        .map(|(at, &dim)| SliceRange { start: 0, length: if at == axis { 1 } else { dim }, step: 1 })
        .collect();
    layout.slice(&ranges).expand(shape).ok_or_else(|| engine.unsupported("an index of this layout", None))
}

fn empty_axis(operation: &'static str, axis: usize) -> Box<Error> {
    Error::argument(operation, format!("axis {axis} is empty, so no index is in range"), "Give an empty index")
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
        return Err(empty_axis(operation, axis));
    }
    let first = first_repeated(engine, input.layout(), axis, &meta.shape)?;
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

pub(crate) fn scatter_add(
    engine: &Engine,
    device: Device,
    base: Tensor,
    index: &Tensor,
    source: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
    // The sorted index holds the rows along the axis one after the other.
    let rank = index.shape().rank();
    let mut dims: Vec<usize> = (0..rank).filter(|&at| at != axis).map(|at| index.shape()[at]).collect();
    dims.push(index.shape()[axis]);
    let order: Vec<usize> =
        (0..rank).map(|at| if at == axis { rank - 1 } else { at - usize::from(at > axis) }).collect();
    let sorted = Layout::contiguous(Shape::new(&dims)?).permute(&order);
    let addition =
        Addition { operation: "scatter_add", index, index_axis: axis, along: *index.layout(), sorted, source, axis };
    addition.run(engine, device, base, meta)
}

pub(crate) fn index_add(
    engine: &Engine,
    device: Device,
    base: Tensor,
    index: &Tensor,
    source: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
    let along = repeated(engine, index.layout(), axis, source.shape())?;
    let sorted = repeated(engine, &Layout::contiguous(*index.shape()), axis, source.shape())?;
    let addition = Addition { operation: "index_add", index, index_axis: 0, along, sorted, source, axis };
    addition.run(engine, device, base, meta)
}

/// Elements of `source` to be added where the index says.
struct Addition<'a> {
    operation: &'static str,
    index: &'a Tensor,
    /// The index's own axis that runs along `axis`.
    index_axis: usize,
    /// The index, seen in the shape of the source; and so when it is sorted row by row.
    along: Layout,
    sorted: Layout,
    source: &'a Tensor,
    axis: usize,
}

impl Addition<'_> {
    fn run(&self, engine: &Engine, device: Device, mut base: Tensor, meta: &Meta) -> Result<Tensor> {
        let (shape, axis) = (self.source.shape(), self.axis);
        let size = meta.shape[axis];
        if size == 0 && shape.count() > 0 {
            return Err(empty_axis(self.operation, axis));
        }
        let output = if reusable(&mut base, meta) {
            base.clone()
        } else {
            let output = engine.create(device, meta)?;
            copy(engine, &base, &output)?;
            output
        };
        if engine.count(shape.count())? == 0 {
            return Ok(output);
        }
        let watch = Watch { operation: self.operation, axis, size };
        let length = shape[axis];
        let source = first_repeated(engine, self.source.layout(), axis, shape)?;
        let target = first_repeated(engine, output.layout(), axis, shape)?;
        if length <= FEW_INDICES {
            let slot = engine.fault_slot()?;
            let layouts = [&self.along, &source, &target].map(|layout| first_along(layout, axis));
            let stride = self.along.strides()[axis] as i32 as u32;
            self.add(engine, &output, [self.index; 2], layouts, stride, slot.number(), true)?;
            slot.watch(watch);
        } else {
            let [sorted, places] = sort_index(engine, device, self.index, self.index_axis, watch)?;
            self.add(engine, &output, [&sorted, &places], [self.sorted, source, target], 0, 0, false)?;
        }
        Ok(output)
    }

    #[expect(clippy::too_many_arguments, reason = "what two ways share")]
    fn add(
        &self,
        engine: &Engine,
        output: &Tensor,
        index: [&Tensor; 2],
        layouts: [Layout; 3],
        index_stride: u32,
        slot: u32,
        direct: bool,
    ) -> Result<()> {
        let shape = *layouts[0].shape();
        let walk = Walk::new(&shape, [&layouts[0], &layouts[1], &layouts[2]]);
        let (target, source) = (engine.output(output)?, engine.input(self.source)?);
        let [index, places] = [engine.input(index[0])?, engine.input(index[1])?];
        let stride = |tensor: &Tensor| tensor.layout().strides()[self.axis] as i32 as u32;
        let (size, length) = (output.shape()[self.axis] as u32, self.source.shape()[self.axis] as u32);
        engine
            .shader(shader!("add_at", output.dtype()))
            .constant(walk.is_linear())
            .constant(direct)
            .bind(&target)
            .bind(&source)
            .bind(&index)
            .bind(&places)
            .bind(&engine.faults())
            .words(&[shape.count() as u32, slot, size, length, stride(self.source), stride(output), index_stride])
            .words(&walk.words([&index, &source, &target]))
            .elements(shape.count() as u32)
    }
}
