//! Units that have stopped working: dead ReLUs, saturated sigmoids and tanhs.

use super::diagnosis::{Disease, Finding, Place, Severity};
use super::watch::ActivationStatistics;
use osnova_tensor::Activation;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A unit is dead if it gave 0 in so many looks one after another …
const DEAD_LOOKS: usize = 3;
/// … in which it saw at least so many samples.
const DEAD_SAMPLES: usize = 64;
/// The share of dead units in a layer from which it is named. Healthy networks measured: at most 0.2.
const DEAD_SHARE: f64 = 0.5;
/// The share from which next to nothing passes the layer.
const DEAD_CRITICAL: f64 = 0.9;
/// The share of saturated outputs, in as many looks one after another, from which a layer is named.
const SATURATED_SHARE: f64 = 0.5;
/// For so many looks.
const SATURATED_LOOKS: usize = 2;
/// Looks that are kept.
const KEPT: usize = 10;

/// The last looks at each layer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Activations(Vec<Layer>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Layer {
    name: String,
    /// `relu`, `sigmoid` or `tanh`.
    function: String,
    looks: VecDeque<Look>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Look {
    samples: usize,
    active: Vec<bool>,
    saturated: f64,
}

impl Activations {
    /// Takes a look and judges.
    pub(super) fn look(&mut self, statistics: &[ActivationStatistics]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for one in statistics {
            let function = match one.function {
                Activation::Relu => "relu",
                Activation::Sigmoid => "sigmoid",
                _ => "tanh",
            };
            let same = |layer: &Layer| layer.name == one.layer && layer.function == function;
            let index = self.0.iter().position(same).unwrap_or_else(|| {
                self.0.push(Layer { name: one.layer.clone(), function: function.to_owned(), looks: VecDeque::new() });
                self.0.len() - 1
            });
            let layer = &mut self.0[index];
            if layer.looks.back().is_some_and(|look| look.active.len() != one.active.len()) {
                layer.looks.clear();
            }
            layer.looks.push_back(Look { samples: one.samples, active: one.active.clone(), saturated: one.saturated });
            if layer.looks.len() > KEPT {
                layer.looks.pop_front();
            }
            let position = one.position;
            findings.extend(if one.active.is_empty() { layer.saturated(position) } else { layer.dead(position) });
        }
        findings
    }
}

impl Layer {
    fn dead(&self, position: usize) -> Option<Finding> {
        // As few of the last looks as give enough samples.
        let (mut looks, mut samples) = (0, 0);
        for look in self.looks.iter().rev() {
            if looks >= DEAD_LOOKS && samples >= DEAD_SAMPLES {
                break;
            }
            looks += 1;
            samples += look.samples;
        }
        if looks < DEAD_LOOKS || samples < DEAD_SAMPLES {
            return None;
        }
        // Nearly always the newest look is enough to tell that most are not.
        let newest = &self.looks.back()?.active;
        let units = newest.len();
        if (newest.iter().filter(|active| !**active).count() as f64) < DEAD_SHARE * units as f64 {
            return None;
        }
        let recent = || self.looks.iter().rev().take(looks);
        let dead = (0..units).filter(|&unit| recent().all(|look| !look.active[unit])).count();
        let share = dead as f64 / units as f64;
        if share < DEAD_SHARE {
            return None;
        }
        let severity = if share >= DEAD_CRITICAL { Severity::Critical } else { Severity::Warning };
        let text = format!(
            "{dead} of {units} units of the ReLU behind it (activation {position} of the forward pass) gave 0 for all of \
             the last {samples} samples looked at, so no gradient reaches them"
        );
        let advice = "a smaller learning rate, He initialisation with biases of 0, scaled inputs, or a leaky ReLU, which \
                      passes a gradient on both sides";
        let place = Place::Layer(self.name.clone());
        let finding = Finding::new(Disease::DeadUnits, place, severity, text, advice);
        Some(finding.evidence("share", share).evidence("dead", dead as f64).evidence("units", units as f64))
    }

    fn saturated(&self, position: usize) -> Option<Finding> {
        let recent = || self.looks.iter().rev().take(SATURATED_LOOKS);
        if recent().count() < SATURATED_LOOKS || recent().any(|look| look.saturated < SATURATED_SHARE) {
            return None;
        }
        let share = self.looks.back()?.saturated;
        let text = format!(
            "{:.0} % of the outputs of the {} behind it (activation {position} of the forward pass) are next to a limit, \
             where the slope is next to 0",
            100.0 * share,
            self.function
        );
        let advice = "smaller weights at the start (Xavier initialisation), scaled inputs, a smaller learning rate, or \
                      ReLU in hidden layers";
        let place = Place::Layer(self.name.clone());
        let finding = Finding::new(Disease::SaturatedUnits, place, Severity::Warning, text, advice);
        Some(finding.evidence("share", share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(function: Activation, active: &[bool], saturated: f64) -> [ActivationStatistics; 1] {
        [ActivationStatistics {
            layer: "hidden".into(),
            function,
            position: 1,
            samples: 32,
            active: active.to_vec(),
            saturated,
        }]
    }

    #[test]
    fn a_unit_that_wakes_up_between_looks_is_not_dead() {
        let mut activations = Activations::default();
        for unit in [0, 1, 2, 3, 0, 1] {
            let mut active = [false; 4];
            active[unit] = true;
            assert!(activations.look(&look(Activation::Relu, &active, 0.0)).len() <= 1);
        }
        let mut activations = Activations::default();
        for _ in 0..2 {
            assert!(activations.look(&look(Activation::Relu, &[false, false, true], 0.0)).is_empty());
        }
        let findings = activations.look(&look(Activation::Relu, &[false, false, true], 0.0));
        assert_eq!(findings[0].clone().at(1, 3).measured("share"), Some(2.0 / 3.0));
        // One third is not enough.
        assert!(activations.look(&look(Activation::Relu, &[false, true, true], 0.0)).is_empty());
    }

    #[test]
    fn saturation_must_last() {
        let mut activations = Activations::default();
        for (share, found) in [(0.9, 0), (0.1, 0), (0.6, 0), (0.6, 1)] {
            assert_eq!(activations.look(&look(Activation::Tanh, &[], share)).len(), found, "{share}");
        }
    }
}
