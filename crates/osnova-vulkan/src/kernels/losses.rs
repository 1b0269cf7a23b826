//! Cross-entropies, with the gradient from the same pass over the logits.
//!
//! A mean or a sum is made in two steps: each workgroup adds up the losses of its samples, and one workgroup adds up these sums. Where there
//! is only one workgroup, it makes the loss at once. How many there are depends on the shapes alone, so that two runs give the same bits.

use super::rows::Teams;
use super::{index_kind, scalar_words, shader};
use crate::engine::{ELEMENTS_PER_THREAD, Engine, Place, THREADS, Words};
use crate::faults::{Verdicts, Watch};
use crate::walk::Walk;
use osnova_tensor::{
    BinaryCrossEntropy, CrossEntropy, DType, Device, Meta, Outputs, ReductionKind, Result, Scalar, Shape, Tensor,
};
use smallvec::smallvec;

/// Workgroups that make sums at most: enough to fill a large GPU, few enough for one workgroup to add them up in a few steps.
const MOST_SUMS: u32 = 1024;
/// Workgroups that add up the weights of samples at most: every workgroup of the loss adds up their sums, one a thread.
const MOST_PARTS: u32 = THREADS;
/// Samples a thread should have there.
const SAMPLES_PER_THREAD: u32 = 8;

/// What becomes of the values of samples, numbered as in the shaders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// They are the loss.
    Each,
    /// Each workgroup makes a sum.
    Sums,
    /// The only workgroup makes the loss.
    Loss,
}

impl Outcome {
    /// Of values that would take `groups` workgroups; and how many these are to be.
    fn new(reduction: ReductionKind, groups: u32) -> (Self, u32) {
        match (reduction, groups) {
            (ReductionKind::None, _) => (Self::Each, groups.max(1)),
            (_, 0 | 1) => (Self::Loss, 1),
            _ => (Self::Sums, groups.min(MOST_SUMS)),
        }
    }

    /// Where the values go.
    fn values(self, engine: &Engine, device: Device, groups: u32, loss: &Meta) -> Result<Tensor> {
        if self == Self::Sums { numbers(engine, device, groups, loss.dtype) } else { engine.create(device, loss) }
    }

    /// The loss from what the workgroups made.
    fn loss(self, engine: &Engine, device: Device, values: Tensor, divisor: &Divisor, meta: &Meta) -> Result<Tensor> {
        if self == Self::Sums { total(engine, device, &values, divisor, meta) } else { Ok(values) }
    }
}

/// What a mean is divided by.
enum Divisor {
    Number(f64),
    /// The sum of these.
    Parts(Tensor),
}

impl Divisor {
    fn parts(&self) -> u32 {
        match self {
            Self::Number(_) => 0,
            Self::Parts(parts) => parts.count() as u32,
        }
    }

    fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Parts(_) => 1.0,
        }
    }

    /// To be bound; a divisor that is a number holds the binding's place by something else.
    fn place(&self, engine: &Engine, filler: &Place) -> Result<Place> {
        match self {
            Self::Number(_) => Ok(*filler),
            Self::Parts(parts) => engine.input(parts),
        }
    }
}

fn number_words(number: f64, dtype: DType) -> [u32; 2] {
    scalar_words(Scalar::from(number), dtype.accumulator())
}

/// Numbers of the dtype that `dtype` is computed in.
fn numbers(engine: &Engine, device: Device, count: u32, dtype: DType) -> Result<Tensor> {
    engine.create(device, &Meta::new(Shape::new(&[count as usize])?, dtype.accumulator()))
}

/// The loss from the sums of the workgroups.
fn total(engine: &Engine, device: Device, sums: &Tensor, divisor: &Divisor, meta: &Meta) -> Result<Tensor> {
    let output = engine.create(device, meta)?;
    let source = engine.input(sums)?;
    engine
        .shader(shader!("loss_total", meta.dtype))
        .whole_subgroups()
        .bind(&engine.output(&output)?)
        .bind(&source)
        .bind(&divisor.place(engine, &source)?)
        .words(&[sums.count() as u32, divisor.parts()])
        .words(&number_words(divisor.number(), meta.dtype))
        .groups(1)?;
    Ok(output)
}

/// Start and strides of a tensor, as words.
fn lie(place: &Place, tensor: &Tensor) -> Words {
    let mut words = Words::new();
    words.push(place.start);
    words.extend(tensor.layout().strides().iter().map(|&stride| stride as i32 as u32));
    words
}

