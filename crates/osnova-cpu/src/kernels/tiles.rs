//! Strided tensors read in tiles: short runs of elements in row-major order, gathered where they do not lie that way.
//!
//! Every elementwise kernel is a loop over plain slices. A contiguous input lends its own memory; any other layout
//! (transposed, sliced, broadcast) is gathered into a tile that stays in the first-level cache.

use crate::native::{Native, Number, Truth};
use crate::parallel::Parallel;
use crate::storage::elements;
use osnova_tensor::{Layout, MAX_RANK, Tensor};
use smallvec::SmallVec;

/// Elements in a tile: three inputs and an output of `f32` take half of a 32 KiB first-level cache.
pub(crate) const TILE: usize = 1024;

/// Elements a thread works on at a time.
pub(crate) const CHUNK: usize = 1 << 14;

/// A layout with neighbouring axes merged where they lie evenly, to walk with as few loops as possible.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// `(size, stride)` from the outermost axis in; never empty.
    axes: SmallVec<[(usize, isize); MAX_RANK]>,
    offset: usize,
}

impl Walk {
    pub(crate) fn new(layout: &Layout) -> Self {
        let strides = layout.strides();
        let mut axes: SmallVec<[(usize, isize); MAX_RANK]> = SmallVec::new();
        for (&size, &stride) in layout.shape().iter().zip(strides.iter()) {
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some(outer) if outer.1 == stride * size as isize => *outer = (outer.0 * size, stride),
                _ => axes.push((size, stride)),
            }
        }
        if axes.is_empty() {
            axes.push((1, 0));
        }
        Self { axes, offset: layout.offset() }
    }

    /// The size of the innermost run.
    pub(crate) fn inner_size(&self) -> usize {
        self.axes[self.axes.len() - 1].0
    }

    /// The stride of the innermost run.
    pub(crate) fn inner_stride(&self) -> isize {
        self.axes[self.axes.len() - 1].1
    }

    /// The stride of the walk if all its elements are one evenly spaced run.
    pub(crate) fn single_run(&self) -> Option<isize> {
        (self.axes.len() == 1).then(|| self.inner_stride())
    }

    /// The same steps starting at position 0.
    pub(crate) fn at_zero(&self) -> Self {
        Self { axes: self.axes.clone(), offset: 0 }
    }

    /// The position of element `index`.
    pub(crate) fn position(&self, index: usize) -> usize {
        let mut found = 0;
        self.runs(index, 1, |position, _, _| found = position);
        found
    }

    /// Like [`runs`](Self::runs), with positions counted from `base`.
    #[inline]
    pub(crate) fn runs_from(&self, base: usize, start: usize, length: usize, mut run: impl FnMut(usize, usize, isize)) {
        self.walk(base as isize, start, length, &mut run);
    }

    /// Calls `run(position, length, stride)` for the evenly spaced runs that make up elements `start..start + length`.
    #[inline]
    pub(crate) fn runs(&self, start: usize, length: usize, mut run: impl FnMut(usize, usize, isize)) {
        self.walk(self.offset as isize, start, length, &mut run);
    }

    #[inline]
    fn walk(&self, base: isize, start: usize, length: usize, run: &mut impl FnMut(usize, usize, isize)) {
        if length == 0 {
            return;
        }
        let &(inner_size, inner_stride) = &self.axes[self.axes.len() - 1];
        let outer = &self.axes[..self.axes.len() - 1];
        let mut index = [0usize; MAX_RANK];
        let mut inner = start % inner_size;
        let mut rest = start / inner_size;
        let mut position = base;
        for (axis, &(size, stride)) in outer.iter().enumerate().rev() {
            index[axis] = rest % size;
            position += index[axis] as isize * stride;
            rest /= size;
        }
        let mut left = length;
        while left > 0 {
            let count = left.min(inner_size - inner);
            run((position + inner as isize * inner_stride) as usize, count, inner_stride);
            left -= count;
            inner = 0;
            for (axis, &(size, stride)) in outer.iter().enumerate().rev() {
                index[axis] += 1;
                position += stride;
                if index[axis] < size {
                    break;
                }
                position -= stride * size as isize;
                index[axis] = 0;
            }
        }
    }
}

/// A stored element and the type its arithmetic is done in: half types compute as `f32`, all others as themselves.
pub(crate) trait Stored: Native {
    type Compute: Number;
    /// Whether stored and computed elements are the same, so that memory can be lent as it is.
    const DIRECT: bool;
    fn load(self) -> Self::Compute;
    fn store(value: Self::Compute) -> Self;
}

macro_rules! stored_as_itself {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            type Compute = $type;
            const DIRECT: bool = true;
            #[inline(always)]
            fn load(self) -> $type { self }
            #[inline(always)]
            fn store(value: $type) -> Self { value }
        }
    )*};
}
stored_as_itself!(f32, f64, i64, i32, u32, u8);

impl Stored for Truth {
    type Compute = u8;
    const DIRECT: bool = true;
    #[inline(always)]
    fn load(self) -> u8 {
        self.0
    }
    #[inline(always)]
    fn store(value: u8) -> Self {
        Self::from(value != 0)
    }
}

macro_rules! stored_as_f32 {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            type Compute = f32;
            const DIRECT: bool = false;
            #[inline(always)]
            fn load(self) -> f32 { self.to_f32() }
            #[inline(always)]
            fn store(value: f32) -> Self { Self::from_f32(value) }
        }
    )*};
}
stored_as_f32!(half::f16, half::bf16);

/// An input of an elementwise kernel.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, S> {
    /// A tensor's elements under its layout.
    Elements(&'a [S], &'a Layout),
    /// What stands in the output before it is overwritten.
    Output,
}

