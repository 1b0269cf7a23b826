//! What the models refuse: settings that make no sense, and input that does not fit.

mod common;

use common::{digit_options, greys, mlp, plain};
use osnova_generative::{
    Autoencoder, BetaSchedule, CodePrior, Corruption, DenoisingAutoencoder, DiagonalGaussian, Generation,
    GenerativeModel, Likelihood, LossParts, SparseAutoencoder, Sparsity, VariationalAutoencoder,
};
use osnova_nn::{Sequential, Sigmoid};
use osnova_tensor::{DType, Error, Generator, Result, Tensor};

fn images(batch: usize) -> Tensor {
    greys(&[batch, 64], 4, DType::F32)
}

fn denoising(corruption: Corruption, seed: u64) -> DenoisingAutoencoder {
    let options = DenoisingAutoencoder::options(mlp(64, 8, 1, plain()), mlp(8, 64, 2, plain()), 8, corruption);
    options.build(&Generator::new(seed)).unwrap()
}

fn classes(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], plain()).unwrap()
}

fn conditional() -> VariationalAutoencoder {
    let options = VariationalAutoencoder::options(mlp(64 + 3, 8, 1, plain()), mlp(4 + 3, 64, 2, plain()), 4);
    options.classes(3).build(&Generator::new(0)).unwrap()
}

