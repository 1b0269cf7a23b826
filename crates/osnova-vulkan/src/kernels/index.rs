//! Elements by index: gather, index-select and their adjoints. The index is checked by the kernel, and what is wrong is told to whoever reads
//! the result: see [`crate::faults`].
//!
//! The adjoints add where an index may repeat. Atomic additions would come in any order, and floats would round differently from run to
//! run; so the index is sorted, which keeps the order of equals, and one thread adds what goes to one place: within a block of
//! the sorted index, and once more over the blocks, so that a place that all indices name is no long chain.

use super::elementwise::reusable;
use super::movement::copy;
use super::sort::{first_along, sort_index};
use super::{index_kind, shader, shader_by_width};
use crate::engine::Engine;
use crate::faults::{Slot, Verdicts, Watch};
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
    inputs: &[Tensor],
    axis: usize,
    meta: &Meta,
    verdicts: &mut Verdicts,
) -> Result<Tensor> {
    let picked = Picked { operation: "gather", input: &inputs[0], index: &inputs[1], along: *inputs[1].layout(), axis };
    pick(engine, device, &picked, meta, verdicts)
}

pub(crate) fn index_select(
    engine: &Engine,
    device: Device,
    inputs: &[Tensor],
    axis: usize,
    meta: &Meta,
    verdicts: &mut Verdicts,
) -> Result<Tensor> {
    let along = repeated(engine, inputs[1].layout(), axis, &meta.shape)?;
    let picked = Picked { operation: "index_select", input: &inputs[0], index: &inputs[1], along, axis };
    pick(engine, device, &picked, meta, verdicts)
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

/// What is picked out of which tensor.
struct Picked<'a> {
    operation: &'static str,
    input: &'a Tensor,
    index: &'a Tensor,
    /// The index, seen in the shape of the output.
    along: Layout,
    axis: usize,
}

/// For each element of the output the one of the input at the same place, but for the axis: there the index tells.
fn pick(engine: &Engine, device: Device, picked: &Picked<'_>, meta: &Meta, verdicts: &mut Verdicts) -> Result<Tensor> {
    let Picked { operation, input, index, ref along, axis } = *picked;
    let output = engine.create(device, meta)?;
    let count = engine.count(meta.shape.count())?;
    if count == 0 {
        return Ok(output);
    }
    let size = input.shape()[axis];
    if size == 0 {
        return Err(empty_axis(operation, axis));
    }
    let limit = engine.count(size)?;
    let first = first_repeated(engine, input.layout(), axis, &meta.shape)?;
    let walk = Walk::new(&meta.shape, [&first, along]);
    let (target, source, indices) = (engine.output(&output)?, engine.input(input)?, engine.input(index)?);
    let kind = index_kind(engine, operation, index)?;
    let slot = engine.watch(Watch { operation, axis, size }, verdicts)?;
    engine
        .shader(shader_by_width!("gather", input.dtype()))
        .constant(walk.is_linear())
        .constant(kind)
        .bind(&target)
        .bind(&source)
        .bind(&indices)
        .bind(&engine.faults())
        .words(&[count, slot.number(), limit, stride(input.layout(), axis)])
        .words(&walk.words([&source, &indices]))
        .watched(slot)
        .elements(count)?;
    Ok(output)
}

pub(crate) fn scatter_add(
    engine: &Engine,
    device: Device,
    [base, index, source]: [Tensor; 3],
    axis: usize,
    meta: &Meta,
    verdicts: &mut Verdicts,
) -> Result<Tensor> {
    let (index, source) = (&index, &source);
    // The sorted index holds the rows along the axis one after the other.
    let rank = index.shape().rank();
    let mut dims: Vec<usize> = (0..rank).filter(|&at| at != axis).map(|at| index.shape()[at]).collect();
    dims.push(index.shape()[axis]);
    let order: Vec<usize> =
        (0..rank).map(|at| if at == axis { rank - 1 } else { at - usize::from(at > axis) }).collect();
    let sorted = Layout::contiguous(Shape::new(&dims)?).permute(&order);
    let addition =
        Addition { operation: "scatter_add", index, index_axis: axis, along: *index.layout(), sorted, source, axis };
    addition.run(engine, device, base, meta, verdicts)
}

