//! Bounds of the likelihood of data under a variational autoencoder.

use super::{at_least_one, each_batch, evaluated, finite, total};
use crate::task::classes;
use crate::{DiagonalGaussian, VariationalAutoencoder};
use osnova_data::DataLoader;
use osnova_tensor::{Generator, Tensor};
use osnova_train::Result;

/// Codes decoded at once. For 100,000 codes and a decoder 20–400–784, 128 to 4096 at once take the same 1.1 to 1.8 s, 16,384
/// take longer.
const ROWS: usize = 1024;

/// The evidence lower bound in its two parts, in nats a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowerBound {
    /// −E[ln p(x | z)] with z from q(z | x).
    pub reconstruction: f64,
    /// KL(q(z | x) ‖ N(0, I)).
    pub kl: f64,
    /// How many samples there were.
    pub samples: usize,
}

impl LowerBound {
    /// reconstruction + KL, which bounds −ln p(x) from above. β counts 1 here, whatever the model was trained with: another
    /// one bounds nothing.
    pub fn negative_elbo(&self) -> f64 {
        self.reconstruction + self.kl
    }
}

/// The evidence lower bound over a loader's samples (Kingma and Welling 2014): the KL divergence by its formula, the
/// reconstruction as the mean over `draws` codes a sample.
///
/// With [`Likelihood::SquaredError`](crate::Likelihood::SquaredError) a constant of the density is missing, so the bound can
/// be compared only with others of that likelihood.
///
/// # Errors
/// No draws, no data, data that does not fit the model, a bound that is not finite.
pub fn evidence_lower_bound(
    model: &VariationalAutoencoder,
    loader: &mut DataLoader,
    draws: usize,
    generator: &Generator,
) -> Result<LowerBound> {
    const OPERATION: &str = "evidence_lower_bound";
    at_least_one(OPERATION, "the number of draws", draws)?;
    let (model, device) = evaluated(OPERATION, model)?;
    let (mut likelihood, mut kl) = (0.0, 0.0);
    let samples = each_batch(OPERATION, loader, device, |batch| {
        let (input, classes) = (&batch.features, classes(&model, batch)?);
        let posterior = model.encode_distribution(input, classes)?;
        kl += total(&posterior.kl_to_standard_normal()?)?;
        for _ in 0..draws {
            likelihood += total(&model.log_likelihood(input, &posterior.sample(generator)?, classes)?)?;
        }
        Ok(())
    })?;
    let reconstruction = finite(OPERATION, "the reconstruction", -likelihood / (samples * draws) as f64)?;
    Ok(LowerBound { reconstruction, kl: finite(OPERATION, "the KL divergence", kl / samples as f64)?, samples })
}

/// The importance-weighted bound of ln p(x) from below, the mean over a loader's samples in nats (Burda, Grosse and
/// Salakhutdinov 2016):
///
/// ```text
/// ln 1/k Σ p(x, zᵢ)/q(zᵢ | x),    k codes zᵢ from q(z | x)
/// ```
///
/// With k = 1 it is the evidence lower bound, and as k grows it rises to ln p(x); k = 5000 is usual for an honest
/// likelihood. Codes are decoded about a thousand at a time, so memory does not grow with k; time does. The
/// remark about [`SquaredError`](evidence_lower_bound) holds here too.
///
/// # Errors
/// `samples` (that is k) 0, no data, data that does not fit the model, a bound that is not finite.
pub fn importance_weighted_bound(
    model: &VariationalAutoencoder,
    loader: &mut DataLoader,
    samples: usize,
    generator: &Generator,
) -> Result<f64> {
    Ok(importance_weighted_bounds(model, loader, &[samples], generator)?.into_iter().sum())
}

/// [`importance_weighted_bound`] for several k, from one set of codes: as many a sample as the largest k. For a smaller k
/// they are taken in ⌊largest/k⌋ groups one after another, whose bounds are averaged, so that a small k is not known worse
/// than a large one. Where each k divides the next, the bounds rise with k for any draws, by Jensen's inequality.
///
/// # Errors
/// No k, a k of 0, and as for [`importance_weighted_bound`].
pub fn importance_weighted_bounds(
    model: &VariationalAutoencoder,
    loader: &mut DataLoader,
    ks: &[usize],
    generator: &Generator,
) -> Result<Vec<f64>> {
    const OPERATION: &str = "importance_weighted_bound";
    let largest = ks.iter().copied().max().unwrap_or_default();
    at_least_one(OPERATION, "the number of codes k", ks.iter().copied().min().unwrap_or_default())?;
    let (model, device) = evaluated(OPERATION, model)?;
    let mut sums = vec![0.0; ks.len()];
    let samples = each_batch(OPERATION, loader, device, |batch| {
        let rows = batch.indices.len();
        let at_once = (ROWS / rows.max(1)).clamp(1, largest);
        let posterior = model.encode_distribution(&batch.features, classes(&model, batch)?)?;
        let input = repeated(&batch.features, at_once)?;
        let labels = classes(&model, batch)?.map(|classes| repeated(classes, at_once)).transpose()?;
        let (mean, log_variance) = (repeated(&posterior.mean, at_once)?, repeated(&posterior.log_variance, at_once)?);
        let mut groups: Vec<Groups> = ks.iter().map(|&k| Groups::new(k, rows)).collect();
        let mut done = 0;
        while done < largest {
            let draws = at_once.min(largest - done);
            let first = |tensor: &Tensor| tensor.narrow(0, 0, draws * rows);
            let posterior = DiagonalGaussian::new(first(&mean)?, first(&log_variance)?)?;
            let labels = labels.as_ref().map(first).transpose()?;
            let code = posterior.sample(generator)?;
            let weights = model.log_weight(&first(&input)?, &posterior, &code, labels.as_ref())?.to_host()?.to_f64();
            for weights in weights.chunks_exact(rows.max(1)) {
                groups.iter_mut().for_each(|groups| groups.add(weights));
            }
            done += draws;
        }
        sums.iter_mut().zip(&groups).for_each(|(sum, groups)| *sum += groups.bound());
        Ok(())
    })?;
    sums.into_iter().map(|sum| finite(OPERATION, "the bound", sum / samples as f64)).collect()
}

