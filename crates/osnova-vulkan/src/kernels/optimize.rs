//! Optimizer updates: one pass over each parameter with its gradient and states, in place.
//!
//! The parameters of a model depend on nothing of one another, so that their dispatches need no barrier between them and run side by side.

use super::movement::{copy, made_contiguous};
use super::{elementwise, scalar_words, shader};
use crate::engine::{Engine, Words};
use crate::storage::is_last;
use crate::walk::Walk;
use osnova_tensor::{Device, Inputs, Meta, Op, Optimize, Outputs, Result, Scalar, Tensor};
use smallvec::SmallVec;

/// The numbers of the rules in `shaders/optimize.comp`.
const DESCENT: u32 = 0;
const MOMENTUM: u32 = 1;
const NESTEROV: u32 = 2;
const ADAM: u32 = 3;
const AMSGRAD: u32 = 4;
/// The numbers of what weight decay does there.
const NO_DECAY: u32 = 0;
const ADDED_TO_GRADIENT: u32 = 1;
const SHRINKS_PARAMETER: u32 = 2;

/// Numbers of a rule among the metadata: the weight decay and up to five more.
const NUMBERS: usize = 6;

/// How the shader is to update.
struct Rule {
    kind: u32,
    decay: u32,
    numbers: [f64; NUMBERS],
}

fn rule(attributes: &Optimize) -> Option<Rule> {
    let decays = |weight_decay: f64, how: u32| if weight_decay == 0.0 { NO_DECAY } else { how };
    Some(match *attributes {
        Optimize::Sgd { momentum, nesterov, weight_decay } => {
            let (momentum, weight_decay) = (momentum.get(), weight_decay.get());
            let kind = if momentum == 0.0 {
                DESCENT
            } else if nesterov {
                NESTEROV
            } else {
                MOMENTUM
            };
            let decay = decays(weight_decay, ADDED_TO_GRADIENT);
            Rule { kind, decay, numbers: [weight_decay, momentum, 0.0, 0.0, 0.0, 0.0] }
        }
        Optimize::Adam { beta1, beta2, epsilon, weight_decay, decoupled, amsgrad } => {
            let (beta1, beta2, weight_decay) = (beta1.get(), beta2.get(), weight_decay.get());
            Rule {
                kind: if amsgrad { AMSGRAD } else { ADAM },
                decay: decays(weight_decay, if decoupled { SHRINKS_PARAMETER } else { ADDED_TO_GRADIENT }),
                numbers: [weight_decay, beta1, 1.0 - beta1, beta2, 1.0 - beta2, epsilon.get()],
            }
        }
        _ => return None,
    })
}

/// Whether there is a kernel for this kind of update of these inputs: each gradient is stored as its parameter is.
pub(crate) fn fits(attributes: &Optimize, inputs: &[Tensor]) -> bool {
    let mut groups = inputs.get(1..).unwrap_or_default().chunks_exact(2 + attributes.states());
    rule(attributes).is_some() && groups.all(|group| group[0].dtype() == group[1].dtype())
}

/// A parameter with its states, which the kernel may write to, and its gradient.
struct Group {
    written: SmallVec<[Tensor; 4]>,
    gradient: Tensor,
}

pub(crate) fn optimize(engine: &Engine, device: Device, attributes: &Optimize, inputs: Inputs) -> Result<Outputs> {
    let rule = rule(attributes).ok_or_else(|| engine.unsupported(Op::Optimize(*attributes).name(), None))?;
    let states = attributes.states();
    let mut inputs = inputs.into_iter();
    let Some(scalars) = inputs.next() else { return Ok(Outputs::new()) };
    let scalars = made_contiguous(engine, device, scalars)?;
    // All copies before the first update: no barrier has to stand between two updates then.
    let mut groups = Vec::with_capacity(inputs.len() / (2 + states));
    while let (Some(parameter), Some(gradient)) = (inputs.next(), inputs.next()) {
        let mut written = SmallVec::new();
        written.push(owned(engine, device, parameter)?);
        for state in inputs.by_ref().take(states) {
            written.push(owned(engine, device, state)?);
        }
        groups.push(Group { written, gradient });
    }
    let mut converted: SmallVec<[Tensor; 2]> = SmallVec::new();
    for group in &groups {
        let dtype = group.gradient.dtype().accumulator();
        if converted.iter().all(|known| known.dtype() != dtype) {
            let meta = Meta::new(*scalars.shape(), dtype);
            converted.push(elementwise::cast(engine, device, scalars.clone(), &meta)?);
        }
    }
    for group in &groups {
        let dtype = group.gradient.dtype().accumulator();
        if let Some(scalars) = converted.iter().find(|known| known.dtype() == dtype) {
            update(engine, &rule, scalars, group)?;
        }
    }
    Ok(groups.into_iter().flat_map(|group| group.written).collect())
}

/// The tensor itself if its memory may be written to, else a copy.
fn owned(engine: &Engine, device: Device, mut tensor: Tensor) -> Result<Tensor> {
    if tensor.layout().is_contiguous() && is_last(&mut tensor) {
        return Ok(tensor);
    }
    let output = engine.create(device, &Meta::new(*tensor.shape(), tensor.dtype()))?;
    copy(engine, &tensor, &output)?;
    Ok(output)
}

