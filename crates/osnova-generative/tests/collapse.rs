//! A posterior that collapses is found by the doctor, and what the doctor advises mends it.

mod common;

use common::{digit_options, loader, recording, scaled_digits, values};
use osnova_data::DataLoader;
use osnova_generative::{
    BetaSchedule, Generation, GenerativeModel, Likelihood, VariationalAutoencoder, VariationalAutoencoderOptions,
};
use osnova_optim::Adam;
use osnova_tensor::{Device, Generator};
use osnova_train::{Diagnosis, Disease, Doctor, Place, Severity, Trainer};

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

#[test]
fn a_healthy_run_raises_nothing() {
    let (active, found) = train(digit_options(UNITS, recording()), Generation::new(), 1e-3, 15);
    assert!(active >= UNITS - 1, "{active}");
    assert_eq!(found, []);
}
