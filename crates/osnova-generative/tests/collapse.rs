//! A posterior that collapses is found by the doctor, and what the doctor advises mends it.

mod common;

use common::{digit_options, loader, mlp, plain, recording, scaled_digits, values};
use osnova_data::DataLoader;
use osnova_generative::{
    BetaSchedule, Generation, GenerativeModel, Likelihood, VariationalAutoencoder, VariationalAutoencoderOptions,
};
use osnova_nn::Linear;
use osnova_optim::Adam;
use osnova_tensor::{Device, Generator, Tensor};
use osnova_train::{Diagnosis, Disease, Doctor, Place, Progress, Severity, Trainer, TrainingStep};

const UNITS: usize = 8;

/// How many units of the code vary over all digits.
fn active(model: &VariationalAutoencoder) -> usize {
    let mut all = DataLoader::new(scaled_digits(), 1797).unwrap();
    let batch = all.tensors(recording().without_recording()).next().unwrap().unwrap();
    let means = model.encode(&batch.features, None).unwrap().detach();
    values(&means.var(0, 0, false).unwrap()).into_iter().filter(|&variance| variance > 0.01).count()
}

/// Trains with a doctor: the active units at the end, and what was found.
fn train(
    options: VariationalAutoencoderOptions,
    mut task: Generation,
    learning_rate: f64,
    epochs: usize,
) -> (usize, Vec<Diagnosis>) {
    let mut model = options.build(&Generator::new(0)).unwrap();
    let history = Trainer::new(epochs)
        .callback(Doctor::new().quiet())
        .fit(&mut task, &mut model, &mut Adam::new(learning_rate), &mut loader(64), None)
        .unwrap();
    (active(&model), history.diagnoses)
}

fn collapse(diagnoses: &[Diagnosis]) -> Option<&Diagnosis> {
    diagnoses.iter().find(|one| one.disease == Disease::PosteriorCollapse)
}

/// A normal likelihood of variance ½ is far too forgiving for pixels from 0 to 1, and the learning rate is too high: the KL
/// part wins the first steps.
fn forgiving(device: Device) -> VariationalAutoencoderOptions {
    digit_options(UNITS, device).likelihood(Likelihood::SquaredError)
}

#[test]
fn a_collapsed_posterior_is_found_and_a_warm_up_mends_it() {
    // Measured: 0 of 8 units active, the largest variance below 0.0005; with the warm-up 6, four of them above 0.03.
    let (before, found) = train(forgiving(recording()), Generation::new(), 1e-2, 20);
    assert_eq!(before, 0);
    let found = collapse(&found).unwrap();
    assert_eq!((&found.place, found.severity), (&Place::Run, Severity::Critical));
    assert!(found.step >= 200 && found.epoch >= 2, "{found:?}");
    assert_eq!((found.measured("active units"), found.measured("units")), (Some(0.0), Some(UNITS as f64)));
    assert!(found.measured("nats").unwrap() < 0.05, "{found:?}");
    assert!(found.finding.starts_with("0 of 8 code units are active"), "{}", found.finding);
    for cure in ["warm-up of the KL part", "BetaSchedule::Linear", "free bits", "a smaller β", "weaker decoder"] {
        assert!(found.advice.contains(cure), "{cure} is not in: {}", found.advice);
    }

    let warm_up = Generation::new().schedule("kl", BetaSchedule::Linear { warm_up: 15.0 }).unwrap();
    let (after, found) = train(forgiving(recording()), warm_up, 1e-2, 20);
    assert!(after >= UNITS / 2, "{after} units are active");
    assert_eq!(collapse(&found), None);
}

#[test]
fn a_smaller_beta_free_bits_and_a_stricter_likelihood_mend_it_too() {
    let strict = Likelihood::Gaussian { standard_deviation: 0.3 };
    for options in [
        forgiving(recording()).beta(0.1),
        forgiving(recording()).free_bits(0.25),
        forgiving(recording()).likelihood(strict),
    ] {
        let (active, found) = train(options.clone(), Generation::new(), 1e-2, 12);
        assert!(active >= UNITS / 2, "{active} units are active with {options:?}");
        assert_eq!(collapse(&found), None);
    }
}

/// The encoder is one layer, whose weights are `scale` times as they are drawn, with means about 1: a divergence of half a nat
/// a unit, whatever the codes say.
fn shifted(scale: f64) -> VariationalAutoencoder {
    let mut encoder = Linear::new(64, 2 * UNITS, &Generator::new(1), plain()).unwrap();
    encoder.weight.set_value((encoder.weight.value() * scale).unwrap()).unwrap();
    let bias: Vec<f32> = (0..2 * UNITS).map(|unit| if unit < UNITS { 1.0 } else { 0.0 }).collect();
    encoder.bias.as_mut().unwrap().set_value(Tensor::from_vec(bias, [2 * UNITS], plain()).unwrap()).unwrap();
    let options = VariationalAutoencoder::options(encoder, mlp(UNITS, 64, 2, plain()), UNITS);
    options.build(&Generator::new(0)).unwrap()
}

#[test]
fn codes_that_are_all_the_same_have_collapsed_whatever_their_divergence() {
    let batch = loader(64).tensors(plain()).next().unwrap().unwrap();
    let (silent, speaking) = (shifted(1e-3), shifted(1.0));
    for model in [&silent, &speaking] {
        assert!(model.loss(&batch.features, None).unwrap().get("kl").unwrap().item().unwrap() > 3.0);
    }
    let mut task = Generation::new();
    let mut look = |model: &VariationalAutoencoder, step: u64| {
        let progress = Progress { epoch: 3, step, ..Progress::default() };
        TrainingStep::<VariationalAutoencoder>::on_step_start(&mut task, &progress);
        task.examine(model, &batch).unwrap().len()
    };
    // Too early; three looks one after another; a healthy one begins the count anew.
    assert_eq!([100, 120, 199].map(|step| look(&silent, step)), [0, 0, 0]);
    assert_eq!([200, 220, 240].map(|step| look(&silent, step)), [0, 0, 1]);
    assert_eq!(look(&speaking, 260), 0);
    assert_eq!([280, 300, 320].map(|step| look(&silent, step)), [0, 0, 1]);
}

/// 512 units share the two nats that 8 need: less than a tenth of them vary by more than 0.01, and nothing is wrong.
#[test]
fn a_wide_code_that_says_little_with_each_unit_has_not_collapsed() {
    let (active, found) = train(digit_options(512, recording()), Generation::new(), 3e-4, 12);
    assert!(active < 51, "{active}");
    assert_eq!(found, []);
}

/// The gradient of a sum of 64 errors over 2σ² is over 100 times the weights, and Adam does not mind.
#[test]
fn a_small_deviation_does_not_pass_for_exploding_gradients() {
    let options = digit_options(UNITS, recording()).likelihood(Likelihood::Gaussian { standard_deviation: 0.2 });
    let (active, found) = train(options, Generation::new(), 1e-3, 5);
    assert!(active >= UNITS - 1, "{active}");
    assert_eq!(found, []);
}

#[test]
fn a_healthy_run_raises_nothing() {
    let (active, found) = train(digit_options(UNITS, recording()), Generation::new(), 1e-3, 15);
    assert!(active >= UNITS - 1, "{active}");
    assert_eq!(found, []);
}
