//! Indices of every dtype that may be one.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_tensor::{CrossEntropy, DType, Device, Error, ReductionKind, Result, Tensor};

fn index(values: &[i64], dtype: DType) -> Result<Tensor> {
    Tensor::from_indices(values.to_vec(), values.len(), dtype, Device::cpu())
}

/// Everything that takes an index gives the same bits for each of its dtypes, forwards and backwards.
#[test]
fn every_dtype_gives_the_same() -> Result<()> {
    let run = |dtype: DType| -> Result<Vec<Vec<f32>>> {
        let x = Tensor::new([[0.5f32, -1.0, 2.0], [1.5, 0.25, -0.75], [3.0, 1.0, 0.0]], Device::cpu())?;
        let x = x.to_device(Device::cpu().autodiff())?.tracked()?;
        let rows = index(&[2, 0, 2], dtype)?;
        let targets = index(&[1, 2, 0], dtype)?;
        let weight = Tensor::new([1.0f32, 2.0, 0.5], Device::cpu())?;
        let places = rows.unsqueeze(1)?.expand([3, 3])?;
        let options = CrossEntropy { ignore_index: Some(2), reduction: ReductionKind::Sum, ..CrossEntropy::default() };
        let outputs = [
            x.index_select(0, &rows)?,
            x.gather(0, &places)?,
            x.index_add(1, &rows, &x)?,
            x.scatter_add(0, &places, &x)?,
            x.cross_entropy(&targets)?,
            x.cross_entropy_with(&targets, Some(&weight), options)?,
            (&x * rows.one_hot(3, DType::F32)?)?,
        ];
        let mut all = Vec::new();
        for output in outputs {
            let loss = output.square()?.sum(.., false)?;
            all.push(output.to_vec::<f32>()?);
            all.push(loss.backward()?.get(&x).expect("it moves").to_vec::<f32>()?);
        }
        Ok(all)
    };
    let wide = run(DType::I64)?;
    assert_eq!(run(DType::I32)?, wide);
    assert_eq!(run(DType::U32)?, wide);
    Ok(())
}

#[test]
fn out_of_range_is_told_alike() -> Result<()> {
    let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], Device::cpu())?;
    let dtypes = [DType::I64, DType::I32, DType::U32];
    for (values, told) in [([0, 2], "2"), ([-1, 0], "-1"), ([i64::from(u32::MAX), 0], "4294967295")] {
        for dtype in dtypes {
            let Ok(index) = index(&values, dtype) else { continue };
            let message = x.index_select(0, &index).unwrap_err().to_string();
            assert!(message.contains(&format!("index {told} is out of range for axis 0 of size 2")), "{message}");
            let message = x.cross_entropy(&index).unwrap_err().to_string();
            assert!(message.contains(&format!("target {told} of sample")), "{message}");
        }
    }
    Ok(())
}

/// −100 is no number that a u32 holds: nothing is ignored, and nothing is taken for it.
#[test]
fn an_ignored_class_that_the_dtype_lacks_occurs_nowhere() -> Result<()> {
    let options = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
    for dtype in [DType::F32, DType::F16] {
        // f16 is decomposed, f32 is not.
        let logits = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], Device::cpu())?.to_dtype(dtype)?;
        let signed = logits.cross_entropy_with(&index(&[1, 0], DType::I32)?, None, options)?;
        let unsigned = logits.cross_entropy_with(&index(&[1, 0], DType::U32)?, None, options)?;
        assert_eq!(signed.to_host()?, unsigned.to_host()?);
        // What −100 becomes when its bits are read as those of a u32.
        let far = index(&[1, i64::from(u32::MAX) - 99], DType::U32)?;
        assert!(logits.cross_entropy_with(&far, None, options).and_then(|loss| loss.to_host()).is_err());
    }
    Ok(())
}

#[test]
fn other_dtypes_are_refused() -> Result<()> {
    let x = Tensor::new([[1.0f32, 2.0]], Device::cpu())?;
    for dtype in [DType::U8, DType::Bool, DType::F32, DType::F64, DType::F16, DType::BF16] {
        let zeros = Tensor::zeros([1], dtype, Device::cpu())?;
        for result in [x.index_select(0, &zeros), x.cross_entropy(&zeros), zeros.one_hot(2, DType::F32)] {
            let error = result.unwrap_err();
            assert!(matches!(*error, Error::DType { .. }) && error.to_string().contains("i64, i32 or u32"), "{error}");
        }
        assert!(Tensor::from_indices(vec![0], 1, dtype, Device::cpu()).is_err());
    }
    assert!(Tensor::from_indices(vec![-1], 1, DType::U32, Device::cpu()).is_err());
    assert!(Tensor::from_indices(vec![1 << 31], 1, DType::I32, Device::cpu()).is_err());
    Ok(())
}

/// Offsets beyond the matrix are those at its edge, also where their sum with a row would overflow.
#[test]
fn triangles_far_off_the_diagonal() -> Result<()> {
    let x = Tensor::ones([3, 2], DType::F32, Device::cpu())?;
    for (offset, lower) in [(i64::MAX, 6.0), (2, 6.0), (-3, 0.0), (i64::MIN, 0.0)] {
        assert_eq!(x.tril(offset)?.sum(.., false)?.to_vec::<f32>()?, [lower], "{offset}");
        assert_eq!(x.triu(offset)?.sum(.., false)?.to_vec::<f32>()?, [6.0 - lower], "{offset}");
    }
    Ok(())
}
