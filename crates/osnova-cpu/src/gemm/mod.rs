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
use crate::memory::{Buffer, OutOfMemory, vec_for};
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

    /// The elements of `batches` results; none where they are too many to count.
    fn results(&self, batches: usize) -> Option<usize> {
        self.rows.checked_mul(self.columns)?.checked_mul(batches)
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

    /// Finishes whole rows of `columns` elements.
    fn apply_to_rows(&self, output: &mut [T], columns: usize) {
        if self.bias.is_some() || self.activation.is_some() {
            let nanoseconds = output.len().saturating_mul(2);
            pool::for_each_chunk(output, columns, nanoseconds, |_, row| self.apply(row, 0));
        }
    }
}

/// A number that matrices can hold.
pub trait Element: VectorMath + bytemuck::Pod + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> {
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Whether long sums are better added up in `f64`.
    #[doc(hidden)]
    const SUMS_IN_F64: bool;
    /// The number as `f64`.
    #[doc(hidden)]
    fn wide(self) -> f64;
    /// The number from `f64`, rounded.
    #[doc(hidden)]
    fn narrow(wide: f64) -> Self;
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
    const SUMS_IN_F64: bool = true;
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn narrow(wide: f64) -> Self {
        wide as f32
    }
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
    const SUMS_IN_F64: bool = false;
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(wide: f64) -> Self {
        wide
    }
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
/// Sums of `f32` longer than [`LONGEST`] are cut, and their parts added up in `f64`.
///
/// # Errors
/// Too little memory for what a product works with.
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
) -> Result<(), OutOfMemory> {
    let Product { rows, inner, columns } = product;
    assert_eq!(Some(output.len()), product.results(batches.len()), "the output holds every result");
    assert!(finish.bias.is_none_or(|bias| bias.len() == columns), "the bias has one number for each column");
    if output.is_empty() {
        return Ok(());
    }
    if inner == 0 {
        output.fill(T::ZERO);
        finish.apply_to_rows(output, columns);
        return Ok(());
    }
    for &(left_start, right_start) in batches {
        left.check(left_start, rows, inner);
        right.check(right_start, inner, columns);
    }
    match T::SUMS_IN_F64 && inner > LONGEST {
        true => long_sums(product, left, right, batches, finish, output),
        false => checked(product, left, right, batches, finish, output),
    }
}

/// Terms that are summed in `f32`, and of which a kernel adds up blocks one after another.
pub const LONGEST: usize = 1 << 13;

/// A product whose sums are cut into even parts of at most [`LONGEST`] terms, the parts added up in `f64`.
fn long_sums<T: Element>(
    product: Product,
    left: Operand<'_, T>,
    right: Operand<'_, T>,
    batches: &[Batch],
    finish: Finish<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    let Product { inner, columns, .. } = product;
    let mut buffer = Buffer::of::<f64>(output.len())?;
    let totals = buffer.as_mut_slice::<f64>();
    totals.fill(0.0);
    let parts = inner.div_ceil(LONGEST);
    let mut moved = vec_for::<Batch>(batches.len())?;
    for part in 0..parts {
        let first = share(inner, part, parts);
        let length = share(inner, part + 1, parts) - first;
        let shifted = |start: usize, stride: isize| (start as isize + first as isize * stride) as usize;
        moved.clear();
        moved.extend(batches.iter().map(|&(l, r)| (shifted(l, left.column_stride), shifted(r, right.row_stride))));
        checked(Product { inner: length, ..product }, left, right, &moved, Finish::NOTHING, output)?;
        pool::for_each_chunk_pair(totals, output, (ADDED, ADDED), totals.len() / 2, |_, totals, output| {
            totals.iter_mut().zip(output).for_each(|(total, part)| *total += part.wide());
        });
    }
    pool::for_each_chunk_pair(totals, output, (ADDED, ADDED), output.len() / 2, |_, totals, output| {
        output.iter_mut().zip(totals).for_each(|(output, total)| *output = T::narrow(*total));
    });
    finish.apply_to_rows(output, columns);
    Ok(())
}

/// Elements of a sum that a thread adds up at a time.
const ADDED: usize = 1 << 14;

