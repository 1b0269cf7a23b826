//! The numbers of the textbook's chapters on autoencoders, and what must hold of their formulas for all numbers.

mod common;

use common::{greys, near, plain, recording, smooth, values};
use osnova_generative::{
    Autoencoder, BetaSchedule, Corruption, DenoisingAutoencoder, DiagonalGaussian, GenerativeModel, Likelihood,
    SparseAutoencoder, Sparsity, VariationalAutoencoder,
};
use osnova_nn::{Identity, Linear, Module, Sequential, Sigmoid};
use osnova_tensor::{DType, Device, Generator, Tensor};
use proptest::prelude::{ProptestConfig, prop_assert, proptest};

/// An identity with parameters: its output is its input.
fn same(features: usize, device: Device) -> Sequential {
    let mut layer = Linear::new(features, features, &Generator::new(0), device).unwrap();
    layer.weight.set_value(Tensor::eye(features, DType::F32, device).unwrap()).unwrap();
    if let Some(bias) = &mut layer.bias {
        bias.set_value(Tensor::zeros([features], DType::F32, device).unwrap()).unwrap();
    }
    Sequential::new().with(layer)
}

fn bernoulli_kl(target: f64, activation: f64) -> f64 {
    target * (target / activation).ln() + (1.0 - target) * ((1.0 - target) / (1.0 - activation)).ln()
}

fn posterior(mean: &[f64], deviation: &[f64], device: Device) -> DiagonalGaussian {
    let row = |values: Vec<f64>| Tensor::from_vec(values, [1, mean.len()], device).unwrap();
    let log_variance = deviation.iter().map(|deviation| 2.0 * deviation.ln()).collect();
    DiagonalGaussian::new(row(mean.to_vec()), row(log_variance)).unwrap()
}

fn part(model: &dyn GenerativeModel, input: &Tensor, name: &str) -> f64 {
    model.loss(input, None).unwrap().get(name).unwrap().item().unwrap()
}

#[test]
fn textbook_24_the_absolute_values_of_a_code_are_summed_and_averaged_over_the_batch() {
    let code = Tensor::new([[0.8f64, 0.1, 0.9, 0.05, 0.7]], plain()).unwrap();
    near(Sparsity::L1.penalty(&code).unwrap().item().unwrap(), 2.55, 1e-12);
    let batch = Tensor::new([[0.8f64, -0.1, 0.9, 0.05, 0.7], [0.0, 0.0, 0.0, 0.0, 0.45]], plain()).unwrap();
    near(Sparsity::L1.penalty(&batch).unwrap().item().unwrap(), 1.5, 1e-12);

    let model = |weight| SparseAutoencoder::options(same(5, plain()), same(5, plain()), 5, Sparsity::L1).weight(weight);
    let code = code.to_dtype(DType::F32).unwrap();
    let parts = model(0.1).build().unwrap().loss(&code, None).unwrap();
    near(parts.get("sparsity").unwrap().item().unwrap(), 2.55, 1e-6);
    near(parts.get("reconstruction").unwrap().item().unwrap(), 0.0, 1e-10);
    near(parts.total(|_| 1.0).unwrap().item().unwrap(), 0.255, 1e-6);
}

#[test]
fn textbook_24_a_unit_that_is_on_too_often_costs_its_kl_divergence() {
    let cost = |codes: Tensor| Sparsity::Kl { target: 0.05, momentum: None }.penalty(&codes).unwrap().item().unwrap();
    near(cost(Tensor::new([[0.8f64]], plain()).unwrap()), 1.342, 1e-3);
    near(cost(Tensor::new([[0.05f64]], plain()).unwrap()), 0.0, 1e-9);
    // The mean over the batch counts, unit by unit.
    let batch = Tensor::new([[0.9f64, 0.0], [0.7, 0.1]], plain()).unwrap();
    near(cost(batch), bernoulli_kl(0.05, 0.8), 1e-4);
    // A unit that is always off or on costs much, but not infinitely much, and can come back.
    for extreme in [0.0f64, 1.0] {
        let codes = Tensor::new([[extreme]], recording()).unwrap().into_tracked().unwrap();
        let penalty = Sparsity::Kl { target: 0.05, momentum: None }.penalty(&codes).unwrap();
        let gradient = values(penalty.backward().unwrap().get(&codes).unwrap())[0];
        assert!(penalty.item().unwrap() > 0.4 && penalty.item().unwrap().is_finite());
        assert!(if extreme == 0.0 { gradient < -1e3 } else { gradient > 1e3 }, "{gradient}");
    }
}

