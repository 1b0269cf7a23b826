//! Averages of weights: what enters, what comes out, and what is left alone.

use osnova_cpu::CpuDevice;
use osnova_nn::{Buffer, Linear, Module, Param};
use osnova_optim::WeightAverage;
use osnova_tensor::{DType, Device, Generator, Tensor};
use proptest::prelude::*;

#[derive(Module, Clone)]
struct Model {
    weight: Param,
    mean: Buffer,
    count: Buffer,
}

fn model(dtype: DType, value: f64, count: i64) -> Model {
    let full = |value: f64| Tensor::full([2, 3], value, dtype, Device::cpu()).unwrap();
    Model {
        weight: Param::new(full(value)).unwrap(),
        mean: Buffer::new(full(-value)),
        count: Buffer::new(Tensor::new([count], Device::cpu()).unwrap()),
    }
}

fn set(model: &mut Model, value: f64, count: i64) {
    let dtype = model.weight.dtype();
    let other = self::model(dtype, value, count);
    model.load_state_dict(&other.state_dict()).unwrap();
}

fn first(tensor: &Tensor) -> f64 {
    tensor.to_host().unwrap().to_f64()[0]
}

#[test]
fn float_buffers_are_averaged_and_others_copied() {
    let mut model = model(DType::F32, 1.0, 10);
    let mut average = WeightAverage::equal();
    average.update(&model).unwrap();
    set(&mut model, 3.0, 20);
    average.update(&model).unwrap();
    let state = average.state_dict();
    assert_eq!(["weight", "mean", "count"].map(|name| first(state.get(name).unwrap())), [2.0, -2.0, 20.0]);
}

#[test]
fn swapping_in_and_back_leaves_the_model_as_it_was() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let mut model = model(dtype, 1.0, 1);
        let mut average = WeightAverage::exponential(0.5);
        assert_eq!(average.swap_in(&mut model).unwrap().len(), 3, "before the first update it is the model itself");
        assert_eq!(first(&model.weight.value()), 1.0);
        average.update(&model).unwrap();
        set(&mut model, 3.0, 2);
        average.update(&model).unwrap();
        let own = average.swap_in(&mut model).unwrap();
        assert_eq!((first(&model.weight.value()), model.weight.dtype()), (2.0, dtype));
        model.load_state_dict(&own).unwrap();
        assert_eq!(first(&model.weight.value()), 3.0);
    }
}

#[test]
fn small_changes_of_half_precision_add_up() {
    let mut model = model(DType::BF16, 1.0, 0);
    let mut average = WeightAverage::exponential(0.999);
    average.update(&model).unwrap();
    set(&mut model, 2.0, 0);
    for _ in 0..700 {
        average.update(&model).unwrap();
    }
    // In bf16 1 + 0.001 is 1: it would never have moved.
    let state = average.state_dict();
    assert!((first(state.get("weight").unwrap()) - (2.0 - 0.999_f64.powi(700))).abs() < 1e-4);
    assert_eq!(state.get("weight").unwrap().dtype(), DType::F32);
}

#[test]
fn a_warm_up_forgets_the_first_weights_sooner() {
    let mut model = model(DType::F64, 1.0, 0);
    let mut averages = [WeightAverage::exponential(0.99), WeightAverage::exponential(0.99).warm_up(true)];
    for average in &mut averages {
        average.update(&model).unwrap();
    }
    set(&mut model, 0.0, 0);
    for average in &mut averages {
        average.update(&model).unwrap();
    }
    let [plain, warm] = averages.map(|average| first(average.state_dict().get("weight").unwrap()));
    assert!((plain - 0.99).abs() < 1e-12 && (warm - 2.0 / 11.0).abs() < 1e-12, "{plain}, {warm}");
}

#[test]
fn another_model_is_refused_and_nothing_changes() {
    let mut model = model(DType::F32, 1.0, 0);
    let mut average = WeightAverage::equal();
    average.update(&model).unwrap();
    let mut other = Linear::new(2, 3, &Generator::new(0), Device::cpu()).unwrap();
    for error in [
        average.update(&other).unwrap_err(),
        average.swap_in(&mut other).unwrap_err(),
        average.clone().load_state_dict(&other, &average.state_dict(), 1).unwrap_err(),
    ] {
        assert!(error.to_string().contains("bias"), "{error}");
    }
    assert_eq!(average.updates(), 1);
    set(&mut model, 3.0, 0);
    average.update(&model).unwrap();
    assert_eq!(first(average.state_dict().get("weight").unwrap()), 2.0);
    assert!(WeightAverage::exponential(1.0).update(&model).is_err());
}

#[test]
fn the_average_does_not_follow_the_model_in_place() {
    let mut model = model(DType::F32, 1.0, 0);
    let mut average = WeightAverage::equal();
    average.update(&model).unwrap();
    average.update(&model).unwrap();
    // Had the average been updated in place in the model's own tensor, this would show there.
    set(&mut model, 5.0, 0);
    average.update(&model).unwrap();
    assert_eq!(first(&model.weight.value()), 5.0);
    assert!((first(average.state_dict().get("weight").unwrap()) - 7.0 / 3.0).abs() < 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn averages_are_what_their_formulas_say(
        values in proptest::collection::vec(-10.0..10.0_f64, 1..12), split in 0..12_usize, decay in 0.0..0.99_f64,
    ) {
        let mut model = model(DType::F64, 0.0, 0);
        let mut averages = [WeightAverage::equal(), WeightAverage::exponential(decay)];
        for (step, &value) in values.iter().enumerate() {
            set(&mut model, value, 0);
            for average in &mut averages {
                if step == split {
                    // A break: the state goes to a fresh average.
                    let (state, updates) = (average.state_dict(), average.updates());
                    average.load_state_dict(&model, &state, updates).unwrap();
                }
                average.update(&model).unwrap();
            }
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let moving = values[1..].iter().fold(values[0], |average, value| decay * average + (1.0 - decay) * value);
        for (average, expected) in averages.iter().zip([mean, moving]) {
            let actual = first(average.state_dict().get("weight").unwrap());
            prop_assert!((actual - expected).abs() < 1e-12, "{} for {}", actual, expected);
        }
    }
}
