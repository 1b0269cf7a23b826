//! Matrix products, with bias and activation applied to every block while it is in the cache.
//!
//! A product is cut into blocks that depend on its shape and strides alone; each block is a call of the `gemm` crate on
//! one thread. So the number of threads changes no bit of the result, and a block's bias and activation find it warm.
//! Products with one row or one column have kernels of their own (`gemm::vector`): there `gemm` takes three times as long.

#[cfg(target_arch = "x86_64")]
mod dots_avx2;
mod half;
mod integer;
mod vector;

pub use half::matmul_half;
pub use integer::matmul_with;

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

/// A kernel of the `gemm` crates: rows, columns and inner size; the result with its column and row stride and whether it is
/// read; each side with its column and row stride; α, β; conjugations; threads.
#[doc(hidden)]
pub type Kernel<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    gemm_common::Parallelism,
);

/// A number that matrices can hold.
pub trait Element: VectorMath + bytemuck::Pod + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> {
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The product kernel for this processor.
    #[doc(hidden)]
    fn kernel() -> Kernel<Self>;
    /// The dot product of `x` with each of the rows of `matrix` that start every `stride` elements.
    #[doc(hidden)]
    fn dots(x: &[Self], matrix: &[Self], stride: usize, output: &mut [Self]);
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn kernel() -> Kernel<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
    #[inline]
    fn dots(x: &[Self], matrix: &[Self], stride: usize, output: &mut [Self]) {
        vector::dots_f32(x, matrix, stride, output);
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn kernel() -> Kernel<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
    #[inline]
    fn dots(x: &[Self], matrix: &[Self], stride: usize, output: &mut [Self]) {
        vector::dots_f64(x, matrix, stride, output);
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
    let plan = Plan::new(product, right.column_stride == 1);
    let blocks = plan.blocks();
    let output = OutputPointer(output.as_mut_ptr());
    let nanoseconds = product.multiply_adds().saturating_mul(batches.len()) / MULTIPLY_ADDS_A_NANOSECOND;
    pool::for_each_block(blocks * batches.len(), nanoseconds, |index| {
        let (batch, block) = (index / blocks, plan.block(index % blocks));
        let (left_start, right_start) = batches[batch];
        let first_output = (batch * rows + block.first_row) * columns + block.first_column;
        // SAFETY: the block lies within the output, whose length was checked, and blocks do not overlap; the operands'
        // ranges were checked for the whole matrices.
        unsafe {
            let start = output.get().add(first_output);
            let left_block = left.elements.as_ptr().add(left_start).offset(block.first_row as isize * left.row_stride);
            let right_block =
                right.elements.as_ptr().add(right_start).offset(block.first_column as isize * right.column_stride);
            // The kernel wants a column-major result: the product of the transposed matrices, in the other order.
            let (mut a, mut b) = (right_block, left_block);
            let (mut a_step, mut b_step) = (right.row_stride, left.column_stride);
            if a_step < 0 {
                // It also wants the left side's inner stride not to be negative: both inner axes are walked from the other end.
                a = a.wrapping_offset((inner - 1) as isize * a_step);
                b = b.wrapping_offset((inner - 1) as isize * b_step);
                (a_step, b_step) = (-a_step, -b_step);
            }
            (T::kernel())(
                block.columns,
                block.rows,
                inner,
                start,
                columns as isize,
                1,
                false,
                a,
                a_step,
                right.column_stride,
                b,
                left.row_stride,
                b_step,
                T::ZERO,
                T::ONE,
                false,
                false,
                false,
                gemm_common::Parallelism::None,
            );
            if finish.bias.is_some() || finish.activation.is_some() {
                for row in 0..block.rows {
                    let run = std::slice::from_raw_parts_mut(start.add(row * columns), block.columns);
                    finish.apply(run, block.first_column);
                }
            }
        }
    });
}

/// About what a thread does: sets which products are worth a fork (some 250,000 multiply-adds).
const MULTIPLY_ADDS_A_NANOSECOND: usize = 25;

/// How a product is cut: into rectangles of the result. Depends on nothing but shape and strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    product: Product,
    /// Rows and columns of a block.
    block_rows: usize,
    block_columns: usize,
}

struct Block {
    first_row: usize,
    rows: usize,
    first_column: usize,
    columns: usize,
}

impl Plan {
    /// `gemm` repacks the right matrix for every block unless its rows are contiguous. So a matrix that must be packed
    /// is divided itself, along the columns (blocks of 32 columns then cost 1 % over the undivided product); one that
    /// need not be is read again for every block of rows, which must not be too few: at 256³ and 256×128×784, blocks
    /// of 64 rows cost 4 %, of 32 rows 13 %; at 1024³, of 64 rows 25 %, of 128 rows nothing.
    fn new(product: Product, right_is_ready: bool) -> Self {
        let Product { rows, columns, .. } = product;
        let part = |length: usize, parts: usize, least: usize| {
            length.div_ceil(parts).next_multiple_of(32).clamp(least, 256).min(length)
        };
        let (block_rows, block_columns) = if product.multiply_adds() < UNDIVIDED {
            (rows, columns)
        } else if right_is_ready {
            (part(rows, 4, 64), columns.min(512))
        } else {
            (rows.min(512), part(columns, 8, 32))
        };
        Self { product, block_rows, block_columns }
    }

    fn across(&self) -> usize {
        self.product.columns.div_ceil(self.block_columns)
    }

    fn blocks(&self) -> usize {
        self.product.rows.div_ceil(self.block_rows) * self.across()
    }

    fn block(&self, index: usize) -> Block {
        let Product { rows, columns, .. } = self.product;
        let first_row = index / self.across() * self.block_rows;
        let first_column = index % self.across() * self.block_columns;
        Block {
            first_row,
            rows: self.block_rows.min(rows - first_row),
            first_column,
            columns: self.block_columns.min(columns - first_column),
        }
    }
}

/// Below so many multiply-adds a product stays whole.
const UNDIVIDED: usize = 200_000;

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
