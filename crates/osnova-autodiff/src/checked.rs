//! The device that stops at the first value that is not finite.

use crate::device::{Wrappers, inside, run};
use osnova_tensor::{
    Backend, Capabilities, Device, Error, HostData, Inputs, Meta, Op, Outputs, Result, Shape, Tensor, Wrapper,
};
use std::fmt::Write;

/// Adds [`checked`](Self::checked) to [`Device`].
pub trait CheckedDevice {
    /// The device that looks at the result of every operation on this one: the first NaN or infinity made from finite inputs is an
    /// [`Error::NotFinite`] that names the operation, the element and the inputs. For finding out; it slows everything down.
    ///
    /// Values that were given (uploads, constants, padding) may be infinite, and what is computed from infinite or NaN inputs is let through: the
    /// operation that made those was asked already, or they were meant.
    ///
    /// Devices that differentiate stay outermost: on a recording device this gives `inner.checked().autodiff()`, so that the backward pass is checked too. Two calls on one
    /// device give the same device.
    fn checked(self) -> Device;
}

impl CheckedDevice for Device {
    fn checked(self) -> Device {
        static DEVICES: Wrappers<()> = Wrappers::new();
        match inside(self, |inner| inner.checked()) {
            Some(device) => device,
            None => DEVICES.of(self, |inner| (Device::intern(Checked { inner }), ())).0,
        }
    }
}

#[derive(Debug)]
struct Checked {
    inner: Device,
}

/// The storage of a tensor of a device that only looks on: the inner tensor. An option so that a last handle can give it away.
#[derive(Debug)]
pub(crate) struct Held(Option<Tensor>);

impl Held {
    pub(crate) fn wrap(device: Device, inner: Tensor) -> Tensor {
        Tensor::from_parts(device, *inner.layout(), inner.dtype(), Self(Some(inner)))
    }

    pub(crate) fn unwrap(mut tensor: Tensor) -> Tensor {
        if let Some(Self(inner)) = tensor.storage_mut() {
            if let Some(inner) = inner.take() {
                return inner;
            }
        } else if let Some(Self(Some(inner))) = tensor.storage() {
            return inner.clone();
        }
        unreachable!("a wrapping tensor holds an inner tensor as long as it lives")
    }

    /// The inputs of an operation on `device`, as the device inside takes them.
    pub(crate) fn unwrap_all(device: Device, inputs: Inputs) -> Inputs {
        inputs.into_iter().map(|input| if input.device() == device { Self::unwrap(input) } else { input }).collect()
    }
}

impl Backend for Checked {
    fn name(&self) -> String {
        format!("checked({})", self.inner)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        // What the inner device takes apart is taken apart here: then the error names the very part.
        let inputs: Inputs = Held::unwrap_clones(self, inputs);
        self.inner.backend().claims(op, &inputs)
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(Held::wrap(device, self.inner.backend().upload(self.inner, data, shape)?))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let inner = Held::unwrap(tensor.clone());
        inner.device().backend().download(&inner)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let inputs = Held::unwrap_all(device, inputs);
        let floats = outputs.iter().any(|meta| meta.dtype.is_float());
        let given =
            inputs.is_empty() || op.is_view() || matches!(op, Op::Contiguous | Op::Pad { .. } | Op::Concat { .. });
        if given || !floats {
            let results = run(self.inner, op, inputs, outputs)?;
            return Ok(results.into_iter().map(|inner| Held::wrap(device, inner)).collect());
        }
        let kept = inputs.clone();
        let results = run(self.inner, op, inputs, outputs)?;
        for (output, result) in results.iter().enumerate() {
            if !finite(result)? && kept.iter().map(finite).collect::<Result<Vec<_>>>()?.into_iter().all(|finite| finite)
            {
                return Err(report(op, output, result, &kept));
            }
        }
        Ok(results.into_iter().map(|inner| Held::wrap(device, inner)).collect())
    }

    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }
}

impl Wrapper for Checked {
    fn inner(&self) -> Device {
        self.inner
    }

    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        Held::wrap(device, inner)
    }

    fn unwrap(&self, tensor: Tensor) -> Tensor {
        Held::unwrap(tensor)
    }
}

impl Held {
    /// The inner tensors of the tensors that live on this backend's device, and the others as they are.
    pub(crate) fn unwrap_clones(backend: &dyn Backend, inputs: &[Tensor]) -> Inputs {
        let own = |tensor: &Tensor| std::ptr::addr_eq(tensor.device().backend(), backend);
        inputs.iter().map(|input| if own(input) { Self::unwrap(input.clone()) } else { input.clone() }).collect()
    }
}

/// Whether all elements are finite; found on the device, so that only one element comes to the host.
fn finite(tensor: &Tensor) -> Result<bool> {
    if !tensor.dtype().is_float() || tensor.count() == 0 {
        return Ok(true);
    }
    Ok(tensor.is_finite()?.min(.., false)?.item()? != 0.0)
}

/// How many inputs a message describes.
const DESCRIBED: usize = 8;

#[cold]
fn report(op: &Op, output: usize, result: &Tensor, inputs: &[Tensor]) -> Box<Error> {
    let values = match result.detach().to_host() {
        Ok(values) => values,
        Err(error) => return error,
    };
    let first = values.iter().enumerate().find(|(_, value)| !value.is_finite());
    let (at, value) = first.unwrap_or((0, f64::NAN));
    let mut index = vec![0; result.rank()];
    let mut rest = at;
    for axis in (0..result.rank()).rev() {
        index[axis] = rest % result.dims()[axis];
        rest /= result.dims()[axis];
    }
    let count = values.iter().filter(|value| !value.is_finite()).count();
    let mut problem = format!(
        "element {index:?} of output {output} is {value}, the first of {count} among {} that are not finite; the inputs are",
        values.len(),
    );
    for (number, input) in inputs.iter().take(DESCRIBED).enumerate() {
        let _ = write!(problem, "{} {} {}", if number > 0 { "," } else { "" }, input.dtype(), input.shape());
        if let Ok(values) = input.detach().to_host()
            && !values.is_empty()
        {
            let low = values.iter().fold(f64::INFINITY, f64::min);
            let high = values.iter().fold(f64::NEG_INFINITY, f64::max);
            let _ = write!(problem, " from {low:e} to {high:e}");
        }
    }
    if inputs.len() > DESCRIBED {
        let _ = write!(problem, " and {} more", inputs.len() - DESCRIBED);
    }
    let advice = match op.name() {
        "ln" | "ln1p" | "sqrt" | "rsqrt" | "pow" => {
            "Keep the argument in the function's domain, for example with `clamp`"
        }
        "div" | "recip" => "Keep the divisor away from 0, for example by adding a small number",
        "exp" | "expm1" => "Subtract the maximum first, or use `softmax`, `log_softmax` or `logsumexp`",
        _ => "A smaller learning rate, gradient clipping or scaled inputs usually help",
    };
    Box::new(Error::NotFinite { operation: op.name(), problem, advice: advice.into() })
}
