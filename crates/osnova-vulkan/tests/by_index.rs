//! Sorting and adding by index, beyond the sizes of the conformance kit.

mod common;

use common::device;
use osnova_tensor::{CrossEntropy, DType, Device, HostData, Op, Result, Tensor};

/// Numbers from 0 up to `below`, the same every time (Knuth's linear congruential generator).
fn drawn(count: usize, below: u64) -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    })
}

/// The positions of a row in order: stable, NaN the largest, −0 as 0.
fn order(row: &[f64], descending: bool) -> Vec<i64> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&left, &right| {
        let (left, right) = if descending { (row[right], row[left]) } else { (row[left], row[right]) };
        left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
    });
    order.into_iter().map(|at| at as i64).collect()
}

fn check_sort(rows: &Tensor, descending: bool) -> Result<()> {
    let length = rows.dims()[1];
    let (values, positions) = rows.sort(1, descending)?;
    let (data, values, positions) = (rows.to_host()?, values.to_host()?, positions.to_vec::<i64>()?);
    let numbers = data.to_f64();
    let size = rows.dtype().size();
    for (row, numbers) in numbers.chunks(length).enumerate() {
        let expected = order(numbers, descending);
        let context = format!("row {row} of {length} {}, descending: {descending}", rows.dtype());
        assert!(positions[row * length..][..length] == expected, "{context}");
        let bits = |data: &HostData, place: usize| data.as_bytes()[(row * length + place) * size..][..size].to_vec();
        for (at, from) in expected.into_iter().enumerate() {
            assert!(bits(&values, at) == bits(&data, from as usize), "the value of {context}");
        }
    }
    Ok(())
}

/// Rows on both sides of what a workgroup sorts at once, with many equal elements, NaN and both zeros.
#[test]
fn long_rows_are_sorted() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for (rows, length) in [(3, 1500), (2, 2048), (2, 2049), (3, 5000), (1, 100_000)] {
        let numbers: Vec<f64> = drawn(rows * length, 600)
            .map(|number| match number {
                0 => f64::NAN,
                1 => -0.0,
                2 => f64::NEG_INFINITY,
                3 => f64::INFINITY,
                number => (number as f64 - 300.0) / 4.0,
            })
            .collect();
        for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
            if device.capabilities().dtypes.contains(dtype) {
                let x = Tensor::from_host(HostData::from_f64(dtype, &numbers), [rows, length], device)?;
                check_sort(&x, false)?;
                check_sort(&x, true)?;
            }
        }
        let integers: Vec<i64> = drawn(rows * length, 1 << 30).map(|number| number as i64 - (1 << 29)).collect();
        let x = Tensor::from_vec(integers, [rows, length], device)?;
        check_sort(&x, true)?;
        for dtype in [DType::I32, DType::U8, DType::Bool] {
            check_sort(&x.to_dtype(dtype)?, false)?;
        }
        // Along the other axis, backwards in memory.
        let columns = x.transpose(0, 1)?.contiguous()?.transpose(0, 1)?;
        check_sort(&columns, false)?;
    }
    Ok(())
}

/// More short rows than a workgroup holds, which lie side by side in memory or one after the other.
#[test]
fn short_rows_share_a_workgroup() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for (rows, length) in [(5000, 3), (700, 17), (9, 513), (100_000, 1)] {
        let numbers: Vec<f32> = drawn(rows * length, 50).map(|number| number as f32).collect();
        let x = Tensor::from_vec(numbers, [rows, length], device)?;
        check_sort(&x, false)?;
        check_sort(&x.transpose(0, 1)?.contiguous()?.transpose(0, 1)?, true)?;
    }
    Ok(())
}

#[test]
fn the_largest_few() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let numbers: Vec<f32> = drawn(4 * 3000, 1 << 24).map(|number| number as f32).collect();
    let x = Tensor::from_vec(numbers.clone(), [4, 3000], device)?;
    let (values, positions) = x.topk(5, 1, true)?;
    let (values, positions) = (values.to_vec::<f32>()?, positions.to_vec::<i64>()?);
    for (row, numbers) in numbers.chunks(3000).enumerate() {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(|left, right| right.total_cmp(left));
        assert_eq!(values[5 * row..][..5], sorted[..5]);
        assert!((0..5).all(|at| numbers[positions[5 * row + at] as usize] == sorted[at]));
    }
    Ok(())
}

#[test]
fn classes_as_rows_of_zeros_and_a_one() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let classes = Tensor::new([2i64, 0, 3, -1], device)?;
    let expected = [0.0f32, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(classes.one_hot(3, DType::F32)?.to_vec::<f32>()?, expected);
    Ok(())
}

