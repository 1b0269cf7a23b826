//! Activation functions that are made of others; those with an operation of their own (`relu`, `gelu`, `softmax`, …) are
//! methods of [`Tensor`]. At a kink each takes the slope that PyTorch takes.

use crate::wide::rounded_once;
use osnova_tensor::{DType, Error, Result, Tensor};

/// `x` where positive, else `slope · x`.
///
/// # Errors
/// A tensor that is no float.
pub fn leaky_relu(input: &Tensor, slope: f64) -> Result<Tensor> {
    rounded_once([input], |[input]| input.greater(0.0)?.where_(input, (input * slope)?))
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
    rounded_once([input], |[input]| {
        let (positive, below) = negative_part(input)?;
        positive.where_(input, (below.exp_m1()? * alpha)?)
    })
}

/// `x` where positive, else `α(e^(x/α) − 1)`: continuously differentiable for any α.
///
/// # Errors
/// A tensor that is no float.
pub fn celu(input: &Tensor, alpha: f64) -> Result<Tensor> {
    rounded_once([input], |[input]| {
        let (positive, below) = negative_part(input)?;
        positive.where_(input, ((below * (1.0 / alpha))?.exp_m1()? * alpha)?)
    })
}

/// The self-normalising [`elu`] with a scale. Klambauer et al. 2017.
///
/// # Errors
/// A tensor that is no float.
pub fn selu(input: &Tensor) -> Result<Tensor> {
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    const SCALE: f64 = 1.050_700_987_355_480_5;
    rounded_once([input], |[input]| elu(input, ALPHA)? * SCALE)
}

/// `ln(1 + eˣ)`, at any x without overflow.
///
/// # Errors
/// A tensor that is no float.
pub fn softplus(input: &Tensor) -> Result<Tensor> {
    // max(x, 0) + ln(1 + e^−|x|), with selections in the place of max and abs: those have no slope at 0.
    rounded_once([input], |[input]| {
        let positive = input.greater(0.0)?;
        let beyond = positive.where_(-input, input)?.exp()?.ln_1p()?;
        positive.where_(input, 0.0)? + beyond
    })
}

/// `ln(1 + e^(βx))/β`, and `x` itself where βx is above the threshold, as PyTorch has it.
///
/// # Errors
/// A tensor that is no float.
pub fn softplus_with(input: &Tensor, beta: f64, threshold: f64) -> Result<Tensor> {
    rounded_once([input], |[input]| {
        let scaled = (input * beta)?;
        let smooth = (softplus(&scaled)? * (1.0 / beta))?;
        scaled.greater(threshold)?.where_(input, smooth)
    })
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
    rounded_once([input], |[input]| input * softplus(input)?.tanh()?)
}

/// `x / (1 + |x|)`.
///
/// # Errors
/// A tensor that is no float.
pub fn softsign(input: &Tensor) -> Result<Tensor> {
    rounded_once([input], |[input]| input / (input.abs()? + 1.0)?)
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
    rounded_once([input], |[input]| (input + 3.0)?.clamp(0, 6)? * (1.0 / 6.0))
}

/// `x · hardsigmoid(x)`. Howard et al. 2019.
///
/// # Errors
/// A tensor that is no float.
pub fn hardswish(input: &Tensor) -> Result<Tensor> {
    rounded_once([input], |[input]| input * hardsigmoid(input)?)
}

/// `x − tanh x`.
///
/// # Errors
/// A tensor that is no float.
pub fn tanhshrink(input: &Tensor) -> Result<Tensor> {
    rounded_once([input], |[input]| input - input.tanh()?)
}

/// `x − λ` above λ, `x + λ` below −λ, 0 between: the step of the lasso's solvers.
///
/// # Errors
/// A λ that is negative or NaN, a tensor that is no float.
pub fn softshrink(input: &Tensor, lambda: f64) -> Result<Tensor> {
    check_lambda("softshrink", lambda)?;
    rounded_once([input], |[input]| {
        input.greater(lambda)?.where_(input - lambda, input.less(-lambda)?.where_(input + lambda, 0.0)?)
    })
}

/// `x` where |x| > λ, else 0.
///
/// # Errors
/// A λ that is negative or NaN, a tensor that is no float.
pub fn hardshrink(input: &Tensor, lambda: f64) -> Result<Tensor> {
    check_lambda("hardshrink", lambda)?;
    // Written so that NaN stays.
    rounded_once([input], |[input]| input.abs()?.less_equal(lambda)?.where_(0.0, input))
}

fn check_lambda(name: &'static str, lambda: f64) -> Result<()> {
    if lambda >= 0.0 {
        return Ok(());
    }
    Err(Error::argument(name, format!("λ is {lambda}"), "Give 0 or a positive number such as 0.5"))
}

/// `x` where it is above `threshold`, else `value`.
///
/// # Errors
/// A tensor that is no float.
pub fn threshold(input: &Tensor, threshold: f64, value: f64) -> Result<Tensor> {
    // Written so that NaN stays.
    rounded_once([input], |[input]| input.less_equal(threshold)?.where_(value, input))
}

/// `a · sigmoid(b)` for the halves a and b of an axis. Dauphin et al. 2017.
///
/// # Errors
/// An axis out of range or of odd size, a tensor that is no float.
pub fn glu(input: &Tensor, axis: isize) -> Result<Tensor> {
    let [a, b] = halves("glu", input, axis)?;
    rounded_once([&a, &b], |[a, b]| a * b.sigmoid()?)
}

/// `silu(a) · b` for the halves a and b of an axis. Shazeer 2020.
///
/// # Errors
/// An axis out of range or of odd size, a tensor that is no float.
pub fn swiglu(input: &Tensor, axis: isize) -> Result<Tensor> {
    let [a, b] = halves("swiglu", input, axis)?;
    rounded_once([&a, &b], |[a, b]| a.silu()? * b)
}

fn halves(name: &'static str, input: &Tensor, axis: isize) -> Result<[Tensor; 2]> {
    let size = input.size(axis)?;
    if !size.is_multiple_of(2) {
        return Err(Error::shape(
            name,
            [*input.shape()],
            format!("axis {axis} has {size} elements, which cannot be halved"),
            "Give the layer before an even number of outputs",
        ));
    }
    Ok([input.narrow(axis, 0, size / 2)?, input.narrow(axis, size / 2, size / 2)?])
}

/// `exp(x_i/T) / Σ_j exp(x_j/T)` along `axis`: the largest element alone as T → 0, evenly spread as T → ∞.
///
/// # Errors
/// A temperature that is not positive, an axis out of range, a tensor that is no float.
pub fn softmax_with_temperature(input: &Tensor, axis: isize, temperature: f64) -> Result<Tensor> {
    if temperature == 1.0 {
        return input.softmax(axis);
    }
    if temperature.is_nan() || temperature <= 0.0 {
        let problem = format!("the temperature is {temperature}");
        return Err(Error::argument("softmax", problem, "Give a positive number; take `argmax` for the limit at 0"));
    }
    // The largest element becomes 0 first: at low temperatures the quotients would overflow. The temperature itself must not
    // become 0 in the dtype computed in.
    let smallest = if input.dtype() == DType::F64 { f64::MIN_POSITIVE } else { f64::from(f32::MIN_POSITIVE) };
    let temperature = temperature.max(smallest);
    rounded_once([input], |[input]| {
        let shifted = (input - input.detach().max(axis, true)?)?;
        (shifted / temperature)?.softmax(axis)
    })
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
