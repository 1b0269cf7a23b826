//! Derivatives of functions along directions: forward mode. They nest as the forms of reverse mode do, and with them.
//!
//! A form runs its function on a level of its own, so that directions of nested forms never mix. The level is forward mode over the recording device
//! of the inputs' device, which costs next to nothing and lets the function take tensors of a recording model from outside.

use crate::functional::{outermost, unit, zeros};
use crate::{AutodiffDevice, Dual, ForwardDevice};
use osnova_tensor::{Device, Error, Result, Shape, Tensor};
use std::cell::RefCell;

thread_local! {
    /// The levels whose functions are running.
    static RUNNING: RefCell<Vec<Device>> = const { RefCell::new(Vec::new()) };
}

/// Ends a function's level, on a panic too.
struct Level {
    /// Where what goes in comes from and what comes out lives.
    base: Device,
    device: Device,
}

impl Level {
    /// A level over `base`, or over the levels that are running over it.
    fn over(mut base: Device) -> Self {
        RUNNING.with_borrow_mut(|running| {
            let mut device = base.autodiff().forward_mode();
            while running.contains(&device) {
                base = device;
                device = base.autodiff().forward_mode();
            }
            running.push(device);
            Self { base, device }
        })
    }

    fn lift(&self, input: &Tensor, tangent: Option<&Tensor>) -> Result<Tensor> {
        let lifted = input.to_device(self.base)?.to_device(self.device)?;
        match tangent {
            Some(tangent) => lifted.with_tangent(&tangent.to_device(self.base)?),
            None => Ok(lifted),
        }
    }

    /// A tensor from inside the level. It stays on the recording device if tensors from outside have put it on the record.
    fn lower(&self, tensor: Tensor) -> Result<Tensor> {
        if !self.device.contains(tensor.device()) {
            let (left, right) = (self.device.name(), tensor.device().name());
            return Err(Box::new(Error::Devices { operation: "jvp", left, right }));
        }
        let recording = self.base.autodiff();
        let tensor = tensor.to_device(recording)?;
        if tensor.is_tracked() { Ok(tensor) } else { tensor.to_device(self.base) }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| running.pop());
    }
}

/// The values of a function at `inputs`, and their derivatives along `tangents`; `None` where nothing moves.
fn push(
    function: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    tangents: &[Option<&Tensor>],
) -> Result<Vec<(Tensor, Option<Tensor>)>> {
    let all: Vec<Tensor> = inputs.iter().chain(tangents.iter().copied().flatten()).cloned().collect();
    let level = Level::over(outermost(&all)?);
    let pairs = inputs.iter().zip(tangents);
    let inputs: Vec<Tensor> = pairs.map(|(input, tangent)| level.lift(input, *tangent)).collect::<Result<_>>()?;
    let lower = |output: Tensor| {
        let tangent = if output.device() == level.device { output.tangent()? } else { None };
        let tangent = tangent.map(|tangent| level.lower(tangent)).transpose()?;
        Ok((level.lower(output)?, tangent))
    };
    function(&inputs)?.into_iter().map(lower).collect()
}

/// One direction for each input, of its shape.
pub(crate) fn pair_up(operation: &'static str, inputs: &[Tensor], tangents: &[Tensor]) -> Result<()> {
    let fits = inputs.len() == tangents.len()
        && inputs.iter().zip(tangents).all(|(input, tangent)| input.shape() == tangent.shape());
    if fits {
        return Ok(());
    }
    Err(Error::shape(
        operation,
        inputs.iter().chain(tangents).map(|tensor| *tensor.shape()),
        "inputs and directions do not pair up",
        "Give one direction for each input, of its shape",
    ))
}

/// The derivatives of several values along `tangents`: zeros where nothing moves.
pub(crate) fn push_all(
    operation: &'static str,
    function: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    tangents: &[Tensor],
) -> Result<Vec<(Tensor, Tensor)>> {
    pair_up(operation, inputs, tangents)?;
    let tangents: Vec<Option<&Tensor>> = tangents.iter().map(Some).collect();
    let pushed = push(function, inputs, &tangents)?;
    pushed
        .into_iter()
        .map(|(value, tangent)| match tangent {
            Some(tangent) => Ok((value, tangent)),
            None => {
                let still = zeros(&value, value.device())?;
                Ok((value, still))
            }
        })
        .collect()
}

