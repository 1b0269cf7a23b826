//! Matrix products, with bias and activation applied to every block while it is in the cache.
//!
//! A product is cut into blocks that depend on its shape and strides alone; each is computed by one thread
//! (`gemm::block`). So the number of threads changes no bit of the result, and a block's bias and activation find it
//! warm. Products with one row or one column have kernels of their own (`gemm::vector`).

mod block;
mod dots;
mod half;
mod integer;
mod register;
#[cfg(target_arch = "x86_64")]
mod register_x86;
mod vector;

pub(crate) use block::prepare_thread;
use block::{Block, Kernels};

pub use half::matmul_half;
pub use integer::matmul_with;

use crate::dispatch::{Level, level};
use crate::memory::Buffer;
use crate::pool;
use crate::vector::VectorMath;

/// The shape of a product: `[rows, inner] · [inner, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of the left matrix and of the result.
    pub rows: usize,
    /// Columns of the left matrix, rows of the right.
    pub inner: usize,
    /// Columns of the right matrix and of the result.
    pub columns: usize,
}

impl Product {
    fn multiply_adds(&self) -> usize {
        self.rows.saturating_mul(self.inner).saturating_mul(self.columns)
    }
}

/// The elements of one side of a product, with the strides of its rows and columns; where a matrix starts stands in
/// [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    /// All elements of the tensor.
    pub elements: &'a [T],
    /// Elements from one row to the next.
    pub row_stride: isize,
    /// Elements from one column to the next.
    pub column_stride: isize,
}

impl<'a, T> Operand<'a, T> {
    /// The operand with rows and columns exchanged.
    fn transposed(self) -> Self {
        Self { elements: self.elements, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    /// The matrix that begins at `start`.
    fn from(&self, start: usize) -> Side<T> {
        let start = self.elements.as_ptr().wrapping_add(start);
        Side { start, row_stride: self.row_stride, column_stride: self.column_stride }
    }

    /// # Panics
    /// If a matrix of this shape, begun at `start`, would leave the elements.
    fn check(&self, start: usize, rows: usize, columns: usize) {
        let (first, last) = self.range(start, rows, columns);
        assert!(
            first >= 0 && last < self.elements.len() as i128,
            "a {rows}×{columns} matrix from {start} leaves the {} elements of its tensor",
            self.elements.len()
        );
    }

    /// The first and last element that a matrix touches.
    fn range(&self, start: usize, rows: usize, columns: usize) -> (i128, i128) {
        let extents = [(rows, self.row_stride), (columns, self.column_stride)]
            .map(|(count, stride)| (count as i128 - 1) * stride as i128);
        let first = start as i128 + extents.iter().map(|&extent| extent.min(0)).sum::<i128>();
        let last = start as i128 + extents.iter().map(|&extent| extent.max(0)).sum::<i128>();
        (first, last)
    }
}

/// Where the left and the right matrix of one product start in their operands' elements.
pub type Batch = (usize, usize);

/// A function that changes a run of elements in place.
pub type Activation<'a, T> = dyn Fn(&mut [T]) + Sync + 'a;

/// What happens to the result, a run of a row at a time: first the bias is added, then the activation is applied.
#[derive(Clone, Copy)]
pub struct Finish<'a, T> {
    /// One number for each column.
    pub bias: Option<&'a [T]>,
    /// Changes a run of elements in place.
    pub activation: Option<&'a Activation<'a, T>>,
}

impl<T> Finish<'_, T> {
    /// Leaves the result as it is.
    pub const NOTHING: Self = Self { bias: None, activation: None };
}

impl<T: VectorMath + std::ops::Add<Output = T>> Finish<'_, T> {
    /// Finishes the elements of one row from column `first` on.
    #[inline]
    fn apply(&self, run: &mut [T], first: usize) {
        if let Some(bias) = self.bias {
            let bias = &bias[first..first + run.len()];
            run.iter_mut().zip(bias).for_each(|(value, &bias)| *value = *value + bias);
        }
        if let Some(activation) = self.activation {
            activation(run);
        }
    }
}

