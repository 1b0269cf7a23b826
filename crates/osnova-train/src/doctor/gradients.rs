//! Gradient norms and update-to-weight ratios, by parameter and layer.

use super::diagnosis::{Disease, Finding, Place, Severity};
use super::watch::layer_name;
use crate::Result;
use crate::history::number;
use crate::plot::LineChart;
use osnova_nn::Module;
use osnova_tensor::{DType, Gradients, Tensor};
use serde::{Deserialize, Serialize};

/// The gradient of the first layer, as a part of the last one's, below which gradients vanish …
const VANISHING: f64 = 1e-3;
/// … and above which they explode.
const EXPLODING: f64 = 1e3;
/// ‖gradient‖ / ‖weights‖ above which gradients explode. Healthy networks measured: about 2 at most.
const EXPLODING_RELATIVE: f64 = 100.0;
/// Fewer layers than this are no depth to vanish or explode in.
const DEEP: usize = 3;
/// In how many looks one after another.
const IN_A_ROW: usize = 2;
/// Parameters of up to so many elements are measured on the host where nothing need be waited for: three reads instead of a
/// dozen operations.
const SMALL: usize = 2048;
/// Looks that are kept; of more, every second one is let go.
const KEPT: usize = 512;

/// The numbers of a parameter at one look.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Its place in the list of names.
    parameter: usize,
    /// Whether it has at least two axes: a weight, not a bias or a scale.
    is_weight: bool,
    /// Norm of the gradient.
    #[serde(with = "number")]
    gradient: f64,
    /// Norm before the step.
    #[serde(with = "number")]
    weight: f64,
    /// Norm of the change.
    #[serde(with = "number")]
    update: f64,
}

/// The parameters at one step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Look {
    step: u64,
    parameters: Vec<Measured>,
}

/// Parameters whose step has not been made yet.
pub(super) struct Pending(Vec<Waiting>);

struct Waiting {
    name: String,
    gradient: Tensor,
    before: Tensor,
}

/// The sum of squares as one number in one axis. Half types are widened: their squares overflow soon.
fn square_sum(tensor: &Tensor) -> Result<Tensor> {
    let tensor = match tensor.dtype() {
        DType::F32 | DType::F64 => tensor.clone(),
        _ => tensor.to_dtype(DType::F32)?,
    };
    Ok(tensor.square()?.sum(.., false)?.to_dtype(DType::F32)?.reshape([1])?)
}

/// The norm of which the sum of squares is known in 32 bits; where that is too small or too large, from the elements.
fn norm(square_sum: f64, tensor: &Tensor) -> Result<f64> {
    if square_sum.is_nan() || (square_sum.is_finite() && square_sum > 1e-30) {
        return Ok(square_sum.sqrt());
    }
    let values = tensor.to_host()?.to_f64();
    Ok(values.iter().map(|value| value * value).sum::<f64>().sqrt())
}

/// The norms of gradient, values and update.
enum Norms {
    Known([f64; 3]),
    /// Their squares wait there, and so does the update.
    OnDevice(Tensor),
}

/// The norms of a small parameter on a device that need not be waited for: fewer operations than on the device.
fn norms_on_host(gradient: &Tensor, before: &Tensor, after: &Tensor) -> Result<[f64; 3]> {
    if gradient.dtype() == DType::F32 && before.dtype() == DType::F32 && after.dtype() == DType::F32 {
        let [gradient, before, after] = [gradient.to_vec::<f32>()?, before.to_vec()?, after.to_vec()?];
        return Ok(norms(&gradient, &before, &after));
    }
    let host = |tensor: &Tensor| -> Result<Vec<f64>> { Ok(tensor.to_host()?.to_f64()) };
    Ok(norms(&host(gradient)?, &host(before)?, &host(after)?))
}

fn norms<T: Copy + Into<f64>>(gradient: &[T], before: &[T], after: &[T]) -> [f64; 3] {
    // Eight sums side by side: a single one waits for each addition.
    const LANES: usize = 8;
    let mut sums = [[0.0; LANES]; 3];
    let rows = gradient.chunks(LANES).zip(before.chunks(LANES)).zip(after.chunks(LANES));
    for ((gradient, before), after) in rows {
        for (lane, ((gradient, before), after)) in gradient.iter().zip(before).zip(after).enumerate() {
            let (gradient, before, after): (f64, f64, f64) = ((*gradient).into(), (*before).into(), (*after).into());
            sums[0][lane] += gradient * gradient;
            sums[1][lane] += before * before;
            sums[2][lane] += (after - before) * (after - before);
        }
    }
    sums.map(|lanes| lanes.iter().sum::<f64>().sqrt())
}

