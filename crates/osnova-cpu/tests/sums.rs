//! Long sums of small terms: every one against the same sum in double precision. A running sum in `f32` loses per cent here.

use osnova_cpu::CpuDevice;
use osnova_tensor::{CrossEntropy, DType, Device, Op, ReductionKind, Result, Tensor};

const COUNT: usize = 3_000_000;

/// Small positive numbers, all different.
fn terms(count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|index| (index.wrapping_mul(2_654_435_769) >> 8) as f32 * (0.001 / (1 << 24) as f32))
        .collect()
}

fn exact(values: impl IntoIterator<Item = f32>) -> f64 {
    values.into_iter().map(f64::from).sum()
}

#[track_caller]
fn close(got: impl Into<f64>, want: f64, tolerance: f64) {
    let got = got.into();
    assert!((got - want).abs() <= tolerance * want.abs(), "{got}, not {want}");
}

#[test]
fn running_sums_end_where_they_should() -> Result<()> {
    let device = Device::cpu();
    let equal = Tensor::full(5_000_000, 0.0005, DType::F32, device)?.cumsum(0)?.to_vec::<f32>()?;
    assert_eq!(equal[4_999_999], 2500.0);

    let values = terms(COUNT);
    let sums = Tensor::from_vec(values.clone(), COUNT, device)?.cumsum(0)?.to_vec::<f32>()?;
    let mut sum = 0.0;
    for (value, got) in values.iter().zip(sums) {
        sum += f64::from(*value);
        assert_eq!(got, sum as f32);
    }
    // Down the columns of a transposed tensor, and backwards.
    let columns = Tensor::from_vec(values.clone(), [3, COUNT / 3], device)?.transpose(0, 1)?;
    let last = columns.cumsum(0)?.narrow(0, COUNT / 3 - 1, 1)?.to_vec::<f32>()?;
    let backwards = Op::CumulativeSum { axis: 0, reverse: true };
    let first = Tensor::apply(&backwards, [columns])?.remove(0).narrow(0, 0, 1)?.to_vec::<f32>()?;
    for (column, values) in values.chunks(COUNT / 3).enumerate() {
        close(last[column], exact(values.to_vec()), 1e-7);
        close(first[column], exact(values.to_vec()), 1e-7);
    }
    for (dtype, epsilon) in [(DType::F16, 5e-4), (DType::BF16, 4e-3)] {
        let sums = Tensor::full(1_000_000, 0.03125, dtype, device)?.cumsum(0)?.to_dtype(DType::F64)?;
        close(sums.narrow(0, 999_999, 1)?.item()?, 31250.0, epsilon);
    }
    Ok(())
}

#[test]
fn many_additions_to_one_element_keep_their_small_terms() -> Result<()> {
    let device = Device::cpu();
    let values = terms(COUNT);
    let source = Tensor::from_vec(values.clone(), COUNT, device)?;
    // Few slots, and many of which few are used.
    for (slots, count) in [(7, COUNT), (8_000_000, 1_500_000)] {
        let targets: Vec<i64> = (0..count as i64).map(|index| if index % 3 == 0 { 5 } else { index % 7 }).collect();
        let mut want = vec![0.0f64; 7];
        targets.iter().zip(&values).for_each(|(&target, &value)| want[target as usize] += f64::from(value));
        let (source, index) = (source.narrow(0, 0, count)?, Tensor::from_vec(targets, count, device)?);
        let base = Tensor::zeros(slots, DType::F32, device)?;
        for sums in [base.scatter_add(0, &index, &source)?, base.index_add(0, &index, &source)?] {
            sums.narrow(0, 0, 7)?.to_vec::<f32>()?.iter().zip(&want).for_each(|(&got, &want)| close(got, want, 1e-7));
            assert_eq!(sums.narrow(0, 7, slots - 7)?.to_vec::<f32>()?.iter().filter(|&&rest| rest != 0.0).count(), 0);
        }
    }
    // Rows of an embedding's gradient, in a dtype that stops at 512 when ones are added.
    for slots in [3, 5000] {
        for dtype in [DType::F16, DType::BF16, DType::F32] {
            let ones = Tensor::ones([1000, 300], dtype, device)?;
            let index = Tensor::full(1000, 2, DType::I64, device)?;
            let sums = Tensor::zeros([slots, 300], dtype, device)?.index_add(0, &index, &ones)?.to_dtype(DType::F32)?;
            assert!(sums.narrow(0, 2, 1)?.to_vec::<f32>()?.iter().all(|&sum| sum == 1000.0), "{slots} {dtype}");
            assert_eq!(sums.sum(.., false)?.item()?, 300_000.0);
        }
    }
    Ok(())
}

#[test]
fn the_order_of_an_index_changes_nothing_but_rounding() -> Result<()> {
    // The path for few additions to a large tensor against the one for many, unsorted and with repetitions.
    let device = Device::cpu();
    let targets: Vec<i64> = (0..400).map(|index| index * 7919 % 97).collect();
    let index = Tensor::from_vec(targets, 400, device)?;
    let source = Tensor::from_vec(terms(3 * 400 * 5), [3, 400, 5], device)?;
    let add = |slots: usize| {
        let base = Tensor::full([3, slots, 5], 0.25, DType::F32, device)?;
        base.index_add(1, &index, &source)?.narrow(1, 0, 97)?.to_vec::<f32>()
    };
    assert_eq!(add(97)?, add(10_000)?);
    Ok(())
}

