//! Recording a product: constants and metadata of `matmul_small.comp`, `matmul.comp`, `matvec.comp` and `matmul_sum.comp`.

use super::choice::{Size, Tile, Way, vector_ways};
use super::{Operand, Product};
use crate::engine::{Dispatch, Engine, Place, THREADS};
use crate::kernels::{elementwise, shader};
use osnova_tensor::{DType, Device, Meta, Result, Shape, Tensor};

/// Bits of `FLAGS` in `matmul.comp`.
mod tile_flag {
    pub(super) const ALIGNED: u32 = 1;
    pub(super) const LEFT_ALONG_INNER: u32 = 2;
    pub(super) const RIGHT_ALONG_INNER: u32 = 4;
    pub(super) const LEFT_FOURS: u32 = 8;
    pub(super) const RIGHT_FOURS: u32 = 16;
    pub(super) const OUTPUT_FOURS: u32 = 32;
    pub(super) const BIAS: u32 = 64;
    pub(super) const SPLIT: u32 = 128;
}

/// Bits of `FLAGS` in `matmul_coop.comp`.
mod cooperative_flag {
    pub(super) const LEFT_ALONG_INNER: u32 = 1;
    pub(super) const RIGHT_ALONG_INNER: u32 = 2;
    pub(super) const BIAS: u32 = 4;
}

/// Bits of `FLAGS` in `matvec.comp`.
mod vector_flag {
    pub(super) const ALONG_INNER: u32 = 1;
    pub(super) const FOURS: u32 = 2;
}

/// Bytes of an element as kernels compute with it.
pub(super) fn computed_bytes(dtype: DType) -> u32 {
    if dtype.size() == 8 { 8 } else { 4 }
}

/// The flags that are set.
fn flags(chosen: &[(u32, bool)]) -> u32 {
    chosen.iter().filter(|(_, set)| *set).fold(0, |all, (flag, _)| all | flag)
}

impl Product {
    /// Records the product into a row-major output.
    pub(super) fn run(&self, engine: &Engine, device: Device, way: Way, output: &Tensor) -> Result<()> {
        match way {
            Way::Small => self.by_results(engine, output),
            Way::Vector => self.by_vector(engine, output),
            Way::Cooperative => self.by_fragments(engine, output),
            Way::Tiles { tile, part } if part >= self.size.inner => self.by_tiles(engine, tile, part, output),
            Way::Tiles { tile, part } => {
                let parts = self.size.inner.div_ceil(part);
                let count = engine.count(output.count())?;
                let dtype = self.dtype.accumulator();
                let shape = Shape::new(&[parts as usize, output.count()])?;
                let sums = engine.create(device, &Meta::new(shape, dtype))?;
                self.by_tiles(engine, tile, part, &sums)?;
                let (target, source) = (engine.output(output)?, engine.input(&sums)?);
                let (bias, of_bias) = self.bias(&source);
                engine
                    .shader(sum_shader(self.dtype))
                    .bind(&target)
                    .bind(&source)
                    .bind(&bias)
                    .words(&[count, self.size.columns, parts])
                    .words(&of_bias)
                    .words(&[self.finish.activation])
                    .groups(count.div_ceil(THREADS))
            }
        }
    }

    /// What is bound as bias (something that is there anyway if there is none), and whether it is one, its start and stride.
    fn bias(&self, other: &Place) -> (Place, [u32; 3]) {
        self.finish.bias.map_or((*other, [0; 3]), |(place, stride)| (place, [1, place.start, stride as u32]))
    }

    /// A thread for each result.
    fn by_results(&self, engine: &Engine, output: &Tensor) -> Result<()> {
        let Self { size, left, right, .. } = self;
        let count = engine.count(output.count())?;
        let target = engine.output(output)?;
        let (bias, of_bias) = self.bias(&left.place);
        engine
            .shader(shader!("matmul_small", self.dtype))
            .constant(self.walk.is_linear())
            .bind(&target)
            .bind(&left.place)
            .bind(&right.place)
            .bind(&bias)
            .words(&[count, size.rows, size.columns, size.inner])
            .words(&self.strides())
            .words(&of_bias)
            .words(&[self.finish.activation])
            .words(&self.walk.words([&left.place, &right.place]))
            .groups(count.div_ceil(THREADS))
    }

    /// The strides of both operands, of lines and along the inner axis. Arithmetic on positions wraps.
    fn strides(&self) -> [u32; 4] {
        let Self { left, right, .. } = self;
        [left.line_stride, left.inner_stride, right.line_stride, right.inner_stride].map(|stride| stride as u32)
    }

