//! Fused operations at sizes that the conformance kit does not reach: rows beyond a thread, a subgroup, a workgroup and its registers.

use osnova_tensor::{DType, Device, Result, Tensor};
use osnova_vulkan::VulkanDevice;

const SIZES: [usize; 8] = [1, 2, 31, 33, 100, 1000, 5000, 40_000];

/// The first device; none where there is no Vulkan and nobody insists on it.
fn device() -> Option<Device> {
    match Device::vulkan(0) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED, for want of a Vulkan device: {error}");
            None
        }
    }
}

/// Numbers from −4 to 4 without a pattern.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 21) as f32 - 4.0
    };
    (0..count).map(|_| next()).collect()
}

/// Within a tolerance relative to the expected number, or to `least` where that is larger.
#[track_caller]
fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64, least: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let distance = tolerance * expected.abs().max(least);
        assert!((actual - expected).abs() <= distance, "{what}: element {index} is {actual} instead of {expected}");
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_host()?.to_f64())
}

/// The float dtypes of a device, with what rounding a result to each may lose.
fn floats(device: Device) -> impl Iterator<Item = (DType, f64)> {
    let dtypes = device.capabilities().dtypes;
    let all = [(DType::F32, 2e-6), (DType::F16, 1e-3), (DType::BF16, 8e-3), (DType::F64, 1e-13)];
    all.into_iter().filter(move |&(dtype, _)| dtypes.contains(dtype))
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
    row.iter().map(|x| (x - largest).exp() / sum).collect()
}

#[test]
fn softmax_of_rows_and_columns() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for size in SIZES {
        for (dtype, tolerance) in floats(device) {
            let x = Tensor::from_vec(numbers(3 * size, 7), [3, size], device)?.to_dtype(dtype)?;
            let expected: Vec<f64> = values(&x)?.chunks(size).flat_map(softmax).collect();
            let logarithms: Vec<f64> = expected.iter().map(|p| p.ln()).collect();
            // Below the normal numbers the half types lose digits.
            let least = if dtype == DType::F16 { 6.1e-5 } else { 1e-30 };
            let columns = x.t()?.contiguous()?;
            let what = |how: &str| format!("{dtype}, {size}, {how}");
            assert_close(&values(&x.softmax(1)?)?, &expected, tolerance, least, &what("rows"));
            assert_close(&values(&columns.softmax(0)?.t()?)?, &expected, tolerance, least, &what("columns"));
            assert_close(&values(&columns.t()?.softmax(1)?)?, &expected, tolerance, least, &what("rows with a stride"));
            assert_close(&values(&x.log_softmax(1)?)?, &logarithms, tolerance, 1.0, &what("logarithms of rows"));
            assert_close(&values(&columns.log_softmax(0)?.t()?)?, &logarithms, tolerance, 1.0, &what("of columns"));
        }
    }
    Ok(())
}

/// Rows that meet nothing but −∞ first, in registers and beyond, and rows without an answer.
#[test]
fn softmax_of_masked_rows() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for size in [4, 40, 400, 20_000] {
        let mut row = vec![f32::NEG_INFINITY; size];
        row[size - 1] = 1.0;
        row[size - 2] = 1.0;
        let probabilities = Tensor::from_vec(row.clone(), [1, size], device)?.softmax(1)?.to_vec::<f32>()?;
        assert!(probabilities[..size - 2].iter().all(|&p| p == 0.0) && probabilities[size - 2..] == [0.5, 0.5]);
        for spoilt in [f32::INFINITY, f32::NAN] {
            row[size / 2] = spoilt;
            let x = Tensor::from_vec(row.clone(), [1, size], device)?;
            assert!(x.softmax(1)?.to_vec::<f32>()?.iter().all(|p| p.is_nan()));
            assert!(x.log_softmax(1)?.to_vec::<f32>()?.iter().all(|p| p.is_nan()));
        }
        let nothing = Tensor::from_vec(vec![f32::NEG_INFINITY; size], [1, size], device)?;
        assert!(nothing.softmax(1)?.to_vec::<f32>()?.iter().all(|p| p.is_nan()));
    }
    Ok(())
}

#[test]
fn two_runs_give_the_same_bits() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for size in SIZES {
        let run = || -> Result<Vec<Vec<f32>>> {
            let x = Tensor::from_vec(numbers(6 * size, 3), [6, size], device)?;
            Ok(vec![x.softmax(1)?.to_vec()?, x.softmax(0)?.to_vec()?, x.log_softmax(1)?.to_vec()?])
        };
        assert_eq!(run()?, run()?);
    }
    Ok(())
}
