//! The training doctor: it watches a run, and says in a sentence what is wrong, where, and what to try.
//!
//! | file | what it looks at |
//! |---|---|
//! | `gradients` | gradient norms and update-to-weight ratios: vanishing, exploding, not finite |
//! | `activations` | dead ReLUs, saturated sigmoids and tanhs |
//! | `losses` | the loss step by step: learning rate too high or too low |
//! | `inputs` | the first batches: unscaled features, features that give the label away |
//! | `generalization` | training against validation: overfitting, validation too good to be true |
//! | `watch` | the device that shows what activation functions give |

mod activations;
mod diagnosis;
mod generalization;
mod gradients;
mod inputs;
mod losses;
pub(crate) mod watch;

pub use diagnosis::{Diagnosis, Disease, Evidence, Finding, Place, Severity};
pub use watch::ActivationStatistics;

use crate::callback::{Callback, CallbackState, Context, StepResults};
use crate::plot::LineChart;
use crate::{Result, TrainError};
use activations::Activations;
use gradients::{Look, Looks, Pending};
use inputs::Inputs;
use losses::Losses;
use osnova_nn::Module;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// How many of the first steps are looked at one by one: what is wrong from the start often ends a run soon.
const FIRST: u64 = 3;

/// Watches training and names what is wrong, where, and what to try.
///
/// ```
/// use osnova_autodiff::AutodiffDevice;
/// use osnova_cpu::CpuDevice;
/// use osnova_data::{DataLoader, digits};
/// use osnova_nn::{Linear, Relu, Sequential};
/// use osnova_optim::Sgd;
/// use osnova_tensor::{Device, Generator};
/// use osnova_train::{Classification, Disease, Doctor, Trainer};
///
/// // Pixels from 0 to 16, taken as they are.
/// let mut train = DataLoader::new(digits()?, 32)?.shuffle(0);
/// let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
/// let mut model = Sequential::new()
///     .with(Linear::new(64, 32, &generator, device)?)
///     .with(Relu)
///     .with(Linear::new(32, 10, &generator, device)?);
/// let mut trainer = Trainer::new(1).callback(Doctor::new().quiet());
/// trainer.fit(&mut Classification, &mut model, &mut Sgd::new(0.01), &mut train, None)?;
///
/// let doctor = trainer.find_callback::<Doctor>().unwrap();
/// let found = doctor.find(Disease::UnscaledInputs).unwrap();
/// println!("{found}"); // what, where, since when, and what to try
/// assert!(found.advice.contains("StandardScaler"));
/// # Ok::<(), osnova_train::TrainError>(())
/// ```
///
/// It looks at the first three steps and then at every 20th ([`every`](Self::every)), which costs a few percent of the time
/// between, and never changes what training computes: a run with a doctor has the bits of one without. Every disease is
/// told once for each place, on standard error unless [`quiet`](Self::quiet), and kept in [`diagnoses`](Self::diagnoses),
/// in the [`History`](crate::History) and in the [`Manifest`](crate::Manifest). The chapter *The training doctor* of the
/// book explains each disease with the threshold at which it is named.
pub struct Doctor {
    every: u64,
    output: Option<Box<dyn Write + Send>>,
    record: Record,
    /// The look that waits for the optimizer's step.
    pending: Option<Pending>,
}

/// All that the doctor knows; what a checkpoint keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    looks: Looks,
    activations: Activations,
    inputs: Inputs,
    losses: Losses,
    diagnoses: Vec<Diagnosis>,
}

impl Default for Doctor {
    fn default() -> Self {
        Self::new()
    }
}

impl Doctor {
    /// Looks at every 20th step and tells what it finds on standard error.
    pub fn new() -> Self {
        Self { every: 20, output: Some(Box::new(io::stderr())), record: Record::default(), pending: None }
    }

    /// Looks at every so many steps (at least 1), besides the first three.
    pub fn every(mut self, steps: u64) -> Self {
        self.every = steps.max(1);
        self
    }

    /// Tells nothing while training runs; ask [`diagnoses`](Self::diagnoses).
    pub fn quiet(mut self) -> Self {
        self.output = None;
        self
    }

    /// Tells what it finds on this output. What cannot be written is lost without disturbing training.
    pub fn output(mut self, output: impl Write + Send + 'static) -> Self {
        self.output = Some(Box::new(output));
        self
    }

    /// All that was found, in the order in which it was.
    pub fn diagnoses(&self) -> &[Diagnosis] {
        &self.record.diagnoses
    }

    /// The first diagnosis of a disease.
    pub fn find(&self, disease: Disease) -> Option<&Diagnosis> {
        self.record.diagnoses.iter().find(|diagnosis| diagnosis.disease == disease)
    }

    /// Whether nothing was found.
    pub fn is_healthy(&self) -> bool {
        self.record.diagnoses.is_empty()
    }

    /// How many steps were looked at.
    pub fn looks(&self) -> usize {
        self.record.looks.taken()
    }

    /// The layers with trained parameters, in the order in which the model visits them, each with the norm of its gradient
    /// (of all its parameters together, before clipping) at the steps that were looked at: `(step, norm)`.
    pub fn gradient_norms(&self) -> Vec<(String, Vec<(u64, f64)>)> {
        self.record.looks.by_layer(Look::gradient)
    }

