//! What a generative model is.

use crate::DiagonalGaussian;
use crate::gaussian::wide;
use osnova_nn::Module;
use osnova_tensor::{Error, Generator, Result, Tensor};
use std::fmt::Debug;

/// A part of a loss: a number that is shown by its name, and what is minimised for it.
#[derive(Clone, Debug)]
pub struct LossPart {
    /// The name, as the history shows it: `reconstruction`, `kl`, `sparsity`.
    pub name: &'static str,
    /// What the part is: a single element, the mean over the batch, without any weight.
    pub value: Tensor,
    /// What it counts in the loss; a [schedule](crate::Generation::schedule) multiplies this.
    pub weight: f64,
    /// What is minimised in its place, where that is not the value itself (free bits).
    pub objective: Option<Tensor>,
}

/// The loss of a batch, part by part.
#[derive(Clone, Debug, Default)]
pub struct LossParts(Vec<LossPart>);

impl LossParts {
    /// No part yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part with this weight.
    pub fn with(self, name: &'static str, value: Tensor, weight: f64) -> Self {
        self.with_objective(name, value, weight, None)
    }

    /// Adds a part in whose place something else is minimised.
    pub fn with_objective(
        mut self,
        name: &'static str,
        value: Tensor,
        weight: f64,
        objective: impl Into<Option<Tensor>>,
    ) -> Self {
        self.0.push(LossPart { name, value, weight, objective: objective.into() });
        self
    }

    /// The value of a part, by name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.iter().find(|part| part.name == name).map(|part| &part.value)
    }

    /// The parts in order.
    pub fn iter(&self) -> impl Iterator<Item = &LossPart> {
        self.0.iter()
    }

    /// What is minimised: Σ factor(name) · weight · objective.
    ///
    /// # Errors
    /// No part at all, out of memory.
    pub fn total(&self, factor: impl Fn(&str) -> f64) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for part in &self.0 {
            let weight = part.weight * factor(part.name);
            // A model's own parts may be of a half type, in which the sum would round away what counts little.
            let objective = wide(part.objective.as_ref().unwrap_or(&part.value))?;
            let weighted = if weight == 1.0 { objective } else { (objective * weight)? };
            total = Some(match total {
                Some(total) => (total + weighted)?,
                None => weighted,
            });
        }
        total.ok_or_else(|| Error::argument("loss", "the loss has no parts", "Add at least one with `LossParts::with`"))
    }
}

/// A model that learns what data look like: it turns samples into codes and codes into samples.
///
/// All sizes but the batch are the model's own: samples are `[batch, …]` of any shape that its encoder takes, codes
/// `[batch, latent_features]`. A conditional model is told the class of each sample (`i64`, `[batch]`); the others pass over
/// classes, so that one program drives them all.
///
/// ```
/// use osnova_generative::{GenerativeModel, LossParts};
/// use osnova_nn::{Forward, Linear, Module};
/// use osnova_tensor::{DType, Generator, Result, Tensor};
///
/// /// Principal components: linear there, linear back.
/// #[derive(Module, Clone, Debug)]
/// struct Linearly {
///     encoder: Linear,
///     decoder: Linear,
/// }
///
/// impl GenerativeModel for Linearly {
///     fn latent_features(&self) -> usize {
///         self.encoder.out_features()
///     }
///     fn loss(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<LossParts> {
///         let output = self.decode(&self.encode(input, classes)?, classes)?;
///         let error = (output - input)?.square()?.sum(1, false)?.mean(.., false)?;
///         Ok(LossParts::new().with("reconstruction", error, 1.0))
///     }
///     fn encode(&self, input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
///         self.encoder.forward(input)
///     }
///     fn decode(&self, code: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
///         self.decoder.forward(code)
///     }
///     fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
///         let device = self.decoder.weight.device().without_recording();
///         Tensor::normal([count, self.latent_features()], 0.0, 1.0, DType::F32, generator, device)
///     }
///     fn clone_box(&self) -> Box<dyn GenerativeModel> {
///         Box::new(self.clone())
///     }
/// }
/// ```
pub trait GenerativeModel: Module + Debug + Send + Sync {
    /// The width of a code.
    fn latent_features(&self) -> usize;

