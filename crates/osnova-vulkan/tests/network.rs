//! Fused operations at sizes that the conformance kit does not reach: rows beyond a thread, a subgroup, a workgroup and its registers.

mod common;

use common::device;
use osnova_tensor::{
    BinaryCrossEntropy, CrossEntropy, DType, Device, HostData, LayerNorm, Op, Optimize, Real, ReductionKind, Result,
    Tensor,
};

const SIZES: [usize; 8] = [1, 2, 31, 33, 100, 1000, 5000, 40_000];

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

/// The float dtypes of a device, with what rounding a result to each may lose; all of them for the
/// longest rows: the kit has them for short ones.
fn floats(device: Device, size: usize) -> impl Iterator<Item = (DType, f64)> {
    let dtypes = device.capabilities().dtypes;
    let all = [(DType::F32, 2e-6), (DType::F16, 1e-3), (DType::BF16, 8e-3), (DType::F64, 1e-12)];
    let chosen = move |dtype| dtype == DType::F32 || size == SIZES[SIZES.len() - 1];
    all.into_iter().filter(move |&(dtype, _)| dtypes.contains(dtype) && chosen(dtype))
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
        for (dtype, tolerance) in floats(device, size) {
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

/// The losses of samples and the gradient of their sum, by the definition of [`CrossEntropy`], both before the division of a mean; and
/// the divisor.
fn cross_entropy(options: &CrossEntropy, logits: &[f64], target: &[i64], weights: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
    let classes = weights.len();
    let smoothing = options.label_smoothing.get();
    let (mut losses, mut gradient, mut divisor) = (Vec::new(), Vec::new(), 0.0);
    for (row, &label) in logits.chunks(classes).zip(target) {
        if Some(label) == options.ignore_index {
            losses.push(0.0);
            gradient.extend(vec![0.0; classes]);
            continue;
        }
        let label = label as usize;
        let p = softmax(row);
        let logarithm = |class: usize| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row[class] - largest - row.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
        };
        let normal = logarithm(0) - row[0];
        let even: f64 = (0..classes).map(|class| weights[class] * (row[class] + normal)).sum();
        losses.push(-weights[label] * (1.0 - smoothing) * (row[label] + normal) - smoothing / classes as f64 * even);
        let share = smoothing / classes as f64;
        let factor = weights[label] * (1.0 - smoothing) + share * weights.iter().sum::<f64>();
        gradient.extend((0..classes).map(|class| {
            let hit = if class == label { weights[label] * (1.0 - smoothing) } else { 0.0 };
            factor * p[class] - share * weights[class] - hit
        }));
        divisor += weights[label];
    }
    (losses, gradient, divisor)
}

#[test]
fn cross_entropy_with_its_gradient() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let samples = 5;
    let kinds = [(0.0, false, None), (0.1, true, Some(-100)), (0.1, false, None), (0.0, true, Some(0))];
    for (round, classes) in SIZES.into_iter().enumerate() {
        let logits = Tensor::from_vec(numbers(samples * classes, 5), [samples, classes], device)?;
        for (number, (smoothing, weighted, ignore_index)) in kinds.into_iter().enumerate() {
            let options = CrossEntropy {
                // Each kind with each reduction in the course of the rounds.
                reduction: [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None][(round + number) % 3],
                label_smoothing: Real::new(smoothing),
                // A class that is ignored must not be the only one.
                ignore_index: ignore_index.filter(|&label| label < 0 || classes > 1),
                weighted,
                with_gradient: true,
            };
            let mut target: Vec<i64> = (0..samples).map(|sample| (sample * 7919 % classes) as i64).collect();
            target[1] = options.ignore_index.unwrap_or(target[1]);
            let weights = (0..classes).map(|class| if weighted { 0.5 + (class % 3) as f64 } else { 1.0 });
            let weights: Vec<f64> = weights.collect();
            for (dtype, tolerance) in floats(device, classes).filter(|&(dtype, _)| dtype == DType::F32 || number == 1) {
                let x = logits.to_dtype(dtype)?;
                let (losses, gradient, divisor) = cross_entropy(&options, &values(&x)?, &target, &weights);
                let total: f64 = losses.iter().sum();
                let (value, divisor) = match options.reduction {
                    ReductionKind::Mean => (vec![total / divisor], divisor),
                    ReductionKind::Sum => (vec![total], 1.0),
                    ReductionKind::None => (losses, 1.0),
                };
                let gradient: Vec<f64> = gradient.into_iter().map(|slope| slope / divisor).collect();
                let mut inputs = vec![x, Tensor::from_vec(target.clone(), [samples], device)?];
                if weighted {
                    inputs.push(Tensor::from_host(HostData::from_f64(dtype, &weights), [classes], device)?);
                }
                let outputs = Tensor::apply(&Op::CrossEntropy(options), inputs)?;
                let what = format!("{dtype}, {classes} classes, {options:?}");
                assert_close(&values(&outputs[0])?, &value, tolerance, 1.0, &what);
                assert_close(&values(&outputs[1])?, &gradient, tolerance, 1e-2, &what);
            }
        }
    }
    Ok(())
}

