//! The training doctor: every disease is made on purpose and must be named, with its place and a cure; healthy runs must
//! raise nothing, and nothing may change what is computed.
//!
//! Margins: how far a sick run is beyond the doctor's threshold is said at each test.

use osnova_autodiff::AutodiffDevice;
use osnova_checkpoint::CheckpointDirectory;
use osnova_cpu::CpuDevice;
use osnova_data::{
    ArrayDataset, DataLoader, Dataset, SplitOptions, StandardScaler, TensorBatch, Transform, digits,
    train_validation_test_split,
};
use osnova_nn::{Dropout, Fan, Forward, Initializer, Linear, Module, Nonlinearity, Relu, Sequential, Sigmoid, Tanh};
use osnova_optim::{Adam, AdamW, Optimizer, Sgd};
use osnova_tensor::{Activation, Device, Generator, Tensor};
use osnova_train::{
    Callback, Classification, Context, Diagnosis, Disease, Doctor, Manifest, ModelCheckpoint, Place, Regression,
    Result, Severity, StepOutput, StepResults, TrainError, Trainer, TrainingStep,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

fn cpu() -> Device {
    Device::cpu().autodiff()
}

fn loaders(seed: u64) -> (DataLoader, DataLoader) {
    let options = SplitOptions::stratified(seed);
    let split = train_validation_test_split(digits().unwrap(), [0.6, 0.2, 0.2], &options).unwrap();
    let scaler = StandardScaler::new().fit(&split.train).unwrap();
    let train = DataLoader::new(scaler.apply(&split.train).unwrap(), 32).unwrap().shuffle(seed);
    (train, DataLoader::new(scaler.apply(&split.validation).unwrap(), 256).unwrap())
}

/// Digits with features changed one sample at a time: `change(features, class)`.
fn changed(width: usize, change: impl Fn(&mut Vec<f32>, i64)) -> DataLoader {
    let data = digits().unwrap();
    let scaler = StandardScaler::new().fit(&data).unwrap();
    let data = scaler.apply(&data).unwrap();
    let (mut all, mut classes) = (Vec::new(), Vec::new());
    for index in 0..data.len() {
        let mut features = vec![0.0; 64];
        data.read_features(index, &mut features).unwrap();
        let class = data.read_class(index).unwrap();
        change(&mut features, class);
        all.extend(features);
        classes.push(class);
    }
    DataLoader::new(ArrayDataset::classification(all, [width], classes, 10).unwrap(), 32).unwrap().shuffle(0)
}

/// 64 → width … → 10 with an activation behind each layer but the last.
fn deep(layers: usize, width: usize, weight: Initializer, activation: Activation) -> Sequential {
    let generator = Generator::new(0);
    let mut model = Sequential::new();
    for layer in 0..layers {
        let (inputs, outputs) = (if layer == 0 { 64 } else { width }, if layer + 1 == layers { 10 } else { width });
        let options = Linear::options(inputs, outputs).weight(weight).bias(Initializer::Zeros);
        model.push(options.build(&generator, cpu()).unwrap());
        if layer + 1 < layers {
            match activation {
                Activation::Sigmoid => model.push(Sigmoid),
                Activation::Tanh => model.push(Tanh),
                _ => model.push(Relu),
            }
        }
    }
    model
}

fn he() -> Initializer {
    Initializer::HeNormal { fan: Fan::In, nonlinearity: Nonlinearity::Relu }
}

fn normal(standard_deviation: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, standard_deviation }
}

