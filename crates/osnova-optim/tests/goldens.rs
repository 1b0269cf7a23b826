//! Optimizers, clipping and schedules against PyTorch. See `goldens/README.md`.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::{Module, Param};
use osnova_optim::{Adam, AdamW, Norm, Optimizer, Schedule, Sgd, clip_by, clip_by_value, schedules};
use osnova_reference::ReferenceDevice;
use osnova_tensor::{DType, Device, Gradients, HostData, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

struct Goldens {
    cases: BTreeMap<String, Value>,
    tensors: BTreeMap<String, (HostData, Vec<usize>)>,
}

impl Goldens {
    fn load() -> Self {
        let bytes = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/optimizers.safetensors")).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let cases = metadata.metadata().as_ref().unwrap();
        let cases = cases.iter().map(|(name, text)| (name.clone(), serde_json::from_str(text).unwrap())).collect();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let dtype = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::F64 => DType::F64,
                other => panic!("{other:?} is not among the goldens"),
            };
            (name, (HostData::from_bytes(dtype, view.data()).unwrap(), view.shape().to_vec()))
        });
        Self { cases, tensors: tensors.collect() }
    }

    fn tensor(&self, name: &str, device: Device) -> Tensor {
        let (data, dims) = self.tensors.get(name).unwrap_or_else(|| panic!("{name}"));
        Tensor::from_host(data.clone(), dims, device).unwrap()
    }

    fn of_kind(&self, kind: &str) -> Vec<(&str, &Value)> {
        let cases: Vec<_> = self
            .cases
            .iter()
            .filter(|(_, case)| case["kind"] == kind)
            .map(|(name, case)| (name.as_str(), case))
            .collect();
        assert!(!cases.is_empty(), "{kind}");
        cases
    }
}

fn assert_close(what: &str, actual: &Tensor, expected: &Tensor) {
    assert_eq!((actual.shape(), actual.dtype()), (expected.shape(), expected.dtype()), "{what}");
    let (actual, expected) = (actual.to_host().unwrap().to_f64(), expected.to_host().unwrap().to_f64());
    let scale = expected.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
    for (actual, expected) in actual.iter().zip(&expected) {
        assert!((actual - expected).abs() <= 1e-5 * scale, "{what}: {actual} instead of {expected}");
    }
}

#[derive(Module)]
struct Problem {
    weight: Param,
    bias: Param,
}

fn number(case: &Value, name: &str) -> f64 {
    case[name].as_f64().unwrap_or_else(|| panic!("{name} of {case}"))
}

fn optimizer(case: &Value) -> Box<dyn Optimizer> {
    let (learning_rate, weight_decay) = (number(case, "learning_rate"), number(case, "weight_decay"));
    let beta = |index: usize| case["betas"][index].as_f64().unwrap();
    match case["optimizer"].as_str().unwrap() {
        "SGD" => Box::new(
            Sgd::new(learning_rate)
                .momentum(number(case, "momentum"))
                .dampening(number(case, "dampening"))
                .nesterov(case["nesterov"] == true)
                .weight_decay(weight_decay),
        ),
        "Adam" => Box::new(
            Adam::new(learning_rate)
                .betas(beta(0), beta(1))
                .epsilon(number(case, "epsilon"))
                .amsgrad(case["amsgrad"] == true)
                .weight_decay(weight_decay),
        ),
        "AdamW" => Box::new(
            AdamW::new(learning_rate)
                .betas(beta(0), beta(1))
                .epsilon(number(case, "epsilon"))
                .amsgrad(case["amsgrad"] == true)
                .weight_decay(weight_decay),
        ),
        other => panic!("{other}"),
    }
}

#[test]
fn trajectories_of_fifty_steps_equal_pytorch() {
    trajectories(Device::cpu());
}

/// By their parts, where no kernel is fused.
#[test]
fn trajectories_of_fifty_steps_equal_pytorch_on_the_reference_device() {
    trajectories(Device::reference());
}

fn trajectories(plain: Device) {
    let goldens = Goldens::load();
    let device = plain.autodiff();
    for (name, case) in goldens.of_kind("optimizer") {
        let problem = case["problem"].as_str().unwrap();
        let parameter =
            |which: &str| Param::new(goldens.tensor(&format!("{problem}/initial/{which}"), device)).unwrap();
        let mut model = Problem { weight: parameter("weight"), bias: parameter("bias") };
        let stored = ["weight", "bias"].map(|which| goldens.tensor(&format!("{problem}/gradients/{which}"), plain));
        let rates = (case["scheduled"] == true)
            .then(|| goldens.tensor(&format!("{name}/learning_rates"), plain).to_host().unwrap().to_f64());
        let mut optimizer = optimizer(case);
        for step in 0..50 {
            if let Some(rates) = &rates {
                optimizer.set_learning_rate(rates[step]);
            }
            let mut gradients = Gradients::new();
            for (parameter, stored) in [&model.weight, &model.bias].into_iter().zip(&stored) {
                gradients.insert(parameter.node_id().unwrap(), stored.select(0, step as isize).unwrap());
            }
            optimizer.step(&mut model, &gradients).unwrap();
            for (which, parameter) in [("weight", &model.weight), ("bias", &model.bias)] {
                let key = format!("{name}/after_{}/{which}", step + 1);
                if goldens.tensors.contains_key(&key) {
                    assert_close(&key, &parameter.value(), &goldens.tensor(&key, plain));
                }
            }
        }
        assert!(goldens.tensors.contains_key(&format!("{name}/after_50/bias")), "{name}");
    }
}

