//! Gradients between `backward` and `step`: adding them up, keeping them in bounds.

use osnova_tensor::{DType, Error, Gradients, NodeId, Result, Tensor};

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
/// Gradients of `f16` and `bf16` are added up in `f32`, where small ones do not vanish beside the total; optimizers take
/// them as they are.
///
/// # Errors
/// Gradients of one parameter that differ in shape or dtype. The total is unchanged then.
pub fn accumulate(total: &mut Gradients, more: Gradients) -> Result<()> {
    let sum = |(id, gradient): (NodeId, &Tensor)| {
        let Some(known) = total.of(id) else { return Ok((id, gradient.clone())) };
        if known.shape() != gradient.shape() {
            return Err(Error::shape(
                "accumulate",
                [*known.shape(), *gradient.shape()],
                "two gradients of one parameter differ",
                "Add up gradients of the same model",
            ));
        }
        Ok((id, (widened(known)? + widened(gradient)?)?))
    };
    let sums: Vec<(NodeId, Tensor)> = more.iter().map(sum).collect::<Result<_>>()?;
    for (id, gradient) in sums {
        total.insert(id, gradient);
    }
    Ok(())
}

/// The tensor in the dtype that it is computed in: a half type as `f32`.
fn widened(tensor: &Tensor) -> Result<Tensor> {
    tensor.to_dtype(tensor.dtype().accumulator())
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
        .map(|(id, gradient)| {
            // A factor of a half type would have three digits.
            let factor = factor.to_dtype(gradient.dtype().accumulator())?;
            Ok((id, (widened(gradient)? * factor)?.to_dtype(gradient.dtype())?))
        })
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
    if members.is_empty() {
        return Err(Error::gradient(
            "clip_by_norm",
            "there are no gradients",
            "Clip between `loss.backward()?` and `optimizer.step(…)`",
        ));
    }
    let double = members.iter().any(|(_, gradient)| gradient.dtype() == DType::F64);
    // In at least 32 bits: the squares of a half type overflow soon.
    let dtype = if double { DType::F64 } else { DType::F32 };
    let members: Vec<Tensor> =
        members.iter().map(|(_, gradient)| gradient.detach().to_dtype(dtype)).collect::<Result<_>>()?;
    match norm {
        Norm::L1 => each(&members, |gradient| gradient.abs()?.sum(.., false))?.sum(.., false),
        Norm::Infinity => largest(&members),
        Norm::L2 => of_powers(&members, |sizes| sizes.square(), |sum| sum.sqrt()),
        Norm::P(power) => of_powers(&members, |sizes| sizes.abs()?.pow(power), |sum| sum.pow(1.0 / power)),
    }
}

/// What `part` makes of each gradient, a scalar, as a vector.
fn each(members: &[Tensor], part: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let parts: Vec<Tensor> = members.iter().map(part).collect::<Result<_>>()?;
    if parts.len() == 1 { parts[0].reshape([1]) } else { Tensor::stack(&parts, 0) }
}

fn largest(members: &[Tensor]) -> Result<Tensor> {
    // Of nothing the largest absolute value is 0, not −∞.
    each(members, |gradient| gradient.abs()?.max(.., false)?.maximum(0.0))?.max(.., false)
}

/// root(Σ power(g)). Powers leave the range of a dtype long before the norm does: then of the gradients over their
/// largest value, which costs as much again. A device that computes meanwhile is not waited for, so it does both.
fn of_powers(
    members: &[Tensor],
    power: impl Fn(&Tensor) -> Result<Tensor>,
    root: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    // Between these nothing that counts has been lost.
    let (least, tiny, most) = match members[0].dtype() {
        DType::F64 => (1e-280, f64::MIN_POSITIVE, f64::MAX),
        _ => (1e-28, f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)),
    };
    let scaled = || {
        let largest = largest(members)?.clamp(tiny, most)?;
        let sum = each(members, |gradient| power(&(gradient / &largest)?)?.sum(.., false))?.sum(.., false)?;
        root(&sum)? * largest
    };
    let sum = each(members, |gradient| power(gradient)?.sum(.., false))?.sum(.., false)?;
    if sum.device().capabilities().asynchronous {
        return sum.clamp(least, most)?.equal(&sum)?.where_(&root(&sum)?, &scaled()?);
    }
    if (least..=most).contains(&sum.item()?) { root(&sum) } else { scaled() }
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
