//! Tensors that no memory holds: a typed error, and the program goes on.

use osnova_cpu::CpuDevice;
use osnova_tensor::{DType, Device, Error, Result, Tensor};

fn refused<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(matches!(*error, Error::Device { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("out of memory") && message.contains("GiB"), "{message}");
}

#[test]
fn a_tensor_that_no_memory_holds_is_refused() -> Result<()> {
    let device = Device::cpu();
    refused(Tensor::zeros(1usize << 58, DType::F32, device));
    refused(Tensor::arange(0, 1 << 58, 1, device));
    // Views of any size cost nothing; what would make them real is refused.
    let (column, row) =
        (Tensor::ones([1 << 22, 1], DType::F32, device)?, Tensor::ones([1, 1 << 22], DType::F32, device)?);
    refused(&column + &row);
    refused(column.matmul(&row));
    let square = row.expand([1 << 22, 1 << 22])?;
    refused(square.contiguous());
    refused(square.reshape(1usize << 44));
    refused(square.to_vec::<f32>());
    let corner = square.narrow(0, 0, 1)?.narrow(1, (1 << 22) - 2, 2)?;
    assert_eq!(corner.to_vec::<f32>()?, [1.0, 1.0]);
    Ok(())
}