#[test]
fn the_running_mean_activation_moves_in_training_alone_and_keeps_the_whole_gradient() {
    let (target, momentum) = (0.05, 0.1);
    let encoder = Sequential::new().with(same(2, recording())).with(Sigmoid);
    let sparsity = Sparsity::Kl { target, momentum: Some(momentum) };
    let mut model = SparseAutoencoder::options(encoder, same(2, recording()), 2, sparsity).build().unwrap();
    let input = Tensor::new([[1.0f32, -1.0], [0.0, -2.0]], plain()).unwrap();
    let means: Vec<f64> = {
        let codes = values(&model.encode(&input, None).unwrap());
        vec![(codes[0] + codes[2]) / 2.0, (codes[1] + codes[3]) / 2.0]
    };
    let mut running = [target; 2];
    for _ in 0..3 {
        let penalty = part(&model, &input, "sparsity");
        running = [0, 1].map(|unit| (1.0 - momentum) * running[unit] + momentum * means[unit]);
        near(penalty, running.iter().map(|&value| bernoulli_kl(target, value)).sum(), 1e-5);
        let kept = values(&model.mean_activation().unwrap());
        kept.iter().zip(running).for_each(|(&kept, expected)| near(kept, expected, 1e-6));
    }
    assert_eq!(model.state_dict().get("mean_activation").unwrap().dims(), [2]);

    // ∂/∂z = KL′(ρ̂)/batch at the running ρ̂, through the derivative of the sigmoid to the bias.
    let parts = model.loss(&input, None).unwrap();
    let gradients = parts.get("sparsity").unwrap().backward().unwrap();
    let bias = model.named_parameters().into_iter().find(|(name, _)| name == "encoder.0.0.bias").unwrap().1;
    let gradient = values(gradients.get(bias.tensor()).unwrap());
    let running = values(&model.mean_activation().unwrap());
    let codes = values(&model.encode(&input, None).unwrap());
    for unit in 0..2 {
        let slope = (1.0 - target) / (1.0 - running[unit]) - target / running[unit];
        let sigmoid: f64 = [codes[unit], codes[2 + unit]].iter().map(|code| code * (1.0 - code)).sum();
        near(gradient[unit], slope * sigmoid / 2.0, 1e-4);
    }

    model.eval();
    near(part(&model, &input, "sparsity"), means.iter().map(|&value| bernoulli_kl(target, value)).sum(), 1e-4);
    assert_eq!(values(&model.mean_activation().unwrap()), running);
}

#[test]
fn textbook_24_the_denoising_loss_is_against_the_clean_input() {
    // The model gives back what it gets, so its error is the noise itself.
    let clean = Tensor::full([500, 4], 0.5, DType::F32, plain()).unwrap();
    let error = |corruption| {
        let options = DenoisingAutoencoder::options(same(4, plain()), same(4, plain()), 4, corruption);
        part(&options.build(&Generator::new(1)).unwrap(), &clean, "reconstruction")
    };
    near(error(Corruption::Gaussian { standard_deviation: 0.0 }), 0.0, 1e-12);
    // 4·σ², and 4·p·0.5², each within about four standard errors.
    near(error(Corruption::Gaussian { standard_deviation: 0.3 }), 0.36, 0.05);
    near(error(Corruption::Masking { probability: 0.3 }), 0.3, 0.04);
    near(error(Corruption::Masking { probability: 1.0 }), 1.0, 1e-6);
    near(error(Corruption::SaltAndPepper { probability: 1.0 }), 1.0, 1e-6);
}

#[test]
fn textbook_25_a_code_is_its_mean_and_so_many_deviations_of_noise() {
    let leaf = |value: f64| Tensor::new([[value]], recording()).unwrap().into_tracked().unwrap();
    let (mean, deviation) = (leaf(0.5), leaf(0.2));
    let log_variance = (deviation.ln().unwrap() * 2.0).unwrap();
    let posterior = DiagonalGaussian::new(mean.clone(), log_variance).unwrap();
    let code = posterior.sample_with(&Tensor::new([[1.3f64]], plain()).unwrap()).unwrap();
    near(code.item().unwrap(), 0.76, 1e-12);
    let gradients = code.sum(.., false).unwrap().backward().unwrap();
    near(values(gradients.get(&mean).unwrap())[0], 1.0, 1e-12);
    near(values(gradients.get(&deviation).unwrap())[0], 1.3, 1e-12);
}

