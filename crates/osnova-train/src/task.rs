//! What a step computes: the forward pass, the loss and the metrics of a batch.

use crate::{Finding, Progress, Result};
use osnova_data::TensorBatch;
use osnova_nn::Forward;
use osnova_tensor::{DType, Device, Tensor};
use std::borrow::Cow;

/// What a task has computed of a batch.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// The loss: a single element, the mean over the batch.
    pub loss: Tensor,
    /// Other metrics by name: single elements, each the mean over the batch. They stay on the device and are read in bulk.
    pub metrics: Vec<(Cow<'static, str>, Tensor)>,
    /// What the batch counts in the means of an epoch: its number of samples.
    pub samples: usize,
    /// Over how many elements of a sample the loss is summed; 1 where it is a mean.
    pub terms: usize,
}

impl StepOutput {
    /// The loss of a batch, without metrics.
    pub fn new(loss: Tensor, samples: usize) -> Self {
        Self { loss, metrics: Vec::new(), samples, terms: 1 }
    }

    /// Says that the loss is summed over so many elements of a sample, as a likelihood is, so that a
    /// [`Doctor`](crate::Doctor) does not take gradients for exploding that are large for that reason.
    pub fn summed_over(mut self, terms: usize) -> Self {
        self.terms = terms.max(1);
        self
    }

    /// Adds a metric. Gradients do not flow through it.
    pub fn metric(mut self, name: impl Into<Cow<'static, str>>, value: &Tensor) -> Self {
        self.metrics.push((name.into(), value.detach()));
        self
    }

    /// The same values on a device inside the one they are on.
    pub(crate) fn on(mut self, device: Device) -> Result<Self> {
        self.loss = self.loss.to_device(device)?;
        for (_, value) in &mut self.metrics {
            *value = value.to_device(device)?;
        }
        Ok(self)
    }
}

/// What is to be learned: the forward pass, the loss and the metrics. A [`Trainer`](crate::Trainer) does the rest.
///
/// ```
/// use osnova_data::TensorBatch;
/// use osnova_nn::{Forward, Sequential};
/// use osnova_train::{Result, StepOutput, TrainingStep};
///
/// /// Learns to give the input back.
/// struct Reconstruction;
///
/// impl TrainingStep<Sequential> for Reconstruction {
///     fn training_step(&mut self, model: &Sequential, batch: &TensorBatch) -> Result<StepOutput> {
///         let output = model.forward(&batch.features)?;
///         let loss = (output - &batch.features)?.square()?.mean(.., false)?;
///         Ok(StepOutput::new(loss, batch.indices.len()))
///     }
/// }
/// ```
pub trait TrainingStep<M: ?Sized> {
    /// A batch of training is next; `progress` counts those that are done. For a loss that changes as training goes on.
    fn on_step_start(&mut self, progress: &Progress) {
        let _ = progress;
    }

    /// Loss and metrics of a batch to train on. They enter the history as `train_…`.
    ///
    /// # Errors
    /// The batch does not fit the model.
    fn training_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput>;

    /// Loss and metrics of a batch to validate or test on, by a model in evaluation mode that does not record. They enter
    /// the history as `validation_…`. As in training, unless written otherwise.
    ///
    /// # Errors
    /// The batch does not fit the model.
    fn validation_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        self.training_step(model, batch)
    }

    /// What the task itself finds wrong, at a step that a [`Doctor`](crate::Doctor) looks at: after the gradients of this
    /// batch, before the optimizer acts on them. It must leave alone what training computes.
    ///
    /// # Errors
    /// Any: they end training.
    fn examine(&mut self, model: &M, batch: &TensorBatch) -> Result<Vec<Finding>> {
        let _ = (model, batch);
        Ok(Vec::new())
    }
}

impl<M: ?Sized, T: TrainingStep<M> + ?Sized> TrainingStep<M> for &mut T {
    fn on_step_start(&mut self, progress: &Progress) {
        (**self).on_step_start(progress);
    }
    fn training_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        (**self).training_step(model, batch)
    }
    fn validation_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        (**self).validation_step(model, batch)
    }
    fn examine(&mut self, model: &M, batch: &TensorBatch) -> Result<Vec<Finding>> {
        (**self).examine(model, batch)
    }
}

/// Telling classes apart: the model gives logits `[batch, classes]`; cross-entropy is the loss, `accuracy` a metric.
#[derive(Clone, Copy, Debug, Default)]
pub struct Classification;

impl<M: Forward + ?Sized> TrainingStep<M> for Classification {
    fn training_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        let targets = batch.targets()?;
        let logits = model.forward(&batch.features)?;
        let loss = logits.cross_entropy(targets)?;
        let right = logits.detach().argmax(1, false)?.equal(targets)?;
        let accuracy = right.to_dtype(DType::F32)?.mean(.., false)?;
        Ok(StepOutput::new(loss, batch.indices.len()).metric("accuracy", &accuracy))
    }
}

/// Predicting numbers: the model gives `[batch, width]`; the mean squared error is the loss, `mean_absolute_error` a metric.
#[derive(Clone, Copy, Debug, Default)]
pub struct Regression;

impl<M: Forward + ?Sized> TrainingStep<M> for Regression {
    fn training_step(&mut self, model: &M, batch: &TensorBatch) -> Result<StepOutput> {
        let targets = batch.targets()?;
        let output = model.forward(&batch.features)?;
        if output.shape() != targets.shape() {
            // Broadcasting [batch] against [batch, 1] would compare every sample with every other, in silence.
            return Err(crate::TrainError::argument(
                "Regression",
                format!("the model gives {}, the targets are {}", output.shape(), targets.shape()),
                "Give the model as many outputs as a sample has target numbers",
            ));
        }
        let error = (output - targets)?;
        let absolute = error.detach().abs()?.mean(.., false)?;
        let loss = error.square()?.mean(.., false)?;
        Ok(StepOutput::new(loss, batch.indices.len()).metric("mean_absolute_error", &absolute))
    }
}
