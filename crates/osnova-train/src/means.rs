//! The means of an epoch, gathered on the device and read in bulk.

use crate::metrics::RunningMean;
use crate::task::StepOutput;
use crate::{Result, TrainError, text};
use osnova_tensor::Tensor;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Values that wait on the device before they are read together: one read for so many steps.
const WAITING: usize = 64;

/// The weighted mean of each metric.
#[derive(Debug, Default)]
pub(crate) struct Means {
    loss: RunningMean,
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    name: Cow<'static, str>,
    mean: RunningMean,
    waiting: Vec<Tensor>,
    weights: Vec<f64>,
}

impl Metric {
    fn new(name: Cow<'static, str>, mean: RunningMean) -> Self {
        Self { name, mean, waiting: Vec::with_capacity(WAITING), weights: Vec::with_capacity(WAITING) }
    }

    fn read(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let values = Tensor::concat(&self.waiting, 0)?.to_host()?.to_f64();
        self.waiting.clear();
        for (value, weight) in values.into_iter().zip(self.weights.drain(..)) {
            self.mean.add(value, weight);
        }
        Ok(())
    }
}

/// The one element of what a task has returned, as shape `[1]`.
pub(crate) fn single(name: &str, value: &Tensor) -> Result<Tensor> {
    if value.count() != 1 {
        return Err(TrainError::argument(
            "Trainer::fit",
            format!(
                "`{}` of the task has the shape {}, but must be a single element",
                text::shown(name, 64),
                value.shape()
            ),
            "Return its mean over the batch",
        ));
    }
    Ok(value.reshape([1])?)
}

impl Means {
    /// Takes a batch; `loss` has been read already.
    pub(crate) fn add(&mut self, loss: f64, output: &StepOutput) -> Result<()> {
        let weight = output.samples as f64;
        self.loss.add(loss, weight);
        for (name, value) in &output.metrics {
            let place = self.metrics.iter().position(|metric| metric.name == *name);
            let metric = match place {
                Some(place) => &mut self.metrics[place],
                None => {
                    self.metrics.push(Metric::new(name.clone(), RunningMean::new()));
                    // Just pushed.
                    let last = self.metrics.len() - 1;
                    &mut self.metrics[last]
                }
            };
            let value = single(name, value)?;
            // What is read together has one dtype and lives on one device.
            if metric
                .waiting
                .last()
                .is_some_and(|last| (last.dtype(), last.device()) != (value.dtype(), value.device()))
            {
                metric.read()?;
            }
            metric.waiting.push(value);
            metric.weights.push(weight);
            if metric.waiting.len() == WAITING {
                metric.read()?;
            }
        }
        Ok(())
    }

    /// The mean loss so far; NaN before the first batch.
    pub(crate) fn loss(&self) -> f64 {
        self.loss.mean().unwrap_or(f64::NAN)
    }

    /// Sums and weights so far, by name.
    pub(crate) fn parts(&mut self) -> Result<BTreeMap<String, (f64, f64)>> {
        let mut parts = BTreeMap::from([("loss".to_owned(), (self.loss.sum(), self.loss.weight()))]);
        for metric in &mut self.metrics {
            metric.read()?;
            parts.insert(metric.name.clone().into_owned(), (metric.mean.sum(), metric.mean.weight()));
        }
        Ok(parts)
    }

    /// Goes on from [`parts`](Self::parts).
    pub(crate) fn from_parts(parts: BTreeMap<String, (f64, f64)>) -> Self {
        let mut means = Self::default();
        for (name, (sum, weight)) in parts {
            let mean = RunningMean::from_parts(sum, weight);
            if name == "loss" {
                means.loss = mean;
            } else {
                means.metrics.push(Metric::new(name.into(), mean));
            }
        }
        means
    }

    /// The means by name, each with `prefix` before it.
    pub(crate) fn finish(&mut self, prefix: &str) -> Result<BTreeMap<String, f64>> {
        let parts = self.parts()?;
        let mean = |(sum, weight)| RunningMean::from_parts(sum, weight).mean();
        Ok(parts.into_iter().filter_map(|(name, part)| Some((format!("{prefix}{name}"), mean(part)?))).collect())
    }
}