#[test]
fn textbook_25_a_code_that_is_only_drawn_carries_no_gradient() {
    let mean = Tensor::new([[0.5f64]], recording()).unwrap().into_tracked().unwrap();
    let log_variance = Tensor::zeros([1, 1], DType::F64, plain()).unwrap();
    let generator = Generator::new(2);
    let draw = |mean: &Tensor| {
        let posterior = DiagonalGaussian::new(mean.clone(), log_variance.clone()).unwrap();
        posterior.sample(&Generator::at(generator.position())).unwrap()
    };
    // The same number drawn from N(0.5, 1) as such, and as a function of the mean.
    let (drawn, reparameterised) = (draw(&mean.detach()), draw(&mean));
    assert_eq!(values(&drawn), values(&reparameterised));
    assert!(!drawn.is_tracked() && drawn.square().unwrap().backward().is_err());
    let gradients = reparameterised.square().unwrap().sum(.., false).unwrap().backward().unwrap();
    near(values(gradients.get(&mean).unwrap())[0], 2.0 * values(&drawn)[0], 1e-12);
}

#[test]
fn textbook_26_a_reconstruction_error_is_summed_over_a_sample_and_averaged_over_the_batch() {
    let x = Tensor::new([[0.8f64, 0.2, 0.9]], plain()).unwrap();
    let rows = |row: &Tensor| Tensor::concat(&[row, row], 0).unwrap().to_dtype(DType::F32).unwrap();
    // x̂ is what a decoder with these biases and no weights gives.
    let fixed = |outputs: &Tensor| {
        let mut layer = Linear::new(1, 3, &Generator::new(0), plain()).unwrap();
        layer.weight.set_value(Tensor::zeros([3, 1], DType::F32, plain()).unwrap()).unwrap();
        layer.bias.as_mut().unwrap().set_value(outputs.to_dtype(DType::F32).unwrap().reshape([3]).unwrap()).unwrap();
        layer
    };
    let error = |outputs: &Tensor, likelihood| {
        let encoder = Linear::new(3, 1, &Generator::new(0), plain()).unwrap();
        let model = Autoencoder::options(encoder, fixed(outputs), 1).likelihood(likelihood).build().unwrap();
        part(&model, &rows(&x), "reconstruction")
    };
    let output = Tensor::new([[0.75f64, 0.3, 0.85]], plain()).unwrap();
    near(error(&output, Likelihood::SquaredError), 0.015, 1e-6);
    let deviation = 0.5;
    let constant = 3.0 * (deviation * std::f64::consts::TAU.sqrt()).ln();
    for likelihood in [
        Likelihood::Gaussian { standard_deviation: deviation },
        Likelihood::LearnedGaussian { standard_deviation: deviation },
    ] {
        near(error(&output, likelihood), 0.015 / (2.0 * deviation * deviation) + constant, 1e-5);
    }
    // Logits of the same x̂.
    let logits = (output.ln().unwrap() - (1.0 - &output).unwrap().ln().unwrap()).unwrap();
    let by_hand: f64 = [(0.8, 0.75), (0.2, 0.3), (0.9, 0.85)]
        .into_iter()
        .map(|(x, p): (f64, f64)| -(x * p.ln() + (1.0 - x) * (1.0 - p).ln()))
        .sum();
    near(error(&logits, Likelihood::Bernoulli), by_hand, 1e-5);
}

#[test]
fn textbook_27_the_divergence_of_a_code_from_the_standard_normal_distribution() {
    let divergence = posterior(&[0.5, -0.3], &[1.2, 0.8], plain()).kl_to_standard_normal().unwrap();
    near(divergence.sum(.., false).unwrap().item().unwrap(), 0.2508, 5e-5);
    let none = posterior(&[0.0], &[1.0], plain()).kl_to_standard_normal().unwrap();
    assert_eq!(none.item().unwrap(), 0.0);
}

#[test]
fn textbook_27_beta_and_its_schedule_weigh_the_divergence() {
    let input = greys(&[4, 6], 1, DType::F64);
    let build = |beta| {
        let generator = Generator::new(5);
        let (encoder, decoder) = (smooth(6, 4, &generator, plain()), smooth(2, 6, &generator, plain()));
        let options = VariationalAutoencoder::options(encoder, decoder, 2).beta(beta);
        let mut model = options.build(&generator).unwrap();
        model.eval();
        model.loss(&input, None).unwrap()
    };
    let parts = build(1.0);
    let (reconstruction, kl) =
        (parts.get("reconstruction").unwrap().item().unwrap(), parts.get("kl").unwrap().item().unwrap());
    assert!(kl > 1e-3);
    for beta in [0.0, 0.5, 1.0, 4.0] {
        let parts = build(beta);
        near(parts.get("kl").unwrap().item().unwrap(), kl, 1e-12);
        near(parts.total(|_| 1.0).unwrap().item().unwrap(), reconstruction + beta * kl, 1e-9);
        let half = |name: &str| if name == "kl" { 0.5 } else { 1.0 };
        near(parts.total(half).unwrap().item().unwrap(), reconstruction + 0.5 * beta * kl, 1e-9);
    }
}

