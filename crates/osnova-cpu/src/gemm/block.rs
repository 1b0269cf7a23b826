//! One block of a product on one thread: packed panels of the right matrix times tiles of the left.
//!
//! The scheme is that of Goto and van de Geijn ("Anatomy of high-performance matrix multiplication", ACM TOMS 34, 2008):
//! the innermost loop keeps a tile of the result in registers (12×32 numbers of `f32` with AVX-512) and adds one column
//! of the left times one row of the right to it per step. The right matrix is copied into panels as wide as a tile, so
//! that those rows lie one after another; the left is read where it lies, an element at a time.

use super::register::Register;
use super::{Side, share};
use crate::memory::Buffer;
use bytemuck::Pod;
use std::cell::RefCell;

/// Registers across a tile.
const ACROSS: usize = 2;
/// Steps of the inner axis for which the right matrix is packed at a time: a panel of `f32` then takes at most 48 KiB.
const DEPTH: usize = 384;
/// Tiles of rows from which packing a right matrix pays although its rows are contiguous.
const TILES_WORTH_PACKING: usize = 3;

/// What a block has to do: `output[rows, columns] = left[rows, inner] · right[inner, columns]`.
#[derive(Clone, Copy)]
pub(crate) struct Block<T> {
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
    /// The left matrix.
    pub(super) left: Side<T>,
    /// Elements from one tile of the left matrix to the next.
    pub(super) left_tile_stride: isize,
    pub(super) right: Side<T>,
    pub(super) output: *mut T,
    /// Elements from one row of the output to the next.
    pub(super) output_stride: usize,
    /// Room for a panel.
    pub(super) panel: *mut T,
}

/// Bytes of a panel: `DEPTH` rows as wide as a tile of the widest registers.
const PANEL_BYTES: usize = DEPTH * ACROSS * 64;

thread_local! {
    /// Where this thread packs panels.
    static PANEL: RefCell<Option<Buffer>> = RefCell::new(Buffer::zeroed(PANEL_BYTES).ok());
}

/// Gives this thread its panel. A pool calls this on its threads when they start: which of them computes its first
/// block when is chance, and a training step must ask the system for no memory after the first.
pub(crate) fn prepare_thread() {
    PANEL.with_borrow(|_| {});
}

/// Gives `work` room for a panel of `columns` columns.
///
/// Not part of [`run`], because a closure is compiled without the instruction set of the function around it.
pub(super) fn with_panel<T: Pod>(columns: usize, work: impl FnOnce(*mut T)) {
    assert!(DEPTH * columns * size_of::<T>() <= PANEL_BYTES, "a tile is wider than the registers that panels are for");
    PANEL.with_borrow_mut(|panel| match panel {
        Some(panel) => work(panel.as_mut_slice::<T>().as_mut_ptr()),
        None => with_panel_on_the_stack(work),
    });
}

/// [`with_panel`] where there was no memory for one.
#[cold]
#[inline(never)]
fn with_panel_on_the_stack<T: Pod>(work: impl FnOnce(*mut T)) {
    #[repr(align(64))]
    struct Panel([u8; PANEL_BYTES]);
    let mut panel = Panel([0; PANEL_BYTES]);
    work(panel.0.as_mut_ptr().cast());
}

/// Computes a block with tiles of at most `ROWS` rows.
///
/// # Safety
/// The processor has the register's instruction set; the matrices lie where the block says.
#[inline(always)]
pub(super) unsafe fn run<R: Register, const ROWS: usize>(block: &Block<R::Element>, tile: TileKernels<R::Element>) {
    let packed = block.panel;
    let steps = block.inner.div_ceil(DEPTH);
    for step in 0..steps {
        let first = share(block.inner, step, steps);
        let depth = share(block.inner, step + 1, steps) - first;
        assert!(depth <= DEPTH, "the panel holds every step");
        for column in (0..block.columns).step_by(ACROSS * R::LANES) {
            let width = (block.columns - column).min(ACROSS * R::LANES);
            // SAFETY: `first` and `column` lie within the right matrix; the panel holds `depth` full rows.
            unsafe {
                let right = block.right.at(first as isize, column as isize);
                let ready = right.column_stride == 1
                    && width == ACROSS * R::LANES
                    && block.rows <= ROWS * (TILES_WORTH_PACKING - 1);
                let (rows, stride) = if ready {
                    (right.start, right.row_stride)
                } else {
                    let across = width.div_ceil(R::LANES);
                    pack::<R>(right, depth, width, packed, across * R::LANES);
                    (packed.cast_const(), (across * R::LANES) as isize)
                };
                for (index, row) in (0..block.rows).step_by(ROWS).enumerate() {
                    let left =
                        Side { start: block.left.start.offset(index as isize * block.left_tile_stride), ..block.left };
                    let job = Tile {
                        inner: depth,
                        left: left.at(0, first as isize),
                        right: rows,
                        right_stride: stride,
                        output: block.output.add(row * block.output_stride + column),
                        output_stride: block.output_stride,
                        width,
                        add: step > 0,
                    };
                    let rows = (block.rows - row).min(ROWS);
                    tile[(width > R::LANES) as usize][rows - 1](&job);
                }
            }
        }
    }
}

