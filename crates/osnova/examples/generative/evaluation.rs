//! How good the model is, in numbers with names.

use crate::data::{Parts, first};
use crate::kinds::{DatasetKind, ModelKind};
use crate::models::Model;
use crate::options::Options;
use crate::{EVALUATION_BATCH, Failure};
use osnova::data::{DataLoader, Dataset, Subset};
use osnova::generative::evaluation::{
    ActiveUnits, Codes, FeatureExtractor, active_units, denoising, encode_all, evidence_lower_bound,
    importance_weighted_bounds, linear_probe, reconstruction, sparseness,
};
use osnova::generative::{Generation, GenerativeModel};
use osnova::nn::Module;
use osnova::prelude::Generator;
use osnova::train::evaluate;
use std::collections::BTreeMap;

/// The test samples of the importance-weighted bound, which decodes each many times.
const BOUND_SAMPLES: usize = 500;
/// The width of the classifier whose features samples and data are compared in.
const EXTRACTOR_FEATURES: usize = 64;

/// Numbers with names, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Vec<Number>);

#[derive(Clone, Debug)]
struct Number {
    name: String,
    value: f64,
    meaning: String,
}

impl Numbers {
    fn add(&mut self, name: impl Into<String>, value: f64, meaning: impl Into<String>) {
        self.0.push(Number { name: name.into(), value, meaning: meaning.into() });
    }

    /// Name, value and meaning of each.
    pub(crate) fn rows(&self) -> impl Iterator<Item = [String; 3]> {
        self.0.iter().map(|Number { name, value, meaning }| {
            let digits = if value.fract() == 0.0 { 0 } else { 4 };
            [name.clone(), format!("{value:.digits$}"), meaning.clone()]
        })
    }

    /// For the manifest.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|number| (number.name.clone(), number.value)).collect()
    }
}

/// What was found out about the model.
pub(crate) struct Evaluation {
    pub(crate) numbers: Numbers,
    /// The codes of the test samples.
    pub(crate) codes: Codes,
    pub(crate) activity: ActiveUnits,
}

/// Measures the model on the test samples.
pub(crate) fn measure(
    options: &Options,
    model: &Model,
    parts: &Parts,
    test: &mut DataLoader,
) -> Result<Evaluation, Failure> {
    let mut numbers = Numbers::default();
    let generator = Generator::new(options.seed);

    let error = reconstruction(model, test, 1.0)?;
    numbers.add("squared_error", error.squared_error, "Σ(x − x̂)², a sample");
    numbers.add("psnr", error.psnr, "dB, of reconstructions");
    if options.model == ModelKind::Denoising {
        let restored = denoising(model, test, 1.0, &generator)?;
        numbers.add("psnr_corrupted", restored.corrupted_psnr, "dB, of spoiled samples");
        numbers.add("psnr_restored", restored.restored_psnr, "dB, of what the model makes of them");
        numbers.add("psnr_gain", restored.gain(), "dB");
    }
    if let Some(model) = model.as_variational() {
        let bound = evidence_lower_bound(model, test, 1, &generator)?;
        numbers.add("negative_elbo", bound.negative_elbo(), "nats a sample: the sum of the next two");
        numbers.add("reconstruction", bound.reconstruction, "−E[ln p(x | z)]");
        numbers.add("kl", bound.kl, "KL(q(z | x) ‖ N(0, I))");
        let some: Vec<usize> = (0..test.dataset().len().min(BOUND_SAMPLES)).collect();
        let meaning = format!("nats a sample, of the first {} with so many codes each", some.len());
        let mut some = DataLoader::new(Subset::shared(test.dataset().clone(), some)?, 100)?;
        let counts = counts(options.importance_samples);
        let bounds = importance_weighted_bounds(model, &mut some, &counts, &generator)?;
        for (count, bound) in counts.iter().zip(bounds) {
            numbers.add(format!("negative_bound_{count}"), -bound, meaning.clone());
        }
    } else {
        for (name, value) in evaluate(&mut Generation::new(), model, test)? {
            numbers.add(name, value, "as in training, a sample");
        }
    }

    let codes = encode_all(model, test)?;
    let activity = active_units(&codes)?;
    let sparse = sparseness(&codes)?;
    let units = model.latent_features();
    numbers.add(
        "active_units",
        activity.count() as f64,
        format!("of {units}, whose variance over the data is above 0.01"),
    );
    numbers.add("active_per_sample", sparse.active_per_sample, format!("units of {units} above 1 % of the largest"));
    numbers.add("hoyer_sparseness", sparse.hoyer, "0: all units equally large, 1: one alone speaks");
    numbers.add("dead_units", sparse.dead as f64, "units that are active for no sample");

    let mut train = DataLoader::shared(parts.train.clone(), EVALUATION_BATCH)?;
    let train_codes = encode_all(model, &mut train)?;
    let accuracy = linear_probe(&train_codes, &codes, parts.class_names.len(), options.seed)?;
    numbers.add("linear_probe_accuracy", accuracy, "of a linear classifier on the codes");

    frechet(options, model, parts, test, &mut numbers)?;
    Ok(Evaluation { numbers, codes, activity })
}

/// 1, 10, 100 … and the largest.
fn counts(largest: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = std::iter::successors(Some(1_usize), |count| count.checked_mul(10))
        .take_while(|&count| count < largest)
        .collect();
    counts.push(largest);
    counts
}

/// How far new samples are from the test samples, as a classifier trained here sees them.
fn frechet(
    options: &Options,
    model: &Model,
    parts: &Parts,
    test: &mut DataLoader,
    numbers: &mut Numbers,
) -> Result<(), Failure> {
    let model = model.inference()?;
    let device = model.device().ok_or("the model has no parameters")?;
    let mut train = DataLoader::shared(parts.train.clone(), 128)?.shuffle(options.seed);
    let epochs = match options.dataset {
        DatasetKind::Digits => 60,
        DatasetKind::FashionMnist => 5,
    };
    let extractor = FeatureExtractor::train(&mut train, EXTRACTOR_FEATURES, epochs, options.seed, device)?;
    numbers.add("extractor_accuracy", extractor.accuracy(test)?, "of the classifier that gives the features below");

    let data = test.dataset();
    let real = first(data, data.len(), device)?;
    let classes = model.class_count().and(real.targets.as_ref());
    let new = model.sample(data.len(), classes, &Generator::new(options.seed))?;
    let distance = |samples| extractor.frechet_distance(&real.features, samples);
    numbers.add("frechet_distance", distance(&new)?, "from as many new samples to the test samples");
    let seen = first(&parts.train, data.len(), device)?;
    numbers.add("frechet_distance_of_data", distance(&seen.features)?, "the same from training samples");
    Ok(())
}
