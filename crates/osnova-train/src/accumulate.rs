//! Gradients of several batches as one.

use crate::Result;
use crate::doctor::watch::Renamed;
use osnova_tensor::{Device, Gradients, Tensor};

/// The gradients of the batches since the last step of the optimizer.
#[derive(Debug, Default)]
pub(crate) struct Accumulated {
    /// The gradients of one batch, or the sum over batches of samples times gradient.
    gradients: Gradients,
    samples: f64,
    batches: usize,
}

impl Accumulated {
    pub(crate) fn batches(&self) -> usize {
        self.batches
    }

    /// Adds the gradients of the mean loss of a batch.
    pub(crate) fn add(&mut self, gradients: Gradients, samples: usize) -> Result<()> {
        let weight = samples as f64;
        match self.batches {
            0 => self.gradients = gradients,
            batches => {
                if batches == 1 {
                    self.gradients = each(&self.gradients, |gradient| Ok((gradient * self.samples)?))?;
                }
                for (id, gradient) in gradients.iter() {
                    let weighted = (gradient * weight)?;
                    let sum = match self.gradients.of(id) {
                        Some(sum) => (sum + &weighted)?,
                        None => weighted,
                    };
                    self.gradients.insert(id, sum);
                }
            }
        }
        self.samples += weight;
        self.batches += 1;
        Ok(())
    }

    /// Takes note of the parameters' new identities.
    pub(crate) fn rename(&mut self, renamed: &Renamed, device: Device) -> Result<()> {
        self.gradients = renamed.apply(&self.gradients, device)?;
        Ok(())
    }

    /// The gradients of the mean loss of all samples, as if they had been one batch.
    pub(crate) fn take(&mut self) -> Result<Gradients> {
        let all = std::mem::take(self);
        if all.batches <= 1 {
            return Ok(all.gradients);
        }
        each(&all.gradients, |gradient| Ok((gradient / all.samples)?))
    }
}

fn each(gradients: &Gradients, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Gradients> {
    let mut changed = Gradients::new();
    for (id, gradient) in gradients.iter() {
        changed.insert(id, change(gradient)?);
    }
    Ok(changed)
}
