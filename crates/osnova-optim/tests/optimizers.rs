//! What an optimizer promises: in place, exact resumption, groups, typed errors, nothing lost.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_cpu::memory::{memory_statistics, reset_peak};
use osnova_nn::{Forward, Linear, Module, Relu, Sequential};
use osnova_optim::{
    AdaGrad, Adafactor, Adam, AdamW, Group, Lbfgs, Lion, NAdam, Norm, Optimizer, RAdam, RmsProp, Schedule, Sgd,
    accumulate, clip_by, clip_by_norm, clip_by_value, schedules, total_norm,
};
use osnova_tensor::{DType, Device, Error, Generator, Gradients, Result, Tensor};
use proptest::prelude::*;

fn model(seed: u64, device: Device) -> Sequential {
    let generator = Generator::new(seed);
    Sequential::new()
        .with(Linear::new(3, 8, &generator, device).unwrap())
        .with(Relu)
        .with(Linear::new(8, 1, &generator, device).unwrap())
}

fn loss(model: &dyn Forward, step: u64) -> Result<Tensor> {
    let generator = Generator::new(1000 + step);
    let input = Tensor::normal([16, 3], 0.0, 1.0, DType::F32, &generator, Device::cpu())?;
    let target = input.sum(1, true)?.sin()?;
    (model.forward(&input)? - target)?.square()?.mean(.., false)
}

fn train(model: &mut Sequential, optimizer: &mut dyn Optimizer, steps: std::ops::Range<u64>) {
    for step in steps {
        let gradients = loss(model, step).unwrap().backward().unwrap();
        optimizer.step(model, &gradients).unwrap();
    }
}

#[derive(Module)]
struct Point {
    x: osnova_nn::Param,
}

fn values(model: &dyn Module) -> Vec<Vec<f32>> {
    model.parameters().iter().map(|parameter| parameter.to_vec::<f32>().unwrap()).collect()
}

fn all() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(Sgd::new(0.2)),
        Box::new(Sgd::new(0.02).momentum(0.9).nesterov(true)),
        Box::new(Adam::new(0.01)),
        Box::new(AdamW::new(0.01)),
        Box::new(AdamW::new(0.01).amsgrad(true)),
        Box::new(NAdam::new(0.01)),
        Box::new(RAdam::new(0.03).betas(0.9, 0.99)),
        Box::new(AdaGrad::new(0.1)),
        Box::new(RmsProp::new(0.02)),
        Box::new(RmsProp::new(0.003).momentum(0.9).centred(true)),
        Box::new(Lion::new(0.003)),
        Box::new(Adafactor::new(0.05)),
        Box::new(Lbfgs::new(0.05).history(5)),
    ]
}

#[test]
fn every_optimizer_learns() {
    // LBFGS is for a loss that stays the same; see below.
    for mut optimizer in all().into_iter().filter(|optimizer| optimizer.name() != "lbfgs") {
        let mut model = model(1, Device::cpu().autodiff());
        let before = loss(&model, 0).unwrap().item().unwrap();
        train(&mut model, &mut optimizer, 0..300);
        let after = loss(&model, 0).unwrap().item().unwrap();
        assert!(after < 0.5 * before, "{optimizer:?}: {before} to {after}");
        assert!(model.parameters().iter().all(|parameter| parameter.is_tracked()));
    }
}

#[test]
fn training_goes_on_bit_by_bit_from_saved_state() {
    let device = Device::cpu().autodiff();
    for (mut straight, mut resumed) in all().into_iter().zip(all()) {
        let mut first = model(2, device);
        train(&mut first, &mut straight, 0..10);
        let (weights, state) = (first.state_dict(), straight.state_dict());
        straight.set_learning_rate(0.003);
        train(&mut first, &mut straight, 10..20);

        let mut second = model(77, device);
        second.load_state_dict(&weights).unwrap();
        resumed.set_learning_rate(123.0);
        resumed.load_state_dict(&second, &state).unwrap();
        assert_ne!(resumed.learning_rate(), 123.0);
        resumed.set_learning_rate(0.003);
        train(&mut second, &mut resumed, 10..20);
        assert_eq!(values(&first), values(&second), "{straight:?}");
    }
}

