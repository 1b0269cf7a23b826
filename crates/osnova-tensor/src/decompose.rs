//! How composites are made of primitives: the definition of each, and what a backend without a kernel of its own runs.
//!
//! Written on tensors, so it serves every device, and on a recording device gradients of any order come for free.
//!
//! Three rules hold for all of them: **half types** compute in `f32` throughout and round once ([`decompose`] sees to that, no part need
//! know of it); what is shifted against overflow is shifted **before the logarithm**, since `max + ln Σ` may lose all of `ln Σ`; and where a
//! weight of 0 or a mask leaves something out it is **selected**, not multiplied, since 0 · ∞ is NaN.

mod optimize;

use crate::{
    Activation, BinaryCrossEntropy, CrossEntropy, Device, Error, Inputs, LayerNorm, Metas, Op, Outputs, ReductionKind,
    Result, Scalar, Tensor, Unary,
};
use smallvec::smallvec;

/// Runs a composite operation by its parts on `device`. The operation has passed inference; `outputs` is what that gave.
///
/// With inputs of a half type it is the operation in `f32`, each output rounded once; the device needs `f32` for that, and may have a kernel
/// for it. A user's operation gets its inputs as they are: how it computes is its author's choice.
///
/// # Errors
/// Whatever the parts report.
pub fn decompose(device: Device, op: &Op, inputs: Inputs, outputs: &Metas) -> Result<Outputs> {
    // Constants of an inner device would keep the parts there: lift the inputs first.
    let inputs: Inputs = inputs.into_iter().map(|input| input.to_device(device)).collect::<Result<_>>()?;
    match op {
        Op::Custom(custom) => custom.operation().forward(inputs),
        // Not a composite: there is nothing to take apart.
        _ if !op.is_composite() => device.backend().execute(device, op, inputs, outputs),
        _ if inputs.iter().any(|input| input.dtype() != input.dtype().accumulator()) => {
            widened(device, op, inputs, outputs)
        }
        _ => parts(op, &inputs, outputs),
    }
}

/// The operation on half types: in `f32`, rounded once.
fn widened(device: Device, op: &Op, inputs: Inputs, outputs: &Metas) -> Result<Outputs> {
    let wide = inputs.iter().map(|input| input.to_dtype(input.dtype().accumulator())).collect::<Result<_>>()?;
    let results = device.apply(op, wide)?;
    results.into_iter().zip(outputs).map(|(result, meta)| result.to_dtype(meta.dtype)).collect()
}

fn parts(op: &Op, inputs: &[Tensor], outputs: &Metas) -> Result<Outputs> {
    Ok(match op {
        Op::Mean { axes, keep_dims } => smallvec![mean(&inputs[0], axes, *keep_dims)?],
        Op::Variance { axes, keep_dims, correction } => {
            let input = &inputs[0];
            let count: usize = axes.iter().map(|&axis| input.shape()[axis]).product();
            let centred = (input - mean(input, axes, true)?)?;
            let squares = (&centred * &centred)?.sum(axes, *keep_dims)?;
            smallvec![(squares / (count as f64 - *correction as f64).max(0.0))?]
        }
        Op::LogSumExp { axes, keep_dims } => {
            let input = &inputs[0];
            // An infinite maximum would make NaN of ∞ − ∞; shifting by 0 there gives the right infinity.
            let maximum = finite_or_zero(&input.max(axes, true)?.detach())?;
            let sums = (input - &maximum)?.exp()?.sum(axes, true)?;
            let result = (sums.ln()? + &maximum)?;
            smallvec![if *keep_dims { result } else { result.reshape(outputs[0].shape)? }]
        }
        Op::Softmax { axis } => {
            let axes = *axis as isize;
            let shifted = (&inputs[0] - inputs[0].max(axes, true)?.detach())?.exp()?;
            let sums = shifted.sum(axes, true)?;
            smallvec![(shifted / sums)?]
        }
        Op::LogSoftmax { axis } => {
            let axes = *axis as isize;
            let shifted = (&inputs[0] - inputs[0].max(axes, true)?.detach())?;
            let sums = shifted.exp()?.sum(axes, true)?.ln()?;
            smallvec![(shifted - sums)?]
        }
        Op::Activate(kind) => smallvec![activate(&inputs[0], *kind)?],
        Op::ActivationGradient(kind) => {
            let (gradient, output) = (&inputs[0], &inputs[1]);
            smallvec![match kind {
                Activation::Identity => gradient.clone(),
                Activation::Relu => output.greater(0.0)?.where_(gradient, 0.0)?,
                Activation::Sigmoid => (gradient * (output * (1.0 - output)?)?)?,
                Activation::Tanh => (gradient * (1.0 - (output * output)?)?)?,
                // The others need their input, and do not pass inference.
                Activation::Gelu | Activation::GeluTanh | Activation::Silu | Activation::Unknown => {
                    return Err(Error::unknown(gradient.device().name(), kind.name()));
                }
            }]
        }
        Op::Linear { bias, activation } => {
            let mut result = inputs[0].linear_product(&inputs[1])?;
            if *bias {
                result = (result + &inputs[2])?;
            }
            smallvec![activate(&result, *activation)?]
        }
        Op::CrossEntropy(attributes) => cross_entropy(attributes, inputs)?,
        Op::BinaryCrossEntropy(attributes) => binary_cross_entropy(attributes, inputs)?,
        Op::LayerNorm(attributes) => smallvec![layer_norm(attributes, inputs)?],
        Op::Optimize(attributes) => optimize::optimize(attributes, inputs)?,
        _ => return Err(Error::unknown("the decomposition", op.name())),
    })
}

