//! The codes of a whole data set.

use super::{each_batch, evaluated};
use crate::GenerativeModel;
use crate::task::classes;
use osnova_data::DataLoader;
use osnova_tensor::Tensor;
use osnova_train::Result;

/// The codes of samples, with their classes where the data have some.
#[derive(Clone, Debug)]
pub struct Codes {
    /// `[samples, latent]`; where codes are distributions, their means.
    pub codes: Tensor,
    /// The class of each sample; `None` for data without classes.
    pub classes: Option<Vec<i64>>,
}

/// The codes of all samples of a loader, in its order.
///
/// # Errors
/// No data, or data that does not fit the model.
pub fn encode_all<M: GenerativeModel + Clone>(model: &M, loader: &mut DataLoader) -> Result<Codes> {
    const OPERATION: &str = "encode_all";
    let (model, device) = evaluated(OPERATION, model)?;
    let (mut codes, mut labels) = (Vec::with_capacity(loader.batch_count()), Some(Vec::new()));
    each_batch(OPERATION, loader, device, |batch| {
        codes.push(model.encode(&batch.features, classes(&model, batch)?)?);
        match (&mut labels, &batch.targets) {
            (Some(labels), Some(targets)) if targets.dtype().is_index() => {
                labels.extend(targets.to_host()?.to_i64().unwrap_or_default());
            }
            _ => labels = None,
        }
        Ok(())
    })?;
    Ok(Codes { codes: Tensor::concat(&codes, 0)?, classes: labels })
}

/// Fits the model's [`code_prior`](GenerativeModel::code_prior) to the codes of a loader's samples, the training data; `false`
/// if the model has none.
///
/// # Errors
/// No data, fewer than two samples, data that does not fit the model, codes that are not finite.
pub fn fit_code_prior<M: GenerativeModel + Clone>(model: &mut M, loader: &mut DataLoader) -> Result<bool> {
    if model.code_prior().is_none() {
        return Ok(false);
    }
    let codes = encode_all(model, loader)?.codes;
    if let Some(prior) = model.code_prior() {
        prior.fit(&codes)?;
    }
    Ok(true)
}
