//! Elements by index: gather, index-select and their adjoints. The index is checked by the kernel, and what is wrong is told later:
//! see [`crate::faults`].
//!
//! The adjoints add where an index may repeat. Atomic additions would come in any order, and floats would round differently from run to
//! run; so the index is sorted, which keeps the order of equals, and one thread adds what goes to one place: within a block of
//! the sorted index, and once more over the blocks, so that a place that all indices name is no long chain.

use super::elementwise::reusable;
use super::movement::copy;
use super::sort::{first_along, sort_index};
use super::{shader, shader_by_width};
use crate::engine::Engine;
use crate::faults::Watch;
use crate::walk::Walk;
use osnova_tensor::{DType, Device, Error, Layout, Meta, Result, Shape, SliceRange, Tensor};

/// Up to here a thread compares the indices of a row with each other, which costs less than another dispatch that sorts them: at most
/// 136 comparisons, of words in the cache.
const FEW_INDICES: usize = 16;
/// What a thread adds at most in the first pass: `BLOCK` in `shaders/add_at.comp`. Then it goes over the blocks, so a chain of n additions takes
/// about 64 + n/64 steps.
const BLOCK: usize = 64;
/// The ways of `shaders/add_at.comp`.
const ROWS: u32 = 0;
const PIECES: u32 = 1;
const JOINS: u32 = 2;

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
        let source = first_repeated(engine, self.source.layout(), axis, shape)?;
        let target = first_repeated(engine, output.layout(), axis, shape)?;
        if shape[axis] <= FEW_INDICES {
            let slot = engine.fault_slot()?;
            let [along, source, target] = [&self.along, &source, &target].map(|layout| first_along(layout, axis));
            let pass = Pass { way: ROWS, index: [self.index; 2], partial: &output, slot: slot.number() };
            let index_stride = stride(&self.along, axis);
            self.record(engine, &output, &pass, [&along, &source, &target, &target], [index_stride, 0])?;
            slot.watch(watch);
            return Ok(output);
        }
        let [index, places] = &sort_index(engine, device, self.index, self.index_axis, watch)?;
        let blocks = shape[axis].div_ceil(BLOCK);
        let mut dims = shape.to_vec();
        dims[axis] = 2 * blocks;
        let partial = engine.create(device, &Meta::new(Shape::new(&dims)?, computed(meta.dtype)))?;
        let partial_stride = stride(partial.layout(), axis);
        let sums = first_repeated(engine, partial.layout(), axis, shape)?;
        let pass = Pass { way: PIECES, index: [index, places], partial: &partial, slot: 0 };
        self.record(engine, &output, &pass, [&self.sorted, &source, &target, &sums], [0, partial_stride])?;
        if blocks > 1 {
            let every = |layout: &Layout, step: usize| {
                let whole = |&dim: &usize| SliceRange { start: 0, length: dim, step: 1 };
                let mut ranges: Vec<SliceRange> = layout.shape().iter().map(whole).collect();
                ranges[axis] = SliceRange { start: 0, length: blocks, step: step as isize };
                layout.slice(&ranges)
            };
            let layouts = [&self.sorted, &source, &target].map(|layout| every(layout, BLOCK));
            let pass = Pass { way: JOINS, ..pass };
            let sums = every(partial.layout(), 2);
            self.record(engine, &output, &pass, [&layouts[0], &layouts[1], &layouts[2], &sums], [0, partial_stride])?;
        }
        Ok(output)
    }

    /// Records a pass; `strides` are those of index and partial sums along the axis.
    fn record(
        &self,
        engine: &Engine,
        output: &Tensor,
        pass: &Pass<'_>,
        layouts: [&Layout; 4],
        strides: [u32; 2],
    ) -> Result<()> {
        let shape = layouts[0].shape();
        let walk = Walk::new(shape, layouts);
        let (target, source) = (engine.output(output)?, engine.input(self.source)?);
        let [index, places] = [engine.input(pass.index[0])?, engine.input(pass.index[1])?];
        // The module could write to it, whatever the way.
        let partial = engine.output(pass.partial)?;
        let (size, length) = (output.shape()[self.axis] as u32, self.source.shape()[self.axis] as u32);
        let [source_stride, output_stride] = [self.source, output].map(|tensor| stride(tensor.layout(), self.axis));
        engine
            .shader(shader!("add_at", output.dtype()))
            .constant(walk.is_linear())
            .constant(pass.way)
            .bind(&target)
            .bind(&source)
            .bind(&index)
            .bind(&places)
            .bind(&engine.faults())
            .bind(&partial)
            .words(&[shape.count() as u32, pass.slot, size, length])
            .words(&[source_stride, output_stride])
            .words(&strides)
            .words(&walk.words([&index, &source, &target, &partial]))
            .elements(shape.count() as u32)
    }
}

/// What differs between the passes of an addition.
struct Pass<'a> {
    way: u32,
    /// The index; or sorted, and the places.
    index: [&'a Tensor; 2],
    partial: &'a Tensor,
    slot: u32,
}

fn stride(layout: &Layout, axis: usize) -> u32 {
    layout.strides()[axis] as i32 as u32
}

/// The dtype that a shader computes with.
fn computed(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::U8 => DType::U32,
        dtype => dtype,
    }
}
