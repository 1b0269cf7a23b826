//! Codes of a data set: active units, sparseness, the linear probe.

use crate::common::{empty, loader, normal, refusal, shift};
use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_data::{DataLoader, digits};
use osnova_generative::evaluation::{
    ACTIVE_VARIANCE, Codes, active_units, encode_all, fit_code_prior, linear_probe, sparseness, sparseness_above,
};
use osnova_generative::{Autoencoder, GenerativeModel, VariationalAutoencoder};
use osnova_nn::{Head, Linear, Mlp};
use osnova_tensor::{DType, Device, Generator, Tensor};
use proptest::prelude::*;

fn codes(values: Vec<f32>, width: usize, classes: impl Into<Option<Vec<i64>>>) -> Codes {
    let codes = Tensor::from_slice(&values, [values.len() / width, width], Device::cpu()).unwrap();
    Codes { codes, classes: classes.into() }
}

#[test]
fn codes_come_in_the_loaders_order_with_their_classes() {
    let (generator, device) = (Generator::new(0), Device::cpu());
    let encoder = Linear::new(64, 5, &generator, device.autodiff()).unwrap();
    let decoder = Linear::new(5, 64, &generator, device.autodiff()).unwrap();
    let model = Autoencoder::new(encoder, decoder, 5).unwrap();
    let mut data = DataLoader::new(digits().unwrap(), 100).unwrap().shuffle(3);
    data.start_epoch(4);
    let found = encode_all(&model, &mut data).unwrap();
    assert_eq!((found.codes.dims(), found.codes.device()), (&[1797, 5][..], device));
    data.start_epoch(0);
    let (mut expected, mut classes) = (Vec::new(), Vec::new());
    for batch in data.tensors(device) {
        let batch = batch.unwrap();
        expected.extend(model.encode(&batch.features, None).unwrap().detach().to_vec::<f32>().unwrap());
        classes.extend(batch.targets().unwrap().to_vec::<i64>().unwrap());
    }
    assert_eq!(found.codes.to_vec::<f32>().unwrap(), expected);
    assert_eq!(found.classes, Some(classes));
    assert_eq!(encode_all(&model, &mut loader(vec![0.0; 640], 64, 3)).unwrap().classes, None);
    assert!(refusal(encode_all(&model, &mut empty(64))).contains("no samples"));
}

#[test]
fn a_code_prior_is_fitted_where_there_is_one() {
    let mut model = Autoencoder::new(shift(2, 3.0), shift(2, 0.0), 2).unwrap();
    let mut data = loader(normal(4000, 1), 2, 256);
    assert!(fit_code_prior(&mut model, &mut data).unwrap());
    let drawn = model.sample_codes(4000, &Generator::new(2)).unwrap();
    for mean in drawn.mean(0, false).unwrap().to_vec::<f32>().unwrap() {
        assert!((mean - 3.0).abs() < 0.1, "{mean}");
    }
    assert!(refusal(fit_code_prior(&mut model, &mut loader(vec![0.0; 2], 2, 1))).contains("codes"));

    let (generator, device) = (Generator::new(0), Device::cpu());
    let encoder = Mlp::new(2, &[], Head::Regression(2), &generator, device).unwrap();
    let mut variational = VariationalAutoencoder::options(encoder, shift(1, 0.0), 1).build(&generator).unwrap();
    assert!(!fit_code_prior(&mut variational, &mut data).unwrap());
}

