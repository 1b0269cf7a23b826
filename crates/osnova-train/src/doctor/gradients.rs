//! Gradient norms and update-to-weight ratios, by parameter and layer.

use super::diagnosis::{Disease, Finding, Place, Severity};
use super::watch::layer_name;
use crate::history::number;
use crate::plot::LineChart;
use crate::{Result, TrainError};
use osnova_nn::{Module, Param};
use osnova_tensor::{DType, Gradients, Tensor};
use serde::{Deserialize, Serialize};

/// The gradient of the first layer, as a part of the last one's, below which gradients vanish …
const VANISHING: f64 = 1e-3;
/// … and above which they explode.
const EXPLODING: f64 = 1e3;
/// ‖gradient‖ / ‖weights‖, for a term of the loss, above which gradients explode. Healthy networks measured: about 2 at most.
const EXPLODING_RELATIVE: f64 = 100.0;
/// Fewer layers than this are no depth to vanish or explode in.
const DEEP: usize = 3;
/// In how many looks one after another.
const IN_A_ROW: usize = 2;
/// Parameters of up to so many elements are copied and measured on the host where nothing need be waited for: three reads
/// instead of a dozen operations.
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
    /// Over how many elements of a sample the loss was summed.
    #[serde(default = "one")]
    terms: usize,
    parameters: Vec<Measured>,
}

fn one() -> usize {
    1
}

/// Parameters whose step has not been made yet.
pub(super) struct Pending {
    waiting: Vec<Waiting>,
    terms: usize,
}

struct Waiting {
    /// Its place among the model's parameters.
    place: usize,
    before: Before,
}

/// A parameter before its step.
enum Before {
    /// Copied, so that the optimizer can write where the values were.
    Copied { gradient: f64, weight: f64, values: Vec<f32> },
    /// The optimizer writes elsewhere.
    Held { gradient: Tensor, values: Tensor },
}

impl Before {
    fn new(gradient: &Tensor, parameter: &Param) -> Result<Self> {
        let values = parameter.value();
        let single = gradient.dtype() == DType::F32 && values.dtype() == DType::F32;
        if !single || values.count() > SMALL || values.device().capabilities().asynchronous {
            return Ok(Self::Held { gradient: gradient.detach(), values });
        }
        let values = values.to_vec()?;
        Ok(Self::Copied { gradient: norm(&gradient.to_vec()?), weight: norm(&values), values })
    }
}

/// The norms of gradient, values and update.
enum Norms {
    Known([f64; 3]),
    /// Their squares wait on the device.
    Waiting([Tensor; 3]),
}

/// The norm of a few values.
fn norm(values: &[f32]) -> f64 {
    // Sixteen sums side by side: a single one waits for each addition.
    let (rows, rest) = values.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value * value;
        }
    }
    let sum: f32 = sums.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>();
    if in_range(sum.into()) { f64::from(sum).sqrt() } else { wide_norm(values.iter().map(|&value| value.into())) }
}

/// Whether a sum of squares in 32 bits has become neither too small nor too large for them.
fn in_range(square_sum: f64) -> bool {
    square_sum.is_nan() || (square_sum.is_finite() && square_sum > 1e-30)
}

fn wide_norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// The sum of squares as one number in one axis: a product of the tensor with itself reads it once and writes nothing. Half
/// types are widened: their squares overflow soon.
fn square_sum(tensor: &Tensor) -> Result<Tensor> {
    let tensor = match tensor.dtype() {
        DType::F32 | DType::F64 => tensor.clone(),
        _ => tensor.to_dtype(DType::F32)?,
    };
    let count = tensor.count();
    let (row, column) = (tensor.reshape([1, count])?, tensor.reshape([count, 1])?);
    Ok(row.matmul(&column)?.to_dtype(DType::F32)?.reshape([1])?)
}

/// A layer's numbers at one look.
#[derive(Default)]
pub(super) struct LayerNumbers<'a> {
    pub(super) name: &'a str,
    terms: f64,
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
    /// The place in the list of names of each of the model's parameters, which stay the same for a run.
    #[serde(skip)]
    places: Vec<usize>,
}

impl Looks {
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// A run begins, perhaps of another model.
    pub(super) fn begin(&mut self) {
        self.places.clear();
    }