/// Many indices into few rows, one of them drawn far more often than the others: near the exact sums, and the same bits in every run, along
/// any axis and by either operation.
#[test]
fn many_indices_add_in_an_order_that_never_changes() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let (rows, columns, count) = (100usize, 7usize, 10_000usize);
    let index: Vec<i64> = drawn(count, 200).map(|row| if row < 100 { row as i64 } else { 42 }).collect();
    let source: Vec<f32> = drawn(count * columns, 1 << 20).map(|number| number as f32 / 300.0 - 1000.0).collect();
    let base: Vec<f32> = drawn(rows * columns, 1000).map(|number| number as f32 / 7.0).collect();
    let mut exact: Vec<(f64, f64)> = base.iter().map(|&value| (value.into(), f64::from(value).abs())).collect();
    for (&row, addends) in index.iter().zip(source.chunks(columns)) {
        for ((sum, size), &addend) in exact[row as usize * columns..][..columns].iter_mut().zip(addends) {
            *sum += f64::from(addend);
            *size += f64::from(addend).abs();
        }
    }
    let index = Tensor::from_vec(index, [count], device)?;
    let source = Tensor::from_vec(source, [count, columns], device)?;
    let base = Tensor::from_vec(base, [rows, columns], device)?;
    let before = base.to_vec::<f32>()?;
    let sums = base.index_add(0, &index, &source)?.to_vec::<f32>()?;
    // A chain of 64 additions, one over the blocks of 64, and what the base adds.
    let chain = (64 + count / 64 + 2) as f64;
    for (&sum, &(exact, size)) in sums.iter().zip(&exact) {
        let bound = chain * f64::from(f32::EPSILON) * size;
        assert!((f64::from(sum) - exact).abs() <= bound, "{sum} instead of {exact} ± {bound}");
    }
    let check = |again: Tensor| -> Result<()> {
        let again = again.to_vec::<f32>()?;
        assert!(again.iter().zip(&sums).all(|(again, first)| again.to_bits() == first.to_bits()));
        Ok(())
    };
    check(base.index_add(0, &index, &source)?)?;
    let wide = index.unsqueeze(1)?.expand([count, columns])?;
    check(base.scatter_add(0, &wide, &source)?)?;
    // Along the last axis, from a transposed source.
    check(base.t()?.contiguous()?.index_add(1, &index, &source.t()?)?.t()?)?;
    check(base.t()?.scatter_add(1, &wide.t()?, &source.t()?)?.t()?)?;
    // The base kept its values so far; the last handle on it may be written to.
    assert_eq!(base.to_vec::<f32>()?, before);
    let op = osnova_tensor::Op::IndexAdd { axis: 0 };
    check(device.apply(&op, [base, index, source].into_iter().collect())?[0].clone())
}

/// Each row with an index of its own; half types and bytes among them. Runs of equal indices that end with a block of 64, before it and
/// after it; one that goes over all.
#[test]
fn long_rows_scatter() -> Result<()> {
    for (size, count) in [(50, 5000), (2, 5000), (1, 1000), (1, 64), (1, 65), (7, 448), (20, 300), (4000, 70)] {
        scatter(3, size, count)?;
    }
    Ok(())
}

fn scatter(rows: usize, size: usize, count: usize) -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let index: Vec<i64> = drawn(rows * count, size as u64).map(|at| at as i64).collect();
    let source: Vec<i64> = drawn(rows * count, 9).map(|number| number as i64 - 4).collect();
    let mut expected = vec![3i64; rows * size];
    for (at, (&chosen, &addend)) in index.iter().zip(&source).enumerate() {
        expected[at / count * size + chosen as usize] += addend;
    }
    let index = Tensor::from_vec(index, [rows, count], device)?;
    let source = Tensor::from_vec(source, [rows, count], device)?;
    for dtype in [DType::I64, DType::I32, DType::F32, DType::F64, DType::F16, DType::BF16] {
        if device.capabilities().dtypes.contains(dtype) {
            let base = Tensor::full([rows, size], 3i64, DType::I64, device)?.to_dtype(dtype)?;
            let sums = base.scatter_add(1, &index, &source.to_dtype(dtype)?)?;
            // Sums of a few hundred: half types hold those up to 256, and round once beyond.
            let rounded = Tensor::from_vec(expected.clone(), [rows, size], device)?.to_dtype(dtype)?;
            assert!(sums.to_host()?.as_bytes() == rounded.to_host()?.as_bytes(), "{count} of {dtype} into {size}");
        }
    }
    // Bytes wrap.
    let base = Tensor::full([rows, size], 3u8, DType::U8, device)?;
    let sums = base.scatter_add(1, &index, &source.to_dtype(DType::U8)?)?.to_vec::<u8>()?;
    assert!(sums.iter().zip(&expected).all(|(&sum, &exact)| sum == exact as u8));
    Ok(())
}

/// An index out of range among so many that they are sorted, and among few.
#[test]
fn wrong_indices_are_told() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for count in [5usize, 3000] {
        let wrong: Vec<i64> = (0..count as i64).map(|at| if at == 3 { -2 } else { at % 4 }).collect();
        let index = Tensor::from_vec(wrong, [count], device)?;
        let source = Tensor::full([count], 1.0f32, DType::F32, device)?;
        let sums = Tensor::zeros([4], DType::F32, device)?.index_add(0, &index, &source)?;
        let message = sums.to_vec::<f32>().unwrap_err().to_string();
        assert!(
            message.contains("index_add") && message.contains("index -2 is out of range for axis 0 of size 4"),
            "{message}"
        );
    }
    Ok(())
}

