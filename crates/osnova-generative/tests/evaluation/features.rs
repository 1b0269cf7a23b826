//! The feature extractor, on real digits.

use crate::common::{loader, refusal};
use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader, MinMaxScaler, Subset, Transform, digits};
use osnova_generative::evaluation::FeatureExtractor;
use osnova_tensor::{DType, Device, Generator, Tensor};
use osnova_train::predict;

#[test]
fn other_digits_are_nearer_than_spoiled_ones_and_these_nearer_than_noise() {
    let data = MinMaxScaler::new().fit(&digits().unwrap()).unwrap().apply(&digits().unwrap()).unwrap();
    let part = |first: usize| Subset::new(data.clone(), (first..1797).step_by(2).collect::<Vec<_>>()).unwrap();
    let mut train = DataLoader::new(part(0), 64).unwrap().shuffle(1);
    let mut test = DataLoader::new(part(1), 1000).unwrap();
    let extractor = FeatureExtractor::train(&mut train, 32, 40, 0, Device::cpu()).unwrap();
    let accuracy = extractor.accuracy(&mut test).unwrap();
    assert!(accuracy > 0.85, "{accuracy}");

    let images = |loader: &mut DataLoader| {
        loader.start_epoch(0);
        let batches: Vec<_> = loader.tensors(Device::cpu()).map(|batch| batch.unwrap().features).collect();
        Tensor::concat(&batches, 0).unwrap()
    };
    let (real, others) = (images(&mut train), images(&mut test));
    let generator = Generator::new(2);
    let noise = Tensor::uniform(*others.shape(), 0.0, 1.0, DType::F32, &generator, Device::cpu()).unwrap();
    let spoiled = ((&others * 0.7).unwrap() + (&noise * 0.3).unwrap()).unwrap();
    let distance = |generated: &Tensor| extractor.frechet_distance(&real, generated).unwrap();
    let found = [&real, &others, &spoiled, &noise].map(distance);
    assert!(found[0] < 1e-5 && found.is_sorted_by(|nearer, further| 2.0 * nearer < *further), "{found:?}");

    // As a layer it gives the same features.
    let features = extractor.features(&others).unwrap();
    assert_eq!(features.dims(), [898, 32]);
    assert_eq!(predict(&extractor, &mut test).unwrap().to_vec::<f32>().unwrap(), features.to_vec::<f32>().unwrap());
    // Images of any shape are the same samples.
    let square = others.reshape([898, 1, 8, 8]).unwrap();
    assert_eq!(extractor.features(&square).unwrap().to_vec::<f32>().unwrap(), features.to_vec::<f32>().unwrap());
    assert!(refusal(extractor.frechet_distance(&real, &others.narrow(1, 0, 63).unwrap())).contains("63"));
    assert!(refusal(extractor.frechet_distance(&real, &(&others * f64::NAN).unwrap())).contains("finite"));
}

#[test]
fn a_seed_gives_the_same_features() {
    let mut train = DataLoader::new(digits().unwrap(), 300).unwrap();
    let mut features = |seed: u64| {
        let extractor = FeatureExtractor::train(&mut train, 4, 1, seed, Device::cpu()).unwrap();
        let image = Tensor::ones([1, 64], DType::F32, Device::cpu()).unwrap();
        extractor.features(&image).unwrap().to_vec::<f32>().unwrap()
    };
    let first = features(0);
    assert_eq!(first, features(0));
    assert_ne!(first, features(1));
}

#[test]
fn bad_input_is_refused() {
    let mut labelled = DataLoader::new(digits().unwrap(), 300).unwrap();
    let device = Device::cpu();
    assert!(refusal(FeatureExtractor::train(&mut labelled, 0, 1, 0, device)).contains("hidden units"));
    assert!(refusal(FeatureExtractor::train(&mut labelled, 4, 0, 0, device)).contains("epochs"));
    assert!(refusal(FeatureExtractor::train(&mut loader(vec![0.0; 4], 2, 1), 4, 1, 0, device)).contains("no classes"));
    let one = ArrayDataset::classification(vec![0.0; 2], [2], vec![0], 2).unwrap();
    let mut empty = DataLoader::new(one, 2).unwrap().drop_last(true);
    refusal(FeatureExtractor::train(&mut empty, 4, 1, 0, device));
}