#[test]
fn state_is_named_after_the_parameters() {
    let mut model = model(3, Device::cpu().autodiff());
    let mut optimizer = Adam::new(0.01).amsgrad(true);
    assert!(optimizer.state_dict().tensors.is_empty());
    model.parameters_mut()[3].freeze();
    train(&mut model, &mut optimizer, 0..2);
    let state = optimizer.state_dict();
    let names: Vec<&str> = state.tensors.names().collect();
    assert_eq!(names[..3], ["0.weight.first_moment", "0.weight.second_moment", "0.weight.largest_second_moment"]);
    assert_eq!(names.len(), 9, "a frozen parameter has no state");
    let steps: Vec<_> = state.steps.iter().map(|(name, steps)| (name.as_str(), *steps)).collect();
    assert_eq!(steps, [("0.weight", 2), ("0.bias", 2), ("2.weight", 2)]);
    assert_eq!(state.optimizer, "adam");
}

#[test]
fn state_that_does_not_fit_is_refused_whole() {
    let device = Device::cpu().autodiff();
    let mut model = model(4, device);
    let mut optimizer = Adam::new(0.01);
    train(&mut model, &mut optimizer, 0..2);
    let good = optimizer.state_dict();

    assert!(matches!(*AdamW::new(0.01).load_state_dict(&model, &good).unwrap_err(), Error::Argument { .. }));
    let mut bad = good.clone();
    bad.steps.push(("unknown".to_owned(), 1));
    bad.tensors.insert("0.bias.first_moment", Tensor::zeros([2], DType::F32, device).unwrap());
    bad.tensors.insert("stray", Tensor::zeros([2], DType::F32, device).unwrap());
    let error = optimizer.load_state_dict(&model, &bad).unwrap_err().to_string();
    for part in ["unexpected unknown.step, stray", "0.bias.first_moment has shape [2] instead of [8]"] {
        assert!(error.contains(part), "{error}");
    }
    let mut missing = good.clone();
    missing.tensors = good.tensors.iter().skip(1).map(|(name, tensor)| (name, tensor.clone())).collect();
    assert!(
        optimizer.load_state_dict(&model, &missing).unwrap_err().to_string().contains("missing 0.weight.first_moment")
    );
    assert_eq!(optimizer.state_dict().steps, good.steps, "nothing changed");
}

#[test]
fn frozen_parameters_and_those_without_gradient_stay() {
    let device = Device::cpu().autodiff();
    let mut model = model(5, device);
    let mut optimizer = AdamW::new(0.01);
    model.parameters_mut()[0].freeze();
    let before = values(&model);
    train(&mut model, &mut optimizer, 0..3);
    let middle = values(&model);
    assert_eq!(before[0], middle[0]);
    assert!((1..4).all(|index| before[index] != middle[index]));
    // Unfrozen later it starts its own count: the first step of Adam is the learning rate long, whatever came before.
    model.unfreeze();
    train(&mut model, &mut optimizer, 3..4);
    let after = values(&model);
    let moved: Vec<f32> = middle[0].iter().zip(&after[0]).map(|(old, new)| (new - old * (1.0 - 1e-4)).abs()).collect();
    assert!(moved.iter().all(|&moved| moved < 1e-6 || (moved - 0.01).abs() < 1e-4), "{moved:?}");
    assert_eq!(optimizer.state_dict().steps[0].1, 1);
    assert_eq!(optimizer.state_dict().steps[1].1, 4);
}

#[test]
fn groups_have_their_own_rate_and_decay() {
    let device = Device::cpu().autodiff();
    let (mut grouped, mut plain) = (model(6, device), model(6, device));
    let before = values(&plain);
    let mut optimizer = Sgd::new(0.1)
        .weight_decay(0.5)
        .group(Group::new(|name| name.ends_with("bias")).weight_decay(0.0))
        .group(Group::new(|name| name == "0.weight").learning_rate_factor(0.0));
    train(&mut grouped, &mut optimizer, 0..1);
    train(&mut plain, &mut Sgd::new(0.1), 0..1);
    let (grouped, plain) = (values(&grouped), values(&plain));
    assert_eq!(grouped[0], before[0], "a factor of 0");
    assert_eq!((&grouped[1], &grouped[3]), (&plain[1], &plain[3]), "no decay on biases");
    for ((grouped, plain), before) in grouped[2].iter().zip(&plain[2]).zip(&before[2]) {
        assert!((grouped - (plain - 0.1 * 0.5 * before)).abs() < 1e-6);
    }
}

