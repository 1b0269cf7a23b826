//! Optimizers, clipping and schedules against PyTorch. See `goldens/README.md`.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::{Module, Param};
use osnova_optim::{
    AdaGrad, Adafactor, Adam, AdamW, Lbfgs, Lion, NAdam, Norm, Optimizer, Plateau, RAdam, RmsProp, Schedule, Sgd,
    WeightAverage, clip_by, clip_by_value, schedules,
};
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
        "NAdam" => Box::new(
            NAdam::new(learning_rate)
                .betas(beta(0), beta(1))
                .epsilon(number(case, "epsilon"))
                .momentum_decay(number(case, "momentum_decay"))
                .decoupled(case["decoupled_weight_decay"] == true)
                .weight_decay(weight_decay),
        ),
        "RAdam" => Box::new(
            RAdam::new(learning_rate)
                .betas(beta(0), beta(1))
                .epsilon(number(case, "epsilon"))
                .decoupled(case["decoupled_weight_decay"] == true)
                .weight_decay(weight_decay),
        ),
        "Adagrad" => Box::new(
            AdaGrad::new(learning_rate)
                .learning_rate_decay(number(case, "lr_decay"))
                .initial_accumulator(number(case, "initial_accumulator_value"))
                .epsilon(number(case, "epsilon"))
                .weight_decay(weight_decay),
        ),
        "RMSprop" => Box::new(
            RmsProp::new(learning_rate)
                .decay(number(case, "alpha"))
                .epsilon(number(case, "epsilon"))
                .momentum(number(case, "momentum"))
                .centred(case["centered"] == true)
                .weight_decay(weight_decay),
        ),
        "Lion" => Box::new(Lion::new(learning_rate).betas(beta(0), beta(1)).weight_decay(weight_decay)),
        "Adafactor" => {
            let adafactor = Adafactor::new(learning_rate)
                .decay_exponent(number(case, "beta2_decay"))
                .parameter_epsilon(case["epsilon"][1].as_f64().unwrap())
                .clipping(number(case, "d"))
                .weight_decay(weight_decay);
            Box::new(match case["epsilon"][0].as_f64() {
                Some(epsilon) => adafactor.gradient_epsilon(epsilon),
                None => adafactor,
            })
        }
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

fn rosenbrock(model: &Problem) -> osnova_tensor::Result<Tensor> {
    let x = Tensor::concat(&[model.weight.reshape([-1])?, model.bias.tensor().clone()], 0)?;
    let (here, next) = (x.slice(0, ..-1, 1)?, x.slice(0, 1.., 1)?);
    let valley = ((next - here.square()?)?.square()? * 100.0)?;
    (valley + (1.0 - here)?.square()?)?.sum(.., false)
}

#[test]
fn lbfgs_equals_pytorch() {
    let goldens = Goldens::load();
    let device = Device::cpu().autodiff();
    for (name, case) in goldens.of_kind("lbfgs") {
        let parameter = |which: &str| Param::new(goldens.tensor(&format!("{name}/initial/{which}"), device)).unwrap();
        let mut model = Problem { weight: parameter("weight"), bias: parameter("bias") };
        let count = |name: &str| case[name].as_u64().unwrap() as usize;
        let mut optimizer = Lbfgs::new(number(case, "learning_rate"))
            .max_iterations(count("max_iterations"))
            .history(count("history"))
            .strong_wolfe(case["strong_wolfe"] == true);
        // One iteration without line search needs no closure.
        let plain = count("max_iterations") == 1;
        let losses = goldens.tensor(&format!("{name}/losses"), Device::cpu()).to_vec::<f64>().unwrap();
        let mut evaluations = 0;
        for (step, expected) in losses.iter().enumerate() {
            let loss = if plain {
                evaluations += 1;
                let loss = rosenbrock(&model).unwrap();
                optimizer.step(&mut model, &loss.backward().unwrap()).unwrap();
                loss.item().unwrap()
            } else {
                let evaluate = |model: &Problem| {
                    evaluations += 1;
                    rosenbrock(model)
                };
                optimizer.step_with(&mut model, evaluate).unwrap()
            };
            assert!((loss - expected).abs() <= 1e-5 * expected.abs(), "{name} at {step}: {loss} for {expected}");
            for (which, parameter) in [("weight", &model.weight), ("bias", &model.bias)] {
                let key = format!("{name}/after_{}/{which}", step + 1);
                if goldens.tensors.contains_key(&key) {
                    assert_close(&key, &parameter.value(), &goldens.tensor(&key, Device::cpu()));
                }
            }
        }
        assert_eq!(evaluations, count("evaluations"), "{name}");
    }
}

