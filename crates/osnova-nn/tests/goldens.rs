//! Layers and losses against PyTorch: outputs, gradients of inputs and parameters. See `goldens/README.md`.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::losses::{
    BceLoss, BceWithLogitsLoss, CosineEmbeddingLoss, CrossEntropyLoss, FocalLoss, GaussianNllLoss, HingeLoss,
    HuberLoss, KlDivergenceLoss, L1Loss, Loss, MseLoss, MultiMarginLoss, NllLoss, PoissonNllLoss, SmoothL1Loss,
    TripletMarginLoss,
};
use osnova_nn::{
    BatchNorm, Celu, Elu, Flatten, Forward, Gelu, Glu, GroupNorm, Hardshrink, Hardsigmoid, Hardswish, Hardtanh,
    Identity, Initializer, InstanceNorm, Layer, LayerNorm, LeakyRelu, Linear, LogSigmoid, LogSoftmax, Mish, Module,
    Prelu, Relu, Relu6, RmsNorm, Selu, Sequential, Sigmoid, Silu, Softmax, Softmin, Softplus, Softshrink, Softsign,
    StateDict, SwiGlu, Tanh, Tanhshrink, Threshold,
};
use osnova_reference::ReferenceDevice;
use osnova_tensor::{DType, Device, Generator, HostData, ReductionKind, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

type Failure = Box<dyn std::error::Error>;

/// A case: its attributes, and its tensors by the rest of their name.
struct Case<'a> {
    name: &'a str,
    attributes: Value,
    tensors: BTreeMap<&'a str, (HostData, Vec<usize>)>,
}

fn dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::I64 => DType::I64,
        other => panic!("{other:?} is not among the goldens"),
    }
}

impl Case<'_> {
    fn tensor(&self, name: &str, device: Device) -> Tensor {
        let (data, dims) = &self.tensors[name];
        Tensor::from_host(data.clone(), dims, device).unwrap()
    }
    fn number(&self, name: &str, default: f64) -> f64 {
        self.attributes[name].as_f64().unwrap_or(default)
    }
    fn reduction(&self) -> ReductionKind {
        match self.attributes["reduction"].as_str() {
            Some("sum") => ReductionKind::Sum,
            Some("none") => ReductionKind::None,
            _ => ReductionKind::Mean,
        }
    }
    fn option(&self, name: &str, device: Device) -> Option<Tensor> {
        let listed = self.attributes["options"].as_array().is_some_and(|list| list.iter().any(|other| other == name));
        listed.then(|| self.tensor(&format!("option/{name}"), device))
    }
    fn size(&self, name: &str) -> usize {
        self.attributes[name].as_u64().unwrap() as usize
    }
    fn sizes(&self, name: &str) -> Vec<usize> {
        self.attributes[name].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
    }
}

