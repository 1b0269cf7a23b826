//! Cross-entropies, with the gradient from the same pass.

use super::float::Float;
use super::movement::made_contiguous;
use super::reduce;
use super::softmax::{exponentials, largest, ln, scale, sum_of_exponentials};
use crate::failure::Failure;
use crate::memory::{Buffer, OutOfMemory};
use crate::native::{Native, with_index};
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{contiguous, create};
use osnova_tensor::{BinaryCrossEntropy, CrossEntropy, DType, Device, Error, Meta, Outputs, ReductionKind, Tensor};

/// Elements a thread works on at a time.
const CHUNK: usize = 1 << 14;

simd_dispatch! {
    /// `values ← values · factor + shift − step · weights`.
    fn smooth[S]<T>(values: &mut [T], factor: T, weights: &[T], step: T) where [T: Float] {
        values.iter_mut().zip(weights).for_each(|(value, &weight)| *value = *value * factor - step * weight);
    }

    /// `values ← values · factor − step`.
    fn smooth_evenly[S]<T>(values: &mut [T], factor: T, step: T) where [T: Float] {
        values.iter_mut().for_each(|value| *value = *value * factor - step);
    }

    /// `values = |x|·t + ln(1 + exp(−|x|))` with t the share on the wrong side, 1 − y of a positive x and else y: `max(x, 0) − x·y` without
    /// its cancellation.
    fn binary_values[S]<T>(logits: &[T], target: &[T], values: &mut [T]) where [T: Float] {
        for ((value, &x), &y) in values.iter_mut().zip(logits).zip(target) {
            let small = (-x.magnitude()).exp::<S>();
            *value = weighted(wrong_side(x, y), x.magnitude()) + small.ln1p::<S>();
        }
    }

    /// The values and `gradients = (sigmoid(x) − y) · factor`, from one exponential.
    fn binary_values_and_gradients[S]<T>(logits: &[T], target: &[T], values: &mut [T], gradients: &mut [T], factor: T) where [T: Float] {
        for (((value, gradient), &x), &y) in values.iter_mut().zip(gradients).zip(logits).zip(target) {
            let small = (-x.magnitude()).exp::<S>();
            *value = weighted(wrong_side(x, y), x.magnitude()) + small.ln1p::<S>();
            let inverse = T::ONE / (T::ONE + small);
            let sigmoid = if x >= T::ZERO { inverse } else { small * inverse };
            *gradient = (sigmoid - y) * factor;
        }
    }
}

/// How much of a target lies on the other side of 0 than its logit.
#[inline(always)]
fn wrong_side<T: Float>(logit: T, target: T) -> T {
    if logit > T::ZERO { T::ONE - target } else { target }
}

/// `factor · value`, where a factor of 0 leaves an infinite value out.
#[inline(always)]
fn weighted<T: Float>(factor: T, value: T) -> T {
    if factor == T::ZERO && value.magnitude() == T::HIGHEST { T::ZERO } else { factor * value }
}

/// What each sample's loss and gradient need to know.
struct Rows<'a, T, I> {
    logits: &'a [T],
    target: &'a [I],
    weight: Option<&'a [T]>,
    weight_sum: T,
    smoothing: T,
    ignored: Option<i64>,
    /// What the gradients are divided by.
    divisor: T,
    classes: usize,
}

impl<T: Float, I: Native> Rows<'_, T, I> {
    /// The loss of one sample before division, and its gradient where `out` is given.
    fn row(&self, sample: usize, out: Option<&mut [T]>) -> T {
        let row = &self.logits[sample * self.classes..][..self.classes];
        let label = self.target[sample].to_i64();
        if Some(label) == self.ignored {
            if let Some(out) = out {
                out.fill(T::ZERO);
            }
            return T::ZERO;
        }
        let label = label as usize;
        let weight = self.weight.map_or(T::ONE, |weight| weight[label]);
        let keep = (T::ONE - self.smoothing) * weight;
        let spread = self.smoothing / T::from_f64(self.classes as f64);
        let maximum = largest(row);
        let sum = match out {
            None => sum_of_exponentials(row, maximum),
            Some(out) => {
                let sum = exponentials(row, maximum, out);
                let inverse = T::ONE / (sum * self.divisor);
                if spread == T::ZERO {
                    scale(out, keep * inverse);
                } else if let Some(weights) = self.weight {
                    smooth(out, (keep + spread * self.weight_sum) * inverse, weights, spread / self.divisor);
                } else {
                    smooth_evenly(out, (keep + self.smoothing) * inverse, spread / self.divisor);
                }
                out[label] = out[label] - keep / self.divisor;
                sum
            }
        };
        // −ln p of a logit: the shift goes first, since `maximum + ln(sum)` may lose all of the logarithm.
        let log_sum = ln(sum);
        let missed = |logit: T| log_sum - (logit - maximum);
        let mut loss = weighted(keep, missed(row[label]));
        if spread > T::ZERO {
            let weight = |class: usize| self.weight.map_or(T::ONE, |weight| weight[class]);
            // One after another, so in `f64`: there may be many classes.
            let all: f64 =
                row.iter().enumerate().map(|(class, &logit)| weighted(weight(class), missed(logit)).wide()).sum();
            loss += spread * T::from_f64(all);
        }
        loss
    }
}

pub(crate) fn cross_entropy(
    parallel: &Parallel,
    device: Device,
    attributes: &CrossEntropy,
    inputs: &[Tensor],
    metas: &[Meta],
) -> Result<Outputs, Failure> {
    with_index!(inputs[1].dtype(), I => match inputs[0].dtype() {
        DType::F32 => cross_entropy_of::<f32, I>(parallel, device, attributes, inputs, metas),
        DType::F64 => cross_entropy_of::<f64, I>(parallel, device, attributes, inputs, metas),
        _ => Err(Failure::Unknown("cross_entropy")),
    })
}

