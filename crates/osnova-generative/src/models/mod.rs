//! The models, a file each.

mod autoencoder;
mod code_prior;
mod denoising;
mod sparse;
mod variational;

pub use autoencoder::{Autoencoder, AutoencoderOptions};
pub use code_prior::CodePrior;
pub use denoising::{DenoisingAutoencoder, DenoisingAutoencoderOptions};
pub use sparse::{SparseAutoencoder, SparseAutoencoderOptions, Sparsity};
pub use variational::{VariationalAutoencoder, VariationalAutoencoderOptions};

use osnova_nn::Layer;
use osnova_tensor::{DType, Device, Error, Result};

/// The label of the noise in evaluation, which starts anew at every call.
const EVALUATION_NOISE: u64 = 0x6576_616c;

/// The device and dtype of an encoder's first parameter.
fn place(encoder: &dyn Layer) -> Result<(Device, DType)> {
    let parameters = encoder.parameters();
    let first = parameters.first().ok_or_else(|| {
        Error::argument("autoencoder", "the encoder has no parameters", "Give one that can be trained")
    })?;
    Ok((first.device(), first.dtype()))
}
