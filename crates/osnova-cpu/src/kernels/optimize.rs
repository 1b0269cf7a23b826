//! Optimizer updates: every parameter of a model in one pass, in place.

use super::float::Float;
use super::movement::{made_contiguous, owned};
use super::tiles::Stored;
use crate::memory::{OutOfMemory, vec_for};
use crate::native::Native;
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{contiguous, elements, writable};
use half::{bf16, f16};
use osnova_tensor::{DType, Device, Inputs, Optimize, Outputs, Tensor};

/// Elements of a parameter a thread updates at a time.
const CHUNK: usize = 1 << 13;

/// One piece of a parameter with its gradient, stored as `P`, and its state, kept in what `P` is computed in.
struct Piece<'a, P: Stored> {
    parameter: &'a mut [P],
    gradient: &'a [P],
    states: [&'a mut [P::Compute]; 3],
}

/// The numbers of an Adam step that are the same for every element.
#[derive(Clone, Copy)]
struct AdamStep<T> {
    beta1: T,
    beta2: T,
    epsilon: T,
    /// Added to the gradient, times the parameter.
    penalty: T,
    /// What the parameter is multiplied by first.
    shrink: T,
    /// Learning rate / (1 − β₁ᵗ).
    step: T,
    /// 1/√(1 − β₂ᵗ).
    spread: T,
}

/// The numbers of a gradient-descent step that are the same for every element.
#[derive(Clone, Copy)]
struct DescentStep<T> {
    learning_rate: T,
    momentum: T,
    /// What the gradient enters the velocity with.
    factor: T,
    penalty: T,
    nesterov: bool,
}

/// The numbers of a step along Adam's moments that are the same for every element.
#[derive(Clone, Copy)]
struct MomentsStep<T> {
    beta1: T,
    beta2: T,
    /// Added to the gradient, times the parameter.
    penalty: T,
    /// What the parameter is multiplied by first.
    shrink: T,
    /// What the gradient and the first moment enter the step with.
    direction: [T; 2],
    /// What √v is multiplied by, and what is added to it.
    size: [T; 2],
}

/// The numbers of a step of AdaGrad or RMSprop that are the same for every element.
#[derive(Clone, Copy)]
struct ScaledStep<T> {
    learning_rate: T,
    /// The share of the averages that stays, and that of the new value.
    shares: [T; 2],
    epsilon: T,
    momentum: T,
    penalty: T,
}

/// The numbers of a step of Lion that are the same for every element.
#[derive(Clone, Copy)]
struct SignStep<T> {
    learning_rate: T,
    beta1: T,
    beta2: T,
    shrink: T,
}

/// The mean square after one more gradient.
#[inline(always)]
fn mean_square<T: Float>(v: T, g: T, with: ScaledStep<T>) -> T {
    with.shares[0] * v + with.shares[1] * g * g
}

