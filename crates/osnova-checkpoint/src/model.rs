//! Model files: the parameters and buffers of a module, as PyTorch's users save them.

use crate::tensors::mismatch;
use crate::{CheckpointError, Result, TensorFile, save_tensors};
use osnova_nn::{Module, StateDict};
use osnova_tensor::Device;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes a module's parameters and buffers to a safetensors file, atomically, with its SHA-256 beside it.
///
/// Names and layouts are PyTorch's, and the file says so (`format: pt`): `safetensors.torch.load_file` gives a state dict
/// that the same model in PyTorch loads.
///
/// # Errors
/// Those of [`save_tensors`].
pub fn save_model(model: &dyn Module, path: impl AsRef<Path>) -> Result<()> {
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    save_tensors(path, model.state_dict(), &metadata)
}

/// Loads a safetensors file, ours or PyTorch's, into a module. The hash is verified if there is one beside the file.
///
/// # Errors
/// Those of [`TensorFile::read`]; [`CheckpointError::Mismatch`] with all differences if the file is another model's. The
/// module is unchanged then.
pub fn load_model(model: &mut dyn Module, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let file = TensorFile::read(path)?;
    let state = model.state_dict();
    let saved = file.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape, tensor.values.dtype()));
    let mismatch = mismatch(&state, saved);
    if !mismatch.is_empty() {
        return Err(CheckpointError::Mismatch { file: path.to_owned(), mismatch: Box::new(mismatch) });
    }
    let mut values = StateDict::new();
    for (name, tensor) in file.tensors {
        let device = device_of(&state, &name);
        let tensor = match device {
            Some(device) => tensor.into_tensor(device).map_err(CheckpointError::tensor(path, &name))?,
            None => continue,
        };
        values.insert(name, tensor);
    }
    model.load_state_dict(&values).map_err(CheckpointError::tensor(path, "the model"))
}

/// Where a module keeps this parameter or buffer. Values in a state dict are on devices that do not record.
pub(crate) fn device_of(state: &StateDict, name: &str) -> Option<Device> {
    Some(state.get(name)?.device())
}
