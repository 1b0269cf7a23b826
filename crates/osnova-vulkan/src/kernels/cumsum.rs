//! Running sums along an axis.
//!
//! A line of the axis is summed by one thread where lines lie side by side or are short, else by several. Where lines are few and long
//! they are cut into parts: the sums of the parts are made first, and each part then begins with those before it.

use super::reduce::{BUSY_GROUPS, COLUMNS, ELEMENTS, PART_ELEMENTS, Plan, SHORT, apart, wide_sums};
use super::shader;
use crate::engine::{Engine, THREADS};
use crate::storage::view;
use crate::walk::Walk;
use osnova_tensor::{Device, Meta, Result, Shape, SliceRange, Tensor};

/// Parts below which cutting does not pay: the input is then read twice.
const FEWEST_PARTS: u32 = 4;

pub(crate) fn cumulative_sum(
    engine: &Engine,
    device: Device,
    input: &Tensor,
    axis: usize,
    reverse: bool,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let count = engine.count(output.count())?;
    if count == 0 {
        return Ok(output);
    }
    let length = meta.shape[axis];
    // From the back is from the front of what is turned round.
    let input = if reverse { view(input, input.layout().slice(&turned(&meta.shape, axis))) } else { input.clone() };
    let side = meta.shape.dims()[axis + 1..].iter().product::<usize>() as u32;
    let lines = count / length as u32;
    let mut plan = shared_out(lines, length as u32, side);
    let sums = if plan.parts > 1 { part_sums(engine, device, &input, axis, &plan)? } else { None };
    if sums.is_none() {
        plan = Plan { parts: 1, part: length as u32, ..plan };
    }
    let (stays, _) = apart(input.layout(), &[axis]);
    let walk = Walk::new(stays.shape(), [&stays]);
    let (mut target, source) = (engine.output(&output)?, engine.input(&input)?);
    let mut stride = side;
    if reverse {
        target.start += (length as u32 - 1) * side;
        stride = stride.wrapping_neg();
    }
    let sums = sums.as_ref().map_or(Ok(source), |sums| engine.input(sums))?;
    engine
        .shader(shader!("cumsum", meta.dtype))
        .whole_subgroups()
        .constant(plan.lanes)
        .bind(&target)
        .bind(&source)
        .bind(&sums)
        .words(&plan.words(lines, length as u32))
        .words(&[target.start, stride, input.layout().strides()[axis] as u32, side])
        .words(&walk.long_words([&source]))
        .groups(plan.groups(lines))?;
    Ok(output)
}

/// All of a shape, one axis from the back.
fn turned(shape: &Shape, axis: usize) -> Vec<SliceRange> {
    let range = |(at, &length): (usize, &usize)| match at == axis {
        true => SliceRange { start: length - 1, length, step: -1 },
        false => SliceRange { start: 0, length, step: 1 },
    };
    shape.iter().enumerate().map(range).collect()
}

/// How `lines` of `length` elements, `side` of them side by side in memory, are shared out.
fn shared_out(lines: u32, length: u32, side: u32) -> Plan {
    let lanes = match side >= COLUMNS || length <= SHORT {
        true => 1,
        false => length.div_ceil(ELEMENTS).min(THREADS).next_power_of_two(),
    };
    let groups = lines.div_ceil(THREADS / lanes);
    let parts = BUSY_GROUPS.div_ceil(groups).min(length / (lanes * PART_ELEMENTS));
    let parts = if parts < FEWEST_PARTS { 1 } else { parts };
    let part = length.div_ceil(parts).next_multiple_of(lanes * ELEMENTS).min(length);
    Plan { columns: false, lanes, parts: length.div_ceil(part), part }
}

/// The sums of all parts but the last one: the input with the axis cut in two, of which the second goes. None where no axis more
/// fits a shape.
fn part_sums(engine: &Engine, device: Device, input: &Tensor, axis: usize, plan: &Plan) -> Result<Option<Tensor>> {
    let (parts, part) = (plan.parts as usize - 1, plan.part as usize);
    let range = |(at, &length): (usize, &usize)| SliceRange {
        start: 0,
        length: if at == axis { parts * part } else { length },
        step: 1,
    };
    let whole = input.layout().slice(&input.shape().iter().enumerate().map(range).collect::<Vec<_>>());
    let mut dims = whole.shape().dims().to_vec();
    dims[axis] = parts;
    dims.insert(axis + 1, part);
    let cut = Shape::new(&dims).ok().and_then(|shape| whole.reshape(&shape));
    cut.map(|layout| wide_sums(engine, device, &view(input, layout), axis + 1)).transpose()
}