pub(crate) fn cross_entropy(
    engine: &Engine,
    device: Device,
    attributes: &CrossEntropy,
    inputs: &[Tensor],
    metas: &[Meta],
    verdicts: &mut Verdicts,
) -> Result<Outputs> {
    let (logits, target) = (&inputs[0], &inputs[1]);
    let (dtype, classes) = (logits.dtype(), logits.shape()[1]);
    let samples = engine.count(target.count())?;
    // Positions in the gradient must fit too.
    engine.count(logits.count())?;
    let (source, labels) = (engine.input(logits)?, engine.input(target)?);
    // What there is no use for is bound to some buffer and not read.
    let weights = inputs.get(2).map_or(Ok(source), |weight| engine.input(weight))?;
    let weight_lie = inputs.get(2).map_or(smallvec![0, 0], |weight| lie(&weights, weight));
    let ignored = attributes.ignore_index.unwrap_or(0) as u64;
    let ignored = [ignored as u32, (ignored >> 32) as u32];
    let kind = index_kind(engine, "cross_entropy", target)?;

    let divisor = if attributes.reduction != ReductionKind::Mean {
        Divisor::Number(1.0)
    } else if attributes.weighted || attributes.ignore_index.is_some() {
        let groups = samples.div_ceil(THREADS * SAMPLES_PER_THREAD).clamp(1, MOST_PARTS);
        let parts = numbers(engine, device, groups, dtype)?;
        engine
            .shader(shader!("sample_weight", dtype))
            .constant(attributes.weighted)
            .constant(attributes.ignore_index.is_some())
            .constant(kind)
            .whole_subgroups()
            .bind(&engine.output(&parts)?)
            .bind(&labels)
            .bind(&weights)
            .words(&[samples, classes as u32])
            .words(&lie(&labels, target))
            .words(&weight_lie)
            .words(&ignored)
            .groups(groups)?;
        Divisor::Parts(parts)
    } else {
        Divisor::Number(f64::from(samples))
    };

    let teams = Teams::new(classes, 1);
    let (outcome, groups) = Outcome::new(attributes.reduction, teams.groups(samples));
    let values = outcome.values(engine, device, groups, &metas[0])?;
    let gradient = metas.get(1).map(|meta| engine.create(device, meta)).transpose()?;
    let values_place = engine.output(&values)?;
    let gradient_place = gradient.as_ref().map_or(Ok(values_place), |gradient| engine.output(gradient))?;
    let smoothing = attributes.label_smoothing.get();
    let slot = engine.watch(Watch { operation: "cross_entropy", axis: 1, size: classes }, verdicts)?;
    let dispatch = engine.shader(shader!("cross_entropy", dtype)).constant(attributes.with_gradient);
    let mut dispatch = teams
        .constants(dispatch)
        .constant(outcome as u32)
        .constant(smoothing > 0.0)
        .constant(attributes.weighted)
        .constant(attributes.ignore_index.is_some())
        .constant(divisor.parts() > 0)
        .constant(kind)
        .whole_subgroups()
        .bind(&values_place)
        .bind(&gradient_place)
        .bind(&source)
        .bind(&labels)
        .bind(&weights)
        .bind(&divisor.place(engine, &source)?)
        .bind(&engine.faults())
        .words(&[samples, classes as u32])
        .words(&lie(&source, logits))
        .words(&lie(&labels, target))
        .words(&weight_lie)
        .words(&[slot.number()])
        .words(&ignored)
        .words(&[divisor.parts()]);
    for number in [1.0 - smoothing, smoothing / classes as f64, classes as f64, divisor.number()] {
        dispatch = dispatch.words(&number_words(number, dtype));
    }
    dispatch.watched(slot).groups(groups)?;

    let mut outputs: Outputs = smallvec![outcome.loss(engine, device, values, &divisor, &metas[0])?];
    outputs.extend(gradient);
    Ok(outputs)
}

pub(crate) fn binary_cross_entropy(
    engine: &Engine,
    device: Device,
    attributes: &BinaryCrossEntropy,
    inputs: &[Tensor],
    metas: &[Meta],
) -> Result<Outputs> {
    let (logits, target) = (&inputs[0], &inputs[1]);
    let dtype = logits.dtype();
    let count = engine.count(logits.count())?;
    let divisor = if attributes.reduction == ReductionKind::Mean { f64::from(count) } else { 1.0 };
    let (outcome, groups) = Outcome::new(attributes.reduction, count.div_ceil(THREADS * ELEMENTS_PER_THREAD));
    let values = outcome.values(engine, device, groups, &metas[0])?;
    let gradient = metas.get(1).map(|meta| engine.create(device, meta)).transpose()?;
    let walk = Walk::new(logits.shape(), [logits.layout(), target.layout()]);
    let (source, labels, values_place) = (engine.input(logits)?, engine.input(target)?, engine.output(&values)?);
    let gradient_place = gradient.as_ref().map_or(Ok(values_place), |gradient| engine.output(gradient))?;
    engine
        .shader(shader!("binary_cross_entropy", dtype))
        .constant(walk.is_linear())
        .constant(attributes.with_gradient)
        .constant(outcome as u32)
        .whole_subgroups()
        .bind(&values_place)
        .bind(&gradient_place)
        .bind(&source)
        .bind(&labels)
        .words(&[count])
        .words(&number_words(1.0 / divisor, dtype))
        .words(&number_words(divisor, dtype))
        .words(&walk.words([&source, &labels]))
        .groups(groups)?;
    let divisor = Divisor::Number(divisor);
    let mut outputs: Outputs = smallvec![outcome.loss(engine, device, values, &divisor, &metas[0])?];
    outputs.extend(gradient);
    Ok(outputs)
}
