//! The worked examples of the textbook, and the edges of each loss.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::losses::{
    BceWithLogitsLoss, CrossEntropyLoss, HuberLoss, L1Loss, Loss, MseLoss, NllLoss, SmoothL1Loss, binary_cross_entropy,
    binary_cross_entropy_with_logits, cross_entropy, huber, mean_absolute_error, mean_squared_error,
    negative_log_likelihood,
};
use osnova_tensor::{DType, Device, Error, Generator, ReductionKind, Tensor};
use proptest::prelude::*;

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, values.len(), Device::cpu().autodiff()).unwrap()
}

fn assert_near(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual} instead of {expected}");
}

#[test]
fn regression_examples_of_the_textbook() {
    let (target, prediction) = (vector(&[5.0, 8.0, 3.0]), vector(&[4.5, 9.0, 3.2]));
    assert_near(mean_squared_error(&prediction, &target).unwrap().item().unwrap(), 0.43, 1e-12);
    assert_near(mean_absolute_error(&prediction, &target).unwrap().item().unwrap(), 1.7 / 3.0, 1e-12);
    // Errors .5, 1 and .2 all lie on the parabola: half the squared error.
    assert_near(huber(&prediction, &target, 1.0).unwrap().item().unwrap(), 0.215, 1e-12);
}

#[test]
fn reductions_agree() {
    let (target, prediction) = (vector(&[5.0, 8.0, 3.0]), vector(&[4.5, 9.0, 3.2]));
    let kinds = [ReductionKind::None, ReductionKind::Sum, ReductionKind::Mean];
    let losses: [[Box<dyn Loss>; 3]; 4] = [
        kinds.map(|reduction| Box::new(MseLoss { reduction }) as Box<dyn Loss>),
        kinds.map(|reduction| Box::new(L1Loss { reduction }) as _),
        kinds.map(|reduction| Box::new(HuberLoss { delta: 0.3, reduction }) as _),
        kinds.map(|reduction| Box::new(SmoothL1Loss { beta: 0.3, reduction }) as _),
    ];
    for [none, sum, mean] in losses {
        let values = none.forward(&prediction, &target).unwrap().to_vec::<f64>().unwrap();
        let total: f64 = values.iter().sum();
        assert_eq!(values.len(), 3);
        assert_near(sum.forward(&prediction, &target).unwrap().item().unwrap(), total, 1e-12);
        assert_near(mean.forward(&prediction, &target).unwrap().item().unwrap(), total / 3.0, 1e-12);
    }
}

#[test]
fn huber_is_continuous_with_its_gradient() {
    let delta = 0.7;
    let at = |error: f64| {
        let prediction = vector(&[error]).into_tracked().unwrap();
        let loss = huber(&prediction, &vector(&[0.0]), delta).unwrap();
        let slope = loss.backward().unwrap().get(&prediction).unwrap().item().unwrap();
        (loss.item().unwrap(), slope)
    };
    for sign in [-1.0, 1.0] {
        let (below, above) = (at(sign * (delta - 1e-9)), at(sign * (delta + 1e-9)));
        assert_near(below.0, above.0, 1e-8);
        assert_near(below.1, above.1, 1e-8);
        assert_near(above.1, sign * delta, 1e-8);
    }
}

#[test]
fn binary_cross_entropy_examples_of_the_textbook() {
    let loss =
        |probability: f64| binary_cross_entropy(&vector(&[probability]), &vector(&[1.0])).unwrap().item().unwrap();
    assert_near(loss(0.99), 0.01005, 5e-6);
    assert_near(loss(0.01), 4.605, 5e-4);
    // Certain and right, certain and wrong: PyTorch's bound of 100.
    assert_near(loss(1.0), 0.0, 0.0);
    assert_near(loss(0.0), 100.0, 0.0);
    for (logit, target, expected) in [(1e4, 1.0, 0.0), (-1e4, 0.0, 0.0), (1e4, 0.0, 1e4), (-1e4, 1.0, 1e4)] {
        let logits = vector(&[logit]).into_tracked().unwrap();
        let loss = binary_cross_entropy_with_logits(&logits, &vector(&[target])).unwrap();
        assert_near(loss.item().unwrap(), expected, 0.0);
        assert!(loss.backward().unwrap().get(&logits).unwrap().item().unwrap().is_finite());
    }
}