/// A number that matrices can hold.
pub trait Element: VectorMath + bytemuck::Pod + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> {
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The product kernels for this processor.
    #[doc(hidden)]
    fn kernels() -> &'static Kernels<Self>;
    /// The dot product of `x` with each of the rows of `matrix` that start every `stride` elements.
    #[doc(hidden)]
    fn dots(x: &[Self], matrix: &[Self], stride: usize, output: &mut [Self]);
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn kernels() -> &'static Kernels<Self> {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &block::avx512_f32::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2Fma => &block::avx2_f32::KERNELS,
            _ => &block::portable_f32::KERNELS,
        }
    }
    #[inline]
    fn dots(x: &[Self], matrix: &[Self], stride: usize, output: &mut [Self]) {
        // SAFETY: the level is the processor's.
        unsafe {
            match level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => dots::avx512_f32(x, matrix, stride, output),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2Fma => dots::avx2_f32(x, matrix, stride, output),
                _ => dots::portable_f32(x, matrix, stride, output),
            }
        }
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn kernels() -> &'static Kernels<Self> {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &block::avx512_f64::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2Fma => &block::avx2_f64::KERNELS,
            _ => &block::portable_f64::KERNELS,
        }
    }
    #[inline]
    fn dots(x: &[Self], matrix: &[Self], stride: usize, output: &mut [Self]) {
        // SAFETY: the level is the processor's.
        unsafe {
            match level() {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => dots::avx512_f64(x, matrix, stride, output),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2Fma => dots::avx2_f64(x, matrix, stride, output),
                _ => dots::portable_f64(x, matrix, stride, output),
            }
        }
    }
}

/// `output[b] = finish(left[b] · right[b])` for every batch `b`, the results row-major one after another.
///
/// # Panics
/// If a matrix leaves its operand's elements, or the output or bias has another length than the shape demands.
pub fn matmul<T: Element>(
    product: Product,
    left: Operand<'_, T>,
    right: Operand<'_, T>,
    batches: &[Batch],
    finish: Finish<'_, T>,
    output: &mut [T],
) {
    let Product { rows, inner, columns } = product;
    assert_eq!(output.len(), rows * columns * batches.len(), "the output holds every result");
    assert!(finish.bias.is_none_or(|bias| bias.len() == columns), "the bias has one number for each column");
    if output.is_empty() {
        return;
    }
    if inner == 0 {
        output.fill(T::ZERO);
        return output.chunks_mut(columns).for_each(|row| finish.apply(row, 0));
    }
    for &(left_start, right_start) in batches {
        left.check(left_start, rows, inner);
        right.check(right_start, inner, columns);
    }
    if rows == 1 && vector::can_run(&right) {
        return vector::vector_matrix(product, left, right, batches, finish, output);
    }
    if columns == 1 && vector::can_run(&left.transposed()) {
        return vector::matrix_vector(product, left, right, batches, finish, output);
    }
    let kernels = T::kernels();
    let plan = Plan::new(product, kernels.rows, kernels.columns);
    let packed = plan.packs_left::<T>(&left).then(|| pack_left(kernels, product, left, batches));
    let blocks = plan.blocks();
    let output = OutputPointer(output.as_mut_ptr());
    let nanoseconds = product.multiply_adds().saturating_mul(batches.len()) / MULTIPLY_ADDS_A_NANOSECOND;
    pool::for_each_block(blocks * batches.len(), nanoseconds, |index| {
        let (batch, part) = (index / blocks, plan.part(index % blocks));
        let (left_start, right_start) = batches[batch];
        let first_output = (batch * rows + part.first_row) * columns + part.first_column;
        let tile = kernels.rows as isize;
        // SAFETY: the block lies within the output, whose length was checked, and blocks do not overlap; the operands'
        // ranges were checked for the whole matrices, and packed tiles are as many as the rows need. The kernels are
        // those of the processor.
        unsafe {
            let start = output.get().add(first_output);
            let (left, left_tile_stride) = match &packed {
                Some(packed) => {
                    let first_tile = batch * rows.div_ceil(kernels.rows) + part.first_row / kernels.rows;
                    let start = packed.as_slice::<T>().as_ptr().add(first_tile * kernels.rows * inner);
                    (Side { start, row_stride: 1, column_stride: tile }, tile * inner as isize)
                }
                None => (left.from(left_start).at(part.first_row as isize, 0), tile * left.row_stride),
            };
            let right = right.from(right_start).at(0, part.first_column as isize);
            block::with_panel(kernels.columns, |panel| {
                (kernels.block)(&Block {
                    rows: part.rows,
                    inner,
                    columns: part.columns,
                    left,
                    left_tile_stride,
                    right,
                    output: start,
                    output_stride: columns,
                    panel,
                });
            });
            if finish.bias.is_some() || finish.activation.is_some() {
                for row in 0..part.rows {
                    let run = std::slice::from_raw_parts_mut(start.add(row * columns), part.columns);
                    finish.apply(run, part.first_column);
                }
            }
        }
    });
}

