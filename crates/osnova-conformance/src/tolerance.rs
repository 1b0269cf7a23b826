//! How far a result may lie from the exact one: the table of tolerances.
//!
#![doc = include_str!("tolerances.md")]

use crate::compare::ulp;
use osnova_tensor::random::Distribution;
use osnova_tensor::{
    Activation, Binary, CrossEntropy, DType, Op, Optimize, Reduction, ReductionKind, Result, Tensor, Unary,
};

/// How the elements of one output are compared.
pub(crate) enum Bound {
    /// All bits agree.
    Bits,
    /// This many units in the last place of the dtype computed in.
    Ulps(f64),
    /// A distance for each element; a scalar for all.
    Absolute(Tensor),
}

/// Whether the oracle runs in the case's own dtype: where nothing is rounded, or the dtype is part of the definition.
pub(crate) fn runs_in_own_dtype(op: &Op) -> bool {
    op.is_view()
        || matches!(
            op,
            Op::Full { .. }
                | Op::Arange { .. }
                | Op::Random { .. }
                | Op::Contiguous
                | Op::Pad { .. }
                | Op::Concat { .. }
                | Op::Clamp { .. }
                | Op::Where
                | Op::Cast { .. }
                | Op::Gather { .. }
                | Op::IndexSelect { .. }
                | Op::Sort { .. }
        )
}

/// The bound for each output of `op`. The inputs and outputs are the oracle's (floats in f64, unless
/// [`runs_in_own_dtype`]); `dtype` is the case's float dtype, `factor` multiplies the bounds.
pub(crate) fn bounds(op: &Op, inputs: &[Tensor], outputs: &[Tensor], dtype: DType, factor: f64) -> Result<Vec<Bound>> {
    let factor = if dtype == DType::F64 { 2.0 * factor } else { factor };
    let (a, e) = (dtype.accumulator().epsilon() * factor, dtype.epsilon() * factor);
    let ulps = |count: f64| vec![Bound::Ulps(count * factor)];
    let absolute = |bound: Tensor| Ok(vec![Bound::Absolute(bound)]);
    if op.is_view() {
        return Ok(vec![Bound::Bits]);
    }
    Ok(match op {
        Op::Contiguous
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Where
        | Op::Gather { .. }
        | Op::IndexSelect { .. } => {
            vec![Bound::Bits]
        }
        Op::Sort { .. } => vec![Bound::Bits, Bound::Bits],
        Op::Full { .. } | Op::Arange { .. } | Op::Clamp { .. } | Op::Compare(_) | Op::ArgReduce { .. } => ulps(0.0),
        Op::Random { distribution, dtype, .. } => match distribution {
            Distribution::Normal { mean, standard_deviation } => {
                // The oracle's numbers are rounded to the dtype already: the device's may be rounded the other way.
                let rounding = if dtype.size() == 2 { dtype.epsilon() } else { 0.0 };
                let size = mean.get().abs() + 6.0 * standard_deviation.get();
                let a = dtype.accumulator().epsilon();
                return absolute(((outputs[0].to_dtype(DType::F64)?.abs()? * rounding)? + 8.0 * a * size)?);
            }
            _ => vec![Bound::Bits],
        },
        Op::Cast { dtype: to } => {
            let wide = inputs[0].dtype().size() > 2 && inputs[0].dtype() != DType::F32;
            if to.size() == 2 && wide {
                let exact = outputs[0].to_host()?.to_f64();
                let bound: Vec<f64> = exact.into_iter().map(|value| ulp(value, *to)).collect();
                return absolute(Tensor::from_vec(bound, *outputs[0].shape(), outputs[0].device())?);
            }
            ulps(0.0)
        }
        Op::Unary(kind) => match kind {
            Unary::Exp | Unary::Expm1 | Unary::Ln | Unary::Ln1p | Unary::Tanh | Unary::Sigmoid | Unary::Erf => {
                ulps(3.0)
            }
            Unary::Rsqrt => ulps(3.0),
            Unary::Recip => ulps(1.0),
            Unary::Sin | Unary::Cos => {
                return absolute(((outputs[0].abs()? * (4.0 * a))? + (inputs[0].abs()? * (a / 8.0))?)?);
            }
            _ => ulps(0.0),
        },
        Op::Binary(Binary::Div) => ulps(1.0),
        Op::Binary(Binary::Pow) => ulps(4.0),
        Op::Binary(_) => ulps(0.0),
        // What has no float output is compared exactly whatever the bound.
        _ if outputs.iter().all(|output| !output.dtype().is_float()) => ulps(0.0),
        Op::Reduce { kind, axes, keep_dims } => {
            let terms = axes.iter().map(|&axis| inputs[0].shape()[axis]).product::<usize>() as f64;
            match kind {
                Reduction::Sum => return absolute((inputs[0].abs()?.sum(axes, *keep_dims)? * (terms * a))?),
                Reduction::Prod => return absolute((outputs[0].abs()? * (terms * a))?),
                Reduction::Max | Reduction::Min => ulps(0.0),
            }
        }
        Op::CumulativeSum { axis, .. } => {
            let sums = Tensor::apply(op, [inputs[0].abs()?])?.remove(0);
            return absolute((sums * (inputs[0].shape()[*axis] as f64 * a))?);
        }
        Op::Matmul => {
            let terms = inputs[0].size(-1)? as f64;
            return absolute((inputs[0].abs()?.matmul(&inputs[1].abs()?)? * (terms * a))?);
        }
        Op::ScatterAdd { axis } | Op::IndexAdd { axis } => {
            let terms = inputs[2].shape()[*axis] as f64 + 1.0;
            let sums = Tensor::apply(op, [inputs[0].abs()?, inputs[1].clone(), inputs[2].abs()?])?.remove(0);
            return absolute((sums * (terms * a))?);
        }
        // A user's operation is as good as a handful of elementwise steps, in its dtype or a wider one.
        Op::Custom(_) => return absolute(((outputs[0].abs()? * (8.0 * e))? + 16.0 * ulp(0.0, dtype) * factor)?),
        _ => {
            // Half types compute in f32. A part of a composite may fall below the smallest normal number and lose digits there.
            let tiny = 16.0 * ulp(0.0, dtype.accumulator()) * factor;
            let widened = |bound| match bound {
                Bound::Absolute(distance) => Ok(Bound::Absolute((distance + tiny)?)),
                other => Ok(other),
            };
            return composite(op, inputs, outputs, a, factor)?.into_iter().map(widened).collect();
        }
    })
}