fn cross_entropy_of<T: Float, I: Native>(
    parallel: &Parallel,
    device: Device,
    attributes: &CrossEntropy,
    inputs: &[Tensor],
    metas: &[Meta],
) -> Result<Outputs, Failure> {
    let whole = inputs.iter().map(|input| made_contiguous(parallel, device, input.clone()));
    let whole: Vec<Tensor> = whole.collect::<Result<_, _>>()?;
    let (samples, classes) = (inputs[0].dims()[0], inputs[0].dims()[1]);
    let target = contiguous::<I>(&whole[1]).unwrap_or(&[]);
    let labels = || target.iter().map(|label| label.to_i64());
    let weight = whole.get(2).and_then(contiguous::<T>);
    for (sample, label) in labels().enumerate() {
        if Some(label) != attributes.ignore_index && !(0..classes as i64).contains(&label) {
            return Err(Failure::Input(Error::argument(
                "cross_entropy",
                format!("target {label} of sample {sample} is no class of {classes}"),
                "Use class indices from 0 up to the number of classes, or set `ignore_index`",
            )));
        }
    }
    let counted = || labels().filter(|&label| Some(label) != attributes.ignore_index);
    let total = match weight {
        Some(weight) => counted().map(|label| weight[label as usize].wide()).sum::<f64>(),
        None => counted().count() as f64,
    };
    let mean = attributes.reduction == ReductionKind::Mean;
    let rows = Rows {
        logits: contiguous::<T>(&whole[0]).unwrap_or(&[]),
        target,
        weight,
        weight_sum: weight.map_or(T::from_f64(classes as f64), reduce::sum),
        smoothing: T::from_f64(attributes.label_smoothing.get()),
        ignored: attributes.ignore_index,
        divisor: T::from_f64(if mean { total } else { 1.0 }),
        classes,
    };

    let mut buffer = Buffer::of::<T>(samples)?;
    let losses = buffer.as_mut_slice::<T>();
    let mut outputs = Outputs::new();
    // Samples a thread works on at a time.
    let chunk = CHUNK.div_ceil(classes);
    if attributes.with_gradient {
        let gradient = create::<T>(device, &metas[1], |gradient| {
            parallel.chunk_pairs(losses, gradient, chunk, classes, 0.8, |start, losses, gradient| {
                for (step, (loss, out)) in losses.iter_mut().zip(gradient.chunks_mut(classes)).enumerate() {
                    *loss = rows.row(start + step, Some(out));
                }
            });
        })?;
        outputs.push(gradient);
    } else {
        parallel.chunks(losses, chunk, 0.8 * classes as f64, |start, losses| {
            losses.iter_mut().enumerate().for_each(|(step, loss)| *loss = rows.row(start + step, None));
        });
    }
    outputs.insert(0, reduced(device, &metas[0], attributes.reduction, losses, rows.divisor)?);
    Ok(outputs)
}

/// The loss tensor from the loss of each sample.
fn reduced<T: Float>(
    device: Device,
    meta: &Meta,
    reduction: ReductionKind,
    values: &[T],
    divisor: T,
) -> Result<Tensor, OutOfMemory> {
    create::<T>(device, meta, |out| match reduction {
        ReductionKind::None => out.copy_from_slice(values),
        ReductionKind::Sum => out[0] = reduce::sum(values),
        ReductionKind::Mean => out[0] = reduce::sum(values) / divisor,
    })
}

pub(crate) fn binary_cross_entropy(
    parallel: &Parallel,
    device: Device,
    attributes: &BinaryCrossEntropy,
    inputs: &[Tensor],
    metas: &[Meta],
) -> Result<Outputs, Failure> {
    match inputs[0].dtype() {
        DType::F32 => Ok(binary_cross_entropy_of::<f32>(parallel, device, attributes, inputs, metas)?),
        DType::F64 => Ok(binary_cross_entropy_of::<f64>(parallel, device, attributes, inputs, metas)?),
        _ => Err(Failure::Unknown("binary_cross_entropy_with_logits")),
    }
}

fn binary_cross_entropy_of<T: Float>(
    parallel: &Parallel,
    device: Device,
    attributes: &BinaryCrossEntropy,
    inputs: &[Tensor],
    metas: &[Meta],
) -> Result<Outputs, OutOfMemory> {
    let whole =
        [made_contiguous(parallel, device, inputs[0].clone())?, made_contiguous(parallel, device, inputs[1].clone())?];
    let [logits, target] = whole.each_ref().map(|tensor| contiguous::<T>(tensor).unwrap_or(&[]));
    let mean = attributes.reduction == ReductionKind::Mean;
    let divisor = T::from_f64(if mean { logits.len() as f64 } else { 1.0 });
    let mut buffer = Buffer::of::<T>(logits.len())?;
    let values = buffer.as_mut_slice::<T>();
    let mut outputs = Outputs::new();
    if attributes.with_gradient {
        outputs.push(create::<T>(device, &metas[1], |gradients| {
            parallel.chunk_pairs(values, gradients, CHUNK, 1, 2.0, |start, values, gradients| {
                let end = start + values.len();
                binary_values_and_gradients(
                    &logits[start..end],
                    &target[start..end],
                    values,
                    gradients,
                    T::ONE / divisor,
                );
            });
        })?);
    } else {
        parallel.chunks(values, CHUNK, 1.5, |start, values| {
            let end = start + values.len();
            binary_values(&logits[start..end], &target[start..end], values);
        });
    }
    outputs.insert(0, reduced(device, &metas[0], attributes.reduction, values, divisor)?);
    Ok(outputs)
}
