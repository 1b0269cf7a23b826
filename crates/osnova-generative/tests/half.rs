//! Formulas of normal distributions keep their digits: near σ = 1, and in half types, where squares leave the range.

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

#[test]
fn half_types_are_rounded_once() {
    let (mean, logarithms, code) = ([300.0, -0.5, 0.25], [4.0, -1.0, 0.5], [100.0, 0.75, -1.5]);
    for dtype in [DType::F16, DType::BF16] {
        // The numbers as the half type has them, in f64.
        let exact = |numbers: &[f64]| tensor(numbers, dtype).to_dtype(DType::F64).unwrap();
        let rounded = DiagonalGaussian::new(tensor(&mean, dtype), tensor(&logarithms, dtype)).unwrap();
        let wide = DiagonalGaussian::new(exact(&mean), exact(&logarithms)).unwrap();
        let check = |what: &str, found: Tensor, expected: Tensor| {
            assert_eq!(found.dtype(), dtype, "{what}");
            let expected = expected.to_dtype(dtype).unwrap();
            assert_eq!(values(&found), values(&expected), "{what} in {dtype}");
        };
        // 300² leaves f16, half of it does not.
        check("the divergence", rounded.kl_to_standard_normal().unwrap(), wide.kl_to_standard_normal().unwrap());
        let noise = [0.3, -1.2, 2.0];
        check(
            "a code",
            rounded.sample_with(&tensor(&noise, dtype)).unwrap(),
            wide.sample_with(&exact(&noise)).unwrap(),
        );
        check(
            "the density",
            rounded.log_density(&tensor(&code, dtype)).unwrap(),
            wide.log_density(&exact(&code)).unwrap(),
        );
    }
}