/// Trains with a doctor and gives it back, whether or not the run came to its end.
fn examine<M: Module + Clone, T: TrainingStep<M>>(
    mut task: T,
    model: &mut M,
    mut optimizer: impl Optimizer,
    epochs: usize,
    (train, validation): (&mut DataLoader, Option<&mut DataLoader>),
) -> (Vec<Diagnosis>, Trainer) {
    let mut trainer = Trainer::new(epochs).callback(Doctor::new().quiet());
    let outcome = trainer.fit(&mut task, model, &mut optimizer, train, validation);
    let found = trainer.find_callback::<Doctor>().unwrap().diagnoses().to_vec();
    match outcome {
        Ok(history) => assert_eq!(history.diagnoses, found),
        Err(TrainError::NotFinite { .. }) => assert!(found.iter().any(|one| one.disease == Disease::NotFinite)),
        Err(error) => panic!("{error}"),
    }
    (found, trainer)
}

fn on_digits(model: &mut Sequential, optimizer: impl Optimizer, epochs: usize) -> Vec<Diagnosis> {
    let (mut train, mut validation) = loaders(0);
    examine(Classification, model, optimizer, epochs, (&mut train, Some(&mut validation))).0
}

#[track_caller]
fn named<'a>(found: &'a [Diagnosis], disease: Disease, place: &Place, cure: &str) -> &'a Diagnosis {
    let one = found.iter().find(|one| one.disease == disease && one.place == *place);
    let one = one.unwrap_or_else(|| panic!("no {disease:?} at {place} in {found:#?}"));
    assert!(one.advice.contains(cure), "{one}");
    assert!(one.epoch >= 1 && one.step >= 1 && !one.evidence.is_empty(), "{one:?}");
    one
}

fn layer(name: &str) -> Place {
    Place::Layer(name.to_owned())
}

fn diseases(found: &[Diagnosis]) -> Vec<Disease> {
    let mut diseases: Vec<Disease> = found.iter().map(|one| one.disease).collect();
    diseases.sort_unstable();
    diseases.dedup();
    diseases
}

#[test]
fn textbook_10_a_deep_sigmoid_net_has_vanishing_gradients() {
    let xavier = Initializer::XavierNormal { gain: 1.0 };
    let mut model = deep(10, 32, xavier, Activation::Sigmoid);
    let found = on_digits(&mut model, Sgd::new(0.1), 1);
    let one = named(&found, Disease::VanishingGradients, &layer("0"), "ReLU");
    // Threshold 1e-3; about .25⁹ = 3.8e-6.
    assert!(one.measured("ratio").unwrap() < 1e-4, "{one}");
    assert!(one.finding.contains("`18`") && one.finding.contains("10 layers"), "{one}");

    let mut model = deep(10, 32, he(), Activation::Relu);
    assert_eq!(on_digits(&mut model, Sgd::new(0.02), 2), []);
}

#[test]
fn large_weights_make_gradients_explode() {
    let mut model = deep(8, 64, normal(1.0), Activation::Relu);
    let found = on_digits(&mut model, Sgd::new(1e-12), 1);
    let one = found.iter().find(|one| one.disease == Disease::ExplodingGradients).expect("exploding gradients");
    assert!(matches!(&one.place, Place::Layer(_)) && one.advice.contains("clip_gradient_norm"), "{one}");
    // Threshold 100.
    assert!(one.measured("relative").unwrap() > 1e3, "{one}");
    assert_eq!(one.severity, Severity::Critical);
}

#[test]
fn a_learning_rate_that_is_too_high_is_named() {
    // The loss rises to more than 20 times its first value; the threshold is 1.5 times.
    for rate in [3.0, 100.0] {
        let mut model = deep(3, 32, he(), Activation::Relu);
        let found = on_digits(&mut model, Sgd::new(rate), 2);
        named(&found, Disease::LearningRateTooHigh, &Place::Run, "smaller");
    }
    let mut model = deep(3, 32, he(), Activation::Relu);
    let found = on_digits(&mut model, Adam::new(1.0), 2);
    let one = named(&found, Disease::LearningRateTooHigh, &Place::Run, "smaller");
    assert!(one.finding.contains('`'), "it names the layer that moves most: {one}");
}

