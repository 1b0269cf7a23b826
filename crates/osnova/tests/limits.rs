//! The ends of ranges, sizes and types: what is created keeps what it documents, what has no room is refused, what is shown fits a screen.

use osnova::prelude::*;
use osnova::tensor::{HostData, Result};
use std::fmt::Debug;

fn cpu() -> Device {
    Device::cpu()
}

/// The message of a refusal: short, and of the operation that was called.
#[track_caller]
fn refusal<T: Debug>(result: Result<T>, operation: &str) -> String {
    let message = result.unwrap_err().to_string();
    assert!(message.starts_with(&format!("{operation}: ")), "{message}");
    assert!(message.len() < 2000 && !message.contains(char::is_control), "{message:?}");
    message
}

#[test]
fn uniform_numbers_keep_their_interval_in_every_dtype() -> Result<()> {
    for dtype in DType::FLOATS {
        let generator = Generator::new(1);
        for (low, high) in [(0.0, 1.0), (1.0, 2.0), (-1.0, -0.9), (0.1, 0.3), (-6e4, 6e4)] {
            let values = Tensor::uniform([10_000], low, high, dtype, &generator, cpu())?.to_host()?.to_f64();
            let stray = values.iter().find(|value| !(low..high).contains(*value));
            assert_eq!(stray, None, "{dtype} from {low} to {high}");
        }
    }
    let wide = Tensor::uniform([1000], f32::MIN.into(), f32::MAX.into(), DType::F32, &Generator::new(1), cpu())?;
    assert!(wide.to_vec::<f32>()?.iter().all(|value| value.is_finite()));
    let message = refusal(Tensor::uniform([2], 0.0, 1e300, DType::F32, &Generator::new(1), cpu()), "random");
    assert!(message.contains("f32") && message.contains("1e300"), "{message}");
    Ok(())
}

#[test]
fn linspace_ends_where_it_says() -> Result<()> {
    for dtype in DType::FLOATS {
        for count in [2, 3, 4, 5, 50, 51, 999] {
            for (start, end) in [(0.0, 1.0), (1.0, 0.0), (-0.3, 0.7), (5.0, 5.0), (-6e4, 6e4), (0.1, 0.7)] {
                let values = Tensor::linspace(start, end, count, dtype, cpu())?.to_host()?.to_f64();
                let held = |value| HostData::from_f64(dtype, &[value]).to_f64()[0];
                assert_eq!((values.len(), values[0], values[count - 1]), (count, held(start), held(end)), "{dtype}");
                let ascends = values.windows(2).all(|pair| pair[0] <= pair[1]);
                let descends = values.windows(2).all(|pair| pair[0] >= pair[1]);
                assert!(if start <= end { ascends } else { descends }, "{dtype}, {count} from {start} to {end}");
            }
        }
    }
    assert_eq!(Tensor::linspace(-1e308, 1e308, 3, DType::F64, cpu())?.to_vec::<f64>()?, [-1e308, 0.0, 1e308]);
    let most = f64::MAX;
    assert_eq!(Tensor::linspace(most, -most, 2, DType::F64, cpu())?.to_vec::<f64>()?, [most, -most]);
    assert_eq!(Tensor::linspace(0.25, 9.0, 1, DType::F32, cpu())?.to_vec::<f32>()?, [0.25]);
    assert_eq!(Tensor::linspace(0.25, 9.0, 0, DType::F32, cpu())?.dims(), [0]);
    for (start, end, dtype) in
        [(0.0, 1e300, DType::F32), (f64::NAN, 1.0, DType::F64), (0.0, 1e5, DType::F16), (0.0, 1.0, DType::I64)]
    {
        refusal(Tensor::linspace(start, end, 3, dtype, cpu()), "linspace");
    }
    let message = refusal(Tensor::linspace(0.0, 1.0, 3, DType::I64, cpu()), "linspace");
    assert!(message.contains("float"), "{message}");
    Ok(())
}

#[test]
fn ranges_end_within_their_dtype() -> Result<()> {
    assert_eq!(Tensor::arange_of(250, 1, 6, DType::U8, cpu())?.to_vec::<u8>()?, [250, 251, 252, 253, 254, 255]);
    let message = refusal(Tensor::arange_of(250, 1, 7, DType::U8, cpu()), "arange");
    assert!(message.contains("256") && message.contains("u8"), "{message}");
    refusal(Tensor::arange_of(2, -1, 4, DType::U32, cpu()), "arange");
    refusal(Tensor::arange_of(i64::MAX, 1, 2, DType::I64, cpu()), "arange");
    refusal(Tensor::arange_of(0.0, 1e38, 5, DType::F32, cpu()), "arange");
    refusal(Tensor::arange_of(0.0, 1000.0, 100, DType::F16, cpu()), "arange");
    refusal(Tensor::arange_of(f64::NAN, 1.0, 2, DType::F64, cpu()), "arange");
    let message = refusal(Tensor::arange_of(0, 1, 2, DType::Bool, cpu()), "arange");
    assert!(message.contains("truth values"), "{message}");
    let ends = Tensor::arange(i64::MIN, i64::MAX, i64::MAX, cpu())?.to_vec::<i64>()?;
    assert_eq!(ends, [i64::MIN, -1, i64::MAX - 1]);
    refusal(Tensor::arange(i64::MIN, i64::MAX, 1, cpu()), "shape");
    Ok(())
}

