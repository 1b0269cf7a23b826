//! The images in three parts, as rows of pixels from 0 to 1.

use crate::Failure;
use crate::kinds::DatasetKind;
use crate::options::Options;
use crate::shared::images::{Sealed, flat};
use osnova::data::{
    ArrayDataset, DataError, DataLoader, Dataset, SplitOptions, Subset, TensorBatch, digits, fashion_mnist,
    train_validation_split, train_validation_test_split,
};
use osnova::tensor::Device;
use std::sync::Arc;

/// The open parts of a data set.
pub(crate) struct Parts {
    pub(crate) train: Arc<dyn Dataset>,
    pub(crate) validation: Option<Arc<dyn Dataset>>,
    pub(crate) class_names: Vec<String>,
    /// Height and width of an image.
    pub(crate) image: [usize; 2],
}

/// The digits, whose pixels are 0 to 16 in the file, from 0 to 1.
fn scaled_digits() -> Result<ArrayDataset, DataError> {
    let raw = digits()?;
    let pixels: Vec<f32> = raw.features().iter().map(|pixel| pixel / 16.0).collect();
    let scaled = ArrayDataset::classification(pixels, [raw.feature_count()], raw.classes()?, 10)?;
    Ok(raw.sources().iter().cloned().fold(scaled, ArrayDataset::with_source))
}

pub(crate) fn load(options: &Options) -> Result<(Parts, Sealed), DataError> {
    let split_options = SplitOptions::stratified(options.seed);
    let (train, validation, test): (Arc<dyn Dataset>, Option<Arc<dyn Dataset>>, _) = match options.dataset {
        DatasetKind::Digits => {
            let split = train_validation_test_split(scaled_digits()?, [0.6, 0.2, 0.2], &split_options)?;
            (Arc::new(split.train), Some(Arc::new(split.validation)), Sealed::Part(split.test))
        }
        DatasetKind::FashionMnist => {
            let files = fashion_mnist(&options.data_dir)?;
            let (train, test) = (flat(files.train)?, Sealed::Files(files.test));
            match options.validation_samples {
                0 => (Arc::new(train), None, test),
                count => {
                    let split = train_validation_split(train, count, &split_options)?;
                    (Arc::new(split.train), Some(Arc::new(split.validation)), test)
                }
            }
        }
    };
    let class_names = match (train.class_names(), train.class_count()) {
        (Some(names), _) => names.to_vec(),
        (None, count) => (0..count.unwrap_or_default()).map(|class| class.to_string()).collect(),
    };
    let image = match options.dataset {
        DatasetKind::Digits => [8, 8],
        DatasetKind::FashionMnist => [28, 28],
    };
    Ok((Parts { train, validation, class_names, image }, test))
}

/// These samples of a data set as one batch.
pub(crate) fn pick(data: &Arc<dyn Dataset>, indices: Vec<usize>, device: Device) -> Result<TensorBatch, Failure> {
    let count = indices.len().max(1);
    let mut loader = DataLoader::new(Subset::shared(data.clone(), indices)?, count)?;
    let batch = loader.tensors(device).next().ok_or("there are no samples")?;
    Ok(batch?)
}

/// The first samples of a data set as one batch: at most `count`.
pub(crate) fn first(data: &Arc<dyn Dataset>, count: usize, device: Device) -> Result<TensorBatch, Failure> {
    pick(data, (0..data.len().min(count)).collect(), device)
}
