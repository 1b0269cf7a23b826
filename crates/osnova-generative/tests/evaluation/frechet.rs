//! The Fréchet distance against closed forms and SciPy.

use crate::common::{normal, refusal};
use osnova_cpu::CpuDevice;
use osnova_generative::evaluation::frechet_distance;
use osnova_tensor::{DType, Device, Tensor};
use proptest::prelude::*;

fn features(values: &[f64], width: usize) -> Tensor {
    Tensor::from_slice(values, [values.len() / width, width], Device::cpu()).unwrap()
}

/// Values, and their width.
fn sets() -> impl Strategy<Value = (Vec<f64>, usize)> {
    (2_usize..12, 1_usize..6, any::<u64>())
        .prop_map(|(samples, width, seed)| (normal(samples * width, seed).into_iter().map(f64::from).collect(), width))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

proptest! {
    #[test]
    fn a_set_is_no_distance_from_itself_and_the_square_of_a_shift_from_its_shifted_self(
        (values, width) in sets(), shift in -3.0..3.0_f64,
    ) {
        let set = features(&values, width);
        prop_assert!(frechet_distance(&set, &set).unwrap() < 1e-6);
        let shifted: Vec<f64> = values.iter().map(|value| value + shift).collect();
        let distance = frechet_distance(&set, &features(&shifted, width)).unwrap();
        prop_assert!((distance - width as f64 * shift * shift).abs() < 1e-6, "{distance}");
    }

    /// Σ₂ = s²Σ₁ gives (s − 1)² tr Σ₁, about means that differ by (s − 1)μ.
    #[test]
    fn a_stretched_set_is_as_far_as_its_deviations_say((values, width) in sets(), scale in 0.0..4.0_f64) {
        let stretched: Vec<f64> = values.iter().map(|value| value * scale).collect();
        let distance = frechet_distance(&features(&values, width), &features(&stretched, width)).unwrap();
        let column = |i: usize| values.iter().skip(i).step_by(width).copied().collect::<Vec<_>>();
        let expected: f64 = (0..width).map(|i| mean(&column(i)).powi(2) + deviation(&column(i)).powi(2)).sum();
        prop_assert!((distance - (scale - 1.0).powi(2) * expected).abs() < 1e-6, "{distance}");
    }

    #[test]
    fn one_feature_has_the_closed_form(seeds in any::<[u64; 2]>(), scale in 0.1..3.0_f64, shift in -2.0..2.0_f64) {
        let first: Vec<f64> = normal(9, seeds[0]).into_iter().map(f64::from).collect();
        let second: Vec<f64> = normal(14, seeds[1]).into_iter().map(|value| scale * f64::from(value) + shift).collect();
        let expected = (mean(&first) - mean(&second)).powi(2) + (deviation(&first) - deviation(&second)).powi(2);
        let distance = frechet_distance(&features(&first, 1), &features(&second, 1)).unwrap();
        prop_assert!((distance - expected).abs() < 1e-10, "{distance}, not {expected}");
    }

    #[test]
    fn there_is_as_far_as_back((values, width) in sets(), seed in any::<u64>()) {
        let other: Vec<f64> = normal(7 * width, seed).into_iter().map(f64::from).collect();
        let (first, second) = (features(&values, width), features(&other, width));
        let (there, back) = (frechet_distance(&first, &second).unwrap(), frechet_distance(&second, &first).unwrap());
        prop_assert!((there - back).abs() < 1e-6, "{there} {back}");
    }
}

/// ```text
/// i, j = np.arange(samples)[:, None], np.arange(width)
/// a, b = np.sin(i * (j + 1) + j), 0.5 * np.cos(i * (j + 2)) + 0.1 * j
/// s, t = np.cov(a.T), np.cov(b.T)
/// ((a.mean(0) - b.mean(0))**2).sum() + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real)
/// ```
///
/// With fewer samples than features the product is singular, and `sqrtm` loses half its digits. The second value is from the
/// singular values of the centred sets' product instead: tr (ΣΣ')^½ = ‖A Bᵀ‖₊/(samples − 1).
#[test]
fn distances_agree_with_scipy() {
    for (samples, width, expected, tolerance) in
        [(12, 3, 0.587_022_233_157_743_7, 1e-12), (3, 4, 3.405_461_190_112_127_2, 1e-7)]
    {
        let set = |of: fn(f64, f64) -> f64| {
            let values = (0..samples * width).map(|at| of((at / width) as f64, (at % width) as f64));
            features(&values.collect::<Vec<_>>(), width)
        };
        let first = set(|i, j| (i * (j + 1.0) + j).sin());
        let second = set(|i, j| 0.5 * (i * (j + 2.0)).cos() + 0.1 * j);
        let distance = frechet_distance(&first, &second).unwrap();
        assert!((distance - expected).abs() < tolerance, "{distance}, not {expected}");
    }
}

#[test]
fn bad_features_are_refused() {
    let good = features(&[0.0, 1.0, 2.0, 3.0], 2);
    assert!(refusal(frechet_distance(&good, &features(&[0.0, 1.0], 1))).contains("different numbers"));
    assert!(refusal(frechet_distance(&good, &features(&[0.0, 1.0], 2))).contains("at least 2"));
    assert!(refusal(frechet_distance(&features(&[0.0, 1.0], 2), &good)).contains("at least 2"));
    assert!(refusal(frechet_distance(&good, &features(&[0.0, f64::NAN, 0.0, 1.0], 2))).contains("finite"));
    assert!(refusal(frechet_distance(&good, &features(&[0.0, f64::INFINITY, 0.0, 1.0], 2))).contains("finite"));
    let images = Tensor::zeros([2, 2, 2], DType::F32, Device::cpu()).unwrap();
    assert!(refusal(frechet_distance(&images, &good)).contains("[samples, features]"));
}
