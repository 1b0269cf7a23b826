//! One step of each optimizer, by primitives.

use crate::{Error, Optimize, Outputs, Real, Result, Tensor};

/// The updated parameters and states of all groups, each group in one dtype: half types have become `f32` before.
pub(super) fn optimize(attributes: &Optimize, inputs: &[Tensor]) -> Result<Outputs> {
    let mut outputs = Outputs::new();
    for members in inputs[1..].chunks_exact(2 + attributes.states()) {
        let group = Group {
            scalars: inputs[0].to_dtype(members[0].dtype())?,
            parameter: members[0].clone(),
            gradient: members[1].clone(),
            states: &members[2..],
        };
        let (parameter, states) = group.step(attributes)?;
        outputs.push(parameter);
        outputs.extend(states);
    }
    Ok(outputs)
}

/// A parameter with all that its step depends on.
struct Group<'a> {
    scalars: Tensor,
    parameter: Tensor,
    gradient: Tensor,
    states: &'a [Tensor],
}

/// The parameter and its states after a step.
type Stepped = Result<(Tensor, Outputs)>;

impl Group<'_> {
    fn step(self, attributes: &Optimize) -> Stepped {
        match *attributes {
            Optimize::Sgd { momentum, nesterov, weight_decay } => {
                self.decayed(weight_decay, false)?.descend(momentum.get(), nesterov)
            }
            Optimize::Adam { beta1, beta2, epsilon, weight_decay, decoupled, amsgrad } => {
                self.decayed(weight_decay, decoupled)?.adam(beta1.get(), beta2.get(), epsilon.get(), amsgrad)
            }
            Optimize::Moments { beta1, beta2, weight_decay, decoupled } => {
                self.decayed(weight_decay, decoupled)?.moments(beta1.get(), beta2.get())
            }
            Optimize::AdaGrad { epsilon, weight_decay } => self.decayed(weight_decay, false)?.adagrad(epsilon.get()),
            Optimize::RmsProp { decay, epsilon, momentum, centred, weight_decay } => {
                self.decayed(weight_decay, false)?.rmsprop(decay.get(), epsilon.get(), momentum.get(), centred)
            }
            Optimize::Lion { beta1, beta2, weight_decay } => {
                self.decayed(weight_decay, true)?.lion(beta1.get(), beta2.get())
            }
            Optimize::Unknown => Err(Error::unknown(self.parameter.device().name(), "unknown")),
        }
    }

    fn scalar(&self, index: usize) -> Result<Tensor> {
        self.scalars.select(0, index as isize)
    }

    /// With the weight decay in: on the parameter, if decoupled, else on the gradient.
    fn decayed(mut self, weight_decay: Real, decoupled: bool) -> Result<Self> {
        let decay = weight_decay.get();
        if decay != 0.0 && decoupled {
            self.parameter = (&self.parameter - (&self.parameter * (self.scalar(0)? * decay)?)?)?;
        } else if decay != 0.0 {
            self.gradient = (&self.gradient + (&self.parameter * decay)?)?;
        }
        Ok(self)
    }

    /// The parameter after a step of the learning rate along `direction`.
    fn moved(&self, direction: &Tensor) -> Result<Tensor> {
        &self.parameter - (direction * self.scalar(0)?)?
    }

    fn descend(self, momentum: f64, nesterov: bool) -> Stepped {
        let [previous] = self.states else { return Ok((self.moved(&self.gradient)?, Outputs::new())) };
        let velocity = ((previous * momentum)? + (&self.gradient * self.scalar(1)?)?)?;
        let direction = if nesterov { (&self.gradient + (&velocity * momentum)?)? } else { velocity.clone() };
        Ok((self.moved(&direction)?, Outputs::from_iter([velocity])))
    }

    fn adam(self, beta1: f64, beta2: f64, epsilon: f64, amsgrad: bool) -> Stepped {
        let first = average(&self.states[0], &self.gradient, beta1)?;
        let second = average(&self.states[1], &self.gradient.square()?, beta2)?;
        let largest = if amsgrad { Some(self.states[2].maximum(&second)?) } else { None };
        let spread = (largest.as_ref().unwrap_or(&second) / self.scalar(2)?)?.sqrt()?;
        let step = ((&first / self.scalar(1)?)? / (spread + epsilon)?)?;
        Ok((self.moved(&step)?, [first, second].into_iter().chain(largest).collect()))
    }

    fn moments(self, beta1: f64, beta2: f64) -> Stepped {
        let first = average(&self.states[0], &self.gradient, beta1)?;
        let second = average(&self.states[1], &self.gradient.square()?, beta2)?;
        let direction = ((&self.gradient * self.scalar(1)?)? + (&first * self.scalar(2)?)?)?;
        let size = ((second.sqrt()? * self.scalar(3)?)? + self.scalar(4)?)?;
        Ok(((&self.parameter - (direction / size)?)?, Outputs::from_iter([first, second])))
    }

    fn adagrad(self, epsilon: f64) -> Stepped {
        let second = (&self.states[0] + self.gradient.square()?)?;
        let step = (&self.gradient / (second.sqrt()? + epsilon)?)?;
        Ok((self.moved(&step)?, Outputs::from_iter([second])))
    }

    fn rmsprop(self, decay: f64, epsilon: f64, momentum: f64, centred: bool) -> Stepped {
        let second = average(&self.states[0], &self.gradient.square()?, decay)?;
        let mut states = Outputs::from_iter([second.clone()]);
        let mut spread = second;
        if centred {
            let mean = average(&self.states[1], &self.gradient, decay)?;
            // Rounding may leave a variance below 0.
            spread = (spread - mean.square()?)?.maximum(0.0)?;
            states.push(mean);
        }
        let mut step = (&self.gradient / (spread.sqrt()? + epsilon)?)?;
        if momentum != 0.0 {
            step = ((&self.states[states.len()] * momentum)? + step)?;
            states.push(step.clone());
        }
        Ok((self.moved(&step)?, states))
    }

    fn lion(self, beta1: f64, beta2: f64) -> Stepped {
        let direction = average(&self.states[0], &self.gradient, beta1)?.sign()?;
        Ok((self.moved(&direction)?, Outputs::from_iter([average(&self.states[0], &self.gradient, beta2)?])))
    }
}

/// The exponential moving average after one more value.
fn average(previous: &Tensor, value: &Tensor, stays: f64) -> Result<Tensor> {
    (previous * stays)? + (value * (1.0 - stays))?
}