#[test]
fn one_value_for_all_fits_the_dtype_or_is_refused() -> Result<()> {
    refusal(Tensor::full([2], 1e300, DType::F32, cpu()), "full");
    refusal(Tensor::full([2], 70_000, DType::F16, cpu()), "full");
    refusal(Tensor::full([2], 300, DType::U8, cpu()), "full");
    refusal(Tensor::full([2], 0.5, DType::I64, cpu()), "full");
    assert_eq!(Tensor::full([1], f64::NEG_INFINITY, DType::F16, cpu())?.item()?, f64::NEG_INFINITY);
    assert_eq!(Tensor::full([1], (1_i64 << 53) + 1, DType::I64, cpu())?.to_vec::<i64>()?, [(1 << 53) + 1]);
    // Rounded once: by way of f64 this would lie in the middle, and go down.
    let value = (1_i64 << 60) + (1 << 36) + 1;
    assert_eq!(Tensor::full([1], value, DType::F32, cpu())?.to_vec::<f32>()?, [value as f32]);
    assert_eq!((Tensor::zeros([1], DType::F32, cpu())? + value)?.to_vec::<f32>()?, [value as f32]);
    let above_the_middle = Tensor::new([(1_i64 << 60) + (1 << 52) + 1], cpu())?;
    assert_eq!(above_the_middle.to_dtype(DType::BF16)?.item()?, ((1_i64 << 60) + (1 << 53)) as f64);
    Ok(())
}

#[test]
fn triangles_of_any_offset() -> Result<()> {
    let x = Tensor::ones([2, 3], DType::I64, cpu())?;
    for (offset, lower, upper) in [(i64::MAX, 6, 0), (i64::MIN, 0, 6), (3, 6, 0), (-2, 0, 6), (0, 3, 5)] {
        assert_eq!(x.tril(offset)?.sum(.., false)?.to_scalar::<i64>()?, lower, "{offset}");
        assert_eq!(x.triu(offset)?.sum(.., false)?.to_scalar::<i64>()?, upper, "{offset}");
    }
    Ok(())
}

#[test]
fn a_draw_without_room_takes_no_numbers() {
    let generator = Generator::new(1);
    let before = generator.position();
    let huge = [1 << 45];
    for dtype in [DType::F32, DType::F64, DType::F16] {
        assert!(Tensor::uniform(huge, 0.0, 1.0, dtype, &generator, cpu()).is_err());
        assert!(Tensor::normal(huge, 0.0, 1.0, dtype, &generator, cpu()).is_err());
        assert!(Tensor::bernoulli(huge, 0.5, dtype, &generator, cpu()).is_err());
    }
    refusal(Tensor::permutation(1 << 45, &generator, cpu()), "permutation");
    refusal(Tensor::permutation(usize::MAX, &generator, cpu()), "shape");
    assert_eq!(generator.position(), before);
}

#[test]
fn integers_are_shown_as_they_are() -> Result<()> {
    let values = [9_007_199_254_740_993, i64::MIN, i64::MAX, 0];
    assert_eq!(
        Tensor::new(values, cpu())?.to_string(),
        "[    9007199254740993 -9223372036854775808  9223372036854775807                    0]"
    );
    assert_eq!(Tensor::new([u32::MAX, 1], cpu())?.to_string(), "[4294967295          1]");
    assert_eq!(Tensor::new(16_777_217i32, cpu())?.to_string(), "16777217");
    Ok(())
}

#[test]
fn text_reads_only_what_it_shows() -> Result<()> {
    let one = Tensor::ones([1], DType::F32, cpu())?;
    assert_eq!(one.expand([1 << 50])?.to_string(), "[1. 1. 1. ... 1. 1. 1.]");
    let row = "[1. 1. 1. ... 1. 1. 1.]";
    let matrix = format!("[{row}\n {row}\n {row}\n ...\n {row}\n {row}\n {row}]");
    assert_eq!(one.expand([1 << 25, 1 << 25])?.to_string(), matrix);
    // Axes that stand in memory in another order, and backwards.
    let table = Tensor::arange(0, 2000, 1, cpu())?.reshape([2, 1000])?.t()?.flip(0)?;
    assert_eq!(
        table.to_string(),
        "[[ 999 1999]\n [ 998 1998]\n [ 997 1997]\n ...\n [   2 1002]\n [   1 1001]\n [   0 1000]]"
    );
    for dims in [[0, 1 << 40], [1 << 40, 0]] {
        assert_eq!(Tensor::zeros(dims, DType::F32, cpu())?.to_string(), "[]");
    }
    let many = one.expand([7; 8])?;
    assert_eq!(many.to_string().matches("1.").count(), 256);
    Ok(())
}

