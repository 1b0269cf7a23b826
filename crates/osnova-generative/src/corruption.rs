//! The noise that a denoising autoencoder learns to take away.

use osnova_tensor::{DType, Error, Generator, Result, Tensor};

/// How samples are spoiled (Vincent et al. 2008 and 2010). Each element is treated by itself:
///
/// | corruption | x becomes |
/// |---|---|
/// | `Gaussian` | x + σ·ε with ε from N(0, 1) |
/// | `Masking` | 0 with probability p, else x |
/// | `SaltAndPepper` | 0 with probability p/2, 1 with probability p/2, else x |
///
/// Gaussian noise is not clamped to the range of the data. Clamped noise has no mean of 0 near black and white, and the
/// restoration that minimises the squared error, E\[x | corrupted x\], would have to undo that as well. Where values outside
/// the range cannot be shown, clamp a copy: `corruption.apply(&images, &generator)?.clamp(0.0, 1.0)`.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_generative::Corruption;
/// use osnova_tensor::{DType, Device, Generator, Tensor};
///
/// let grey = Tensor::full([1000], 0.5, DType::F32, Device::cpu())?;
/// let spoiled = Corruption::SaltAndPepper { probability: 0.2 }.apply(&grey, &Generator::new(0))?.to_vec::<f32>()?;
/// let share = |wanted: f32| spoiled.iter().filter(|&&value| value == wanted).count() as f64 / 1000.0;
/// assert!((share(0.0) - 0.1).abs() < 0.03 && (share(1.0) - 0.1).abs() < 0.03);
/// assert!((share(0.5) - 0.8).abs() < 0.04);
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corruption {
    /// Normal noise on every element.
    Gaussian {
        /// σ, in the unit of the data.
        standard_deviation: f64,
    },
    /// Elements are lost.
    Masking {
        /// The share that is lost.
        probability: f64,
    },
    /// Elements go to one end of the range or the other, for data from 0 to 1.
    SaltAndPepper {
        /// The share that does, half of it each way.
        probability: f64,
    },
}

impl Corruption {
    /// The corruption itself, if its numbers make sense.
    ///
    /// # Errors
    /// A deviation that is negative or not finite, a probability outside 0 to 1.
    pub fn checked(self) -> Result<Self> {
        let (name, value, fits, advice) = match self {
            Self::Gaussian { standard_deviation: value } => {
                ("standard deviation", value, value >= 0.0 && value.is_finite(), "Give a number of at least 0")
            }
            Self::Masking { probability: value } | Self::SaltAndPepper { probability: value } => {
                ("probability", value, (0.0..=1.0).contains(&value), "Give a number from 0 to 1")
            }
        };
        match fits {
            true => Ok(self),
            false => Err(Error::argument("corruption", format!("the {name} is {value}"), advice)),
        }
    }

    /// The samples, spoiled: the same generator at the same place spoils the same elements on every device. Gradients reach
    /// the input through the elements that are left.
    ///
    /// # Errors
    /// An input that is not of floats, numbers that make no sense (as for [`checked`](Self::checked)).
    pub fn apply(self, input: &Tensor, generator: &Generator) -> Result<Tensor> {
        self.checked()?;
        if !input.dtype().is_float() {
            return Err(Error::dtype(
                "corruption",
                [input.dtype()],
                "only floats can be spoiled",
                "Convert the samples with `to_dtype` and scale them, say to 0..1",
            ));
        }
        let (shape, device) = (*input.shape(), input.device().without_recording());
        match self {
            Self::Gaussian { standard_deviation } => {
                input + Tensor::normal(shape, 0.0, standard_deviation, input.dtype(), generator, device)?
            }
            Self::Masking { probability } => {
                let lost = Tensor::bernoulli(shape, probability, DType::Bool, generator, device)?;
                lost.where_(0.0, input)
            }
            Self::SaltAndPepper { probability } => {
                // One number an element decides, in at least 24 bits: half types would round the shares.
                let dtype = if input.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
                let chance = Tensor::uniform(shape, 0.0, 1.0, dtype, generator, device)?;
                let salted = chance.greater_equal(1.0 - probability / 2.0)?.where_(1.0, input)?;
                chance.less(probability / 2.0)?.where_(0.0, salted)
            }
        }
    }
}
