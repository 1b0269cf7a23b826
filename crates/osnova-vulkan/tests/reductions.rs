//! Reductions of sizes that the conformance kit does not reach: long rows and columns, shared among many workgroups.

mod common;

use common::device;
use osnova_tensor::{ArgReduction, Axes, DType, Device, HostData, Op, Reduction, Result, Shape, Tensor};

/// Whether the device holds positions.
fn has_positions(device: Device) -> bool {
    device.capabilities().dtypes.contains(DType::I64)
}

/// Numbers from −1 to 1 without a pattern.
fn noise(count: usize) -> Vec<f64> {
    (0..count as u32).map(|index| f64::from(index.wrapping_mul(2_654_435_761) as i32) / 2_147_483_648.0).collect()
}

/// The values as elements of a dtype, the same rounded to it, and the tensor.
fn tensor(values: &[f64], dims: &[usize], dtype: DType, device: Device) -> Result<(Vec<f64>, Tensor)> {
    let data = HostData::from_f64(dtype, values);
    Ok((data.to_f64(), Tensor::from_host(data, Shape::new(dims)?, device)?))
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

/// Each value lies within a bound of what is expected.
fn close(what: &str, actual: &HostData, expected: impl Iterator<Item = (f64, f64)>) {
    let expected: Vec<(f64, f64)> = expected.collect();
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, (expected, bound))) in actual.to_f64().into_iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() <= bound, "{what}: element {index} is {actual}, not {expected} ± {bound}");
    }
}

/// Every way of sharing: one output of many elements, three long columns, rows and columns around each threshold.
const SHAPES: [[usize; 2]; 13] = [
    [1, 1_000_000],
    [300_000, 1],
    [100_000, 3],
    [2000, 40],
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

/// `check(lists of elements, what they are, axis, tensor)` for each shape, row-major and transposed, along both axes.
fn for_each_matrix(
    dtype: DType,
    device: Device,
    values: impl Fn(usize) -> Vec<f64>,
    check: impl Fn(&[Vec<f64>], &str, usize, &Tensor) -> Result<()>,
) -> Result<()> {
    for dims in SHAPES {
        let (values, input) = tensor(&values(dims[0] * dims[1]), &dims, dtype, device)?;
        let turned = input.transpose(0, 1)?;
        for axis in [0, 1] {
            let lists = lists(&values, dims, axis);
            check(&lists, &format!("{dtype} {dims:?} along {axis}"), axis, &input)?;
            check(&lists, &format!("{dtype} {dims:?} transposed, along {}", 1 - axis), 1 - axis, &turned)?;
        }
    }
    Ok(())
}

fn sum(list: &[f64]) -> f64 {
    list.iter().sum()
}

/// What a sum may be off by: trees lose far less than one rounding an element.
fn bound(list: &[f64]) -> f64 {
    f64::from(f32::EPSILON) * (16.0 + list.len() as f64 / 128.0) * list.iter().map(|x| x.abs()).sum::<f64>()
}

#[test]
fn sums_and_extremes_of_every_shape() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for_each_matrix(DType::F32, device, noise, |lists, what, axis, input| {
        let reduce = |kind| Op::Reduce { kind, axes: axes(axis), keep_dims: axis == 0 };
        close(what, &twice(&reduce(Reduction::Sum), input)?, lists.iter().map(|list| (sum(list), bound(list))));
        let largest = |list: &Vec<f64>| (list.iter().copied().fold(f64::NEG_INFINITY, f64::max), 0.0);
        close(what, &twice(&reduce(Reduction::Max), input)?, lists.iter().map(largest));
        Ok(())
    })
}

#[test]
fn moments_of_every_shape() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    // Far from 0, so that sums of squares alone would leave nothing of the variance; three columns differ in their means.
    let values =
        |count| noise(count).into_iter().enumerate().map(|(index, x)| x + 98.0 + 2.0 * (index % 3) as f64).collect();
    for_each_matrix(DType::F32, device, values, |lists, what, axis, input| {
        let keep_dims = axis == 1;
        let length = lists[0].len() as f64;
        let mean = |list: &[f64]| sum(list) / length;
        let op = Op::Mean { axes: axes(axis), keep_dims };
        close(what, &twice(&op, input)?, lists.iter().map(|list| (mean(list), bound(list) / length)));
        let variance = |list: &Vec<f64>| {
            let mean = mean(list);
            let squares: Vec<f64> = list.iter().map(|x| (x - mean) * (x - mean)).collect();
            // 100 is known to 2⁻¹⁸, and so is each distance.
            (sum(&squares) / (length - 1.0), 5e-5)
        };
        if length > 1.0 {
            let op = Op::Variance { axes: axes(axis), keep_dims, correction: 1 };
            close(what, &twice(&op, input)?, lists.iter().map(variance));
        }
        let op = Op::LogSumExp { axes: axes(axis), keep_dims };
        let log_sum_exp = |list: &Vec<f64>| {
            let shifted: Vec<f64> = list.iter().map(|x| (x - 100.0).exp()).collect();
            (sum(&shifted).ln() + 100.0, 4e-5)
        };
        close(what, &twice(&op, input)?, lists.iter().map(log_sum_exp));
        Ok(())
    })
}

