//! How a trainer trains a generative model.

use crate::{BetaSchedule, GenerativeModel, LossParts};
use osnova_data::TensorBatch;
use osnova_tensor::{DType, Tensor};
use osnova_train::{Disease, Finding, Place, Progress, Result, Severity, StepOutput, TrainError, TrainingStep};

/// The variance of a code's mean over the data above which it says something: Burda, Grosse and Salakhutdinov 2016.
pub const ACTIVE_VARIANCE: f64 = 0.01;
/// The share of active units under which a posterior has collapsed, …
const COLLAPSED_SHARE: f64 = 0.1;
/// … if the code also tells less than so many nats of a sample. A wide code can spread what it says so thinly that hardly a
/// unit counts as active. Measured on the digits: 0.04 at most for collapsed codes of 8 units, above 1 for healthy ones of 512.
const COLLAPSED_NATS: f64 = 0.2;
/// In so many looks one after another.
const COLLAPSED_LOOKS: usize = 3;
/// Steps before which nothing is said: many codes start small and grow.
const COLLAPSED_AFTER: u64 = 200;

/// Learning what data look like: the parts of the model's loss are added up and shown each by its name.
///
/// ```
/// use osnova_autodiff::AutodiffDevice;
/// use osnova_cpu::CpuDevice;
/// use osnova_data::{DataLoader, MinMaxScaler, Transform, digits};
/// use osnova_generative::{BetaSchedule, Generation, Likelihood, VariationalAutoencoder};
/// use osnova_nn::{Head, Mlp};
/// use osnova_optim::Adam;
/// use osnova_tensor::{Device, Generator};
/// use osnova_train::Trainer;
///
/// let data = digits()?;
/// let scaled = MinMaxScaler::new().fit(&data)?.apply(&data)?;
/// let mut train = DataLoader::new(scaled, 64)?.shuffle(0);
///
/// let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
/// let encoder = Mlp::new(64, &[128], Head::Regression(2 * 8), &generator, device)?;
/// let decoder = Mlp::new(8, &[128], Head::Regression(64), &generator, device)?;
/// let mut model = VariationalAutoencoder::options(encoder, decoder, 8)
///     .likelihood(Likelihood::Bernoulli)
///     .build(&generator)?;
/// let mut task = Generation::new().schedule("kl", BetaSchedule::Linear { warm_up: 2.0 })?;
/// let history = Trainer::new(3).fit(&mut task, &mut model, &mut Adam::new(1e-3), &mut train, None)?;
/// let last = &history.last().unwrap().metrics;
/// assert!(last["train_kl"] > 0.0 && last["train_reconstruction"] < 64.0 * 2f64.ln());
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
///
/// Validation counts every part as at the end of its schedule, so that early epochs with a small β do not pass for good ones.
/// For a model whose codes are distributions it adds `active_units`: how many features have means whose variance over a batch is
/// above 0.01, the mean of the batches.
///
/// A [`Doctor`](osnova_train::Doctor) is told when the codes of a model with posteriors have
/// [collapsed](Disease::PosteriorCollapse).
#[derive(Clone, Debug, Default)]
pub struct Generation {
    schedules: Vec<(&'static str, BetaSchedule)>,
    progress: Progress,
    /// Looks one after another at which the posterior was collapsed.
    collapsed: usize,
}

impl Generation {
    /// Every part counts with the model's own weight.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a part's weight follow a schedule: `kl`, `sparsity`.
    ///
    /// # Errors
    /// A schedule whose numbers make no sense.
    pub fn schedule(mut self, part: &'static str, schedule: BetaSchedule) -> Result<Self> {
        self.schedules.push((part, schedule.checked()?));
        Ok(self)
    }

    /// The epochs done, with fractions.
    fn epoch(&self) -> f64 {
        let Progress { epoch, batch, batches, .. } = self.progress;
        epoch.saturating_sub(1) as f64 + batch as f64 / batches.max(1) as f64
    }