/// The tensor so many times over, along its first axis.
fn repeated(tensor: &Tensor, times: usize) -> osnova_tensor::Result<Tensor> {
    let mut shape = tensor.dims().to_vec();
    shape.insert(0, times);
    let expanded = tensor.unsqueeze(0)?.expand(shape.as_slice())?;
    shape.remove(0);
    if let Some(rows) = shape.first_mut() {
        *rows *= times;
    }
    expanded.reshape(shape.as_slice())
}

/// ln 1/k Σ wᵢ of one group of k draws after another, for some samples at once. Of a group only the largest logarithm and
/// the sum relative to it are kept.
#[derive(Clone, Debug)]
struct Groups {
    size: usize,
    /// Draws in the group that is not complete.
    draws: usize,
    complete: usize,
    /// For each sample: the largest ln w of the group, and Σ exp(ln w − largest).
    running: Vec<(f64, f64)>,
    /// Of the complete groups and all samples.
    sum: f64,
}

impl Groups {
    fn new(size: usize, samples: usize) -> Self {
        Self { size, draws: 0, complete: 0, running: vec![(f64::NEG_INFINITY, 0.0); samples], sum: 0.0 }
    }

    /// One draw more for each sample.
    fn add(&mut self, log_weights: &[f64]) {
        for ((largest, sum), &weight) in self.running.iter_mut().zip(log_weights) {
            if weight > *largest {
                *sum = *sum * (*largest - weight).exp() + 1.0;
                *largest = weight;
            } else if weight != f64::NEG_INFINITY {
                *sum += (weight - *largest).exp();
            }
        }
        self.draws += 1;
        if self.draws == self.size {
            let logarithms = self.running.iter().map(|(largest, sum)| largest + sum.ln() - (self.size as f64).ln());
            self.sum += logarithms.sum::<f64>();
            self.running.fill((f64::NEG_INFINITY, 0.0));
            (self.draws, self.complete) = (0, self.complete + 1);
        }
    }

    /// The mean over the groups, summed over the samples.
    fn bound(&self) -> f64 {
        self.sum / self.complete as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The mean over whole groups of ln(1/k Σ w), each relative to its largest.
    fn directly(log_weights: &[f64], k: usize) -> f64 {
        let groups = log_weights.chunks_exact(k);
        let count = groups.len() as f64;
        let logarithm = |group: &[f64]| {
            let largest = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            largest + (group.iter().map(|weight| (weight - largest).exp()).sum::<f64>() / k as f64).ln()
        };
        groups.map(logarithm).sum::<f64>() / count
    }

    proptest! {
        #[test]
        fn a_running_sum_gives_what_all_weights_at_once_give(
            log_weights in prop::collection::vec(-2000.0..500.0, 1..60), share in 0.0..1.0,
        ) {
            let k = 1 + (share * (log_weights.len() - 1) as f64) as usize;
            let mut groups = Groups::new(k, 2);
            log_weights.iter().for_each(|&weight| groups.add(&[weight, weight - 1.0]));
            let expected = directly(&log_weights, k);
            prop_assert!((groups.bound() - (2.0 * expected - 1.0)).abs() < 1e-9 * expected.abs().max(1.0));
        }
    }

    #[test]
    fn a_weight_of_zero_counts_and_nan_is_not_lost() {
        let mut groups = Groups::new(2, 1);
        groups.add(&[f64::NEG_INFINITY]);
        groups.add(&[-900.0]);
        assert!((groups.bound() - (-900.0 - 2_f64.ln())).abs() < 1e-12);
        for weights in [[f64::NAN, 0.0], [0.0, f64::NAN]] {
            let mut groups = Groups::new(2, 1);
            weights.iter().for_each(|&weight| groups.add(&[weight]));
            assert!(!groups.bound().is_finite());
        }
        let mut nothing = Groups::new(1, 1);
        nothing.add(&[f64::NEG_INFINITY]);
        assert_eq!(nothing.bound(), f64::NEG_INFINITY);
    }
}
