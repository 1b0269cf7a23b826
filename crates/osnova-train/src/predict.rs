//! Predictions for a whole data set.

use crate::trainer::inference_device;
use crate::{Result, TrainError};
use osnova_data::DataLoader;
use osnova_nn::{Forward, Module};
use osnova_tensor::Tensor;

/// The model's outputs for all samples of a loader, in its order, as one tensor `[samples, …]`. They are computed by a copy
/// of the model in evaluation mode that does not record.
///
/// # Errors
/// No data, or data that does not fit the model.
pub fn predict<M: Module + Forward + Clone>(model: &M, loader: &mut DataLoader) -> Result<Tensor> {
    let model = model.inference()?;
    let device = inference_device("predict", &model)?;
    loader.start_epoch(0);
    let mut outputs = Vec::with_capacity(loader.batch_count());
    for batch in loader.tensors(device) {
        outputs.push(model.forward(&batch?.features)?);
    }
    if outputs.is_empty() {
        return Err(TrainError::argument("predict", "there are no samples", "Give at least one"));
    }
    Ok(Tensor::concat(&outputs, 0)?)
}

/// The class with the highest logit for each sample of a loader, in its order, and the true classes.
///
/// # Errors
/// Those of [`predict`]; data without classes as targets.
pub fn predict_classes<M: Module + Forward + Clone>(
    model: &M,
    loader: &mut DataLoader,
) -> Result<(Vec<i64>, Vec<i64>)> {
    let logits = predict(model, loader)?;
    let predictions = logits.argmax(1, false)?.to_vec::<i64>()?;
    loader.start_epoch(0);
    let mut targets = Vec::with_capacity(predictions.len());
    for batch in loader.batches() {
        for index in batch?.indices {
            targets.push(index);
        }
    }
    let data = loader.dataset();
    let targets = targets.into_iter().map(|index| data.read_class(index)).collect::<osnova_data::Result<Vec<i64>>>()?;
    Ok((targets, predictions))
}
