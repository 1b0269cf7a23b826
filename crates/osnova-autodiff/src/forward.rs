//! The device of forward mode.

use crate::device::{Wrappers, run};
use crate::rules::tangent::{self, Step, Tangents};
use crate::rules::{self, half};
use osnova_tensor::{
    Activation, Backend, Capabilities, Device, Error, HostData, Inputs, Meta, Metas, Op, Outputs, Result, Shape,
    Tensor, Wrapper,
};

/// Adds [`forward_mode`](Self::forward_mode) to [`Device`].
pub trait ForwardDevice {
    /// The device whose tensors carry tangents over this one: each operation gives, beside its value, the value's derivative along the
    /// tangents of its inputs. Two calls on one device give the same device.
    ///
    /// It nests with itself and with [`autodiff`](crate::AutodiffDevice::autodiff) in either order, for second derivatives.
    /// [`jvp`](crate::jvp) is the form for functions; [`Dual`] is for work by hand.
    fn forward_mode(self) -> Device;
}

impl ForwardDevice for Device {
    fn forward_mode(self) -> Device {
        static DEVICES: Wrappers<()> = Wrappers::new();
        DEVICES.of(self, |inner| (Device::intern(ForwardMode { inner }), ())).0
    }
}

/// A tensor as a dual number x + ẋε on a device of forward mode: its value and its tangent. Clifford 1873.
///
/// ```
/// use osnova_autodiff::{Dual, ForwardDevice};
/// # use osnova_tensor::{Device, Result, Tensor};
/// # fn run(device: Device) -> Result<()> {
/// // d/dt (3x + 2)² along ẋ = 1, at x = 4: 6(3x + 2) = 84
/// let x = Tensor::new(4.0, device)?.to_device(device.forward_mode())?.with_tangent(&Tensor::new(1.0, device)?)?;
/// let y = ((x * 3.0)? + 2.0)?.square()?;
/// assert_eq!(y.tangent()?.unwrap().item()?, 84.0);
/// # Ok(())
/// # }
/// # use osnova_reference::ReferenceDevice;
/// # run(Device::reference()).unwrap();
/// ```
pub trait Dual: Sized {
    /// The same value with this tangent, of its shape and dtype, on the device inside.
    ///
    /// # Errors
    /// A tensor of another device than one of forward mode, a tangent of another shape or dtype, a dtype without derivatives.
    fn with_tangent(&self, tangent: &Self) -> Result<Self>;

    /// The tangent, on the device inside; `None` where the value does not move.
    ///
    /// # Errors
    /// A tensor of another device than one of forward mode.
    fn tangent(&self) -> Result<Option<Self>>;
}

/// The storage of a tensor in forward mode.
#[derive(Debug)]
struct Pair {
    /// Always there while the tensor lives; an option so that a last handle can give it away.
    value: Option<Tensor>,
    /// Of the value's shape and dtype; absent where it is 0.
    tangent: Option<Tensor>,
}

fn other_device(tensor: &Tensor, operation: &'static str) -> Box<Error> {
    Error::gradient(
        operation,
        format!("the device {} carries no tangents", tensor.device()),
        "Bring the tensor to `device.forward_mode()` first",
    )
}

impl Dual for Tensor {
    fn with_tangent(&self, tangent: &Self) -> Result<Self> {
        let device = self.device();
        let (Some(Pair { value: Some(value), .. }), Some(inner)) = (self.storage(), device.inner()) else {
            return Err(other_device(self, "with_tangent"));
        };
        if !self.dtype().is_float() || tangent.dtype() != self.dtype() {
            return Err(Error::dtype(
                "with_tangent",
                [self.dtype(), tangent.dtype()],
                "only floats move, along tangents of their own dtype",
                "Convert with `to_dtype` first",
            ));
        }
        if tangent.shape() != self.shape() {
            return Err(Error::shape(
                "with_tangent",
                [*self.shape(), *tangent.shape()],
                "a tangent has its tensor's shape",
                "Give one number for each element",
            ));
        }
        Ok(ForwardMode::put_together(device, value.clone(), Some(tangent.to_device(inner)?)))
    }

    fn tangent(&self) -> Result<Option<Self>> {
        match (self.storage::<Pair>(), self.device().inner()) {
            (Some(pair), Some(inner)) => pair.tangent.as_ref().map(|tangent| tangent.to_device(inner)).transpose(),
            _ => Err(other_device(self, "tangent")),
        }
    }
}

#[derive(Debug)]
struct ForwardMode {
    inner: Device,
}

/// Whether a tensor of this device moves.
#[inline]
fn moves(tensor: &Tensor) -> bool {
    tensor.storage::<Pair>().is_some_and(|pair| pair.tangent.is_some())
}

