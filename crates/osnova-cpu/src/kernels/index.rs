//! By index: gather, scatter-add, index-select, index-add, sort.

use super::movement::{made_contiguous, owned};
use super::reduce::for_lanes;
use super::tiles::Walk;
use crate::failure::Failure;
use crate::memory::{Buffer, OutOfMemory, vec_for};
use crate::native::{Native, Number, with_index, with_native, with_width};
use crate::parallel::Parallel;
use crate::storage::{contiguous, create, elements, of_buffer, writable};
use half::{bf16, f16};
use osnova_tensor::{DType, Device, Error, Layout, Meta, Tensor};
use std::cmp::Ordering;

/// The values of an index tensor, each checked against the size of the axis it points into.
fn checked(operation: &'static str, index: &Tensor, axis: usize, size: usize) -> Result<Vec<usize>, Failure> {
    with_index!(index.dtype(), I => checked_of::<I>(operation, index, axis, size))
}

fn checked_of<I: Native>(
    operation: &'static str,
    index: &Tensor,
    axis: usize,
    size: usize,
) -> Result<Vec<usize>, Failure> {
    let source = elements::<I>(index);
    let mut values = vec_for(index.count())?;
    let mut outside = None;
    Walk::new(index.layout()).runs(0, index.count(), |position, count, stride| {
        for step in 0..count as isize {
            let value = source[(position as isize + step * stride) as usize].to_i64();
            if !(0..size as i64).contains(&value) {
                outside.get_or_insert(value);
            }
            values.push(value as usize);
        }
    });
    match outside {
        None => Ok(values),
        Some(value) => Err(Failure::Input(Error::argument(
            operation,
            format!("index {value} is out of range for axis {axis} of size {size}"),
            "Use indices from 0 up to the size of the axis",
        ))),
    }
}

/// The position of each element of a row-major shape in a tensor of strides `strides`, with the axis `axis` read from `index`.
fn positions<'a>(
    dims: &'a [usize],
    strides: &'a [isize],
    offset: usize,
    axis: usize,
    index: &'a [usize],
) -> impl Iterator<Item = usize> + 'a {
    let mut place = [0usize; osnova_tensor::MAX_RANK];
    index.iter().map(move |&chosen| {
        let mut position = offset as isize;
        for at in 0..dims.len() {
            position += if at == axis { chosen } else { place[at] } as isize * strides[at];
        }
        for at in (0..dims.len()).rev() {
            place[at] += 1;
            if place[at] < dims[at] {
                break;
            }
            place[at] = 0;
        }
        position as usize
    })
}

pub(crate) fn gather(
    device: Device,
    input: &Tensor,
    index: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    let chosen = checked("gather", index, axis, input.shape()[axis])?;
    let strides = input.layout().strides();
    let positions = positions(index.dims(), &strides, input.layout().offset(), axis, &chosen);
    Ok(with_width!(meta.dtype, T => create::<T>(device, meta, |out| {
        let source = elements::<T>(input);
        out.iter_mut().zip(positions).for_each(|(slot, position)| *slot = source[position]);
    })?))
}

pub(crate) fn index_select(
    parallel: &Parallel,
    device: Device,
    input: &Tensor,
    index: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    let chosen = checked("index_select", index, axis, input.shape()[axis])?;
    let dims = input.dims();
    let run: usize = dims[axis + 1..].iter().product();
    let outer: usize = dims[..axis].iter().product();
    Ok(with_width!(meta.dtype, T => create::<T>(device, meta, |out| {
        if out.is_empty() {
            return;
        }
        let source = elements::<T>(input);
        let layout = input.layout();
        let whole = Walk::new(layout);
        let size = dims[axis];
        debug_assert_eq!(out.len(), outer * chosen.len() * run);
        // Whole slices a thread copies at a time.
        let chunk = (1usize << 14).div_ceil(run) * run;
        parallel.chunks(out, chunk, 0.5, |start, out| {
            for (number, slot) in out.chunks_mut(run).enumerate() {
                let row = start / run + number;
                let from = (row / chosen.len() * size + chosen[row % chosen.len()]) * run;
                if layout.is_contiguous() {
                    slot.copy_from_slice(&source[layout.offset() + from..][..run]);
                    continue;
                }
                let mut slots = slot.iter_mut();
                whole.runs(from, run, |position, count, stride| {
                    let mut at = position as isize;
                    slots.by_ref().take(count).for_each(|slot| {
                        *slot = source[at as usize];
                        at += stride;
                    });
                });
            }
        });
    })?))
}

