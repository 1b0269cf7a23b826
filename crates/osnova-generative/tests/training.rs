//! The trainer trains every generative model: the loss falls, schedules are seen, runs repeat and resume bit by bit, and what
//! is saved comes back.

mod common;

use common::{bits, digit_options, loader, mlp, plain, recording, scaled_digits, state_bits, values};
use osnova_checkpoint::{CheckpointDirectory, load_model, save_model};
use osnova_data::DataLoader;
use osnova_generative::{
    Autoencoder, BetaSchedule, Corruption, DenoisingAutoencoder, Generation, GenerativeModel, Likelihood,
    SparseAutoencoder, Sparsity, VariationalAutoencoder,
};
use osnova_nn::{Linear, Sequential, Sigmoid};
use osnova_optim::Adam;
use osnova_tensor::{Generator, Tensor};
use osnova_train::{Callback, Context, History, ModelCheckpoint, Result, TrainError, Trainer, evaluate};

const LATENT: usize = 8;

/// One of each, by name.
fn models(seed: u64) -> Vec<(&'static str, Box<dyn GenerativeModel>)> {
    let device = recording();
    let generator = Generator::new(seed);
    let pair = || (mlp(64, LATENT, seed, device), mlp(LATENT, 64, seed + 1, device));
    let sigmoid = Sequential::new().with(Linear::new(64, 32, &generator, device).unwrap()).with(Sigmoid);
    let wide = Linear::new(32, 64, &generator, device).unwrap();
    let kl = Sparsity::Kl { target: 0.1, momentum: Some(0.1) };
    let salt = Corruption::SaltAndPepper { probability: 0.2 };
    let (encoder, decoder) = pair();
    let plain = Autoencoder::options(encoder, decoder, LATENT).likelihood(Likelihood::Bernoulli);
    let (encoder, decoder) = pair();
    let absolute = SparseAutoencoder::options(encoder, decoder, LATENT, Sparsity::L1).weight(0.01);
    let (encoder, decoder) = pair();
    let denoising = DenoisingAutoencoder::options(encoder, decoder, LATENT, salt);
    let learned = Likelihood::LearnedGaussian { standard_deviation: 0.5 };
    let conditional = VariationalAutoencoder::options(
        mlp(64 + 10, 2 * LATENT, seed, device),
        mlp(LATENT + 10, 64, seed, device),
        LATENT,
    );
    vec![
        ("plain", Box::new(plain.build().unwrap())),
        ("sparse by L1", Box::new(absolute.build().unwrap())),
        ("sparse by KL", Box::new(SparseAutoencoder::options(sigmoid, wide, 32, kl).weight(0.1).build().unwrap())),
        ("denoising", Box::new(denoising.build(&generator).unwrap())),
        ("variational", Box::new(digit_options(LATENT, device).build(&generator).unwrap())),
        ("learned σ", Box::new(digit_options(LATENT, device).likelihood(learned).build(&generator).unwrap())),
        ("β", Box::new(digit_options(LATENT, device).beta(2.0).free_bits(0.05).build(&generator).unwrap())),
        ("conditional", Box::new(conditional.likelihood(Likelihood::Bernoulli).classes(10).build(&generator).unwrap())),
    ]
}

fn fit(model: &mut Box<dyn GenerativeModel>, epochs: usize) -> History {
    let mut validation = DataLoader::new(scaled_digits(), 600).unwrap();
    let optimizer = &mut Adam::new(2e-3);
    Trainer::new(epochs).fit(&mut Generation::new(), model, optimizer, &mut loader(64), Some(&mut validation)).unwrap()
}

/// Metrics of all epochs by their bits.
fn record(history: &History) -> Vec<(String, u64)> {
    let metrics = history.epochs.iter().flat_map(|epoch| &epoch.metrics);
    metrics.map(|(name, value)| (name.clone(), value.to_bits())).collect()
}

#[test]
fn every_model_learns_the_digits_in_a_box() {
    for (name, mut model) in models(0) {
        let history = fit(&mut model, 4);
        for series in ["train_loss", "validation_loss", "validation_reconstruction"] {
            let losses = history.series(series);
            assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{name}: {series} is {losses:?}");
        }
        let part = match name {
            "sparse by L1" | "sparse by KL" => Some("sparsity"),
            "plain" | "denoising" => None,
            _ => Some("kl"),
        };
        let last = &history.last().unwrap().metrics;
        let parts = ["train_kl", "train_sparsity"].map(|metric| last.get(metric).copied());
        assert_eq!(parts.map(|part| part.is_some()), [part == Some("kl"), part == Some("sparsity")], "{name}");
        assert!(parts.into_iter().flatten().all(|value| value > 0.0), "{name}: {parts:?}");
    }
}