#[test]
fn positions_of_every_shape() -> Result<()> {
    let Some(device) = device().filter(|&device| has_positions(device)) else { return Ok(()) };
    // Few different values: the first of many equals must win.
    let values = |count| noise(count).into_iter().map(|x| (x * 3.0).round()).collect();
    for_each_matrix(DType::F32, device, values, |lists, what, axis, input| {
        for (kind, sign) in [(ArgReduction::Max, 1.0), (ArgReduction::Min, -1.0)] {
            let first = |list: &Vec<f64>| {
                let best = list.iter().fold(f64::NEG_INFINITY, |best, x| best.max(sign * x));
                (list.iter().position(|x| sign * x == best).map_or(-1.0, |at| at as f64), 0.0)
            };
            let found = twice(&Op::ArgReduce { kind, axis, keep_dims: false }, input)?;
            close(what, &found, lists.iter().map(first));
        }
        Ok(())
    })
}

#[test]
fn running_sums_of_every_shape() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for_each_matrix(DType::F32, device, noise, |lists, what, axis, input| {
        for reverse in [false, true] {
            // The lines of the result, one after another.
            let found = Tensor::apply(&Op::CumulativeSum { axis, reverse }, [input.clone()])?.remove(0);
            assert_eq!(found.to_host()?, twice(&Op::CumulativeSum { axis, reverse }, input)?);
            let lines = if axis == 0 { found.transpose(0, 1)? } else { found };
            let expected = lists.iter().flat_map(|list| {
                let bound = bound(list);
                let mut total = 0.0;
                let mut step = |x: &f64| {
                    total += x;
                    (total, bound)
                };
                let mut sums: Vec<(f64, f64)> = match reverse {
                    false => list.iter().map(&mut step).collect(),
                    true => list.iter().rev().map(&mut step).collect(),
                };
                if reverse {
                    sums.reverse();
                }
                sums
            });
            close(what, &lines.to_host()?, expected);
        }
        Ok(())
    })
}

/// NaN wins wherever it stands, in an extreme and in its position.
#[test]
fn one_nan_among_many() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for count in [1usize, 2, 31, 33, 257, 5000, 200_000] {
        for at in [0, count / 3, count - 1] {
            let mut values = noise(count);
            values[at] = f64::NAN;
            let (_, input) = tensor(&values, &[count], DType::F32, device)?;
            for (kind, place) in [(Reduction::Max, ArgReduction::Max), (Reduction::Min, ArgReduction::Min)] {
                let found = twice(&Op::Reduce { kind, axes: axes(0), keep_dims: false }, &input)?;
                assert!(found.to_f64()[0].is_nan(), "{kind:?} of {count} with NaN at {at}");
                if !has_positions(device) {
                    continue;
                }
                let found = twice(&Op::ArgReduce { kind: place, axis: 0, keep_dims: false }, &input)?;
                assert_eq!(found.to_f64(), [at as f64], "{place:?} of {count}");
            }
        }
    }
    Ok(())
}

/// Narrow types in long reductions: sums of half types do not stop growing, integers wrap, truth values stay 0 or 1.
#[test]
fn long_reductions_of_every_dtype() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    const COUNT: usize = 70_000;
    for dims in [[1, COUNT], [COUNT / 4, 4]] {
        let along = if dims[1] == 4 { 0 } else { 1 };
        let supported = |dtype: &DType| device.capabilities().dtypes.contains(*dtype);
        for dtype in DType::ALL.into_iter().filter(supported) {
            let raw: Vec<f64> = match dtype {
                DType::Bool => (0..COUNT).map(|index| f64::from(u8::from(index == COUNT - 3))).collect(),
                dtype if dtype.is_float() => noise(COUNT).into_iter().map(|x| 0.02 + 0.01 * x).collect(),
                _ => noise(COUNT).into_iter().map(|x| (x * 60.0 + 61.0).round()).collect(),
            };
            let (values, input) = tensor(&raw, &dims, dtype, device)?;
            let what = format!("{dtype} {dims:?}");
            let lists = lists(&values, dims, along);
            let reduce = |kind| Op::Reduce { kind, axes: axes(along), keep_dims: false };
            let extreme =
                |list: &Vec<f64>, sign: f64| sign * list.iter().fold(f64::NEG_INFINITY, |a, x| a.max(sign * x));
            close(&what, &twice(&reduce(Reduction::Max), &input)?, lists.iter().map(|list| (extreme(list, 1.0), 0.0)));
            close(&what, &twice(&reduce(Reduction::Min), &input)?, lists.iter().map(|list| (extreme(list, -1.0), 0.0)));
            if dtype == DType::Bool {
                continue;
            }
            let wrap = |x: f64| if dtype == DType::U8 { x.rem_euclid(256.0) } else { x };
            let rounding =
                |list: &[f64]| if dtype.is_float() { bound(list) + dtype.epsilon() * sum(list) } else { 0.0 };
            let found = twice(&reduce(Reduction::Sum), &input)?;
            close(&what, &found, lists.iter().map(|list| (wrap(sum(list)), rounding(list))));
            let found = twice(&Op::CumulativeSum { axis: along, reverse: true }, &input)?;
            let last = |list: &Vec<f64>| (wrap(sum(list)), rounding(list));
            let heads = match along {
                0 => HostData::from_f64(dtype, &found.to_f64()[..dims[1]]),
                _ => HostData::from_f64(dtype, &found.to_f64().chunks(dims[1]).map(|row| row[0]).collect::<Vec<_>>()),
            };
            close(&what, &heads, lists.iter().map(last));
        }
    }
    Ok(())
}

