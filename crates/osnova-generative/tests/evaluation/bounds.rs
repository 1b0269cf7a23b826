//! The bounds of the likelihood, on models whose likelihood is known.

use crate::common::{empty, linear, loader, normal, refusal, shift};
use osnova_cpu::CpuDevice;
use osnova_data::{DataLoader, digits};
use osnova_generative::evaluation::{evidence_lower_bound, importance_weighted_bound, importance_weighted_bounds};
use osnova_generative::{GenerativeModel, Likelihood, VariationalAutoencoder};
use osnova_nn::{Head, Mlp, Module};
use osnova_tensor::{Device, Generator, Tensor};
use proptest::prelude::*;
use std::f64::consts::TAU;

/// Factor analysis with two factors: z from N(0, I), x from N(Wz + b, s²I). The columns of W are orthogonal, so that the
/// posterior is a diagonal normal distribution, as an encoder's is.
#[derive(Clone, Copy, Debug)]
struct Factors {
    scales: [f64; 2],
    bias: f64,
    deviation: f64,
}

/// An orthogonal basis; the third direction has no factor.
const DIRECTIONS: [[f64; 3]; 3] = [[1.0, 2.0, 2.0], [2.0, 1.0, -2.0], [2.0, -2.0, 1.0]];

impl Factors {
    /// ‖w‖² of the factors.
    fn squares(self) -> [f64; 2] {
        self.scales.map(|scale| 9.0 * scale * scale)
    }

    /// ln p(x): along each direction x − b is normal with the variance s² + ‖w‖².
    fn log_likelihood(self, sample: &[f32]) -> f64 {
        let [first, second] = self.squares();
        let along = DIRECTIONS.iter().zip([first, second, 0.0]).map(|(direction, square)| {
            let product: f64 = direction.iter().zip(sample).map(|(d, &x)| d * (x as f64 - self.bias) / 3.0).sum();
            let variance = self.deviation.powi(2) + square;
            product.powi(2) / variance + (TAU * variance).ln()
        });
        -0.5 * along.sum::<f64>()
    }

    fn mean_log_likelihood(self, samples: &[f32]) -> f64 {
        samples.chunks_exact(3).map(|sample| self.log_likelihood(sample)).sum::<f64>() / (samples.len() / 3) as f64
    }

    /// The model with an encoder whose means are the true ones and `offset`, and whose variances are `widening` times the
    /// true ones, σ² = s²/(s² + ‖w‖²).
    fn model(self, offset: f64, widening: f64) -> VariationalAutoencoder {
        let column = |axis: usize| (0..2).map(|factor| self.scales[factor] * DIRECTIONS[factor][axis]).collect();
        let decoder = linear(&(0..3).map(column).collect::<Vec<_>>(), &[self.bias; 3]);
        let (mut weight, mut bias, mut log_variances) = (Vec::new(), Vec::new(), Vec::new());
        for (factor, square) in self.squares().into_iter().enumerate() {
            let precision = self.deviation.powi(2) + square;
            let row: Vec<f64> = DIRECTIONS[factor].map(|d| self.scales[factor] * d / precision).to_vec();
            bias.push(offset - self.bias * row.iter().sum::<f64>());
            weight.push(row);
            log_variances.push((widening * self.deviation.powi(2) / precision).ln());
        }
        weight.extend(vec![vec![0.0; 3]; 2]);
        let encoder = linear(&weight, &[bias, log_variances].concat());
        VariationalAutoencoder::options(encoder, decoder, 2)
            .likelihood(Likelihood::Gaussian { standard_deviation: self.deviation })
            .build(&Generator::new(0))
            .unwrap()
    }

    /// −E[ln p(x | z)] and KL(q ‖ p) of one sample under the true posterior.
    fn parts(self, sample: &[f32]) -> (f64, f64) {
        let (mut error, mut spread, mut kl) = (0.0, 0.0, 0.0);
        for (factor, direction) in DIRECTIONS.iter().enumerate() {
            let along: f64 = direction.iter().zip(sample).map(|(d, &x)| d * (x as f64 - self.bias) / 3.0).sum();
            let square = if factor < 2 { self.squares()[factor] } else { 0.0 };
            let variance = self.deviation.powi(2) / (self.deviation.powi(2) + square);
            let mean = along * square.sqrt() / (self.deviation.powi(2) + square);
            error += (along - mean * square.sqrt()).powi(2);
            spread += variance * square;
            if factor < 2 {
                kl += 0.5 * (mean.powi(2) + variance - variance.ln() - 1.0);
            }
        }
        let variance = self.deviation.powi(2);
        (0.5 * (error + spread) / variance + 1.5 * (TAU * variance).ln(), kl)
    }
}