simd_dispatch! {
    fn moments[S]<P, T>(parameter: &mut [P], gradient: &[P], first: &mut [T], second: &mut [T], with: MomentsStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for (((p, &g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
            let value = p.load() * with.shrink;
            let g = g.load() + with.penalty * value;
            *m = with.beta1 * *m + (T::ONE - with.beta1) * g;
            *v = with.beta2 * *v + (T::ONE - with.beta2) * g * g;
            let direction = with.direction[0] * g + with.direction[1] * *m;
            *p = P::store(value - direction / (v.sqrt::<S>() * with.size[0] + with.size[1]));
        }
    }

    fn scale[S]<P, T>(parameter: &mut [P], gradient: &[P], second: &mut [T], with: ScaledStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for ((p, &g), v) in parameter.iter_mut().zip(gradient).zip(second) {
            let value = p.load();
            let g = g.load() + with.penalty * value;
            *v = mean_square(*v, g, with);
            *p = P::store(value - with.learning_rate * (g / (v.sqrt::<S>() + with.epsilon)));
        }
    }

    fn scale_with_momentum[S]<P, T>(parameter: &mut [P], gradient: &[P], second: &mut [T], velocity: &mut [T], with: ScaledStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for (((p, &g), v), b) in parameter.iter_mut().zip(gradient).zip(second).zip(velocity) {
            let value = p.load();
            let g = g.load() + with.penalty * value;
            *v = mean_square(*v, g, with);
            *b = with.momentum * *b + g / (v.sqrt::<S>() + with.epsilon);
            *p = P::store(value - with.learning_rate * *b);
        }
    }

    fn scale_centred[S]<P, T>(parameter: &mut [P], gradient: &[P], second: &mut [T], mean: &mut [T], with: ScaledStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for (((p, &g), v), m) in parameter.iter_mut().zip(gradient).zip(second).zip(mean) {
            let value = p.load();
            let g = g.load() + with.penalty * value;
            *v = mean_square(*v, g, with);
            *m = with.shares[0] * *m + with.shares[1] * g;
            // Rounding may leave a variance below 0.
            let spread = (*v - *m * *m).positive().sqrt::<S>();
            *p = P::store(value - with.learning_rate * (g / (spread + with.epsilon)));
        }
    }

    fn scale_centred_with_momentum[S]<P, T>(parameter: &mut [P], gradient: &[P], states: [&mut [T]; 3], with: ScaledStep<T>) where [P: Stored<Compute = T>, T: Float] {
        let [second, mean, velocity] = states;
        for ((((p, &g), v), m), b) in parameter.iter_mut().zip(gradient).zip(second).zip(mean).zip(velocity) {
            let value = p.load();
            let g = g.load() + with.penalty * value;
            *v = mean_square(*v, g, with);
            *m = with.shares[0] * *m + with.shares[1] * g;
            let spread = (*v - *m * *m).positive().sqrt::<S>();
            *b = with.momentum * *b + g / (spread + with.epsilon);
            *p = P::store(value - with.learning_rate * *b);
        }
    }

    fn step_by_sign[S]<P, T>(parameter: &mut [P], gradient: &[P], first: &mut [T], with: SignStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for ((p, &g), m) in parameter.iter_mut().zip(gradient).zip(first) {
            let g = g.load();
            let direction = (with.beta1 * *m + (T::ONE - with.beta1) * g).sign();
            *p = P::store(p.load() * with.shrink - with.learning_rate * direction);
            *m = with.beta2 * *m + (T::ONE - with.beta2) * g;
        }
    }

    fn adam[S]<P, T>(parameter: &mut [P], gradient: &[P], first: &mut [T], second: &mut [T], with: AdamStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for (((p, &g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
            let value = p.load() * with.shrink;
            let g = g.load() + with.penalty * value;
            *m = with.beta1 * *m + (T::ONE - with.beta1) * g;
            *v = with.beta2 * *v + (T::ONE - with.beta2) * g * g;
            *p = P::store(value - with.step * *m / (v.sqrt::<S>() * with.spread + with.epsilon));
        }
    }

    fn amsgrad[S]<P, T>(parameter: &mut [P], gradient: &[P], first: &mut [T], second: &mut [T], largest: &mut [T], with: AdamStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for ((((p, &g), m), v), top) in parameter.iter_mut().zip(gradient).zip(first).zip(second).zip(largest) {
            let value = p.load() * with.shrink;
            let g = g.load() + with.penalty * value;
            *m = with.beta1 * *m + (T::ONE - with.beta1) * g;
            *v = with.beta2 * *v + (T::ONE - with.beta2) * g * g;
            *top = top.max(*v);
            *p = P::store(value - with.step * *m / (top.sqrt::<S>() * with.spread + with.epsilon));
        }
    }

    fn descend[S]<P, T>(parameter: &mut [P], gradient: &[P], with: DescentStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for (p, &g) in parameter.iter_mut().zip(gradient) {
            let value = p.load();
            *p = P::store(value - with.learning_rate * (g.load() + with.penalty * value));
        }
    }

    fn descend_with_momentum[S]<P, T>(parameter: &mut [P], gradient: &[P], velocity: &mut [T], with: DescentStep<T>) where [P: Stored<Compute = T>, T: Float] {
        for ((p, &g), v) in parameter.iter_mut().zip(gradient).zip(velocity) {
            let value = p.load();
            let g = g.load() + with.penalty * value;
            *v = with.momentum * *v + with.factor * g;
            let direction = if with.nesterov { g + with.momentum * *v } else { *v };
            *p = P::store(value - with.learning_rate * direction);
        }
    }
}

/// Whether there is a kernel for this kind of update.
pub(crate) fn knows(attributes: &Optimize) -> bool {
    matches!(
        attributes,
        Optimize::Sgd { .. }
            | Optimize::Adam { .. }
            | Optimize::Moments { .. }
            | Optimize::AdaGrad { .. }
            | Optimize::RmsProp { .. }
            | Optimize::Lion { .. }
    )
}

/// Whether the kernel takes these inputs: parameters and gradients of one dtype.
pub(crate) fn fits(attributes: &Optimize, inputs: &[Tensor]) -> bool {
    let dtype = inputs.get(1).map_or(DType::F32, Tensor::dtype);
    let mut groups = inputs[1..].chunks(2 + attributes.states());
    dtype.is_float() && groups.all(|group| group.iter().take(2).all(|input| input.dtype() == dtype))
}

/// The update; `None` for kinds and dtypes without a kernel.
pub(crate) fn optimize(
    parallel: &Parallel,
    device: Device,
    attributes: &Optimize,
    inputs: Inputs,
) -> Result<Option<Outputs>, OutOfMemory> {
    match inputs.get(1).map(Tensor::dtype).filter(|_| knows(attributes)) {
        None if inputs.len() < 2 => Ok(Some(Outputs::new())),
        Some(DType::F32) => update::<f32>(parallel, device, attributes, inputs).map(Some),
        Some(DType::F64) => update::<f64>(parallel, device, attributes, inputs).map(Some),
        Some(DType::F16) => update::<f16>(parallel, device, attributes, inputs).map(Some),
        Some(DType::BF16) => update::<bf16>(parallel, device, attributes, inputs).map(Some),
        _ => Ok(None),
    }
}

fn update<P>(parallel: &Parallel, device: Device, attributes: &Optimize, inputs: Inputs) -> Result<Outputs, OutOfMemory>
where
    P: Stored<Compute: Float>,
{
    let states = attributes.states();
    let mut inputs = inputs.into_iter();
    let scalars: Vec<f64> = match inputs.next() {
        Some(scalars) if scalars.dtype() == DType::F64 => {
            scalars.layout().positions().map(|at| elements::<f64>(&scalars)[at]).collect()
        }
        Some(scalars) => scalars.layout().positions().map(|at| elements::<f32>(&scalars)[at] as f64).collect(),
        None => Vec::new(),
    };
    let mut outputs = Outputs::new();
    let mut gradients = Vec::new();
    while let (Some(parameter), Some(gradient)) = (inputs.next(), inputs.next()) {
        outputs.push(owned::<P>(parallel, device, parameter)?);
        gradients.push(made_contiguous(parallel, device, gradient)?);
        for state in inputs.by_ref().take(states) {
            outputs.push(owned::<P::Compute>(parallel, device, state)?);
        }
    }

    let count = gradients.iter().map(|gradient: &Tensor| gradient.count().div_ceil(CHUNK)).sum();
    let mut pieces = vec_for(count)?;
    let mut total = 0;
    for (group, gradient) in outputs.chunks_mut(1 + states).zip(&gradients) {
        let gradient = contiguous::<P>(gradient).unwrap_or(&[]);
        total += gradient.len();
        let Some((parameter, kept)) = group.split_first_mut() else { continue };
        let mut kept = kept.iter_mut().map(|tensor| writable(tensor).unwrap_or_default().chunks_mut(CHUNK));
        let (mut first, mut second, mut third) = (kept.next(), kept.next(), kept.next());
        let parameters = writable::<P>(parameter).unwrap_or_default().chunks_mut(CHUNK);
        for (parameter, gradient) in parameters.zip(gradient.chunks(CHUNK)) {
            pieces.push(Piece {
                parameter,
                gradient,
                states: [&mut first, &mut second, &mut third]
                    .map(|state| state.as_mut().and_then(Iterator::next).unwrap_or_default()),
            });
        }
    }
    let number = |value: f64| <P::Compute as Native>::from_f64(value);
    let scalar = |index: usize| scalars.get(index).copied().unwrap_or(f64::NAN);
    match *attributes {
        Optimize::Sgd { momentum, nesterov, weight_decay } => {
            let with = DescentStep {
                learning_rate: number(scalar(0)),
                momentum: number(momentum.get()),
                factor: number(scalar(1)),
                penalty: number(weight_decay.get()),
                nesterov,
            };
            parallel.items(&mut pieces, 0.6 * total as f64, |piece| {
                let [velocity, ..] = &mut piece.states;
                if states == 0 {
                    descend(piece.parameter, piece.gradient, with);
                } else {
                    descend_with_momentum(piece.parameter, piece.gradient, velocity, with);
                }
            });
        }
        Optimize::Adam { beta1, beta2, epsilon, weight_decay, decoupled, amsgrad: largest } => {
            let decay = weight_decay.get();
            let with = AdamStep {
                beta1: number(beta1.get()),
                beta2: number(beta2.get()),
                epsilon: number(epsilon.get()),
                penalty: number(if decoupled { 0.0 } else { decay }),
                shrink: number(if decoupled { 1.0 - scalar(0) * decay } else { 1.0 }),
                step: number(scalar(0) / scalar(1)),
                spread: number(1.0 / scalar(2).sqrt()),
            };
            parallel.items(&mut pieces, 1.0 * total as f64, |piece| {
                let [first, second, top] = &mut piece.states;
                if largest {
                    amsgrad(piece.parameter, piece.gradient, first, second, top, with);
                } else {
                    adam(piece.parameter, piece.gradient, first, second, with);
                }
            });
        }
        Optimize::Moments { beta1, beta2, weight_decay, decoupled } => {
            let decay = weight_decay.get();
            let with = MomentsStep {
                beta1: number(beta1.get()),
                beta2: number(beta2.get()),
                penalty: number(if decoupled { 0.0 } else { decay }),
                shrink: number(if decoupled { 1.0 - scalar(0) * decay } else { 1.0 }),
                direction: [number(scalar(1)), number(scalar(2))],
                size: [number(scalar(3)), number(scalar(4))],
            };
            parallel.items(&mut pieces, 1.0 * total as f64, |piece| {
                let [first, second, _] = &mut piece.states;
                moments(piece.parameter, piece.gradient, first, second, with);
            });
        }
        Optimize::AdaGrad { epsilon, weight_decay } => {
            let with = ScaledStep {
                learning_rate: number(scalar(0)),
                shares: [number(1.0); 2],
                epsilon: number(epsilon.get()),
                momentum: number(0.0),
                penalty: number(weight_decay.get()),
            };
            parallel.items(&mut pieces, 0.8 * total as f64, |piece| {
                let [second, ..] = &mut piece.states;
                scale(piece.parameter, piece.gradient, second, with);
            });
        }
        Optimize::RmsProp { decay, epsilon, momentum, centred, weight_decay } => {
            let with = ScaledStep {
                learning_rate: number(scalar(0)),
                shares: [number(decay.get()), number(1.0 - decay.get())],
                epsilon: number(epsilon.get()),
                momentum: number(momentum.get()),
                penalty: number(weight_decay.get()),
            };
            parallel.items(&mut pieces, 1.0 * total as f64, |Piece { parameter, gradient, states }| {
                match (centred, momentum.get() != 0.0, states) {
                    (false, false, [second, ..]) => scale(parameter, gradient, second, with),
                    (false, true, [second, velocity, _]) => {
                        scale_with_momentum(parameter, gradient, second, velocity, with);
                    }
                    (true, false, [second, mean, _]) => scale_centred(parameter, gradient, second, mean, with),
                    (true, true, states) => {
                        let states = states.each_mut().map(|state| &mut **state);
                        scale_centred_with_momentum(parameter, gradient, states, with);
                    }
                }
            });
        }
        Optimize::Lion { beta1, beta2, weight_decay } => {
            let with = SignStep {
                learning_rate: number(scalar(0)),
                beta1: number(beta1.get()),
                beta2: number(beta2.get()),
                shrink: number(1.0 - scalar(0) * weight_decay.get()),
            };
            parallel.items(&mut pieces, 0.6 * total as f64, |piece| {
                let [first, ..] = &mut piece.states;
                step_by_sign(piece.parameter, piece.gradient, first, with);
            });
        }
        // `optimize` has turned away what has no kernel.
        _ => {}
    }
    Ok(outputs)
}
