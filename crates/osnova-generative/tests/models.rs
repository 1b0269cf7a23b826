//! What each model does with its input, its classes and its noise.

mod common;

use common::{bits, digit_options, greys, mlp, near, plain, recording, smooth_options, values};
use osnova_generative::{Corruption, DenoisingAutoencoder, GenerativeModel, Likelihood, VariationalAutoencoder};
use osnova_nn::{Forward, Module};
use osnova_tensor::{DType, Generator, Result, Shape, Tensor};

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
