//! Predictions for a whole data set.

use crate::trainer::inference_device;
use crate::{Result, TrainError};
use osnova_data::{DataLoader, TensorBatch};
use osnova_nn::{Forward, Module};
use osnova_tensor::Tensor;

/// The model's outputs for all samples of a loader, in its order, as one tensor `[samples, …]`. They are computed by a copy
/// of the model in evaluation mode that does not record.
///
/// # Errors
/// No data, or data that does not fit the model.
pub fn predict<M: Module + Forward + Clone>(model: &M, loader: &mut DataLoader) -> Result<Tensor> {
    predict_with(model, loader, |_| Ok(()))
}

/// [`predict`], with a look at every batch.
fn predict_with<M: Module + Forward + Clone>(
    model: &M,
    loader: &mut DataLoader,
    mut look: impl FnMut(&TensorBatch) -> Result<()>,
) -> Result<Tensor> {
    let model = model.inference()?;
    let device = inference_device("predict", &model)?;
    loader.start_epoch(0);
    let mut outputs = Vec::with_capacity(loader.batch_count());
    for batch in loader.tensors(device) {
        let batch = batch?;
        look(&batch)?;
        outputs.push(model.forward(&batch.features)?);
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
    let data = loader.dataset().clone();
    let mut targets = Vec::new();
    let logits = predict_with(model, loader, |batch| {
        // The features have been read with the batch; reading its classes again costs nothing beside them.
        for &index in &batch.indices {
            targets.push(data.read_class(index)?);
        }
        Ok(())
    })?;
    let predictions = logits.argmax(1, false)?.to_vec::<i64>()?;
    Ok((targets, predictions))
}