#[test]
fn a_learning_rate_that_is_too_low_is_named() {
    // Updates of 3e-7 of the weights, where the threshold is 1e-4; the loss falls by less than 1 %, where it is 2 %.
    let mut model = deep(2, 32, he(), Activation::Relu);
    let found = on_digits(&mut model, Adam::new(1e-7), 2);
    assert_eq!(diseases(&found), [Disease::LearningRateTooLow]);
    let one = named(&found, Disease::LearningRateTooLow, &Place::Run, "larger");
    assert!(one.measured("update ratio").unwrap() < 1e-5, "{one}");
    assert!(one.measured("fallen").unwrap() < 0.01, "{one}");
    assert_eq!(one.step, 60);
}

#[test]
fn a_large_negative_bias_kills_relus() {
    let generator = Generator::new(0);
    let hidden = Linear::options(64, 32).bias(Initializer::Constant(-100.0)).build(&generator, cpu()).unwrap();
    let mut model = Sequential::new().with(hidden).with(Relu).with(Linear::new(32, 10, &generator, cpu()).unwrap());
    let found = on_digits(&mut model, Sgd::new(0.01), 1);
    let one = named(&found, Disease::DeadUnits, &layer("0"), "He");
    assert_eq!(
        (one.measured("dead"), one.measured("units"), one.severity),
        (Some(32.0), Some(32.0), Severity::Critical)
    );
    assert_eq!(one.step, 3);
}

#[test]
fn huge_weights_saturate_tanh() {
    // About 90 % of the outputs are at a limit; the threshold is 50 %.
    let mut model = deep(3, 32, normal(3.0), Activation::Tanh);
    let found = on_digits(&mut model, Sgd::new(1e-3), 1);
    let one = named(&found, Disease::SaturatedUnits, &layer("0"), "Xavier");
    assert!(one.measured("share").unwrap() > 0.8 && one.finding.contains("tanh"), "{one}");
    let mut model = deep(3, 32, normal(3.0), Activation::Sigmoid);
    let found = on_digits(&mut model, Sgd::new(1e-3), 1);
    assert!(named(&found, Disease::SaturatedUnits, &layer("0"), "Xavier").finding.contains("sigmoid"));
}

/// The logarithm of what becomes negative.
struct Logarithm;

impl TrainingStep<Linear> for Logarithm {
    fn training_step(&mut self, model: &Linear, batch: &TensorBatch) -> Result<StepOutput> {
        let loss = model.forward(&batch.features)?.ln()?.mean(.., false)?;
        Ok(StepOutput::new(loss, batch.indices.len()))
    }
}

#[test]
fn the_operation_that_made_a_nan_is_named() {
    let (mut train, _) = loaders(0);
    let mut model = Linear::new(64, 10, &Generator::new(0), cpu()).unwrap();
    let (found, _) = examine(Logarithm, &mut model, Sgd::new(0.1), 1, (&mut train, None));
    let one = named(&found, Disease::NotFinite, &Place::Run, "clamp");
    assert!(one.finding.contains("ln:"), "{one}");
    assert_eq!((one.epoch, one.step, one.severity), (1, 1, Severity::Critical));

    let features: Vec<f32> = (0..64).map(|index| if index == 5 { f32::NAN } else { 0.5 }).collect();
    let mut data = DataLoader::new(ArrayDataset::regression(features, [2], vec![1.0; 32], 1).unwrap(), 8).unwrap();
    let mut model = Linear::new(2, 1, &Generator::new(0), cpu()).unwrap();
    let (found, _) = examine(Regression, &mut model, Sgd::new(0.1), 1, (&mut data, None));
    named(&found, Disease::NotFinite, &Place::Features, "SimpleImputer");
}

/// √|x − x|: the loss is 0, its derivative is 0 · ∞.
struct Root;