proptest! {
    /// Half the samples at +a, half at −a, about any centre: the variance is a².
    #[test]
    fn variances_are_those_of_the_units(
        units in prop::collection::vec((0.0..0.5_f32, -5.0..5.0_f32), 1..6), pairs in 1_usize..20,
    ) {
        let row = |sign: f32| units.iter().map(|(a, centre)| centre + sign * a).collect::<Vec<_>>();
        let values = [row(1.0), row(-1.0)].concat().repeat(pairs);
        let found = active_units(&codes(values, units.len(), None)).unwrap();
        for (variance, (a, _)) in found.variances.iter().zip(&units) {
            prop_assert!((variance - (a * a) as f64).abs() < 1e-5, "{variance}, not {a}²");
        }
        let active = found.variances.iter().filter(|variance| **variance > ACTIVE_VARIANCE).count();
        prop_assert_eq!(found.count(), active);
        prop_assert_eq!(found.share(), active as f64 / units.len() as f64);
        let order = found.by_activity();
        prop_assert!(order.is_sorted_by(|left, right| found.variances[*left] >= found.variances[*right]));
        let mut sorted = order;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..units.len()).collect::<Vec<_>>());
    }

    #[test]
    fn sparseness_has_no_scale_and_lies_between_constant_and_one_hot(
        samples in 1_usize..8, width in 2_usize..8, scale in -15_i32..15, seed in any::<u64>(),
    ) {
        let values = normal(samples * width, seed);
        // A power of two, which rounds nothing.
        let scaled = values.iter().map(|value| value * 2_f32.powi(scale)).collect();
        let (plain, scaled) = (sparseness(&codes(values, width, None)).unwrap(), sparseness(&codes(scaled, width, None)).unwrap());
        prop_assert_eq!(plain, scaled);
        prop_assert!(plain.hoyer > 0.0 && plain.hoyer < 1.0);
        prop_assert_eq!(plain.active_share, plain.active_per_sample / width as f64);
    }
}

#[test]
fn a_few_of_the_units_are_active() {
    let values = vec![0.0, 1.0, 5.0, 0.2, 0.0, -1.0, 5.0, -0.2];
    let found = active_units(&codes(values, 4, None)).unwrap();
    assert_eq!((found.count(), found.share(), found.by_activity()), (2, 0.5, vec![1, 3, 0, 2]));
    // A variance of 0.0064 is below the threshold.
    assert_eq!(active_units(&codes(vec![0.08, -0.08], 1, None)).unwrap().count(), 0);
}

#[test]
fn known_codes_have_their_sparseness() {
    let one_hot = sparseness(&codes(vec![0.0, -3.0, 0.0, 0.0, 2.0, 0.0], 3, None)).unwrap();
    assert!((one_hot.hoyer - 1.0).abs() < 1e-12);
    assert_eq!((one_hot.active_per_sample, one_hot.dead), (1.0, 2));
    let constant = sparseness(&codes(vec![0.7; 12], 4, None)).unwrap();
    assert!(constant.hoyer.abs() < 1e-12);
    assert_eq!((constant.active_per_sample, constant.active_share, constant.dead), (4.0, 1.0, 0));
    // (√5 − 2.55/1.3973)/(√5 − 1)
    let mixed = codes(vec![0.8, 0.1, 0.9, 0.05, 0.7], 5, None);
    assert!((sparseness(&mixed).unwrap().hoyer - 0.332_622_885).abs() < 1e-6);
    // 0.1 and 0.05 are below 15 % of 0.9.
    assert_eq!(sparseness_above(&mixed, 0.15).unwrap().active_per_sample, 3.0);
    assert_eq!(sparseness(&mixed).unwrap().active_per_sample, 5.0);
    // A code of zeros says nothing of its kind; a unit at 1 % of the largest is not active.
    let silent = sparseness(&codes(vec![0.0, 0.0, 100.0, 1.0], 2, None)).unwrap();
    assert_eq!((silent.active_per_sample, silent.dead), (0.5, 1));
    assert!(silent.hoyer > 0.97);
    assert_eq!(sparseness(&codes(vec![0.0; 6], 2, None)).unwrap().hoyer, 0.0);
}

#[test]
fn a_probe_reads_classes_that_lie_apart_and_guesses_where_there_is_nothing_to_read() {
    let classes: Vec<i64> = (0..400).map(|sample| sample % 4).collect();
    let noise = normal(400 * 3, 1);
    // Four corners of a tetrahedron, on units of very different scales.
    let corners = [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]];
    let apart = |noise: &[f32]| {
        let samples = classes.iter().zip(noise.chunks_exact(3));
        let values = samples.flat_map(|(&class, noise)| {
            let corner = corners[class as usize];
            [corner[0] + 0.1 * noise[0], 1e4 * (corner[1] + 0.1 * noise[1]), 1e-4 * (corner[2] + 0.1 * noise[2]) + 7.0]
        });
        codes(values.collect(), 3, classes.clone())
    };
    let (train, test) = (apart(&noise), apart(&normal(400 * 3, 2)));
    assert_eq!(linear_probe(&train, &test, 4, 0).unwrap(), 1.0);

    let (train, test) = (codes(noise, 3, classes.clone()), codes(normal(400 * 3, 2), 3, classes));
    let guessed = linear_probe(&train, &test, 4, 0).unwrap();
    assert!((guessed - 0.25).abs() < 0.1, "{guessed}");
    assert_eq!(guessed, linear_probe(&train, &test, 4, 0).unwrap());
}

