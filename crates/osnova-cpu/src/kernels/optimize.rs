//! Optimizer updates: every parameter of a model in one pass, in place.

use super::float::Float;
use super::movement::{made_contiguous, owned};
use crate::parallel::Parallel;
use crate::simd_dispatch;
use crate::storage::{contiguous, elements, writable};
use osnova_tensor::{DType, Device, Inputs, Optimize, Outputs, Tensor};

/// Elements of a parameter a thread updates at a time.
const CHUNK: usize = 1 << 13;

/// One piece of a parameter with its gradient and state.
struct Piece<'a, T> {
    parameter: &'a mut [T],
    gradient: &'a [T],
    states: [&'a mut [T]; 3],
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

simd_dispatch! {
    fn adam[S]<T>(parameter: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], with: AdamStep<T>) where [T: Float] {
        for (((p, &g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
            let value = *p * with.shrink;
            let g = g + with.penalty * value;
            *m = with.beta1 * *m + (T::ONE - with.beta1) * g;
            *v = with.beta2 * *v + (T::ONE - with.beta2) * g * g;
            *p = value - with.step * *m / (v.sqrt::<S>() * with.spread + with.epsilon);
        }
    }

    fn amsgrad[S]<T>(parameter: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], largest: &mut [T], with: AdamStep<T>) where [T: Float] {
        for ((((p, &g), m), v), top) in parameter.iter_mut().zip(gradient).zip(first).zip(second).zip(largest) {
            let value = *p * with.shrink;
            let g = g + with.penalty * value;
            *m = with.beta1 * *m + (T::ONE - with.beta1) * g;
            *v = with.beta2 * *v + (T::ONE - with.beta2) * g * g;
            *top = top.max(*v);
            *p = value - with.step * *m / (top.sqrt::<S>() * with.spread + with.epsilon);
        }
    }

    fn descend[S]<T>(parameter: &mut [T], gradient: &[T], with: DescentStep<T>) where [T: Float] {
        for (p, &g) in parameter.iter_mut().zip(gradient) {
            *p = *p - with.learning_rate * (g + with.penalty * *p);
        }
    }

    fn descend_with_momentum[S]<T>(parameter: &mut [T], gradient: &[T], velocity: &mut [T], with: DescentStep<T>) where [T: Float] {
        for ((p, &g), v) in parameter.iter_mut().zip(gradient).zip(velocity) {
            let g = g + with.penalty * *p;
            *v = with.momentum * *v + with.factor * g;
            let direction = if with.nesterov { g + with.momentum * *v } else { *v };
            *p = *p - with.learning_rate * direction;
        }
    }
}

/// The update; `None` for dtypes without a kernel.
pub(crate) fn optimize(parallel: &Parallel, device: Device, attributes: &Optimize, inputs: Inputs) -> Option<Outputs> {
    match inputs.get(1).map(Tensor::dtype) {
        None => Some(Outputs::new()),
        Some(DType::F32) => Some(update::<f32>(parallel, device, attributes, inputs)),
        Some(DType::F64) => Some(update::<f64>(parallel, device, attributes, inputs)),
        _ => None,
    }
}

fn update<T: Float>(parallel: &Parallel, device: Device, attributes: &Optimize, inputs: Inputs) -> Outputs {
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
        outputs.push(owned::<T>(parallel, device, parameter));
        gradients.push(made_contiguous(parallel, device, gradient));
        outputs.extend(inputs.by_ref().take(states).map(|state| owned::<T>(parallel, device, state)));
    }

    let mut pieces = Vec::new();
    let mut total = 0;
    for (group, gradient) in outputs.chunks_mut(1 + states).zip(&gradients) {
        let gradient = contiguous::<T>(gradient).unwrap_or(&[]);
        total += gradient.len();
        let mut members = group.iter_mut().map(|tensor| writable::<T>(tensor).unwrap_or_default().chunks_mut(CHUNK));
        let (Some(parameters), mut first, mut second, mut third) =
            (members.next(), members.next(), members.next(), members.next())
        else {
            continue;
        };
        for (parameter, gradient) in parameters.zip(gradient.chunks(CHUNK)) {
            pieces.push(Piece {
                parameter,
                gradient,
                states: [&mut first, &mut second, &mut third]
                    .map(|state| state.as_mut().and_then(Iterator::next).unwrap_or_default()),
            });
        }
    }
    let number = |value: f64| T::from_f64(value);
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
            parallel.items(pieces, 0.6 * total as f64, |piece| {
                let [velocity, ..] = piece.states;
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
            parallel.items(pieces, 1.0 * total as f64, |piece| {
                let [first, second, top] = piece.states;
                if largest {
                    amsgrad(piece.parameter, piece.gradient, first, second, top, with);
                } else {
                    adam(piece.parameter, piece.gradient, first, second, with);
                }
            });
        }
        // A kind that this backend does not know is not claimed.
        _ => {}
    }
    outputs
}
