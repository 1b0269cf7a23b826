//! The backend works at all: values go to the device, are computed with, and come back.

use osnova_tensor::{DType, Device, Result, Tensor};
use osnova_vulkan::{VulkanDevice, available};

/// The first device; none where there is no Vulkan and nobody insists on it.
fn device() -> Option<Device> {
    match Device::vulkan(0) {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

#[test]
fn sums_of_a_chain_of_operations() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    for info in available()? {
        println!("{info}");
    }
    let x = Tensor::new([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]], device)?;
    let bias = Tensor::new([10.0f32, 20.0, 30.0], device)?;
    let y = ((&x * 2.0)? + &bias)?;
    assert_eq!(y.to_vec::<f32>()?, [12.0, 24.0, 36.0, 18.0, 30.0, 42.0]);
    let transposed = y.transpose(0, 1)?;
    assert_eq!(transposed.to_vec::<f32>()?, [12.0, 18.0, 24.0, 30.0, 36.0, 42.0]);
    let mut total = Tensor::zeros([2, 3], DType::F32, device)?;
    for _ in 0..1000 {
        total = (&total + &x)?;
    }
    assert_eq!(total.to_vec::<f32>()?, [1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0]);
    device.synchronize()
}