impl Pending {
    /// Keeps the gradients and the values of all parameters that have one.
    pub(super) fn new(model: &dyn Module, gradients: &Gradients) -> Result<Self> {
        let mut waiting = Vec::new();
        for (name, parameter) in model.named_parameters() {
            if let Some(gradient) = gradients.get(parameter.tensor()) {
                waiting.push(Waiting { name, gradient: gradient.detach(), before: parameter.value() });
            }
        }
        Ok(Self(waiting))
    }
}

/// A layer's numbers at one look.
pub(super) struct LayerNumbers<'a> {
    pub(super) name: &'a str,
    gradient: f64,
    weight: f64,
    update: f64,
    has_weight: bool,
}

impl Look {
    /// The norm of a layer's gradient.
    pub(super) fn gradient(layer: &LayerNumbers<'_>) -> f64 {
        layer.gradient
    }

    /// How large a layer's update was beside its values; NaN if those are all 0.
    pub(super) fn ratio(layer: &LayerNumbers<'_>) -> f64 {
        if layer.weight > 0.0 { layer.update / layer.weight } else { f64::NAN }
    }
}

/// All looks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Looks {
    taken: usize,
    names: Vec<String>,
    looks: Vec<Look>,
}

impl Looks {
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Measures, now that the step has been made, and judges.
    pub(super) fn add(&mut self, pending: Pending, model: &dyn Module, step: u64) -> Result<Vec<Finding>> {
        let look = self.measure(&pending.0, model, step)?;
        self.looks.push(look);
        self.taken += 1;
        if self.looks.len() > KEPT {
            // The newest stays.
            let mut age = self.looks.len();
            self.looks.retain(|_| {
                age -= 1;
                age.is_multiple_of(2)
            });
        }
        let mut findings = self.not_finite();
        if findings.is_empty() {
            findings.extend(self.vanishing());
            findings.extend(self.exploding());
        }
        Ok(findings)
    }

    fn measure(&mut self, waiting: &[Waiting], model: &dyn Module, step: u64) -> Result<Look> {
        let mut after = model.named_parameters().into_iter();
        let mut parts = Vec::new();
        let mut measured = Vec::with_capacity(waiting.len());
        for one in waiting {
            // Both lists are in the model's order.
            let after = after.find(|(name, _)| *name == one.name).map(|(_, parameter)| parameter.value());
            let after = after.as_ref().unwrap_or(&one.before);
            if one.before.count() <= SMALL && !one.before.device().capabilities().asynchronous {
                measured.push(Norms::Known(norms_on_host(&one.gradient, &one.before, after)?));
                continue;
            }
            let update = (after - &one.before)?;
            for tensor in [&one.gradient, &one.before, &update] {
                parts.push(square_sum(tensor)?);
            }
            measured.push(Norms::OnDevice(update));
        }
        // One read for all.
        let sums = if parts.is_empty() { Vec::new() } else { Tensor::concat(&parts, 0)?.to_host()?.to_f64() };
        let mut sums = sums.chunks_exact(3);
        let mut parameters = Vec::with_capacity(waiting.len());
        for (one, norms) in waiting.iter().zip(measured) {
            let [gradient, weight, update] = match norms {
                Norms::Known(norms) => norms,
                Norms::OnDevice(update) => {
                    let sums = sums.next().unwrap_or(&[f64::NAN; 3]);
                    [norm(sums[0], &one.gradient)?, norm(sums[1], &one.before)?, norm(sums[2], &update)?]
                }
            };
            let parameter = self.names.iter().position(|known| *known == one.name).unwrap_or_else(|| {
                self.names.push(one.name.clone());
                self.names.len() - 1
            });
            parameters.push(Measured { parameter, is_weight: one.before.rank() > 1, gradient, weight, update });
        }
        Ok(Look { step, parameters })
    }