fn update(engine: &Engine, rule: &Rule, scalars: &Tensor, group: &Group) -> Result<()> {
    let Group { written, gradient } = group;
    let count = engine.count(gradient.count())?;
    if count == 0 {
        return Ok(());
    }
    let walk = Walk::new(gradient.shape(), [gradient.layout()]);
    let source = engine.input(gradient)?;
    let mut places = SmallVec::<[_; 4]>::new();
    for tensor in written {
        places.push(engine.output(tensor)?);
    }
    // The shader touches no state that the rule lacks: the parameter holds its place.
    while places.len() < 4 {
        places.push(places[0]);
    }
    let scalars = engine.input(scalars)?;
    let starts_at_fours = places.iter().chain([&source]).all(|place| place.start % 4 == 0);
    let by_four = starts_at_fours && count % 4 == 0 && gradient.layout().is_contiguous();
    let mut words = Words::new();
    words.push(count);
    words.extend(places.iter().map(|place| place.start));
    words.push(scalars.start);
    let computed = gradient.dtype().accumulator();
    words.extend(rule.numbers.iter().flat_map(|&number| scalar_words(Scalar::from(number), computed)));
    words.extend(walk.words([&source]));
    let dispatch = engine
        .shader(shader!("optimize", gradient.dtype()))
        .constant(walk.is_linear())
        .constant(rule.kind)
        .constant(rule.decay)
        .constant(by_four);
    let dispatch = places.iter().fold(dispatch, |dispatch, place| dispatch.bind(place));
    dispatch.bind(&source).bind(&scalars).words(&words).elements(count)
}

#[cfg(test)]
mod tests {
    use crate::VulkanDevice;
    use crate::storage::block;
    use osnova_tensor::{DType, Device, Inputs, Op, Optimize, Real, Result, Tensor};

    /// None where there is no Vulkan: `tests/core.rs` says so, and fails where somebody insists on it.
    fn device() -> Option<Device> {
        Device::vulkan(0).ok()
    }

    fn adam() -> Op {
        Op::Optimize(Optimize::Adam {
            beta1: Real::new(0.9),
            beta2: Real::new(0.99),
            epsilon: Real::new(1e-3),
            weight_decay: Real::new(0.0),
            decoupled: false,
            amsgrad: true,
        })
    }

    fn inputs(device: Device, dtype: DType, count: usize) -> Result<Inputs> {
        let scalars = Tensor::new([0.1f32, 0.1, 0.01], device)?;
        let mut inputs = Inputs::from_iter([scalars]);
        for start in 1..=5 {
            let values: Vec<f32> = (0..count).map(|index| ((index * start) % 17) as f32 / 8.0).collect();
            // The states are kept in the dtype that is computed in.
            let dtype = if start > 2 { dtype.accumulator() } else { dtype };
            inputs.push(Tensor::from_vec(values, [count], device)?.to_dtype(dtype)?);
        }
        Ok(inputs)
    }

    #[test]
    fn last_handles_are_updated_in_place_and_others_copied() -> Result<()> {
        let Some(device) = device() else { return Ok(()) };
        let buffer = |tensor: &Tensor| block(tensor).map(crate::memory::Block::handle);
        // By four and apart.
        for count in [4096, 1003] {
            let before = inputs(device, DType::F32, count)?;
            // Parameter, means: what is written. The gradient is only read.
            let handles = [1, 3, 4, 5].map(|at| buffer(&before[at]));
            let kept: Inputs = before.iter().cloned().collect();
            let values: Vec<Vec<f32>> = kept.iter().map(Tensor::to_vec).collect::<Result<_>>()?;

            let copies = device.apply(&adam(), before)?;
            assert!(copies.iter().zip(&handles).all(|(copy, handle)| buffer(copy) != *handle));
            for (tensor, values) in kept.iter().zip(&values) {
                assert_eq!(tensor.to_vec::<f32>()?, *values);
            }

            let updated = device.apply(&adam(), kept)?;
            assert!(updated.iter().zip(&handles).all(|(tensor, handle)| buffer(tensor) == *handle));
            for (updated, copy) in updated.iter().zip(&copies) {
                assert_eq!(updated.to_vec::<f32>()?, copy.to_vec::<f32>()?);
            }
        }
        Ok(())
    }

    /// Neither the path by fours nor where a tensor begins changes a bit.
    #[test]
    fn every_path_gives_the_same_bits() -> Result<()> {
        let Some(device) = device() else { return Ok(()) };
        let dtypes = device.capabilities().dtypes;
        for dtype in
            [DType::F32, DType::F16, DType::BF16, DType::F64].into_iter().filter(|&dtype| dtypes.contains(dtype))
        {
            let whole = inputs(device, dtype, 1004)?;
            let cut = |tensor: &Tensor, start: usize| tensor.narrow(0, start, 1000);
            // From 4 on by fours, from 3 on not.
            let [four, apart] = [4, 3].map(|start| -> Result<Vec<Vec<f64>>> {
                let parts = whole[1..].iter().map(|tensor| cut(tensor, start)).collect::<Result<Vec<_>>>()?;
                let mut inputs = Inputs::from_iter([whole[0].clone()]);
                inputs.extend(parts);
                let outputs = device.apply(&adam(), inputs)?;
                outputs.iter().map(|output| Ok(output.to_host()?.to_f64())).collect()
            });
            for (four, apart) in four?.iter().zip(&apart?) {
                assert_eq!(four[..999], apart[1..]);
            }
        }
        Ok(())
    }
}
