//! Sorting along an axis: chunks of the rows in shared memory, then merges of sorted runs in pairs.
//!
//! A row that fits a chunk is done in one dispatch, many short rows in a workgroup. A longer one takes a dispatch more whenever its length
//! doubles, each of which reads and writes a key and a place an element. Radix sort by 8 bits takes four passes for 32 bits and eight for
//! 64, each of two or three dispatches, and a stable ranking within workgroups; a merge is stable by itself.

use super::{index_kind, shader_by_width};
use crate::engine::{Engine, Words};
use crate::faults::{Slot, Verdicts, Watch};
use crate::walk::Walk;
use osnova_tensor::{DType, Device, Layout, Meta, Outputs, Result, Shape, SliceRange, Tensor};
use smallvec::smallvec;

/// Elements that a workgroup sorts or merges, as `shaders/include/sorting.glsl` says.
const LOG_CHUNK: u32 = 11;
const CHUNK: u32 = 1 << LOG_CHUNK;

/// What the elements are, for `shaders/include/sorting.glsl`: unsigned, signed, or the upper bits of infinity.
fn element(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => f32::INFINITY.to_bits(),
        DType::F64 => (f64::INFINITY.to_bits() >> 32) as u32,
        DType::F16 => u32::from(half::f16::INFINITY.to_bits()) << 16,
        DType::BF16 => u32::from(half::bf16::INFINITY.to_bits()) << 16,
        DType::I64 | DType::I32 => 1,
        DType::U32 | DType::U8 | DType::Bool => 0,
    }
}

/// The first elements along an axis, which keeps size 1.
pub(super) fn first_along(layout: &Layout, axis: usize) -> Layout {
    let ranges: Vec<SliceRange> = (layout.shape().iter().enumerate())
        .map(|(at, &dim)| SliceRange { start: 0, length: if at == axis { 1 } else { dim }, step: 1 })
        .collect();
    layout.slice(&ranges)
}

/// What all passes of a sort share.
struct Sorting<'a> {
    engine: &'a Engine,
    device: Device,
    input: &'a Tensor,
    axis: usize,
    descending: bool,
    /// The shaders of the first pass and of the others.
    shaders: [&'static str; 2],
    /// A dtype as wide as a key.
    key: DType,
}

/// What the first pass looks out for in an index.
struct Watched {
    slot: Slot,
    /// What indices must be below.
    size: u32,
    /// How they are read.
    kind: u32,
}