#[test]
fn cross_entropy_examples_of_the_textbook() {
    let rest = |p: f64| (1.0 - p) / 2.0;
    for (p, expected, tolerance) in [(0.85_f64, 0.1625, 5e-5), (0.05, 2.996, 5e-4)] {
        let logits = vector(&[rest(p).ln(), p.ln(), rest(p).ln()]).unsqueeze(0).unwrap();
        let class = Tensor::new([1i64], Device::cpu()).unwrap();
        let one_hot = Tensor::new([[0.0, 1.0, 0.0]], Device::cpu()).unwrap();
        assert_near(cross_entropy(&logits, &class).unwrap().item().unwrap(), expected, tolerance);
        assert_near(cross_entropy(&logits, &one_hot).unwrap().item().unwrap(), expected, tolerance);
    }
    // The gradient of softmax and cross-entropy is p − y: p = [.3, .5, .2], class 2.
    let logits = vector(&[0.3_f64.ln(), 0.5_f64.ln(), 0.2_f64.ln()]).unsqueeze(0).unwrap().into_tracked().unwrap();
    let loss = cross_entropy(&logits, &Tensor::new([2i64], Device::cpu()).unwrap()).unwrap();
    let gradient = loss.backward().unwrap().get(&logits).unwrap().to_vec::<f64>().unwrap();
    gradient.iter().zip([0.3, 0.5, -0.8]).for_each(|(actual, expected)| assert_near(*actual, expected, 1e-12));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn likelihood_and_cross_entropy_are_one(seed: u64, batch in 1..6_usize, classes in 1..7_usize) {
        let generator = Generator::new(seed);
        let logits = Tensor::normal([batch, classes], 0.0, 3.0, DType::F64, &generator, Device::cpu()).unwrap();
        let target: Vec<i64> = generator.permutation(batch * classes)[..batch].iter().map(|&at| (at % classes) as i64).collect();
        let target = Tensor::from_vec(target, batch, Device::cpu()).unwrap();
        let direct = cross_entropy(&logits, &target).unwrap().item().unwrap();
        let likelihood = negative_log_likelihood(&logits.log_softmax(1).unwrap(), &target).unwrap().item().unwrap();
        let picked = logits.softmax(1).unwrap().gather(1, &target.unsqueeze(1).unwrap()).unwrap();
        let maximum = -picked.prod(.., false).unwrap().item().unwrap().ln() / batch as f64;
        prop_assert!((direct - likelihood).abs() < 1e-9 && (direct - maximum).abs() < 1e-9, "{direct} {likelihood} {maximum}");
    }

    #[test]
    fn more_axes_are_more_samples(seed: u64) {
        let generator = Generator::new(seed);
        let logits = Tensor::normal([2, 3, 4], 0.0, 2.0, DType::F64, &generator, Device::cpu()).unwrap();
        let target = Tensor::from_vec((0..8).map(|at| (at * 5 + seed as i64 % 3).rem_euclid(3)).collect(), [2, 4], Device::cpu()).unwrap();
        let loss = CrossEntropyLoss { reduction: ReductionKind::None, label_smoothing: 0.1, ..CrossEntropyLoss::default() };
        let values = loss.forward(&logits, &target).unwrap();
        prop_assert_eq!(values.dims(), &[2, 4]);
        let values = values.to_vec::<f64>().unwrap();
        let likelihood = NllLoss { reduction: ReductionKind::None, ..NllLoss::default() };
        let plain = likelihood.forward(&logits.log_softmax(1).unwrap(), &target).unwrap();
        prop_assert_eq!(plain.dims(), &[2, 4]);
        for sample in 0..2 {
            for place in 0..4 {
                let row = logits.select(0, sample).unwrap().select(1, place).unwrap().unsqueeze(0).unwrap();
                let class = target.select(0, sample).unwrap().select(0, place).unwrap().unsqueeze(0).unwrap();
                let alone = loss.forward(&row, &class).unwrap().to_vec::<f64>().unwrap()[0];
                prop_assert!((alone - values[sample as usize * 4 + place as usize]).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let device = Device::cpu();
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, device).unwrap();
    // [3, 1] beside [3] would broadcast to [3, 3].
    let losses: [Box<dyn Loss>; 5] = [
        Box::new(MseLoss::default()),
        Box::new(L1Loss::default()),
        Box::new(HuberLoss::default()),
        Box::new(SmoothL1Loss::default()),
        Box::new(BceWithLogitsLoss::default()),
    ];
    for loss in losses {
        let (column, row) = (zeros(&[3, 1], DType::F32), zeros(&[3], DType::F32));
        assert!(matches!(*loss.forward(&column, &row).unwrap_err(), Error::Shape { .. }), "{loss:?}");
        assert!(matches!(*loss.forward(&row, &zeros(&[3], DType::F64)).unwrap_err(), Error::DType { .. }), "{loss:?}");
    }
    let logits = zeros(&[2, 3], DType::F32);
    assert!(matches!(*cross_entropy(&logits, &zeros(&[3], DType::I64)).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*cross_entropy(&logits, &zeros(&[2], DType::I32)).unwrap_err(), Error::DType { .. }));
    assert!(matches!(*cross_entropy(&logits, &zeros(&[2], DType::F32)).unwrap_err(), Error::Shape { .. }));
    assert!(cross_entropy(&logits, &Tensor::new([0i64, 3], device).unwrap()).is_err());
    assert!(cross_entropy(&logits, &Tensor::new([0i64, -100], device).unwrap()).is_err());
    let ignoring = CrossEntropyLoss { ignore_index: Some(-100), ..CrossEntropyLoss::default() };
    assert!(ignoring.forward(&logits, &Tensor::new([0i64, -100], device).unwrap()).is_ok());
    let smoothed = CrossEntropyLoss { label_smoothing: 1.5, ..CrossEntropyLoss::default() };
    assert!(smoothed.forward(&logits, &zeros(&[2], DType::I64)).is_err());
    assert!(smoothed.forward(&logits, &zeros(&[2, 3], DType::F32)).is_err());
    assert!(matches!(*huber(&logits, &logits, 0.0).unwrap_err(), Error::Argument { .. }));
    assert!(SmoothL1Loss { beta: f64::NAN, ..SmoothL1Loss::default() }.forward(&logits, &logits).is_err());
    let weighted = CrossEntropyLoss { weight: Some(zeros(&[2], DType::F32)), ..CrossEntropyLoss::default() };
    assert!(weighted.forward(&logits, &zeros(&[2], DType::I64)).is_err());
    assert!(weighted.forward(&logits, &zeros(&[2, 3], DType::F32)).is_err());
}
