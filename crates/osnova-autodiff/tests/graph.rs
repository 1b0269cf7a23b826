//! The record itself: its order, its memory, its errors.

mod common;

use common::{close, constant, leaf, plain, recording};
use osnova_autodiff::{AutodiffDevice, Dual, ForwardDevice, grad};
use osnova_tensor::Op::{Activate, ActivationGradient};
use osnova_tensor::{
    Activation, Backend, Capabilities, DType, Device, Error, HostData, Inputs, Meta, Op, Outputs, Result, Shape,
    Tensor, Unary, Wrapper,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

/// A device that counts how many of its tensors are alive.
#[derive(Debug)]
struct Counting {
    inner: Device,
    alive: Arc<AtomicIsize>,
}

impl Counting {
    /// A device with a counter of its own, so that tests do not disturb each other.
    fn device() -> (Device, Arc<AtomicIsize>) {
        let alive = Arc::new(AtomicIsize::new(0));
        (Device::intern(Self { inner: plain(), alive: alive.clone() }), alive)
    }

    fn counted(&self, device: Device, inner: Tensor) -> Tensor {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Tensor::from_parts(device, *inner.layout(), inner.dtype(), Counted(Some(inner), self.alive.clone()))
    }
}

#[derive(Debug)]
struct Counted(Option<Tensor>, Arc<AtomicIsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend for Counting {
    fn name(&self) -> String {
        "counting".into()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(self.counted(device, self.inner.backend().upload(self.inner, data, shape)?))
    }
    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        self.unwrap(tensor.clone()).to_host()
    }
    fn execute(&self, device: Device, op: &Op, inputs: Inputs, _: &[Meta]) -> Result<Outputs> {
        let unwrap = |input: Tensor| if input.device() == device { self.unwrap(input) } else { input };
        let results = self.inner.apply(op, inputs.into_iter().map(unwrap).collect())?;
        Ok(results.into_iter().map(|result| self.counted(device, result)).collect())
    }
    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }
}

impl Wrapper for Counting {
    fn inner(&self) -> Device {
        self.inner
    }
    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        self.counted(device, inner)
    }
    fn unwrap(&self, mut tensor: Tensor) -> Tensor {
        if let Some(Counted(inner, _)) = tensor.storage_mut() {
            return inner.take().unwrap();
        }
        tensor.storage::<Counted>().unwrap().0.clone().unwrap()
    }
}

#[test]
fn memory_is_flat_over_many_steps_and_saved_tensors_go_with_the_backward_pass() -> Result<()> {
    let (device, alive) = Counting::device();
    let recording = device.autodiff();
    let mut weight = Tensor::ones([4, 3], osnova_tensor::DType::F64, recording)?.into_tracked()?;
    let input = Tensor::ones([5, 3], osnova_tensor::DType::F64, recording)?;
    let before = alive.load(Ordering::Relaxed);
    for step in 0..1000 {
        let hidden = input.linear(&weight, None, osnova_tensor::Activation::Tanh)?;
        let loss = (hidden.exp()? * &hidden)?.mean(.., false)?;
        drop(hidden);
        let recorded = alive.load(Ordering::Relaxed);
        let mut gradients = loss.backward()?;
        // The loss, the gradient and the parameters are left.
        assert_eq!(alive.load(Ordering::Relaxed), before + 2, "in step {step}");
        assert!(recorded > before + 2);
        let gradient = gradients.remove(&weight).unwrap();
        // The loss lives on, and still the update owns the last handle of the parameter.
        let mut inner = weight.into_detached();
        assert!(inner.storage_mut::<Counted>().is_some(), "somebody else still holds the parameter");
        inner = (inner - (gradient * 0.01)?)?;
        weight = inner.to_device(recording)?.into_tracked()?;
        drop(loss);
        assert_eq!(alive.load(Ordering::Relaxed), before, "in step {step}");
    }
    // A record that nobody walks goes with its last tensor.
    for _ in 0..10 {
        let _ = (weight.exp()? * &weight)?;
    }
    assert_eq!(alive.load(Ordering::Relaxed), before);
    Ok(())
}

#[test]
fn a_last_handle_stays_the_last_through_wrapping_and_tracking() -> Result<()> {
    let (device, _) = Counting::device();
    let tensor = Tensor::ones(3, osnova_tensor::DType::F64, device)?;
    let wrapped = tensor.to_device(device.autodiff().autodiff())?;
    drop(tensor);
    let mut back = wrapped.into_tracked()?.into_detached();
    assert_eq!(back.device(), device);
    assert!(back.storage_mut::<Counted>().is_some(), "somebody else holds the tensor too");
    let other = back.clone();
    assert!(back.storage_mut::<Counted>().is_none());
    drop(other);
    Ok(())
}