    /// The same layers, each with ‖w after − w before‖ / ‖w before‖ of the optimizer's step: `(step, ratio)`.
    pub fn update_ratios(&self) -> Vec<(String, Vec<(u64, f64)>)> {
        self.record.looks.by_layer(Look::ratio)
    }

    /// [`gradient_norms`](Self::gradient_norms) as a chart, a line for each layer over the steps.
    pub fn gradient_flow_chart(&self) -> LineChart {
        gradients::chart("Gradient flow", "norm of the gradient", self.gradient_norms())
    }

    /// [`update_ratios`](Self::update_ratios) as a chart. Healthy runs stay about 10⁻³, between 10⁻⁴ and 10⁻¹.
    pub fn update_ratio_chart(&self) -> LineChart {
        gradients::chart("Update ratios", "‖update‖ / ‖weights‖", self.update_ratios())
    }

    /// Writes [`gradient_flow_chart`](Self::gradient_flow_chart) as SVG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_gradient_flow(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.gradient_flow_chart().save(path).map_err(|source| TrainError::io(path, source))
    }

    /// Writes [`update_ratio_chart`](Self::update_ratio_chart) as SVG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_update_ratios(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.update_ratio_chart().save(path).map_err(|source| TrainError::io(path, source))
    }

    /// Whether the step of this number, counted from 1, is looked at.
    fn is_due(&self, step: u64) -> bool {
        step <= FIRST || step.is_multiple_of(self.every)
    }

    /// Keeps and tells what is new.
    fn tell(&mut self, epoch: usize, step: u64, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            let known = |old: &Diagnosis| old.disease == finding.disease && old.place == finding.place;
            if self.record.diagnoses.iter().any(known) {
                continue;
            }
            let diagnosis = finding.at(epoch, step);
            if let Some(output) = &mut self.output {
                // A progress bar may stand on the line; a closed pipe must not end training.
                let _ = writeln!(output, "\r{diagnosis}").and_then(|()| output.flush());
            }
            self.record.diagnoses.push(diagnosis);
        }
    }
}

impl Callback for Doctor {
    fn watches_activations(&self, step: u64) -> bool {
        self.is_due(step)
    }

    fn reset(&mut self) {
        self.record = Record::default();
        self.pending = None;
    }

    fn on_fit_start(&mut self, _: &mut Context<'_>) -> Result<()> {
        self.record.looks.begin();
        Ok(())
    }

    fn on_gradients(&mut self, context: &mut Context<'_>, results: &StepResults<'_>) -> Result<()> {
        let step = context.progress.step + 1;
        self.record.losses.add(results.loss);
        if !self.is_due(step) {
            return Ok(());
        }
        let epoch = context.progress.epoch;
        let mut findings = self.record.activations.look(results.activations);
        findings.extend_from_slice(results.findings);
        if step <= FIRST {
            findings.extend(self.record.inputs.look(results.batch, step == FIRST)?);
        }
        self.tell(epoch, step, findings);
        self.pending = Some(self.record.looks.wait(context.model, results.gradients, results.terms)?);
        Ok(())
    }

    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let (epoch, step) = (context.progress.epoch, context.progress.step);
        if let Some(pending) = self.pending.take() {
            let findings = self.record.looks.add(pending, context.model, step)?;
            self.tell(epoch, step, findings);
        }
        let findings = self.record.losses.judge(&self.record.looks);
        self.tell(epoch, step, findings);
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let findings = generalization::judge(&context.history.epochs);
        self.tell(context.progress.epoch, context.progress.step, findings);
        Ok(())
    }

    fn on_not_finite(&mut self, context: &mut Context<'_>, loss: f64, tensor: &str) -> Result<()> {
        let step = context.progress.step + 1;
        let mut findings: Vec<Finding> = self.record.inputs.judge().into_iter().collect();
        findings.push(gradients::not_finite_loss(loss, tensor));
        findings.extend(self.record.losses.judge_ruin(&self.record.looks, tensor));
        self.tell(context.progress.epoch, step, findings);
        Ok(())
    }

    fn diagnoses(&self) -> &[Diagnosis] {
        self.diagnoses()
    }

    fn state(&self) -> Option<CallbackState> {
        let values = serde_json::to_value(&self.record).unwrap_or_default();
        Some(CallbackState { values, ..CallbackState::default() })
    }

    fn check_state(&self, state: &CallbackState, _: &dyn Module) -> Result<()> {
        record(&state.values).map(|_| ())
    }

    fn load_state(&mut self, state: CallbackState) -> Result<()> {
        self.record = record(&state.values)?;
        Ok(())
    }
}

/// The record in a checkpoint.
fn record(values: &serde_json::Value) -> Result<Record> {
    Record::deserialize(values).map_err(|error| {
        TrainError::argument("Doctor", error.to_string(), "Resume with the callbacks of the first run")
    })
}

impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor")
            .field("every", &self.every)
            .field("looks", &self.looks())
            .field("diagnoses", &self.diagnoses())
            .finish_non_exhaustive()
    }
}

/// What was found so far, a diagnosis a line.
impl fmt::Display for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_healthy() {
            return write!(f, "healthy: nothing found in {} looks", self.looks());
        }
        for (number, diagnosis) in self.diagnoses().iter().enumerate() {
            write!(f, "{}{diagnosis}", if number > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}