    /// How many classes the model can be told; `None` if it takes none.
    fn class_count(&self) -> Option<usize> {
        None
    }

    /// The loss of a batch by its parts. What is random in it comes from the model's own generator while training, and is
    /// the same at every call in evaluation.
    ///
    /// # Errors
    /// A batch that does not fit the model, classes missing from a conditional one.
    fn loss(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<LossParts>;

    /// The codes of samples, `[batch, latent_features]`: where they are distributions, their means.
    ///
    /// # Errors
    /// As for [`loss`](Self::loss).
    fn encode(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Tensor>;

    /// The samples of codes: where the decoder gives a distribution, its mean.
    ///
    /// # Errors
    /// Codes of another width, classes missing from a conditional model.
    fn decode(&self, code: &Tensor, classes: Option<&Tensor>) -> Result<Tensor>;

    /// Codes drawn from the distribution that new samples come from, `[count, latent_features]`.
    ///
    /// # Errors
    /// Out of memory.
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor>;

    /// New samples: codes, decoded. The same generator gives the same samples.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    fn sample(&self, count: usize, classes: Option<&Tensor>, generator: &Generator) -> Result<Tensor> {
        self.decode(&self.sample_codes(count, generator)?, classes)
    }

    /// The samples again, by way of their codes.
    ///
    /// # Errors
    /// As for [`loss`](Self::loss).
    fn reconstruct(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        self.decode(&self.encode(input, classes)?, classes)
    }

    /// The distribution of each sample's code; `None` where a code is a point.
    ///
    /// # Errors
    /// As for [`loss`](Self::loss).
    fn posterior(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Option<DiagonalGaussian>> {
        let _ = (input, classes);
        Ok(None)
    }

    /// The samples as the model is given them in training, spoiled by noise; `None` where it gets them whole.
    ///
    /// # Errors
    /// Out of memory.
    fn corrupt(&self, input: &Tensor, generator: &Generator) -> Result<Option<Tensor>> {
        let _ = (input, generator);
        Ok(None)
    }

    /// Where new samples come from, for a model that must be shown the codes of its training data first; `None` where the
    /// model itself says.
    fn code_prior(&mut self) -> Option<&mut crate::CodePrior> {
        None
    }

    /// The model as a variational autoencoder, for what only such a one has: bounds of the likelihood
    /// ([`evaluation`](crate::evaluation)). `None` for all others.
    fn as_variational(&self) -> Option<&crate::VariationalAutoencoder> {
        None
    }

    /// A copy in a box.
    fn clone_box(&self) -> Box<dyn GenerativeModel>;
}

impl Clone for Box<dyn GenerativeModel> {
    fn clone(&self) -> Self {
        // Of the model, not of the box: that one would box a box.
        (**self).clone_box()
    }
}

impl<T: GenerativeModel + ?Sized> GenerativeModel for Box<T> {
    fn latent_features(&self) -> usize {
        (**self).latent_features()
    }
    fn class_count(&self) -> Option<usize> {
        (**self).class_count()
    }
    fn loss(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<LossParts> {
        (**self).loss(input, classes)
    }
    fn encode(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        (**self).encode(input, classes)
    }
    fn decode(&self, code: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        (**self).decode(code, classes)
    }
    fn sample_codes(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        (**self).sample_codes(count, generator)
    }
    fn sample(&self, count: usize, classes: Option<&Tensor>, generator: &Generator) -> Result<Tensor> {
        (**self).sample(count, classes, generator)
    }
    fn reconstruct(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
        (**self).reconstruct(input, classes)
    }
    fn posterior(&self, input: &Tensor, classes: Option<&Tensor>) -> Result<Option<DiagonalGaussian>> {
        (**self).posterior(input, classes)
    }
    fn corrupt(&self, input: &Tensor, generator: &Generator) -> Result<Option<Tensor>> {
        (**self).corrupt(input, generator)
    }
    fn code_prior(&mut self) -> Option<&mut crate::CodePrior> {
        (**self).code_prior()
    }
    fn as_variational(&self) -> Option<&crate::VariationalAutoencoder> {
        (**self).as_variational()
    }
    fn clone_box(&self) -> Box<dyn GenerativeModel> {
        (**self).clone_box()
    }
}