/// The bounds of composites: what the decomposition may lose when each of its parts rounds to the dtype computed in.
fn composite(op: &Op, inputs: &[Tensor], outputs: &[Tensor], a: f64, factor: f64) -> Result<Vec<Bound>> {
    let input = &inputs[0];
    let size = largest(input)?;
    // The logarithm of a sum of `terms` exponentials of what was shifted by the maximum.
    let logarithm = |terms: usize| a * 8.0 + terms as f64 * a;
    let bound = match op {
        // The sum in the wide type, then one division.
        Op::Mean { axes, keep_dims } => {
            let terms = axes.iter().map(|&axis| input.shape()[axis]).product::<usize>() as f64;
            (input.abs()?.mean(axes, *keep_dims)? * ((terms + 2.0) * a))?
        }
        // (x − m) is off by A·(|x| + |m|), its square by twice that and as much again.
        Op::Variance { axes, keep_dims, .. } => {
            let terms = axes.iter().map(|&axis| input.shape()[axis]).product::<usize>() as f64;
            let mean = input.mean(axes, true)?;
            let spread = (input - &mean)?.abs()?;
            let rounding = (input.abs()? + mean.abs()?)?;
            let reach = ((&spread * &rounding)? * (4.0 * a))? + (((&rounding * &rounding)? * (4.0 * a * a))?);
            let divisor = (terms - correction(op)).max(0.0);
            let summed = (reach?.sum(axes, *keep_dims)? / divisor)?;
            (summed + (outputs[0].abs()? * ((terms + 4.0) * a + 2.0 * a))?)?
        }
        Op::LogSumExp { axes, .. } => {
            let terms = axes.iter().map(|&axis| input.shape()[axis]).product();
            (finite(&outputs[0])? * (2.0 * a))? + logarithm(terms)
        }?,
        // An exponent is off by a share of its size, which the result tells: eˣ·|x| is small where that is large.
        Op::Softmax { axis } => {
            let y = &outputs[0];
            let exponent = y.maximum(f64::MIN_POSITIVE)?.ln()?.abs()?;
            (y * ((exponent * (2.0 * a))? + logarithm(input.shape()[*axis]))?)?
        }
        // The shift goes first: what is lost is a share of the result, not of the input.
        Op::LogSoftmax { axis } => ((finite(&outputs[0])? * (2.0 * a))? + logarithm(input.shape()[*axis]))?,
        Op::Activate(kind) => match kind {
            Activation::Identity | Activation::Relu => return Ok(vec![Bound::Ulps(0.0)]),
            Activation::Sigmoid | Activation::Tanh => return Ok(vec![Bound::Ulps(3.0 * factor)]),
            // 1 + erf cancels for negative x, so the error follows x and not the result.
            Activation::Gelu => (input.abs()? * (4.0 * a))?,
            Activation::GeluTanh => (input.abs()? * (8.0 * a))?,
            _ => (outputs[0].abs()? * (4.0 * a))?,
        },
        Op::ActivationGradient(Activation::Tanh) => (input.abs()? * (4.0 * a))?,
        Op::ActivationGradient(Activation::Sigmoid) => (outputs[0].abs()? * (4.0 * a))?,
        Op::ActivationGradient(_) => return Ok(vec![Bound::Ulps(0.0)]),
        // A product, a bias and an activation whose slope is below 1.13, which rounds its own result too.
        Op::Linear { .. } => {
            let features = input.size(-1)? as f64;
            let plain = Op::Linear { bias: inputs.len() == 3, activation: Activation::Identity };
            let absolutes: Vec<Tensor> = inputs.iter().map(Tensor::abs).collect::<Result<_>>()?;
            ((Tensor::apply(&plain, absolutes)?.remove(0) * (2.0 * features * a + 16.0 * a))?
                + (outputs[0].abs()? * (8.0 * a))?)?
        }
        Op::CrossEntropy(attributes) => return cross_entropy(attributes, inputs, a),
        Op::BinaryCrossEntropy(attributes) => {
            if attributes.reduction == ReductionKind::None {
                // |x|·t and a logarithm, of which neither cancels the other.
                let value = ((finite(&outputs[0])? * (4.0 * a))? + 4.0 * a)?;
                return Ok(vec![Bound::Absolute(value), Bound::Absolute(scalar(input, 8.0 * a)?)]);
            }
            let each = a * (4.0 * size + 4.0);
            let count = input.count() as f64;
            let value = match attributes.reduction {
                ReductionKind::Sum => count * (each + count * a * (2.0 * size + 1.0)),
                ReductionKind::Mean => each + count * a * (2.0 * size + 1.0),
                ReductionKind::None => each,
            };
            let value = Bound::Absolute(scalar(input, value)?);
            return Ok(vec![value, Bound::Absolute(scalar(input, 8.0 * a)?)]);
        }
        Op::LayerNorm(attributes) => {
            let axes: Vec<isize> = (1..=attributes.axes as isize).map(|axis| -axis).collect();
            let variance = input.var(&axes[..], 0, true)?;
            let scale = (variance + attributes.epsilon.get())?.rsqrt()?;
            let normal = ((input - input.mean(&axes[..], true)?)? * &scale)?.abs()?;
            // The centred input is off by A·max; the variance by A·max², which moves its root by half of that, relatively.
            let centred = (&scale * (16.0 * a * size))?;
            let spread = (&normal * ((&scale * &scale)? * (8.0 * a * size * size))?)?;
            let bound = (centred + spread + (normal * (8.0 * a))?)?;
            match inputs {
                [_, weight, bias] => ((bound * weight.abs()?)? + (bias.abs()? * (2.0 * a))?)?,
                _ => bound,
            }
        }
        Op::Optimize(attributes) => return optimize(attributes, inputs, outputs, a),
        _ => (outputs[0].abs()? * (8.0 * a))?,
    };
    Ok(vec![Bound::Absolute(bound)])
}

