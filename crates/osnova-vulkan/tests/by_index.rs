//! Sorting and adding by index, beyond the sizes of the conformance kit.

mod common;

use common::device;
use osnova_tensor::{DType, HostData, Result, Tensor};

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
