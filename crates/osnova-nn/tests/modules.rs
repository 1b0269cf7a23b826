//! What a module is: names, state dicts, modes, devices, summaries.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::losses::Loss;
use osnova_nn::{
    Buffer, Dropout, Forward, Head, Identity, Initializer, Layer, Linear, Module, Normalisation, Param, Prelu, Relu,
    Selu, Sequential, StateDict, StateDictMismatch, Tanh,
};
use osnova_tensor::{Activation, DType, Device, Error, Generator, Result, Tensor};
use std::collections::BTreeMap;
use std::marker::PhantomData;

#[derive(Module, Clone, Debug)]
struct Mlp {
    hidden: Linear,
    middle: Linear,
    out: Linear,
}

impl Mlp {
    fn new(sizes: [usize; 4], device: Device) -> Result<Self> {
        let generator = Generator::new(3);
        Ok(Self {
            hidden: Linear::new(sizes[0], sizes[1], &generator, device)?,
            middle: Linear::new(sizes[1], sizes[2], &generator, device)?,
            out: Linear::new(sizes[2], sizes[3], &generator, device)?,
        })
    }
}

impl Forward for Mlp {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let hidden = self.hidden.forward_activated(input, Activation::Relu)?;
        self.out.forward(&self.middle.forward_activated(&hidden, Activation::Relu)?)
    }
}

fn names(module: &dyn Module) -> Vec<String> {
    module.state_dict().names().map(str::to_owned).collect()
}

fn vector(values: &[f32], device: Device) -> Tensor {
    Tensor::from_slice(values, values.len(), device).unwrap()
}

#[test]
fn the_textbook_network_has_its_parameters() {
    let model = Mlp::new([784, 256, 128, 10], Device::cpu()).unwrap();
    let summary = model.summary([32, 784]).unwrap();
    assert_eq!(summary.rows.iter().map(|row| row.parameters).collect::<Vec<_>>(), [200_960, 32_896, 1_290]);
    assert_eq!((summary.total, model.parameter_count()), (235_146, 235_146));
    let expected = "\
Layer   Kind    Output     Parameters
-------------------------------------
hidden  Linear  [32, 256]     200,960
middle  Linear  [32, 128]      32,896
out     Linear  [32, 10]        1,290
-------------------------------------
Total                         235,146
";
    assert_eq!(summary.to_string(), expected);
}

#[test]
fn a_summary_tells_frozen_and_loose_parameters_and_unknown_shapes() {
    #[derive(Module)]
    struct Scaled {
        scale: Param,
        body: Sequential,
    }
    let device = Device::cpu();
    let generator = Generator::new(0);
    let mut body = Sequential::new().with(Linear::new(4, 3, &generator, device).unwrap()).with(Relu);
    body.freeze();
    let model = Scaled { scale: Param::new(vector(&[1.0, 2.0], device)).unwrap(), body };
    let summary = model.summary([7, 5]).unwrap();
    let rows: Vec<_> = summary.rows.iter().map(|row| (row.name.as_str(), row.kind, row.parameters)).collect();
    assert_eq!(rows, [("", "Scaled", 2), ("body.0", "Linear", 15), ("body.1", "Relu", 0)]);
    assert!(summary.rows.iter().all(|row| row.output.is_none()), "an input of 5 does not fit 4 features");
    assert_eq!((summary.total, summary.trainable), (17, 2));
    assert!(summary.to_string().ends_with("2 trained, 15 frozen\n"), "{summary}");
}