#[test]
fn long_rows_of_a_softmax_add_up() -> Result<()> {
    let device = Device::cpu();
    let logits: Vec<f32> = terms(COUNT).iter().map(|value| value * 1000.0).collect();
    let sum: f64 = logits.iter().map(|&value| (f64::from(value) - 1.0).exp()).sum();
    let x = Tensor::from_vec(logits.clone(), [1, COUNT], device)?;
    let probabilities = x.softmax(1)?.to_vec::<f32>()?;
    let logarithms = x.log_softmax(1)?.to_vec::<f32>()?;
    for index in (0..COUNT).step_by(100_003) {
        let want = (f64::from(logits[index]) - 1.0).exp() / sum;
        close(probabilities[index], want, 1e-6);
        close(logarithms[index], want.ln(), 1e-6);
    }
    // The loss of a label, smoothed over all classes.
    let target = Tensor::new([7i64], device)?;
    for smoothing in [0.0, 0.3] {
        let attributes =
            CrossEntropy { label_smoothing: smoothing.into(), reduction: ReductionKind::Mean, ..Default::default() };
        let loss = Tensor::apply(&Op::CrossEntropy(attributes), [x.clone(), target.clone()])?.remove(0).item()?;
        let log_sum = sum.ln() + 1.0;
        let missed: f64 = logits.iter().map(|&logit| log_sum - f64::from(logit)).sum();
        let want = (1.0 - smoothing) * (log_sum - f64::from(logits[7])) + smoothing / COUNT as f64 * missed;
        close(loss, want, 1e-6);
    }
    Ok(())
}

#[test]
fn products_with_a_long_inner_axis_keep_their_small_terms() -> Result<()> {
    let device = Device::cpu();
    let values = terms(COUNT);
    let one = exact(values.clone());
    let row = Tensor::from_vec(values.clone(), [1, COUNT], device)?;
    let ones = |columns: usize| Tensor::ones([COUNT, columns], DType::F32, device);
    // A dot product, weighted rows, tiles; the right matrix transposed too.
    for columns in [1, 2] {
        let row = row.expand([columns, COUNT])?;
        let right = [ones(columns)?, Tensor::ones([columns, COUNT], DType::F32, device)?.transpose(0, 1)?];
        for right in right {
            row.matmul(&right)?.to_vec::<f32>()?.iter().for_each(|&got| close(got, one, 2e-6));
            row.narrow(0, 0, 1)?.matmul(&right)?.to_vec::<f32>()?.iter().for_each(|&got| close(got, one, 2e-6));
        }
        row.matmul(&ones(1)?)?.to_vec::<f32>()?.iter().for_each(|&got| close(got, one, 2e-6));
    }
    // A bias and an activation come once, at the end.
    let weight = Tensor::ones([2, COUNT], DType::F32, device)?;
    let bias = Tensor::new([-1e6f32, 10.0], device)?;
    let linear = Op::Linear { activation: osnova_tensor::Activation::Relu, bias: true };
    let out = Tensor::apply(&linear, [row, weight, bias])?.remove(0).to_vec::<f32>()?;
    assert_eq!(out[0], 0.0);
    close(out[1], one + 10.0, 2e-6);
    let halves = Tensor::full([1, 1_000_000], 0.03125, DType::F16, device)?;
    close(halves.matmul(&Tensor::ones([1_000_000, 1], DType::F16, device)?)?.item()?, 31250.0, 5e-4);
    Ok(())
}

#[test]
fn means_and_norms_of_many_are_right_along_any_axis() -> Result<()> {
    let device = Device::cpu();
    let values = terms(COUNT);
    let x = Tensor::from_vec(values.clone(), COUNT, device)?;
    close(x.sum(.., false)?.item()?, exact(values.clone()), 1e-6);
    close(x.mean(.., false)?.item()?, exact(values.clone()) / COUNT as f64, 1e-6);
    close(x.square()?.sum(.., false)?.item()?, values.iter().map(|&v| f64::from(v).powi(2)).sum(), 1e-6);
    let mean = exact(values.clone()) / COUNT as f64;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / COUNT as f64;
    let squares = (&x - &x.mean(.., true)?)?.square()?;
    close(squares.mean(.., false)?.item()?, variance, 1e-5);
    // Two columns; every second element; a view whose rows are no single run.
    let columns = x.reshape([COUNT / 2, 2])?;
    let want = [0, 1].map(|column| exact(values.iter().copied().skip(column).step_by(2)));
    columns.sum(0, false)?.to_vec::<f32>()?.iter().zip(want).for_each(|(&got, want)| close(got, want, 1e-6));
    close(columns.narrow(1, 1, 1)?.sum(.., false)?.item()?, want[1], 1e-6);
    let wide = x.reshape([3, COUNT / 3])?.narrow(1, 0, COUNT / 3 - 1)?;
    let missing: f64 = (1..=3).map(|row| f64::from(values[row * COUNT / 3 - 1])).sum();
    close(wide.sum(.., false)?.item()?, exact(values.clone()) - missing, 1e-6);
    Ok(())
}