fn correction(op: &Op) -> f64 {
    match op {
        Op::Variance { correction, .. } => *correction as f64,
        _ => 0.0,
    }
}

/// Each sample's loss is off by the log-softmax's error, times the largest weight. It depends on how far apart the logits of a sample are, not
/// on how far from 0.
fn cross_entropy(attributes: &CrossEntropy, inputs: &[Tensor], a: f64) -> Result<Vec<Bound>> {
    let (logits, weight) = (&inputs[0], inputs.get(2));
    let (batch, classes) = (logits.shape()[0] as f64, logits.shape()[1] as f64);
    let apart = largest(&(logits.max(1, true)? - logits)?)?;
    let shifted = a * (4.0 * apart + 8.0);
    let weight = weight.map_or(Ok(1.0), largest)?.max(1.0);
    let each = 2.0 * weight * (shifted + 2.0 * classes * a);
    let value = match attributes.reduction {
        ReductionKind::Sum => batch * (each + batch * a * weight * (2.0 * apart + 8.0 + classes.ln())),
        // A weighted mean divides by weights of which the smallest may count alone.
        ReductionKind::Mean => 4.0 * weight * (each + batch * a * weight * (2.0 * apart + 8.0 + classes.ln())),
        ReductionKind::None => each,
    };
    let gradient = 4.0 * weight * each;
    Ok(vec![Bound::Absolute(scalar(logits, value)?), Bound::Absolute(scalar(logits, gradient)?)])
}