#[test]
fn averages_equal_pytorch() {
    averages(Device::cpu());
}

#[test]
fn averages_equal_pytorch_on_the_reference_device() {
    averages(Device::reference());
}

fn averages(plain: Device) {
    let goldens = Goldens::load();
    for (name, case) in goldens.of_kind("average") {
        let problem = case["problem"].as_str().unwrap();
        let tensor = |group: &str, which: &str| goldens.tensor(&format!("{problem}/{group}/{which}"), plain);
        let parameter = |which: &str| Param::new(tensor("initial", which)).unwrap();
        let mut model = Problem { weight: parameter("weight"), bias: parameter("bias") };
        let mut average = match case["decay"].as_f64() {
            Some(decay) => WeightAverage::exponential(decay),
            None => WeightAverage::equal(),
        };
        for step in 0..50 {
            for (which, parameter) in [("weight", &mut model.weight), ("bias", &mut model.bias)] {
                parameter.set_value(tensor("gradients", which).select(0, step).unwrap()).unwrap();
            }
            average.update(&model).unwrap();
            for which in ["weight", "bias"] {
                let key = format!("{name}/after_{}/{which}", step + 1);
                if goldens.tensors.contains_key(&key) {
                    assert_close(&key, average.state_dict().get(which).unwrap(), &goldens.tensor(&key, plain));
                }
            }
        }
        assert_eq!(average.updates(), 50);
    }
}

#[test]
fn plateaus_equal_pytorch() {
    let goldens = Goldens::load();
    for (name, case) in goldens.of_kind("plateau") {
        let plateau = if case["mode"] == "min" { Plateau::minimize() } else { Plateau::maximize() };
        let plateau = plateau
            .factor(number(case, "factor"))
            .patience(case["patience"].as_u64().unwrap())
            .cooldown(case["cooldown"].as_u64().unwrap())
            .minimum(number(case, "minimum"));
        let threshold = number(case, "threshold");
        let mut plateau = match case["threshold_mode"].as_str().unwrap() {
            "rel" => plateau.relative_threshold(threshold),
            _ => plateau.absolute_threshold(threshold),
        };
        plateau.check().unwrap();
        let series = |which: &str| goldens.tensor(&format!("{name}/{which}"), Device::cpu()).to_vec::<f64>().unwrap();
        let mut rate = number(case, "learning_rate");
        for (step, (value, expected)) in series("values").into_iter().zip(series("learning_rates")).enumerate() {
            if step == 30 {
                // A break in the middle changes nothing.
                let state = plateau.state();
                plateau.load_state(Default::default());
                plateau.load_state(state);
            }
            rate = plateau.observe(value, rate);
            assert!((rate - expected).abs() <= 1e-12, "{name} at {step}: {rate} instead of {expected}");
        }
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
        "CyclicLR" => Box::new(schedules::Cyclic {
            minimum: learning_rate,
            maximum: number("maximum"),
            rise: count("up"),
            fall: count("down"),
            cycle: match case["mode"].as_str().unwrap() {
                "triangular" => schedules::Cycle::Equal,
                "triangular2" => schedules::Cycle::Halving,
                _ => schedules::Cycle::Exponential(number("gamma")),
            },
        }),
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
