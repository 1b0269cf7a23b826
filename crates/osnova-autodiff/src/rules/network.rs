//! Composites whose derivative is cheaper than that of their parts, and operations from other crates.

use super::elementwise::activation_gradient;
use super::matmul::rows;
use super::{Emit, NOTHING, OUTPUT, Record, Rule, SECOND, X, Y, one};
use osnova_tensor::{Activation, BinaryCrossEntropy, CrossEntropy, Error, Op, ReductionKind, Result, Tensor};
use smallvec::SmallVec;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

pub(super) fn rule(op: &Op) -> Option<Rule> {
    Some(match op {
        // ∂yᵢ/∂xⱼ = yᵢ(δᵢⱼ − yⱼ): y·(g − Σ g·y)
        Op::Softmax { .. } => one(OUTPUT, |g, of| {
            let y = of.output();
            let mean = (&g * y)?.sum(axis(of.op), true)?;
            (g - mean)? * y
        }),
        // ∂yᵢ/∂xⱼ = δᵢⱼ − eʸⱼ: g − eʸ·Σ g
        Op::LogSoftmax { .. } => one(OUTPUT, |g, of| {
            let total = g.sum(axis(of.op), true)?;
            g - (of.output().exp()? * total)?
        }),
        Op::Activate(kind) => activation(*kind)?,
        Op::Linear { activation, .. } => {
            let output = if *activation == Activation::Identity { NOTHING } else { OUTPUT };
            Rule::Joint([Y | output, X | output, output], linear)
        }
        // What the forward pass made, times g
        Op::CrossEntropy(CrossEntropy { with_gradient: false, .. }) => Rule::Joint([SECOND, NOTHING, NOTHING], loss),
        Op::BinaryCrossEntropy(BinaryCrossEntropy { with_gradient: false, .. }) => {
            Rule::Joint([SECOND, NOTHING, NOTHING], loss)
        }
        Op::LayerNorm(_) => Rule::Joint([X | Y, X, NOTHING], layer_norm),
        _ => return None,
    })
}

fn axis(op: &Op) -> isize {
    match op {
        Op::Softmax { axis } | Op::LogSoftmax { axis } => *axis as isize,
        _ => 0,
    }
}