impl ForwardMode {
    /// The value and its tangent. Tensors of devices further inside are constants.
    fn take_apart(device: Device, mut tensor: Tensor) -> (Tensor, Option<Tensor>) {
        if tensor.device() != device {
            return (tensor, None);
        }
        if let Some(Pair { value, tangent }) = tensor.storage_mut() {
            if let Some(value) = value.take() {
                return (value, tangent.take());
            }
        } else if let Some(Pair { value: Some(value), tangent }) = tensor.storage() {
            return (value.clone(), tangent.clone());
        }
        unreachable!("a tensor of a forward-mode device holds its value as long as it lives")
    }

    fn put_together(device: Device, value: Tensor, tangent: Option<Tensor>) -> Tensor {
        Tensor::from_parts(device, *value.layout(), value.dtype(), Pair { value: Some(value), tangent })
    }

    /// Passes an operation on: nothing moves.
    fn pass(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let inputs = inputs.into_iter().map(|input| Self::take_apart(device, input).0).collect();
        let results = run(self.inner, op, inputs, outputs)?;
        Ok(results.into_iter().map(|value| Self::put_together(device, value, None)).collect())
    }
}

impl Backend for ForwardMode {
    fn name(&self) -> String {
        format!("forward({})", self.inner)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        let moving = |tensor: &Tensor| std::ptr::addr_eq(tensor.device().backend(), self) && moves(tensor);
        if !inputs.iter().any(moving) {
            return true;
        }
        match op {
            // The gradient that the forward pass makes is by the logits alone.
            Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_) if inputs[1..].iter().any(moving) => false,
            // Two operations, between which a half type must not be rounded: taken apart, it runs in f32.
            Op::Linear { activation, .. } if !activation.derivative_from_output() => !half::is_half(inputs[0].dtype()),
            _ => tangent::rule(op).is_some(),
        }
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(Self::put_together(device, self.inner.backend().upload(self.inner, data, shape)?, None))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let inner = self.unwrap(tensor.clone());
        inner.device().backend().download(&inner)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        if !inputs.iter().any(|input| input.device() == device && moves(input)) {
            return self.pass(device, op, inputs, outputs);
        }
        // The derivative needs what goes into the activation: two operations then.
        if let Op::Linear { bias, activation } = op
            && !activation.derivative_from_output()
        {
            let linear = Op::Linear { bias: *bias, activation: Activation::Identity };
            let product = self.execute(device, &linear, inputs, outputs)?;
            return run(device, &Op::Activate(*activation), product.into_iter().collect(), outputs);
        }
        let Some(rule) = tangent::rule(op) else {
            if tangent::stops(op, outputs) {
                return self.pass(device, op, inputs, outputs);
            }
            return Err(rules::unknown(op));
        };
        let mut values = Inputs::new();
        let mut tangents = Tangents::new();
        for input in inputs {
            let (value, tangent) = Self::take_apart(device, input);
            values.push(value);
            tangents.push(tangent);
        }
        let wide = rule.has_steps() && values.iter().any(|value| half::is_half(value.dtype()));
        let metas = if wide { half::widened_metas(outputs) } else { Metas::from_slice(outputs) };
        if wide {
            values = half::widened(&values)?;
            for tangent in tangents.iter_mut().flatten() {
                *tangent = tangent.to_dtype(tangent.dtype().accumulator())?;
            }
        }
        let mut results = match rules::with_gradient(op) {
            // A loss makes its gradient in the same pass.
            Some(op) => self.inner.apply(&op, values.clone())?,
            None => run(self.inner, op, values.clone(), &metas)?,
        };
        let step =
            Step { device: self.inner, op, inputs: &values, outputs: &results, metas: &metas, tangents: &tangents };
        let mut moved = rule.push(&step)?;
        results.truncate(outputs.len());
        moved.resize(results.len(), None);
        if wide {
            results = half::rounded(results, outputs)?;
            for (moved, meta) in moved.iter_mut().zip(outputs) {
                *moved = moved.take().map(|moved| moved.to_dtype(meta.dtype)).transpose()?;
            }
        }
        Ok(results.into_iter().zip(moved).map(|(value, moved)| Self::put_together(device, value, moved)).collect())
    }

    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }
}

impl Wrapper for ForwardMode {
    fn inner(&self) -> Device {
        self.inner
    }

    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        Self::put_together(device, inner, None)
    }

    fn unwrap(&self, tensor: Tensor) -> Tensor {
        let device = tensor.device();
        Self::take_apart(device, tensor).0
    }

    fn carries_derivatives(&self) -> bool {
        true
    }
}
