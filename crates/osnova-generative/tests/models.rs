//! What each model does with its input, its classes and its noise; and what it refuses.

mod common;

use common::{bits, digit_options, greys, mlp, near, plain, recording, smooth_options, values};
use osnova_generative::{
    Autoencoder, BetaSchedule, CodePrior, Corruption, DenoisingAutoencoder, DiagonalGaussian, Generation,
    GenerativeModel, Likelihood, LossParts, SparseAutoencoder, Sparsity, VariationalAutoencoder,
};
use osnova_nn::{Forward, Module, Sequential, Sigmoid};
use osnova_tensor::{DType, Error, Generator, Result, Shape, Tensor};

fn images(batch: usize) -> Tensor {
    greys(&[batch, 64], 4, DType::F32)
}

fn denoising(corruption: Corruption, seed: u64) -> DenoisingAutoencoder {
    let options = DenoisingAutoencoder::options(mlp(64, 8, 1, plain()), mlp(8, 64, 2, plain()), 8, corruption);
    options.build(&Generator::new(seed)).unwrap()
}

fn total(model: &dyn GenerativeModel, input: &Tensor) -> f64 {
    model.loss(input, None).unwrap().total(|_| 1.0).unwrap().item().unwrap()
}

fn classes(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()], plain()).unwrap()
}

#[test]
fn a_corruption_spoils_the_shares_it_says() {
    let (count, grey) = (40_000, 0.5);
    let input = Tensor::full([200, 200], grey, DType::F32, plain()).unwrap();
    let spoiled = |corruption: Corruption| values(&corruption.apply(&input, &Generator::new(3)).unwrap());
    let share =
        |values: &[f64], wanted: f64| values.iter().filter(|&&value| value == wanted).count() as f64 / count as f64;
    // Four standard errors of a share are at most 0.01.
    for probability in [0.0, 0.1, 0.5, 1.0] {
        let masked = spoiled(Corruption::Masking { probability });
        near(share(&masked, 0.0), probability, 0.01);
        near(share(&masked, grey), 1.0 - probability, 0.01);
        let salted = spoiled(Corruption::SaltAndPepper { probability });
        near(share(&salted, 0.0), probability / 2.0, 0.01);
        near(share(&salted, 1.0), probability / 2.0, 0.01);
        near(share(&salted, grey), 1.0 - probability, 0.01);
    }
    let noise: Vec<f64> =
        spoiled(Corruption::Gaussian { standard_deviation: 0.3 }).iter().map(|value| value - grey).collect();
    let mean = noise.iter().sum::<f64>() / count as f64;
    near(mean, 0.0, 0.006);
    near(noise.iter().map(|value| value * value).sum::<f64>() / count as f64, 0.09, 0.003);
    // Not clamped: one in twenty is beyond white.
    let beyond = noise.iter().filter(|&&value| value > 0.5).count() as f64 / count as f64;
    near(beyond, 0.0478, 0.005);
}

#[test]
fn a_corruption_is_that_of_its_seed_and_moves_on() {
    for corruption in [
        Corruption::Gaussian { standard_deviation: 0.3 },
        Corruption::Masking { probability: 0.3 },
        Corruption::SaltAndPepper { probability: 0.3 },
    ] {
        let (generator, input) = (Generator::new(3), images(4));
        let first = corruption.apply(&input, &generator).unwrap();
        assert_ne!(bits(&first), bits(&input));
        assert_eq!(bits(&first), bits(&corruption.apply(&input, &Generator::new(3)).unwrap()));
        assert_ne!(bits(&first), bits(&corruption.apply(&input, &generator).unwrap()));
        assert_ne!(bits(&first), bits(&corruption.apply(&input, &Generator::new(4)).unwrap()));
        for dtype in [DType::F16, DType::F64] {
            assert_eq!(corruption.apply(&input.to_dtype(dtype).unwrap(), &generator).unwrap().dtype(), dtype);
        }
        assert_eq!(corruption.apply(&images(0), &generator).unwrap().dims(), [0, 64]);
        // Through what is left, gradients reach the input.
        let leaf = input.to_device(recording()).unwrap().into_tracked().unwrap();
        let spoiled = corruption.apply(&leaf, &Generator::new(3)).unwrap();
        assert_eq!(bits(&spoiled), bits(&first));
        let gradients = spoiled.sum(.., false).unwrap().backward().unwrap();
        let kept = values(gradients.get(&leaf).unwrap());
        let whole = matches!(corruption, Corruption::Gaussian { .. });
        for ((gradient, spoiled), clean) in kept.iter().zip(values(&first)).zip(values(&input)) {
            assert_eq!(*gradient, if whole || spoiled == clean { 1.0 } else { 0.0 });
        }
    }
}

