//! Gradients of several batches as one.

use crate::Result;
use crate::doctor::watch::Renamed;
use osnova_tensor::{Device, Gradients, Tensor};

/// The gradients of the batches since the last step of the optimizer.
#[derive(Debug, Default)]
pub(crate) struct Accumulated {
    /// The gradients of one batch, or the sum over batches of samples times gradient. Sums of half types are `f32`, in
    /// which no product leaves the range and no summand vanishes; optimizers take them as they are.
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
                    self.gradients = each(&self.gradients, |gradient| Ok((wide(gradient)? * self.samples)?))?;
                }
                for (id, gradient) in gradients.iter() {
                    let weighted = (wide(gradient)? * weight)?;
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

/// The tensor in the dtype that sums are made in.
fn wide(gradient: &Tensor) -> Result<Tensor> {
    Ok(gradient.to_dtype(gradient.dtype().accumulator())?)
}

fn each(gradients: &Gradients, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Gradients> {
    let mut changed = Gradients::new();
    for (id, gradient) in gradients.iter() {
        changed.insert(id, change(gradient)?);
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osnova_cpu::CpuDevice;
    use osnova_tensor::{DType, NodeId};

    /// 128 samples times 600 is beyond f16; a thousand small gradients beside a large one vanish in both half types.
    #[test]
    fn half_gradients_are_averaged_in_f32() {
        for dtype in [DType::F16, DType::BF16] {
            let id = NodeId(u64::MAX);
            let gradients = |value: f64| {
                let mut gradients = Gradients::new();
                gradients.insert(id, Tensor::full(2, value, dtype, Device::cpu()).unwrap());
                gradients
            };
            let mut accumulated = Accumulated::default();
            accumulated.add(gradients(600.0), 128).unwrap();
            (0..1000).for_each(|_| accumulated.add(gradients(0.5), 128).unwrap());
            let mean = accumulated.take().unwrap().of(id).unwrap().to_host().unwrap().to_f64();
            assert!((mean[0] - 1100.0 / 1001.0).abs() < 1e-5, "{dtype}: {mean:?}");

            accumulated.add(gradients(600.0), 128).unwrap();
            let alone = accumulated.take().unwrap();
            assert_eq!(alone.of(id).unwrap().dtype(), dtype, "a single batch is left as it is");
        }
    }
}