#[test]
fn names_are_those_of_pytorch() {
    #[derive(Module)]
    enum Head {
        Plain(Linear),
        Named {
            linear: Linear,
        },
        #[expect(dead_code, reason = "a variant without fields derives too")]
        None,
    }
    #[derive(Module)]
    struct Pair(Linear, Param);
    #[derive(Module)]
    struct Generic<L, T> {
        inner: L,
        marker: PhantomData<T>,
    }
    struct Foreign;
    #[derive(Module)]
    struct Everything {
        layers: Vec<Linear>,
        boxed: Box<dyn Layer>,
        maybe: Option<Param>,
        absent: Option<Param>,
        #[module(rename = "renamed")]
        original: Param,
        #[module(skip)]
        #[expect(dead_code, reason = "only there to be skipped")]
        foreign: Foreign,
        #[module(flatten)]
        flat: Sequential,
        statistics: Buffer,
        by_name: BTreeMap<String, Param>,
        array: [Param; 2],
        tuple: (Param, usize),
        plain: Head,
        named: Head,
        pair: Pair,
        generic: Generic<Linear, Foreign>,
        r#type: Param,
        width: usize,
    }
    let device = Device::cpu();
    let linear = || {
        Linear::from_parameters(Param::new(Tensor::ones([2, 3], DType::F32, device).unwrap()).unwrap(), None).unwrap()
    };
    let param = || Param::new(vector(&[0.0], device)).unwrap();
    let module = Everything {
        layers: vec![linear(), linear()],
        boxed: Box::new(linear()),
        maybe: Some(param()),
        absent: None,
        original: param(),
        foreign: Foreign,
        flat: Sequential::new().with(linear()),
        statistics: Buffer::new(vector(&[1.0], device)),
        by_name: [("b".to_owned(), param()), ("a".to_owned(), param())].into(),
        array: [param(), param()],
        tuple: (param(), 7),
        plain: Head::Plain(linear()),
        named: Head::Named { linear: linear() },
        pair: Pair(linear(), param()),
        generic: Generic { inner: linear(), marker: PhantomData },
        r#type: param(),
        width: 4,
    };
    let expected = [
        "layers.0.weight",
        "layers.1.weight",
        "boxed.weight",
        "maybe",
        "renamed",
        "0.weight",
        "statistics",
        "by_name.a",
        "by_name.b",
        "array.0",
        "array.1",
        "tuple.0",
        "plain.0.weight",
        "named.linear.weight",
        "pair.0.weight",
        "pair.1",
        "generic.inner.weight",
        "type",
    ];
    assert_eq!(names(&module), expected);
    assert_eq!(module.parameters().len() + 1, expected.len(), "all but the buffer");
    assert_eq!(module.named_buffers()[0].0, "statistics");
    assert_eq!((module.kind(), module.width), ("Everything", 4));
}

#[test]
fn a_state_dict_comes_back_bit_by_bit() {
    let device = Device::cpu().autodiff();
    let mut model = Mlp::new([5, 4, 3, 2], device).unwrap();
    let state = model.state_dict();
    let input = Tensor::normal([6, 5], 0.0, 1.0, DType::F32, &Generator::new(9), device).unwrap();
    let before = model.forward(&input).unwrap().to_vec::<f32>().unwrap();
    for parameter in model.parameters_mut() {
        parameter.set_value(parameter.value().zeros_like().unwrap()).unwrap();
    }
    assert_eq!(model.forward(&input).unwrap().to_vec::<f32>().unwrap(), [0.0; 12]);
    model.load_state_dict(&state).unwrap();
    assert_eq!(model.forward(&input).unwrap().to_vec::<f32>().unwrap(), before);
    assert!(model.parameters().iter().all(|parameter| parameter.tensor().is_tracked()));
}

#[test]
fn every_difference_of_a_state_dict_is_listed_and_nothing_changes() {
    let device = Device::cpu();
    let mut model = Mlp::new([5, 4, 3, 2], device).unwrap();
    let before = model.state_dict();
    let state: StateDict = [
        ("hidden.weight", Tensor::zeros([4, 5], DType::F32, device).unwrap()),
        ("hidden.bias", Tensor::zeros([5], DType::F32, device).unwrap()),
        ("middle.weight", Tensor::zeros([3, 4], DType::F64, device).unwrap()),
        ("out.bias", Tensor::zeros([2], DType::F32, device).unwrap()),
        ("extra", Tensor::zeros([2], DType::F32, device).unwrap()),
    ]
    .into_iter()
    .collect();
    let error = model.load_state_dict(&state).unwrap_err();
    assert_eq!(
        error.to_string(),
        "load_state_dict: the state dict does not fit the module: missing middle.bias, out.weight; unexpected extra; \
         hidden.bias has shape [5] instead of [4]; middle.weight has dtype f64 instead of f32"
    );
    let Error::External { source, .. } = *error else { panic!("another kind of error") };
    let mismatch = source.downcast::<StateDictMismatch>().unwrap();
    assert_eq!(mismatch.missing, ["middle.bias", "out.weight"]);
    for (name, tensor) in model.state_dict().iter() {
        assert!(tensor.same(before.get(name).unwrap()), "{name}");
    }

    let rest = model.load_matching(&state).unwrap();
    assert_eq!(rest, *mismatch);
    let state = model.state_dict();
    let zero = |name: &str| state.get(name).unwrap().to_vec::<f32>().unwrap().iter().all(|&value| value == 0.0);
    assert!(zero("hidden.weight") && zero("out.bias") && !zero("hidden.bias") && !zero("middle.weight"));
}

