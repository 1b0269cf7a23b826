//! The gradients of a variational autoencoder's loss: by finite differences, and in mean by the score function.

mod common;

use common::{check_gradients, greys, near, plain, recording, smooth, smooth_options, values};
use osnova_generative::{
    DiagonalGaussian, GenerativeModel, Likelihood, SparseAutoencoder, Sparsity, VariationalAutoencoder,
};
use osnova_nn::{Module, Sigmoid};
use osnova_tensor::{DType, Generator, Tensor};

const LIKELIHOODS: [Likelihood; 4] = [
    Likelihood::SquaredError,
    Likelihood::Gaussian { standard_deviation: 0.4 },
    Likelihood::LearnedGaussian { standard_deviation: 0.7 },
    Likelihood::Bernoulli,
];

/// In evaluation ε is the same at every call.
fn model(likelihood: Likelihood, free_bits: f64, beta: f64) -> VariationalAutoencoder {
    let options = smooth_options(3, recording()).likelihood(likelihood).free_bits(free_bits).beta(beta);
    let mut model = options.build(&Generator::new(8)).unwrap();
    model.eval();
    model
}

#[test]
fn reparameterised_gradients_agree_with_finite_differences_for_every_likelihood() {
    let input = greys(&[3, 6], 1, DType::F64);
    for likelihood in LIKELIHOODS {
        let mut model = model(likelihood, 0.0, 1.5);
        let learned = matches!(likelihood, Likelihood::LearnedGaussian { .. });
        assert_eq!(model.parameters().len(), if learned { 9 } else { 8 });
        check_gradients(&mut model, |model| model.loss(&input, None)?.total(|_| 1.0));
    }
}

#[test]
fn gradients_of_free_bits_agree_with_finite_differences() {
    let input = greys(&[3, 6], 1, DType::F64);
    let divergences = {
        let posterior = model(Likelihood::Bernoulli, 0.0, 1.0).encode_distribution(&input, None).unwrap();
        values(&posterior.kl_to_standard_normal().unwrap().mean(0, false).unwrap())
    };
    // One feature above the threshold, one below.
    let between = divergences.iter().sum::<f64>() / 2.0;
    assert!((divergences[0] - divergences[1]).abs() > 1e-2, "{divergences:?}");
    let mut model = model(Likelihood::Bernoulli, between, 1.0);
    check_gradients(&mut model, |model| model.loss(&input, None)?.total(|_| 1.0));
}

#[test]
fn free_bits_take_the_gradient_from_features_below_the_threshold_and_leave_the_reported_kl() {
    let input = greys(&[5, 6], 1, DType::F64);
    let loss = |free_bits| {
        let model = model(Likelihood::Bernoulli, free_bits, 1.0);
        let parts = model.loss(&input, None).unwrap();
        let kl = parts.get("kl").unwrap().item().unwrap();
        // Of what is minimised in the place of the KL divergence.
        let objective = parts.total(|name| if name == "kl" { 1.0 } else { 0.0 }).unwrap();
        let gradients = objective.backward().unwrap();
        let of = |name: &str| {
            let (_, parameter) = model.named_parameters().into_iter().find(|(other, _)| other == name).unwrap();
            values(gradients.get(parameter.tensor()).unwrap()).into_iter().map(f64::abs).sum::<f64>()
        };
        (kl, objective.item().unwrap(), of("encoder.2.bias"), of("encoder.0.weight"))
    };
    let (kl, objective, bias, weight) = loss(0.0);
    near(objective, kl, 1e-12);
    assert!(kl > 1e-2 && bias > 1e-2 && weight > 1e-3);
    let (reported, objective, bias, weight) = loss(10.0);
    near(reported, kl, 1e-12);
    near(objective, 2.0 * 10.0, 1e-12);
    assert_eq!((bias, weight), (0.0, 0.0));
}

#[test]
fn a_learned_deviation_is_best_at_the_root_mean_square_of_the_error() {
    let input = greys(&[4, 6], 2, DType::F64);
    let squared = {
        let mut model = model(Likelihood::SquaredError, 0.0, 1.0);
        model.eval();
        model.loss(&input, None).unwrap().get("reconstruction").unwrap().item().unwrap()
    };
    // The mean over the batch of the sum over six features.
    let root_mean_square = (squared / 6.0).sqrt();
    let slope = |deviation: f64| {
        let model = model(Likelihood::LearnedGaussian { standard_deviation: deviation }, 0.0, 1.0);
        let gradients = model.loss(&input, None).unwrap().total(|_| 1.0).unwrap().backward().unwrap();
        let (_, parameter) = model.named_parameters().into_iter().find(|(name, _)| name == "log_deviation").unwrap();
        values(gradients.get(parameter.tensor()).unwrap())[0]
    };
    near(slope(root_mean_square), 0.0, 1e-9);
    assert!(slope(0.9 * root_mean_square) < -0.1 && slope(1.1 * root_mean_square) > 0.1);
}

