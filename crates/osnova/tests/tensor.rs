//! The tensor's own promises, as a user meets them: creation, text, slicing, operators, errors.

use osnova::prelude::*;
use osnova::tensor::{Error, HostData, IntoShape, Op, Shape, bf16, f16};

fn cpu() -> Device {
    Device::cpu()
}

fn range(count: usize) -> Tensor {
    Tensor::arange(0, count as i64, 1, cpu()).unwrap()
}

fn text(tensor: &Tensor) -> String {
    tensor.to_string()
}

#[test]
fn nested_arrays_make_tensors() -> Result<()> {
    let matrix = Tensor::new([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]], cpu())?;
    assert_eq!(matrix.dims(), [3, 2]);
    assert_eq!(Tensor::new(7i64, cpu())?.dims(), [0usize; 0]);
    assert_eq!(Tensor::new(vec![vec![true, false]], cpu())?.dtype(), DType::Bool);
    assert_eq!(Tensor::new([[f16::ONE], [f16::ZERO]], cpu())?.to_vec::<f16>()?, [f16::ONE, f16::ZERO]);
    assert_eq!(Tensor::new([bf16::ONE], cpu())?.dtype(), DType::BF16);
    let ragged = Tensor::new(vec![vec![1.0f32], vec![1.0, 2.0]], cpu()).unwrap_err();
    assert!(ragged.to_string().contains("equal length"), "{ragged}");
    assert_eq!(Tensor::from_values((0..4).map(|x| x as f64), cpu())?.to_vec::<f64>()?, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(Tensor::new(Vec::<Vec<f32>>::new(), cpu())?.dims(), [0]);
    Ok(())
}

#[test]
fn a_vector_is_taken_over_and_counted() -> Result<()> {
    let tensor = Tensor::from_vec(vec![1u8, 2, 3, 4, 5, 6], [2, 3], cpu())?;
    assert_eq!(tensor.to_host()?, HostData::U8(vec![1, 2, 3, 4, 5, 6]));
    let error = Tensor::from_vec(vec![1.0f32; 5], [2, 3], cpu()).unwrap_err();
    assert!(matches!(*error, Error::Shape { .. }) && error.to_string().contains('5'), "{error}");
    assert!([usize::MAX, 2].into_shape().is_err());
    assert!(Tensor::zeros([1; 9], DType::F32, cpu()).is_err());
    Ok(())
}

