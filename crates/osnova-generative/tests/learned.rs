//! What sparse and denoising autoencoders are for: fewer active units, and samples freed from noise, on digits that were not in
//! training.

mod common;

use common::{recording, scaled_digits};
use osnova_data::{DataLoader, SplitOptions, train_validation_test_split};
use osnova_generative::evaluation::{Sparseness, denoising, encode_all, reconstruction, sparseness};
use osnova_generative::{Corruption, DenoisingAutoencoder, Generation, GenerativeModel, SparseAutoencoder, Sparsity};
use osnova_nn::{Layer, Linear, Relu, Sequential, Sigmoid};
use osnova_optim::Adam;
use osnova_tensor::Generator;
use osnova_train::Trainer;

const UNITS: usize = 100;

fn split() -> (DataLoader, DataLoader) {
    let options = SplitOptions::stratified(0);
    let split = train_validation_test_split(scaled_digits(), [0.7, 0.1, 0.2], &options).unwrap();
    (DataLoader::new(split.train, 64).unwrap().shuffle(0), DataLoader::new(split.validation, 512).unwrap())
}

fn fit(model: &mut (impl GenerativeModel + Clone), epochs: usize, train: &mut DataLoader) {
    Trainer::new(epochs).fit(&mut Generation::new(), model, &mut Adam::new(3e-3), train, None).unwrap();
}

/// 64 – 100 – 64, wider than the samples.
fn sparse(sparsity: Sparsity, weight: f64, end: impl Layer + 'static, epochs: usize) -> (Sparseness, f64) {
    let (mut train, mut test) = split();
    let generator = Generator::new(0);
    let encoder = Sequential::new().with(Linear::new(64, UNITS, &generator, recording()).unwrap()).with(end);
    let decoder = Linear::new(UNITS, 64, &generator, recording()).unwrap();
    let options = SparseAutoencoder::options(encoder, decoder, UNITS, sparsity).weight(weight);
    let mut model = options.build().unwrap();
    fit(&mut model, epochs, &mut train);
    let error = reconstruction(&model, &mut test, 1.0).unwrap().squared_error;
    (sparseness(&encode_all(&model, &mut test).unwrap()).unwrap(), error)
}

#[test]
fn textbook_24_a_sparse_code_has_fewer_active_units_than_a_plain_one() {
    // Measured: 61.6 of 100 units a sample, and 14.8 with the penalty. Its error is then 0.73; that of the mean image is 4.9.
    let (plain, _) = sparse(Sparsity::L1, 0.0, Relu, 30);
    let (penalised, error) = sparse(Sparsity::L1, 0.2, Relu, 30);
    assert!(3.0 * penalised.active_per_sample < plain.active_per_sample, "{penalised:?} against {plain:?}");
    assert!(error < 1.0, "{error}");
    // A sigmoid never gives 0, so here Hoyer's measure tells: 0.06 and 0.31. All units are used.
    let kl = Sparsity::Kl { target: 0.05, momentum: Some(0.1) };
    let (plain, _) = sparse(kl, 0.0, Sigmoid, 40);
    let (penalised, error) = sparse(kl, 0.05, Sigmoid, 40);
    assert!(penalised.hoyer > 3.0 * plain.hoyer && penalised.dead == 0, "{penalised:?} against {plain:?}");
    assert!(error < 1.0, "{error}");
}

#[test]
fn textbook_24_a_denoising_autoencoder_raises_the_signal_over_the_noise() {
    for corruption in [
        Corruption::Gaussian { standard_deviation: 0.3 },
        Corruption::Masking { probability: 0.3 },
        Corruption::SaltAndPepper { probability: 0.3 },
    ] {
        let (mut train, mut test) = split();
        let generator = Generator::new(0);
        let encoder = Sequential::new().with(Linear::new(64, UNITS, &generator, recording()).unwrap()).with(Relu);
        let decoder = Linear::new(UNITS, 64, &generator, recording()).unwrap();
        let options = DenoisingAutoencoder::options(encoder, decoder, UNITS, corruption);
        let mut model = options.build(&generator).unwrap();
        fit(&mut model, 30, &mut train);
        let found = denoising(&model, &mut test, 1.0, &Generator::new(1)).unwrap();
        // Measured: 6.2, 4.7 and 5.9 dB.
        assert!(found.gain() > 4.0, "{corruption:?}: {found:?}");
    }
}