    fn output(parts: &LossParts, factor: impl Fn(&str) -> f64, batch: &TensorBatch) -> Result<StepOutput> {
        let samples = batch.indices.len();
        let elements = batch.features.count() / samples.max(1);
        let mut output = StepOutput::new(parts.total(factor)?, samples).summed_over(elements);
        for part in parts.iter() {
            output = output.metric(part.name, &part.value);
        }
        Ok(output)
    }
}

/// The classes of a batch for a model that wants them.
pub(crate) fn classes<'a, M: GenerativeModel + ?Sized>(
    model: &M,
    batch: &'a TensorBatch,
) -> Result<Option<&'a Tensor>> {
    Ok(match model.class_count() {
        Some(_) => Some(batch.targets()?),
        None => None,
    })
}

impl<M: GenerativeModel + ?Sized> TrainingStep<M> for Generation {
    fn on_step_start(&mut self, progress: &Progress) {
        self.progress = *progress;
    }

    fn training_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        let parts = model.loss(&batch.features, classes(model, batch)?)?;
        // A misspelt name would else leave its part in full from the start.
        if let Some((name, _)) = self.schedules.iter().find(|(name, _)| parts.get(name).is_none()) {
            let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
            return Err(TrainError::argument(
                "generation",
                format!("a schedule is for the part `{name}`, and the loss has {names:?}"),
                "Name one of the loss's parts in `Generation::schedule`",
            ));
        }
        let epoch = self.epoch();
        let factor = |name: &str| {
            let schedules = self.schedules.iter().filter(|(part, _)| *part == name);
            schedules.map(|(_, schedule)| schedule.at(epoch)).product()
        };
        Self::output(&parts, factor, batch)
    }

    fn validation_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        let classes = classes(model, batch)?;
        let output = Self::output(&model.loss(&batch.features, classes)?, |_| 1.0, batch)?;
        if batch.indices.len() < 2 {
            return Ok(output);
        }
        Ok(match model.posterior(&batch.features, classes)? {
            Some(posterior) => {
                let active = posterior.mean.var(0, 0, false)?.greater(ACTIVE_VARIANCE)?;
                output.metric("active_units", &active.to_dtype(DType::F32)?.sum(.., false)?)
            }
            None => output,
        })
    }

    fn examine(&mut self, model: &M, batch: &TensorBatch) -> Result<Vec<Finding>> {
        if batch.indices.len() < 2 || self.progress.step < COLLAPSED_AFTER || self.progress.epoch < 2 {
            return Ok(Vec::new());
        }
        let Some(posterior) = model.posterior(&batch.features.detach(), classes(model, batch)?)? else {
            return Ok(Vec::new());
        };
        let variances = posterior.mean.detach().var(0, 0, false)?.to_host()?.to_f64();
        let noise = posterior.log_variance.detach().exp()?.mean(0, false)?.to_host()?.to_f64();
        let active = variances.iter().filter(|&&variance| variance > ACTIVE_VARIANCE).count();
        let units = variances.len();
        // What a normal signal in normal noise tells, and unlike the KL divergence nothing for codes that are all the same.
        let nats: f64 = variances.iter().zip(&noise).map(|(variance, noise)| 0.5 * (variance / noise).ln_1p()).sum();
        if active as f64 >= COLLAPSED_SHARE * units as f64 || nats >= COLLAPSED_NATS {
            self.collapsed = 0;
            return Ok(Vec::new());
        }
        self.collapsed += 1;
        if self.collapsed < COLLAPSED_LOOKS {
            return Ok(Vec::new());
        }
        let text = format!(
            "{active} of {units} code units are active (the variance of their means over the batch is above \
             {ACTIVE_VARIANCE}), and a code tells {nats:.2} nats of its sample: the encoder says next to nothing, and the \
             decoder has learned to do without it"
        );
        let advice = "warm-up of the KL part (`Generation::schedule(\"kl\", BetaSchedule::Linear { … })`), free bits, a \
                      smaller β, a likelihood that weighs the reconstruction more, or a weaker decoder";
        let severity = if active == 0 { Severity::Critical } else { Severity::Warning };
        let finding = Finding::new(Disease::PosteriorCollapse, Place::Run, severity, text, advice);
        let finding = finding.evidence("active units", active as f64).evidence("units", units as f64);
        Ok(vec![finding.evidence("nats", nats)])
    }
}