/// Each output is a short sum of products: A times the sum of their sizes, for half types compute in f32.
fn optimize(attributes: &Optimize, inputs: &[Tensor], outputs: &[Tensor], a: f64) -> Result<Vec<Bound>> {
    let scalars = inputs[0].to_host()?.to_f64();
    let states = attributes.states();
    let groups = inputs[1..].chunks_exact(2 + states).zip(outputs.chunks_exact(1 + states));
    let mut bounds = Vec::new();
    for (group, results) in groups {
        let (parameter, gradient) = (group[0].abs()?, group[1].abs()?);
        match *attributes {
            Optimize::Sgd { momentum, weight_decay, .. } => {
                let gradient = (gradient + (&parameter * weight_decay.get())?)?;
                let mut velocity = (&gradient * scalars[1].abs().max(1.0))?;
                if let Some(previous) = group.get(2) {
                    velocity = (velocity + (previous.abs()? * momentum.get())?)?;
                }
                let step = ((&gradient + &velocity)? * (2.0 * scalars[0].abs()))?;
                bounds.push(((parameter + step)? * (8.0 * a))?);
                if states == 1 {
                    bounds.push((velocity * (8.0 * a))?);
                }
            }
            Optimize::Adam { epsilon, weight_decay, decoupled, amsgrad, .. } => {
                let decay = if decoupled { 0.0 } else { weight_decay.get() };
                let gradient = (gradient + (&parameter * decay)?)?;
                let first = (group[2].abs()? + &gradient)?;
                let second = (group[3].abs()? + (&gradient * &gradient)?)?;
                let spread = results[if amsgrad { 3 } else { 2 }].abs()?;
                // The root of what is off by δ is off by √δ at most: ε and small moments keep the quotient finite.
                let root = ((spread / scalars[2])?.sqrt()? + epsilon.get())?;
                let step = ((&first / root)? * (scalars[0].abs() / scalars[1]))?;
                bounds.push(((parameter * (8.0 * a))? + (step * (32.0 * a))?)?);
                bounds.push((first * (8.0 * a))?);
                bounds.push((&second * (8.0 * a))?);
                if amsgrad {
                    bounds.push(((second + group[4].abs()?)? * (8.0 * a))?);
                }
            }
            Optimize::Moments { weight_decay, decoupled, .. } => {
                let decay = if decoupled { 0.0 } else { weight_decay.get() };
                let gradient = (gradient + (&parameter * decay)?)?;
                let first = (group[2].abs()? + &gradient)?;
                let second = (group[3].abs()? + gradient.square()?)?;
                let size = ((results[2].sqrt()? * scalars[3])? + scalars[4])?;
                let step = (((&gradient * scalars[1])? + (&first * scalars[2])?)? / size)?;
                bounds.push(((parameter * (8.0 * a))? + (step * (32.0 * a))?)?);
                bounds.extend([(first * (8.0 * a))?, (second * (8.0 * a))?]);
            }
            Optimize::AdaGrad { epsilon, weight_decay } => {
                let gradient = (gradient + (&parameter * weight_decay.get())?)?;
                let step = (&gradient / (results[1].sqrt()? + epsilon.get())?)?;
                bounds.push(((parameter * (8.0 * a))? + (step * (32.0 * a * scalars[0]))?)?);
                bounds.push(((group[2].abs()? + gradient.square()?)? * (8.0 * a))?);
            }
            Optimize::RmsProp { epsilon, momentum, centred, weight_decay, .. } => {
                let gradient = (gradient + (&parameter * weight_decay.get())?)?;
                let second = (group[2].abs()? + gradient.square()?)?;
                let (mut variance, mut mean) = (results[1].clone(), None);
                if centred {
                    variance = (variance - results[2].square()?)?;
                    mean = Some((group[3].abs()? + &gradient)?);
                }
                // The variance is off by E·second, so its root, relatively, by half of that over the variance.
                let loss = (&second / &variance)?;
                let step = (((gradient / (variance.sqrt()? + epsilon.get())?)? * (loss + 1.0)?)? * (16.0 * a))?;
                let moved = match momentum.get() {
                    0.0 => step,
                    momentum => (step + (group[2 + results.len() - 2].abs()? * (8.0 * a * momentum))?)?,
                };
                bounds.push(((parameter * (8.0 * a))? + (&moved * (2.0 * scalars[0]))?)?);
                bounds.push((second * (8.0 * a))?);
                if let Some(mean) = mean {
                    bounds.push((mean * (8.0 * a))?);
                }
                if momentum.get() != 0.0 {
                    bounds.push((moved * 2.0)?);
                }
            }
            Optimize::Lion { beta1, .. } => {
                let sizes = (group[2].abs()? + &gradient)?;
                let direction = ((&group[2] * beta1.get())? + (&group[1] * (1.0 - beta1.get()))?)?;
                // Near 0 the sign may be any of the three.
                let doubtful = direction.abs()?.less_equal((&sizes * (8.0 * a))?)?.to_dtype(DType::F64)?;
                let step = (doubtful * (2.0 * scalars[0]))?;
                bounds.push((((parameter + scalars[0])? * (8.0 * a))? + step)?);
                bounds.push((sizes * (8.0 * a))?);
            }
            _ => bounds.extend(results.iter().map(|result| result.abs()? * (32.0 * a)).collect::<Result<Vec<_>>>()?),
        }
    }
    Ok(bounds.into_iter().map(Bound::Absolute).collect())
}

fn scalar(like: &Tensor, value: f64) -> Result<Tensor> {
    Tensor::full((), value, DType::F64, like.device())
}

/// The magnitudes, 0 for what is not finite: that must be met exactly.
fn finite(tensor: &Tensor) -> Result<Tensor> {
    let sizes = tensor.abs()?;
    sizes.less(f64::INFINITY)?.where_(&sizes, 0.0)
}

/// The largest finite magnitude, 0 of nothing.
fn largest(tensor: &Tensor) -> Result<f64> {
    let values = tensor.to_host()?.to_f64();
    Ok(values.into_iter().map(f64::abs).filter(|value| value.is_finite()).fold(0.0, f64::max))
}