/// The left matrices as tiles one after another, the elements of a tile's column side by side.
fn pack_left<T: Element>(kernels: &Kernels<T>, product: Product, left: Operand<'_, T>, batches: &[Batch]) -> Buffer {
    let Product { rows, inner, .. } = product;
    let tiles = rows.div_ceil(kernels.rows);
    let mut packed = Buffer::new(batches.len() * tiles * kernels.rows * inner * size_of::<T>());
    let nanoseconds = packed.len() / PACKED_BYTES_A_NANOSECOND;
    pool::for_each_chunk(packed.as_mut_slice::<T>(), kernels.rows * inner, nanoseconds, |index, tile| {
        let first = index % tiles * kernels.rows;
        let source = left.from(batches[index / tiles].0);
        // SAFETY: the matrices' ranges were checked; a tile has room for `inner` columns of its rows.
        unsafe {
            let source = source.at(first as isize, 0).transposed();
            (kernels.pack)(source, inner, (rows - first).min(kernels.rows), tile.as_mut_ptr());
        }
    });
    packed
}

/// About what a thread does: sets which products are worth a fork (some 250,000 multiply-adds).
const MULTIPLY_ADDS_A_NANOSECOND: usize = 25;
/// About what a thread packs.
const PACKED_BYTES_A_NANOSECOND: usize = 8;

/// How a product is cut: into rectangles of the result. Depends on nothing but the shape and the tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    product: Product,
    /// Rows and columns of a block.
    block_rows: usize,
    block_columns: usize,
}

/// A rectangle of the result.
struct Part {
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
}

impl Plan {
    /// Blocks are as narrow as a tile and as tall as the result, so that every part of the right matrix is packed once;
    /// wider where that would be too little work for a block, cut across where there are fewer than [`BLOCKS`].
    fn new(product: Product, tile_rows: usize, tile_columns: usize) -> Self {
        let Product { rows, inner, columns } = product;
        let one = rows.min(TALLEST).saturating_mul(inner).saturating_mul(tile_columns);
        let block_columns = (tile_columns * LEAST_WORK.div_ceil(one.max(1))).min(columns);
        let across = columns.div_ceil(block_columns);
        let least = LEAST_WORK.div_ceil((inner * block_columns).max(1)).max(SHORTEST);
        let parts = rows.div_ceil(TALLEST).max((BLOCKS / across).min(rows / least)).max(1);
        let block_rows = rows.div_ceil(parts).next_multiple_of(tile_rows);
        Self { product, block_rows, block_columns }
    }

    /// Whether the left matrix should be packed: its rows lie a multiple of a page apart, so that all elements of a
    /// tile's column compete for one set of the first-level cache. Worth it from a few panels on.
    fn packs_left<T>(&self, left: &Operand<'_, T>) -> bool {
        let bytes = left.row_stride.unsigned_abs() * size_of::<T>();
        bytes > 0 && bytes.is_multiple_of(4096) && self.product.rows >= 4 && self.product.columns >= 256
    }

    fn across(&self) -> usize {
        self.product.columns.div_ceil(self.block_columns)
    }

    fn blocks(&self) -> usize {
        self.product.rows.div_ceil(self.block_rows) * self.across()
    }

    fn part(&self, index: usize) -> Part {
        let Product { rows, columns, .. } = self.product;
        let first_row = index / self.across() * self.block_rows;
        let first_column = index % self.across() * self.block_columns;
        Part {
            first_row,
            rows: self.block_rows.min(rows - first_row),
            first_column,
            columns: self.block_columns.min(columns - first_column),
        }
    }
}

/// Multiply-adds that a block should have at least: some 3 µs.
const LEAST_WORK: usize = 150_000;
/// Blocks that a product is cut into where it can be.
const BLOCKS: usize = 8;
/// Rows of a block at most: its part of the left matrix then stays in the second-level cache.
const TALLEST: usize = 512;
/// Rows of a block at least, where a smaller number would only serve to have more blocks: packing must pay.
const SHORTEST: usize = 48;

/// A matrix in memory.
#[derive(Debug)]
pub(crate) struct Side<T> {
    start: *const T,
    row_stride: isize,
    column_stride: isize,
}

impl<T> Clone for Side<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Side<T> {}

impl<T> Side<T> {
    /// The matrix from a row and a column on.
    #[inline(always)]
    fn at(self, row: isize, column: isize) -> Self {
        let start = self.start.wrapping_offset(row * self.row_stride + column * self.column_stride);
        Self { start, ..self }
    }

    fn transposed(self) -> Self {
        Self { start: self.start, row_stride: self.column_stride, column_stride: self.row_stride }
    }
}

/// The output's start, for blocks on several threads.
#[derive(Clone, Copy)]
struct OutputPointer<T>(*mut T);

// SAFETY: blocks write to disjoint parts.
unsafe impl<T: Send> Send for OutputPointer<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for OutputPointer<T> {}

impl<T> OutputPointer<T> {
    /// A method, so that closures take the whole struct and with it the promise above.
    #[inline]
    fn get(self) -> *mut T {
        self.0
    }
}
