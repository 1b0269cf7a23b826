//! Pictures of what a model has learned.
//!
//! | what it shows | by |
//! |---|---|
//! | new samples, also class by class | [`samples`], [`class_samples`] |
//! | what comes back of samples | [`reconstructions`] |
//! | what noise was taken away | [`restorations`] |
//! | the way from one sample to another | [`interpolation`], of codes [`interpolate`] |
//! | what a feature of the code means | [`traversal`] |
//! | the whole of a code of two features | [`manifold`] |
//! | where codes lie | [`latent_scatter`] |
//! | how training went | [`training_curves`] |
//! | all of it in one file | [`Page`] |
//!
//! Images come as an [`ImageGrid`], which is saved as PNG (pixels alone) or SVG (with labels); charts are
//! [`plot`](osnova_train::plot)'s. The models are taken as they are: each function makes itself a copy in evaluation mode. They
//! may be on any device, and images and classes on any other.
//!
//! ```
//! use osnova_cpu::CpuDevice;
//! use osnova_generative::pictures::{self, ImageShape, Interpolation, Page};
//! use osnova_generative::{Likelihood, VariationalAutoencoder};
//! use osnova_nn::{Head, Mlp};
//! use osnova_tensor::{DType, Device, Generator, Tensor};
//!
//! let (generator, device) = (Generator::new(0), Device::cpu());
//! let encoder = Mlp::new(64, &[32], Head::Regression(2 * 2), &generator, device)?;
//! let decoder = Mlp::new(2, &[32], Head::Regression(64), &generator, device)?;
//! let model = VariationalAutoencoder::options(encoder, decoder, 2)
//!     .likelihood(Likelihood::Bernoulli)
//!     .build(&generator)?;
//!
//! let shape = ImageShape::square(64)?;
//! let images = Tensor::uniform([5, 64], 0.0, 1.0, DType::F32, &generator, device)?;
//! let others = images.flip(0)?;
//! let steps = pictures::interpolation(&model, &images, &others, 7, Interpolation::Spherical, None, shape)?;
//! let page = Page::new("A model that was never trained")
//!     .svg("Samples", &pictures::samples(&model, 64, None, &generator, shape)?.to_svg()?)
//!     .svg("Steps from one image to another", &steps.to_svg()?)
//!     .svg("The latent plane", &pictures::manifold(&model, (0, 1), 8, None, shape)?.to_svg()?);
//! assert!(page.to_html().contains("<img"));
//! # Ok::<(), Box<osnova_tensor::Error>>(())
//! ```

mod charts;
mod interpolation;
mod latent;
mod quantile;
mod reconstructions;
mod samples;
#[cfg(test)]
mod tests;

pub use charts::{latent_scatter, training_curves};
pub use interpolation::{Interpolation, interpolate, interpolation};
pub use latent::{manifold, traversal};
pub use osnova_train::plot::{ImageGrid, ImageShape, Page};
pub use quantile::standard_normal_quantile;
pub use reconstructions::{reconstructions, restorations};
pub use samples::{class_samples, samples};

use crate::GenerativeModel;
use osnova_nn::Module;
use osnova_tensor::{DType, Device, Error, Generator, HostData, Result, Tensor};

/// A model in evaluation mode, and where its codes live.
struct Evaluated {
    model: Box<dyn GenerativeModel>,
    device: Device,
    dtype: DType,
}

impl Evaluated {
    fn new(model: &dyn GenerativeModel) -> Result<Self> {
        let model = model.clone_box().inference()?;
        let code = model.sample_codes(1, &Generator::new(0))?;
        Ok(Self { device: code.device(), dtype: code.dtype(), model })
    }

    /// A tensor of any device, where the model is.
    fn here(&self, tensor: &Tensor) -> Result<Tensor> {
        tensor.detach().to_device(self.device)
    }

    /// The same for classes, if there are any.
    fn classes(&self, classes: Option<&Tensor>) -> Result<Option<Tensor>> {
        classes.map(|classes| self.here(classes)).transpose()
    }

    /// Codes where the model is, `[…, latent_features]`.
    fn codes(&self, values: &[f64], shape: &[usize]) -> Result<Tensor> {
        from_f64(values, shape, self.dtype, self.device)
    }
}

fn from_f64(values: &[f64], shape: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
    Tensor::from_host(HostData::from_f64(dtype, values), shape, device)
}

/// Each class so many times in a row: for codes that come group by group.
fn repeat_each(classes: &Tensor, times: usize) -> Result<Tensor> {
    let count = classes.count();
    classes.reshape([count, 1])?.expand([count, times])?.reshape([count * times])
}

/// A number as a label, without the minus of a zero.
fn label(value: f64) -> String {
    let text = format!("{value:.2}");
    if text == "-0.00" { "0.00".to_owned() } else { text }
}

/// At least so many steps.
fn enough(operation: &'static str, steps: usize, least: usize) -> Result<()> {
    if steps >= least {
        return Ok(());
    }
    Err(Error::argument(operation, format!("{steps} steps"), format!("Give at least {least}")))
}
