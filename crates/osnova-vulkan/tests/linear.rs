//! Linear layers of sizes that the conformance kit does not draw: tiles, vectors and a long inner axis, with bias and activation.

mod common;

use common::device;
use osnova_tensor::{Activation, DType, Device, Result, Tensor};

fn tensor(dims: &[usize], salt: usize, device: Device) -> Result<Tensor> {
    let count = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|at| ((at * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect();
    Tensor::from_vec(values, dims, device)
}

/// The same layer by separate operations.
fn by_parts(input: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    let rows: usize = input.dims()[..input.rank() - 1].iter().product();
    let mut dims = input.dims().to_vec();
    dims[input.rank() - 1] = weight.dims()[0];
    let product = input.reshape([rows, weight.dims()[1]])?.matmul(&weight.t()?)?.reshape(&dims[..])?;
    (product + bias)?.activate(activation)
}

fn check(input: &[usize], outer: usize, activation: Activation, device: Device) -> Result<()> {
    let inner = input[input.len() - 1];
    let (x, weight) = (tensor(input, 1, device)?, (tensor(&[outer, inner], 2, device)? * 0.2)?);
    // A bias with a stride.
    let bias = tensor(&[outer, 3], 3, device)?.narrow(1, 1, 1)?.reshape([outer])?;
    let fused = x.linear(&weight, Some(&bias), activation)?;
    let parts = by_parts(&x, &weight, &bias, activation)?;
    assert_eq!(fused.dims(), parts.dims());
    let (fused, parts) = (fused.to_vec::<f32>()?, parts.to_vec::<f32>()?);
    for (at, (&x, &y)) in fused.iter().zip(&parts).enumerate() {
        assert!((x - y).abs() <= 1e-5 * (1.0 + y.abs()), "{input:?} to {outer}, {activation:?}: {x} for {y} at {at}");
    }
    Ok(())
}

#[test]
fn every_activation_in_a_tile() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    Activation::ALL.into_iter().try_for_each(|activation| check(&[36, 70], 20, activation, device))
}

#[test]
fn other_ways_end_the_same() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    // One thread for each result, a matrix and a vector from either side, one long inner axis, leading axes.
    for (input, outer) in [
        (vec![5, 9], 7),
        (vec![600], 100),
        (vec![100, 600], 1),
        (vec![16, 2048], 18),
        (vec![2, 3, 70], 90),
        (vec![1, 600], 61),
    ] {
        check(&input, outer, Activation::Tanh, device)?;
    }
    Ok(())
}

#[test]
fn half_types_keep_their_sums() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for dtype in [DType::F16, DType::BF16] {
        if !device.capabilities().dtypes.contains(dtype) {
            continue;
        }
        // 300 times 1 · 1, less 299: in the dtype itself the sum would not get past 256 (bf16).
        let (x, weight) = (Tensor::ones([120, 300], dtype, device)?, Tensor::ones([4, 300], dtype, device)?);
        let bias = Tensor::full([4], -299.0, dtype, device)?;
        // −299 itself is rounded by bf16.
        let rounded = bias.to_dtype(DType::F32)?.to_vec::<f32>()?[0];
        let found = x.linear(&weight, Some(&bias), Activation::Relu)?.to_dtype(DType::F32)?.to_vec::<f32>()?;
        assert!(found.iter().all(|&value| value == (300.0 + rounded).max(0.0)), "{dtype}: {}", found[0]);
    }
    Ok(())
}

#[test]
fn nothing_to_sum_leaves_the_bias() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let (x, weight) = (tensor(&[3, 0], 1, device)?, tensor(&[2, 0], 2, device)?);
    let bias = Tensor::new([-1.0f32, 2.0], device)?;
    let found = x.linear(&weight, Some(&bias), Activation::Relu)?;
    assert_eq!(found.to_vec::<f32>()?, [0.0, 2.0, 0.0, 2.0, 0.0, 2.0]);
    assert_eq!(x.matmul(&weight.t()?)?.to_vec::<f32>()?, [0.0; 6]);
    Ok(())
}