    /// Into `output`, or, where `part` is shorter than the inner axis, into a tensor of the sums of all parts.
    fn by_tiles(&self, engine: &Engine, tile: Tile, part: u32, output: &Tensor) -> Result<()> {
        let Self { size, left, right, finish, .. } = self;
        let shape = tile.shape(computed_bytes(self.dtype));
        let split = part < size.inner;
        let parts = if split { size.inner.div_ceil(part) } else { 1 };
        let (down, across) = shape.tiles(*size);
        let tiles = [down, across, size.batches, parts].into_iter().map(|count| count as usize).product();
        let tiles = engine.count(tiles)?;
        engine.count(output.count())?;
        let chosen = flags(&[
            (tile_flag::ALIGNED, shape.is_aligned(*size)),
            (tile_flag::LEFT_ALONG_INNER, left.along_inner),
            (tile_flag::RIGHT_ALONG_INNER, right.along_inner),
            (tile_flag::LEFT_FOURS, left.fours),
            (tile_flag::RIGHT_FOURS, right.fours),
            (tile_flag::OUTPUT_FOURS, !split && size.columns.is_multiple_of(4) && self.dtype.size() <= 4),
            (tile_flag::BIAS, !split && finish.bias.is_some()),
            (tile_flag::SPLIT, split),
        ]);
        let activation = if split { elementwise::IDENTITY } else { finish.activation };
        let target = engine.output(output)?;
        let (bias, [_, bias_start, bias_stride]) = self.bias(&left.place);
        let dispatch = engine.shader(shader!("matmul", self.dtype)).constant(self.walk.is_linear());
        let dispatch = [shape.threads(), shape.rows, shape.columns, shape.depth]
            .into_iter()
            .chain([shape.thread_rows, shape.thread_columns, shape.lanes, chosen, activation])
            .fold(dispatch, Dispatch::constant);
        dispatch
            .bind(&target)
            .bind(&left.place)
            .bind(&right.place)
            .bind(&bias)
            .words(&[size.rows, size.columns, size.inner, down, across, tiles])
            .words(&self.strides())
            .words(&[bias_start, bias_stride, part, size.batches])
            .words(&self.walk.words([&left.place, &right.place]))
            .groups(tiles)
    }

    /// By cooperative matrices, of a device that has them; both operands can be read in fours.
    fn by_fragments(&self, engine: &Engine, output: &Tensor) -> Result<()> {
        let Self { size, left, right, finish, .. } = self;
        let fragments = engine.gpu.fragments;
        let fragments = fragments.ok_or_else(|| engine.unsupported("cooperative matrices", Some(self.dtype)))?;
        let ((rows, columns), (subgroups_down, subgroups_across)) = (fragments.tile(), fragments.subgroups());
        let (down, across) = (size.rows.div_ceil(rows), size.columns.div_ceil(columns));
        let tiles = engine.count([down, across, size.batches].into_iter().map(|count| count as usize).product())?;
        engine.count(output.count())?;
        let chosen = flags(&[
            (cooperative_flag::LEFT_ALONG_INNER, left.along_inner),
            (cooperative_flag::RIGHT_ALONG_INNER, right.along_inner),
            (cooperative_flag::BIAS, finish.bias.is_some()),
        ]);
        let target = engine.output(output)?;
        let (bias, [_, bias_start, bias_stride]) = self.bias(&left.place);
        let threads = subgroups_down * subgroups_across * fragments.subgroup;
        [threads, fragments.rows, fragments.columns, fragments.inner]
            .into_iter()
            .chain([subgroups_down, subgroups_across, chosen, finish.activation])
            .fold(engine.shader("matmul_coop_f16").constant(self.walk.is_linear()), Dispatch::constant)
            .subgroup(fragments.subgroup)
            .bind(&target)
            .bind(&left.place)
            .bind(&right.place)
            .bind(&bias)
            .words(&[size.rows, size.columns, size.inner, down, across, tiles])
            .words(&self.strides())
            .words(&[bias_start, bias_stride])
            .words(&self.walk.words([&left.place, &right.place]))
            .groups(tiles)
    }

    /// One side has one line only: a matrix times a vector.
    fn by_vector(&self, engine: &Engine, output: &Tensor) -> Result<()> {
        let Size { batches, rows: left_rows, columns, inner } = self.size;
        let matrix_left = columns == 1;
        let (matrix, vector, rows) =
            if matrix_left { (&self.left, &self.right, left_rows) } else { (&self.right, &self.left, columns) };
        let ways = vector_ways(u64::from(rows) * u64::from(batches), inner, matrix.along_inner);
        let groups = rows.div_ceil(THREADS / ways);
        let all = engine.count(groups as usize * batches as usize)?;
        let in_fours = |side: &Operand| side.along_inner && side.fours && side.inner_stride == 1;
        let chosen = flags(&[
            (vector_flag::ALONG_INNER, matrix.along_inner),
            (vector_flag::FOURS, in_fours(matrix) && in_fours(vector)),
        ]);
        let target = engine.output(output)?;
        let (bias, [has_bias, bias_start, bias_stride]) = self.bias(&matrix.place);
        // One column has one bias.
        let bias_stride = if matrix_left { 0 } else { bias_stride };
        let places = [&self.left.place, &self.right.place];
        let walk =
            if matrix_left { self.walk.words(places) } else { self.walk.swapped().words([places[1], places[0]]) };
        engine
            .shader(shader!("matvec", self.dtype))
            .constant(self.walk.is_linear())
            .constant(ways)
            .constant(chosen)
            .bind(&target)
            .bind(&matrix.place)
            .bind(&vector.place)
            .bind(&bias)
            .words(&[rows, inner, groups, all, matrix.line_stride as u32, matrix.inner_stride as u32])
            .words(&[vector.inner_stride as u32, has_bias, bias_start, bias_stride, self.finish.activation])
            .words(&walk)
            .groups(all)
    }
}

/// Only floats are summed in parts.
fn sum_shader(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "matmul_sum_f64",
        DType::F16 => "matmul_sum_f16",
        DType::BF16 => "matmul_sum_bf16",
        _ => "matmul_sum_f32",
    }
}
