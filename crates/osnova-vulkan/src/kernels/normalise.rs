//! Layer normalisation: each row is read once where it fits the registers of its team of threads, else twice.

use super::elementwise::reusable;
use super::movement::made_contiguous;
use super::rows::{Rows, Teams};
use super::{scalar_words, shader};
use crate::engine::{Engine, Words};
use osnova_tensor::{Device, Inputs, LayerNorm, Meta, Result, Scalar, Tensor};

pub(crate) fn layer_norm(
    engine: &Engine,
    device: Device,
    attributes: &LayerNorm,
    inputs: Inputs,
    meta: &Meta,
) -> Result<Tensor> {
    let unsupported = || engine.unsupported("layer_norm", Some(meta.dtype));
    let mut inputs = inputs.into_iter();
    let mut input = inputs.next().ok_or_else(unsupported)?;
    let scale: Vec<Tensor> = inputs.map(|input| made_contiguous(engine, device, input)).collect::<Result<_>>()?;
    if meta.shape.count() == 0 {
        return engine.create(device, meta);
    }
    let axes = meta.shape.rank() - attributes.axes..meta.shape.rank();
    let rows = match Rows::new(engine, input.layout(), axes.clone())? {
        Some(rows) => rows,
        None => {
            input = made_contiguous(engine, device, input)?;
            Rows::new(engine, input.layout(), axes)?.ok_or_else(unsupported)?
        }
    };
    let output = if reusable(&mut input, meta) { input.clone() } else { engine.create(device, meta)? };
    let teams = Teams::new(rows.size, 1);
    let (target, source) = (engine.output(&output)?, engine.input(&input)?);
    // Without weight and bias the input holds their place, and is not read there.
    let scale = match &scale[..] {
        [weight, bias] => [engine.input(weight)?, engine.input(bias)?],
        _ => [source, source],
    };
    let mut words = Words::new();
    words.extend([rows.count, engine.count(rows.size)?, rows.stride, target.start, scale[0].start, scale[1].start]);
    words.extend(scalar_words(Scalar::from(attributes.epsilon.get()), meta.dtype.accumulator()));
    words.extend(rows.walk.words([&source]));
    let dispatch = engine.shader(shader!("layer_norm", meta.dtype)).constant(rows.walk.is_linear());
    teams
        .constants(dispatch)
        .constant(attributes.affine)
        .whole_subgroups()
        .bind(&target)
        .bind(&source)
        .bind(&scale[0])
        .bind(&scale[1])
        .words(&words)
        .groups(teams.groups(rows.count))?;
    Ok(output)
}