#[test]
fn noise_differs_from_call_to_call_in_training_and_is_the_same_in_evaluation() {
    let input = images(6);
    let corruption = Corruption::Masking { probability: 0.3 };
    let vae = |seed| digit_options(4, plain()).build(&Generator::new(seed)).unwrap();
    let models =
        |seed| -> [Box<dyn GenerativeModel>; 2] { [Box::new(denoising(corruption, seed)), Box::new(vae(seed))] };
    for ((mut model, same), other) in models(5).into_iter().zip(models(5)).zip(models(6)) {
        let (first, second) = (total(&model, &input), total(&model, &input));
        assert_ne!(first, second);
        assert_eq!([first, second], [total(&same, &input), total(&same, &input)]);
        assert_ne!(first, total(&other, &input));
        model.eval();
        let evaluated = total(&model, &input);
        assert_eq!(evaluated, total(&model, &input));
        // Validation is no training: the sequence goes on as if it had not been.
        model.train();
        assert_eq!(total(&model, &input), total(&same, &input));
    }
}

#[test]
fn a_denoising_autoencoder_validates_on_corrupted_input_and_encodes_what_it_is_given() {
    let input = images(6);
    let mut model = denoising(Corruption::Gaussian { standard_deviation: 0.5 }, 5);
    model.eval();
    let mut plain_model = denoising(Corruption::Gaussian { standard_deviation: 0.0 }, 5);
    plain_model.eval();
    assert_ne!(total(&model, &input), total(&plain_model, &input));
    assert_eq!(bits(&model.encode(&input, None).unwrap()), bits(&plain_model.encode(&input, None).unwrap()));
    assert_eq!(bits(&model.reconstruct(&input, None).unwrap()), bits(&plain_model.reconstruct(&input, None).unwrap()));
    let spoiled = model.corrupt(&input, &Generator::new(1)).unwrap().unwrap();
    let again = model.corruption().apply(&input, &Generator::new(1)).unwrap();
    assert_eq!(bits(&spoiled), bits(&again));
    assert_ne!(bits(&spoiled), bits(&input));
    // The others get their samples whole.
    let vae = digit_options(4, plain()).build(&Generator::new(0)).unwrap();
    assert!(vae.corrupt(&input, &Generator::new(1)).unwrap().is_none());
}

/// A convolutional encoder stands here in the simplest form: it takes images and gives rows.
#[derive(Module, Clone, Debug)]
struct Flat<L: Forward + Module> {
    layer: L,
}

impl<L: Forward + Module> Forward for Flat<L> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.layer.forward(&input.flatten(1, -1)?)
    }
}

/// And its counterpart: rows to images.
#[derive(Module, Clone, Debug)]
struct Image<L: Forward + Module> {
    layer: L,
    #[module(skip)]
    shape: [usize; 3],
}

impl<L: Forward + Module> Forward for Image<L> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let [channels, height, width] = self.shape;
        self.layer.forward(input)?.reshape([input.dims()[0], channels, height, width])
    }
}