/// Kernels by whether a tile is two registers wide, and by its rows less one.
pub(super) type TileKernels<T> = &'static [&'static [unsafe fn(&Tile<T>)]; ACROSS];

/// One tile of the result.
pub(super) struct Tile<T> {
    inner: usize,
    left: Side<T>,
    right: *const T,
    right_stride: isize,
    output: *mut T,
    output_stride: usize,
    width: usize,
    /// Whether the output holds the sum of earlier steps.
    add: bool,
}

/// A tile of `ROWS` rows and `WIDTH` registers.
///
/// # Safety
/// The processor has the register's instruction set; the matrices lie where the tile says.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub(super) unsafe fn tile<R: Register, const ROWS: usize, const WIDTH: usize>(tile: &Tile<R::Element>) {
    // SAFETY: the caller's promise; `left` and `right` are moved past the end but not read there.
    unsafe {
        let mut sums = [[R::zero(); WIDTH]; ROWS];
        let (mut left, mut right) = (tile.left.start, tile.right);
        let row_stride = tile.left.row_stride;
        for _ in 0..tile.inner {
            let mut columns = [R::zero(); WIDTH];
            for (index, column) in columns.iter_mut().enumerate() {
                *column = R::load(right.add(index * R::LANES));
            }
            // Three rows share a pointer: more pointers than registers would be spilled.
            let mut three = left;
            for row in 0..ROWS {
                if row > 0 && row % 3 == 0 {
                    three = three.wrapping_offset(3 * row_stride);
                }
                let factor = R::splat(three.wrapping_offset((row % 3) as isize * row_stride));
                for index in 0..WIDTH {
                    sums[row][index] = factor.multiply_add(columns[index], sums[row][index]);
                }
            }
            left = left.wrapping_offset(tile.left.column_stride);
            right = right.wrapping_offset(tile.right_stride);
        }
        let last = tile.width - (WIDTH - 1) * R::LANES;
        for (row, sums) in sums.iter().enumerate() {
            for (index, &sum) in sums.iter().enumerate() {
                let target = tile.output.add(row * tile.output_stride + index * R::LANES);
                if index + 1 < WIDTH || last == R::LANES {
                    (if tile.add { sum.add(R::load(target)) } else { sum }).store(target);
                } else {
                    (if tile.add { sum.add(R::load_part(target, last)) } else { sum }).store_part(target, last);
                }
            }
        }
    }
}

/// Copies `depth` rows of `width` elements to `target`, a row every `stride` elements.
///
/// # Safety
/// The processor has the register's instruction set; `source` holds the rows and `target` has room for them.
#[inline(always)]
pub(super) unsafe fn pack<R: Register>(
    source: Side<R::Element>,
    depth: usize,
    width: usize,
    target: *mut R::Element,
    stride: usize,
) {
    for column in (0..width).step_by(R::LANES) {
        let count = (width - column).min(R::LANES);
        // SAFETY: rows below `depth` and columns below `width` are there; rows of the transposed source that are not
        // are replaced by the last that is.
        unsafe {
            let source = source.at(0, column as isize);
            let target = target.add(column);
            if source.column_stride == 1 {
                for row in 0..depth {
                    let values = source.at(row as isize, 0).start;
                    let target = target.add(row * stride);
                    if count == R::LANES {
                        R::load(values).store(target);
                    } else {
                        R::load_part(values, count).store_part(target, count);
                    }
                }
                continue;
            }
            let mut row = 0;
            if source.row_stride == 1 {
                while row + R::STEP <= depth {
                    let columns = R::transpose(|lane| source.at(row as isize, lane.min(count - 1) as isize).start);
                    for (step, values) in columns.into_iter().enumerate().take(R::STEP) {
                        let target = target.add((row + step) * stride);
                        if count == R::LANES { values.store(target) } else { values.store_part(target, count) }
                    }
                    row += R::STEP;
                }
            }
            for row in row..depth {
                for column in 0..count {
                    *target.add(row * stride + column) = *source.at(row as isize, column as isize).start;
                }
            }
        }
    }
}