#[test]
fn text_is_laid_out_like_numpys() -> Result<()> {
    assert_eq!(text(&Tensor::new([1.0f32, 2.5, -3.25], cpu())?), "[ 1.    2.5  -3.25]");
    assert_eq!(text(&Tensor::new([[1i64, 20], [300, 4]], cpu())?), "[[  1  20]\n [300   4]]");
    assert_eq!(text(&Tensor::new([true, false], cpu())?), "[ True False]");
    assert_eq!(text(&Tensor::new(0.1f32, cpu())?), "0.1");
    assert_eq!(text(&Tensor::new([1e-7f64, 1.0], cpu())?), "[1.e-07 1.e+00]");
    assert_eq!(text(&Tensor::new([f32::NAN, f32::INFINITY, 1.0], cpu())?), "[nan inf  1.]");
    assert_eq!(text(&range(8).reshape([2, 2, 2])?), "[[[0 1]\n  [2 3]]\n\n [[4 5]\n  [6 7]]]");
    assert_eq!(text(&Tensor::zeros([0, 3], DType::F32, cpu())?), "[]");
    assert_eq!(text(&range(2000)), "[   0    1    2 ... 1997 1998 1999]");
    assert_eq!(format!("{:?}", range(3)), "Tensor([3], i64, cpu)");
    Ok(())
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "bounds that run backwards are what is tested")]
fn slices_follow_python() -> Result<()> {
    let x = range(10);
    let slice = |tensor: Tensor| tensor.to_vec::<i64>().unwrap();
    assert_eq!(slice(x.slice(0, 2..5, 1)?), [2, 3, 4]);
    assert_eq!(slice(x.slice(0, ..=3, 2)?), [0, 2]);
    assert_eq!(slice(x.slice(0, -3.., 1)?), [7, 8, 9]);
    assert_eq!(slice(x.slice(0, .., -3)?), [9, 6, 3, 0]);
    assert_eq!(slice(x.slice(0, 7..2, -2)?), [7, 5, 3]);
    assert_eq!(slice(x.slice(0, 5..100, 1)?), [5, 6, 7, 8, 9]);
    assert_eq!(slice(x.slice(0, 8..3, 1)?), [0i64; 0]);
    assert_eq!(slice(x.slice(0, -100..2, 1)?), [0, 1]);
    assert!(x.slice(0, .., 0).is_err());
    assert_eq!(x.select(0, -1)?.to_scalar::<i64>()?, 9);
    assert!(x.select(0, 10).is_err());
    let y = x.reshape([2, 5])?;
    assert_eq!(slice(y.narrow(1, 1, 2)?), [1, 2, 6, 7]);
    assert!(y.narrow(1, 4, 2).is_err() && y.narrow(1, 2, usize::MAX).is_err());
    assert_eq!(slice(y.flip([0, 1])?), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(y.split(2, 1)?.iter().map(|part| part.dims()[1]).collect::<Vec<_>>(), [2, 2, 1]);
    assert!(y.split(0, 1).is_err());
    Ok(())
}

#[test]
fn shapes_change_without_copies_where_they_can() -> Result<()> {
    let x = range(24).reshape([2, 3, 4])?;
    assert_eq!(x.reshape([-1, 6])?.dims(), [4, 6]);
    assert_eq!(x.permute([2, 0, -2])?.dims(), [4, 2, 3]);
    assert_eq!(x.transpose(0, -1)?.reshape([-1])?.to_vec::<i64>()?[..3], [0, 12, 4]);
    assert_eq!(x.flatten(1, -1)?.dims(), [2, 12]);
    assert_eq!(x.unsqueeze(-1)?.unsqueeze(0)?.dims(), [1, 2, 3, 4, 1]);
    assert_eq!(x.unsqueeze(1)?.squeeze(1)?.dims(), [2, 3, 4]);
    assert!(x.squeeze(0).is_err() && x.permute([0, 1]).is_err() && x.permute([0, 0, 1]).is_err());
    assert_eq!(Tensor::stack(&[&x, &x], -1)?.dims(), [2, 3, 4, 2]);
    assert!(Tensor::stack(&[x.clone(), x.flatten(0, 1)?], 0).is_err());
    assert!(Tensor::concat::<Tensor>(&[], 0).is_err());
    assert_eq!(Tensor::new(3i64, cpu())?.expand([2, 2])?.to_vec::<i64>()?, [3; 4]);
    assert_eq!(Tensor::eye(2, DType::I32, cpu())?.to_vec::<i32>()?, [1, 0, 0, 1]);
    assert_eq!(x.select(0, 0)?.tril(0)?.to_vec::<i64>()?, [0, 0, 0, 0, 4, 5, 0, 0, 8, 9, 10, 0]);
    assert_eq!(x.select(0, 0)?.triu(1)?.to_vec::<i64>()?, [0, 1, 2, 3, 0, 0, 6, 7, 0, 0, 0, 11]);
    Ok(())
}

#[test]
fn a_formula_needs_one_question_mark() -> Result<()> {
    let (a, b, c) =
        (Tensor::new([1.0f32, 2.0], cpu())?, Tensor::new([3.0f32], cpu())?, Tensor::new([[1.0f32], [2.0]], cpu())?);
    let result = (&a * &b + &c)?;
    assert_eq!(result.to_vec::<f32>()?, [4.0, 7.0, 5.0, 8.0]);
    assert_eq!((2.0 - &a)?.to_vec::<f32>()?, [1.0, 0.0]);
    assert_eq!((&a - a.mean(0, true))?.to_vec::<f32>()?, [-0.5, 0.5]);
    assert_eq!((-&a)?.to_vec::<f32>()?, [-1.0, -2.0]);
    assert_eq!((range(3) * 2)?.to_vec::<i64>()?, [0, 2, 4]);
    let error = (range(3) * 0.5).unwrap_err();
    assert!(matches!(*error, Error::DType { .. }), "{error}");
    Ok(())
}

#[test]
fn tensors_never_change_under_their_other_handles() -> Result<()> {
    let x = Tensor::new([1.0f32, 2.0, 3.0], cpu())?;
    let view = x.narrow(0, 1, 2)?;
    let kept = x.clone();
    let moved = (x + 10.0)?;
    assert_eq!(kept.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    drop(kept);
    // The view still holds the buffer: the next operation must not write into it.
    let again = (moved * 2.0)?;
    assert_eq!(again.to_vec::<f32>()?, [22.0, 24.0, 26.0]);
    assert_eq!(view.to_vec::<f32>()?, [2.0, 3.0]);
    Ok(())
}

#[test]
fn errors_say_what_would_mend_them() -> Result<()> {
    let (a, b) = (Tensor::zeros([2, 3], DType::F32, cpu())?, Tensor::zeros([4], DType::F32, cpu())?);
    let message = (&a + &b).unwrap_err().to_string();
    assert!(message.contains("add") && message.contains("[2, 3]") && message.contains("[4]"), "{message}");
    let message = a.matmul(&a).unwrap_err().to_string();
    assert!(message.contains("matmul") && message.contains("transpose"), "{message}");
    let message = (&a + Tensor::zeros([3], DType::F64, cpu())?).unwrap_err().to_string();
    assert!(message.contains("f32") && message.contains("f64") && message.contains("to_dtype"), "{message}");
    let message = a.sum(2, false).unwrap_err().to_string();
    assert!(message.contains("axis 2") && message.contains("-2 to 1"), "{message}");
    let message = a.to_vec::<f64>().unwrap_err().to_string();
    assert!(message.contains("to_dtype"), "{message}");
    let message = a.item().unwrap_err().to_string();
    assert!(message.contains("exactly one"), "{message}");
    let message = a.index_select(0, &Tensor::new([2i64], cpu())?).unwrap_err().to_string();
    assert!(message.contains("index 2") && message.contains("size 2"), "{message}");
    assert!(Tensor::uniform([2], 1.0, 0.0, DType::F32, &Generator::new(0), cpu()).is_err());
    assert!(Tensor::bernoulli([2], 1.5, DType::F32, &Generator::new(0), cpu()).is_err());
    assert!(Tensor::normal([2], 0.0, 1.0, DType::I64, &Generator::new(0), cpu()).is_err());
    assert!(Tensor::arange(0, 5, 0, cpu()).is_err());
    Ok(())
}

#[test]
fn handles_and_results_are_small() {
    assert_eq!(size_of::<Tensor>(), 16);
    assert_eq!(size_of::<Result<Tensor>>(), 16);
    assert_eq!(size_of::<Device>(), 16);
}

#[test]
fn tensors_of_strange_devices_do_not_mix() -> Result<()> {
    let other = Device::cpu_with_threads(1)?;
    let (a, b) = (Tensor::ones([2], DType::F32, cpu())?, Tensor::ones([2], DType::F32, other)?);
    let error = (&a + &b).unwrap_err();
    assert!(matches!(*error, Error::Devices { .. }), "{error}");
    assert_eq!((&a + b.to_device(cpu())?)?.to_vec::<f32>()?, [2.0, 2.0]);
    assert_eq!(Device::cpu_with_threads(1)?, other);
    assert_ne!(other, cpu());
    Ok(())
}

#[test]
fn operations_are_values() -> Result<()> {
    let op = Op::Reshape { shape: Shape::new(&[3, 2])? };
    assert_eq!(op, op.clone());
    assert_eq!(op.name(), "reshape");
    let outputs = Tensor::apply(&op, [range(6)])?;
    assert_eq!(outputs[0].dims(), [3, 2]);
    Ok(())
}

#[test]
fn random_numbers_depend_on_the_seed_alone() -> Result<()> {
    let draw = |device| Tensor::normal([1000], 0.0, 1.0, DType::F32, &Generator::new(3), device)?.to_vec::<f32>();
    assert_eq!(draw(cpu())?, draw(Device::cpu_with_threads(3)?)?);
    let generator = Generator::new(3);
    let first = Tensor::uniform([6], 0.0, 1.0, DType::F32, &generator, cpu())?.to_vec::<f32>()?;
    let second = Tensor::uniform([6], 0.0, 1.0, DType::F32, &generator, cpu())?.to_vec::<f32>()?;
    assert_ne!(first, second);
    // A refused draw takes nothing.
    let before = generator.position();
    assert!(Tensor::uniform([6], 2.0, 1.0, DType::F32, &generator, cpu()).is_err());
    assert_eq!(generator.position(), before);
    assert_eq!(Tensor::permutation(5, &Generator::new(1), cpu())?.sum(.., false)?.to_scalar::<i64>()?, 10);
    Ok(())
}

#[test]
fn empty_tensors_work() -> Result<()> {
    let x = Tensor::zeros([0, 3], DType::F32, cpu())?;
    assert_eq!(x.sum(0, false)?.to_vec::<f32>()?, [0.0; 3]);
    assert_eq!(x.max(0, false)?.to_vec::<f32>()?, [f32::NEG_INFINITY; 3]);
    assert_eq!(x.t()?.matmul(&x)?.to_vec::<f32>()?, [0.0; 9]);
    assert_eq!(x.softmax(1)?.dims(), [0, 3]);
    assert!(x.mean(.., false)?.item()?.is_nan());
    assert_eq!(x.sort(0, false)?.0.dims(), [0, 3]);
    assert_eq!(Tensor::concat(&[&x, &Tensor::ones([1, 3], DType::F32, cpu())?], 0)?.dims(), [1, 3]);
    Ok(())
}
