//! Training on some folds and validating on the other, in turn.

use crate::{Result, TrainError};
use osnova_data::{CrossValidator, Dataset, Subset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One division of the data.
#[derive(Debug)]
pub struct Fold<D: ?Sized> {
    /// Its number, counted from 0: add it to a seed to start each fold's model differently.
    pub number: usize,
    /// How many folds there are.
    pub count: usize,
    /// The samples to train on (and to fit preprocessing on).
    pub train: Subset<D>,
    /// The samples to validate on.
    pub validation: Subset<D>,
}

/// The scores of each fold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// The metrics of each fold by name.
    pub folds: Vec<BTreeMap<String, f64>>,
}

impl CrossValidation {
    /// A metric fold by fold; folds that do not have it are left out.
    pub fn scores(&self, name: &str) -> Vec<f64> {
        self.folds.iter().filter_map(|fold| fold.get(name).copied()).collect()
    }

    /// The mean over folds; `None` if no fold has the metric.
    pub fn mean(&self, name: &str) -> Option<f64> {
        let scores = self.scores(name);
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The spread over folds: the standard deviation, dividing by the number of folds as NumPy's `std` does; `None` if no
    /// fold has the metric.
    pub fn standard_deviation(&self, name: &str) -> Option<f64> {
        let (scores, mean) = (self.scores(name), self.mean(name)?);
        Some((scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / scores.len() as f64).sqrt())
    }
}

/// Divides `data` into folds, and for each calls `score`, which makes a model, trains it on `fold.train` and gives its
/// metrics on `fold.validation`.
///
/// ```
/// use osnova_autodiff::AutodiffDevice;
/// use osnova_cpu::CpuDevice;
/// use osnova_data::{DataLoader, StandardScaler, StratifiedKFold, Transform, digits};
/// use osnova_nn::Linear;
/// use osnova_optim::AdamW;
/// use osnova_tensor::{Device, Generator};
/// use osnova_train::{Classification, Trainer, cross_validate, evaluate};
///
/// let scores = cross_validate(digits()?, &StratifiedKFold::new(3).shuffle(0), |fold| {
///     // The model factory: everything is made anew, the scaler too, from this fold's training samples alone.
///     let scaler = StandardScaler::new().fit(&fold.train)?;
///     let mut train = DataLoader::new(scaler.apply(&fold.train)?, 32)?.shuffle(0);
///     let mut validation = DataLoader::new(scaler.apply(&fold.validation)?, 256)?;
///     let mut model = Linear::new(64, 10, &Generator::new(fold.number as u64), Device::cpu().autodiff())?;
///     Trainer::new(3).fit(&mut Classification, &mut model, &mut AdamW::new(1e-2), &mut train, None)?;
///     evaluate(&mut Classification, &model, &mut validation)
/// })?;
/// let (mean, spread) = (scores.mean("accuracy").unwrap(), scores.standard_deviation("accuracy").unwrap());
/// assert!(mean > 0.9 && spread < 0.05, "{mean} ± {spread}");
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
///
/// # Errors
/// The data do not allow these folds, or `score` fails; the message says in which fold.
pub fn cross_validate<D, F>(data: D, folds: &dyn CrossValidator, mut score: F) -> Result<CrossValidation>
where
    D: Dataset,
    F: FnMut(Fold<D>) -> Result<BTreeMap<String, f64>>,
{
    let data = Arc::new(data);
    let folds = folds.folds(&*data)?;
    let count = folds.len();
    let mut scores = CrossValidation::default();
    for (number, (train, validation)) in folds.enumerate() {
        let train = Subset::shared(data.clone(), train)?;
        let validation = Subset::shared(data.clone(), validation)?;
        let metrics = score(Fold { number, count, train, validation });
        scores.folds.push(metrics.map_err(|source| TrainError::Fold {
            fold: number + 1,
            folds: count,
            source: Box::new(source),
        })?);
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osnova_data::{ArrayDataset, KFold};

    #[test]
    fn every_sample_validates_once_and_the_spread_is_numpys() {
        let data = ArrayDataset::unlabelled((0..10).map(|value| value as f32).collect::<Vec<_>>(), [1]).unwrap();
        let mut seen = vec![];
        let result = cross_validate(data, &KFold::new(5), |fold| {
            assert_eq!((fold.train.len(), fold.validation.len(), fold.count), (8, 2, 5));
            seen.extend(fold.validation.indices().to_vec());
            Ok(BTreeMap::from([("score".to_owned(), fold.number as f64)]))
        });
        let result = result.unwrap();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(result.mean("score"), Some(2.0));
        // numpy.std([0, 1, 2, 3, 4])
        assert_eq!(result.standard_deviation("score"), Some(std::f64::consts::SQRT_2));
        assert_eq!(result.mean("other"), None);
    }

    #[test]
    fn an_error_says_in_which_fold() {
        let data = ArrayDataset::unlabelled(vec![0.0; 6], [1]).unwrap();
        let error = cross_validate(data, &KFold::new(3), |fold| match fold.number {
            1 => Err(TrainError::other("no luck")),
            _ => Ok(BTreeMap::new()),
        });
        assert_eq!(error.unwrap_err().to_string(), "fold 2 of 3: no luck");
        let data = ArrayDataset::unlabelled(vec![0.0; 2], [1]).unwrap();
        assert!(cross_validate(data, &KFold::new(3), |_| Ok(BTreeMap::new())).is_err());
    }
}