/// The dtypes of indices that the device has.
fn index_dtypes(device: Device) -> impl Iterator<Item = DType> {
    DType::INDICES.into_iter().filter(move |&dtype| device.capabilities().dtypes.contains(dtype))
}

/// Everything by an index of each dtype, few and many of them, the index a view that does not begin at 0.
#[test]
fn indices_of_every_dtype() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for dtype in index_dtypes(device) {
        for count in [5usize, 3000] {
            let chosen: Vec<i64> = drawn(count, 7).map(|index| index as i64).collect();
            // Every second element, the first one left out, is the index; what lies between is out of range.
            let spread: Vec<i64> = chosen.iter().flat_map(|&index| [9, index]).collect();
            let index = Tensor::from_indices(spread, [count, 2], dtype, device)?.narrow(1, 1, 1)?.reshape([count])?;
            let rows = Tensor::from_vec((0..21).map(|at| at as f32).collect::<Vec<_>>(), [7, 3], device)?;
            let picked: Vec<f32> =
                chosen.iter().flat_map(|&row| (0..3).map(move |column| (row * 3 + column) as f32)).collect();
            assert_eq!(rows.index_select(0, &index)?.to_vec::<f32>()?, picked, "{dtype}");
            let wide = index.unsqueeze(1)?.expand([count, 3])?;
            assert_eq!(rows.gather(0, &wide)?.to_vec::<f32>()?, picked, "{dtype}");
            let mut counts = vec![0.0f32; 21];
            chosen.iter().for_each(|&row| (0..3).for_each(|column| counts[row as usize * 3 + column] += 1.0));
            let (zeros, ones) =
                (Tensor::zeros([7, 3], DType::F32, device)?, Tensor::ones([count, 3], DType::F32, device)?);
            assert_eq!(zeros.index_add(0, &index, &ones)?.to_vec::<f32>()?, counts, "{dtype}");
            assert_eq!(zeros.scatter_add(0, &wide, &ones)?.to_vec::<f32>()?, counts, "{dtype}");
        }
    }
    device.synchronize()
}

/// Numbers of each dtype that are out of range are told as what they are: negative ones, and those beyond what i32 holds.
#[test]
fn wrong_indices_of_every_dtype() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for dtype in index_dtypes(device) {
        let wrong: &[i64] = match dtype {
            DType::I64 => &[4, -1, i64::MIN, 1 << 32, (1 << 32) + 1],
            DType::I32 => &[4, -1, i32::MIN as i64, i32::MAX as i64],
            _ => &[4, 1 << 31, u32::MAX as i64],
        };
        for &wrong in wrong {
            for count in [3usize, 40] {
                let mut indices: Vec<i64> = (0..count as i64).map(|at| at % 4).collect();
                indices[1] = wrong;
                let index = Tensor::from_indices(indices, [count], dtype, device)?;
                let (x, source) = (Tensor::zeros([4], DType::F32, device)?, Tensor::ones([count], DType::F32, device)?);
                let logits = Tensor::zeros([count, 4], DType::F32, device)?;
                let outcomes = [
                    x.index_select(0, &index)?,
                    x.gather(0, &index)?,
                    x.index_add(0, &index, &source)?,
                    x.scatter_add(0, &index, &source)?,
                    logits.cross_entropy(&index)?,
                ];
                for outcome in outcomes {
                    let message = outcome.to_vec::<f32>().unwrap_err().to_string();
                    assert!(message.contains(&format!("index {wrong} is out of range")), "{dtype}: {message}");
                }
            }
        }
    }
    device.synchronize()
}

/// Labels of each dtype give the same loss and gradient to the bit, with weights and an ignored label too.
#[test]
fn labels_of_every_dtype() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let (samples, classes) = (300usize, 5usize);
    let numbers: Vec<f32> = drawn(samples * classes, 1000).map(|number| number as f32 / 100.0 - 5.0).collect();
    let logits = Tensor::from_vec(numbers, [samples, classes], device)?;
    let weight = Tensor::new([1.0f32, 2.0, 0.5, 0.0, 3.0], device)?;
    let labels: Vec<i64> = drawn(samples, classes as u64).map(|label| label as i64).collect();
    for (weighted, ignore_index) in [(false, None), (true, Some(3)), (false, Some(2)), (true, Some(-100))] {
        let options = CrossEntropy { weighted, ignore_index, with_gradient: true, ..CrossEntropy::default() };
        let run = |dtype: DType| -> Result<Vec<Vec<f32>>> {
            let target = Tensor::from_indices(labels.clone(), [samples], dtype, device)?;
            let mut inputs = vec![logits.clone(), target];
            inputs.extend(weighted.then(|| weight.clone()));
            Tensor::apply(&Op::CrossEntropy(options), inputs)?.iter().map(Tensor::to_vec).collect()
        };
        let first = run(DType::I32)?;
        assert!(first[0][0].is_finite() && first[0][0] > 0.0);
        for dtype in index_dtypes(device) {
            assert_eq!(run(dtype)?, first, "{dtype}, {options:?}");
        }
    }
    Ok(())
}
