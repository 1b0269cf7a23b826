//! The positions of extremes along an axis.

use super::reduce::{Plan, apart};
use super::shader;
use crate::engine::Engine;
use crate::walk::Walk;
use osnova_tensor::{ArgReduction, DType, Device, Meta, Result, Shape, Tensor};

/// What is looked for, and where.
#[derive(Clone, Copy)]
struct Search<'t> {
    kind: ArgReduction,
    input: &'t Tensor,
    axis: usize,
}

pub(crate) fn arg_reduce(
    engine: &Engine,
    device: Device,
    kind: ArgReduction,
    input: &Tensor,
    axis: usize,
    meta: &Meta,
) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    if output.count() > 0 {
        choose(engine, device, Search { kind, input, axis }, None, &output)?;
    }
    Ok(output)
}

/// Chooses among all elements along the axis, or among candidates: a matrix of positions, and which of its axes goes.
fn choose(
    engine: &Engine,
    device: Device,
    search: Search<'_>,
    candidates: Option<(&Tensor, usize)>,
    output: &Tensor,
) -> Result<()> {
    let Search { kind, input, axis } = search;
    let outputs = engine.count(output.count())?;
    // Positions count from the front of the axis, whichever way it runs: nothing is turned here.
    let (stays, _) = apart(input.layout(), &[axis]);
    let places = Walk::new(stays.shape(), [&stays]);
    let (looked_at, gone) = candidates.unwrap_or((input, axis));
    let (outer, inner) = apart(looked_at.layout(), &[gone]);
    let length = engine.count(looked_at.shape()[gone])?;
    let walks = [&outer, &inner].map(|layout| Walk::new(layout.shape(), [layout]));
    let plan = Plan::new(&walks[0], &walks[1], outputs, length, engine.gpu.shuffles);
    let made = match plan.parts {
        1 => None,
        _ => {
            let (dims, gone) = plan.partial(output.count());
            Some((engine.create(device, &Meta::new(Shape::new(&dims)?, DType::U32))?, gone))
        }
    };
    let to = made.as_ref().map_or(output, |(tensor, _)| tensor);
    let (target, source) = (engine.output(to)?, engine.input(input)?);
    let from = candidates.map_or(Ok(source), |(tensor, _)| engine.input(tensor))?;
    let [outputs_stride, parts_stride] = [&walks[0], &walks[1]].map(|walk| walk.innermost().1[0] as u32);
    let flags = [plan.columns, candidates.is_some(), made.is_some(), kind == ArgReduction::Max];
    engine
        .shader(shader!("argreduce", input.dtype()))
        .whole_subgroups()
        .constant(super::bits(&flags))
        .constant(plan.lanes)
        .bind(&target)
        .bind(&source)
        .bind(&target)
        .bind(&from)
        .words(&plan.words(outputs, length))
        .words(&[target.start, input.layout().strides()[axis] as u32, outputs_stride, parts_stride])
        .words(&places.long_words([&source]))
        .groups(plan.groups(outputs))?;
    match made {
        Some((candidates, gone)) => choose(engine, device, search, Some((&candidates, gone)), output),
        None => Ok(()),
    }
}