#[test]
fn parameters_are_leaves_on_a_recording_device_only() {
    let (plain, device) = (Device::cpu(), Device::cpu().autodiff());
    let mut parameter = Param::new(vector(&[1.0, 2.0], plain)).unwrap();
    assert!(!parameter.is_tracked());
    parameter.to_device(device).unwrap();
    assert!(parameter.is_tracked() && parameter.device() == device && parameter.value().device() == plain);
    let gradients = parameter.square().unwrap().sum(.., false).unwrap().backward().unwrap();
    assert_eq!(gradients.get(&parameter).unwrap().to_vec::<f32>().unwrap(), [2.0, 4.0]);
    let copy = parameter.clone();
    assert!(copy.is_tracked() && gradients.get(&copy).is_none(), "a copy has gradients of its own");
    parameter.freeze();
    assert!(!parameter.is_tracked() && parameter.tensor().device() == device);
    parameter.unfreeze();
    assert!(parameter.is_tracked());
    // What a tensor was computed from does not belong to the parameter.
    let computed = Param::new((parameter.tensor() * 3.0).unwrap()).unwrap();
    let gradients = computed.sum(.., false).unwrap().backward().unwrap();
    assert_eq!((gradients.len(), computed.value().to_vec::<f32>().unwrap()), (1, vec![3.0, 6.0]));
}