impl TrainingStep<Linear> for Root {
    fn training_step(&mut self, model: &Linear, batch: &TensorBatch) -> Result<StepOutput> {
        let output = model.forward(&batch.features)?;
        let loss = ((&output * 0.0)?.sqrt()?.mean(.., false)? + output.square()?.mean(.., false)?)?;
        Ok(StepOutput::new(loss, batch.indices.len()))
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_named_before_the_loss_is_lost() {
    let (mut train, _) = loaders(0);
    let mut model = Linear::new(64, 10, &Generator::new(0), cpu()).unwrap();
    let (found, _) = examine(Root, &mut model, Sgd::new(0.1), 1, (&mut train, None));
    let one = named(&found, Disease::NotFinite, &Place::Parameter("weight".into()), "square roots");
    assert_eq!(one.step, 1);
}

#[test]
fn a_large_net_on_few_samples_overfits() {
    let options = SplitOptions::stratified(0);
    let split = train_validation_test_split(digits().unwrap(), [0.02, 0.49, 0.49], &options).unwrap();
    let scaler = StandardScaler::new().fit(&split.train).unwrap();
    let mut train = DataLoader::new(scaler.apply(&split.train).unwrap(), 12).unwrap().shuffle(0);
    let mut validation = DataLoader::new(scaler.apply(&split.validation).unwrap(), 256).unwrap();
    let mut model = deep(2, 256, he(), Activation::Relu);
    let (found, _) = examine(Classification, &mut model, Adam::new(1e-3), 20, (&mut train, Some(&mut validation)));
    let one = named(&found, Disease::Overfitting, &Place::Run, "EarlyStopping");
    // Threshold 0.12.
    assert!(one.measured("train accuracy").unwrap() - one.measured("validation accuracy").unwrap() > 0.2, "{one}");
}

#[test]
fn a_feature_that_holds_the_label_is_named() {
    // A permuted and scaled label behind the pixels.
    let label = |class: i64| ((class * 7 + 3) % 10) as f32 / 3.0 - 1.5;
    let mut train = changed(65, |features, class| features.push(label(class)));
    let mut model = Linear::new(65, 10, &Generator::new(0), cpu()).unwrap();
    let (found, _) = examine(Classification, &mut model, Sgd::new(0.1), 1, (&mut train, None));
    let one = named(&found, Disease::LeakedLabels, &Place::Feature(64), "leaving the feature out");
    assert_eq!((one.severity, one.step, diseases(&found)), (Severity::Critical, 3, vec![Disease::LeakedLabels]));

    // One target of a regression among its features.
    let features: Vec<f32> = (0..200).map(|index| ((index * 37 % 101) as f32) / 50.0 - 1.0).collect();
    let targets: Vec<f32> = features.chunks_exact(2).map(|row| 3.0 - 2.0 * row[1]).collect();
    let data = ArrayDataset::regression(features, [2], targets, 1).unwrap();
    let mut model = Linear::new(2, 1, &Generator::new(0), cpu()).unwrap();
    let (found, _) = examine(Regression, &mut model, Sgd::new(0.1), 1, (&mut DataLoader::new(data, 10).unwrap(), None));
    named(&found, Disease::LeakedLabels, &Place::Feature(1), "derived from the label");
}

#[test]
fn inputs_that_are_not_scaled_are_named() {
    // All features × 1000: a root mean square of 1000, where the threshold is 5.
    let mut train = changed(64, |features, _| features.iter_mut().for_each(|value| *value *= 1000.0));
    let mut model = deep(2, 32, he(), Activation::Relu);
    let (found, _) = examine(Classification, &mut model, Sgd::new(1e-9), 1, (&mut train, None));
    let one = named(&found, Disease::UnscaledInputs, &Place::Features, "StandardScaler");
    assert!(one.measured("root mean square").unwrap() > 500.0, "{one}");

    // A single one: root mean square 1000, where the threshold is 50. Shifted instead of scaled counts too.
    for shift in [false, true] {
        let mut train = changed(64, |features, _| {
            features[20] = if shift { features[20] + 300.0 } else { features[20] * 1000.0 };
            features.truncate(64);
        });
        let mut model = deep(2, 32, he(), Activation::Relu);
        let (found, _) = examine(Classification, &mut model, Sgd::new(1e-9), 1, (&mut train, None));
        assert!(found.iter().any(|one| one.disease == Disease::UnscaledInputs), "{found:#?}");
    }

    let mut train = changed(64, |features, _| features.iter_mut().for_each(|value| *value *= 1e-4));
    let mut model = deep(2, 32, he(), Activation::Relu);
    let (found, _) = examine(Classification, &mut model, Adam::new(1e-3), 1, (&mut train, None));
    named(&found, Disease::UnscaledInputs, &Place::Features, "StandardScaler");
}

/// The recipe of the digits example, narrower: input dropout, ReLU, dropout, AdamW.
fn recipe(seed: u64, hidden: usize) -> Sequential {
    let generator = Generator::new(seed);
    Sequential::new()
        .with(Dropout::new(0.3, &generator.fork(0)).unwrap())
        .with(Linear::new(64, hidden, &generator, cpu()).unwrap())
        .with(Relu)
        .with(Dropout::new(0.6, &generator.fork(1)).unwrap())
        .with(Linear::new(hidden, 10, &generator, cpu()).unwrap())
}

#[test]
fn healthy_runs_on_digits_raise_nothing() {
    for seed in 0..3 {
        let (mut train, mut validation) = loaders(seed);
        let mut model = recipe(seed, 256);
        let loaders = (&mut train, Some(&mut validation));
        let (found, trainer) = examine(Classification, &mut model, AdamW::new(1e-3), 8, loaders);
        assert_eq!(found, [], "seed {seed}");
        let doctor = trainer.find_callback::<Doctor>().unwrap();
        assert!(doctor.is_healthy() && doctor.to_string().starts_with("healthy"), "{doctor}");
        // Steps 1, 2, 3 and every 20th of 8 · 34.
        assert_eq!(doctor.looks(), 3 + 8 * 34 / 20);
    }
    for (optimizer, rate) in [("sgd", 0.05), ("adam", 3e-3), ("adamw", 1e-2)] {
        let optimizer: Box<dyn Optimizer> = match optimizer {
            "sgd" => Box::new(Sgd::new(rate).momentum(0.9)),
            "adam" => Box::new(Adam::new(rate)),
            _ => Box::new(AdamW::new(rate)),
        };
        let mut model = deep(3, 64, he(), Activation::Relu);
        assert_eq!(on_digits(&mut model, optimizer, 4), [], "{rate}");
    }
    let mut model = deep(3, 64, Initializer::XavierNormal { gain: 1.0 }, Activation::Tanh);
    assert_eq!(on_digits(&mut model, AdamW::new(1e-3), 4), []);
}

/// As large as a part of Fashion-MNIST, and as hard: noisy pictures of ten prototypes, pixels from 0 to 1.
fn clothes(samples: usize, seed: u64) -> ArrayDataset {
    let noise =
        Tensor::uniform([samples, 784], 0.0, 1.0, osnova_tensor::DType::F32, &Generator::new(seed), Device::cpu());
    let noise = noise.unwrap().to_vec::<f32>().unwrap();
    let prototypes =
        Tensor::uniform([10, 784], 0.0, 1.0, osnova_tensor::DType::F32, &Generator::new(99), Device::cpu());
    let prototypes = prototypes.unwrap().to_vec::<f32>().unwrap();
    let classes: Vec<i64> = (0..samples as i64).map(|index| index * 7 % 10).collect();
    // One label of eight is wrong.
    let labels: Vec<i64> =
        classes.iter().enumerate().map(|(index, class)| (class + i64::from(index % 8 == 0) * 3) % 10).collect();
    let picture = |(index, noise): (usize, &f32)| {
        let prototype = prototypes[classes[index / 784] as usize * 784 + index % 784];
        // Half of the pixels dark, as in pictures of clothes, and brightness from picture to picture.
        let brightness = 0.2 + 0.8 * ((index / 784 * 31 % 97) as f32 / 97.0);
        let lit = prototype > 0.6 || *noise > 0.85;
        if index % 28 < 4 || !lit || *noise < 0.5 { 0.0 } else { brightness * noise }
    };
    let features: Vec<f32> = noise.iter().enumerate().map(picture).collect();
    ArrayDataset::classification(features, [784], labels, 10).unwrap()
}

#[test]
fn a_healthy_run_on_pictures_like_fashion_mnist_raises_nothing() {
    let mut train = DataLoader::new(clothes(4000, 1), 128).unwrap().shuffle(0);
    let mut validation = DataLoader::new(clothes(500, 2), 256).unwrap();
    let generator = Generator::new(0);
    let mut model = Sequential::new()
        .with(Linear::new(784, 128, &generator, cpu()).unwrap())
        .with(Relu)
        .with(Linear::new(128, 64, &generator, cpu()).unwrap())
        .with(Relu)
        .with(Linear::new(64, 10, &generator, cpu()).unwrap());
    let (found, _) = examine(Classification, &mut model, Adam::new(1e-3), 3, (&mut train, Some(&mut validation)));
    assert_eq!(found, []);
}

/// Layers with names of their own, and activations that no layer knows of.
#[derive(Module, Clone, Debug)]
struct HandWritten {
    encoder: Linear,
    head: Linear,
}

impl Forward for HandWritten {
    fn forward(&self, input: &Tensor) -> osnova_tensor::Result<Tensor> {
        // Without `linear`: the transposed weight is a view, the bias a broadcast sum.
        let hidden = (input.matmul(&self.encoder.weight.t()?)? + self.encoder.bias.as_deref().unwrap())?;
        self.head.forward(&(hidden.relu()? * 1.0)?)
    }
}

#[test]
fn layers_are_named_in_forward_passes_written_by_hand() {
    let generator = Generator::new(0);
    let encoder = Linear::options(64, 16).bias(Initializer::Constant(-50.0)).build(&generator, cpu()).unwrap();
    let mut model = HandWritten { encoder, head: Linear::new(16, 10, &generator, cpu()).unwrap() };
    let (mut train, _) = loaders(0);
    let (found, trainer) = examine(Classification, &mut model, Sgd::new(0.01), 1, (&mut train, None));
    assert!(named(&found, Disease::DeadUnits, &layer("encoder"), "He").finding.contains("activation 1"));
    let doctor = trainer.find_callback::<Doctor>().unwrap();
    let names: Vec<String> = doctor.gradient_norms().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["encoder", "head"]);
}

/// A whole batch passes a gate that opens by a single number.
#[derive(Module, Clone, Debug)]
struct Gated {
    gate: Linear,
    head: Linear,
}

impl Forward for Gated {
    fn forward(&self, input: &Tensor) -> osnova_tensor::Result<Tensor> {
        let gate = (self.gate.forward(input)?.mean(.., false)? + 1.0)?.relu()?;
        self.head.forward(input)? * gate
    }
}

#[test]
fn an_activation_of_a_single_number_is_watched() {
    let generator = Generator::new(0);
    let linear = |outputs| Linear::new(64, outputs, &generator, cpu()).unwrap();
    let mut model = Gated { gate: linear(1), head: linear(10) };
    let mut trainer = Trainer::new(1).callback(Seen::default());
    let mut train = loaders(0).0;
    trainer.fit(&mut Classification, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap();
    let seen = &trainer.find_callback::<Seen>().unwrap().0;
    assert!(seen.iter().any(|(name, function, ..)| name == "gate" && *function == Activation::Relu), "{seen:?}");
}

/// Remembers what each watched step has shown.
#[derive(Default)]
struct Seen(Vec<(String, Activation, usize, usize, f64)>);

impl Callback for Seen {
    fn watches_activations(&self, step: u64) -> bool {
        step == 2
    }
    fn on_gradients(&mut self, context: &mut Context<'_>, results: &StepResults<'_>) -> Result<()> {
        assert_eq!(results.activations.is_empty(), context.progress.step != 1);
        assert_eq!(results.gradients.len(), context.model.parameters().len());
        for (name, parameter) in context.model.named_parameters() {
            assert!(results.gradients.get(parameter.tensor()).is_some(), "{name}");
        }
        for one in results.activations {
            let active = one.active.iter().filter(|active| **active).count();
            self.0.push((one.layer.clone(), one.function, one.active.len(), active, one.saturated));
        }
        Ok(())
    }
}

#[test]
fn activations_are_seen_in_order_by_layer_and_what_follows_the_last_layer_is_not() {
    let generator = Generator::new(0);
    let mut model = Sequential::new()
        .with(Linear::new(64, 24, &generator, cpu()).unwrap())
        .with(Relu)
        .with(Linear::new(24, 16, &generator, cpu()).unwrap())
        .with(Tanh)
        .with(Linear::new(16, 10, &generator, cpu()).unwrap())
        .with(Sigmoid);
    let (mut train, _) = loaders(0);
    let mut trainer = Trainer::new(1).callback(Seen::default());
    trainer.fit(&mut Classification, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap();
    let seen = &trainer.find_callback::<Seen>().unwrap().0;
    let seen: Vec<_> = seen.iter().map(|one| (one.0.as_str(), one.1, one.2)).collect();
    assert_eq!(seen, [("0", Activation::Relu, 24), ("2", Activation::Tanh, 0)]);
}

fn bits(model: &dyn Module) -> Vec<u32> {
    let state = model.state_dict();
    state.iter().flat_map(|(_, tensor)| tensor.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
}

#[test]
fn a_run_with_a_doctor_has_the_bits_of_one_without() {
    let run = |doctor: bool, frozen: bool| {
        let (mut train, mut validation) = loaders(1);
        let mut model = recipe(1, 32);
        if frozen {
            model.layers_mut()[1].freeze();
        }
        let mut trainer = Trainer::new(2).clip_gradient_norm(1.0).accumulate_batches(3);
        if doctor {
            trainer = trainer.callback(Doctor::new().quiet().every(1));
        }
        let mut optimizer = AdamW::new(1e-3);
        let history =
            trainer.fit(&mut Classification, &mut model, &mut optimizer, &mut train, Some(&mut validation)).unwrap();
        assert_eq!(model.device(), Some(cpu()));
        let metrics: Vec<_> = history.epochs.into_iter().map(|epoch| epoch.metrics).collect();
        (bits(&model), metrics)
    };
    for frozen in [false, true] {
        assert_eq!(run(true, frozen), run(false, frozen), "frozen: {frozen}");
    }
}

#[test]
fn a_resumed_doctor_knows_what_it_knew() {
    let directory = tempfile::tempdir().unwrap();
    let sick = || changed(64, |features, _| features.iter_mut().for_each(|value| *value *= 1000.0));
    let run = |epochs: usize, trainer: Trainer| {
        let mut model = deep(2, 16, he(), Activation::Relu);
        let mut train = sick();
        let mut trainer = trainer.callback(Doctor::new().quiet());
        let history = trainer.fit(&mut Classification, &mut model, &mut Sgd::new(1e-8), &mut train, None).unwrap();
        assert_eq!(history.epochs.len(), epochs);
        let doctor = trainer.find_callback::<Doctor>().unwrap();
        (doctor.diagnoses().to_vec(), doctor.gradient_norms(), doctor.looks())
    };
    run(1, Trainer::new(1).callback(ModelCheckpoint::new(directory.path()).unwrap()));
    let checkpoint = CheckpointDirectory::create(directory.path()).unwrap().load_latest().unwrap().unwrap();
    let other = tempfile::tempdir().unwrap();
    let keep = |name| ModelCheckpoint::new(other.path().join(name)).unwrap();
    let resumed = run(2, Trainer::new(2).resume(checkpoint).callback(keep("resumed")));
    assert_eq!(resumed, run(2, Trainer::new(2).callback(keep("whole"))));
    assert_eq!(resumed.0.iter().filter(|one| one.disease == Disease::UnscaledInputs).count(), 1);
}

/// An output that tests can read.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disease_is_told_once_and_kept_in_history_and_manifest() {
    let output = Shared::default();
    let (mut train, _) = loaders(0);
    let generator = Generator::new(0);
    let hidden = Linear::options(64, 8).bias(Initializer::Constant(-100.0)).build(&generator, cpu()).unwrap();
    let mut model = Sequential::new().with(hidden).with(Relu).with(Linear::new(8, 10, &generator, cpu()).unwrap());
    let mut trainer = Trainer::new(2).callback(Doctor::new().output(output.clone()));
    let history = trainer.fit(&mut Classification, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("dead ReLUs, layer `0` (epoch 1, step 3)").count(), 1, "{text}");
    assert_eq!(text.lines().count(), history.diagnoses.len());

    let directory = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::new(0, "cpu");
    manifest.record(&history);
    manifest.save(directory.path().join("manifest.json")).unwrap();
    let manifest = Manifest::load(directory.path().join("manifest.json")).unwrap();
    assert_eq!(manifest.diagnoses, history.diagnoses);
}

/// A task with a constant on the recording device itself, which does not mix with a device that watches.
struct Stubborn(Tensor);

impl TrainingStep<Sequential> for Stubborn {
    fn training_step(&mut self, model: &Sequential, batch: &TensorBatch) -> Result<StepOutput> {
        let loss = (model.forward(&batch.features)?.cross_entropy(batch.targets()?)? * &self.0)?;
        Ok(StepOutput::new(loss, batch.indices.len()))
    }
}

#[test]
fn what_cannot_be_watched_is_trained_all_the_same() {
    let run = |doctor: bool| {
        let (mut train, _) = loaders(0);
        let mut model = recipe(0, 16);
        let mut task = Stubborn(Tensor::new([2.0f32], cpu()).unwrap().reshape(()).unwrap());
        let mut trainer = Trainer::new(1);
        if doctor {
            trainer = trainer.callback(Doctor::new().quiet());
        }
        trainer.fit(&mut task, &mut model, &mut Sgd::new(0.01), &mut train, None).unwrap();
        (bits(&model), trainer)
    };
    let (with, trainer) = run(true);
    assert_eq!(with, run(false).0);
    let doctor = trainer.find_callback::<Doctor>().unwrap();
    assert!(doctor.is_healthy() && doctor.looks() > 3, "{doctor}");
}

#[test]
fn charts_show_a_line_for_each_layer() {
    let mut model = deep(4, 16, he(), Activation::Relu);
    let (mut train, _) = loaders(0);
    let (_, trainer) = examine(Classification, &mut model, Sgd::new(0.05), 2, (&mut train, None));
    let doctor = trainer.find_callback::<Doctor>().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, save) in [("flow.svg", true), ("ratios.svg", false)] {
        let path = directory.path().join(name);
        if save { doctor.save_gradient_flow(&path) } else { doctor.save_update_ratios(&path) }.unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let lines = document.descendants().filter(|node| node.has_tag_name("polyline")).count();
        assert_eq!(lines, 4, "{svg}");
    }
    let message = doctor.save_gradient_flow(directory.path().join("none/flow.svg")).unwrap_err().to_string();
    assert!(message.contains("flow.svg"), "{message}");
    let ratios = doctor.update_ratios();
    assert!(ratios.iter().all(|(_, points)| points.iter().all(|point| point.1 > 1e-5 && point.1 < 0.3)), "{ratios:?}");
}