#[test]
fn cross_entropy_of_ignored_samples_alone() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    // Not even a label that is out of range, or a row without an answer, counts then.
    for classes in [3, 300, 5000] {
        let mut logits = numbers(2 * classes, 1);
        logits[0] = f32::NAN;
        let logits = Tensor::from_vec(logits, [2, classes], device)?;
        let target = Tensor::new([-7i64, -7], device)?;
        for reduction in [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None] {
            let options =
                CrossEntropy { reduction, ignore_index: Some(-7), with_gradient: true, ..CrossEntropy::default() };
            let outputs = Tensor::apply(&Op::CrossEntropy(options), [logits.clone(), target.clone()])?;
            let value = outputs[0].to_vec::<f32>()?;
            assert!(value.iter().all(|&v| if reduction == ReductionKind::Mean { v.is_nan() } else { v == 0.0 }));
            assert!(outputs[1].to_vec::<f32>()?.iter().all(|&slope| slope == 0.0));
        }
    }
    Ok(())
}

/// More samples than workgroups make sums, so that each adds up several, and weights in several parts.
#[test]
fn cross_entropy_of_many_samples() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let (samples, classes) = (20_000, 20);
    let logits = numbers(samples * classes, 11);
    let target: Vec<i64> = (0..samples).map(|sample| (sample * 31 % (classes + 1)) as i64).collect();
    let options = CrossEntropy { ignore_index: Some(classes as i64), with_gradient: true, ..CrossEntropy::default() };
    let wide: Vec<f64> = logits.iter().map(|&x| f64::from(x)).collect();
    let (losses, gradient, divisor) = cross_entropy(&options, &wide, &target, &vec![1.0; classes]);
    let run = || -> Result<Vec<Vec<f64>>> {
        let logits = Tensor::from_vec(logits.clone(), [samples, classes], device)?;
        let target = Tensor::from_vec(target.clone(), [samples], device)?;
        Tensor::apply(&Op::CrossEntropy(options), [logits, target])?.iter().map(values).collect()
    };
    let outputs = run()?;
    assert_close(&outputs[0], &[losses.iter().sum::<f64>() / divisor], 2e-6, 1.0, "value");
    let gradient: Vec<f64> = gradient.into_iter().map(|slope| slope / divisor).collect();
    assert_close(&outputs[1], &gradient, 2e-6, 1e-6, "gradient");
    assert_eq!(run()?, outputs);
    Ok(())
}

#[test]
fn a_wrong_label_is_told_when_the_host_waits() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let logits = Tensor::from_vec(numbers(12, 1), [3, 4], device)?;
    for wrong in [4, -1, i64::MIN, 1 << 32] {
        let target = Tensor::new([0, wrong, 3], device)?;
        let error = logits.cross_entropy(&target)?.to_vec::<f32>().unwrap_err().to_string();
        assert!(error.contains(&format!("index {wrong} is out of range for axis 1 of size 4")), "{error}");
    }
    assert!(logits.cross_entropy(&Tensor::new([0i64, 1, 3], device)?)?.item()?.is_finite());
    Ok(())
}

#[test]
fn layer_norm_of_long_rows() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let epsilon = 1e-3;
    for size in SIZES {
        for (dtype, tolerance) in floats(device, size) {
            // Far from 0, so that a variance from Σ x² would cancel.
            let x = (Tensor::from_vec(numbers(3 * size, 9), [3, size], device)? + 20.0)?.to_dtype(dtype)?;
            let [weight, bias] =
                [1, 2].map(|seed| Tensor::from_vec(numbers(size, seed), [size], device)?.to_dtype(dtype));
            let (weight, bias) = (weight?, bias?);
            let (w, b) = (values(&weight)?, values(&bias)?);
            let mut plain = Vec::new();
            let mut affine = Vec::new();
            for row in values(&x)?.chunks(size) {
                let mean = row.iter().sum::<f64>() / size as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / size as f64;
                let start = plain.len();
                plain.extend(row.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()));
                affine.extend(plain[start..].iter().zip(&w).zip(&b).map(|((x, w), b)| x * w + b));
            }
            let options = LayerNorm { axes: 1, epsilon: Real::new(epsilon), affine: false };
            let what = format!("{dtype}, {size}");
            // Of x about 20 the last digits are lost, in a row of one element all that there is.
            let least = if size <= 2 { 100.0 } else { 10.0 };
            let made = Tensor::apply(&Op::LayerNorm(options), [x.clone()])?;
            assert_close(&values(&made[0])?, &plain, tolerance, least, &what);
            let columns = x.t()?.contiguous()?.t()?;
            let inputs = [columns, weight, bias];
            let made = Tensor::apply(&Op::LayerNorm(LayerNorm { affine: true, ..options }), inputs)?;
            assert_close(&values(&made[0])?, &affine, tolerance, 4.0 * least, &what);
        }
    }
    Ok(())
}