impl<'a, S: Stored> Source<'a, S> {
    /// The elements of `tensor` under `layout`: its own, or that repeated to the output's shape.
    pub(crate) fn of(tensor: &'a Tensor, layout: &'a Layout) -> Self {
        Self::Elements(elements(tensor), layout)
    }

    /// Elements `start..start + length` where they lie, if they lie in memory as they are.
    #[inline]
    fn lent(&self, start: usize, length: usize) -> Option<&'a [S::Compute]> {
        match *self {
            Self::Elements(source, layout) if self.is_direct() => {
                Some(bytemuck::cast_slice(&source[layout.offset() + start..][..length]))
            }
            _ => None,
        }
    }

    /// Whether tiles of this input lie in memory as they are.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self, Self::Elements(_, layout) if S::DIRECT && layout.is_contiguous())
    }

    /// A reader for one thread, of at most `longest` elements at a time.
    pub(crate) fn tiles(self, longest: usize) -> Tiles<'a, S> {
        let direct = self.is_direct();
        let mut scratch = if direct { Vec::new() } else { vec![S::Compute::ZERO; longest.min(TILE)] };
        match self {
            Self::Elements(source, layout) if direct => {
                Tiles { source: &source[layout.offset()..], kind: Kind::Direct, scratch }
            }
            Self::Elements(source, layout) => {
                let walk = Walk::new(layout);
                let repeats_one = walk.axes.iter().all(|&(size, stride)| stride == 0 || size == 1);
                if repeats_one && layout.shape().count() > 0 {
                    scratch.fill(source[walk.offset].load());
                    return Tiles { source, kind: Kind::Splat, scratch };
                }
                Tiles { source, kind: Kind::Walk(walk), scratch }
            }
            Self::Output => Tiles { source: &[], kind: Kind::Output, scratch },
        }
    }
}

/// Reads an input tile by tile.
pub(crate) struct Tiles<'a, S: Stored> {
    source: &'a [S],
    kind: Kind,
    scratch: Vec<S::Compute>,
}

enum Kind {
    Direct,
    Splat,
    Walk(Walk),
    Output,
}

impl<S: Stored> Tiles<'_, S> {
    /// Elements `start..start + length`; `output` is what the output holds there so far.
    #[inline]
    pub(crate) fn read(&mut self, start: usize, length: usize, output: &[S]) -> &[S::Compute] {
        match &self.kind {
            Kind::Direct => return bytemuck::cast_slice(&self.source[start..start + length]),
            Kind::Splat => {}
            Kind::Output => self.scratch.iter_mut().zip(output).for_each(|(slot, value)| *slot = value.load()),
            Kind::Walk(walk) => {
                let source = self.source;
                let mut done = 0;
                let scratch = &mut self.scratch;
                walk.runs(start, length, |position, count, stride| {
                    let out = &mut scratch[done..done + count];
                    done += count;
                    match stride {
                        0 => out.fill(source[position].load()),
                        1 => out
                            .iter_mut()
                            .zip(&source[position..][..count])
                            .for_each(|(slot, value)| *slot = value.load()),
                        _ => {
                            let mut at = position as isize;
                            for slot in out {
                                *slot = source[at as usize].load();
                                at += stride;
                            }
                        }
                    }
                });
            }
        }
        &self.scratch[..length]
    }
}

/// What an elementwise kernel does with the slices of its inputs and the slice of its output.
pub(crate) type Kernel<'f, C, U, const N: usize> = dyn Fn([&[C]; N], &mut [U]) + Sync + 'f;

/// `out = f(inputs)` element by element: in whole chunks where no input needs gathering or converting, else in tiles.
pub(crate) fn map<S: Stored, const N: usize>(
    parallel: &Parallel,
    inputs: [Source<'_, S>; N],
    out: &mut [S],
    cost: f64,
    f: &Kernel<'_, S::Compute, S::Compute, N>,
) {
    if S::DIRECT && inputs.iter().all(Source::is_direct) {
        return parallel.chunks(out, CHUNK, cost, |start, out| {
            let slices = inputs.each_ref().map(|input| input.lent(start, out.len()).unwrap_or(&[]));
            f(slices, bytemuck::cast_slice_mut(out));
        });
    }
    parallel.chunks(out, CHUNK, cost, |start, out| {
        let step = TILE;
        let mut tiles = inputs.map(|input| input.tiles(out.len()));
        let mut result = vec![S::Compute::ZERO; if S::DIRECT { 0 } else { out.len().min(TILE) }];
        for (number, out) in out.chunks_mut(step.max(1)).enumerate() {
            let slices = tiles.each_mut().map(|tiles| tiles.read(start + number * step, out.len(), out));
            if S::DIRECT {
                f(slices, bytemuck::cast_slice_mut(out));
            } else {
                let result = &mut result[..out.len()];
                f(slices, result);
                out.iter_mut().zip(result).for_each(|(slot, value)| *slot = S::store(*value));
            }
        }
    });
}

/// Like [`map`], to elements of another type.
pub(crate) fn map_to<S: Stored, U: Native, const N: usize>(
    parallel: &Parallel,
    inputs: [Source<'_, S>; N],
    out: &mut [U],
    cost: f64,
    f: &Kernel<'_, S::Compute, U, N>,
) {
    let direct = inputs.iter().all(Source::is_direct);
    parallel.chunks(out, CHUNK, cost, |start, out| {
        let step = if direct { out.len() } else { TILE };
        let mut tiles = inputs.map(|input| input.tiles(out.len()));
        for (number, out) in out.chunks_mut(step.max(1)).enumerate() {
            f(tiles.each_mut().map(|tiles| tiles.read(start + number * step, out.len(), &[])), out);
        }
    });
}