fn chain(length: usize) -> Result<()> {
    let x = leaf(1.0);
    let mut y = x.clone();
    let step = constant(1.0);
    for _ in 0..length {
        y = (y + &step)?;
    }
    close(&y, &[1.0 + length as f64]);
    let gradients = y.backward()?;
    close(gradients.get(&x).unwrap(), &[1.0]);
    drop(y);
    Ok(())
}

#[test]
fn a_chain_of_a_hundred_thousand_operations() -> Result<()> {
    chain(100_000)
}

#[test]
fn a_chain_of_a_million_operations() -> Result<()> {
    chain(1_000_000)
}

#[test]
fn a_long_chain_on_nested_devices_drops_without_recursion() -> Result<()> {
    let second = recording().autodiff();
    let x1 = leaf(1.0);
    let x2 = x1.to_device(second)?.into_tracked()?;
    let mut y = x2.clone();
    for _ in 0..20_000 {
        y = (y * 1.0001)?;
    }
    let first = y.backward()?.remove(&x2).unwrap();
    drop(y);
    // d/dx of a linear function: a constant slope.
    close(&first, &[1.0001f64.powi(20_000)]);
    Ok(())
}

#[test]
fn a_long_chain_that_is_never_walked_drops_without_recursion() -> Result<()> {
    let mut y = leaf(1.0);
    for _ in 0..200_000 {
        y = (y * 0.99)?;
    }
    drop(y);
    Ok(())
}

#[test]
fn a_tensor_used_many_times_gets_the_sum() -> Result<()> {
    // Doubling 40 times: paths grow to 2⁴⁰, nodes to 40.
    let x = leaf(1.0);
    let mut y = x.clone();
    for _ in 0..40 {
        y = (&y + &y)?;
    }
    close(y.backward()?.get(&x).unwrap(), &[(1u64 << 40) as f64]);
    Ok(())
}

#[test]
fn a_second_pass_needs_the_record_retained() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let loss = x.square()?.sum(.., false)?;
    close(loss.backward_retaining()?.get(&x).unwrap(), &[2.0, 4.0]);
    close(loss.backward_retaining()?.get(&x).unwrap(), &[2.0, 4.0]);
    close(loss.backward()?.get(&x).unwrap(), &[2.0, 4.0]);
    let error = *loss.backward().unwrap_err();
    assert!(matches!(error, Error::Gradient { .. }));
    assert!(error.to_string().contains("backward_retaining"), "{error}");
    Ok(())
}

#[test]
fn a_record_freed_under_another_loss_is_named() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let shared = x.exp()?;
    let (first, second) = (shared.sum(.., false)?, shared.square()?.sum(.., false)?);
    first.backward()?;
    let error = second.backward().unwrap_err().to_string();
    assert!(error.contains("`exp`") && error.contains("backward_retaining"), "{error}");
    Ok(())
}

#[test]
fn backward_on_what_has_no_gradient() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let error = x.exp()?.backward().unwrap_err().to_string();
    assert!(error.contains("[2]") && error.contains("sum"), "{error}");
    let error = constant(1.0).to_device(recording())?.backward().unwrap_err().to_string();
    assert!(error.contains("constant") && error.contains("tracked"), "{error}");
    let error = constant(1.0).backward().unwrap_err().to_string();
    assert!(error.contains("does not record"), "{error}");
    let seed = constant([1.0, 2.0, 3.0]);
    assert!(matches!(*x.exp()?.gradients(Some(seed), None, false).unwrap_err(), Error::Gradient { .. }));
    let seed = constant([1.0f32, 2.0]);
    assert!(matches!(*x.exp()?.gradients(Some(seed), None, false).unwrap_err(), Error::Gradient { .. }));
    assert!(matches!(*constant([1i64]).to_device(recording())?.tracked().unwrap_err(), Error::DType { .. }));
    Ok(())
}

#[test]
fn comparisons_and_positions_stop_gradients() -> Result<()> {
    let x = leaf([3.0, 1.0, 2.0]);
    for stopped in [x.greater(2.0)?, x.argmax(0, false)?, x.sort(0, false)?.1, x.to_dtype(osnova_tensor::DType::I64)?] {
        assert_eq!(stopped.device(), recording());
        assert!(!stopped.is_tracked());
    }
    assert!(x.sort(0, false)?.0.is_tracked());
    assert!(!x.detach().is_tracked());
    // Steps have a gradient: 0.
    close(x.floor()?.sum(.., false)?.backward()?.get(&x).unwrap(), &[0.0; 3]);
    Ok(())
}

