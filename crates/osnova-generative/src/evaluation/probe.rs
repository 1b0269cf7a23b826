//! Whether a code knows the class.

use super::Codes;
use super::matrix::Matrix;
use osnova_autodiff::AutodiffDevice;
use osnova_nn::{Forward, Linear, Module};
use osnova_optim::Lbfgs;
use osnova_tensor::{Error, Generator, Tensor};
use osnova_train::{Result, TrainError};

const OPERATION: &str = "linear_probe";
/// Far more than the dozens it takes.
const ITERATIONS: usize = 200;

/// The accuracy on `test` of a linear classifier trained on `train`, from 0 to 1: how much of the class a code says in a
/// form that a single layer can read (Alain and Bengio 2016).
///
/// The classifier is the softmax regression that minimises mean cross-entropy + ‖W‖²/2n on codes standardised with the mean
/// and deviation of `train` (n samples), by L-BFGS on all of them: scikit-learn's `LogisticRegression` with its defaults. The
/// minimum is unique; the seed says where the search for it starts.
///
/// # Errors
/// Codes without classes, classes outside `0..classes`, fewer than two classes, no samples, codes of different widths or
/// that are not finite.
pub fn linear_probe(train: &Codes, test: &Codes, classes: usize, seed: u64) -> Result<f64> {
    if classes < 2 {
        let advice = "Give the number of classes of the data, at least 2";
        return Err(TrainError::argument(OPERATION, format!("there are {classes} classes"), advice));
    }
    let (train_codes, test_codes) = (Matrix::of(OPERATION, &train.codes, 1)?, Matrix::of(OPERATION, &test.codes, 1)?);
    if train_codes.width() != test_codes.width() {
        return Err(Error::shape(
            OPERATION,
            [*train.codes.shape(), *test.codes.shape()],
            "the codes have different widths",
            "Encode training and test data with one model",
        )
        .into());
    }
    let (train_classes, test_classes) =
        (labels(train, train_codes.samples(), classes)?, labels(test, test_codes.samples(), classes)?);

    let means = train_codes.means();
    let deviations: Vec<f64> = train_codes.variances(&means).iter().map(|variance| variance.sqrt()).collect();
    let device = train.codes.device().without_recording();
    let standardised = |codes: &Matrix| {
        let scaled = codes.rows().flat_map(|row| {
            let parts = row.iter().zip(&means).zip(&deviations);
            // A unit that never varies says nothing.
            parts.map(|((value, mean), &deviation)| if deviation > 0.0 { (value - mean) / deviation } else { 0.0 })
        });
        let scaled: Vec<f32> = scaled.map(|value| value as f32).collect();
        Tensor::from_vec(scaled, [codes.samples(), codes.width()], device)
    };
    let (input, samples) = (standardised(&train_codes)?, train_codes.samples());
    let targets = Tensor::from_slice(train_classes, [samples], device)?;

    let mut probe = Linear::new(train_codes.width(), classes, &Generator::new(seed), device.autodiff())?;
    let mut optimizer = Lbfgs::new(1.0).strong_wolfe(true).history(10).max_iterations(ITERATIONS);
    optimizer.step_with(&mut probe, |probe| {
        let penalty = (probe.weight.square()?.sum(.., false)? * (0.5 / samples as f64))?;
        probe.forward(&input)?.cross_entropy(&targets)? + penalty
    })?;

    let predictions = probe.inference()?.forward(&standardised(&test_codes)?)?.argmax(1, false)?.to_vec::<i64>()?;
    let right = predictions.iter().zip(test_classes).filter(|(prediction, class)| prediction == class).count();
    Ok(right as f64 / test_codes.samples() as f64)
}

/// The classes, if there is one for each sample.
fn labels(codes: &Codes, samples: usize, classes: usize) -> Result<&[i64]> {
    let refuse = |problem: String, advice: &str| Err(TrainError::argument(OPERATION, problem, advice));
    let Some(labels) = codes.classes.as_deref() else {
        return refuse("the codes have no classes".to_owned(), "Encode labelled data");
    };
    if labels.len() != samples {
        return refuse(format!("{} classes for {samples} codes", labels.len()), "Give one class for each code");
    }
    match labels.iter().find(|label| !usize::try_from(**label).is_ok_and(|label| label < classes)) {
        Some(label) => refuse(format!("a sample has the class {label} of {classes}"), "Give the number of all classes"),
        None => Ok(labels),
    }
}
