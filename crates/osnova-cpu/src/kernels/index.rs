//! By index: gather, scatter-add, index-select, index-add, sort.

use super::movement::owned;
use super::tiles::Walk;
use crate::native::{Native, Number, with_native, with_width};
use crate::parallel::Parallel;
use crate::storage::{create, elements, writable};
use half::{bf16, f16};
use osnova_tensor::{DType, Device, Error, Layout, Meta, Result, Tensor};
use std::cmp::Ordering;

/// The values of an index tensor, each checked against the size of the axis it points into.
fn checked(operation: &'static str, index: &Tensor, axis: usize, size: usize) -> Result<Vec<usize>> {
    let source = elements::<i64>(index);
    let mut values = Vec::with_capacity(index.count());
    let mut outside = None;
    Walk::new(index.layout()).runs(0, index.count(), |position, count, stride| {
        for step in 0..count as isize {
            let value = source[(position as isize + step * stride) as usize];
            if !(0..size as i64).contains(&value) {
                outside.get_or_insert(value);
            }
            values.push(value as usize);
        }
    });
    match outside {
        None => Ok(values),
        Some(value) => Err(Error::argument(
            operation,
            format!("index {value} is out of range for axis {axis} of size {size}"),
            "Use indices from 0 up to the size of the axis",
        )),
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

pub(crate) fn gather(device: Device, input: &Tensor, index: &Tensor, axis: usize, meta: &Meta) -> Result<Tensor> {
    let chosen = checked("gather", index, axis, input.shape()[axis])?;
    let strides = input.layout().strides();
    let positions = positions(index.dims(), &strides, input.layout().offset(), axis, &chosen);
    Ok(with_width!(meta.dtype, T => create::<T>(device, meta, |out| {
        let source = elements::<T>(input);
        out.iter_mut().zip(positions).for_each(|(slot, position)| *slot = source[position]);
    })))
}

pub(crate) fn index_select(
    parallel: &Parallel,
    device: Device,
    input: &Tensor,
    index: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
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
    })))
}

/// Adds, in the order of the index, through an accumulator wide enough for half types.
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

/// Adds each element of `source` at its position. Half types add in `f32` over the whole tensor and round once.
fn add_at<T: Accumulate>(dtype: DType, out: &mut [T], additions: impl Iterator<Item = (usize, T)>) {
    if matches!(dtype, DType::F16 | DType::BF16) {
        let mut wide: Vec<f32> = out.iter().map(|value| value.to_f64() as f32).collect();
        additions.for_each(|(position, value)| wide[position] += value.to_f64() as f32);
        out.iter_mut().zip(wide).for_each(|(slot, value)| *slot = T::from_f64(value as f64));
        return;
    }
    additions.for_each(|(position, value)| out[position] = out[position].accumulate(value));
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
) -> Result<Tensor> {
    let chosen = checked("scatter_add", index, axis, base.shape()[axis])?;
    let strides = Layout::contiguous(meta.shape).strides();
    with_native!(meta.dtype, T => {
        let mut out = owned::<T>(parallel, device, base);
        if let Some(slots) = writable::<T>(&mut out) {
            let positions = positions(index.dims(), &strides, 0, axis, &chosen);
            add_at(meta.dtype, slots, positions.zip(values::<T>(source)));
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
) -> Result<Tensor> {
    let size = base.shape()[axis];
    let chosen = checked("index_add", index, axis, size)?;
    let run: usize = meta.shape[axis + 1..].iter().product();
    with_native!(meta.dtype, T => {
        let mut out = owned::<T>(parallel, device, base);
        if let Some(slots) = writable::<T>(&mut out).filter(|slots| !slots.is_empty()) {
            let outer = slots.len() / (size * run);
            let rows = (0..outer).flat_map(|outer| chosen.iter().map(move |&chosen| (outer * size + chosen) * run));
            let positions = rows.flat_map(|start| start..start + run);
            add_at(meta.dtype, slots, positions.zip(values::<T>(source)));
        }
        Ok(out)
    })
}

pub(crate) fn sort(device: Device, input: &Tensor, axis: usize, descending: bool, metas: &[Meta]) -> (Tensor, Tensor) {
    with_native!(input.dtype(), T => {
        let source = elements::<T>(input);
        let positions: Vec<usize> = input.layout().positions().collect();
        let size = input.shape()[axis];
        let inner: usize = input.shape()[axis + 1..].iter().product();
        let order = |left: T, right: T| -> Ordering {
            // NaN compares with nothing, so what is left when neither is smaller is a NaN or equality.
            let ascending = left.partial_cmp(&right).unwrap_or_else(|| left.is_not_a_number().cmp(&right.is_not_a_number()));
            if descending { ascending.reverse() } else { ascending }
        };
        let mut sorted: Vec<T> = vec![T::default(); positions.len()];
        let mut indices = vec![0i64; positions.len()];
        let mut lane: Vec<(T, usize)> = Vec::with_capacity(size);
        for start in (0..positions.len() / size.max(1)).map(|lane| lane / inner * inner * size + lane % inner) {
            lane.clear();
            lane.extend((0..size).map(|at| (source[positions[start + at * inner]], at)));
            lane.sort_by(|left, right| order(left.0, right.0));
            for (at, &(value, from)) in lane.iter().enumerate() {
                sorted[start + at * inner] = value;
                indices[start + at * inner] = from as i64;
            }
        }
        (
            create::<T>(device, &metas[0], |out| out.copy_from_slice(&sorted)),
            create::<i64>(device, &metas[1], |out| out.copy_from_slice(&indices)),
        )
    })
}