fn mean(input: &Tensor, axes: &crate::Axes, keep_dims: bool) -> Result<Tensor> {
    let count: usize = axes.iter().map(|&axis| input.shape()[axis]).product();
    input.sum(axes, keep_dims)? / count as f64
}

fn finite_or_zero(tensor: &Tensor) -> Result<Tensor> {
    tensor.abs()?.less(f64::INFINITY)?.where_(tensor, 0.0)
}

fn activate(input: &Tensor, kind: Activation) -> Result<Tensor> {
    Ok(match kind {
        Activation::Identity => input.clone(),
        Activation::Relu => input.unary(Unary::Relu)?,
        Activation::Sigmoid => input.unary(Unary::Sigmoid)?,
        Activation::Tanh => input.unary(Unary::Tanh)?,
        Activation::Gelu => {
            let erf = (input * std::f64::consts::FRAC_1_SQRT_2)?.unary(Unary::Erf)?;
            ((input * 0.5)? * (erf + 1.0)?)?
        }
        Activation::GeluTanh => {
            const SCALE: f64 = 0.797_884_560_802_865_4; // √(2/π)
            let cubic = (input * ((input * input)? * 0.044_715)?)?;
            let tanh = ((input + cubic)? * SCALE)?.unary(Unary::Tanh)?;
            ((input * 0.5)? * (tanh + 1.0)?)?
        }
        Activation::Silu => (input * input.unary(Unary::Sigmoid)?)?,
        Activation::Unknown => return Err(Error::unknown(input.device().name(), kind.name())),
    })
}

fn cross_entropy(attributes: &CrossEntropy, inputs: &[Tensor]) -> Result<Outputs> {
    let (logits, target) = (&inputs[0], &inputs[1]);
    let classes = logits.shape()[1];
    let smoothing = attributes.label_smoothing.get();
    let constant = logits.device().without_recording();
    let target = target.to_device(constant)?;

    // Which samples count, and a target that is in range for all of them. What the others hold must not matter, −∞ and NaN included.
    let ignored = attributes.ignore_index.filter(|&ignored| Scalar::Int(ignored).fits(target.dtype()));
    let (counted, target, logits) = match ignored {
        Some(ignored) => {
            let counted = target.not_equal(ignored)?;
            let target = counted.where_(&target, 0)?;
            let counted = counted.unsqueeze(1)?;
            let logits = counted.where_(logits, 0.0)?;
            (Some(counted), target, logits)
        }
        None => (None, target, logits.clone()),
    };
    let index = target.unsqueeze(1)?;
    // The weight of each sample: its class's weight, 0 if ignored. Shape [batch, 1].
    let weight = inputs.get(2);
    let own = weight.map(|weight| weight.index_select(0, &target)?.unsqueeze(1)).transpose()?;
    let sample = match (own, &counted) {
        (Some(own), Some(counted)) => Some(counted.where_(own, 0.0)?),
        (None, Some(counted)) => Some(counted.to_dtype(logits.dtype())?),
        (own, None) => own,
    };

    let log_probabilities = logits.log_softmax(1)?;
    let mut values = log_probabilities.gather(1, &index)?.neg()?;
    if let Some(sample) = &sample {
        values = weighted(&values, sample)?;
    }
    if smoothing > 0.0 {
        let mut smooth = match weight {
            Some(weight) => weighted(&log_probabilities, weight)?.sum(1, true)?.neg()?,
            None => log_probabilities.sum(1, true)?.neg()?,
        };
        if let Some(counted) = &counted {
            smooth = counted.where_(smooth, 0.0)?;
        }
        let spread = (smooth * (smoothing / classes as f64))?;
        // With nothing left for the label its loss must not matter either.
        values = if smoothing < 1.0 { ((values * (1.0 - smoothing))? + spread)? } else { spread };
    }
    let divisor = match (attributes.reduction, &sample) {
        (ReductionKind::Mean, Some(sample)) => Some(sample.sum(.., false)?),
        (ReductionKind::Mean, None) => Some(Tensor::full((), logits.shape()[0] as f64, logits.dtype(), constant)?),
        _ => None,
    };
    let value = match attributes.reduction {
        ReductionKind::None => values.squeeze(1)?,
        ReductionKind::Sum => values.sum(.., false)?,
        ReductionKind::Mean => (values.sum(.., false)? / divisor.as_ref().unwrap_or(&values))?,
    };
    if !attributes.with_gradient {
        return Ok(smallvec![value]);
    }

    // ∂/∂logits: sample · [(1 − s)(p − onehot)] + counted · (s/C)(p·Σw − w), over the divisor.
    let probabilities = log_probabilities.exp()?;
    let onehot = target.one_hot(classes, logits.dtype())?;
    let mut gradient = (&probabilities - onehot)?;
    if let Some(sample) = &sample {
        gradient = (gradient * sample)?;
    }
    if smoothing > 0.0 {
        let smooth = match weight {
            Some(weight) => ((&probabilities * weight.sum(.., false)?)? - weight)?,
            None => ((&probabilities * classes as f64)? - 1.0)?,
        };
        gradient = ((gradient * (1.0 - smoothing))? + (smooth * (smoothing / classes as f64))?)?;
    }
    if let Some(divisor) = divisor {
        gradient = (gradient / divisor)?;
    }
    if let Some(counted) = &counted {
        // Where no sample counts at all the divisor is 0: the mean is NaN, but what is ignored moves nothing.
        gradient = counted.where_(&gradient, 0.0)?;
    }
    Ok(smallvec![value, gradient])
}

