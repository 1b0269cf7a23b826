//! Derivatives of functions in reverse mode: what `backward` does, without tracking tensors by hand.
//!
//! Every form takes a function of tensors and the point `inputs` at which to differentiate. The inputs may live on any
//! device; the function gets them as tracked tensors of that device's [`autodiff`](crate::AutodiffDevice::autodiff), and the
//! results live on the inputs' own device. So the forms nest: inside a function that is itself being differentiated, the inputs are recorded
//! tensors, and so are the results.
//!
//! A nested call must start from tensors of the outer function's device: lift a constant first with `constant.to_device(x.device())?`. On its own it
//! would be differentiated at the level at which the outer function is recorded, and the outer derivative would be lost.

use crate::AutodiffDevice;
use crate::pushforward::push_all;
use osnova_tensor::{Device, Error, NodeId, Result, Shape, Tensor};

/// A function's value at a point, and the way back from its output to its inputs: vᵀ·J for any v.
#[derive(Debug)]
pub struct Pullback {
    value: Tensor,
    output: Tensor,
    level: Device,
    inputs: Vec<Tensor>,
}

impl Pullback {
    /// Runs `function` at `inputs` and keeps the record.
    ///
    /// # Errors
    /// Inputs on unrelated devices or of a dtype without gradients, no inputs, and whatever `function` reports.
    pub fn new(function: impl FnOnce(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<Self> {
        let base = outermost(inputs)?;
        let level = base.autodiff();
        let track = |input: &Tensor| input.to_device(base)?.to_device(level)?.into_tracked();
        let inputs: Vec<Tensor> = inputs.iter().map(track).collect::<Result<_>>()?;
        let output = function(&inputs)?;
        if !level.contains(output.device()) {
            return Err(Box::new(Error::Devices {
                operation: "gradient",
                left: level.name(),
                right: output.device().name(),
            }));
        }
        let value = output.to_device(base)?;
        Ok(Self { value, output, level, inputs })
    }

    /// The function's value, on the inputs' device.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// For each input xᵢ the gradient of `Σ cotangent · f(x)`: the shape of xᵢ, zeros where f does not depend on it.
    /// `cotangent` has the value's shape and dtype. May be called any number of times.
    ///
    /// # Errors
    /// A cotangent of another shape or dtype.
    pub fn pull(&self, cotangent: &Tensor) -> Result<Vec<Tensor>> {
        self.gradients(Some(cotangent), true)
    }

    fn gradients(&self, cotangent: Option<&Tensor>, retain: bool) -> Result<Vec<Tensor>> {
        let base = self.value.device();
        if self.output.device() != self.level || !self.output.is_tracked() {
            return self.inputs.iter().map(|input| zeros(input, base)).collect();
        }
        let ids: Vec<NodeId> = self.inputs.iter().filter_map(Tensor::node_id).collect();
        let seed = cotangent.map(|cotangent| cotangent.to_device(base)).transpose()?;
        let gradients = self.output.gradients(seed, Some(&ids), retain)?;
        let find = |input: &Tensor| match gradients.get(input) {
            Some(gradient) => Ok(gradient.clone()),
            None => zeros(input, base),
        };
        self.inputs.iter().map(find).collect()
    }
}

pub(crate) fn zeros(like: &Tensor, device: Device) -> Result<Tensor> {
    Tensor::zeros(*like.shape(), like.dtype(), device)
}

/// 1 at one element, 0 elsewhere, beside a tensor: a constant.
pub(crate) fn unit(like: &Tensor, at: usize) -> Result<Tensor> {
    let device = like.device().without_recording();
    Tensor::arange_of(0, 1, like.count(), device.index_dtype(), device)?
        .equal(at as i64)?
        .to_dtype(like.dtype())?
        .reshape(like.shape())
}

/// The device that wraps all others.
pub(crate) fn outermost(tensors: &[Tensor]) -> Result<Device> {
    let Some(first) = tensors.first() else {
        return Err(Error::argument("gradient", "there is no input to differentiate by", "Give at least one"));
    };
    tensors.iter().try_fold(first.device(), |device, tensor| match tensor.device() {
        other if device.contains(other) => Ok(device),
        other if other.contains(device) => Ok(other),
        other => Err(Box::new(Error::Devices { operation: "gradient", left: device.name(), right: other.name() })),
    })
}

/// The value of a scalar function and its gradient: one tensor for each input, of its shape.
///
/// # Errors
/// A function whose value is not a single element, and as for [`Pullback::new`].
pub fn value_and_grad(
    function: impl FnOnce(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
) -> Result<(Tensor, Vec<Tensor>)> {
    let pullback = Pullback::new(function, inputs)?;
    if pullback.value.count() != 1 {
        return Err(Error::gradient(
            "grad",
            format!("the function's value has shape {}, not a single element", pullback.value.shape()),
            "Reduce it with `sum` or `mean`, or use `vjp` or `jacobian`",
        ));
    }
    let gradients = pullback.gradients(None, false)?;
    Ok((pullback.value, gradients))
}

/// The gradient of a scalar function: one tensor for each input, of its shape.
///
/// ∇f = (∂f/∂x₁, ∂f/∂x₂, …). One pass forward and one backward.
///
/// # Errors
/// As for [`value_and_grad`].
pub fn grad(function: impl FnOnce(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    Ok(value_and_grad(function, inputs)?.1)
}

/// The value of a function, and the vector–Jacobian product vᵀ·J: for each input the gradient of `Σ cotangent · f`.
/// `cotangent` has the value's shape. One pass forward and one backward.
///
/// # Errors
/// A cotangent of another shape or dtype, and as for [`Pullback::new`].
pub fn vjp(
    function: impl FnOnce(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    cotangent: &Tensor,
) -> Result<(Tensor, Vec<Tensor>)> {
    let pullback = Pullback::new(function, inputs)?;
    let gradients = pullback.gradients(Some(cotangent), false)?;
    Ok((pullback.value, gradients))
}

/// All first derivatives of a function of any output shape: for each input `J[…, …] = ∂f[…]/∂x[…]` of shape
/// `[output shape…, input shape…]`.
///
/// One pass forward, and one backward for each element of the output. Where there are fewer inputs than outputs
/// [`jacobian_forward`](crate::jacobian_forward) is cheaper.
///
/// # Errors
/// Output and input shapes of more than [`MAX_RANK`](osnova_tensor::MAX_RANK) axes together, and as for [`Pullback::new`].
pub fn jacobian(function: impl FnOnce(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let pullback = Pullback::new(function, inputs)?;
    let value = &pullback.value;
    let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); inputs.len()];
    for at in 0..value.count() {
        for (rows, gradient) in rows.iter_mut().zip(pullback.pull(&unit(value, at)?)?) {
            rows.push(gradient);
        }
    }
    rows.into_iter()
        .zip(&pullback.inputs)
        .map(|(rows, input)| {
            let shape = Shape::new(&[value.dims(), input.dims()].concat())?;
            if rows.is_empty() {
                return Tensor::zeros(shape, input.dtype(), value.device());
            }
            Tensor::stack(&rows, 0)?.reshape(shape)
        })
        .collect()
}

/// All second derivatives of a scalar function: `H[i][j]` of shape `[shape of xᵢ…, shape of xⱼ…]` holds `∂²f/∂xᵢ∂xⱼ`.
///
/// Reverse mode over reverse mode: for each element of an input one backward pass over the gradient's own record.
///
/// # Errors
/// As for [`grad`] and [`jacobian`].
pub fn hessian(function: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
    (0..inputs.len()).map(|row| jacobian(|inputs| Ok(grad(&function, inputs)?.swap_remove(row)), inputs)).collect()
}

/// The product of the Hessian of a scalar function with a vector, without forming the Hessian: for each input
/// `Σⱼ H[i][j]·vⱼ`, of its shape. `vectors` holds one tensor for each input, of its shape.
///
/// H·v is the derivative of ∇f along v: forward mode over reverse mode, one pass forward and one back with about twice the work each, however many
/// elements there are. Pearlmutter 1994.
///
/// # Errors
/// Not one vector for each input, a function whose value is not a single element, and as for [`jvp`](crate::jvp).
pub fn hvp(
    function: impl Fn(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    vectors: &[Tensor],
) -> Result<Vec<Tensor>> {
    let pushed = push_all("hvp", |inputs| grad(&function, inputs), inputs, vectors)?;
    Ok(pushed.into_iter().map(|(_, product)| product).collect())
}