/// The layer of a case, its values not yet those of the case. `None` for losses.
fn layer(case: &Case<'_>, dtype: DType, device: Device) -> Result<Option<Box<dyn Layer>>, Failure> {
    let generator = Generator::new(1);
    let axis = case.attributes["axis"].as_i64().unwrap_or(-1) as isize;
    let linear = |inputs: usize, outputs: usize, bias: bool| {
        let mut options = Linear::options(inputs, outputs).dtype(dtype);
        if !bias {
            options = options.bias(None::<Initializer>);
        }
        options.build(&generator, device)
    };
    Ok(Some(match case.attributes["module"].as_str().unwrap() {
        "ReLU" => Box::new(Relu),
        "Sigmoid" => Box::new(Sigmoid),
        "Tanh" => Box::new(Tanh),
        "SiLU" => Box::new(Silu),
        "GELU" => Box::new(Gelu { approximate: case.attributes["approximate"] == "tanh" }),
        "LeakyReLU" => Box::new(LeakyRelu { slope: case.number("negative_slope", f64::NAN) }),
        "ELU" => Box::new(Elu { alpha: case.number("alpha", f64::NAN) }),
        "CELU" => Box::new(Celu { alpha: case.number("alpha", f64::NAN) }),
        "SELU" => Box::new(Selu),
        "Softplus" => {
            Box::new(Softplus { beta: case.number("beta", f64::NAN), threshold: case.number("threshold", f64::NAN) })
        }
        "Mish" => Box::new(Mish),
        "Softsign" => Box::new(Softsign),
        "LogSigmoid" => Box::new(LogSigmoid),
        "Hardtanh" => {
            Box::new(Hardtanh { low: case.number("min_val", f64::NAN), high: case.number("max_val", f64::NAN) })
        }
        "Hardsigmoid" => Box::new(Hardsigmoid),
        "Hardswish" => Box::new(Hardswish),
        "ReLU6" => Box::new(Relu6),
        "Tanhshrink" => Box::new(Tanhshrink),
        "Softshrink" => Box::new(Softshrink { lambda: case.number("lambd", f64::NAN) }),
        "Hardshrink" => Box::new(Hardshrink { lambda: case.number("lambd", f64::NAN) }),
        "Threshold" => {
            Box::new(Threshold { threshold: case.number("threshold", f64::NAN), value: case.number("value", f64::NAN) })
        }
        "PReLU" => Box::new(Prelu::new(case.size("num_parameters"), dtype, device)?),
        "GLU" => Box::new(Glu { axis }),
        "SwiGLU" => Box::new(SwiGlu { axis }),
        "SoftmaxWithTemperature" => Box::new(Softmax { axis, temperature: case.number("temperature", f64::NAN) }),
        "Softmax" => Box::new(Softmax { axis, ..Softmax::default() }),
        "LogSoftmax" => Box::new(LogSoftmax { axis }),
        "Softmin" => Box::new(Softmin { axis }),
        "Identity" => Box::new(Identity),
        "Flatten" => Box::new(Flatten::default()),
        "Linear" => {
            Box::new(linear(case.size("in_features"), case.size("out_features"), case.attributes["bias"] == true)?)
        }
        "BatchNorm1d" | "BatchNorm2d" | "BatchNorm3d" => Box::new(
            BatchNorm::options(case.size("channels"))
                .epsilon(case.number("epsilon", f64::NAN))
                .momentum(case.attributes["momentum"].as_f64())
                .affine(case.attributes["affine"] == true)
                .track_running_stats(case.attributes["track"] == true)
                .dtype(dtype)
                .build(device)?,
        ),
        "GroupNorm" => Box::new(
            GroupNorm::options(case.size("groups"), case.size("channels"))
                .epsilon(case.number("epsilon", f64::NAN))
                .affine(case.attributes["affine"] == true)
                .dtype(dtype)
                .build(device)?,
        ),
        "InstanceNorm1d" | "InstanceNorm2d" => Box::new(
            InstanceNorm::options(case.size("channels"))
                .epsilon(case.number("epsilon", f64::NAN))
                .affine(case.attributes["affine"] == true)
                .dtype(dtype)
                .build(device)?,
        ),
        "RMSNorm" => {
            let mut options = RmsNorm::options(case.sizes("normalized_shape"))?
                .affine(case.attributes["affine"] == true)
                .dtype(dtype);
            if let Some(epsilon) = case.attributes["epsilon"].as_f64() {
                options = options.epsilon(epsilon);
            }
            Box::new(options.build(device)?)
        }
        "LayerNorm" => Box::new(
            LayerNorm::options(case.sizes("normalized_shape"))?
                .epsilon(case.number("epsilon", f64::NAN))
                .affine(case.attributes["affine"] == true)
                .bias(case.tensors.contains_key("parameter/bias"))
                .dtype(dtype)
                .build(device)?,
        ),
        "Sequential" => {
            let sizes = case.sizes("sizes");
            let mut model = Sequential::new();
            for (index, pair) in sizes.windows(2).enumerate() {
                if index > 0 {
                    match case.attributes["activation"].as_str().unwrap() {
                        "ReLU" => model.push(Relu),
                        "Tanh" => model.push(Tanh),
                        "Sigmoid" => model.push(Sigmoid),
                        "GELU" => model.push(Gelu::default()),
                        "SiLU" => model.push(Silu),
                        other => panic!("activation {other}"),
                    }
                }
                model.push(linear(pair[0], pair[1], true)?);
            }
            Box::new(model)
        }
        _ => return Ok(None),
    }))
}