/// The pixels of the digits as codes. With scikit-learn:
///
/// ```text
/// x, y = load_digits(return_X_y=True); x = x[:, pixels]
/// model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10000)).fit(x[:1200], y[:1200])
/// (model.predict(x[1200:]) == y[1200:]).sum()    # 553 of 597 with all pixels, 331 with pixels 26 to 33
/// ```
#[test]
fn a_probe_agrees_with_scikit_learn() {
    let mut data = DataLoader::new(digits().unwrap(), 1797).unwrap();
    let batch = data.tensors(Device::cpu()).next().unwrap().unwrap();
    let classes = batch.targets().unwrap().to_vec::<i64>().unwrap();
    for (first, width, right) in [(0, 64, 553), (26, 8, 331)] {
        let pixels = batch.features.narrow(1, first, width).unwrap();
        let part = |from: usize, count: usize| Codes {
            codes: pixels.narrow(0, from, count).unwrap(),
            classes: Some(classes[from..from + count].to_vec()),
        };
        for seed in [0, 1] {
            let accuracy = linear_probe(&part(0, 1200), &part(1200, 597), 10, seed).unwrap();
            assert!((accuracy * 597.0 - f64::from(right)).abs() < 0.5, "{} of 597, not {right}", accuracy * 597.0);
        }
    }
}

#[test]
fn bad_codes_are_refused() {
    let good = || codes(vec![0.0, 1.0, 2.0, 3.0], 2, vec![0, 1]);
    let spoiled = codes(vec![0.0, f32::NAN, 2.0, 3.0], 2, vec![0, 1]);
    let unlabelled = codes(vec![0.0, 1.0, 2.0, 3.0], 2, None);
    let narrow = codes(vec![0.0, 1.0], 1, vec![0, 1]);
    let none = Codes { codes: Tensor::zeros([0, 2], DType::F32, Device::cpu()).unwrap(), classes: Some(Vec::new()) };
    let flat = Codes { codes: Tensor::zeros([4], DType::F32, Device::cpu()).unwrap(), classes: None };

    assert!(refusal(active_units(&spoiled)).contains("finite"));
    assert!(refusal(active_units(&codes(vec![1.0, 2.0], 2, None))).contains("at least 2"));
    assert!(refusal(active_units(&flat)).contains("[samples, features]"));
    assert!(refusal(sparseness(&spoiled)).contains("finite"));
    assert!(refusal(sparseness(&none)).contains("at least 1"));
    for share in [-0.1, 1.0, f64::NAN] {
        assert!(refusal(sparseness_above(&good(), share)).contains("share"));
    }

    assert_eq!(linear_probe(&good(), &good(), 2, 0).unwrap(), 1.0);
    assert!(refusal(linear_probe(&spoiled, &good(), 2, 0)).contains("finite"));
    assert!(refusal(linear_probe(&good(), &spoiled, 2, 0)).contains("finite"));
    assert!(refusal(linear_probe(&unlabelled, &good(), 2, 0)).contains("no classes"));
    assert!(refusal(linear_probe(&good(), &unlabelled, 2, 0)).contains("no classes"));
    assert!(refusal(linear_probe(&good(), &narrow, 2, 0)).contains("widths"));
    assert!(refusal(linear_probe(&good(), &none, 2, 0)).contains("at least 1"));
    assert!(refusal(linear_probe(&good(), &good(), 1, 0)).contains("1 classes"));
    assert!(refusal(linear_probe(&codes(vec![0.0; 4], 2, vec![0, 2]), &good(), 2, 0)).contains("class 2 of 2"));
    assert!(refusal(linear_probe(&codes(vec![0.0; 4], 2, vec![0, -1]), &good(), 2, 0)).contains("class -1 of 2"));
    assert!(refusal(linear_probe(&codes(vec![0.0; 4], 2, vec![0]), &good(), 2, 0)).contains("1 classes for 2"));
}
