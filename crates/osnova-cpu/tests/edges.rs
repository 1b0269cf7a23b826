//! Edges of meaning, where backends and libraries differ.

use osnova_cpu::CpuDevice;
use osnova_tensor::{DType, Device, Result, Tensor};

#[test]
fn a_bound_that_is_nan_makes_everything_nan() -> Result<()> {
    let nan = f64::NAN;
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        let x = (Tensor::arange(-6, 6, 1, Device::cpu())?.to_dtype(dtype)? * 0.5)?;
        for (low, high) in [(nan, 1.0), (-1.0, nan), (nan, nan), (nan, f64::NEG_INFINITY)] {
            let clamped = x.clamp(low, high)?.to_dtype(DType::F64)?.to_vec::<f64>()?;
            assert!(clamped.iter().all(|value| value.is_nan()), "{dtype} {low} {high}: {clamped:?}");
        }
        let kept = x.clamp(-1.0, 1.0)?.to_dtype(DType::F64)?.to_vec::<f64>()?;
        assert_eq!((kept[0], kept[6], kept[11]), (-1.0, 0.0, 1.0));
    }
    let integers = Tensor::new([1i64, 2], Device::cpu())?;
    assert!(integers.clamp(nan, 1.0).is_err() && integers.clamp(0i64, nan).is_err());
    Ok(())
}
