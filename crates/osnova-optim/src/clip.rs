//! Gradients between `backward` and `step`: adding them up, keeping them in bounds.

use osnova_tensor::{DType, Error, Gradients, NodeId, Result, Tensor};
use std::collections::HashMap;

/// Which norm of all gradients together.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Norm {
    /// The sum of the absolute values.
    L1,
    /// The root of the sum of squares: the length.
    L2,
    /// (Σ|g|ᵖ)^(1/p) for a positive p.
    P(f64),
    /// The largest absolute value.
    Infinity,
}

/// Adds gradients to others of the same parameters, element by element, for a batch in several parts. Divide the losses by
/// the number of parts first if the whole is to be their mean.
///
/// # Errors
/// Gradients of one parameter that differ in shape or dtype. The total is unchanged then.
pub fn accumulate(total: &mut Gradients, more: Gradients) -> Result<()> {
    let known: HashMap<NodeId, &Tensor> = total.iter().collect();
    let sum = |(id, gradient): (NodeId, &Tensor)| {
        let Some(known) = known.get(&id) else { return Ok((id, gradient.clone())) };
        if known.shape() != gradient.shape() {
            return Err(Error::shape(
                "accumulate",
                [*known.shape(), *gradient.shape()],
                "two gradients of one parameter differ",
                "Add up gradients of the same model",
            ));
        }
        Ok((id, (*known + gradient)?))
    };
    let sums: Vec<(NodeId, Tensor)> = more.iter().map(sum).collect::<Result<_>>()?;
    for (id, gradient) in sums {
        total.insert(id, gradient);
    }
    Ok(())
}

/// Scales all gradients by one factor so that their length (L2 norm, as if they were one vector) is at most `max_norm`,
/// and gives their length before. Pascanu et al. 2013.
///
/// Runs on the device without waiting for it: read the norm with [`Tensor::item`] only if you need it. The factor is
/// min(1, max_norm / (norm + 1e-6)), as in PyTorch; with a norm that is NaN all gradients become NaN.
///
/// # Errors
/// No gradients, a `max_norm` that is not positive. The gradients are unchanged then.
pub fn clip_by_norm(gradients: &mut Gradients, max_norm: f64) -> Result<Tensor> {
    clip_by(gradients, max_norm, Norm::L2)
}

/// Like [`clip_by_norm`] with any norm.
///
/// # Errors
/// No gradients, a `max_norm` or an exponent that is not positive. The gradients are unchanged then.
pub fn clip_by(gradients: &mut Gradients, max_norm: f64, norm: Norm) -> Result<Tensor> {
    if max_norm.is_nan() || max_norm <= 0.0 {
        return Err(Error::argument(
            "clip_by_norm",
            format!("the largest norm is {max_norm}"),
            "Give a positive number",
        ));
    }
    let total = total_norm(gradients, norm)?;
    let factor = (max_norm / (&total + 1e-6)?)?.minimum(1.0)?;
    let scaled: Vec<(NodeId, Tensor)> = gradients
        .iter()
        .map(|(id, gradient)| Ok((id, (gradient * factor.to_dtype(gradient.dtype())?)?)))
        .collect::<Result<_>>()?;
    for (id, gradient) in scaled {
        gradients.insert(id, gradient);
    }
    Ok(total)
}

/// The norm of all gradients as if they were one vector: a scalar on their device, in `f64` if one of them is.
///
/// # Errors
/// No gradients, an exponent that is not positive.
pub fn total_norm(gradients: &Gradients, norm: Norm) -> Result<Tensor> {
    if let Norm::P(power) = norm
        && !(power > 0.0 && power.is_finite())
    {
        return Err(Error::argument("clip_by_norm", format!("the exponent is {power}"), "Give a positive number"));
    }
    // Sums depend on their order, and a map's is arbitrary: the order of creation is not.
    let mut members: Vec<(NodeId, &Tensor)> = gradients.iter().collect();
    members.sort_unstable_by_key(|(id, _)| *id);
    let double = members.iter().any(|(_, gradient)| gradient.dtype() == DType::F64);
    let mut parts = Vec::with_capacity(members.len());
    for (_, gradient) in members {
        // In at least 32 bits: the squares of a half type overflow soon.
        let gradient = gradient.detach().to_dtype(if double { DType::F64 } else { DType::F32 })?;
        parts.push(match norm {
            Norm::L1 => gradient.abs()?.sum(.., false)?,
            Norm::L2 => gradient.square()?.sum(.., false)?,
            Norm::P(power) => gradient.abs()?.pow(power)?.sum(.., false)?,
            // Of nothing the largest absolute value is 0, not −∞.
            Norm::Infinity => gradient.abs()?.max(.., false)?.maximum(0.0)?,
        });
    }
    let parts = match parts.len() {
        0 => {
            return Err(Error::gradient(
                "clip_by_norm",
                "there are no gradients",
                "Clip between `loss.backward()?` and `optimizer.step(…)`",
            ));
        }
        1 => parts.remove(0),
        _ => Tensor::stack(&parts, 0)?,
    };
    match norm {
        Norm::L1 => parts.sum(.., false),
        Norm::L2 => parts.sum(.., false)?.sqrt(),
        Norm::P(power) => parts.sum(.., false)?.pow(1.0 / power),
        Norm::Infinity => parts.max(.., false),
    }
}

/// Keeps each element of each gradient between −`limit` and `limit`.
///
/// # Errors
/// A limit that is negative or NaN. The gradients are unchanged then.
pub fn clip_by_value(gradients: &mut Gradients, limit: f64) -> Result<()> {
    if limit.is_nan() || limit < 0.0 {
        return Err(Error::argument(
            "clip_by_value",
            format!("the limit is {limit}"),
            "Give a number that is not negative",
        ));
    }
    let clamped: Vec<(NodeId, Tensor)> =
        gradients.iter().map(|(id, gradient)| Ok((id, gradient.clamp(-limit, limit)?))).collect::<Result<_>>()?;
    for (id, gradient) in clamped {
        gradients.insert(id, gradient);
    }
    Ok(())
}