/// The kernels of one instruction set.
#[derive(Debug)]
pub struct Kernels<T: 'static> {
    /// Rows of a tile.
    pub(super) rows: usize,
    /// Columns of a tile.
    pub(super) columns: usize,
    /// Computes a block.
    pub(super) block: unsafe fn(&Block<T>),
    /// Copies some rows (`depth`, `width`) of a matrix to where rows of [`Self::rows`] elements stand one after another.
    pub(super) pack: unsafe fn(Side<T>, usize, usize, *mut T),
}

/// The kernels of one register type: a table of tiles, the block that uses them, and packing of the left matrix, all
/// compiled for its instruction set.
macro_rules! kernels {
    ($module:ident: $register:ty, $rows:literal rows [$($row:literal)+] $(, features $features:literal)?) => {
        pub(crate) mod $module {
            use super::*;

            type Number = <$register as Register>::Element;

            const ROWS: usize = $rows;

            $(#[target_feature(enable = $features)])?
            unsafe fn tile<const ROWS: usize, const WIDTH: usize>(job: &Tile<Number>) {
                // SAFETY: the caller's promise.
                unsafe { super::tile::<$register, ROWS, WIDTH>(job) }
            }

            /// This module, as the level's choice.
            pub(crate) static KERNELS: Kernels<Number> =
                Kernels { rows: ROWS, columns: ACROSS * <$register as Register>::LANES, block: run, pack };

            static TILES: [&[unsafe fn(&Tile<Number>)]; ACROSS] = [&[$(tile::<$row, 1>),+], &[$(tile::<$row, 2>),+]];

            $(#[target_feature(enable = $features)])?
            unsafe fn run(block: &Block<Number>) {
                // SAFETY: the caller's promise.
                unsafe { super::run::<$register, ROWS>(block, &TILES) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn pack(source: Side<Number>, depth: usize, width: usize, target: *mut Number) {
                // SAFETY: the caller's promise.
                unsafe { super::pack::<$register>(source, depth, width, target, ROWS) }
            }
        }
    };
}

#[cfg(target_arch = "aarch64")]
mod portable {
    use super::super::register::Portable;
    use super::*;

    kernels!(portable_f32: Portable<f32, 4>, 8 rows [1 2 3 4 5 6 7 8]);
    kernels!(portable_f64: Portable<f64, 2>, 8 rows [1 2 3 4 5 6 7 8]);
}
// Elsewhere there may be only sixteen registers: 8 for the sums, 2 for the right matrix.
#[cfg(not(target_arch = "aarch64"))]
mod portable {
    use super::super::register::Portable;
    use super::*;

    kernels!(portable_f32: Portable<f32, 4>, 4 rows [1 2 3 4]);
    kernels!(portable_f64: Portable<f64, 2>, 4 rows [1 2 3 4]);
}
pub(super) use portable::*;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::register_x86::{Avx2F32, Avx2F64, Avx512F32, Avx512F64};
    use super::*;

    kernels!(avx2_f32: Avx2F32, 6 rows [1 2 3 4 5 6], features "avx2,fma");
    kernels!(avx2_f64: Avx2F64, 6 rows [1 2 3 4 5 6], features "avx2,fma");
    kernels!(avx512_f32: Avx512F32, 12 rows [1 2 3 4 5 6 7 8 9 10 11 12], features "avx512f,avx512vl,avx512bw,avx512dq");
    kernels!(avx512_f64: Avx512F64, 12 rows [1 2 3 4 5 6 7 8 9 10 11 12], features "avx512f,avx512vl,avx512bw,avx512dq");
}
#[cfg(target_arch = "x86_64")]
pub(super) use x86::*;