    /// The layers of a look, in the model's order.
    fn layers(&self, look: &Look) -> Vec<LayerNumbers<'_>> {
        let mut layers: Vec<LayerNumbers<'_>> = Vec::new();
        for measured in &look.parameters {
            let name = layer_name(&self.names[measured.parameter]);
            if layers.last().is_none_or(|last| last.name != name) {
                layers.push(LayerNumbers { name, gradient: 0.0, weight: 0.0, update: 0.0, has_weight: false });
            }
            if let Some(layer) = layers.last_mut() {
                layer.gradient = layer.gradient.hypot(measured.gradient);
                layer.weight = layer.weight.hypot(measured.weight);
                layer.update = layer.update.hypot(measured.update);
                layer.has_weight |= measured.is_weight;
            }
        }
        layers
    }

    /// A number of each layer at each step.
    pub(super) fn by_layer(&self, number: impl Fn(&LayerNumbers<'_>) -> f64) -> Vec<(String, Vec<(u64, f64)>)> {
        let mut series: Vec<(String, Vec<(u64, f64)>)> = Vec::new();
        for look in &self.looks {
            for layer in self.layers(look) {
                let point = (look.step, number(&layer));
                match series.iter_mut().find(|(name, _)| name == layer.name) {
                    Some((_, points)) => points.push(point),
                    None => series.push((layer.name.to_owned(), vec![point])),
                }
            }
        }
        series
    }

    /// The last looks, newest first.
    fn last(&self, count: usize) -> impl Iterator<Item = &Look> {
        self.looks.iter().rev().take(count)
    }

    /// The largest update-to-weight ratio of a weight in each of the last looks, newest first, with the weight's layer.
    pub(super) fn largest_ratios(&self, count: usize) -> Vec<(u64, f64, &str)> {
        let ratio = |measured: &Measured| measured.update / measured.weight;
        let largest = |look: &Look| {
            let weights = look.parameters.iter().filter(|measured| measured.is_weight && measured.weight > 0.0);
            let largest = weights.max_by(|left, right| ratio(left).total_cmp(&ratio(right)))?;
            Some((look.step, ratio(largest), layer_name(&self.names[largest.parameter])))
        };
        self.last(count).filter_map(largest).collect()
    }

    /// The largest ‖gradient‖ / ‖weights‖ of the newest look.
    pub(super) fn largest_relative_gradient(&self) -> f64 {
        let parameters = self.last(1).flat_map(|look| &look.parameters);
        let weights = parameters.filter(|measured| measured.is_weight && measured.weight > 0.0);
        weights.map(|measured| measured.gradient / measured.weight).fold(0.0, f64::max)
    }

    fn not_finite(&self) -> Vec<Finding> {
        let bad = |measured: &&Measured| !measured.gradient.is_finite();
        let newest = self.last(1).flat_map(|look| &look.parameters).find(bad);
        let finding = |measured: &Measured| {
            let name = &self.names[measured.parameter];
            let text = format!("the gradient has the norm {}, while the loss is finite", measured.gradient);
            let advice = "clipping of gradients, a smaller learning rate, and a look at square roots, logarithms and \
                          divisions in the loss: their derivatives are infinite at 0. `device.checked()` stops at the \
                          operation";
            let place = Place::Parameter(name.clone());
            Finding::new(Disease::NotFinite, place, Severity::Critical, text, advice)
                .evidence("gradient norm", measured.gradient)
        };
        newest.map(finding).into_iter().collect()
    }

    /// First and last layer with weights, and how many there are.
    fn ends(layers: &[LayerNumbers<'_>]) -> Option<(usize, usize, usize)> {
        let mut weights = (0..layers.len()).filter(|&index| layers[index].has_weight);
        let count = weights.clone().count();
        (count >= DEEP).then(|| Some((weights.next()?, weights.next_back()?, count)))?
    }

    fn vanishing(&self) -> Option<Finding> {
        // A gradient of exactly 0 has been cut off by dead units; what has shrunk to 0 has layers behind it that are
        // on the way there.
        let ratio = |look: &Look| {
            let layers = self.layers(look);
            let (first, last, _) = Self::ends(&layers)?;
            let reached = layers[first..=last].iter().find(|layer| layer.has_weight && layer.gradient > 0.0)?;
            Some(reached.gradient / layers[last].gradient)
        };
        if self.looks.len() < IN_A_ROW
            || !self.last(IN_A_ROW).all(|look| ratio(look).is_some_and(|ratio| ratio < VANISHING))
        {
            return None;
        }
        let layers = self.layers(self.looks.last()?);
        let (first, last, count) = Self::ends(&layers)?;
        let (begin, end) = (&layers[first], &layers[last]);
        let ratio = begin.gradient / end.gradient;
        let text = format!(
            "the norm of the gradient falls from {:.1e} at `{}` to {:.1e} here, {} times less on the way back through \
             {count} layers; the first layers do not learn",
            end.gradient,
            end.name,
            begin.gradient,
            if ratio > 0.0 { format!("{:.0e}", 1.0 / ratio) } else { "infinitely many".to_owned() },
        );
        let advice = "ReLU with He initialisation instead of sigmoid or tanh in hidden layers, normalisation between the \
                      layers, residual connections, or fewer layers";
        let severity = if ratio < VANISHING * VANISHING { Severity::Critical } else { Severity::Warning };
        let place = Place::Layer(begin.name.to_owned());
        let finding = Finding::new(Disease::VanishingGradients, place, severity, text, advice);
        Some(
            finding
                .evidence("ratio", ratio)
                .evidence("first gradient norm", begin.gradient)
                .evidence("last gradient norm", end.gradient),
        )
    }

    fn exploding(&self) -> Option<Finding> {
        if self.looks.len() < IN_A_ROW {
            return None;
        }
        let advice = "clipping of gradients (`Trainer::clip_gradient_norm`), smaller weights at the start (He or Xavier \
                      initialisation), scaled inputs and targets, or normalisation between the layers";
        // Layer by layer: far larger than the weights they change.
        let relative = |layer: &LayerNumbers<'_>| {
            if layer.has_weight && layer.weight > 0.0 { layer.gradient / layer.weight } else { 0.0 }
        };
        let worst = |look: &Look| {
            let layers = self.layers(look).into_iter().map(|layer| (relative(&layer), layer));
            layers.max_by(|left, right| left.0.total_cmp(&right.0))
        };
        if self.last(IN_A_ROW).all(|look| worst(look).is_some_and(|(relative, _)| relative > EXPLODING_RELATIVE)) {
            let (relative, layer) = worst(self.looks.last()?)?;
            let text = format!(
                "the norm of the gradient is {:.1e}, {relative:.0e} times that of the layer's own parameters",
                layer.gradient
            );
            let place = Place::Layer(layer.name.to_owned());
            let finding = Finding::new(Disease::ExplodingGradients, place, Severity::Critical, text, advice);
            return Some(finding.evidence("relative", relative).evidence("gradient norm", layer.gradient));
        }
        // From layer to layer.
        let ratio = |look: &Look| {
            let layers = self.layers(look);
            let (first, last, _) = Self::ends(&layers)?;
            (layers[last].gradient > 0.0).then(|| layers[first].gradient / layers[last].gradient)
        };
        if !self.last(IN_A_ROW).all(|look| ratio(look).is_some_and(|ratio| ratio > EXPLODING)) {
            return None;
        }
        let layers = self.layers(self.looks.last()?);
        let (first, last, count) = Self::ends(&layers)?;
        let (begin, end) = (&layers[first], &layers[last]);
        let text = format!(
            "the norm of the gradient grows from {:.1e} at `{}` to {:.1e} here, on the way back through {count} layers",
            end.gradient, end.name, begin.gradient
        );
        let place = Place::Layer(begin.name.to_owned());
        let finding = Finding::new(Disease::ExplodingGradients, place, Severity::Warning, text, advice);
        Some(finding.evidence("ratio", begin.gradient / end.gradient).evidence("gradient norm", begin.gradient))
    }
}

