//! The data in three parts.

use crate::options::{DatasetKind, Options};
use crate::shared::images::{Sealed, flat};
use osnova::data::{
    DataError, Dataset, FittedStandardScaler, SplitOptions, StandardScaler, Transform, digits, fashion_mnist,
    train_validation_split, train_validation_test_split,
};
use std::sync::Arc;

/// The parts of a data set, and what prepares them.
pub(crate) struct Parts {
    pub(crate) name: &'static str,
    pub(crate) train: Arc<dyn Dataset>,
    pub(crate) validation: Option<Arc<dyn Dataset>>,
    pub(crate) test: Sealed,
    pub(crate) class_names: Vec<String>,
    /// Fitted on the training samples alone; `None` where pixels of 0 to 1 are taken as they are.
    pub(crate) scaler: Option<FittedStandardScaler>,
}

pub(crate) fn load(options: &Options) -> Result<Parts, DataError> {
    let (name, train, validation, test): (_, Arc<dyn Dataset>, Option<Arc<dyn Dataset>>, _) = match options.dataset {
        DatasetKind::Digits => {
            let split =
                train_validation_test_split(digits()?, [0.6, 0.2, 0.2], &SplitOptions::stratified(options.seed))?;
            ("digits", Arc::new(split.train), Some(Arc::new(split.validation)), Sealed::Part(split.test))
        }
        DatasetKind::FashionMnist => {
            let files = fashion_mnist(&options.data_dir)?;
            let (train, test) = (flat(files.train)?, Sealed::Files(files.test));
            match options.validation_samples {
                0 => ("fashion-mnist", Arc::new(train), None, test),
                count => {
                    let split = train_validation_split(train, count, &SplitOptions::stratified(options.seed))?;
                    ("fashion-mnist", Arc::new(split.train), Some(Arc::new(split.validation)), test)
                }
            }
        }
    };
    let scaler = match options.dataset {
        DatasetKind::Digits => Some(StandardScaler::new().fit(&train)?),
        DatasetKind::FashionMnist => None,
    };
    let class_names = match (train.class_names(), train.class_count()) {
        (Some(names), _) => names.to_vec(),
        (None, count) => (0..count.unwrap_or_default()).map(|class| class.to_string()).collect(),
    };
    Ok(Parts { name, train, validation, test, class_names, scaler })
}

/// A part as the model takes it.
pub(crate) fn prepared(
    scaler: Option<&FittedStandardScaler>,
    part: &Arc<dyn Dataset>,
) -> Result<Arc<dyn Dataset>, DataError> {
    Ok(match scaler {
        Some(scaler) => Arc::new(scaler.apply(part)?),
        None => part.clone(),
    })
}