#[test]
fn adafactor_keeps_rows_and_columns_of_matrices() {
    let mut model = model(3, Device::cpu().autodiff());
    let mut optimizer = Adafactor::new(0.01);
    train(&mut model, &mut optimizer, 0..2);
    let state = optimizer.state_dict();
    let shapes: Vec<_> = state.tensors.iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect();
    assert_eq!(shapes[0], ("0.weight.row_second_moment", vec![8, 1]));
    assert_eq!(shapes[1], ("0.weight.column_second_moment", vec![1, 3]));
    assert_eq!(shapes[2], ("0.bias.second_moment", vec![8]));
    let mut bad = state.clone();
    bad.tensors.insert("0.weight.row_second_moment", Tensor::zeros([8, 3], DType::F32, Device::cpu()).unwrap());
    let error = optimizer.load_state_dict(&model, &bad).unwrap_err().to_string();
    assert!(error.contains("0.weight.row_second_moment has shape [8, 3] instead of [8, 1]"), "{error}");
}

#[test]
fn lion_moves_every_weight_by_the_learning_rate() {
    let mut model = model(3, Device::cpu().autodiff());
    let before = values(&model);
    train(&mut model, &mut Lion::new(0.25), 0..1);
    for (before, after) in before.iter().flatten().zip(values(&model).iter().flatten()) {
        let moved = (after - before).abs();
        assert!(moved == 0.0 || (moved - 0.25).abs() < 1e-6, "{before} to {after}");
    }
}

#[test]
fn lbfgs_goes_on_bit_by_bit_and_refuses_what_does_not_fit() {
    let device = Device::cpu().autodiff();
    let mut first = model(2, device);
    let optimizer = || Lbfgs::new(1.0).strong_wolfe(true).max_iterations(4).history(3);
    let mut straight = optimizer();
    let fixed = |model: &Sequential| loss(model, 0);
    let start = straight.step_with(&mut first, fixed).unwrap();
    straight.step_with(&mut first, fixed).unwrap();
    let (weights, state) = (first.state_dict(), straight.state_dict());
    let end = straight.step_with(&mut first, fixed).unwrap();
    assert!(end < 0.5 * start, "{start} to {end}");

    let (mut second, mut resumed) = (model(77, device), optimizer());
    second.load_state_dict(&weights).unwrap();
    resumed.load_state_dict(&second, &state).unwrap();
    assert_eq!(resumed.step_with(&mut second, fixed).unwrap(), end);
    assert_eq!(values(&first), values(&second));

    let mut bad = state.clone();
    bad.tensors.insert("stray", Tensor::zeros([2], DType::F32, device).unwrap());
    bad.tensors.insert("steps.0", Tensor::zeros([2], DType::F32, device).unwrap());
    let error = resumed.load_state_dict(&second, &bad).unwrap_err().to_string();
    for part in ["unexpected stray", "steps.0 has shape [2] instead of [41]"] {
        assert!(error.contains(part), "{error}");
    }
    // What it knows is of all trainable parameters.
    second.parameters_mut()[0].freeze();
    let error = resumed.step_with(&mut second, fixed).unwrap_err().to_string();
    assert!(error.contains("41") && error.contains("17"), "{error}");
}

#[test]
fn lbfgs_comes_back_when_the_loss_fails() {
    let device = Device::cpu().autodiff();
    let mut model = model(2, device);
    let before = values(&model);
    let mut calls = 0;
    let failing = |model: &Sequential| {
        calls += 1;
        if calls == 3 { Err(Error::argument("loss", "no more data", "Add some")) } else { loss(model, 0) }
    };
    let mut optimizer = Lbfgs::new(10.0).strong_wolfe(true);
    let error = optimizer.step_with(&mut model, failing).unwrap_err();
    assert!(error.to_string().contains("no more data"), "{error}");
    assert_eq!(values(&model), before);
    assert!(optimizer.state_dict().steps.is_empty(), "nothing learned");
    // Not a number at the start: there is no way down.
    let nan = |model: &Sequential| loss(model, 0)? * f64::NAN;
    let error = optimizer.step_with(&mut model, nan).unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");
}