#[test]
fn clipping_equals_pytorch() {
    let goldens = Goldens::load();
    let (plain, device) = (Device::cpu(), Device::cpu().autodiff());
    let run = |name: &str, case: &Value, clip: &dyn Fn(&mut Gradients)| {
        let count = case["gradients"].as_u64().unwrap();
        let mut gradients = Gradients::new();
        let leaves: Vec<Tensor> = (0..count)
            .map(|index| {
                let gradient = goldens.tensor(&format!("{name}/input/{index}"), plain);
                let leaf = gradient.to_device(device).unwrap().into_tracked().unwrap();
                gradients.insert(leaf.node_id().unwrap(), gradient);
                leaf
            })
            .collect();
        clip(&mut gradients);
        for (index, leaf) in leaves.iter().enumerate() {
            let expected = goldens.tensor(&format!("{name}/output/{index}"), plain);
            assert_close(&format!("{name} {index}"), gradients.get(leaf).unwrap(), &expected);
        }
    };
    for (name, case) in goldens.of_kind("clip_norm") {
        let norm = match case["norm_type"].as_f64() {
            None => Norm::Infinity,
            Some(1.0) => Norm::L1,
            Some(2.0) => Norm::L2,
            Some(power) => Norm::P(power),
        };
        run(name, case, &|gradients| {
            let total = clip_by(gradients, number(case, "max_norm"), norm).unwrap();
            assert_close(name, &total, &goldens.tensor(&format!("{name}/total_norm"), plain));
        });
    }
    for (name, case) in goldens.of_kind("clip_value") {
        run(name, case, &|gradients| clip_by_value(gradients, number(case, "clip_value")).unwrap());
    }
}

fn schedule(case: &Value, learning_rate: f64) -> Option<Box<dyn Schedule>> {
    let count = |name: &str| case[name].as_u64().unwrap();
    let number = |name: &str| number(case, name);
    Some(match case["schedule"].as_str().unwrap() {
        "ConstantLR" => Box::new(
            schedules::Sequence::new(schedules::Constant { learning_rate: learning_rate * number("factor") })
                .then(count("total_iters"), schedules::Constant { learning_rate }),
        ),
        "CosineAnnealingLR" => {
            Box::new(schedules::Cosine { learning_rate, minimum: number("eta_min"), steps: count("t_max") })
        }
        "ExponentialLR" => Box::new(schedules::Exponential { learning_rate, gamma: number("gamma") }),
        "LinearLR" => Box::new(schedules::Linear {
            learning_rate,
            start_factor: number("start_factor"),
            end_factor: number("end_factor"),
            steps: count("total_iters"),
        }),
        "MultiStepLR" => Box::new(schedules::MultiStep {
            learning_rate,
            milestones: case["milestones"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect(),
            gamma: number("gamma"),
        }),
        "OneCycleLR" => Box::new(schedules::OneCycle {
            maximum: number("max_learning_rate"),
            steps: count("total_steps"),
            rise: number("pct_start"),
            start_divisor: number("div_factor"),
            end_divisor: number("final_div_factor"),
            linear: case["anneal_strategy"] == "linear",
        }),
        "PolynomialLR" => {
            Box::new(schedules::Polynomial { learning_rate, steps: count("total_iters"), power: number("power") })
        }
        "StepLR" => Box::new(schedules::Step { learning_rate, size: count("step_size"), gamma: number("gamma") }),
        "CosineAnnealingWarmRestarts" => Box::new(schedules::CosineRestarts {
            learning_rate,
            minimum: number("eta_min"),
            steps: count("t_0"),
            factor: count("t_mult"),
        }),
        "SequentialLR" => {
            let part = |name: &str| schedule(&case[name], learning_rate).unwrap();
            let start = case["milestones"][0].as_u64().unwrap();
            Box::new(schedules::Sequence::new(part("warm_up")).then(start, part("after")))
        }
        "LambdaLR" => Box::new(schedules::warm_up_cosine(learning_rate, count("warm_up"), count("total"))),
        other => panic!("{other}"),
    })
}

#[test]
fn schedules_equal_pytorch() {
    let goldens = Goldens::load();
    for (name, case) in goldens.of_kind("schedule") {
        let schedule = schedule(case, number(case, "learning_rate")).unwrap();
        let expected = goldens.tensor(&format!("{name}/learning_rates"), Device::cpu()).to_host().unwrap().to_f64();
        // PyTorch's cosine rises again after its last step; ours stays down.
        let last = if case["schedule"] == "CosineAnnealingLR" { case["t_max"].as_u64().unwrap() as usize } else { 59 };
        for (step, expected) in expected.iter().enumerate().take(last + 1) {
            let actual = schedule.learning_rate(step as u64);
            assert!((actual - expected).abs() <= 1e-7 * 0.1, "{name} at {step}: {actual} instead of {expected}");
        }
    }
}
