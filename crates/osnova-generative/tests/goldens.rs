//! The loss of a variational autoencoder, its gradients and the normal distribution against PyTorch. See `goldens/README.md`.

mod common;

use common::{smooth_options, values};
use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_generative::{DiagonalGaussian, Likelihood};
use osnova_nn::{Module, StateDict};
use osnova_reference::ReferenceDevice;
use osnova_tensor::{Device, Generator, HostData, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;

/// A case: its attributes, and its tensors by the rest of their name.
struct Case {
    attributes: Value,
    tensors: BTreeMap<String, (Vec<f64>, Vec<usize>)>,
}

impl Case {
    fn tensor(&self, name: &str, device: Device) -> Tensor {
        let (data, dims) = &self.tensors[name];
        Tensor::from_vec(data.clone(), dims.as_slice(), device).unwrap()
    }

    #[track_caller]
    fn check(&self, name: &str, actual: &Tensor) {
        let (expected, dims) = &self.tensors[name];
        assert_eq!(actual.dims(), dims, "{name}");
        let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
        for (actual, expected) in values(actual).iter().zip(expected) {
            assert!((actual - expected).abs() <= 1e-12 * largest, "{name}: {actual} instead of {expected}");
        }
    }

    fn below(&self, folder: &str) -> impl Iterator<Item = &str> {
        self.tensors.keys().filter_map(move |name| name.strip_prefix(folder))
    }
}

fn cases() -> BTreeMap<String, Case> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/generative.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let cases = metadata.metadata().as_ref().unwrap().iter();
    let mut cases: BTreeMap<String, Case> = cases
        .map(|(name, text)| {
            let attributes = serde_json::from_str(text).unwrap();
            (name.clone(), Case { attributes, tensors: BTreeMap::new() })
        })
        .collect();
    for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
        let (case, rest) = name.split_once('/').unwrap();
        let data = HostData::from_bytes(osnova_tensor::DType::F64, view.data()).unwrap().to_f64();
        cases.get_mut(case).unwrap().tensors.insert(rest.to_owned(), (data, view.shape().to_vec()));
    }
    cases
}

fn check(case: &Case, device: Device) {
    if case.attributes["kind"] == "gaussian" {
        let [mean, log_variance, code] = ["mean", "log_variance", "code"].map(|name| case.tensor(name, device));
        let posterior = DiagonalGaussian::new(mean, log_variance).unwrap();
        case.check("kl", &posterior.kl_to_standard_normal().unwrap());
        case.check("log_density", &posterior.log_density(&code).unwrap());
        return;
    }
    let standard_deviation = case.attributes["standard_deviation"].as_f64().unwrap_or(f64::NAN);
    let likelihood = match case.attributes["likelihood"].as_str().unwrap() {
        "bernoulli" => Likelihood::Bernoulli,
        "gaussian" => Likelihood::Gaussian { standard_deviation },
        _ => Likelihood::LearnedGaussian { standard_deviation },
    };
    let beta = case.attributes["beta"].as_f64().unwrap();
    let options = smooth_options(0, device.autodiff()).likelihood(likelihood).beta(beta);
    let mut model = options.build(&Generator::new(0)).unwrap();
    let mut state = StateDict::new();
    for name in case.below("parameter/") {
        state.insert(name.to_owned(), case.tensor(&format!("parameter/{name}"), device));
    }
    model.load_state_dict(&state).unwrap();

    // The loss with PyTorch's noise. That `loss` itself is made of these parts is tested among the gradients.
    let (input, noise) = (case.tensor("input/0", device), case.tensor("noise/0", device));
    let posterior = model.encode_distribution(&input, None).unwrap();
    let code = posterior.sample_with(&noise).unwrap();
    let mean = |sum: Tensor| (sum.sum(.., false).unwrap() / input.dims()[0] as f64).unwrap();
    let reconstruction = mean(model.log_likelihood(&input, &code, None).unwrap().neg().unwrap());
    let kl = mean(posterior.kl_to_standard_normal().unwrap());
    let loss = (&reconstruction + (&kl * model.beta()).unwrap()).unwrap();
    case.check("output/reconstruction", &reconstruction);
    case.check("output/kl", &kl);
    case.check("output/loss", &loss);
    let gradients = loss.backward().unwrap();
    let parameters = model.named_parameters();
    assert_eq!(parameters.len(), case.below("gradient/").count());
    for (name, parameter) in parameters {
        case.check(&format!("gradient/{name}"), gradients.get(parameter.tensor()).unwrap());
    }
}

#[test]
fn losses_gradients_and_distributions_are_those_of_pytorch() {
    let cases = cases();
    assert_eq!(cases.len(), 5);
    for case in cases.values() {
        check(case, Device::cpu());
        check(case, Device::reference());
    }
}