#[test]
fn half_precision_trains_with_every_optimizer() {
    let device = Device::cpu().autodiff();
    for dtype in [DType::F16, DType::BF16] {
        for mut optimizer in all() {
            let weight = Tensor::new([[3.0f32, -4.0], [2.0, 1.0]], device).unwrap().to_dtype(dtype).unwrap();
            let mut model = osnova_nn::Param::new(weight).map(|x| Point { x }).unwrap();
            let length = |model: &Point| model.x.square().unwrap().sum(.., false).unwrap();
            let before = length(&model).item().unwrap();
            for _ in 0..20 {
                let gradients = length(&model).backward().unwrap();
                optimizer.step(&mut model, &gradients).unwrap();
            }
            let after = length(&model).item().unwrap();
            assert!(after < before, "{optimizer:?}: {before} to {after}");
            assert_eq!(model.x.dtype(), dtype);
        }
    }
}

/// Every optimizer but LBFGS, whose count no formula reads.
#[test]
fn counts_and_rates_from_a_file_are_checked_and_the_last_step_counts() {
    let device = Device::cpu().autodiff();
    for mut optimizer in all() {
        let mut model = model(3, device);
        train(&mut model, &mut optimizer, 0..2);
        let state = optimizer.state_dict();
        let before = values(&model);
        for learning_rate in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-3, 1e39] {
            let mut bad = state.clone();
            bad.learning_rate = learning_rate;
            let error = optimizer.load_state_dict(&model, &bad).unwrap_err().to_string();
            assert!(error.contains("learning rate"), "{error}");
        }
        let mut bad = state.clone();
        bad.optimizer = "x\u{1b}[2J".repeat(1_000_000);
        let error = optimizer.load_state_dict(&model, &bad).unwrap_err().to_string();
        assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error}");
        // Nothing has changed: it goes on as its copy does.
        assert_eq!(optimizer.state_dict().steps, state.steps);
        assert_eq!(optimizer.learning_rate(), state.learning_rate);

        let mut last = state.clone();
        last.steps.iter_mut().for_each(|(_, steps)| *steps = u64::MAX);
        optimizer.load_state_dict(&model, &last).unwrap();
        train(&mut model, &mut optimizer, 2..4);
        assert_eq!(optimizer.state_dict().steps, last.steps);
        let after = values(&model);
        assert!(after.iter().flatten().all(|value| value.is_finite()), "{optimizer:?}");
        // AdaGrad's first learning rate is as good as any; only Adafactor's 1/√t has come to an end.
        assert!(after != before || optimizer.name() == "adafactor", "{optimizer:?}");
    }
}

/// A momentum that comes up to nearly 1 at once: no number of steps takes longer than another.
#[test]
fn nadam_far_along_with_a_momentum_near_one_is_quick() {
    let device = Device::cpu().autodiff();
    for momentum_decay in [0.0, 4e-3, 10.0] {
        let mut optimizer = NAdam::new(0.01).betas(1.0 - 1e-15, 0.999).momentum_decay(momentum_decay);
        let mut model = model(3, device);
        train(&mut model, &mut optimizer, 0..1);
        let mut state = optimizer.state_dict();
        state.steps.iter_mut().for_each(|(_, steps)| *steps = u64::MAX - 1);
        optimizer.load_state_dict(&model, &state).unwrap();
        train(&mut model, &mut optimizer, 1..3);
        assert!(values(&model).iter().flatten().all(|value| value.is_finite()));
    }
}

#[test]
fn steps_beyond_f32_are_refused() {
    let device = Device::cpu().autodiff();
    let optimizers: [Box<dyn Optimizer>; 4] = [
        Box::new(Sgd::new(1e39)),
        Box::new(Sgd::new(0.1).weight_decay(1e39)),
        Box::new(Adam::new(0.1).epsilon(1e40)),
        // η / (1 − β₁ᵗ) is too large, and η is not.
        Box::new(RAdam::new(3e38)),
    ];
    for mut optimizer in optimizers {
        let mut model = model(4, device);
        let before = values(&model);
        let gradients = loss(&model, 0).unwrap().backward().unwrap();
        assert!(optimizer.step(&mut model, &gradients).is_err(), "{optimizer:?}");
        assert_eq!(values(&model), before);
    }
}