fn image_model(classes: Option<usize>) -> VariationalAutoencoder {
    let extra = classes.unwrap_or(0);
    let encoder = Flat { layer: mlp((2 + extra) * 9, 6, 1, recording()) };
    let decoder = Image { layer: mlp(3 + extra, 18, 2, recording()), shape: [2, 3, 3] };
    let options = VariationalAutoencoder::options(encoder, decoder, 3).likelihood(Likelihood::Bernoulli);
    let options = if let Some(classes) = classes { options.classes(classes) } else { options };
    options.build(&Generator::new(0)).unwrap()
}

#[test]
fn encoders_and_decoders_of_images_are_layers_like_any_other() {
    let input = greys(&[5, 2, 3, 3], 1, DType::F32);
    let labels = classes(&[0, 1, 2, 3, 3]);
    for (model, classes) in [(image_model(None), None), (image_model(Some(4)), Some(&labels))] {
        let parts = model.loss(&input, classes).unwrap();
        let loss = parts.total(|_| 1.0).unwrap();
        let gradients = loss.backward().unwrap();
        assert!(model.parameters().iter().all(|parameter| gradients.get(parameter.tensor()).is_some()));
        assert_eq!(model.encode(&input, classes).unwrap().dims(), [5, 3]);
        assert_eq!(model.reconstruct(&input, classes).unwrap().dims(), [5, 2, 3, 3]);
        assert_eq!(model.sample(5, classes, &Generator::new(2)).unwrap().dims(), [5, 2, 3, 3]);
        // Summed over all pixels and channels: about 18·ln 2 before any training.
        let reconstruction = parts.get("reconstruction").unwrap().item().unwrap();
        assert!((8.0..20.0).contains(&reconstruction), "{reconstruction}");
    }
    // A class is a channel of its own: another class, another code.
    let model = image_model(Some(4));
    let code = |classes: Tensor| bits(&model.encode(&input, Some(&classes)).unwrap());
    assert_ne!(code(labels.clone()), code(classes(&[0, 1, 2, 3, 0])));
    assert_eq!(code(labels.clone())[..12], code(classes(&[0, 1, 2, 3, 0]))[..12]);
}

fn conditional() -> VariationalAutoencoder {
    let options = VariationalAutoencoder::options(mlp(64 + 3, 8, 1, plain()), mlp(4 + 3, 64, 2, plain()), 4);
    options.classes(3).build(&Generator::new(0)).unwrap()
}

#[test]
fn the_class_changes_what_a_conditional_model_samples() {
    let model = conditional();
    assert_eq!(model.class_count(), Some(3));
    let sample = |class: i64| bits(&model.sample(2, Some(&classes(&[class; 2])), &Generator::new(3)).unwrap());
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(0), sample(1));
    assert_ne!(sample(1), sample(2));
    // Without classes the model passes over them.
    let plain_model = digit_options(4, plain()).build(&Generator::new(0)).unwrap();
    let sample = |classes: Option<&Tensor>| bits(&plain_model.sample(2, classes, &Generator::new(3)).unwrap());
    assert_eq!(sample(None), sample(Some(&classes(&[1, 2]))));
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

#[test]
fn a_boxed_model_is_the_model() {
    let input = images(3);
    let model = smooth_options(1, plain()).build(&Generator::new(0)).unwrap();
    let boxed: Box<dyn GenerativeModel> = Box::new(model.clone());
    let copy = boxed.clone();
    assert_eq!(boxed.kind(), "VariationalAutoencoder");
    assert_eq!(boxed.output_shape(&Shape::new(&[3, 6]).unwrap()), Some(Shape::new(&[3, 6]).unwrap()));
    let input = input.narrow(1, 0, 6).unwrap().to_dtype(DType::F64).unwrap();
    assert_eq!(total(&model, &input), total(&boxed, &input));
    assert_eq!(total(&model, &input), total(&boxed, &input));
    // The copy was made before: it starts where the model did.
    let fresh = smooth_options(1, plain()).build(&Generator::new(0)).unwrap();
    assert_eq!(total(&copy, &input), total(&fresh, &input));
    assert_eq!(bits(&boxed.posterior(&input, None).unwrap().unwrap().mean), bits(&model.encode(&input, None).unwrap()));
}