/// Adds two elements.
trait Accumulate: Native {
    fn accumulate(self, other: Self) -> Self;
}
macro_rules! accumulate {
    ($($type:ty => |$left:ident, $right:ident| $sum:expr;)*) => {$(
        impl Accumulate for $type {
            #[inline(always)]
            fn accumulate(self, other: Self) -> Self { let ($left, $right) = (self, other); $sum }
        }
    )*};
}
accumulate! {
    f32 => |x, y| x + y;
    f64 => |x, y| x + y;
    f16 => |x, y| f16::from_f32(x.to_f32() + y.to_f32());
    bf16 => |x, y| bf16::from_f32(x.to_f32() + y.to_f32());
    i64 => |x, y| Number::add(x, y);
    i32 => |x, y| Number::add(x, y);
    u32 => |x, y| Number::add(x, y);
    u8 => |x, y| Number::add(x, y);
    crate::native::Truth => |x, y| crate::native::Truth(x.0 | y.0);
}

/// Whether many additions to one element are summed in `f64` and rounded once: in `f32`, a million small ones would lose what
/// they add.
fn sums_in_f64(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Up to so many elements for each addition are widened all together; of more, only those that are added to.
const DENSE: usize = 4;

/// Adds every value at its position, in order; in `f64` all over if `wide`.
fn add_at<T: Accumulate>(
    out: &mut [T],
    wide: bool,
    additions: impl Iterator<Item = (usize, T)>,
) -> Result<(), OutOfMemory> {
    if !wide {
        additions.for_each(|(position, value)| out[position] = out[position].accumulate(value));
        return Ok(());
    }
    let mut buffer = Buffer::of::<f64>(out.len())?;
    let sums = buffer.as_mut_slice::<f64>();
    sums.iter_mut().zip(&*out).for_each(|(sum, value)| *sum = value.to_f64());
    additions.for_each(|(position, value)| sums[position] += value.to_f64());
    out.iter_mut().zip(sums).for_each(|(slot, sum)| *slot = T::from_f64(*sum));
    Ok(())
}

/// Adds row `i` of `source` to row `targets[i]` of `out`, the rows of `width` elements; those that go to one row are summed in
/// `f64`, in order. `order` holds the positions of `targets`, sorted by these.
fn add_rows<T: Accumulate>(out: &mut [T], source: &[T], width: usize, targets: &[usize], order: &[usize]) {
    let mut sums = [0.0; 256];
    for rows in order.chunk_by(|&left, &right| targets[left] == targets[right]) {
        let target = &mut out[targets[rows[0]] * width..][..width];
        if let &[row] = rows {
            target.iter_mut().zip(&source[row * width..]).for_each(|(slot, &value)| *slot = slot.accumulate(value));
            continue;
        }
        for (strip, target) in target.chunks_mut(sums.len()).enumerate() {
            let sums = &mut sums[..target.len()];
            sums.iter_mut().zip(&*target).for_each(|(sum, value)| *sum = value.to_f64());
            for &row in rows {
                let values = &source[row * width + strip * 256..][..sums.len()];
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value.to_f64());
            }
            target.iter_mut().zip(sums).for_each(|(slot, sum)| *slot = T::from_f64(*sum));
        }
    }
}

/// The positions of `targets`, sorted by these and, where they are equal, by themselves.
fn order_of(targets: &[usize]) -> Result<Vec<usize>, OutOfMemory> {
    let mut order = vec_for(targets.len())?;
    order.extend(0..targets.len());
    if !targets.is_sorted() {
        order.sort_unstable_by_key(|&at| (targets[at], at));
    }
    Ok(order)
}

/// The elements of a tensor, row-major.
fn values<T: Native>(tensor: &Tensor) -> impl Iterator<Item = T> + use<'_, T> {
    let source = elements::<T>(tensor);
    tensor.layout().positions().map(|position| source[position])
}

