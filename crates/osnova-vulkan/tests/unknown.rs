//! Functions that this backend does not know: refused by name, whatever they come with, never computed as something else.

mod common;

use common::device;
use osnova_tensor::{Activation, Binary, DType, Device, Error, Op, Optimize, Result, Tensor, Unary};

/// One number of each dtype that the device has.
fn numbers(device: Device) -> Result<Vec<Tensor>> {
    let dtypes = DType::ALL.into_iter().filter(|&dtype| device.capabilities().dtypes.contains(dtype));
    dtypes.map(|dtype| Tensor::full([2, 2], true, DType::U32, device)?.to_dtype(dtype)).collect()
}

fn assert_unknown(device: Device, op: &Op, inputs: &[&Tensor]) {
    let what = format!("{op:?} of {}", inputs[0].dtype());
    assert!(!device.backend().claims(op, &[]), "{what} is claimed");
    // By the shared door, past what a device claims, and to the device itself.
    let inputs = || inputs.iter().map(|&input| input.clone()).collect::<osnova_tensor::Inputs>();
    let meta = osnova_tensor::Meta::new(*inputs()[0].shape(), inputs()[0].dtype());
    for outcome in [device.apply(op, inputs()), device.backend().execute(device, op, inputs(), &[meta])] {
        let error = outcome.map(|outputs| outputs.len()).expect_err(&what);
        assert!(matches!(*error, Error::Device { .. }), "{what}: {error}");
        assert!(error.to_string().contains("unknown") && error.to_string().contains("vulkan:"), "{what}: {error}");
    }
}

#[test]
fn unknown_functions_are_refused() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for x in &numbers(device)? {
        assert_unknown(device, &Op::Unary(Unary::Unknown), &[x]);
        assert_unknown(device, &Op::Binary(Binary::Unknown), &[x, x]);
    }
    Ok(())
}

#[test]
fn unknown_activations_and_optimizers_are_refused() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for x in numbers(device)?.iter().filter(|x| x.dtype().is_float()) {
        let bias = x.narrow(0, 0, 1)?.reshape([2])?;
        assert_unknown(device, &Op::Activate(Activation::Unknown), &[x]);
        assert_unknown(device, &Op::ActivationGradient(Activation::Unknown), &[x, x]);
        assert_unknown(device, &Op::Linear { bias: false, activation: Activation::Unknown }, &[x, x]);
        assert_unknown(device, &Op::Linear { bias: true, activation: Activation::Unknown }, &[x, x, &bias]);
    }
    let (scalars, x) = (Tensor::new([0.1f32], device)?, Tensor::new([1.0f32, 2.0], device)?);
    assert_unknown(device, &Op::Optimize(Optimize::Unknown), &[&scalars, &x, &x]);
    // Nothing was written to.
    assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    device.synchronize()
}
