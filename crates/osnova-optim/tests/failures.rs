//! A device that fails in the middle of an update: nothing is lost that can be kept, and nothing is silently wrong.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::{Forward, Linear, Module};
use osnova_optim::{Adafactor, Adam, Lbfgs, Optimizer};
use osnova_tensor::{
    Backend, Binary, Capabilities, DType, Device, Error, Generator, HostData, Inputs, Meta, Op, Outputs, Result, Shape,
    Tensor, Wrapper,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// The CPU, which fails at divisions or at whole updates when told so.
#[derive(Debug)]
struct Fragile {
    /// Whether it has a kernel for updates of its own.
    fused: bool,
    broken: &'static AtomicBool,
}

impl Backend for Fragile {
    fn name(&self) -> String {
        "fragile".to_owned()
    }
    fn capabilities(&self) -> Capabilities {
        Device::cpu().capabilities()
    }
    fn claims(&self, op: &Op, _: &[Tensor]) -> bool {
        self.fused || !matches!(op, Op::Optimize(_))
    }
    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(self.wrap(device, Tensor::from_host(data, shape, Device::cpu())?))
    }
    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        self.unwrap(tensor.clone()).to_host()
    }
    fn execute(&self, device: Device, op: &Op, inputs: Inputs, _: &[Meta]) -> Result<Outputs> {
        let fails = matches!(op, Op::Optimize(_) | Op::Binary(Binary::Div));
        if fails && self.broken.load(Ordering::Relaxed) {
            return Err(Error::device(self.name(), "the device is lost", "Start again"));
        }
        let inputs = inputs.into_iter().map(|input| self.unwrap(input)).collect();
        let outputs = Device::cpu().apply(op, inputs)?;
        Ok(outputs.into_iter().map(|output| self.wrap(device, output)).collect())
    }
    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }
}

impl Wrapper for Fragile {
    fn inner(&self) -> Device {
        Device::cpu()
    }
    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        Tensor::from_parts(device, *inner.layout(), inner.dtype(), inner)
    }
    fn unwrap(&self, tensor: Tensor) -> Tensor {
        tensor.storage::<Tensor>().cloned().unwrap_or(tensor)
    }
}

fn setting(fused: bool) -> (&'static AtomicBool, Linear, Tensor) {
    let broken: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let device = Device::intern(Fragile { fused, broken }).autodiff();
    let model = Linear::new(3, 2, &Generator::new(1), device).unwrap();
    (broken, model, Tensor::ones([4, 3], DType::F32, device).unwrap())
}

fn step(model: &mut Linear, optimizer: &mut dyn Optimizer, input: &Tensor) -> Result<()> {
    let gradients = model.forward(input)?.square()?.sum(.., false)?.backward()?;
    optimizer.step(model, &gradients)
}

#[test]
fn an_update_by_parts_that_fails_leaves_everything_as_it_was() {
    let (broken, mut model, input) = setting(false);
    let mut optimizer = Adam::new(0.1);
    step(&mut model, &mut optimizer, &input).unwrap();
    let values = |model: &Linear| -> Vec<Vec<f32>> {
        model.parameters().iter().map(|parameter| parameter.to_vec().unwrap()).collect()
    };
    let moments = |optimizer: &Adam| -> Vec<Vec<f32>> {
        optimizer.state_dict().tensors.iter().map(|(_, tensor)| tensor.to_vec().unwrap()).collect()
    };
    let (before, state) = (values(&model), moments(&optimizer));
    let mut twin = model.clone();
    let mut twin_optimizer = optimizer.clone();
    broken.store(true, Ordering::Relaxed);
    let error = step(&mut model, &mut optimizer, &input).unwrap_err();
    assert!(error.to_string().contains("the device is lost"), "{error}");
    assert_eq!((values(&model), moments(&optimizer)), (before, state));
    assert_eq!(optimizer.state_dict().steps[0].1, 1);
    // And it goes on as if nothing had happened.
    broken.store(false, Ordering::Relaxed);
    step(&mut model, &mut optimizer, &input).unwrap();
    step(&mut twin, &mut twin_optimizer, &input).unwrap();
    assert_eq!(values(&model), values(&twin));
}

/// Formulas on tensors make new ones, and nothing is put in place before all are there.
#[test]
fn a_formula_that_fails_leaves_everything_as_it_was() {
    let optimizers: [Box<dyn Optimizer>; 2] = [Box::new(Adafactor::new(0.1)), Box::new(Lbfgs::new(0.1))];
    for mut optimizer in optimizers {
        let (broken, mut model, input) = setting(true);
        for _ in 0..2 {
            step(&mut model, &mut optimizer, &input).unwrap();
        }
        let values = |model: &Linear| -> Vec<Vec<f32>> {
            model.parameters().iter().map(|parameter| parameter.to_vec().unwrap()).collect()
        };
        let states = |optimizer: &dyn Optimizer| -> Vec<Vec<f32>> {
            optimizer.state_dict().tensors.iter().map(|(_, tensor)| tensor.to_vec().unwrap()).collect()
        };
        let (before, kept, steps) = (values(&model), states(&*optimizer), optimizer.state_dict().steps);
        broken.store(true, Ordering::Relaxed);
        let error = step(&mut model, &mut optimizer, &input).unwrap_err();
        assert!(error.to_string().contains("the device is lost"), "{error}");
        assert_eq!((values(&model), states(&*optimizer)), (before, kept), "{}", optimizer.name());
        assert_eq!(optimizer.state_dict().steps, steps);
    }
}

#[test]
fn an_update_in_place_that_fails_says_that_the_parameters_are_lost() {
    let (broken, mut model, input) = setting(true);
    let mut optimizer = Adam::new(0.1);
    step(&mut model, &mut optimizer, &input).unwrap();
    let saved = model.state_dict();
    broken.store(true, Ordering::Relaxed);
    let error = step(&mut model, &mut optimizer, &input).unwrap_err();
    assert!(error.to_string().contains("load the last checkpoint"), "{error}");
    // Using the model is a typed error until it has values again.
    assert!(matches!(*model.forward(&input).unwrap_err(), Error::Shape { .. } | Error::DType { .. }));
    broken.store(false, Ordering::Relaxed);
    model.load_state_dict(&saved).unwrap();
    step(&mut model, &mut optimizer, &input).unwrap();
}
