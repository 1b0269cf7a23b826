//! The rules over a backend with kernels of its own, whose composites are fused and whose updates happen in place.

mod common;

use osnova_autodiff::{AutodiffDevice, CheckedDevice, ProfiledDevice, Settings, grad, gradcheck, gradgradcheck, jvp};
use osnova_cpu::CpuDevice;
use osnova_tensor::{Activation, DType, Device, Generator, Inputs, Op, Optimize, Real, Result, Tensor};

fn normal(shape: &[usize], seed: u64, device: Device) -> Result<Tensor> {
    Tensor::normal(shape, 0.0, 1.0, DType::F64, &Generator::new(seed), device)
}

#[test]
fn fused_operations_hold_against_differences() {
    let device = Device::cpu();
    let normal = |shape: &[usize], seed| normal(shape, seed, device).unwrap();
    let target = Tensor::new([2i64, 0, 1, 1], device).unwrap();
    let labels = Tensor::uniform([4usize, 3], 0.0, 1.0, DType::F64, &Generator::new(9), device).unwrap();
    type Function<'a> = Box<dyn Fn(&[Tensor]) -> Result<Tensor> + 'a>;
    let mut cases: Vec<(Function, Vec<Tensor>)> = vec![
        (Box::new(|i| i[0].softmax(1)), vec![normal(&[4, 3], 1)]),
        (Box::new(|i| i[0].log_softmax(1)), vec![normal(&[4, 3], 1)]),
        (Box::new(|i| i[0].cross_entropy(&target)), vec![normal(&[4, 3], 1)]),
        (Box::new(|i| i[0].binary_cross_entropy_with_logits(&labels)), vec![normal(&[4, 3], 1)]),
        (
            Box::new(|i| i[0].layer_norm(1, Some((&i[1], &i[2])), 1e-5)),
            vec![normal(&[4, 3], 1), normal(&[3], 2), normal(&[3], 3)],
        ),
        (Box::new(|i| i[0].logsumexp(0, false)), vec![normal(&[4, 3], 1)]),
        (Box::new(|i| i[0].mean([0, 1], false)?.square()), vec![normal(&[4, 3], 1)]),
    ];
    for kind in Activation::ALL {
        let function = move |i: &[Tensor]| i[0].linear(&i[1], Some(&i[2]), kind);
        cases.push((Box::new(function), vec![normal(&[4, 3], 4), normal(&[5, 3], 5), normal(&[5], 6)]));
    }
    for (number, (function, inputs)) in cases.iter().enumerate() {
        gradcheck(function, inputs, Settings::default()).unwrap_or_else(|error| panic!("case {number}: {error}"));
        gradgradcheck(function, inputs, Settings::default())
            .unwrap_or_else(|error| panic!("case {number}, second order: {error}"));
    }
}

/// The loss after some steps of a small classifier.
fn train(device: Device) -> Result<Vec<f64>> {
    let plain = device.without_recording();
    let mut parameters: Vec<Tensor> = [&[8, 4][..], &[8], &[3, 8], &[3]]
        .iter()
        .enumerate()
        .map(|(seed, shape)| (normal(shape, seed as u64, device)? * 0.5)?.to_device(device)?.into_tracked())
        .collect::<Result<_>>()?;
    let input = normal(&[16, 4], 10, device)?;
    let target = input.argmax(1, false)?.minimum(2)?;
    let op = Op::Optimize(Optimize::Sgd { momentum: Real::new(0.0), nesterov: false, weight_decay: Real::new(0.0) });
    let mut losses = Vec::new();
    for _ in 0..50 {
        let hidden = input.linear(&parameters[0], Some(&parameters[1]), Activation::Tanh)?;
        let logits = hidden.linear(&parameters[2], Some(&parameters[3]), Activation::Identity)?;
        let loss = logits.cross_entropy(&target)?;
        let mut gradients = loss.backward()?;
        let mut inputs = Inputs::new();
        inputs.push(Tensor::new([0.5f32, 1.0], plain)?);
        for parameter in parameters {
            let gradient = gradients.remove(&parameter);
            inputs.push(parameter.into_detached());
            inputs.extend(gradient);
        }
        parameters = Tensor::apply(&op, inputs)?
            .into_iter()
            .map(|parameter| parameter.to_device(device)?.into_tracked())
            .collect::<Result<_>>()?;
        losses.push(loss.item()?);
    }
    Ok(losses)
}

#[test]
fn training_agrees_with_the_reference_under_every_wrapper() -> Result<()> {
    let expected = train(common::recording())?;
    assert!(expected[49] < 0.5 * expected[0], "{expected:?}");
    let devices = [
        Device::cpu().autodiff(),
        Device::cpu().checked().autodiff(),
        Device::cpu().profiled().autodiff(),
        Device::cpu().autodiff().autodiff(),
    ];
    for device in devices {
        let losses = train(device)?;
        let near = losses.iter().zip(&expected).all(|(loss, expected)| (loss - expected).abs() < 1e-9 * expected.abs());
        assert!(near, "{device}: {losses:?} against {expected:?}");
    }
    let report = Device::cpu().profiled().report().unwrap_or_default();
    assert_eq!(report.operation("sgd").map(|row| row.count), Some(50));
    // The loss and its gradient are one operation.
    assert_eq!(report.operation("cross_entropy").map(|row| row.count), Some(50));
    Ok(())
}

#[test]
fn fused_operations_stay_fused_in_forward_mode() -> Result<()> {
    // A table of the test's own.
    let device = Device::cpu().checked().profiled();
    device.reset_report();
    let (weight, input) = (normal(&[3, 4], 1, device)?, normal(&[5, 4], 2, device)?);
    let target = Tensor::new([0i64, 2, 1, 1, 0], device)?;
    let loss = |w: &[Tensor]| input.linear(&w[0], None, Activation::Tanh)?.cross_entropy(&target);
    let direction = [normal(&[3, 4], 3, device)?];
    let change = jvp(loss, std::slice::from_ref(&weight), &direction)?.1.item()?;
    let report = device.report().unwrap_or_default();
    let count = |name| report.operation(name).map_or(0, |row| row.count);
    // The layer and its tangent; one loss, whose gradient comes from the same pass.
    assert_eq!((count("linear"), count("activation_gradient"), count("cross_entropy")), (2, 1, 1));
    assert_eq!((count("matmul"), count("tanh"), count("softmax"), count("log_softmax")), (0, 0, 0, 0));
    let slope = grad(loss, &[weight])?;
    let expected = (&slope[0] * &direction[0])?.sum(.., false)?.item()?;
    assert!((change - expected).abs() < 1e-12, "{change} and {expected}");
    Ok(())
}
