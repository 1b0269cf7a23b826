//! The worked examples of the textbook, and the edges of each loss.

use osnova_autodiff::{AutodiffDevice, Settings, gradcheck};
use osnova_cpu::CpuDevice;
use osnova_nn::losses::{
    BceLoss, BceWithLogitsLoss, CosineEmbeddingLoss, CrossEntropyLoss, FocalLoss, GaussianNllLoss, HingeLoss,
    HuberLoss, KlDivergenceLoss, L1Loss, Loss, MseLoss, MultiMarginLoss, NllLoss, PoissonNllLoss, SmoothL1Loss,
    TripletMarginLoss, binary_cross_entropy, binary_cross_entropy_with_logits, cosine_embedding, cross_entropy, focal,
    gaussian_negative_log_likelihood, hinge, huber, kl_divergence, mean_absolute_error, mean_squared_error,
    multi_margin, negative_log_likelihood, poisson_negative_log_likelihood, triplet_margin,
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
        let target: Vec<i64> = generator.permutation(batch * classes).unwrap()[..batch].iter().map(|&at| (at % classes) as i64).collect();
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
    assert!(matches!(*cross_entropy(&logits, &zeros(&[2], DType::U8)).unwrap_err(), Error::DType { .. }));
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

#[test]
fn likelihoods_and_margins_by_hand() {
    let item = |loss: osnova_tensor::Result<Tensor>| loss.unwrap().item().unwrap();
    // KL(p ‖ q) for p = (½, ½) and q = (¼, ¾): ½ ln 2 + ½ ln ⅔; of a distribution to itself 0.
    let row = |values: [f64; 2]| Tensor::new([values], Device::cpu()).unwrap();
    let divergence = |q: [f64; 2], p: [f64; 2]| item(kl_divergence(&row(q).ln().unwrap(), &row(p)));
    assert_near(divergence([0.25, 0.75], [0.5, 0.5]), 0.5 * (2.0_f64.ln() + (2.0_f64 / 3.0).ln()), 1e-12);
    assert_near(divergence([0.3, 0.7], [0.3, 0.7]), 0.0, 1e-15);
    assert_near(divergence([0.25, 0.75], [1.0, 0.0]), 4.0_f64.ln(), 1e-12);
    // KL and cross-entropy differ by the entropy of the target alone: ln 2 for a fair coin.
    let soft = item(cross_entropy(&row([0.2, -0.4]), &row([0.5, 0.5])));
    let apart = item(kl_divergence(&row([0.2, -0.4]).log_softmax(1).unwrap(), &row([0.5, 0.5])));
    assert_near(soft - apart, 2.0_f64.ln(), 1e-12);

    assert_near(
        item(poisson_negative_log_likelihood(&vector(&[2.0_f64.ln()]), &vector(&[3.0]))),
        2.0 - 3.0 * 2.0_f64.ln(),
        1e-12,
    );
    let (mean, target, variance) = (vector(&[1.0]), vector(&[3.0]), vector(&[4.0]));
    assert_near(item(gaussian_negative_log_likelihood(&mean, &target, &variance)), 0.5 * (4.0_f64.ln() + 1.0), 1e-12);
    assert_near(item(hinge(&vector(&[0.3, 2.0, 0.5]), &vector(&[1.0, 1.0, -1.0]))), (0.7 + 0.0 + 1.5) / 3.0, 1e-12);
    // Scores .1, .2, .4, .8 and class 3: PyTorch's own example, ¼·(.3 + .4 + .6).
    let scores = Tensor::new([[0.1, 0.2, 0.4, 0.8]], Device::cpu()).unwrap();
    assert_near(item(multi_margin(&scores, &Tensor::new([3i64], Device::cpu()).unwrap())), 0.325, 1e-12);
    let pair = |sign: f64| item(cosine_embedding(&row([1.0, 0.0]), &row([1.0, 1.0]), &vector(&[sign]).detach()));
    assert_near(pair(1.0), 1.0 - 0.5_f64.sqrt(), 1e-9);
    assert_near(pair(-1.0), 0.5_f64.sqrt(), 1e-9);
    let triplet = item(triplet_margin(&row([0.0, 0.0]), &row([3.0, 4.0]), &row([0.0, 5.5])));
    assert_near(triplet, 5.0 - 5.5 + 1.0, 1e-5);
    // A positive known to 90 %: ¼·0.1²·(−ln 0.9); with γ = 0 and no α the plain cross-entropy.
    let logit = vector(&[9.0_f64.ln()]);
    assert_near(item(focal(&logit, &vector(&[1.0]))), 0.25 * 0.01 * -(0.9_f64.ln()), 1e-12);
    let plain = FocalLoss { alpha: None, gamma: 0.0, ..FocalLoss::default() };
    assert_near(
        item(plain.forward(&logit, &vector(&[0.0]))),
        item(binary_cross_entropy_with_logits(&logit, &vector(&[0.0]))),
        1e-12,
    );
}

#[test]
fn losses_are_finite_at_extreme_scores() {
    for logit in [1e4, -1e4] {
        for target in [0.0, 1.0] {
            let losses: [Box<dyn Loss>; 3] = [
                Box::new(BceWithLogitsLoss::default()),
                Box::new(BceWithLogitsLoss {
                    pos_weight: Some(vector(&[3.0]).detach()),
                    ..BceWithLogitsLoss::default()
                }),
                Box::new(FocalLoss { gamma: 0.5, ..FocalLoss::default() }),
            ];
            for loss in losses {
                let logits = vector(&[logit]).into_tracked().unwrap();
                let value = loss.forward(&logits, &vector(&[target])).unwrap();
                let slope = value.backward().unwrap().get(&logits).unwrap().item().unwrap();
                assert!(value.item().unwrap().is_finite() && slope.is_finite(), "{loss:?} at {logit}, {target}");
            }
        }
        let logits = vector(&[logit, 0.0, -logit]).unsqueeze(0).unwrap().into_tracked().unwrap();
        for class in 0..3 {
            let target = Tensor::new([class as i64], Device::cpu()).unwrap();
            for label_smoothing in [0.0, 0.1] {
                let loss = CrossEntropyLoss { label_smoothing, ..CrossEntropyLoss::default() };
                let value = loss.forward(&logits, &target).unwrap();
                let slopes = value.backward().unwrap().get(&logits).unwrap().to_vec::<f64>().unwrap();
                assert!(value.item().unwrap().is_finite() && slopes.iter().all(|slope| slope.is_finite()));
            }
        }
    }
    // Equal vectors and zero vectors have slopes too.
    let (zero, other) =
        (vector(&[0.0; 3]).unsqueeze(0).unwrap().into_tracked().unwrap(), vector(&[1.0; 3]).unsqueeze(0).unwrap());
    for loss in [
        triplet_margin(&zero, &vector(&[0.0; 3]).unsqueeze(0).unwrap(), &other),
        cosine_embedding(&zero, &other, &vector(&[1.0])),
    ] {
        let slopes = loss.unwrap().backward().unwrap().get(&zero).unwrap().to_vec::<f64>().unwrap();
        assert!(slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn losses_have_the_derivatives_of_differences(seed: u64) {
        let (device, generator) = (Device::cpu(), Generator::new(seed));
        let normal = |shape: &[usize]| Tensor::normal(shape, 0.0, 1.0, DType::F64, &generator, device).unwrap();
        let (prediction, target) = (normal(&[4, 3]), normal(&[4, 3]));
        let labels = target.greater(0.0).unwrap().to_dtype(DType::F64).unwrap();
        let classes = Tensor::new([2i64, 0, 1, 2], device).unwrap();
        let weight = (normal(&[3]).abs().unwrap() + 0.3).unwrap();
        let signs = ((&labels * 2.0).unwrap() - 1.0).unwrap();
        let probabilities = target.softmax(1).unwrap();
        for reduction in [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None] {
            let losses: [(Box<dyn Loss>, &Tensor); 14] = [
                (Box::new(MseLoss { reduction }), &target),
                (Box::new(L1Loss { reduction }), &target),
                (Box::new(HuberLoss { delta: 0.8, reduction }), &target),
                (Box::new(SmoothL1Loss { beta: 0.8, reduction }), &target),
                (Box::new(BceWithLogitsLoss { weight: Some(weight.clone()), pos_weight: Some(weight.clone()), reduction }), &labels),
                (Box::new(CrossEntropyLoss { weight: Some(weight.clone()), label_smoothing: 0.1, ignore_index: Some(0), reduction }), &classes),
                (Box::new(CrossEntropyLoss { weight: Some(weight.clone()), label_smoothing: 0.1, reduction, ..Default::default() }), &probabilities),
                (Box::new(NllLoss { weight: Some(weight.clone()), ignore_index: Some(0), reduction }), &classes),
                (Box::new(KlDivergenceLoss { reduction, ..Default::default() }), &probabilities),
                (Box::new(PoissonNllLoss { full: true, reduction, ..Default::default() }), &labels),
                (Box::new(FocalLoss { gamma: 1.5, reduction, ..Default::default() }), &labels),
                (Box::new(HingeLoss { margin: 0.9, reduction }), &signs),
                (Box::new(MultiMarginLoss { weight: Some(weight.clone()), reduction, ..Default::default() }), &classes),
                (Box::new(MultiMarginLoss { squared: true, reduction, ..Default::default() }), &classes),
            ];
            for (loss, target) in &losses {
                let check = gradcheck(|x| loss.forward(&x[0], target), std::slice::from_ref(&prediction), Settings::default());
                prop_assert!(check.is_ok(), "{loss:?}: {}", check.unwrap_err());
            }
            let bce = BceLoss { reduction, weight: None };
            let check = gradcheck(|x| bce.forward(&x[0].sigmoid()?, &labels.to_device(x[0].device())?), std::slice::from_ref(&prediction), Settings::default());
            prop_assert!(check.is_ok(), "{bce:?}: {}", check.unwrap_err());
            let three = [prediction.clone(), target.clone(), normal(&[4, 3])];
            let check = gradcheck(|x| GaussianNllLoss { reduction, ..Default::default() }.forward(&x[0], &x[1], &x[2].exp()?), &three, Settings::default());
            prop_assert!(check.is_ok(), "Gaussian: {}", check.unwrap_err());
            let check = gradcheck(|x| TripletMarginLoss { swap: true, reduction, ..Default::default() }.forward(&x[0], &x[1], &x[2]), &three, Settings::default());
            prop_assert!(check.is_ok(), "triplet: {}", check.unwrap_err());
            let pairs = Tensor::new([1.0, -1.0, 1.0, -1.0], device).unwrap();
            let check = gradcheck(|x| CosineEmbeddingLoss { reduction, ..Default::default() }.forward(&x[0], &x[1], &pairs), &three[..2], Settings::default());
            prop_assert!(check.is_ok(), "cosine: {}", check.unwrap_err());
        }
    }
}

#[test]
fn further_losses_refuse_what_does_not_fit() {
    let device = Device::cpu();
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, device).unwrap();
    let (column, row) = (zeros(&[3, 1], DType::F32), zeros(&[3], DType::F32));
    let losses: [Box<dyn Loss>; 4] = [
        Box::new(KlDivergenceLoss::default()),
        Box::new(PoissonNllLoss::default()),
        Box::new(HingeLoss::default()),
        Box::new(FocalLoss::default()),
    ];
    for loss in losses {
        assert!(matches!(*loss.forward(&column, &row).unwrap_err(), Error::Shape { .. }), "{loss:?}");
        assert!(matches!(*loss.forward(&row, &zeros(&[3], DType::F64)).unwrap_err(), Error::DType { .. }), "{loss:?}");
    }
    let scores = zeros(&[3, 4], DType::F32);
    assert!(matches!(*multi_margin(&scores, &row).unwrap_err(), Error::DType { .. }));
    assert!(matches!(*multi_margin(&scores, &zeros(&[2], DType::I64)).unwrap_err(), Error::Shape { .. }));
    assert!(multi_margin(&scores, &Tensor::new([0i64, 1, 4], device).unwrap()).is_err());
    assert!(matches!(*cosine_embedding(&scores, &scores, &column).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*triplet_margin(&scores, &scores, &column).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*gaussian_negative_log_likelihood(&row, &row, &column).unwrap_err(), Error::Shape { .. }));
    assert!(GaussianNllLoss { epsilon: 0.0, ..GaussianNllLoss::default() }.forward(&row, &row, &row).is_err());
    assert!(FocalLoss { gamma: -1.0, ..FocalLoss::default() }.forward(&row, &row).is_err());
}

/// What is left out is not looked at: neither its value nor its slope may reach the rest.
#[test]
fn what_counts_nothing_may_be_infinite_or_not_a_number() {
    let device = Device::cpu().autodiff();
    let matrix = |rows: [[f64; 2]; 2]| Tensor::new(rows, device).unwrap().into_tracked().unwrap();
    let finite = |name: &str, loss: Tensor, expected: f64, input: &Tensor| {
        let (value, gradients) = (loss.item().unwrap(), loss.backward().unwrap());
        assert!((value - expected).abs() < 1e-9, "{name}: {value} instead of {expected}");
        let slope = gradients.get(input).map_or(Vec::new(), |slope| slope.to_vec::<f64>().unwrap());
        assert!(slope.iter().all(|slope| slope.is_finite()), "{name}: {slope:?}");
    };
    let classes = Tensor::new([0i64, 1], Device::cpu()).unwrap();
    let (infinite, nan) = (f64::NEG_INFINITY, f64::NAN);
    for bad in [infinite, nan, f64::INFINITY] {
        let scores = matrix([[-0.5, -1.0], [bad, bad]]);
        let loss = NllLoss { ignore_index: Some(1), ..NllLoss::default() };
        finite("nll, ignored", loss.forward(&scores, &classes).unwrap(), 0.5, &scores);
        let weight = Some(Tensor::new([2.0f64, 0.0], Device::cpu()).unwrap());
        let loss = NllLoss { weight: weight.clone(), ..NllLoss::default() };
        finite("nll, weightless", loss.forward(&scores, &classes).unwrap(), 0.5, &scores);
        let margin = MultiMarginLoss { weight, reduction: ReductionKind::Sum, ..MultiMarginLoss::default() };
        let value = margin.forward(&scores, &classes).unwrap().item().unwrap();
        assert!((value - 0.5).abs() < 1e-9, "{value}");
    }

    let share = matrix([[1.0, 0.0], [0.0, 1.0]]).detach();
    let logarithms = matrix([[0.0, infinite], [infinite, 0.0]]);
    let kl = KlDivergenceLoss::default();
    finite("kl", kl.forward(&logarithms, &share).unwrap(), 0.0, &logarithms);
    let kl = KlDivergenceLoss { log_target: true, ..kl };
    finite("kl of logarithms", kl.forward(&logarithms, &logarithms.detach()).unwrap(), 0.0, &logarithms);
    let certain = matrix([[0.0, infinite], [infinite, 5.0]]);
    finite("cross-entropy", cross_entropy(&certain, &share).unwrap(), 0.0, &certain);
    let rates = matrix([[infinite, 0.0], [0.0, infinite]]);
    let counts = matrix([[0.0, 2.0], [1.0, 0.0]]).detach();
    finite("poisson", poisson_negative_log_likelihood(&rates, &counts).unwrap(), 0.5, &rates);
    let zeros = matrix([[0.0, 1.0], [1.0, 0.0]]);
    let loss = PoissonNllLoss { log_input: false, epsilon: 0.0, ..PoissonNllLoss::default() };
    let value = loss.forward(&zeros, &counts).unwrap().item().unwrap();
    assert_near(value, 0.5, 1e-12);

    // Logits of a certainty, right: no loss, whatever the weights.
    let logits = matrix([[f64::INFINITY, infinite], [infinite, f64::INFINITY]]);
    let weighed =
        BceWithLogitsLoss { pos_weight: Some(Tensor::full(2, 3.0, DType::F64, device).unwrap()), ..Default::default() };
    assert_near(weighed.forward(&logits, &share).unwrap().item().unwrap(), 0.0, 1e-12);
    assert_near(focal(&logits, &share).unwrap().item().unwrap(), 0.0, 1e-12);
    let one_sided = FocalLoss { alpha: Some(1.0), ..FocalLoss::default() };
    let wrong = matrix([[f64::INFINITY, f64::INFINITY], [f64::INFINITY, f64::INFINITY]]);
    assert_near(one_sided.forward(&wrong, &share).unwrap().item().unwrap(), 0.0, 1e-12);
    let masked = Some(Tensor::new([[1.0f64, 0.0], [0.0, 1.0]], device).unwrap());
    let loss = BceWithLogitsLoss { weight: masked.clone(), ..Default::default() };
    let value = loss.forward(&matrix([[0.0, nan], [f64::INFINITY, 0.0]]), &share).unwrap().item().unwrap();
    assert_near(value, std::f64::consts::LN_2 / 2.0, 1e-12);
    let loss = BceLoss { weight: masked, ..BceLoss::default() };
    assert_near(loss.forward(&matrix([[1.0, nan], [nan, 1.0]]), &share).unwrap().item().unwrap(), 0.0, 1e-12);
}

/// 1 − ln(1 + e⁻ˣ) of a large x lost all of e⁻ˣ beside x.
#[test]
fn weighted_logits_keep_small_losses() {
    let logits = Tensor::new([-40.0f32, -20.0, 20.0], Device::cpu()).unwrap();
    let target = Tensor::new([0.0f32, 0.0, 1.0], Device::cpu()).unwrap();
    let pos_weight = Some(Tensor::new([2.0f32], Device::cpu()).unwrap());
    let loss = BceWithLogitsLoss { pos_weight, reduction: ReductionKind::None, ..Default::default() };
    let values = loss.forward(&logits, &target).unwrap().to_vec::<f32>().unwrap();
    for (value, expected) in values.into_iter().zip([(-40_f64).exp(), (-20_f64).exp(), 2.0 * (-20_f64).exp()]) {
        assert!((f64::from(value) / expected - 1.0).abs() < 1e-5, "{value} instead of {expected}");
    }
}

#[test]
fn an_infinite_error_has_the_slope_of_its_line() {
    for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
        let prediction = vector(&[infinite, 0.5]).into_tracked().unwrap();
        let target = vector(&[0.0, 0.0]);
        for loss in [huber(&prediction, &target, 1.0), SmoothL1Loss::default().forward(&prediction, &target)] {
            let gradients = loss.unwrap().backward().unwrap();
            let slope = gradients.get(&prediction).unwrap().to_vec::<f64>().unwrap();
            assert_eq!(slope, [0.5 * infinite.signum(), 0.25]);
        }
    }
}