fn factors() -> impl Strategy<Value = Factors> {
    (0.1..0.8_f64, 0.1..0.8_f64, -1.0..1.0_f64, 0.3..1.5_f64).prop_map(|(first, second, bias, deviation)| Factors {
        scales: [first, second],
        bias,
        deviation,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn with_the_true_posterior_every_bound_is_the_likelihood(factors in factors(), seed in any::<u64>(), batch in 1_usize..6) {
        let data = normal(7 * 3, seed);
        let exact = factors.mean_log_likelihood(&data);
        let model = factors.model(0.0, 1.0);
        let bounds =
            importance_weighted_bounds(&model, &mut loader(data, 3, batch), &[1, 2, 7, 50], &Generator::new(seed)).unwrap();
        for bound in bounds {
            prop_assert!((bound - exact).abs() < 2e-5 * exact.abs().max(1.0), "{bound}, not {exact}");
        }
    }

    #[test]
    fn bounds_rise_with_k_for_any_draws(
        factors in factors(), offset in -1.0..1.0_f64, widening in 0.2..3.0_f64, seed in any::<u64>(),
    ) {
        let model = factors.model(offset, widening);
        let mut data = loader(normal(5 * 3, seed), 3, 2);
        let generator = || Generator::new(seed);
        let bounds = importance_weighted_bounds(&model, &mut data, &[1, 2, 6, 24], &generator()).unwrap();
        prop_assert!(bounds.is_sorted_by(|left, right| *left <= right + 1e-9), "{bounds:?}");
        // The largest k alone sees the same codes.
        let alone = importance_weighted_bound(&model, &mut data, 24, &generator()).unwrap();
        prop_assert_eq!(alone.to_bits(), bounds[3].to_bits());
    }

    /// KL by its formula, and −ELBO = −ln p(x) for the true posterior once chance has averaged out.
    #[test]
    fn the_parts_are_those_of_the_closed_form(factors in factors(), seed in any::<u64>()) {
        let data = normal(20 * 3, seed);
        let mut expected = (0.0, 0.0);
        for sample in data.chunks_exact(3) {
            let (reconstruction, kl) = factors.parts(sample);
            expected = (expected.0 + reconstruction / 20.0, expected.1 + kl / 20.0);
        }
        let exact = factors.mean_log_likelihood(&data);
        prop_assert!((expected.0 + expected.1 + exact).abs() < 1e-6 * exact.abs().max(1.0));
        let found =
            evidence_lower_bound(&factors.model(0.0, 1.0), &mut loader(data, 3, 7), 200, &Generator::new(seed)).unwrap();
        prop_assert_eq!(found.samples, 20);
        prop_assert!((found.kl - expected.1).abs() < 1e-5 * expected.1.max(1.0), "{found:?}, not {expected:?}");
        // 4000 draws whose deviation is a few nats.
        prop_assert!((found.reconstruction - expected.0).abs() < 0.3, "{found:?}, not {expected:?}");
        prop_assert_eq!(found.negative_elbo(), found.reconstruction + found.kl);
    }
}

#[test]
fn a_poor_posterior_still_reaches_the_likelihood_with_five_thousand_codes() {
    let factors = Factors { scales: [0.4, 0.2], bias: 0.3, deviation: 0.8 };
    let data = normal(16 * 3, 5);
    let exact = factors.mean_log_likelihood(&data);
    let model = factors.model(0.5, 2.0);
    let ks = [1, 10, 100, 5000];
    let bounds = importance_weighted_bounds(&model, &mut loader(data, 3, 6), &ks, &Generator::new(1)).unwrap();
    assert!(bounds.is_sorted_by(|left, right| left < right), "{bounds:?}");
    assert!(exact - bounds[0] > 0.1, "{bounds:?} leaves nothing to gain to {exact}");
    // The weights vary about as much as they are large: a deviation of 1/√(16·5000) = 0.0035.
    assert!((bounds[3] - exact).abs() < 0.012, "{bounds:?}, and not {exact}");
}

#[test]
fn one_code_gives_the_evidence_lower_bound() {
    let factors = Factors { scales: [0.5, 0.3], bias: 0.0, deviation: 0.7 };
    let (model, mut data) = (factors.model(-0.3, 1.5), loader(normal(30, 6), 3, 10));
    let elbo = -evidence_lower_bound(&model, &mut data, 2000, &Generator::new(2)).unwrap().negative_elbo();
    let weighted = importance_weighted_bounds(&model, &mut data, &[1, 2000], &Generator::new(3)).unwrap()[0];
    assert!((elbo - weighted).abs() < 0.05, "{elbo} {weighted}");
}

/// With posteriors of no width a code is its mean, so the model's own loss has nothing random in it.
#[test]
fn the_parts_are_those_of_the_models_loss() {
    let mut weight = vec![vec![0.3, -0.2, 0.5], vec![0.1, 0.4, -0.3]];
    weight.extend(vec![vec![0.0; 3]; 2]);
    let encoder = linear(&weight, &[0.1, -0.1, -40.0, -40.0]);
    let decoder = linear(&[vec![0.7, 0.2], vec![-0.4, 0.9], vec![0.3, 0.3]], &[0.2, 0.0, -0.5]);
    let values: Vec<f32> = normal(12 * 3, 7).iter().map(|value| 1.0 / (1.0 + value.exp())).collect();
    for likelihood in [
        Likelihood::SquaredError,
        Likelihood::Gaussian { standard_deviation: 0.5 },
        Likelihood::LearnedGaussian { standard_deviation: 0.25 },
        Likelihood::Bernoulli,
    ] {
        // β and free bits weigh the loss, and bound nothing.
        let model = VariationalAutoencoder::options(encoder.clone(), decoder.clone(), 2)
            .likelihood(likelihood)
            .beta(4.0)
            .free_bits(0.1)
            .build(&Generator::new(0))
            .unwrap();
        let input = Tensor::from_slice(&values, [12, 3], Device::cpu()).unwrap();
        let parts = model.loss(&input, None).unwrap();
        let found = evidence_lower_bound(&model, &mut loader(values.clone(), 3, 5), 2, &Generator::new(1)).unwrap();
        for (name, found) in [("reconstruction", found.reconstruction), ("kl", found.kl)] {
            let expected = parts.get(name).unwrap().item().unwrap();
            assert!(
                (found - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{likelihood:?}: {name} {found} {expected}"
            );
        }
    }
}

#[test]
fn conditional_models_are_told_the_classes_of_their_samples() {
    let (generator, device) = (Generator::new(0), Device::cpu());
    let encoder = Mlp::new(64 + 10, &[], Head::Regression(4), &generator, device).unwrap();
    let decoder = Mlp::new(2 + 10, &[], Head::Regression(64), &generator, device).unwrap();
    let model = VariationalAutoencoder::options(encoder, decoder, 2).classes(10).build(&generator).unwrap();
    let mut data = DataLoader::new(digits().unwrap(), 400).unwrap();
    let bounds = importance_weighted_bounds(&model, &mut data, &[1, 12], &Generator::new(1)).unwrap();
    let elbo = -evidence_lower_bound(&model, &mut data, 12, &Generator::new(2)).unwrap().negative_elbo();
    assert!((bounds[0] - elbo).abs() < 0.01 * elbo.abs(), "{bounds:?} {elbo}");
    assert!(
        refusal(importance_weighted_bound(&model, &mut loader(vec![0.0; 64], 64, 1), 1, &generator))
            .contains("targets")
    );
}

#[test]
fn a_seed_gives_the_same_bits_and_another_one_others() {
    let factors = Factors { scales: [0.5, 0.3], bias: 0.0, deviation: 0.7 };
    let (mut model, mut data) = (factors.model(0.4, 1.5), loader(normal(30, 6), 3, 4));
    let both = |model: &VariationalAutoencoder, data: &mut DataLoader, seed| {
        let elbo = evidence_lower_bound(model, data, 3, &Generator::new(seed)).unwrap();
        (elbo, importance_weighted_bound(model, data, 9, &Generator::new(seed)).unwrap())
    };
    let first = both(&model, &mut data, 1);
    assert_eq!(first, both(&model, &mut data, 1));
    assert_ne!(first, both(&model, &mut data, 2));
    // Nor does it matter whether the model trains.
    model.eval();
    assert_eq!(first, both(&model, &mut data, 1));
}

#[test]
fn bad_input_is_refused() {
    let model = Factors { scales: [0.5, 0.3], bias: 0.0, deviation: 0.7 }.model(0.0, 1.0);
    let generator = Generator::new(0);
    let mut data = loader(normal(6, 0), 3, 2);
    assert!(refusal(evidence_lower_bound(&model, &mut data, 0, &generator)).contains("draws"));
    assert!(refusal(importance_weighted_bound(&model, &mut data, 0, &generator)).contains("k is 0"));
    assert!(refusal(importance_weighted_bounds(&model, &mut data, &[5, 0], &generator)).contains("k is 0"));
    assert!(refusal(importance_weighted_bounds(&model, &mut data, &[], &generator)).contains("k is 0"));
    assert!(refusal(evidence_lower_bound(&model, &mut empty(3), 1, &generator)).contains("no samples"));
    assert!(refusal(importance_weighted_bound(&model, &mut empty(3), 1, &generator)).contains("no samples"));
    refusal(evidence_lower_bound(&model, &mut loader(vec![0.0; 4], 4, 1), 1, &generator));
    refusal(importance_weighted_bound(&model, &mut loader(vec![0.0; 4], 4, 1), 1, &generator));
    let spoiled = VariationalAutoencoder::options(
        linear(&vec![vec![0.0; 3]; 6], &[f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0]),
        shift(3, 0.0),
        3,
    )
    .build(&generator)
    .unwrap();
    assert!(refusal(evidence_lower_bound(&spoiled, &mut data, 1, &generator)).contains("NaN"));
    assert!(refusal(importance_weighted_bound(&spoiled, &mut data, 3, &generator)).contains("NaN"));
}