fn loss(case: &Case<'_>, device: Device) -> Option<Box<dyn Loss>> {
    let reduction = case.reduction();
    let weight = case.option("weight", device);
    let ignore_index = case.attributes["ignore_index"].as_i64();
    Some(match case.attributes["module"].as_str()? {
        "MSELoss" => Box::new(MseLoss { reduction }),
        "L1Loss" => Box::new(L1Loss { reduction }),
        "HuberLoss" => Box::new(HuberLoss { delta: case.number("delta", 1.0), reduction }),
        "SmoothL1Loss" => Box::new(SmoothL1Loss { beta: case.number("beta", 1.0), reduction }),
        "BCELoss" => Box::new(BceLoss { weight, reduction }),
        "BCEWithLogitsLoss" => {
            Box::new(BceWithLogitsLoss { weight, pos_weight: case.option("pos_weight", device), reduction })
        }
        "CrossEntropyLoss" => Box::new(CrossEntropyLoss {
            weight,
            label_smoothing: case.number("label_smoothing", 0.0),
            ignore_index,
            reduction,
        }),
        "NLLLoss" => Box::new(NllLoss { weight, ignore_index, reduction }),
        "KLDivLoss" => Box::new(KlDivergenceLoss { log_target: case.attributes["log_target"] == true, reduction }),
        "PoissonNLLLoss" => Box::new(PoissonNllLoss {
            log_input: case.attributes["log_input"] == true,
            full: case.attributes["full"] == true,
            reduction,
            ..PoissonNllLoss::default()
        }),
        "HingeLoss" => Box::new(HingeLoss { margin: case.number("margin", f64::NAN), reduction }),
        "FocalLoss" => Box::new(FocalLoss {
            alpha: case.attributes["alpha"].as_f64(),
            gamma: case.number("gamma", f64::NAN),
            reduction,
        }),
        "MultiMarginLoss" => Box::new(MultiMarginLoss {
            margin: case.number("margin", f64::NAN),
            squared: case.attributes["squared"] == true,
            weight,
            reduction,
        }),
        _ => return None,
    })
}

/// The losses of three tensors. `None` for others.
fn loss_of_three(case: &Case<'_>, inputs: &[Tensor]) -> Option<osnova_tensor::Result<Tensor>> {
    let reduction = case.reduction();
    let [first, second, third] = inputs else { return None };
    let margin = case.number("margin", f64::NAN);
    Some(match case.attributes["module"].as_str()? {
        "GaussianNLLLoss" => {
            let (full, epsilon) = (case.attributes["full"] == true, case.number("epsilon", f64::NAN));
            GaussianNllLoss { full, epsilon, reduction }.forward(first, second, third)
        }
        "CosineEmbeddingLoss" => CosineEmbeddingLoss { margin, reduction }.forward(first, second, third),
        "TripletMarginLoss" => {
            let swap = case.attributes["swap"] == true;
            TripletMarginLoss { margin, swap, reduction }.forward(first, second, third)
        }
        _ => return None,
    })
}

/// What differs by more than 1e-5 of the largest element; NaN equals NaN, infinities match by sign.
fn compare(what: &str, actual: &Tensor, expected: &Tensor) -> Result<(), String> {
    if actual.shape() != expected.shape() || actual.dtype() != expected.dtype() {
        return Err(format!(
            "{what}: {} of {} instead of {} of {}",
            actual.shape(),
            actual.dtype(),
            expected.shape(),
            expected.dtype()
        ));
    }
    let (actual, expected) = (actual.to_host().unwrap().to_f64(), expected.to_host().unwrap().to_f64());
    let scale = expected.iter().filter(|value| value.is_finite()).fold(0.0_f64, |scale, value| scale.max(value.abs()));
    for (at, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        let same = actual == expected || actual.is_nan() && expected.is_nan();
        let near = (actual - expected).abs() <= 1e-5 * scale;
        if !same && !near {
            return Err(format!("{what}[{at}]: {actual} instead of {expected}"));
        }
    }
    Ok(())
}

