//! Views and movement: what moved there moves back, what was repeated is summed.

use super::{NOTHING, Record, Rule, SHAPES, one, zeros};
use osnova_tensor::{Op, Result, Shape, SliceRange, Tensor};
use smallvec::SmallVec;

pub(super) fn rule(op: &Op) -> Option<Rule> {
    Some(match op {
        // The old shape again
        Op::Reshape { .. } => one(SHAPES, |g, of| g.reshape(of.shape(0))),
        // The inverse order: axis i of the output was axes[i]
        Op::Permute { .. } => one(NOTHING, |g, of| {
            let Op::Permute { axes } = of.op else { return Ok(g) };
            let mut inverse: SmallVec<[usize; 8]> = SmallVec::from_elem(0, axes.len());
            for (place, &axis) in axes.iter().enumerate() {
                inverse[axis] = place;
            }
            g.permute(&inverse[..])
        }),
        // The sum over all copies
        Op::Expand { .. } => one(SHAPES, |g, of| sum_to(g, of.shape(0))),
        // Zeros, and the gradient where the slice was
        Op::Slice { .. } => one(SHAPES, |g, of| {
            let Op::Slice { ranges } = of.op else { return Ok(g) };
            unslice(g, ranges, of.shape(0))
        }),
        Op::Contiguous => one(NOTHING, |g, _| Ok(g)),
        // What is left without the rim
        Op::Pad { .. } => one(SHAPES, |g, of| {
            let Op::Pad { padding, .. } = of.op else { return Ok(g) };
            let starts = padding.iter().map(|&(before, _)| before);
            part(&g, starts.zip(of.shape(0).iter().copied()))
        }),
        // Each input's own part
        Op::Concat { .. } => Rule::Joint([SHAPES; 3], concat),
        _ => return None,
    })
}

fn concat(g: Tensor, of: &mut Record, emit: &mut super::Emit) -> Result<()> {
    let Op::Concat { axis } = of.op else { return Ok(()) };
    let mut start = 0;
    for index in 0..of.inputs {
        let length = of.shape(index)[*axis];
        if of.needs(index) {
            emit(index, g.narrow(*axis as isize, start, length)?)?;
        }
        start += length;
    }
    Ok(())
}

/// A block of a tensor: `(start, length)` for each axis.
fn part(g: &Tensor, ranges: impl Iterator<Item = (usize, usize)>) -> Result<Tensor> {
    let ranges = ranges.map(|(start, length)| SliceRange { start, length, step: 1 }).collect();
    Ok(Tensor::apply(&Op::Slice { ranges }, [g.clone()])?.remove(0))
}

/// The adjoint of broadcasting: sums over the axes along which `shape` was repeated.
pub(super) fn sum_to(g: Tensor, shape: &Shape) -> Result<Tensor> {
    if g.shape() == shape {
        return Ok(g);
    }
    let shift = g.rank() - shape.rank();
    let repeated: SmallVec<[usize; 8]> =
        (0..g.rank()).filter(|&axis| axis < shift || shape[axis - shift] != g.shape()[axis]).collect();
    g.sum(&repeated[..], false)?.reshape(shape)
}

fn unslice(g: Tensor, ranges: &[SliceRange], shape: &Shape) -> Result<Tensor> {
    if g.count() == 0 {
        return zeros(shape, &g);
    }
    // Backward steps first become forward ones.
    let reversed: SmallVec<[isize; 8]> =
        ranges.iter().enumerate().filter(|(_, range)| range.step < 0).map(|(axis, _)| axis as isize).collect();
    let mut g = if reversed.is_empty() { g } else { g.flip(&reversed[..])? };
    let mut padding: SmallVec<[(usize, usize); 8]> = SmallVec::new();
    for (axis, range) in ranges.iter().enumerate() {
        let size = shape[axis];
        let reach = (range.length - 1) * range.step.unsigned_abs();
        let first = if range.step < 0 { range.start - reach } else { range.start };
        if range.step.unsigned_abs() == 1 || range.length == 1 {
            padding.push((first, size - first - range.length));
        } else {
            // Wider steps leave gaps: one addition along the axis puts every element in its place.
            padding.push((0, 0));
            let device = g.device().without_recording();
            let places = Tensor::arange_of(
                first as i64,
                range.step.unsigned_abs() as i64,
                range.length,
                device.index_dtype(),
                device,
            )?;
            let mut whole: SmallVec<[usize; 8]> = g.dims().into();
            whole[axis] = size;
            g = zeros(&Shape::new(&whole)?, &g)?.index_add(axis as isize, &places, &g)?;
        }
    }
    if padding.iter().all(|&pair| pair == (0, 0)) {
        return Ok(g);
    }
    g.pad(&padding, false)
}