#[test]
fn the_same_run_twice_has_the_same_bits() {
    for (((name, mut first), (_, mut again)), (_, mut other)) in models(0).into_iter().zip(models(0)).zip(models(5)) {
        let histories = [fit(&mut first, 2), fit(&mut again, 2), fit(&mut other, 2)];
        let [first_record, again_record, other_record] = histories.map(|history| record(&history));
        assert_eq!(first_record, again_record, "{name}");
        assert_ne!(first_record, other_record, "{name}");
        assert!(state_bits(&first) == state_bits(&again), "{name}");
        let sample = |model: &dyn GenerativeModel| {
            let classes = Tensor::arange(0, 10, 1, plain()).unwrap();
            bits(&model.sample(10, Some(&classes), &Generator::new(1)).unwrap())
        };
        assert_eq!(sample(&*first), sample(&*again), "{name}");
        assert_ne!(sample(&*first), sample(&*other), "{name}");
    }
}

#[test]
fn a_saved_model_comes_back_bit_by_bit_with_where_its_new_codes_come_from() {
    let directory = tempfile::tempdir().unwrap();
    let input = DataLoader::new(scaled_digits(), 200).unwrap().tensors(plain()).next().unwrap().unwrap();
    let classes = Some(input.targets().unwrap());
    for ((name, mut model), (_, mut other)) in models(0).into_iter().zip(models(5)) {
        fit(&mut model, 1);
        let codes = model.encode(&input.features, classes).unwrap();
        if let Some(prior) = model.code_prior() {
            prior.fit(&codes).unwrap();
        }
        let path = directory.path().join("model.safetensors");
        save_model(&model, &path).unwrap();
        load_model(&mut other, &path).unwrap();
        assert!(state_bits(&model) == state_bits(&other), "{name}");
        let all = |model: &dyn GenerativeModel| {
            let sample = model.sample(200, classes, &Generator::new(3)).unwrap();
            let reconstruction = model.reconstruct(&input.features, classes).unwrap();
            (bits(&sample), bits(&reconstruction))
        };
        assert!(all(&*model) == all(&*other), "{name}");
    }
}

#[test]
fn new_codes_of_a_plain_autoencoder_come_from_the_codes_of_the_data() {
    let (_, mut model) = models(0).remove(0);
    fit(&mut model, 2);
    let input = DataLoader::new(scaled_digits(), 1797).unwrap().tensors(plain()).next().unwrap().unwrap().features;
    let codes = model.encode(&input, None).unwrap().detach();
    let before = model.sample_codes(2000, &Generator::new(1)).unwrap();
    model.code_prior().unwrap().fit(&codes).unwrap();
    let after = model.sample_codes(2000, &Generator::new(1)).unwrap();
    let moments = |codes: &Tensor| {
        let of = |tensor: Tensor| values(&tensor);
        (of(codes.mean(0, false).unwrap()), of(codes.var(0, 1, false).unwrap()))
    };
    // In deviations of the codes: within a tenth, about four standard errors of the means.
    let distance = |drawn: &Tensor| {
        let ((mean, variance), (other_mean, other_variance)) = (moments(&codes), moments(drawn));
        let far = |unit: usize| {
            let deviation = variance[unit].sqrt();
            ((mean[unit] - other_mean[unit]) / deviation)
                .abs()
                .max((other_variance[unit].sqrt() / deviation - 1.0).abs())
        };
        (0..LATENT).map(far).fold(0.0, f64::max)
    };
    assert!(distance(&after) < 0.1, "{}", distance(&after));
    assert!(distance(&before) > 0.5, "{}", distance(&before));
}

/// Notes the loss of each step, and stops after one as a power cut would.
struct Watch {
    losses: Vec<f64>,
    stop: Option<u64>,
}

impl Callback for Watch {
    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.losses.push(context.progress.loss);
        if Some(context.progress.step) == self.stop { Err(TrainError::other("power cut")) } else { Ok(()) }
    }
}

#[test]
fn the_first_step_of_a_linear_warm_up_counts_the_reconstruction_alone() {
    let build = || digit_options(LATENT, recording()).build(&Generator::new(0)).unwrap();
    let first = |task: Generation| {
        let mut trainer = Trainer::new(1).callback(Watch { losses: Vec::new(), stop: Some(1) });
        let mut task = task;
        trainer.fit(&mut task, &mut build(), &mut Adam::new(1e-3), &mut loader(64), None).unwrap_err();
        trainer.find_callback::<Watch>().unwrap().losses[0]
    };
    // The same noise: that of the model's generator at its start.
    let batch = loader(64).tensors(plain()).next().unwrap().unwrap();
    let parts = build().loss(&batch.features, None).unwrap();
    let [reconstruction, kl] = ["reconstruction", "kl"].map(|part| parts.get(part).unwrap().item().unwrap());
    assert!(kl > 0.05, "{kl}");
    let warm_up = Generation::new().schedule("kl", BetaSchedule::Linear { warm_up: 5.0 }).unwrap();
    assert!((first(warm_up) - reconstruction).abs() < 1e-4);
    assert!((first(Generation::new()) - reconstruction - kl).abs() < 1e-4);
    let half = Generation::new().schedule("kl", BetaSchedule::Sigmoid { midpoint: 0.0, steepness: 1.0 }).unwrap();
    assert!((first(half) - reconstruction - 0.5 * kl).abs() < 1e-4);
}