#[test]
fn lbfgs_leaves_the_model_at_the_last_finite_place() {
    let device = Device::cpu().autodiff();
    let start = || Point { x: osnova_nn::Param::new(Tensor::new([4.0f64], device).unwrap()).unwrap() };
    // √x beyond its domain; at 0 its slope is infinite.
    let root = |point: &Point| -> Result<Tensor> { (point.x.sqrt()? + (&*point.x * 0.5)?)?.sum(.., false) };
    let mut point = start();
    let error = Lbfgs::new(100.0).step_with(&mut point, root).unwrap_err().to_string();
    assert!(error.contains("learning rate") && error.contains("NaN"), "{error}");
    assert!(point.x.value().item().unwrap() > 0.0);

    let mut point = Point { x: osnova_nn::Param::new(Tensor::new([0.0f64], device).unwrap()).unwrap() };
    let error = Lbfgs::new(1.0).step_with(&mut point, root).unwrap_err().to_string();
    assert!(error.contains("gradient is not finite"), "{error}");
    assert_eq!(point.x.value().item().unwrap(), 0.0);

    let mut point = start();
    Lbfgs::new(100.0).strong_wolfe(true).step_with(&mut point, root).unwrap();
    assert!(root(&point).unwrap().item().unwrap().is_finite());

    // As many iterations as there are numbers, and squares of gradients beyond f32.
    let mut far = Point { x: osnova_nn::Param::new(Tensor::new([1e25f32], device).unwrap()).unwrap() };
    let squares = |point: &Point| (&*point.x * 1e-30)?.square()?.sum(.., false);
    Lbfgs::new(1.0).max_iterations(usize::MAX).history(usize::MAX).step_with(&mut far, squares).unwrap();
    let steep = |point: &Point| (&*point.x * 1e12)?.abs()?.sum(.., false);
    let error = Lbfgs::new(1.0).step_with(&mut far, |point: &Point| (steep(point)? * 1e10)?.sum(.., false));
    assert!(error.is_err());
}

#[test]
fn lbfgs_refuses_a_state_without_curvature() {
    let device = Device::cpu().autodiff();
    let mut model = model(5, device);
    let mut optimizer = Lbfgs::new(0.1).history(3);
    train(&mut model, &mut optimizer, 0..5);
    let state = optimizer.state_dict();
    assert!(state.tensors.get("steps.0").is_some());
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut bad = state.clone();
        let step = state.tensors.get("steps.0").unwrap();
        bad.tensors.insert("steps.0", (step * factor).unwrap());
        let error = optimizer.load_state_dict(&model, &bad).unwrap_err().to_string();
        assert!(error.contains("curvature"), "{error}");
    }
    optimizer.load_state_dict(&model, &state).unwrap();
}

#[test]
fn parameters_and_moments_are_updated_in_place() {
    let device = Device::cpu().autodiff();
    let formulas = ["adafactor", "lbfgs"];
    for mut optimizer in all().into_iter().filter(|optimizer| !formulas.contains(&optimizer.name())) {
        let mut model = Linear::new(1024, 2048, &Generator::new(0), device).unwrap();
        let bytes = 4 * model.parameter_count() as u64;
        let input = Tensor::ones([1, 1024], DType::F32, device).unwrap();
        let gradients = |model: &Linear| model.forward(&input).unwrap().sum(.., false).unwrap().backward().unwrap();
        let first = gradients(&model);
        optimizer.step(&mut model, &first).unwrap();
        let second = gradients(&model);
        let before = memory_statistics().bytes_in_use as u64;
        reset_peak();
        optimizer.step(&mut model, &second).unwrap();
        let peak = memory_statistics().peak_bytes_in_use as u64;
        // Other tests of this process take some room of their own, but less than this model.
        assert!(peak < before + bytes / 2, "{}: {before} to {peak}, the parameters take {bytes}", optimizer.name());
    }
}

