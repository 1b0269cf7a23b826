//! Reductions of sizes that the conformance kit does not reach: long rows and columns, shared among many workgroups.

use osnova_tensor::{Axes, DType, Device, HostData, Op, Reduction, Result, Tensor};
use osnova_vulkan::VulkanDevice;

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

/// Numbers from −1 to 1 without a pattern.
fn noise(count: usize) -> Vec<f64> {
    (0..count as u32).map(|index| f64::from(index.wrapping_mul(2_654_435_761) as i32) / 2_147_483_648.0).collect()
}

/// The values as elements of a dtype, the same rounded to it, and the tensor.
fn tensor(values: &[f64], dims: &[usize], dtype: DType, device: Device) -> Result<(Vec<f64>, Tensor)> {
    let data = HostData::from_f64(dtype, values);
    Ok((data.to_f64(), Tensor::from_host(data, osnova_tensor::Shape::new(dims)?, device)?))
}

/// Applies an operation twice: the same bits must come.
fn twice(op: &Op, input: &Tensor) -> Result<HostData> {
    let first = Tensor::apply(op, [input.clone()])?[0].to_host()?;
    let second = Tensor::apply(op, [input.clone()])?[0].to_host()?;
    assert_eq!(first.as_bytes(), second.as_bytes(), "two runs of {op:?} differ");
    Ok(first)
}

fn axes(axis: usize) -> Axes {
    std::iter::once(axis).collect()
}

/// Along `axis` of a matrix: the lists of elements of each output.
fn lists(values: &[f64], [rows, columns]: [usize; 2], axis: usize) -> Vec<Vec<f64>> {
    match axis {
        0 => (0..columns).map(|column| values.iter().skip(column).step_by(columns).copied().collect()).collect(),
        _ => (0..rows).map(|row| values[row * columns..][..columns].to_vec()).collect(),
    }
}

fn close(what: &str, actual: &HostData, expected: impl Iterator<Item = (f64, f64)>) {
    for (index, (actual, (expected, bound))) in actual.to_f64().into_iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() <= bound, "{what}: element {index} is {actual}, not {expected} ± {bound}");
    }
}

/// Every way of sharing: one output of a million elements, three long columns, rows and columns around each threshold.
const SHAPES: [[usize; 2]; 15] = [
    [1, 1_000_000],
    [1_000_000, 1],
    [100_000, 3],
    [3, 100_000],
    [2000, 40],
    [1000, 1000],
    [5, 1],
    [700, 2],
    [300, 9],
    [300, 31],
    [300, 33],
    [70, 257],
    [9, 5000],
    [5000, 9],
    [20_000, 64],
];

#[test]
fn floats_of_every_shape() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for dims in SHAPES {
        let (values, input) = tensor(&noise(dims[0] * dims[1]), &dims, DType::F32, device)?;
        for axis in [0, 1] {
            let lists = lists(&values, dims, axis);
            let length = dims[axis] as f64;
            // Trees lose far less than one rounding an element.
            let e = f64::from(f32::EPSILON) * (16.0 + length / 128.0);
            let size = |list: &[f64]| list.iter().map(|x| x.abs()).sum::<f64>();
            let sum = |list: &[f64]| list.iter().sum::<f64>();
            let keep_dims = axis == 0;
            let reduce = |kind| Op::Reduce { kind, axes: axes(axis), keep_dims };
            let what = format!("sum of {dims:?} along {axis}");
            close(&what, &twice(&reduce(Reduction::Sum), &input)?, lists.iter().map(|x| (sum(x), e * size(x))));
            let largest = |list: &Vec<f64>| (list.iter().copied().fold(f64::NEG_INFINITY, f64::max), 0.0);
            close("max", &twice(&reduce(Reduction::Max), &input)?, lists.iter().map(largest));
            let mean = Op::Mean { axes: axes(axis), keep_dims };
            close("mean", &twice(&mean, &input)?, lists.iter().map(|x| (sum(x) / length, e * size(x) / length)));
            let variance = |list: &Vec<f64>| {
                let mean = sum(list) / length;
                (list.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / length, 4.0 * e)
            };
            let op = Op::Variance { axes: axes(axis), keep_dims, correction: 0 };
            close("variance", &twice(&op, &input)?, lists.iter().map(variance));
            let op = Op::LogSumExp { axes: axes(axis), keep_dims };
            let log_sum_exp = |list: &Vec<f64>| (list.iter().map(|x| x.exp()).sum::<f64>().ln(), 4.0 * e);
            close("logsumexp", &twice(&op, &input)?, lists.iter().map(log_sum_exp));
        }
    }
    Ok(())
}