pub(crate) fn scatter_add(
    parallel: &Parallel,
    device: Device,
    base: Tensor,
    index: &Tensor,
    source: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    let chosen = checked("scatter_add", index, axis, base.shape()[axis])?;
    let strides = Layout::contiguous(meta.shape).strides();
    let positions = positions(index.dims(), &strides, 0, axis, &chosen);
    let wide = sums_in_f64(meta.dtype);
    with_native!(meta.dtype, T => {
        let mut out = owned::<T>(parallel, device, base)?;
        if let Some(slots) = writable::<T>(&mut out) {
            if wide && slots.len() / DENSE > chosen.len() {
                let mut targets = vec_for(chosen.len())?;
                targets.extend(positions);
                let source = made_contiguous(parallel, device, source.clone())?;
                add_rows(slots, contiguous(&source).unwrap_or(&[]), 1, &targets, &order_of(&targets)?);
            } else {
                add_at(slots, wide, positions.zip(values::<T>(source)))?;
            }
        }
        Ok(out)
    })
}

pub(crate) fn index_add(
    parallel: &Parallel,
    device: Device,
    base: Tensor,
    index: &Tensor,
    source: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor, Failure> {
    let size = base.shape()[axis];
    let chosen = checked("index_add", index, axis, size)?;
    let run: usize = meta.shape[axis + 1..].iter().product();
    let wide = sums_in_f64(meta.dtype);
    with_native!(meta.dtype, T => {
        let mut out = owned::<T>(parallel, device, base)?;
        if let Some(slots) = writable::<T>(&mut out).filter(|slots| !slots.is_empty()) {
            let outer = slots.len() / (size * run);
            if wide && size / DENSE > chosen.len() {
                let order = order_of(&chosen)?;
                let source = made_contiguous(parallel, device, source.clone())?;
                let source = contiguous::<T>(&source).unwrap_or(&[]);
                let blocks = slots.chunks_mut(size * run).zip(source.chunks((chosen.len() * run).max(1)));
                blocks.for_each(|(slots, source)| add_rows(slots, source, run, &chosen, &order));
            } else {
                let rows = (0..outer).flat_map(|outer| chosen.iter().map(move |&chosen| (outer * size + chosen) * run));
                let positions = rows.flat_map(|start| start..start + run);
                add_at(slots, wide, positions.zip(values::<T>(source)))?;
            }
        }
        Ok(out)
    })
}

/// Sorted values, and where they were; equal ones stay in order, NaN is the largest.
pub(crate) fn sort(
    device: Device,
    input: &Tensor,
    axis: usize,
    descending: bool,
    metas: &[Meta],
) -> Result<(Tensor, Tensor), OutOfMemory> {
    with_native!(input.dtype(), T => {
        let source = elements::<T>(input);
        let size = input.shape()[axis];
        let inner: usize = input.shape()[axis + 1..].iter().product();
        let order = |left: T, right: T| -> Ordering {
            // NaN compares with nothing, so what is left when neither is smaller is a NaN or equality.
            let ascending = left.partial_cmp(&right).unwrap_or_else(|| left.is_not_a_number().cmp(&right.is_not_a_number()));
            if descending { ascending.reverse() } else { ascending }
        };
        let mut lane = vec_for::<(T, usize)>(size)?;
        let mut indices = Buffer::of::<i64>(input.count())?;
        let values = create::<T>(device, &metas[0], |sorted| {
            let indices = indices.as_mut_slice::<i64>();
            for_lanes(input.layout(), axis, |number, start, stride| {
                let first = number / inner * inner * size + number % inner;
                lane.clear();
                lane.extend((0..size).map(|at| (source[(start as isize + at as isize * stride) as usize], at)));
                // In place; a stable sort would ask for memory.
                lane.sort_unstable_by(|left, right| order(left.0, right.0).then(left.1.cmp(&right.1)));
                for (at, &(value, from)) in lane.iter().enumerate() {
                    sorted[first + at * inner] = value;
                    indices[first + at * inner] = from as i64;
                }
            });
        })?;
        Ok((values, of_buffer(device, &metas[1], indices)))
    })
}