#[test]
fn classes_that_do_not_fit_are_refused() {
    let (model, input) = (conditional(), images(2));
    let floats = Tensor::new([0.0f32, 1.0], plain()).unwrap();
    let column = classes(&[0, 1]).reshape([2, 1]).unwrap();
    for (classes, problem) in [
        (None, "no classes are given"),
        (Some(classes(&[0])), "one class for each sample"),
        (Some(classes(&[0, 1, 2])), "one class for each sample"),
        (Some(column), "one class for each sample"),
        (Some(floats), "i64"),
        (Some(classes(&[0, 3])), "3"),
        (Some(classes(&[-1, 0])), "-1"),
    ] {
        let classes = classes.as_ref();
        let failures = [
            model.loss(&input, classes).map(|_| ()),
            model.encode(&input, classes).map(|_| ()),
            model.posterior(&input, classes).map(|_| ()),
            model.reconstruct(&input, classes).map(|_| ()),
            model.sample(2, classes, &Generator::new(0)).map(|_| ()),
        ];
        for failure in failures {
            let failure = failure.unwrap_err().to_string();
            assert!(failure.contains(problem), "{failure}");
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let corruption = Corruption::Masking { probability: 0.5 };
    let sparse = SparseAutoencoder::options(mlp(64, 4, 1, plain()), mlp(4, 64, 2, plain()), 4, Sparsity::L1);
    let models: [Box<dyn GenerativeModel>; 5] = [
        Box::new(Autoencoder::new(mlp(64, 4, 1, plain()), mlp(4, 64, 2, plain()), 4).unwrap()),
        Box::new(sparse.build().unwrap()),
        Box::new(denoising(corruption, 0)),
        Box::new(digit_options(4, plain()).build(&Generator::new(0)).unwrap()),
        Box::new(conditional()),
    ];
    let labels = classes(&[0]);
    for model in &models {
        for input in [
            Tensor::zeros([1, 63], DType::F32, plain()).unwrap(),
            Tensor::zeros([1, 64], DType::I64, plain()).unwrap(),
            Tensor::zeros([1, 64], DType::F64, plain()).unwrap(),
            Tensor::zeros([64], DType::F32, plain()).unwrap(),
            Tensor::zeros([1, 8, 8], DType::F32, plain()).unwrap(),
            Tensor::zeros([0usize; 0], DType::F32, plain()).unwrap(),
        ] {
            assert!(model.loss(&input, Some(&labels)).is_err(), "{} takes {:?}", model.kind(), input);
        }
        let wide = Tensor::zeros([1, model.latent_features() + 1], DType::F32, plain()).unwrap();
        assert!(model.decode(&wide, Some(&labels)).is_err());
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(*error, Error::Argument { .. } | Error::Shape { .. } | Error::DType { .. }), "{error:?}");
    error.to_string()
}

const NOT_POSITIVE: [f64; 4] = [0.0, -1.0, f64::NAN, f64::INFINITY];
const NEGATIVE: [f64; 3] = [-1.0, f64::NAN, f64::INFINITY];

#[test]
fn settings_that_make_no_sense_are_refused() {
    let input = images(1);
    let pair = || (mlp(64, 4, 1, plain()), mlp(4, 64, 2, plain()));
    let generator = Generator::new(0);
    let vae = |latent| {
        let (encoder, decoder) = pair();
        VariationalAutoencoder::options(encoder, decoder, latent)
    };
    let sparse = |latent, sparsity| {
        let (encoder, decoder) = pair();
        SparseAutoencoder::options(encoder, decoder, latent, sparsity)
    };
    let noisy = |latent, corruption| {
        let (encoder, decoder) = pair();
        DenoisingAutoencoder::options(encoder, decoder, latent, corruption).build(&generator)
    };
    let none = Corruption::Masking { probability: 0.0 };
    for nothing in [
        refused(Autoencoder::new(pair().0, pair().1, 0)),
        refused(vae(0).build(&generator)),
        refused(vae(2).classes(0).build(&generator)),
        refused(sparse(0, Sparsity::L1).build()),
        refused(noisy(0, none)),
        refused(CodePrior::new(0, DType::F32, plain())),
    ] {
        assert!(nothing.contains("at least one"), "{nothing}");
    }
    for value in NOT_POSITIVE {
        for likelihood in [
            Likelihood::Gaussian { standard_deviation: value },
            Likelihood::LearnedGaussian { standard_deviation: value },
        ] {
            refused(vae(2).likelihood(likelihood).build(&generator));
            refused(Autoencoder::options(pair().0, pair().1, 4).likelihood(likelihood).build());
        }
        for schedule in [
            BetaSchedule::Linear { warm_up: value },
            BetaSchedule::Cyclical { period: value, ramp: 0.5 },
            BetaSchedule::Cyclical { period: 2.0, ramp: value },
            BetaSchedule::Cyclical { period: 2.0, ramp: 1.5 },
            BetaSchedule::Sigmoid { midpoint: 1.0, steepness: value },
            BetaSchedule::Sigmoid { midpoint: f64::NAN, steepness: 1.0 },
        ] {
            refused(schedule.checked());
            assert!(Generation::new().schedule("kl", schedule).is_err());
        }
    }
    for value in NEGATIVE {
        refused(vae(2).beta(value).build(&generator));
        refused(vae(2).free_bits(value).build(&generator));
        refused(sparse(4, Sparsity::L1).weight(value).build());
        refused(noisy(4, Corruption::Gaussian { standard_deviation: value }));
    }
    for value in [-0.1, 1.1, f64::NAN] {
        for corruption in [Corruption::Masking { probability: value }, Corruption::SaltAndPepper { probability: value }]
        {
            refused(noisy(4, corruption));
            refused(corruption.apply(&input, &generator));
        }
    }
    for (target, momentum) in [
        (0.0, None),
        (1.0, None),
        (-0.1, None),
        (f64::NAN, Some(0.1)),
        (0.1, Some(0.0)),
        (0.1, Some(1.1)),
        (0.1, Some(f64::NAN)),
    ] {
        let sparsity = Sparsity::Kl { target, momentum };
        refused(sparse(4, sparsity).build());
        refused(sparsity.penalty(&input));
    }
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    let generator = Generator::new(0);
    // An encoder of means alone, a decoder of something else than samples, integers to spoil.
    let narrow = VariationalAutoencoder::options(mlp(64, 4, 1, plain()), mlp(4, 64, 2, plain()), 4).build(&generator);
    let failure = refused(narrow.unwrap().loss(&images(1), None));
    assert!(failure.contains("4 means and 4 log-variances"), "{failure}");
    let narrow = Autoencoder::new(mlp(64, 5, 1, plain()), mlp(4, 64, 2, plain()), 4).unwrap();
    assert!(refused(narrow.loss(&images(1), None)).contains("[batch, 4]"));
    let other = Autoencoder::new(mlp(64, 4, 1, plain()), mlp(4, 63, 2, plain()), 4).unwrap();
    assert!(refused(other.loss(&images(1), None)).contains("as many outputs as a sample has elements"));
    let whole = Tensor::zeros([2, 2], DType::I64, plain()).unwrap();
    assert!(refused(Corruption::Masking { probability: 0.5 }.apply(&whole, &generator)).contains("to_dtype"));
    let differ = DiagonalGaussian::new(images(1), images(2));
    assert!(refused(differ).contains("one log-variance for each mean"));
    assert!(refused(LossParts::new().total(|_| 1.0)).contains("no parts"));
}

#[test]
fn codes_that_are_no_probabilities_are_refused_by_the_kl_sparsity() {
    let build = |encoder: Sequential| {
        let sparsity = Sparsity::Kl { target: 0.05, momentum: Some(0.1) };
        SparseAutoencoder::options(encoder, mlp(4, 64, 2, plain()), 4, sparsity).build().unwrap()
    };
    let linear = build(Sequential::new().with(mlp(64, 4, 1, plain())));
    let failure = refused(linear.loss(&(images(5) * 10.0).unwrap(), None));
    assert!(failure.contains("no probability") && failure.contains("sigmoid"), "{failure}");
    // The refused batch is not in the running mean.
    assert_eq!(linear.mean_activation().unwrap().to_vec::<f32>().unwrap(), [0.05; 4]);
    assert!(build(Sequential::new().with(mlp(64, 4, 1, plain())).with(Sigmoid)).loss(&images(5), None).is_ok());
}