/// Where part `part` of `parts` even parts of `total` begins; exact for every size.
#[inline]
fn share(total: usize, part: usize, parts: usize) -> usize {
    match total.checked_mul(part) {
        Some(product) => product / parts,
        None => (total as u128 * part as u128 / parts as u128) as usize,
    }
}

/// [`matmul`] of operands that were checked and hold something.
fn checked<T: Element>(
    product: Product,
    left: Operand<'_, T>,
    right: Operand<'_, T>,
    batches: &[Batch],
    finish: Finish<'_, T>,
    output: &mut [T],
) -> Result<(), OutOfMemory> {
    let Product { rows, inner, columns } = product;
    if rows == 1 && vector::can_run(&right) {
        return vector::vector_matrix(product, left, right, batches, finish, output);
    }
    if columns == 1 && vector::can_run(&left.transposed()) {
        return vector::matrix_vector(product, left, right, batches, finish, output);
    }
    let kernels = T::kernels();
    let plan = Plan::new(product, kernels.rows, kernels.columns);
    // Packing is for speed alone: without the memory for it the tiles read the matrix where it lies, to the same bits.
    let packed = if plan.packs_left::<T>(&left) { pack_left(kernels, product, left, batches).ok() } else { None };
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
                // Where there is a second tile, it lies within the elements, and so the product is exact.
                None => (left.from(left_start).at(part.first_row as isize, 0), tile.wrapping_mul(left.row_stride)),
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
    Ok(())
}

/// The left matrices as tiles one after another, the elements of a tile's column side by side.
fn pack_left<T: Element>(
    kernels: &Kernels<T>,
    product: Product,
    left: Operand<'_, T>,
    batches: &[Batch],
) -> Result<Buffer, OutOfMemory> {
    let Product { rows, inner, .. } = product;
    let tiles = rows.div_ceil(kernels.rows);
    let room = Product { rows: tiles * kernels.rows, inner: 1, columns: inner };
    let mut packed = Buffer::of::<T>(room.results(batches.len()).ok_or(OutOfMemory { bytes: usize::MAX })?)?;
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
    Ok(packed)
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
        let least = LEAST_WORK.div_ceil(inner.saturating_mul(block_columns).max(1)).max(SHORTEST);
        let parts = rows.div_ceil(TALLEST).max((BLOCKS / across).min(rows / least)).max(1);
        let block_rows = rows.div_ceil(parts).next_multiple_of(tile_rows);
        Self { product, block_rows, block_columns }
    }

    /// Whether the left matrix should be packed: its rows lie a multiple of a page apart, so that all elements of a
    /// tile's column compete for one set of the first-level cache. Worth it from a few panels on.
    fn packs_left<T>(&self, left: &Operand<'_, T>) -> bool {
        let bytes = left.row_stride.unsigned_abs().saturating_mul(size_of::<T>());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_whatever_the_size() {
        for total in [0, 1, 384, 385, 1 << 20, 1_300_000, u32::MAX as usize, usize::MAX / 2, usize::MAX] {
            let parts = total.div_ceil(384).max(1);
            assert_eq!((share(total, 0, parts), share(total, parts, parts)), (0, total));
            for part in [0, 1, parts / 2, parts - 1].into_iter().filter(|&part| part < parts) {
                let length = share(total, part + 1, parts) - share(total, part, parts);
                assert!(length <= 384, "part {part} of {parts} of {total} has {length}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "the output holds every result")]
    fn a_number_of_results_that_wraps_is_refused() {
        // 2·(2⁶³ + 1) is 2 without a check, and a stride of 0 lets any number of rows pass.
        let product = Product { rows: (1 << (usize::BITS - 1)) + 1, inner: 1, columns: 2 };
        let left = Operand { elements: &[1.0f32][..], row_stride: 0, column_stride: 0 };
        let _ = matmul(product, left, left, &[(0, 0)], Finish::NOTHING, &mut [0.0; 2]);
    }

    #[test]
    #[should_panic(expected = "the matrix holds all rows")]
    fn a_stride_that_wraps_is_refused() {
        f32::dots(&[1.0], &[1.0], 1 << (usize::BITS - 1), &mut [0.0; 3]);
    }
}