pub(crate) fn index_add(
    engine: &Engine,
    device: Device,
    [base, index, source]: [Tensor; 3],
    axis: usize,
    meta: &Meta,
    verdicts: &mut Verdicts,
) -> Result<Tensor> {
    let (index, source) = (&index, &source);
    let along = repeated(engine, index.layout(), axis, source.shape())?;
    let sorted = repeated(engine, &Layout::contiguous(*index.shape()), axis, source.shape())?;
    let addition = Addition { operation: "index_add", index, index_axis: 0, along, sorted, source, axis };
    addition.run(engine, device, base, meta, verdicts)
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
    fn run(
        &self,
        engine: &Engine,
        device: Device,
        mut base: Tensor,
        meta: &Meta,
        verdicts: &mut Verdicts,
    ) -> Result<Tensor> {
        let (shape, axis) = (self.source.shape(), self.axis);
        let size = meta.shape[axis];
        if size == 0 && shape.count() > 0 {
            return Err(empty_axis(self.operation, axis));
        }
        // Nothing is written before it is known that all can be done.
        engine.count(shape.count())?;
        engine.count(size)?;
        index_kind(engine, self.operation, self.index)?;
        let output = if reusable(&mut base, meta) {
            base.clone()
        } else {
            let output = engine.create(device, meta)?;
            copy(engine, &base, &output)?;
            output
        };
        if shape.count() == 0 {
            return Ok(output);
        }
        let watch = Watch { operation: self.operation, axis, size };
        let source = first_repeated(engine, self.source.layout(), axis, shape)?;
        let target = first_repeated(engine, output.layout(), axis, shape)?;
        if shape[axis] <= FEW_INDICES {
            let [along, source, target] = [&self.along, &source, &target].map(|layout| first_along(layout, axis));
            let slot = Some(engine.watch(watch, verdicts)?);
            let pass = Pass { way: ROWS, index: [self.index; 2], partial: &output, slot };
            let index_stride = stride(&self.along, axis);
            self.record(engine, &output, pass, [&along, &source, &target, &target], [index_stride, 0])?;
            return Ok(output);
        }
        let [index, places] = &sort_index(engine, device, self.index, self.index_axis, watch, verdicts)?;
        let blocks = shape[axis].div_ceil(BLOCK);
        let mut dims = shape.to_vec();
        dims[axis] = 2 * blocks;
        let partial = engine.create(device, &Meta::new(Shape::new(&dims)?, computed(meta.dtype)))?;
        let partial_stride = stride(partial.layout(), axis);
        let sums = first_repeated(engine, partial.layout(), axis, shape)?;
        let pass = |way: u32| Pass { way, index: [index, places], partial: &partial, slot: None };
        self.record(engine, &output, pass(PIECES), [&self.sorted, &source, &target, &sums], [0, partial_stride])?;
        if blocks > 1 {
            let every = |layout: &Layout, step: usize| {
                let whole = |&dim: &usize| SliceRange { start: 0, length: dim, step: 1 };
                let mut ranges: Vec<SliceRange> = layout.shape().iter().map(whole).collect();
                ranges[axis] = SliceRange { start: 0, length: blocks, step: step as isize };
                layout.slice(&ranges)
            };
            let layouts = [&self.sorted, &source, &target].map(|layout| every(layout, BLOCK));
            let sums = every(partial.layout(), 2);
            self.record(
                engine,
                &output,
                pass(JOINS),
                [&layouts[0], &layouts[1], &layouts[2], &sums],
                [0, partial_stride],
            )?;
        }
        Ok(output)
    }

    /// Records a pass; `strides` are those of index and partial sums along the axis.
    fn record(
        &self,
        engine: &Engine,
        output: &Tensor,
        pass: Pass<'_>,
        layouts: [&Layout; 4],
        strides: [u32; 2],
    ) -> Result<()> {
        let shape = layouts[0].shape();
        let walk = Walk::new(shape, layouts);
        let (target, source) = (engine.output(output)?, engine.input(self.source)?);
        let [index, places] = [engine.input(pass.index[0])?, engine.input(pass.index[1])?];
        // The module could write to it, whatever the way.
        let partial = engine.output(pass.partial)?;
        let (size, length) = (engine.count(output.shape()[self.axis])?, engine.count(self.source.shape()[self.axis])?);
        let count = engine.count(shape.count())?;
        let [source_stride, output_stride] = [self.source, output].map(|tensor| stride(tensor.layout(), self.axis));
        engine
            .shader(shader!("add_at", output.dtype()))
            .constant(walk.is_linear())
            .constant(pass.way)
            .constant(index_kind(engine, self.operation, self.index)?)
            .bind(&target)
            .bind(&source)
            .bind(&index)
            .bind(&places)
            .bind(&engine.faults())
            .bind(&partial)
            .words(&[count, pass.slot.as_ref().map_or(0, Slot::number), size, length])
            .words(&[source_stride, output_stride])
            .words(&strides)
            .words(&walk.words([&index, &source, &target, &partial]))
            .watched(pass.slot)
            .elements(count)
    }
}

/// What differs between the passes of an addition.
struct Pass<'a> {
    way: u32,
    /// The index; or sorted, and the places.
    index: [&'a Tensor; 2],
    partial: &'a Tensor,
    slot: Option<Slot>,
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