/// More elements than workgroups make sums of at once, and logits at which e^x or ln(1 + x) would overflow or lose all digits.
#[test]
fn binary_cross_entropy_of_many() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let count = 1_100_000;
    let logits: Vec<f32> = numbers(count, 3).into_iter().map(|x| x * x * x).collect();
    let target: Vec<f32> = numbers(count, 4).into_iter().map(|x| (x + 4.0) / 8.0).collect();
    let x = Tensor::from_vec(logits.clone(), [count], device)?;
    let y = Tensor::from_vec(target.clone(), [count], device)?;
    let pairs = || logits.iter().zip(&target).map(|(&x, &y)| (f64::from(x), f64::from(y)));
    let losses: Vec<f64> = pairs().map(|(x, y)| x.max(0.0) - x * y + (-x.abs()).exp().ln_1p()).collect();
    let slopes: Vec<f64> = pairs().map(|(x, y)| 1.0 / (1.0 + (-x).exp()) - y).collect();
    for reduction in [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None] {
        let run = || -> Result<Vec<Vec<f64>>> {
            let op = Op::BinaryCrossEntropy(BinaryCrossEntropy { reduction, with_gradient: true });
            Tensor::apply(&op, [x.clone(), y.clone()])?.iter().map(values).collect()
        };
        let total: f64 = losses.iter().sum();
        let (value, divisor) = match reduction {
            ReductionKind::Mean => (vec![total / count as f64], count as f64),
            ReductionKind::Sum => (vec![total], 1.0),
            ReductionKind::None => (losses.clone(), 1.0),
        };
        let outputs = run()?;
        let what = format!("{reduction:?}");
        assert_close(&outputs[0], &value, 4e-6, 1.0, &what);
        let gradient: Vec<f64> = slopes.iter().map(|slope| slope / divisor).collect();
        assert_close(&outputs[1], &gradient, 4e-6, 0.1 / divisor, &what);
        assert_eq!(run()?, outputs);
    }
    Ok(())
}

/// Parameters of several dtypes in one update, with a transposed and a repeated gradient, and scalars that are part of another tensor.
#[test]
fn an_update_of_mixed_parameters() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let scalars = Tensor::new([9.0f32, 1.0, 9.0, 0.25, 9.0], device)?.slice(0, .., -1)?.slice(0, 1..4, 2)?;
    assert_eq!(scalars.to_vec::<f32>()?, [0.25, 1.0]);
    let (rows, columns) = (37, 40);
    let mut inputs = vec![scalars];
    let mut expected = Vec::new();
    for (dtype, tolerance) in floats(device, 40_000) {
        let parameter = Tensor::from_vec(numbers(rows * columns, 1), [rows, columns], device)?.to_dtype(dtype)?;
        let transposed = Tensor::from_vec(numbers(rows * columns, 2), [columns, rows], device)?.to_dtype(dtype)?.t()?;
        let repeated = Tensor::new([0.5f32], device)?.to_dtype(dtype)?.expand([rows, columns])?;
        for gradient in [transposed, repeated] {
            let updated = values(&parameter)?.iter().zip(values(&gradient)?).map(|(p, g)| p - 0.25 * g).collect();
            expected.push((dtype, tolerance, updated));
            inputs.extend([parameter.clone(), gradient]);
        }
    }
    let sgd = Optimize::Sgd { momentum: Real::new(0.0), nesterov: false, weight_decay: Real::new(0.0) };
    let outputs = Tensor::apply(&Op::Optimize(sgd), inputs)?;
    assert_eq!(outputs.len(), expected.len());
    for (output, (dtype, tolerance, updated)) in outputs.iter().zip(&expected) {
        let updated: &Vec<f64> = updated;
        assert_eq!(output.dtype(), *dtype);
        assert_close(&values(output)?, updated, *tolerance, 1.0, dtype.name());
    }
    Ok(())
}