#[test]
fn one_number_is_asked_for_before_any_is_copied() -> Result<()> {
    let huge = Tensor::ones([1], DType::F32, cpu())?.expand([1 << 50])?;
    for message in [
        refusal(huge.item(), "item"),
        refusal(huge.to_scalar::<f32>(), "to_scalar"),
        refusal(Tensor::zeros([0], DType::F32, cpu())?.item(), "item"),
    ] {
        assert!(message.contains("exactly one"), "{message}");
    }
    // Of another type, which is told before the copy too.
    refusal(huge.to_vec::<f64>(), "to_vec");
    Ok(())
}

#[test]
fn sizes_beyond_all_memory_are_refused() -> Result<()> {
    let one = Tensor::ones([1], DType::F32, cpu())?;
    let huge = one.expand([1 << 50])?;
    let message = refusal(huge.split(1024, 0), "split");
    assert!(message.contains("out of memory"), "{message}");
    assert_eq!(huge.split(1 << 49, 0)?.len(), 2);
    assert_eq!(huge.split(usize::MAX, 0)?.len(), 1);
    refusal(huge.narrow(0, usize::MAX, 2), "narrow");
    refusal(one.pad(&[(usize::MAX, 1)], 0.0), "pad");
    refusal(one.sum(&[usize::MAX][..], false), "sum");
    refusal(one.permute(&[usize::MAX][..]), "permute");
    refusal(Tensor::zeros([usize::MAX, 64], DType::F32, cpu()), "shape");
    let message = refusal(one.expand([1 << 40, 1])? + one.expand([1 << 40])?, "add");
    assert!(message.contains("more elements than any memory"), "{message}");
    refusal(Tensor::from_values((0..1usize << 50).map(|_| 0u8), cpu()), "from_values");
    assert!(Tensor::eye(1 << 40, DType::F32, cpu()).is_err());
    assert!(Tensor::new([0i64], cpu())?.one_hot(1 << 50, DType::F32).is_err());
    Ok(())
}

#[test]
fn steps_of_any_width() -> Result<()> {
    let x = Tensor::arange(0, 12, 1, cpu())?.reshape([4, 3])?;
    for step in [isize::MAX, isize::MAX / 2] {
        assert_eq!(x.slice(0, .., step)?.to_vec::<i64>()?, [0, 1, 2]);
        assert_eq!(x.slice(0, .., -step)?.to_vec::<i64>()?, [9, 10, 11]);
    }
    assert_eq!(x.slice(1, .., isize::MIN)?.to_vec::<i64>()?, [2, 5, 8, 11]);
    assert_eq!(x.slice(0, isize::MIN..isize::MAX, 3)?.dims(), [2, 3]);
    assert_eq!(x.slice(0, ..=isize::MAX, 1)?.dims(), [4, 3]);
    assert!(x.select(0, isize::MIN).is_err() && x.select(0, isize::MAX).is_err());
    Ok(())
}

#[test]
fn messages_name_the_operation_and_stay_short() -> Result<()> {
    let message = refusal(Tensor::stack::<Tensor>(&[], 0), "stack");
    assert!(message.contains("no tensors"), "{message}");
    refusal(Tensor::concat::<Tensor>(&[], 5), "concat");
    let pieces: Vec<Tensor> = (0..100_000).map(|size| one_of(size % 3 + 1)).collect::<Result<_>>()?;
    refusal(Tensor::concat(&pieces, 1).or_else(|_| Tensor::stack(&pieces, 0)), "stack");
    let tables: Vec<Tensor> = pieces.iter().map(|piece| piece.unsqueeze(0)).collect::<Result<_>>()?;
    let message = refusal(Tensor::concat(&tables, 0), "concat");
    assert!(message.contains("99992 more"), "{message}");
    Ok(())
}

fn one_of(size: usize) -> Result<Tensor> {
    Tensor::ones([size], DType::F32, cpu())
}

#[test]
fn an_unknown_device_is_quoted() {
    for name in ["", "abacus", "\u{1b}[2J", "cpu\n", &"x".repeat(1_000_000)] {
        let message = refusal(osnova::device(name), "device");
        assert!(message.contains("there is no device of this name: \""), "{message}");
    }
}