fn check(case: &Case<'_>, plain: Device) -> Result<(), Failure> {
    let device = plain.autodiff();
    let wanted: Vec<usize> =
        case.attributes["gradients"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap() as usize).collect();
    let mut inputs = Vec::new();
    for index in 0.. {
        let name = format!("input/{index}");
        if !case.tensors.contains_key(name.as_str()) {
            break;
        }
        let input = case.tensor(&name, device);
        inputs.push(if wanted.contains(&index) { input.into_tracked()? } else { input });
    }
    let mut module = layer(case, inputs[0].dtype(), device)?;
    let output = match &mut module {
        Some(layer) => {
            let state: StateDict = case
                .tensors
                .keys()
                .filter_map(|name| Some((name.strip_prefix("parameter/")?, case.tensor(name, plain))))
                .collect();
            layer.load_state_dict(&state)?;
            if case.attributes["training"] == false {
                layer.eval();
            }
            layer.forward(&inputs[0])?
        }
        None if inputs.len() == 3 => {
            loss_of_three(case, &inputs).ok_or_else(|| format!("{} is unknown", case.attributes["module"]))??
        }
        None => {
            let loss = loss(case, plain).ok_or_else(|| format!("{} is unknown", case.attributes["module"]))?;
            loss.forward(&inputs[0], &inputs[1])?
        }
    };
    compare("output", &output, &case.tensor("output/0", plain))?;
    let gradients = output.gradients(Some(case.tensor("cotangent/0", plain)), None, false)?;
    for index in wanted {
        let gradient = gradients.get(&inputs[index]).ok_or("an input has no gradient")?;
        compare(&format!("gradient {index}"), gradient, &case.tensor(&format!("gradient/{index}"), plain))?;
    }
    if let Some(layer) = &module {
        for (name, buffer) in layer.named_buffers() {
            compare(&name, &buffer.value(), &case.tensor(&format!("buffer/{name}"), plain))?;
        }
        for (name, parameter) in layer.named_parameters() {
            let gradient = gradients.get(parameter.tensor()).ok_or_else(|| format!("{name} has no gradient"))?;
            compare(&name, gradient, &case.tensor(&format!("parameter_gradient/{name}"), plain))?;
        }
    }
    Ok(())
}

#[test]
fn layers_and_losses_equal_pytorch() {
    all_cases(Device::cpu());
}

/// By their parts, where no kernel is fused.
#[test]
fn layers_and_losses_equal_pytorch_on_the_reference_device() {
    all_cases(Device::reference());
}

fn all_cases(device: Device) {
    let bytes = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/layers.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut cases: BTreeMap<&str, Case<'_>> = metadata
        .metadata()
        .as_ref()
        .unwrap()
        .iter()
        .map(|(name, text)| {
            let attributes = serde_json::from_str(text).unwrap();
            (name.as_str(), Case { name, attributes, tensors: BTreeMap::new() })
        })
        .collect();
    let views = file.tensors();
    for (name, view) in &views {
        let (case, rest) = name.split_once('/').unwrap();
        let data = HostData::from_bytes(dtype(view.dtype()), view.data()).unwrap();
        cases.get_mut(case).unwrap().tensors.insert(rest, (data, view.shape().to_vec()));
    }
    assert!(cases.len() >= 426, "{} cases", cases.len());
    let failures: Vec<String> =
        cases.values().filter_map(|case| Some(format!("{}: {}", case.name, check(case, device).err()?))).collect();
    assert!(failures.is_empty(), "{} of {} cases differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