#[test]
fn updates_leave_copies_alone() {
    let device = Device::cpu().autodiff();
    let mut model = model(7, device);
    let mut optimizer = Adam::new(0.01);
    train(&mut model, &mut optimizer, 0..1);
    let (copy, weights, state) = (model.inference().unwrap(), model.state_dict(), optimizer.state_dict());
    let before = values(&copy);
    let moment = state.tensors.get("0.weight.first_moment").unwrap().to_vec::<f32>().unwrap();
    train(&mut model, &mut optimizer, 1..3);
    assert_ne!(values(&model), before);
    assert_eq!(values(&copy), before);
    assert_eq!(weights.get("0.weight").unwrap().to_vec::<f32>().unwrap(), before[0]);
    assert_eq!(state.tensors.get("0.weight.first_moment").unwrap().to_vec::<f32>().unwrap(), moment);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let device = Device::cpu().autodiff();
    let mut model = model(8, device);
    let before = values(&model);
    let gradients = loss(&model, 0).unwrap().backward().unwrap();
    let refused: [Box<dyn Optimizer>; 21] = [
        Box::new(Sgd::new(f64::NAN)),
        Box::new(Sgd::new(-0.1)),
        Box::new(Adam::new(f64::INFINITY)),
        Box::new(Adam::new(0.1).betas(1.0, 0.9)),
        Box::new(Adam::new(0.1).epsilon(-1.0)),
        Box::new(AdamW::new(0.1).weight_decay(f64::NAN)),
        Box::new(Sgd::new(0.1).nesterov(true)),
        Box::new(Sgd::new(0.1).momentum(-0.5)),
        Box::new(Sgd::new(0.1).group(Group::new(|_| true).learning_rate_factor(f64::NAN))),
        Box::new(NAdam::new(0.1).betas(0.9, 1.0)),
        Box::new(NAdam::new(0.1).momentum_decay(-1.0)),
        Box::new(RAdam::new(0.1).epsilon(f64::NAN)),
        Box::new(AdaGrad::new(0.1).initial_accumulator(-1.0)),
        Box::new(AdaGrad::new(0.1).learning_rate_decay(-1.0)),
        Box::new(RmsProp::new(0.1).decay(1.5)),
        Box::new(RmsProp::new(0.1).momentum(f64::INFINITY)),
        Box::new(Lion::new(0.1).betas(-0.1, 0.9)),
        Box::new(Adafactor::new(0.1).decay_exponent(0.5)),
        Box::new(Adafactor::new(0.1).clipping(0.5)),
        Box::new(Lbfgs::new(0.1).gradient_tolerance(f64::NAN)),
        // It cannot search with one gradient.
        Box::new(Lbfgs::new(0.1).strong_wolfe(true)),
    ];
    for mut optimizer in refused {
        let error = optimizer.step(&mut model, &gradients).unwrap_err();
        assert!(matches!(*error, Error::Argument { .. }), "{error}");
    }
    let mut optimizer = Adam::new(0.1);
    // No gradients, or those of another model.
    assert!(matches!(*optimizer.step(&mut model, &Gradients::new()).unwrap_err(), Error::Gradient { .. }));
    let other = loss(&self::model(9, device), 0).unwrap().backward().unwrap();
    assert!(matches!(*optimizer.step(&mut model, &other).unwrap_err(), Error::Gradient { .. }));
    // Gradients of the wrong shape or dtype.
    for tensor in [Tensor::zeros([2], DType::F32, Device::cpu()), Tensor::zeros([8], DType::F64, Device::cpu())] {
        let mut wrong = gradients.clone();
        wrong.insert(model.parameters()[1].node_id().unwrap(), tensor.unwrap());
        let error = optimizer.step(&mut model, &wrong).unwrap_err();
        assert!(error.to_string().contains("0.bias"), "{error}");
    }
    assert_eq!(values(&model), before);
    optimizer.step(&mut model, &gradients).unwrap();
    // The parameters have moved: gradients of where they were serve once.
    assert!(matches!(*optimizer.step(&mut model, &gradients).unwrap_err(), Error::Gradient { .. }));
    let mut wider = Sequential::new().with(Linear::new(3, 1, &Generator::new(0), device).unwrap());
    let gradients = loss(&wider, 0).unwrap().backward().unwrap();
    assert!(matches!(*optimizer.step(&mut wider, &gradients).unwrap_err(), Error::Argument { .. }));
}