impl Sorting<'_> {
    fn length(&self) -> u32 {
        self.input.shape()[self.axis] as u32
    }

    fn rows(&self) -> u32 {
        self.input.count() as u32 / self.length()
    }

    /// Runs all passes. The last one writes elements and positions into `outputs` (values, positions); without outputs keys and places are
    /// given, row by row.
    fn run(&self, outputs: Option<[Tensor; 2]>, watched: Option<Watched>) -> Result<[Tensor; 2]> {
        let length = self.length();
        let mut run = CHUNK;
        let (mut sorted, is_last) = self.target(&outputs, run)?;
        self.sort_chunks(&sorted, is_last, watched)?;
        while run < length {
            let (target, is_last) = self.target(&outputs, run.saturating_mul(2))?;
            self.merge(&sorted, run, &target, is_last)?;
            // What the runs took is free for the pass after the next.
            sorted = target;
            run = run.saturating_mul(2);
        }
        Ok(sorted)
    }

    /// Where a pass that leaves sorted runs of this length writes, and whether it is the last one and that are the outputs.
    fn target(&self, outputs: &Option<[Tensor; 2]>, run: u32) -> Result<([Tensor; 2], bool)> {
        if let Some(outputs) = outputs.as_ref().filter(|_| run >= self.length()) {
            return Ok((outputs.clone(), true));
        }
        let shape = Shape::new(&[self.input.count()])?;
        let scratch = |dtype| self.engine.create(self.device, &Meta::new(shape, dtype));
        Ok(([scratch(self.key)?, scratch(DType::U32)?], false))
    }

    /// The words for the rows: `[rows, length, strides of the axis in input and outputs]`, and the walk of their first elements.
    fn row_words(&self, target: &Tensor, is_last: bool) -> Result<([u32; 4], Words, bool)> {
        let input = self.input.layout();
        // Without outputs their half of the walk is not looked at.
        let output = if is_last { target.layout() } else { input };
        let [from, to] = [input, output].map(|layout| first_along(layout, self.axis));
        let walk = Walk::new(from.shape(), [&from, &to]);
        let strides = [input, output].map(|layout| layout.strides()[self.axis] as i32 as u32);
        let source = self.engine.input(self.input)?;
        let place = if is_last { self.engine.output(target)? } else { source };
        Ok(([self.rows(), self.length(), strides[0], strides[1]], walk.words([&source, &place]), walk.is_linear()))
    }

    /// Whether rows next to each other lie closer in memory than the elements of a row.
    fn rows_are_close(&self) -> bool {
        let strides = self.input.layout().strides();
        let neighbour = (0..strides.len()).rev().find(|&at| at != self.axis && self.input.shape()[at] > 1);
        neighbour.is_some_and(|at| strides[at].unsigned_abs() < strides[self.axis].unsigned_abs())
    }

    fn sort_chunks(&self, target: &[Tensor; 2], is_last: bool, watched: Option<Watched>) -> Result<()> {
        let engine = self.engine;
        let (kind, watch) = watched.as_ref().map_or((0, [0; 2]), |it| (it.kind, [it.slot.number(), it.size]));
        let (rows, walk, is_linear) = self.row_words(&target[0], is_last)?;
        let log_width = self.length().next_power_of_two().trailing_zeros().min(LOG_CHUNK);
        let chunks = self.rows() * self.length().div_ceil(1 << log_width);
        engine
            .shader(self.shaders[0])
            .constant(is_linear)
            .constant(element(self.input.dtype()))
            .constant(self.descending)
            .constant(is_last)
            .constant(log_width)
            .constant(self.rows_are_close())
            .constant(kind)
            .watched(watched.map(|watched| watched.slot))
            .bind(&engine.output(&target[0])?)
            .bind(&engine.output(&target[1])?)
            .bind(&engine.input(self.input)?)
            .bind(&engine.faults())
            .words(&rows)
            .words(&watch)
            .words(&walk)
            .groups(chunks.div_ceil(CHUNK >> log_width))
    }

    fn merge(&self, runs: &[Tensor; 2], run: u32, target: &[Tensor; 2], is_last: bool) -> Result<()> {
        let engine = self.engine;
        let (rows, walk, is_linear) = self.row_words(&target[0], is_last)?;
        engine
            .shader(self.shaders[1])
            .constant(is_linear)
            .constant(element(self.input.dtype()))
            .constant(self.descending)
            .constant(is_last)
            .bind(&engine.output(&target[0])?)
            .bind(&engine.output(&target[1])?)
            .bind(&engine.input(self.input)?)
            .bind(&engine.input(&runs[0])?)
            .bind(&engine.input(&runs[1])?)
            .words(&rows)
            .words(&[run])
            .words(&walk)
            .groups(self.rows() * self.length().div_ceil(CHUNK))
    }
}

/// The elements in order along an axis, and where they were.
pub(crate) fn sort(
    engine: &Engine,
    device: Device,
    input: &Tensor,
    axis: usize,
    descending: bool,
    metas: &[Meta],
) -> Result<Outputs> {
    let [values, positions] = metas else { return Err(engine.unsupported("sort", Some(input.dtype()))) };
    let outputs = [engine.create(device, values)?, engine.create(device, positions)?];
    if engine.count(input.count())? > 0 {
        let dtype = input.dtype();
        let shaders = [shader_by_width!("sort", dtype), shader_by_width!("merge", dtype)];
        let key = if dtype.size() == 8 { DType::I64 } else { DType::U32 };
        Sorting { engine, device, input, axis, descending, shaders, key }.run(Some(outputs.clone()), None)?;
    }
    let [values, positions] = outputs;
    Ok(smallvec![values, positions])
}

/// An index in order along an axis, as `u32`, row by row, and the places its elements had. What is out of range is reported, becomes
/// [`u32::MAX`] and comes last. There is at least one element.
pub(super) fn sort_index(
    engine: &Engine,
    device: Device,
    index: &Tensor,
    axis: usize,
    watch: Watch,
    verdicts: &mut Verdicts,
) -> Result<[Tensor; 2]> {
    let (size, kind) = (engine.count(watch.size)?, index_kind(engine, watch.operation, index)?);
    let watched = Watched { slot: engine.watch(watch, verdicts)?, size, kind };
    let shaders = ["sort_index", "merge_32"];
    let sorting = Sorting { engine, device, input: index, axis, descending: false, shaders, key: DType::U32 };
    sorting.run(None, Some(watched))
}