#[test]
fn parameters_refuse_what_does_not_fit() {
    let device = Device::cpu().autodiff();
    assert!(matches!(*Param::new(Tensor::arange(0, 3, 1, device).unwrap()).unwrap_err(), Error::DType { .. }));
    let mut parameter = Param::new(vector(&[1.0, 2.0], device)).unwrap();
    assert!(matches!(*parameter.set_value(vector(&[1.0], device)).unwrap_err(), Error::Shape { .. }));
    let doubles = Tensor::zeros(2, DType::F64, device).unwrap();
    assert!(matches!(*parameter.set_value(doubles.clone()).unwrap_err(), Error::DType { .. }));
    assert_eq!(parameter.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    let buffer = Buffer::new(vector(&[1.0, 2.0], device));
    assert!(buffer.set(doubles).is_err() && buffer.set(vector(&[1.0], device)).is_err());
    buffer.set(vector(&[5.0, 6.0], device)).unwrap();
    assert_eq!(buffer.value().to_vec::<f32>().unwrap(), [5.0, 6.0]);
    // A broadcast view shares one element: an update in place must not.
    let view = vector(&[1.0], device).expand([3]).unwrap();
    assert!(Param::new(view).unwrap().value().layout().is_contiguous());
}

#[test]
fn an_inference_copy_predicts_without_recording() {
    let device = Device::cpu().autodiff();
    let generator = Generator::new(5);
    let mut model = Sequential::new()
        .with(Linear::new(6, 5, &generator, device).unwrap())
        .with(Dropout::new(0.5, &generator).unwrap())
        .with(Linear::new(5, 2, &generator, device).unwrap());
    let input = Tensor::normal([40, 6], 0.0, 1.0, DType::F32, &generator, Device::cpu()).unwrap();
    let copy = model.inference().unwrap();
    let output = copy.forward(&input).unwrap();
    assert_eq!((output.device(), copy.device()), (Device::cpu(), Some(Device::cpu())));
    assert_ne!(
        model.forward(&input).unwrap().to_vec::<f32>().unwrap(),
        output.to_vec::<f32>().unwrap(),
        "it still trains"
    );
    model.eval();
    assert_eq!(model.forward(&input).unwrap().to_vec::<f32>().unwrap(), output.to_vec::<f32>().unwrap());
    model.train();
    assert_ne!(model.forward(&input).unwrap().to_vec::<f32>().unwrap(), output.to_vec::<f32>().unwrap());
}

#[test]
fn random_state_comes_back() {
    let device = Device::cpu();
    let generator = Generator::new(5);
    let mut model =
        Sequential::new().with(Dropout::new(0.5, &generator).unwrap()).with(Dropout::new(0.5, &generator).unwrap());
    let input = Tensor::ones([8, 8], DType::F32, device).unwrap();
    let state = model.random_state();
    assert_eq!(state.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["0.generator", "1.generator"]);
    assert_ne!(state[0].1, state[1].1, "layers drop independently");
    let first = model.forward(&input).unwrap().to_vec::<f32>().unwrap();
    assert_ne!(model.forward(&input).unwrap().to_vec::<f32>().unwrap(), first);
    model.load_random_state(&state).unwrap();
    assert_eq!(model.forward(&input).unwrap().to_vec::<f32>().unwrap(), first);
    assert!(model.load_random_state(&state[..1]).is_err());
}

#[test]
fn fusing_an_activation_changes_nothing_but_the_kernel() {
    let device = Device::cpu().autodiff();
    let generator = Generator::new(2);
    let linear = Linear::new(6, 5, &generator, device).unwrap();
    let input = Tensor::normal([7, 6], 0.0, 1.0, DType::F32, &generator, device).unwrap();
    let fused = Sequential::new().with(linear.clone()).with(Tanh).with(Identity);
    let apart = linear.forward(&input).unwrap().tanh().unwrap().to_vec::<f32>().unwrap();
    let together = fused.forward(&input).unwrap().to_vec::<f32>().unwrap();
    assert!(apart.iter().zip(&together).all(|(left, right)| (left - right).abs() < 1e-6));
    // An activation the layer has already is not lost.
    let twice = Sequential::new().with(linear.clone().with_activation(Activation::Relu)).with(Tanh);
    let expected = linear.forward(&input).unwrap().relu().unwrap().tanh().unwrap().to_vec::<f32>().unwrap();
    let actual = twice.forward(&input).unwrap().to_vec::<f32>().unwrap();
    assert!(expected.iter().zip(&actual).all(|(left, right)| (left - right).abs() < 1e-6));
    assert!(Sequential::new().forward(&input).unwrap().same(&input));
}

#[test]
fn textbook_6_the_perceptron_prints_its_table() {
    let model = osnova_nn::Mlp::new(784, &[256, 128], Head::MultiClass(10), &Generator::new(0), Device::cpu()).unwrap();
    assert_eq!(model.parameter_count(), 235_146);
    let expected = "\
Layer  Kind    Output     Parameters
------------------------------------
0      Linear  [32, 256]     200,960
1      Relu    [32, 256]           0
2      Linear  [32, 128]      32,896
3      Relu    [32, 128]           0
4      Linear  [32, 10]        1,290
------------------------------------
Total                        235,146
";
    assert_eq!(model.summary([32, 784]).unwrap().to_string(), expected);
}

#[test]
fn textbook_6_heads_go_with_their_losses() {
    let (device, generator) = (Device::cpu(), Generator::new(1));
    let input = Tensor::normal([6, 4], 0.0, 1.0, DType::F32, &generator, device).unwrap();
    let model = |head: Head| osnova_nn::Mlp::new(4, &[5], head, &generator, device).unwrap();

    let binary = model(Head::Binary);
    let probabilities = binary.predict(&input).unwrap();
    assert_eq!(probabilities.dims(), [6, 1]);
    let yes = binary.decide(&input).unwrap().to_vec::<bool>().unwrap();
    let values = probabilities.to_vec::<f32>().unwrap();
    assert!(values.iter().zip(&yes).all(|(p, yes)| (0.0..=1.0).contains(p) && (*p > 0.5) == *yes), "{values:?}");
    let target = Tensor::ones([6, 1], DType::F32, device).unwrap();
    let loss = Head::Binary.loss().forward(&binary.forward(&input).unwrap(), &target).unwrap().item().unwrap();
    let by_hand = -values.iter().map(|p| f64::from(*p).ln()).sum::<f64>() / 6.0;
    assert!((loss - by_hand).abs() < 1e-5, "{loss} {by_hand}");

    let classes = model(Head::MultiClass(3));
    let probabilities = classes.predict(&input).unwrap();
    let sums = probabilities.sum(1, false).unwrap().to_vec::<f32>().unwrap();
    assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6));
    let likeliest = probabilities.argmax(1, false).unwrap().to_vec::<i64>().unwrap();
    assert_eq!(classes.decide(&input).unwrap().to_vec::<i64>().unwrap(), likeliest);
    let target = Tensor::from_vec(likeliest, 6, device).unwrap();
    let loss = classes.head().loss().forward(&classes.forward(&input).unwrap(), &target).unwrap().item().unwrap();
    let most = probabilities.max(1, false).unwrap().ln().unwrap().mean(.., false).unwrap().item().unwrap();
    assert!((loss + most).abs() < 1e-6);

    let numbers = model(Head::Regression(2));
    let output = numbers.forward(&input).unwrap();
    assert!(
        numbers.head().predict(&output).unwrap().same(&output) && numbers.head().decide(&output).unwrap().same(&output)
    );
    assert_eq!(Head::Regression(2).loss().forward(&output, &output).unwrap().item().unwrap(), 0.0);
}