#[test]
fn textbook_2_a_rate_over_the_limit_diverges_and_one_below_converges() {
    // f = x² has curvature 2: gradient descent is stable up to a learning rate of 1.
    let device = Device::cpu().autodiff();
    for (learning_rate, stable) in [(0.1, true), (0.95, true), (1.05, false)] {
        let mut x = osnova_nn::Param::new(Tensor::new([3.0, 4.0], device).unwrap()).unwrap();
        let gradients = x.square().unwrap().sum(.., false).unwrap().backward().unwrap();
        assert_eq!(
            gradients.get(&x).unwrap().to_vec::<f64>().unwrap(),
            [6.0, 8.0],
            "the textbook's gradient at (3, 4)"
        );
        x.unfreeze();
        let mut point = Point { x };
        let mut optimizer = Sgd::new(learning_rate);
        for _ in 0..100 {
            let gradients = point.x.square().unwrap().sum(.., false).unwrap().backward().unwrap();
            optimizer.step(&mut point, &gradients).unwrap();
        }
        let distance = point.x.square().unwrap().sum(.., false).unwrap().item().unwrap();
        assert_eq!(distance < 25.0, stable, "{learning_rate}: {distance}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn clipping_bounds_the_norm_and_keeps_the_direction(
        seed: u64, scale in 1e-3..1e3_f64, max_norm in 1e-2..1e2_f64, kind in 0..4_usize,
    ) {
        let norm = [Norm::L1, Norm::L2, Norm::P(2.5), Norm::Infinity][kind];
        let (plain, device) = (Device::cpu(), Device::cpu().autodiff());
        let generator = Generator::new(seed);
        let mut gradients = Gradients::new();
        let mut leaves = Vec::new();
        let mut before = Vec::new();
        for shape in [&[3, 2][..], &[4], &[], &[0]] {
            let gradient = Tensor::normal(shape, 0.0, scale, DType::F64, &generator, plain).unwrap();
            let leaf = gradient.to_device(device).unwrap().into_tracked().unwrap();
            before.extend(gradient.to_vec::<f64>().unwrap());
            gradients.insert(leaf.node_id().unwrap(), gradient);
            leaves.push(leaf);
        }
        let total = clip_by(&mut gradients, max_norm, norm).unwrap().item().unwrap();
        let after = total_norm(&gradients, norm).unwrap().item().unwrap();
        let factor = (max_norm / (total + 1e-6)).min(1.0);
        prop_assert!(after <= max_norm * (1.0 + 1e-9), "{} over {}", after, max_norm);
        prop_assert!((after - total * factor).abs() <= 1e-9 * total);
        let values: Vec<f64> = leaves.iter().flat_map(|leaf| gradients.get(leaf).unwrap().to_vec::<f64>().unwrap()).collect();
        for (after, before) in values.iter().zip(&before) {
            prop_assert!((after - before * factor).abs() <= 1e-12 * before.abs());
        }
        clip_by_value(&mut gradients, 0.01).unwrap();
        let values: Vec<f64> = leaves.iter().flat_map(|leaf| gradients.get(leaf).unwrap().to_vec::<f64>().unwrap()).collect();
        prop_assert!(values.iter().all(|value| value.abs() <= 0.01));
    }

    #[test]
    fn schedules_stay_between_their_bounds(step in 0..5000_u64, steps in 1..1000_u64, rate in 1e-5..10.0_f64) {
        let (minimum, maximum) = (0.1 * rate, rate);
        let cyclic = |cycle| schedules::Cyclic { minimum, maximum, rise: steps, fall: steps / 2, cycle };
        let bounded: [Box<dyn Schedule>; 12] = [
            Box::new(cyclic(schedules::Cycle::Equal)),
            Box::new(cyclic(schedules::Cycle::Halving)),
            Box::new(cyclic(schedules::Cycle::Exponential(0.99))),
            Box::new(schedules::Constant { learning_rate: rate }),
            Box::new(schedules::Step { learning_rate: rate, size: steps, gamma: 0.5 }),
            Box::new(schedules::MultiStep { learning_rate: rate, milestones: vec![steps, 2 * steps], gamma: 0.1 }),
            Box::new(schedules::Exponential { learning_rate: rate, gamma: 0.99 }),
            Box::new(schedules::Linear::warm_up(rate, steps)),
            Box::new(schedules::Polynomial { learning_rate: rate, steps, power: 2.0 }),
            Box::new(schedules::Cosine { learning_rate: rate, minimum: 0.0, steps }),
            Box::new(schedules::CosineRestarts { learning_rate: rate, minimum: 0.0, steps, factor: 2 }),
            Box::new(schedules::OneCycle::new(rate, steps)),
        ];
        for schedule in bounded {
            let value = schedule.learning_rate(step);
            prop_assert!((0.0..=rate * (1.0 + 1e-12)).contains(&value), "{schedule:?} at {step}: {value}");
        }
    }
}

#[test]
fn schedules_survive_degenerate_settings() {
    let cycle = schedules::Cycle::Halving;
    let degenerate: [Box<dyn Schedule>; 7] = [
        Box::new(schedules::Cyclic { minimum: 0.0, maximum: 0.1, rise: 0, fall: 0, cycle }),
        Box::new(schedules::Cyclic { minimum: 0.0, maximum: 0.1, rise: u64::MAX, fall: 3, cycle }),
        Box::new(schedules::Step { learning_rate: 0.1, size: 0, gamma: 0.5 }),
        Box::new(schedules::Linear { learning_rate: 0.1, start_factor: 0.0, end_factor: 1.0, steps: 0 }),
        Box::new(schedules::CosineRestarts { learning_rate: 0.1, minimum: 0.0, steps: 0, factor: 0 }),
        Box::new(schedules::OneCycle::new(0.1, 0)),
        Box::new(schedules::warm_up_cosine(0.1, 0, 0)),
    ];
    for schedule in degenerate {
        for step in [0, 1, 7, u64::MAX] {
            assert!(schedule.learning_rate(step).is_finite(), "{schedule:?} at {step}");
        }
    }
    let function = schedules::FromFunction(|step| 1.0 / (step + 1) as f64);
    assert_eq!(function.learning_rate(3), 0.25);
}

#[test]
fn accumulated_gradients_are_those_of_the_sum() {
    let device = Device::cpu().autodiff();
    let model = model(3, device);
    let together = (loss(&model, 0).unwrap() + loss(&model, 1).unwrap()).unwrap().backward().unwrap();
    let mut total = Gradients::new();
    for step in 0..2 {
        accumulate(&mut total, loss(&model, step).unwrap().backward().unwrap()).unwrap();
    }
    for parameter in model.parameters() {
        let (sum, whole) = (total.get(parameter).unwrap(), together.get(parameter).unwrap());
        let difference = (sum - whole).unwrap().abs().unwrap().max(.., false).unwrap().item().unwrap();
        assert!(difference < 1e-6, "{difference}");
    }
    let before = total.len();
    let mut wrong = Gradients::new();
    let id = model.parameters()[0].node_id().unwrap();
    wrong.insert(id, Tensor::zeros([7], DType::F32, Device::cpu()).unwrap());
    assert!(accumulate(&mut total, wrong).is_err() && total.len() == before);
}

#[test]
fn clipping_refuses_what_makes_no_sense() {
    assert!(matches!(*clip_by_norm(&mut Gradients::new(), 1.0).unwrap_err(), Error::Gradient { .. }));
    let model = model(1, Device::cpu().autodiff());
    let mut gradients = loss(&model, 0).unwrap().backward().unwrap();
    let before = total_norm(&gradients, Norm::L2).unwrap().item().unwrap();
    for max_norm in [0.0, -1.0, f64::NAN] {
        assert!(matches!(*clip_by_norm(&mut gradients, max_norm).unwrap_err(), Error::Argument { .. }));
    }
    assert!(clip_by(&mut gradients, 1.0, Norm::P(0.0)).is_err());
    assert!(clip_by_value(&mut gradients, -1.0).is_err() && clip_by_value(&mut gradients, f64::NAN).is_err());
    assert_eq!(total_norm(&gradients, Norm::L2).unwrap().item().unwrap(), before);
}