/// The identity of each reduction, where there is nothing to reduce; nothing at all, where nothing stays.
#[test]
fn reductions_of_nothing() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let empty = Tensor::zeros([3, 0], DType::F32, device)?;
    let of = |op: &Op| -> Result<Vec<f64>> { Ok(twice(op, &empty)?.to_f64()) };
    let reduce = |kind, axis| Op::Reduce { kind, axes: axes(axis), keep_dims: false };
    assert_eq!(of(&reduce(Reduction::Sum, 1))?, [0.0; 3]);
    assert_eq!(of(&reduce(Reduction::Prod, 1))?, [1.0; 3]);
    assert_eq!(of(&reduce(Reduction::Max, 1))?, [f64::NEG_INFINITY; 3]);
    assert_eq!(of(&reduce(Reduction::Min, 1))?, [f64::INFINITY; 3]);
    assert_eq!(of(&Op::LogSumExp { axes: axes(1), keep_dims: false })?, [f64::NEG_INFINITY; 3]);
    assert!(of(&Op::Mean { axes: axes(1), keep_dims: false })?.iter().all(|x| x.is_nan()));
    assert!(of(&Op::Variance { axes: axes(1), keep_dims: false, correction: 0 })?.iter().all(|x| x.is_nan()));
    assert!(of(&reduce(Reduction::Sum, 0))?.is_empty());
    assert!(of(&Op::CumulativeSum { axis: 0, reverse: true })?.is_empty());
    Ok(())
}

/// The same small number again and again: every addition of a plain chain would round the same way, and the errors add up.
#[test]
fn long_chains_of_small_addends() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let small = 0.0005f32;
    let near = |what: &str, found: f32, addends: usize| {
        let exact = addends as f64 * f64::from(small);
        assert!((f64::from(found) - exact).abs() <= 2e-6 * exact, "{what}: {found} instead of {exact}");
    };
    // One line for several threads, and lines side by side with a thread each.
    for (rows, columns) in [(1_000_000usize, 1usize), (100_000, 40)] {
        let x = Tensor::full([rows, columns], small, DType::F32, device)?;
        let sums = x.cumsum(0)?.to_vec::<f32>()?;
        for row in (0..rows).step_by(997).chain([rows - 1]) {
            near("cumsum", sums[row * columns + columns / 2], row + 1);
        }
        let from_behind = Tensor::apply(&Op::CumulativeSum { axis: 0, reverse: true }, [x.clone()])?;
        near("cumsum from behind", from_behind[0].narrow(0, 0, 1)?.to_vec::<f32>()?[0], rows);
        near("sum", x.sum(0isize, false)?.to_vec::<f32>()?[0], rows);
        near("sum of all", x.sum(.., false)?.to_vec::<f32>()?[0], rows * columns);
        near("mean", x.mean(0isize, false)?.to_vec::<f32>()?[0], 1);
    }
    if has_positions(device) {
        let count = 300_000;
        let (index, source) =
            (Tensor::zeros([count], DType::I64, device)?, Tensor::full([count], small, DType::F32, device)?);
        let sums = Tensor::zeros([2], DType::F32, device)?.index_add(0, &index, &source)?.to_vec::<f32>()?;
        near("index_add", sums[0], count);
        assert_eq!(sums[1], 0.0);
    }
    Ok(())
}

/// Infinities and NaN pass through running sums that keep what rounding takes.
#[test]
fn running_sums_past_infinity() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for columns in [1usize, 40] {
        let row = |value: f32| std::iter::repeat_n(value, columns);
        let values: Vec<f32> =
            [1.0, f32::MAX, f32::MAX, 5.0, f32::NEG_INFINITY, 2.0].into_iter().flat_map(row).collect();
        let sums = Tensor::from_vec(values, [6, columns], device)?.cumsum(0)?.to_vec::<f32>()?;
        let column: Vec<f32> = sums.into_iter().step_by(columns).collect();
        assert_eq!(column[..4], [1.0, f32::MAX, f32::INFINITY, f32::INFINITY]);
        assert!(column[4].is_nan() && column[5].is_nan());
    }
    Ok(())
}
