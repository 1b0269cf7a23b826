//! The loss step by step, beside the size of the steps: is the learning rate right?

use super::diagnosis::{Disease, Finding, Place, Severity};
use super::gradients::Looks;
use crate::history::number;
use serde::{Deserialize, Serialize};

/// Losses are judged by the means of so many steps.
const BLOCK: u64 = 20;
/// How far the loss must have climbed from its best, as a part of the very first, to count as rising …
const RISE: f64 = 0.5;
/// … in so many steps of a block.
const RISEN_STEPS: u64 = 6;
/// A single loss above the first one by this factor has flown up.
const FLIGHT: f64 = 5.0;
/// Without steps of at least this size (beside the weights) it is not the learning rate that made the loss rise.
const STEPS_THAT_MATTER: f64 = 3e-3;
/// Blocks after which a loss should have fallen.
const PATIENCE: usize = 3;
/// A loss that has fallen by less than this part of the first one has hardly fallen.
const HARDLY: f64 = 0.02;
/// A loss that is lower than that of the first batch by this part has fallen, whatever the first batch was like.
const FALLEN: f64 = 0.1;
/// Steps larger than this keep a loss from falling.
const LARGE_STEPS: f64 = 0.05;
/// Steps so large replace the weights again and again.
const HUGE_STEPS: f64 = 0.5;
/// Steps smaller than this are too small if the loss hardly falls.
const TINY_STEPS: f64 = 1e-4;

/// The course of the loss.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Losses {
    /// Of the first batch, by the fresh model.
    #[serde(with = "number")]
    first: f64,
    /// The mean of the first block, which says more than a single batch where nothing changes.
    #[serde(with = "number")]
    opening: f64,
    /// The lowest mean of a block, or the first loss.
    #[serde(with = "number")]
    best: f64,
    /// The lowest mean of a block.
    #[serde(with = "number")]
    lowest: f64,
    blocks: usize,
    count: u64,
    #[serde(with = "number")]
    sum: f64,
    /// Steps whose loss stood far above the best block before.
    risen: u64,
    #[serde(with = "number")]
    highest: f64,
    #[serde(with = "number")]
    last: f64,
}

impl Default for Losses {
    fn default() -> Self {
        let nan = f64::NAN;
        Self {
            first: nan,
            opening: nan,
            best: nan,
            lowest: f64::INFINITY,
            blocks: 0,
            count: 0,
            sum: 0.0,
            risen: 0,
            highest: 0.0,
            last: nan,
        }
    }
}

const TOO_HIGH: &str = "a learning rate 3 to 10 times smaller, a warm-up, or clipping of gradients";

impl Losses {
    /// Takes the loss of a batch.
    pub(super) fn add(&mut self, loss: f64) {
        if self.first.is_nan() {
            (self.first, self.best) = (loss, loss);
        }
        self.last = loss;
        self.count = self.count.saturating_add(1);
        self.sum += loss;
        let risen = loss - self.best > RISE * self.first.abs();
        self.risen = self.risen.saturating_add(u64::from(risen));
        self.highest = self.highest.max(loss.abs());
    }