fn activation(kind: Activation) -> Option<Rule> {
    Some(match kind {
        Activation::Identity => one(NOTHING, |g, _| Ok(g)),
        Activation::Relu => one(OUTPUT, |g, of| activation_gradient(Activation::Relu, g, of.output())),
        Activation::Sigmoid => one(OUTPUT, |g, of| activation_gradient(Activation::Sigmoid, g, of.output())),
        Activation::Tanh => one(OUTPUT, |g, of| activation_gradient(Activation::Tanh, g, of.output())),
        // Φ(x) + x·φ(x), with Φ and φ of the normal distribution
        Activation::Gelu => one(X, |g, of| {
            let x = of.x();
            let below = (((x * FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5)?;
            let density = ((x.square()? * -0.5)?.exp()? * (0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI))?;
            g * (below + (density * x)?)
        }),
        // ½(1 + t) + ½x(1 − t²)u′, with t = tanh u, u = √(2/π)(x + 0.044715x³)
        Activation::GeluTanh => one(X, |g, of| {
            const SCALE: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2; // √(2/π)
            const CUBIC: f64 = 0.044_715;
            // Beyond ±100 the derivative is 0 or 1 to the last digit, and 0 times an overflown cube NaN.
            let x = &of.x().clamp(-100.0, 100.0)?;
            let squared = x.square()?;
            let t = (x * ((&squared * (SCALE * CUBIC))? + SCALE)?)?.tanh()?;
            let inner = ((squared * (3.0 * SCALE * CUBIC))? + SCALE)?;
            let slope = ((1.0 - t.square()?)? * (x * inner)?)?;
            g * (((t + 1.0)? + slope)? * 0.5)
        }),
        // s(1 + x(1 − s)), with s = σ(x)
        Activation::Silu => one(X, |g, of| {
            let x = of.x();
            let s = x.sigmoid()?;
            let slope = ((x * (1.0 - &s)?)? + 1.0)?;
            g * (slope * s)
        }),
        _ => return None,
    })
}

/// y = f(x·Wᵀ + b): dz = g·f′(y), dx = dz·W, dW = dzᵀ·x, db = Σ dz over the rows.
fn linear(g: Tensor, of: &mut Record, emit: &mut Emit) -> Result<()> {
    let Op::Linear { bias, activation } = *of.op else { return Ok(()) };
    let dz = match activation {
        Activation::Identity => g,
        _ => activation_gradient(activation, g, of.output())?,
    };
    let flat = rows(&dz)?;
    if bias && of.needs(2) {
        emit(2, flat.sum(0isize, false)?)?;
    }
    if of.needs(1) {
        emit(1, flat.t()?.matmul(&rows(of.x())?)?)?;
    }
    if of.needs(0) {
        let product = flat.matmul(of.y())?;
        let mut dims: SmallVec<[usize; 8]> = dz.dims().into();
        dims[dz.rank() - 1] = of.y().dims()[1];
        emit(0, product.reshape(&dims[..])?)?;
    }
    Ok(())
}

fn loss(g: Tensor, of: &mut Record, emit: &mut Emit) -> Result<()> {
    let made = of.take_second();
    if of.unit {
        return emit(0, made);
    }
    match of.op {
        // One g for each row of logits.
        Op::CrossEntropy(options) if options.reduction == ReductionKind::None => {
            let g = g.unsqueeze(1)?;
            let product = (&made * g)?;
            // What is ignored moves nothing, whatever comes back to it.
            emit(0, if options.ignore_index.is_some() { made.equal(0.0)?.where_(0.0, product)? } else { product })
        }
        _ => emit(0, (made * g)?),
    }
}

/// y = x̂·w + b with x̂ = (x − mean)·r, r = 1/√(variance + ε): for h = g·w,
/// dx = r·(h − mean(h) − x̂·mean(h·x̂)), dw = Σ g·x̂ and db = Σ g over the batch.
fn layer_norm(g: Tensor, of: &mut Record, emit: &mut Emit) -> Result<()> {
    let Op::LayerNorm(options) = *of.op else { return Ok(()) };
    if options.affine && of.needs(2) {
        emit(2, sum_batch(&g, options.axes)?)?;
    }
    let inside = of.needs(0) || options.affine && of.needs(1);
    if !inside {
        return Ok(());
    }
    let x = of.x();
    let axes: SmallVec<[usize; 8]> = (x.rank() - options.axes..x.rank()).collect();
    let centred = (x - x.mean(&axes[..], true)?)?;
    let (normal, scale) = normalised(centred, &axes, options.epsilon.get(), of.wide_range)?;
    if options.affine && of.needs(1) {
        emit(1, sum_batch(&(&g * &normal)?, options.axes)?)?;
    }
    if of.needs(0) {
        let h = if options.affine { (g * of.y())? } else { g };
        let along = (&h * &normal)?.mean(&axes[..], true)?;
        let level = h.mean(&axes[..], true)?;
        emit(0, (((h - level)? - (normal * along)?)? * scale)?)?;
    }
    Ok(())
}

/// x̂ and r from the distances to the mean. With a wide range these are first divided by the largest one where a square might overflow.
fn normalised(centred: Tensor, axes: &[usize], epsilon: f64, wide_range: bool) -> Result<(Tensor, Tensor)> {
    if !wide_range {
        let scale = (centred.square()?.mean(axes, true)? + epsilon)?.rsqrt()?;
        return Ok(((centred * &scale)?, scale));
    }
    let largest = centred.detach().abs()?.max(axes, true)?;
    let unit = largest.greater(1e15)?.where_(largest, 1.0)?;
    let centred = (centred / &unit)?;
    let floor = (unit.recip()?.square()? * epsilon)?;
    let scale = (centred.square()?.mean(axes, true)? + floor)?.rsqrt()?;
    Ok(((centred * &scale)?, (scale / unit)?))
}

/// The sum over all but the last `axes` axes.
fn sum_batch(tensor: &Tensor, axes: usize) -> Result<Tensor> {
    let batch: SmallVec<[usize; 8]> = (0..tensor.rank() - axes).collect();
    tensor.sum(&batch[..], false)
}

/// A user's operation: its own derivative.
pub(super) fn custom(record: &Record, gradients: SmallVec<[Option<Tensor>; 1]>, emit: &mut Emit) -> Result<()> {
    let Op::Custom(custom) = record.op else { return Ok(()) };
    let all: Vec<Tensor> = record.saved.iter().flatten().cloned().collect();
    let (inputs, outputs) = all.split_at(record.inputs);
    let mut gradients = gradients.into_vec();
    gradients.resize(outputs.len(), None);
    let pulled = custom.operation().backward(inputs, outputs, &gradients)?;
    let pulled = pulled.filter(|pulled| pulled.len() == inputs.len()).ok_or_else(|| {
        Error::gradient(
            custom.name(),
            "its `backward` did not give one gradient for each input",
            "Return one entry for each input, `None` where there is no gradient, or let `has_backward` say false",
        )
    })?;
    for (index, gradient) in pulled.into_iter().enumerate() {
        let Some(gradient) = gradient.filter(|_| record.needs(index)) else { continue };
        let input = &inputs[index];
        if gradient.shape() != input.shape() || gradient.dtype() != input.dtype() {
            return Err(Error::gradient(
                custom.name(),
                format!("its `backward` gave {gradient:?} as the gradient of input {index}, which is {input:?}"),
                "Give each gradient its input's shape and dtype",
            ));
        }
        emit(index, gradient)?;
    }
    Ok(())
}