#[test]
fn a_perceptron_has_what_was_chosen() {
    let (device, generator) = (Device::cpu().autodiff(), Generator::new(1));
    let options = || osnova_nn::Mlp::options(4, &[6, 5], Head::Regression(2)).dtype(DType::F64);
    let kinds = |model: &osnova_nn::Mlp| model.layers().layers().iter().map(|layer| layer.kind()).collect::<Vec<_>>();
    for (normalisation, name) in
        [(Normalisation::Batch, "BatchNorm"), (Normalisation::Layer, "LayerNorm"), (Normalisation::Rms, "RmsNorm")]
    {
        let model =
            options().normalisation(normalisation).activation(Tanh).dropout(0.2).build(&generator, device).unwrap();
        let block = ["Linear", name, "Tanh", "Dropout"];
        assert_eq!(kinds(&model), [&block[..], &block, &["Linear"]].concat());
        let input = Tensor::normal([8, 4], 0.0, 1.0, DType::F64, &generator, device).unwrap();
        let loss = model.forward(&input).unwrap().square().unwrap().mean(.., false).unwrap();
        assert_eq!(loss.backward().unwrap().len(), model.parameters().len(), "every parameter learns");
        let has_bias = names(&model).contains(&"0.bias".to_owned());
        assert_eq!(
            has_bias,
            normalisation != Normalisation::Batch,
            "the batch's mean is taken away, and a bias with it"
        );
    }
    // A learned slope for each layer, not one for all.
    let slopes = options().activation(Prelu::new(1, DType::F64, device).unwrap()).build(&generator, device).unwrap();
    assert_eq!(names(&slopes).iter().filter(|name| ["1.weight", "3.weight"].contains(&name.as_str())).count(), 2);
    assert_eq!(kinds(&osnova_nn::Mlp::new(4, &[], Head::Binary, &generator, device).unwrap()), ["Linear"]);

    // Each activation has the scheme that keeps its variance.
    let deviation = |model: osnova_nn::Mlp| {
        let weight = model.state_dict().get("0.weight").unwrap().clone();
        weight.var(.., 0, false).unwrap().sqrt().unwrap().item().unwrap() * 400.0_f64.sqrt()
    };
    let wide = || osnova_nn::Mlp::options(400, &[400], Head::Binary);
    for (found, expected) in [
        (deviation(wide().build(&generator, device).unwrap()), std::f64::consts::SQRT_2),
        (deviation(wide().activation(Tanh).build(&generator, device).unwrap()), 1.0),
        (deviation(wide().activation(Selu).build(&generator, device).unwrap()), 1.0),
        (deviation(wide().weight(Initializer::Constant(0.5)).build(&generator, device).unwrap()), 0.0),
    ] {
        assert!((found - expected).abs() < 0.02, "{found} instead of {expected}");
    }

    for broken in [
        osnova_nn::Mlp::options(0, &[3], Head::Binary),
        osnova_nn::Mlp::options(3, &[3, 0], Head::Binary),
        osnova_nn::Mlp::options(3, &[3], Head::MultiClass(0)),
        osnova_nn::Mlp::options(3, &[3], Head::Binary).dropout(1.5),
    ] {
        assert!(matches!(*broken.build(&generator, device).unwrap_err(), Error::Argument { .. }));
    }
}

/// Names come out of files: a message stays a screen, and no name moves a cursor.
#[test]
fn a_mismatch_is_told_in_a_few_lines_of_plain_text() {
    let device = Device::cpu();
    let tensor = |size: usize| Tensor::zeros(size, DType::F32, device).unwrap();
    let mut model = Linear::new(2, 2, &Generator::new(0), device).unwrap();
    let mut state = model.state_dict();
    state.insert("x".repeat(10_000_000), tensor(1));
    state.insert("\u{1b}[2J\u{202e}\r\nforged", tensor(1));
    for index in 0..100_000 {
        state.insert(format!("layer.{index}"), tensor(1));
    }
    let mismatch = model.load_matching(&state).unwrap();
    assert_eq!(mismatch.unexpected.len(), 100_002);
    let error = model.load_state_dict(&state).unwrap_err().to_string();
    assert!(error.len() < 1000 && error.contains("and 99986 more"), "{error}");
    assert!(
        error.chars().all(|character| character == ' ' || character == '…' || character.is_ascii_graphic()),
        "{error}"
    );
    assert!(error.contains("u{1b}[2J") && error.contains("forged"), "{error}");

    let names: Vec<_> = (0..10_000)
        .map(|index| (format!("a\n{index}"), osnova_tensor::random::Stream { seed: 0, counter: 0 }))
        .collect();
    let error = model.load_random_state(&names).unwrap_err().to_string();
    assert!(error.len() < 500 && !error.contains('\n'), "{error}");
}