#[test]
fn textbook_27_schedules_have_the_values_of_their_formulas() {
    let linear = BetaSchedule::Linear { warm_up: 10.0 };
    let cyclical = BetaSchedule::Cyclical { period: 4.0, ramp: 0.5 };
    let sigmoid = BetaSchedule::Sigmoid { midpoint: 10.0, steepness: 0.5 };
    for (schedule, expected) in [
        (BetaSchedule::Constant, [(0.0, 1.0), (7.5, 1.0)].as_slice()),
        (linear, &[(0.0, 0.0), (2.5, 0.25), (10.0, 1.0), (50.0, 1.0)]),
        (cyclical, &[(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (3.9, 1.0), (4.0, 0.0), (9.0, 0.5)]),
        (sigmoid, &[(10.0, 0.5), (6.0, 0.119_202_922_022_117_55), (14.0, 0.880_797_077_977_882_4)]),
    ] {
        for &(epoch, value) in expected {
            near(schedule.checked().unwrap().at(epoch), value, 1e-12);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_sparsity_of_any_unit_is_its_kl_divergence_and_never_negative(target in 0.01f64..0.99, activation in 0.0f64..=1.0) {
        let codes = Tensor::new([[activation]], plain()).unwrap();
        let penalty = Sparsity::Kl { target, momentum: None }.penalty(&codes).unwrap().item().unwrap();
        prop_assert!(penalty >= -1e-12);
        if (0.001..=0.999).contains(&activation) {
            let expected = bernoulli_kl(target, activation);
            prop_assert!((penalty - expected).abs() < 2e-3 * expected.max(1.0), "{} instead of {}", penalty, expected);
        }
    }

    /// KL = E[ln q(z) − ln p(z)] over z from q, within five standard errors of the estimate.
    #[test]
    fn the_divergence_agrees_with_a_monte_carlo_estimate(
        mean in proptest::array::uniform3(-2.0f64..2.0),
        deviation in proptest::array::uniform3(0.2f64..2.5),
        seed in 0u64..1000,
    ) {
        let count = 4000;
        let exact = posterior(&mean, &deviation, plain());
        let spread = |tensor: &Tensor| tensor.expand([count, 3usize]).unwrap();
        let many = DiagonalGaussian::new(spread(&exact.mean), spread(&exact.log_variance)).unwrap();
        let codes = many.sample(&Generator::new(seed)).unwrap();
        let prior = DiagonalGaussian::new(codes.zeros_like().unwrap(), codes.zeros_like().unwrap()).unwrap();
        let ratios = values(&(many.log_density(&codes).unwrap() - prior.log_density(&codes).unwrap()).unwrap());
        let estimate = ratios.iter().sum::<f64>() / count as f64;
        let variance = ratios.iter().map(|ratio| (ratio - estimate).powi(2)).sum::<f64>() / (count - 1) as f64;
        let error = (variance / count as f64).sqrt();
        let exact = exact.kl_to_standard_normal().unwrap().sum(.., false).unwrap().item().unwrap();
        prop_assert!(exact >= 0.0);
        prop_assert!((estimate - exact).abs() < 5.0 * error, "{} ± {} instead of {}", estimate, error, exact);
    }

    #[test]
    fn a_schedule_is_never_outside_0_to_1(
        epoch in 0.0f64..1e4, time in 1e-3f64..1e3, ramp in 1e-3f64..=1.0, midpoint in -1e3f64..1e3,
    ) {
        for schedule in [
            BetaSchedule::Constant,
            BetaSchedule::Linear { warm_up: time },
            BetaSchedule::Cyclical { period: time, ramp },
            BetaSchedule::Sigmoid { midpoint, steepness: time },
        ] {
            let value = schedule.checked().unwrap().at(epoch);
            prop_assert!((0.0..=1.0).contains(&value), "{:?} is {} at {}", schedule, value, epoch);
        }
    }
}

#[test]
fn an_identity_is_a_layer_too_but_cannot_be_trained() {
    // The encoder's parameters say where the model is.
    let refused = Autoencoder::new(Identity, same(3, plain()), 3).unwrap_err();
    assert!(refused.to_string().contains("no parameters"), "{refused}");
}