/// `values · factors`, where a factor of 0 leaves an infinite value out.
fn weighted(values: &Tensor, factors: &Tensor) -> Result<Tensor> {
    let left_out = factors.equal(0.0)?.and(values.abs()?.equal(f64::INFINITY)?)?;
    left_out.where_(0.0, values)? * factors
}

fn binary_cross_entropy(attributes: &BinaryCrossEntropy, inputs: &[Tensor]) -> Result<Outputs> {
    let (logits, target) = (&inputs[0], &inputs[1]);
    // max(x, 0) − x·y = |x|·t, where t is the share on the wrong side: nothing cancels at large x, and a certain and right x = ±∞ costs
    // nothing. Selections in the place of abs, which has no slope at 0.
    let positive = logits.greater(0.0)?;
    let size = positive.where_(logits, logits.neg()?)?;
    let wrong = positive.where_((1.0 - target)?, target)?;
    let softplus = size.neg()?.exp()?.ln_1p()?;
    let values = (weighted(&size, &wrong)? + softplus)?;
    let value = match attributes.reduction {
        ReductionKind::None => values,
        ReductionKind::Sum => values.sum(.., false)?,
        ReductionKind::Mean => values.mean(.., false)?,
    };
    if !attributes.with_gradient {
        return Ok(smallvec![value]);
    }
    let mut gradient = (logits.sigmoid()? - target)?;
    if attributes.reduction == ReductionKind::Mean {
        gradient = (gradient / logits.shape().count() as f64)?;
    }
    Ok(smallvec![value, gradient])
}

/// Above this, squares come near the end of `f32`, which 10⁸ squares of smaller numbers stay clear of.
const LARGE: f64 = 1e15;

fn layer_norm(attributes: &LayerNorm, inputs: &[Tensor]) -> Result<Tensor> {
    let input = &inputs[0];
    let rank = input.shape().rank();
    let axes: crate::Axes = (rank - attributes.axes..rank).collect();
    let centred = (input - input.mean(&axes, true)?)?;
    // Where a square might overflow the distances are first divided by the largest one; y = c/√(mean c² + ε) is the same for c/s and ε/s².
    let largest = centred.detach().abs()?.max(&axes, true)?;
    let scale = largest.greater(LARGE)?.where_(largest, 1.0)?;
    let centred = (centred / &scale)?;
    let variance = (&centred * &centred)?.mean(&axes, true)?;
    let floor = (scale.recip()?.square()? * attributes.epsilon.get())?;
    let normal = (centred * (variance + floor)?.rsqrt()?)?;
    match inputs {
        [_, weight, bias] => (normal * weight)? + bias,
        _ => Ok(normal),
    }
}
