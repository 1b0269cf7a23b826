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

use osnova_nn::{Layer, Mode};
use osnova_tensor::{DType, Device, Error, Generator, Result, Tensor};

/// What `draw` makes of the model's noise: it goes on from batch to batch in training, and starts anew at every call in
/// evaluation.
fn with_noise(mode: Mode, generator: &Generator, draw: impl Fn(&Generator) -> Result<Tensor>) -> Result<Tensor> {
    const EVALUATION: u64 = 0x6576_616c;
    if mode.is_training() { draw(generator) } else { draw(&generator.fork(EVALUATION)) }
}

/// The device and dtype of an encoder's first parameter.
fn place(encoder: &dyn Layer) -> Result<(Device, DType)> {
    let parameters = encoder.parameters();
    let first = parameters.first().ok_or_else(|| {
        Error::argument("autoencoder", "the encoder has no parameters", "Give one that can be trained")
    })?;
    Ok((first.device(), first.dtype()))
}