    /// Measures, now that the step has been made, and judges.
    pub(super) fn add(&mut self, pending: Pending, model: &dyn Module, step: u64) -> Result<Vec<Finding>> {
        let look = self.measure(pending, model, step)?;
        self.looks.push(look);
        self.taken = self.taken.saturating_add(1);
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
            let recent: Vec<_> = self.last(IN_A_ROW).map(|look| self.layers(look)).collect();
            if recent.len() == IN_A_ROW {
                findings.extend(vanishing(&recent));
                findings.extend(exploding(&recent));
            }
        }
        Ok(findings)
    }

    /// Keeps gradients and values of all parameters that have a gradient.
    pub(super) fn wait(&mut self, model: &dyn Module, gradients: &Gradients, terms: usize) -> Result<Pending> {
        let parameters = model.parameters();
        if self.places.len() != parameters.len() {
            self.places = model.named_parameters().into_iter().map(|(name, _)| self.index(name)).collect();
        }
        let mut waiting = Vec::with_capacity(parameters.len());
        for (place, parameter) in parameters.into_iter().enumerate() {
            if let Some(gradient) = gradients.get(parameter) {
                waiting.push(Waiting { place, before: Before::new(gradient, parameter)? });
            }
        }
        Ok(Pending { waiting, terms })
    }

    /// The place in the list of names.
    fn index(&mut self, name: String) -> usize {
        self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        })
    }

    fn measure(&self, Pending { waiting, terms }: Pending, model: &dyn Module, step: u64) -> Result<Look> {
        let model = model.parameters();
        let mut norms = Vec::with_capacity(waiting.len());
        let mut parts = Vec::new();
        for Waiting { place, before } in waiting {
            let after = model[place].value();
            let of_one = match before {
                Before::Copied { gradient, weight, mut values } => {
                    for (value, after) in values.iter_mut().zip(after.to_vec::<f32>()?) {
                        *value = after - *value;
                    }
                    Norms::Known([gradient, weight, norm(&values)])
                }
                Before::Held { gradient, values } => {
                    let update = (after - &values)?;
                    let tensors = [gradient, values, update];
                    for tensor in &tensors {
                        parts.push(square_sum(tensor)?);
                    }
                    Norms::Waiting(tensors)
                }
            };
            norms.push((place, of_one));
        }
        // One read for all.
        let sums = if parts.is_empty() { Vec::new() } else { Tensor::concat(&parts, 0)?.to_host()?.to_f64() };
        let mut sums = sums.into_iter();
        let mut parameters = Vec::with_capacity(norms.len());
        for (place, of_one) in norms {
            let [gradient, weight, update] = match of_one {
                Norms::Known(norms) => norms,
                Norms::Waiting(tensors) => {
                    let mut norms = [f64::NAN; 3];
                    for ((norm, tensor), sum) in norms.iter_mut().zip(&tensors).zip(&mut sums) {
                        let values = || Ok::<_, TrainError>(tensor.to_host()?.to_f64());
                        *norm = if in_range(sum) { sum.sqrt() } else { wide_norm(values()?.into_iter()) };
                    }
                    norms
                }
            };
            let is_weight = model[place].rank() > 1;
            parameters.push(Measured { parameter: self.places[place], is_weight, gradient, weight, update });
        }
        Ok(Look { step, terms, parameters })
    }

    /// The layers of a look, in the model's order.
    fn layers(&self, look: &Look) -> Vec<LayerNumbers<'_>> {
        let mut layers: Vec<LayerNumbers<'_>> = Vec::new();
        for measured in &look.parameters {
            let name = layer_name(&self.names[measured.parameter]);
            if layers.last().is_none_or(|last| last.name != name) {
                layers.push(LayerNumbers { name, terms: look.terms as f64, ..LayerNumbers::default() });
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

    /// The largest ‖gradient‖ / ‖weights‖ of the newest look, for a term of the loss.
    pub(super) fn largest_relative_gradient(&self) -> f64 {
        let Some(look) = self.looks.last() else { return 0.0 };
        let weights = look.parameters.iter().filter(|measured| measured.is_weight && measured.weight > 0.0);
        weights.map(|measured| measured.gradient / measured.weight).fold(0.0, f64::max) / look.terms as f64
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
}

/// First and last layer with weights, and how many there are.
fn ends(layers: &[LayerNumbers<'_>]) -> Option<(usize, usize, usize)> {
    let mut weights = (0..layers.len()).filter(|&index| layers[index].has_weight);
    let count = weights.clone().count();
    (count >= DEEP).then(|| Some((weights.next()?, weights.next_back()?, count)))?
}

/// From the layers of the last looks, newest first.
fn vanishing(recent: &[Vec<LayerNumbers<'_>>]) -> Option<Finding> {
    // A gradient of exactly 0 has been cut off by dead units; what has shrunk to 0 has layers behind it that are
    // on the way there.
    let ratio = |layers: &Vec<LayerNumbers<'_>>| {
        let (first, last, _) = ends(layers)?;
        let reached = layers[first..=last].iter().find(|layer| layer.has_weight && layer.gradient > 0.0)?;
        Some(reached.gradient / layers[last].gradient)
    };
    if !recent.iter().all(|layers| ratio(layers).is_some_and(|ratio| ratio < VANISHING)) {
        return None;
    }
    let layers = recent.first()?;
    let (first, last, count) = ends(layers)?;
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

/// From the layers of the last looks, newest first.
fn exploding(recent: &[Vec<LayerNumbers<'_>>]) -> Option<Finding> {
    let newest = recent.first()?;
    let advice = "clipping of gradients (`Trainer::clip_gradient_norm`), smaller weights at the start (He or Xavier \
                  initialisation), scaled inputs and targets, or normalisation between the layers";
    // Layer by layer: far larger than the weights they change. A sum of many terms has a gradient as many times as large.
    let relative = |layer: &LayerNumbers<'_>| {
        if layer.has_weight && layer.weight > 0.0 { layer.gradient / (layer.weight * layer.terms) } else { 0.0 }
    };
    if recent.iter().all(|layers| layers.iter().any(|layer| relative(layer) > EXPLODING_RELATIVE)) {
        let worst = newest.iter().map(|layer| (relative(layer), layer));
        let (relative, layer) = worst.max_by(|left, right| left.0.total_cmp(&right.0))?;
        let text = format!(
            "the norm of the gradient is {:.1e}, {relative:.0e} times that of the layer's own parameters{}",
            layer.gradient,
            if layer.terms > 1.0 {
                format!(" for each of the {} terms of the loss", layer.terms)
            } else {
                String::new()
            }
        );
        let place = Place::Layer(layer.name.to_owned());
        let finding = Finding::new(Disease::ExplodingGradients, place, Severity::Critical, text, advice);
        return Some(finding.evidence("relative", relative).evidence("gradient norm", layer.gradient));
    }
    // From layer to layer.
    let ratio = |layers: &Vec<LayerNumbers<'_>>| {
        let (first, last, _) = ends(layers)?;
        (layers[last].gradient > 0.0).then(|| layers[first].gradient / layers[last].gradient)
    };
    if !recent.iter().all(|layers| ratio(layers).is_some_and(|ratio| ratio > EXPLODING)) {
        return None;
    }
    let (first, last, count) = ends(newest)?;
    let (begin, end) = (&newest[first], &newest[last]);
    let text = format!(
        "the norm of the gradient grows from {:.1e} at `{}` to {:.1e} here, on the way back through {count} layers",
        end.gradient, end.name, begin.gradient
    );
    let place = Place::Layer(begin.name.to_owned());
    let finding = Finding::new(Disease::ExplodingGradients, place, Severity::Warning, text, advice);
    Some(finding.evidence("ratio", begin.gradient / end.gradient).evidence("gradient norm", begin.gradient))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_hold_where_squares_leave_the_range_of_32_bits() {
        for (value, count) in [(3.0f32, 1), (0.5, 2048), (1e-25, 100), (1e-40, 37), (1e25, 100), (0.0, 5)] {
            let exact = f64::from(value) * f64::from(count as u32).sqrt();
            let found = norm(&vec![value; count]);
            assert!((found - exact).abs() <= 1e-6 * exact, "{value} {count}: {found} is not {exact}");
        }
        assert!(norm(&[1.0, f32::NAN]).is_nan());
        assert_eq!(norm(&[f32::INFINITY]), f64::INFINITY);
        assert_eq!(norm(&[]), 0.0);
    }
}
