//! Formulas of normal distributions keep their digits.

use osnova_cpu::CpuDevice;
use osnova_generative::DiagonalGaussian;
use osnova_tensor::{DType, Device, Tensor};

fn tensor(values: &[f64], dtype: DType) -> Tensor {
    Tensor::from_vec(values.to_vec(), [1, values.len()], Device::cpu()).unwrap().to_dtype(dtype).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_host().unwrap().to_f64()
}

#[test]
fn a_divergence_near_the_standard_normal_is_not_rounding() {
    // ½(eˡ − l − 1) = l²/4 + l³/12 + …
    let logarithms = [1e-4, -1e-4, 1e-3, -3e-3];
    let posterior = DiagonalGaussian::new(tensor(&[0.0; 4], DType::F32), tensor(&logarithms, DType::F32)).unwrap();
    let divergence = values(&posterior.kl_to_standard_normal().unwrap());
    for (found, l) in divergence.iter().zip(logarithms) {
        let exact = l * l / 4.0 + l.powi(3) / 12.0;
        assert!((found - exact).abs() < 1e-2 * exact, "{found:e} instead of {exact:e}");
    }
}