#[test]
fn a_schedule_changes_training_and_not_what_validation_counts() {
    let fit = |task: &mut Generation| {
        let mut model = digit_options(LATENT, recording()).beta(3.0).build(&Generator::new(0)).unwrap();
        let mut validation = DataLoader::new(scaled_digits(), 600).unwrap();
        let trainer = &mut Trainer::new(3);
        let history =
            trainer.fit(task, &mut model, &mut Adam::new(1e-3), &mut loader(64), Some(&mut validation)).unwrap();
        (history, evaluate(task, &model, &mut validation).unwrap())
    };
    let (history, evaluated) =
        fit(&mut Generation::new().schedule("kl", BetaSchedule::Linear { warm_up: 30.0 }).unwrap());
    let (constant, _) = fit(&mut Generation::new());
    let last = &history.last().unwrap().metrics;
    let sum = |kind: &str, weight: f64| last[&format!("{kind}_reconstruction")] + weight * last[&format!("{kind}_kl")];
    assert!((last["validation_loss"] - sum("validation", 3.0)).abs() < 1e-3, "{last:?}");
    assert_eq!(evaluated["reconstruction"], last["validation_reconstruction"]);
    // In the third of thirty epochs the weight rises from 2/30 to 3/30, batch by batch.
    let weight = (last["train_loss"] - last["train_reconstruction"]) / (3.0 * last["train_kl"]);
    assert!((30.0 * weight - 2.5).abs() < 0.1, "{weight}");
    // Less pressure on the codes, so they say more.
    assert!(last["train_kl"] > 2.0 * constant.last().unwrap().metrics["train_kl"]);
}

#[test]
fn a_schedule_for_a_part_that_the_loss_does_not_have_is_refused() {
    let mut model = digit_options(LATENT, recording()).build(&Generator::new(0)).unwrap();
    let mut task = Generation::new().schedule("KL", BetaSchedule::Linear { warm_up: 5.0 }).unwrap();
    let failure = Trainer::new(1).fit(&mut task, &mut model, &mut Adam::new(1e-3), &mut loader(64), None).unwrap_err();
    assert!(failure.to_string().contains("`KL`") && failure.to_string().contains("\"kl\""), "{failure}");
}

#[test]
fn a_conditional_model_needs_data_with_classes() {
    let (_, mut model) = models(0).pop().unwrap();
    let features = vec![0.5f32; 4 * 64];
    let data = osnova_data::ArrayDataset::regression(features, [64], vec![0.0; 4], 1).unwrap();
    let mut train = DataLoader::new(data, 2).unwrap();
    assert!(Trainer::new(1).fit(&mut Generation::new(), &mut model, &mut Adam::new(1e-3), &mut train, None).is_err());
}

#[test]
fn a_run_that_was_broken_in_an_epoch_resumes_with_the_same_bits() {
    let directory = tempfile::tempdir().unwrap();
    let schedule = BetaSchedule::Cyclical { period: 1.5, ramp: 0.7 };
    // The noise of the variational and the denoising one, and the running mean of the sparse one, must come back.
    for index in [2, 3, 4] {
        let mut steps = 0;
        let mut run = |seed: u64, stop: Option<u64>, resume: bool, folder: &str| {
            let (name, mut model) = models(seed).remove(index);
            let mut task = Generation::new();
            if name != "denoising" {
                let part = if name == "variational" { "kl" } else { "sparsity" };
                task = task.schedule(part, schedule).unwrap();
            }
            let path = directory.path().join(format!("{index}-{folder}"));
            let checkpoints = ModelCheckpoint::new(&path).unwrap().every_steps(6).keep_last(1).unwrap();
            let mut trainer = Trainer::new(2).callback(checkpoints).callback(Watch { losses: Vec::new(), stop });
            if resume {
                let checkpoint = CheckpointDirectory::create(&path).unwrap().load_latest().unwrap().unwrap();
                steps = checkpoint.step();
                trainer = trainer.resume(checkpoint);
            }
            let outcome = trainer.fit(&mut task, &mut model, &mut Adam::new(1e-3), &mut loader(128), None);
            assert_eq!(outcome.is_err(), stop.is_some());
            let losses = trainer.find_callback::<Watch>().unwrap().losses.clone();
            (outcome.ok().map(|history| record(&history)), losses, state_bits(&model))
        };
        let (whole, losses, weights) = run(0, None, false, "whole");
        run(0, Some(20), false, "part");
        // Other weights and another seed, which the checkpoint must replace.
        let (resumed, rest, again) = run(9, None, true, "part");
        // In the middle of the second epoch.
        assert_eq!((steps, losses.len()), (18, 30));
        assert_eq!((rest.as_slice(), &resumed), (&losses[steps as usize..], &whole), "model {index}");
        assert!(weights == again, "model {index}");
    }
}