#[test]
fn gradients_of_both_sparsities_agree_with_finite_differences() {
    let input = greys(&[4, 6], 2, DType::F64);
    for sparsity in
        [Sparsity::L1, Sparsity::Kl { target: 0.1, momentum: None }, Sparsity::Kl { target: 0.1, momentum: Some(0.2) }]
    {
        let generator = Generator::new(4);
        let encoder = smooth(6, 3, &generator, recording()).with(Sigmoid);
        let options = SparseAutoencoder::options(encoder, smooth(3, 6, &generator, recording()), 3, sparsity);
        let mut model = options.weight(0.3).likelihood(Likelihood::Bernoulli).build().unwrap();
        // With a running mean the derivative is not that of the value: see the model's page. In evaluation it is.
        model.eval();
        check_gradients(&mut model, |model| model.loss(&input, None)?.total(|_| 1.0));
    }
}

/// In training ε comes from a sequence forked off the generator given to `build`: the loss can be put together from its parts.
#[test]
fn the_loss_is_made_of_the_distributions_the_model_gives() {
    let input = greys(&[4, 6], 2, DType::F64);
    for likelihood in LIKELIHOODS {
        let model = smooth_options(3, plain()).likelihood(likelihood).build(&Generator::new(8)).unwrap();
        let posterior = model.encode_distribution(&input, None).unwrap();
        let code = posterior.sample(&Generator::new(8).fork(0)).unwrap();
        let log_likelihood = values(&model.log_likelihood(&input, &code, None).unwrap());
        let divergence = values(&posterior.kl_to_standard_normal().unwrap()).iter().sum::<f64>() / 4.0;
        let parts = model.loss(&input, None).unwrap();
        near(parts.get("reconstruction").unwrap().item().unwrap(), -log_likelihood.iter().sum::<f64>() / 4.0, 1e-9);
        near(parts.get("kl").unwrap().item().unwrap(), divergence, 1e-12);
        // ln p(x, z)/q(z | x), term by term.
        let weight = values(&model.log_weight(&input, &posterior, &code, None).unwrap());
        let standard = DiagonalGaussian::new(code.zeros_like().unwrap(), code.zeros_like().unwrap()).unwrap();
        let (prior, density) =
            (values(&standard.log_density(&code).unwrap()), values(&posterior.log_density(&code).unwrap()));
        for sample in 0..4 {
            near(weight[sample], log_likelihood[sample] + prior[sample] - density[sample], 1e-9);
        }
    }
}

/// Mean and standard error of each column.
fn estimate(rows: &[f64], width: usize) -> Vec<(f64, f64)> {
    let count = (rows.len() / width) as f64;
    (0..width)
        .map(|column| {
            let values = rows.iter().skip(column).step_by(width);
            let mean = values.clone().sum::<f64>() / count;
            let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            (mean, (variance / count).sqrt())
        })
        .collect()
}

/// ∇E[f(z)] two ways, f = −ln p(x | z): E[∇f(μ + σε)], and E[f(z)·∇ln q(z)], which needs no derivative of f (Williams 1992).
#[test]
fn the_score_function_estimate_agrees_in_mean_with_the_reparameterised_one() {
    let count = 20_000;
    let model = smooth_options(3, recording()).likelihood(Likelihood::Gaussian { standard_deviation: 0.3 });
    let model = model.build(&Generator::new(8)).unwrap();
    let input = greys(&[1, 6], 1, DType::F64).expand([count, 6usize]).unwrap().contiguous().unwrap();
    // One row a draw, so that each has a gradient of its own.
    let rows = |values: [f64; 2]| {
        let row = Tensor::new([values], plain()).unwrap().expand([count, 2usize]).unwrap().contiguous().unwrap();
        row.to_device(recording()).unwrap().into_tracked().unwrap()
    };
    let posterior = DiagonalGaussian::new(rows([0.4, -0.7]), rows([-0.5, 0.3])).unwrap();
    let gradients = |loss: Tensor| {
        let gradients = loss.sum(.., false).unwrap().backward().unwrap();
        let of = |tensor: &Tensor| estimate(&values(gradients.get(tensor).unwrap()), 2);
        [of(&posterior.mean), of(&posterior.log_variance)].concat()
    };
    let generator = Generator::new(5);
    let code = posterior.sample(&generator).unwrap();
    let reparameterised = gradients(model.log_likelihood(&input, &code, None).unwrap().neg().unwrap());
    // Other draws, as numbers only. A constant taken from f changes no mean, and leaves less noise.
    let code = posterior.sample(&generator).unwrap().detach();
    let error = model.log_likelihood(&input, &code, None).unwrap().neg().unwrap().detach();
    let error = (&error - error.mean(.., false).unwrap()).unwrap();
    let score = gradients((posterior.log_density(&code).unwrap() * error).unwrap());
    for (index, (&(left, left_error), &(right, right_error))) in reparameterised.iter().zip(&score).enumerate() {
        let error = left_error.hypot(right_error);
        assert!((left - right).abs() < 4.5 * error, "{index}: {left} ± {left_error} against {right} ± {right_error}");
        // Both know the number well enough to differ if they were not of the same thing; reparameterised better.
        assert!(
            error < 0.2 * left.abs() && left_error < right_error,
            "{index}: {left} ± {left_error}, {right} ± {right_error}"
        );
    }
}