    /// Judges whenever a block is full.
    pub(super) fn judge(&mut self, looks: &Looks) -> Option<Finding> {
        if self.count < BLOCK {
            return None;
        }
        let mean = self.sum / self.count as f64;
        let (risen, highest) = (self.risen, self.highest);
        (self.count, self.sum, self.risen, self.highest) = (0, 0.0, 0, 0.0);
        if self.blocks == 0 {
            self.opening = mean;
        }
        self.lowest = self.lowest.min(mean);
        self.blocks = self.blocks.saturating_add(1);
        let best = self.best;
        self.best = best.min(mean);

        let ratios = looks.largest_ratios(PATIENCE);
        let &(_, newest, layer) = ratios.first()?;
        let largest = ratios.iter().fold(0.0, |largest: f64, (_, ratio, _)| largest.max(*ratio));
        let smallest = ratios.iter().fold(f64::INFINITY, |smallest: f64, (_, ratio, _)| smallest.min(*ratio));
        let scale = self.first.abs();
        if mean - best > RISE * scale && risen >= RISEN_STEPS && largest > STEPS_THAT_MATTER {
            let text = format!(
                "the loss has risen to {mean:.3e} (mean of {BLOCK} steps) from {best:.3e}, with updates of up to {:.1} % \
                 of the weights a step at layer `{layer}`",
                100.0 * largest
            );
            return Some(self.too_high(layer, Severity::Critical, text, mean, largest));
        }
        if highest > FLIGHT * scale && largest > HUGE_STEPS {
            let text = format!(
                "the loss flew up to {highest:.3e} from {:.3e}, with updates of up to {:.0} % of the weights a step at \
                 layer `{layer}`",
                self.first,
                100.0 * largest
            );
            return Some(self.too_high(layer, Severity::Critical, text, highest, largest));
        }
        let huge = ratios.iter().take(2).filter(|(step, ratio, _)| *step > super::FIRST && *ratio > HUGE_STEPS).count();
        if huge == 2 {
            let text = format!("a step changes the weights by {:.0} % of their own size", 100.0 * newest);
            return Some(self.too_high(layer, Severity::Warning, text, mean, newest));
        }
        let fallen = self.first - self.best;
        if self.blocks < PATIENCE || fallen > FALLEN * scale || ratios.len() < PATIENCE {
            return None;
        }
        let steps = self.blocks as u64 * BLOCK;
        if smallest > LARGE_STEPS && fallen < HARDLY * scale {
            let text = format!(
                "in {steps} steps the loss has not fallen below {:.3e} (it began at {:.3e}), with updates of {:.1} % of \
                 the weights a step",
                self.best,
                self.first,
                100.0 * newest
            );
            return Some(self.too_high(layer, Severity::Warning, text, mean, newest));
        }
        // Without a gradient no learning rate would help.
        let crept = self.opening - self.lowest;
        if largest < TINY_STEPS && crept < HARDLY * scale && looks.largest_relative_gradient() > 1e-6 {
            let text = format!(
                "in {steps} steps the loss (means of {BLOCK}) has fallen only from {:.4e} to {:.4e}; an update changes the weights by \
                 {largest:.0e} of their size at most, where 1e-3 is usual",
                self.opening, self.lowest
            );
            let advice = "a learning rate 10 to 100 times larger, and a look at schedules that begin or end near 0";
            let finding = Finding::new(Disease::LearningRateTooLow, Place::Run, Severity::Warning, text, advice);
            return Some(finding.evidence("update ratio", largest).evidence("fallen", crept / scale));
        }
        None
    }

    fn too_high(&self, layer: &str, severity: Severity, text: String, loss: f64, ratio: f64) -> Finding {
        // Told once, whichever layer is ahead at the time.
        let text = if text.contains('`') { text } else { format!("{text}, most at layer `{layer}`") };
        Finding::new(Disease::LearningRateTooHigh, Place::Run, severity, text, TOO_HIGH)
            .evidence("update ratio", ratio)
            .evidence("loss", loss)
            .evidence("first loss", self.first)
    }

    /// After the loss became NaN or infinite: whether large steps led there.
    pub(super) fn judge_ruin(&self, looks: &Looks, tensor: &str) -> Option<Finding> {
        let ratios = looks.largest_ratios(PATIENCE);
        let &(_, ratio, layer) = ratios.iter().max_by(|left, right| left.1.total_cmp(&right.1))?;
        if tensor.starts_with("the batch's") || !(ratio > HUGE_STEPS || self.last > 2.0 * self.first) {
            return None;
        }
        let text = format!(
            "before the loss was lost, updates had reached {:.0} % of the weights a step at layer `{layer}` and the loss \
             {:.1e} (it began at {:.1e})",
            100.0 * ratio,
            self.last,
            self.first
        );
        Some(self.too_high(layer, Severity::Critical, text, self.last, ratio))
    }
}