/// The loss became NaN or infinite; `tensor` is the first that did, as the trainer has found out.
pub(super) fn not_finite_loss(loss: f64, tensor: &str) -> Finding {
    let tensor = tensor.trim_end_matches('.');
    let text = format!("the loss is {loss}; the first tensor that is not finite: {tensor}");
    let data = tensor.starts_with("the batch's");
    let advice = if data {
        "cleaning the data: look for missing values and divisions by 0 in the preprocessing (`SimpleImputer`)"
    } else {
        "a smaller learning rate, clipping of gradients, and arguments of logarithms, roots and divisions that are kept \
         away from 0 (`clamp`, or losses on logits)"
    };
    let place = if data { Place::Features } else { Place::Run };
    Finding::new(Disease::NotFinite, place, Severity::Critical, text, advice).evidence("loss", loss)
}

/// A line for each layer over the steps, on a logarithmic axis.
pub(super) fn chart(title: &str, label: &str, series: Vec<(String, Vec<(u64, f64)>)>) -> LineChart {
    let mut chart = LineChart::new(title).x_label("step").y_label(label).log_y().size(860, 460);
    for (name, points) in series {
        // The layers of a list have numbers for names.
        let name = if name.starts_with(|first: char| first.is_ascii_digit()) { format!("layer {name}") } else { name };
        chart = chart.series(name, points.into_iter().map(|(step, value)| (step as f64, value)));
    }
    chart
}