/// The value of a function, and the Jacobian–vector product J·u: how the value changes along `tangents`, one direction for each input, of its
/// shape. The product has the value's shape.
///
/// J·u = d/dt f(x + t·u) at t = 0. One pass forward with about twice the work, and no record.
///
/// The results live on the device of the inputs and directions; where the function takes tracked tensors of that device's
/// [`autodiff`](crate::AutodiffDevice::autodiff) from outside, there, recorded. Within the function of another form of forward mode they live on
/// a device of that one.
///
/// # Errors
/// Directions that do not fit the inputs, inputs of a dtype without derivatives or on unrelated devices, no inputs, and whatever
/// `function` reports.
///
/// ```
/// use osnova_autodiff::jvp;
/// # use osnova_reference::ReferenceDevice;
/// # use osnova_tensor::{Device, Result, Tensor};
/// # fn main() -> Result<()> {
/// # let device = Device::reference();
/// let x = Tensor::new([1.0, 2.0, 3.0], device)?;
/// let u = Tensor::new([1.0, 0.0, -1.0], device)?;
/// let (value, change) = jvp(|x| x[0].square(), &[x], &[u])?;
/// assert_eq!(value.to_vec::<f64>()?, [1.0, 4.0, 9.0]);
/// assert_eq!(change.to_vec::<f64>()?, [2.0, 0.0, -6.0]);
/// # Ok(())
/// # }
/// ```
pub fn jvp(
    function: impl FnOnce(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    tangents: &[Tensor],
) -> Result<(Tensor, Tensor)> {
    let mut pushed = push_all("jvp", |inputs| Ok(vec![function(inputs)?]), inputs, tangents)?;
    Ok(pushed.remove(0))
}

/// The derivative of a function along a direction u: ∇f·u for a scalar function, J·u in general. `direction` holds one tensor for each input,
/// of its shape; it is taken as it is, not scaled to length 1.
///
/// # Errors
/// As for [`jvp`].
pub fn directional_derivative(
    function: impl FnOnce(&[Tensor]) -> Result<Tensor>,
    inputs: &[Tensor],
    direction: &[Tensor],
) -> Result<Tensor> {
    Ok(jvp(function, inputs, direction)?.1)
}

/// What [`jacobian`](crate::jacobian) gives, column by column: for each input `J[…, …] = ∂f[…]/∂x[…]` of shape
/// `[output shape…, input shape…]`.
///
/// One pass forward for each element of the inputs, where [`jacobian`](crate::jacobian) takes one backward for each element of the output: the
/// cheaper one where there are fewer inputs than outputs. The function runs once for each column and must give the same each time.
///
/// # Errors
/// Output and input shapes of more than [`MAX_RANK`](osnova_tensor::MAX_RANK) axes together, and as for [`jvp`].
pub fn jacobian_forward(function: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let along = |tangents: &[Option<&Tensor>]| {
        let mut pushed = push(|inputs| Ok(vec![function(inputs)?]), inputs, tangents)?;
        Ok::<_, Box<Error>>(pushed.remove(0))
    };
    let (value, _) = along(&vec![None; inputs.len()])?;
    let mut jacobians = Vec::with_capacity(inputs.len());
    for (number, input) in inputs.iter().enumerate() {
        let mut columns = Vec::new();
        for at in 0..input.count() {
            let unit = unit(input, at)?;
            let mut tangents = vec![None; inputs.len()];
            tangents[number] = Some(&unit);
            let (value, tangent) = along(&tangents)?;
            columns.push(match tangent {
                Some(tangent) => tangent,
                None => zeros(&value, value.device())?,
            });
        }
        let shape = Shape::new(&[value.dims(), input.dims()].concat())?;
        jacobians.push(if columns.is_empty() {
            Tensor::zeros(shape, value.dtype(), value.device())?
        } else {
            Tensor::stack(&columns, value.rank() as isize)?.reshape(shape)?
        });
    }
    Ok(jacobians)
}
