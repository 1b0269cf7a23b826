//! Activation functions that are made of others; those with an operation of their own (`relu`, `gelu`, `softmax`, …) are
//! methods of [`Tensor`]. At a kink each takes the slope that PyTorch takes.

use osnova_tensor::{Result, Tensor};

/// `x` where positive, else `slope · x`.
///
/// # Errors
/// A tensor that is no float.
pub fn leaky_relu(input: &Tensor, slope: f64) -> Result<Tensor> {
    input.greater(0.0)?.where_(input, (input * slope)?)
}

/// `x` where positive, else `weight · x`, with a weight that broadcasts against the input.
///
/// # Errors
/// Shapes that do not broadcast, dtypes that differ.
pub fn prelu(input: &Tensor, weight: &Tensor) -> Result<Tensor> {
    input.greater(0.0)?.where_(input, (input * weight)?)
}

/// `x` where positive, else `α(eˣ − 1)`.
///
/// # Errors
/// A tensor that is no float.
pub fn elu(input: &Tensor, alpha: f64) -> Result<Tensor> {
    let (positive, below) = negative_part(input)?;
    positive.where_(input, (below.exp_m1()? * alpha)?)
}

/// `x` where positive, else `α(e^(x/α) − 1)`: continuously differentiable for any α.
///
/// # Errors
/// A tensor that is no float.
pub fn celu(input: &Tensor, alpha: f64) -> Result<Tensor> {
    let (positive, below) = negative_part(input)?;
    positive.where_(input, ((below * (1.0 / alpha))?.exp_m1()? * alpha)?)
}

/// The self-normalising [`elu`] with a scale. Klambauer et al. 2017.
///
/// # Errors
/// A tensor that is no float.
pub fn selu(input: &Tensor) -> Result<Tensor> {
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    const SCALE: f64 = 1.050_700_987_355_480_5;
    elu(input, ALPHA)? * SCALE
}

/// `ln(1 + eˣ)`, at any x without overflow.
///
/// # Errors
/// A tensor that is no float.
pub fn softplus(input: &Tensor) -> Result<Tensor> {
    // max(x, 0) + ln(1 + e^−|x|), with selections in the place of max and abs: those have no slope at 0.
    let positive = input.greater(0.0)?;
    let beyond = positive.where_(-input, input)?.exp()?.ln_1p()?;
    positive.where_(input, 0.0)? + beyond
}

/// `ln(1 + e^(βx))/β`, and `x` itself where βx is above the threshold, as PyTorch has it.
///
/// # Errors
/// A tensor that is no float.
pub fn softplus_with(input: &Tensor, beta: f64, threshold: f64) -> Result<Tensor> {
    let scaled = (input * beta)?;
    let smooth = (softplus(&scaled)? * (1.0 / beta))?;
    scaled.greater(threshold)?.where_(input, smooth)
}

/// `ln sigmoid(x)`, without underflow.
///
/// # Errors
/// A tensor that is no float.
pub fn log_sigmoid(input: &Tensor) -> Result<Tensor> {
    softplus(&input.neg()?)?.neg()
}

/// `x · tanh(softplus(x))`. Misra 2019.
///
/// # Errors
/// A tensor that is no float.
pub fn mish(input: &Tensor) -> Result<Tensor> {
    input * softplus(input)?.tanh()?
}

/// `x / (1 + |x|)`.
///
/// # Errors
/// A tensor that is no float.
pub fn softsign(input: &Tensor) -> Result<Tensor> {
    input / (input.abs()? + 1.0)?
}

/// `min(max(x, 0), 6)`.
///
/// # Errors
/// A tensor of truth values.
pub fn relu6(input: &Tensor) -> Result<Tensor> {
    input.clamp(0, 6)
}

/// The sigmoid in three straight pieces: `min(max(x + 3, 0), 6)/6`.
///
/// # Errors
/// A tensor that is no float.
pub fn hardsigmoid(input: &Tensor) -> Result<Tensor> {
    (input + 3.0)?.clamp(0, 6)? * (1.0 / 6.0)
}

/// `x · hardsigmoid(x)`. Howard et al. 2019.
///
/// # Errors
/// A tensor that is no float.
pub fn hardswish(input: &Tensor) -> Result<Tensor> {
    input * hardsigmoid(input)?
}

/// `softmax(−x)` along `axis`.
///
/// # Errors
/// An axis out of range, a tensor that is no float.
pub fn softmin(input: &Tensor, axis: isize) -> Result<Tensor> {
    (-input)?.softmax(axis)
}

/// Where the input is positive, and the input elsewhere, 0 there: an exponential of it cannot overflow.
fn negative_part(input: &Tensor) -> Result<(Tensor, Tensor)> {
    let positive = input.greater(0.0)?;
    let below = positive.where_(0.0, input)?;
    Ok((positive, below))
}