#[test]
fn tensors_of_inner_devices_are_constants() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let y = (&x * constant([3.0, 4.0]))?;
    let z = (constant([3.0, 4.0]) * &x)?;
    assert_eq!(y.device(), recording());
    let gradients = (y + z)?.sum(.., false)?.backward()?;
    assert_eq!(gradients.len(), 1);
    let gradient = gradients.get(&x).unwrap();
    assert_eq!(gradient.device(), plain());
    close(gradient, &[6.0, 8.0]);
    // Two levels down.
    let twice = Tensor::new([1.0, 2.0], recording().autodiff())?.into_tracked()?;
    let gradients = ((&twice * constant([5.0, 6.0]))? * &x)?.sum(.., false)?.backward()?;
    let gradient = gradients.get(&twice).unwrap();
    assert_eq!(gradient.device(), recording());
    close(gradient, &[5.0, 12.0]);
    // What lies inside is itself recorded there.
    close(gradient.sum(.., false)?.backward()?.get(&x).unwrap(), &[5.0, 6.0]);
    // A gradient that no operation touched lives on the inner device too.
    close(twice.sum(.., false)?.backward()?.get(&twice).unwrap(), &[1.0, 1.0]);
    assert_eq!(twice.sum(.., false)?.backward()?.get(&twice).unwrap().device(), recording());
    Ok(())
}

#[test]
fn constants_record_nothing() -> Result<()> {
    let a = Tensor::new([1.0, 2.0], recording())?;
    let b = (a.exp()? + 1.0)?.softmax(0)?;
    assert_eq!(b.device(), recording());
    assert!(!b.is_tracked());
    Ok(())
}

#[test]
fn unrelated_devices_are_an_error_that_names_both() -> Result<()> {
    let other = Counting::device().0.autodiff();
    let x = leaf([1.0, 2.0]);
    let y = Tensor::from_host(HostData::F64(vec![1.0, 2.0]), 2, other)?;
    let error = (&x + &y).unwrap_err();
    assert!(matches!(*error, Error::Devices { .. }));
    let error = error.to_string();
    assert!(error.contains("autodiff(counting)") && error.contains(&recording().name()), "{error}");
    let error = x.gradients(Some(y), None, false).unwrap_err();
    assert!(matches!(*error, Error::Devices { .. }), "{error}");
    Ok(())
}

#[test]
fn two_calls_give_the_same_device() {
    assert_eq!(plain().autodiff(), plain().autodiff());
    assert_ne!(plain().autodiff(), plain().autodiff().autodiff());
    assert_eq!(recording().autodiff().depth(), plain().depth() + 2);
}

#[test]
fn gradients_of_tensors_on_the_way_can_be_asked_for() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let middle = x.exp()?;
    let loss = middle.square()?.sum(.., false)?;
    let wanted = [middle.node_id().unwrap()];
    let gradients = loss.gradients(None, Some(&wanted), true)?;
    assert_eq!(gradients.len(), 1);
    close(gradients.get(&middle).unwrap(), &[2.0 * 1f64.exp(), 2.0 * 2f64.exp()]);
    let wanted = [middle.node_id().unwrap(), x.node_id().unwrap()];
    let gradients = loss.gradients(None, Some(&wanted), false)?;
    assert_eq!(gradients.len(), 2);
    close(gradients.get(&x).unwrap(), &[2.0 * 2f64.exp(), 2.0 * 4f64.exp()]);
    Ok(())
}

#[test]
fn leaves_that_do_not_take_part_have_no_gradient() -> Result<()> {
    let (x, y) = (leaf(1.0), leaf(2.0));
    let gradients = x.exp()?.backward()?;
    assert!(gradients.get(&y).is_none());
    let gradients = grad(|inputs| inputs[0].exp(), &[constant(1.0), constant([2.0, 3.0])])?;
    close(&gradients[1], &[0.0, 0.0]);
    Ok(())
}

#[test]
fn threads_may_walk_one_record_at_once() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let loss = x.exp()?.square()?.sum(.., false)?;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let gradients = loss.backward_retaining().unwrap();
                    close(gradients.get(&x).unwrap(), &[2.0 * 2f64.exp(), 2.0 * 4f64.exp()]);
                }
            });
        }
    });
    Ok(())
}

/// A function of floats whose derivative is not known does not pass for one that nothing moves.
#[test]
fn unknown_derivatives_are_refused() -> Result<()> {
    let x = constant([1.0, 2.0]);
    let moving = x.to_device(plain().forward_mode())?.with_tangent(&x)?;
    for tensor in [leaf([1.0, 2.0]), moving] {
        let error = Tensor::apply(&Op::Unary(Unary::Unknown), [tensor.clone()]).unwrap_err();
        assert!(matches!(*error, Error::Gradient { .. }), "{error}");
        assert!(error.to_string().contains("its derivative is not known"), "{error}");
        // A composite is taken apart instead, and refused there.
        for (op, count) in [(Activate(Activation::Unknown), 1), (ActivationGradient(Activation::Unknown), 2)] {
            let error = Tensor::apply(&op, vec![tensor.clone(); count]).unwrap_err();
            assert!(error.to_string().contains("does not know the operation unknown"), "{error}");
        }
        // What has no derivative ends it, as ever.
        assert!(!tensor.greater(1.0)?.is_tracked() && !tensor.argmax(0, false)?.is_tracked());
        assert!(!tensor.to_dtype(DType::I32)?.is_tracked());
    }
    Ok(())
}
