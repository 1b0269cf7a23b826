//! Softmax and its logarithm along any axis: each row is read once where it fits the registers of its team of threads, else twice.

use super::elementwise::reusable;
use super::rows::{Rows, Teams};
use super::shader;
use crate::engine::{Engine, Words};
use osnova_tensor::{Device, Meta, Result, Tensor};

pub(crate) fn softmax(
    engine: &Engine,
    device: Device,
    mut input: Tensor,
    axis: usize,
    logarithm: bool,
    meta: &Meta,
) -> Result<Tensor> {
    let output = if reusable(&mut input, meta) { input.clone() } else { engine.create(device, meta)? };
    if meta.shape.count() == 0 {
        return Ok(output);
    }
    let name = if logarithm { "log_softmax" } else { "softmax" };
    let rows = Rows::new(engine, input.layout(), axis..axis + 1)?;
    let rows = rows.ok_or_else(|| engine.unsupported(name, Some(meta.dtype)))?;
    let inner: usize = meta.shape[axis + 1..].iter().product();
    let teams = Teams::new(rows.size, inner);
    let (target, source) = (engine.output(&output)?, engine.input(&input)?);
    let mut words = Words::new();
    words.extend([rows.count, engine.count(rows.size)?, rows.stride, target.start, engine.count(inner)?]);
    words.extend(rows.walk.words([&source]));
    let dispatch = engine.shader(shader!("softmax", meta.dtype)).constant(rows.walk.is_linear());
    teams
        .constants(dispatch)
        .constant(logarithm)
        .whole_subgroups()
        .bind(&target)
        .bind(&source)
        .words(&words)
        .groups(teams.groups(rows.count))?;
    Ok(output)
}
