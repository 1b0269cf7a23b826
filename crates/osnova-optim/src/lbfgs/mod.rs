//! LBFGS: Newton's method with a curvature learned from the last gradients.

mod line_search;

use crate::core::not_negative;
use crate::{Optimizer, OptimizerState};
use line_search::{Trial, strong_wolfe};
use osnova_nn::{Module, Param, StateDict, StateDictMismatch};
use osnova_tensor::{Device, Error, Gradients, Meta, Result, Shape, Tensor};
use std::collections::VecDeque;

const NAME: &str = "lbfgs";
/// A pair of less curvature than this is not learned from: the approximation must stay positive.
const LEAST_CURVATURE: f64 = 1e-10;

/// Limited-memory BFGS (Liu & Nocedal 1989), for small problems whose loss is computed on all data: a step looks at the
/// loss several times and goes a long way.
///
/// Of the last pairs s (steps) and y (differences of gradients) it approximates the inverse of the Hessian H, and goes
/// along d = −H⁻¹g: by the learning rate, or as far as [`strong_wolfe`](Self::strong_wolfe) finds good. As PyTorch's
/// `LBFGS`.
///
/// ```
/// use osnova_autodiff::AutodiffDevice;
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Module, Param};
/// use osnova_optim::Lbfgs;
/// use osnova_tensor::{Device, Result, Tensor};
///
/// #[derive(Module)]
/// struct Point { x: Param }
///
/// # fn main() -> Result<()> {
/// // Rosenbrock's banana-shaped valley, from its usual start to its minimum at (1, 1).
/// let mut point = Point { x: Param::new(Tensor::new([-1.2f64, 1.0], Device::cpu().autodiff())?)? };
/// let mut optimizer = Lbfgs::new(1.0).strong_wolfe(true);
/// for _ in 0..5 {
///     optimizer.step_with(&mut point, |point| {
///         let (x, y) = (point.x.select(0, 0)?, point.x.select(0, 1)?);
///         ((y - x.square()?)?.square()? * 100.0)? + (1.0 - x)?.square()?
///     })?;
/// }
/// let distance = (point.x.value() - 1.0)?.abs()?.max(.., false)?.item()?;
/// assert!(distance < 1e-3, "{distance}");
/// # Ok(())
/// # }
/// ```
///
/// All parameters must have one dtype and be on one device; those of `f16` and `bf16` are computed with in `f32` and
/// rounded after each iteration, and the rounding is part of the steps that curvature is learned from. There are no
/// groups and no weight decay (add a penalty to the loss). Parameters without a gradient count as having one of 0. The
/// memory is 2·`history` times the parameters.
///
/// As an [`Optimizer`], in a `Trainer` say, it makes one iteration of its own learning rate for each gradient it is
/// given; a line search needs the loss, and so [`step_with`](Self::step_with).
#[derive(Clone, Debug)]
pub struct Lbfgs {
    learning_rate: f64,
    max_iterations: usize,
    max_evaluations: Option<usize>,
    gradient_tolerance: f64,
    change_tolerance: f64,
    history: usize,
    strong_wolfe: bool,
    memory: Memory,
}

/// A step and the difference of gradients it made.
#[derive(Clone, Debug)]
struct Pair {
    step: Tensor,
    difference: Tensor,
    /// y·s
    curvature: f64,
    /// y·s / y·y, the size of the inverse Hessian.
    scale: f64,
}

impl Pair {
    /// `None` if nothing can be learned from it.
    fn new(step: Tensor, difference: Tensor) -> Result<Option<Self>> {
        let curvature = dot(&difference, &step)?;
        let scale = curvature / dot(&difference, &difference)?;
        // The squares of large gradients may be infinite.
        let learned = curvature > LEAST_CURVATURE && curvature.is_finite() && scale > 0.0 && scale.is_finite();
        Ok(learned.then_some(Self { step, difference, curvature, scale }))
    }
}

/// What is known of the curvature. All tensors are flat: all trainable parameters in the model's order.
#[derive(Clone, Debug, Default)]
struct Memory {
    iterations: u64,
    pairs: VecDeque<Pair>,
    /// The step of the last iteration, and the gradient before it.
    last: Option<(Tensor, Tensor)>,
}

impl Lbfgs {
    /// With at most 20 iterations a step, a history of 100 pairs, tolerances of 1e-7 (gradient) and 1e-9 (change),
    /// without line search. A learning rate of 1 is usual.
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            max_iterations: 20,
            max_evaluations: None,
            gradient_tolerance: 1e-7,
            change_tolerance: 1e-9,
            history: 100,
            strong_wolfe: false,
            memory: Memory::default(),
        }
    }

    /// How many iterations a step may make; at least 1.
    pub fn max_iterations(mut self, iterations: usize) -> Self {
        self.max_iterations = iterations.max(1);
        self
    }

    /// How often a step may evaluate the loss: 1.25 times the iterations unless said otherwise.
    pub fn max_evaluations(mut self, evaluations: usize) -> Self {
        self.max_evaluations = Some(evaluations);
        self
    }

    /// A step ends when no element of the gradient is larger.
    pub fn gradient_tolerance(mut self, tolerance: f64) -> Self {
        self.gradient_tolerance = tolerance;
        self
    }

    /// A step ends when neither a parameter nor the loss has changed by more.
    pub fn change_tolerance(mut self, tolerance: f64) -> Self {
        self.change_tolerance = tolerance;
        self
    }

    /// How many pairs it remembers; at least 1.
    pub fn history(mut self, pairs: usize) -> Self {
        self.history = pairs.max(1);
        self
    }

    /// Searches along each direction for a length that satisfies the strong Wolfe conditions: it takes evaluations, and
    /// needs no luck with the learning rate.
    pub fn strong_wolfe(mut self, search: bool) -> Self {
        self.strong_wolfe = search;
        self
    }

    /// Some iterations on the loss that `loss` computes of the model, always on the same data. Gives the loss before
    /// them.
    ///
    /// # Errors
    /// Whatever `loss` reports; a loss or a gradient that is not finite, at the start or, without a line search, after
    /// an iteration; parameters of several dtypes or devices; another model than before. The model then has the
    /// parameters of the last good iteration.
    pub fn step_with<M: Module + ?Sized>(
        &mut self,
        model: &mut M,
        mut loss: impl FnMut(&M) -> Result<Tensor>,
    ) -> Result<f64> {
        self.check()?;
        let mut evaluate = |model: &M| {
            let loss = loss(model)?;
            let gradient = flat_gradient(&model.parameters(), &loss.backward()?)?;
            Ok::<_, Box<Error>>((loss.item()?, gradient))
        };
        let (first, mut gradient) = evaluate(model)?;
        finite(first, &gradient, "before the first iteration", "Start from other parameters, or look for bad data")?;
        self.memory.recognise(&gradient)?;
        let (mut loss, mut evaluations) = (first, 1);
        if largest(&gradient)? <= self.gradient_tolerance {
            return Ok(first);
        }
        let budget = self.max_evaluations.unwrap_or(self.max_iterations.saturating_add(self.max_iterations / 4));
        for iteration in 1..=self.max_iterations {
            let known = self.memory.clone();
            let direction = self.memory.direction(&gradient, self.history)?;
            let slope = dot(&gradient, &direction)?;
            if !slope.is_finite() {
                self.memory = known;
                let problem = "the slope along the direction leaves the range of the dtype";
                return Err(Error::argument(NAME, problem, "Scale the loss down, or train in f64"));
            }
            let mut length = self.first_length(&gradient)?;
            if slope > -self.change_tolerance {
                self.memory.last = Some(((&direction * length)?, gradient));
                break;
            }
            let (start, before) = (flat_values(&model.parameters())?, (loss, gradient.clone()));
            let set =
                |model: &mut M, length: f64| set_flat(&mut model.parameters_mut(), &(&start + (&direction * length)?)?);
            let moved = if self.strong_wolfe {
                let trial = Trial { length: 0.0, loss, slope, gradient: gradient.clone() };
                let shortest = self.change_tolerance / largest(&direction)?;
                let found = strong_wolfe(&trial, length, shortest, budget.saturating_sub(evaluations), |length| {
                    set(model, length)?;
                    let (loss, gradient) = evaluate(model)?;
                    Ok(Trial { length, loss, slope: dot(&gradient, &direction)?, gradient })
                });
                found.map(|(found, trials)| {
                    evaluations += trials;
                    (length, loss, gradient) = (found.length, found.loss, found.gradient);
                })
            } else if iteration < self.max_iterations {
                evaluations += 1;
                set(model, length).and_then(|()| evaluate(model)).and_then(|after| {
                    (loss, gradient) = after;
                    finite(
                        loss,
                        &gradient,
                        "after an iteration",
                        "Lower the learning rate, or use `strong_wolfe(true)`",
                    )
                })
            } else {
                // The loss there is the next step's business.
                Ok(())
            };
            if let Err(error) = moved {
                self.memory = known;
                set_flat(&mut model.parameters_mut(), &start)?;
                return Err(error);
            }
            set(model, length)?;
            let step = taken(&model.parameters(), &start, (&direction * length)?)?;
            let change = largest(&step)?;
            self.memory.last = Some((step, before.1));
            if iteration == self.max_iterations
                || evaluations >= budget
                || largest(&gradient)? <= self.gradient_tolerance
                || change <= self.change_tolerance
                || (loss - before.0).abs() < self.change_tolerance
            {
                break;
            }
        }
        Ok(first)
    }

    fn check(&self) -> Result<()> {
        not_negative(NAME, "the learning rate", self.learning_rate)?;
        not_negative(NAME, "the tolerance of gradients", self.gradient_tolerance)?;
        not_negative(NAME, "the tolerance of changes", self.change_tolerance)
    }

    /// How far to go along a direction, or to try first. The first direction is the gradient, whose length says
    /// nothing.
    fn first_length(&self, gradient: &Tensor) -> Result<f64> {
        if self.memory.iterations > 1 {
            return Ok(self.learning_rate);
        }
        let sum = gradient.abs()?.sum(.., false)?.item()?;
        Ok(self.learning_rate * sum.recip().min(1.0))
    }
}

impl Memory {
    fn recognise(&self, gradient: &Tensor) -> Result<()> {
        match &self.last {
            Some((step, _)) if step.shape() != gradient.shape() || step.dtype() != gradient.dtype() => {
                Err(Error::argument(
                    NAME,
                    format!(
                        "it has learned the curvature of {} trainable numbers of {}, the model has {} of {}",
                        step.count(),
                        step.dtype(),
                        gradient.count(),
                        gradient.dtype()
                    ),
                    "Use one optimizer for each model, and a new one when layers are frozen or unfrozen",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Learns from the last step and gives the direction of the next one, by the two loops of Nocedal 1980.
    fn direction(&mut self, gradient: &Tensor, history: usize) -> Result<Tensor> {
        self.iterations = self.iterations.saturating_add(1);
        if let Some((step, before)) = &self.last {
            let difference = (gradient - before)?;
            if let Some(pair) = Pair::new(step.clone(), difference)? {
                self.pairs.push_back(pair);
                while self.pairs.len() > history {
                    self.pairs.pop_front();
                }
            }
        }
        let mut direction = gradient.neg()?;
        // The weights of the pairs stay on the device: nothing waits for it.
        let mut weights = Vec::with_capacity(self.pairs.len());
        for Pair { step, difference, curvature, .. } in self.pairs.iter().rev() {
            let weight = ((step * &direction)?.sum(.., false)? / *curvature)?;
            direction = (direction - (difference * &weight)?)?;
            weights.push(weight);
        }
        if let Some(Pair { scale, .. }) = self.pairs.back() {
            direction = (direction * *scale)?;
        }
        for (Pair { step, difference, curvature, .. }, weight) in self.pairs.iter().zip(weights.into_iter().rev()) {
            let other = ((difference * &direction)?.sum(.., false)? / *curvature)?;
            direction = (direction + (step * (weight - other)?)?)?;
        }
        Ok(direction)
    }
}

impl Optimizer for Lbfgs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()> {
        self.check()?;
        if self.strong_wolfe {
            return Err(Error::argument(
                NAME,
                "a line search needs the loss at several places, and `step` is given one gradient",
                "Call `step_with` with a closure that computes the loss, or leave out `strong_wolfe(true)`",
            ));
        }
        let gradient = flat_gradient(&model.parameters(), gradients)?;
        self.memory.recognise(&gradient)?;
        let mut memory = self.memory.clone();
        let direction = memory.direction(&gradient, self.history)?;
        std::mem::swap(&mut self.memory, &mut memory);
        let moved = self.first_length(&gradient).and_then(|length| {
            let (start, step) = (flat_values(&model.parameters())?, (direction * length)?);
            set_flat(&mut model.parameters_mut(), &(&start + &step)?)?;
            taken(&model.parameters(), &start, step)
        });
        match moved {
            Ok(step) => self.memory.last = Some((step, gradient)),
            Err(error) => {
                self.memory = memory;
                return Err(error);
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn state_dict(&self) -> OptimizerState {
        let Memory { iterations, pairs, last } = &self.memory;
        let mut tensors = StateDict::new();
        if let Some((step, gradient)) = last {
            tensors.insert("last_step", step.clone());
            tensors.insert("last_gradient", gradient.clone());
        }
        for (index, pair) in pairs.iter().enumerate() {
            tensors.insert(format!("steps.{index}"), pair.step.clone());
            tensors.insert(format!("differences.{index}"), pair.difference.clone());
        }
        let steps = if *iterations > 0 { vec![("all".to_owned(), *iterations)] } else { Vec::new() };
        OptimizerState { optimizer: NAME.to_owned(), learning_rate: self.learning_rate, steps, tensors }
    }

    fn load_state_dict(&mut self, model: &dyn Module, state: &OptimizerState) -> Result<()> {
        state.check(NAME)?;
        let Layout { meta, device } = Layout::of(&model.parameters())?;
        let mut expected = Vec::new();
        let mut iterations = 0;
        let mut mismatch = StateDictMismatch::default();
        for (name, steps) in &state.steps {
            match name.as_str() {
                "all" => iterations = *steps,
                _ => mismatch.unexpected.push(format!("{name}.step")),
            }
        }
        // The pairs are as many as there are; each must be whole.
        let pairs = state.tensors.names().filter(|name| name.starts_with("steps.")).count();
        if iterations > 0 {
            expected.extend(["last_step".to_owned(), "last_gradient".to_owned()].map(|name| (name, meta)));
            for index in 0..pairs {
                expected.extend([format!("steps.{index}"), format!("differences.{index}")].map(|name| (name, meta)));
            }
        }
        let tensors = StateDictMismatch::between(&expected, &state.tensors);
        mismatch.unexpected.extend(tensors.unexpected);
        mismatch.missing = tensors.missing;
        mismatch.shapes = tensors.shapes;
        mismatch.dtypes = tensors.dtypes;
        if !mismatch.is_empty() {
            return Err(mismatch.into());
        }
        let mut memory = Memory { iterations, ..Memory::default() };
        let tensor = |name: &str| state.tensors.get(name).map(|tensor| tensor.detach().to_device(device)).transpose();
        if let (Some(step), Some(gradient)) = (tensor("last_step")?, tensor("last_gradient")?) {
            memory.last = Some((step, gradient));
        }
        for index in 0..pairs {
            let pair = (tensor(&format!("steps.{index}"))?, tensor(&format!("differences.{index}"))?);
            let (Some(step), Some(difference)) = pair else { continue };
            let Some(pair) = Pair::new(step, difference)? else {
                let problem = format!("the state's pair {index} has no positive curvature");
                return Err(Error::argument("load_state_dict", problem, "The state is damaged: load another one"));
            };
            memory.pairs.push_back(pair);
        }
        self.memory = memory;
        self.learning_rate = state.learning_rate;
        Ok(())
    }
}

/// What all trainable parameters look like as one vector, in the dtype that is computed in.
struct Layout {
    meta: Meta,
    device: Device,
}

impl Layout {
    fn of(parameters: &[&Param]) -> Result<Self> {
        let mut trainable = parameters.iter().filter(|parameter| parameter.is_trainable());
        let Some(first) = trainable.next() else {
            let advice = "Unfreeze some, or give a model with parameters";
            return Err(Error::argument(NAME, "the model has no trainable parameter", advice));
        };
        let (dtype, device) = (first.dtype(), first.device().without_recording());
        let mut count = first.count();
        for parameter in trainable {
            count += parameter.count();
            if parameter.device().without_recording() != device {
                let (left, right) = (device.name(), parameter.device().without_recording().name());
                return Err(Box::new(Error::Devices { operation: NAME, left, right }));
            }
            if parameter.dtype() != dtype {
                let problem = "the parameters have several dtypes, and all become one vector";
                return Err(Error::dtype(NAME, [dtype, parameter.dtype()], problem, "Give all of them one dtype"));
            }
        }
        Ok(Self { meta: Meta::new(Shape::new(&[count])?, dtype.accumulator()), device })
    }
}

fn flat_gradient(parameters: &[&Param], gradients: &Gradients) -> Result<Tensor> {
    let Layout { device, .. } = Layout::of(parameters)?;
    let (mut parts, mut found) = (Vec::with_capacity(parameters.len()), false);
    for parameter in parameters.iter().filter(|parameter| parameter.is_trainable()) {
        let Meta { shape, dtype } = parameter.meta();
        let wide = dtype.accumulator();
        let part = match gradients.get(parameter.tensor()) {
            None => Tensor::zeros(shape, wide, device)?,
            Some(gradient) if *gradient.shape() == shape && [dtype, wide].contains(&gradient.dtype()) => {
                found = true;
                gradient.detach().to_dtype(wide)?
            }
            Some(gradient) => {
                return Err(Error::shape(
                    NAME,
                    [shape, *gradient.shape()],
                    format!("a gradient of {} does not fit its parameter of {dtype}", gradient.dtype()),
                    "Keep a gradient's shape and dtype when you change it",
                ));
            }
        };
        parts.push(part.reshape([-1])?);
    }
    if !found {
        return Err(Error::gradient(
            NAME,
            "no trainable parameter of the model has a gradient here",
            "Compute the loss from this very model, on a recording device (`device.autodiff()`)",
        ));
    }
    Tensor::concat(&parts, 0)
}

fn flat_values(parameters: &[&Param]) -> Result<Tensor> {
    let trainable = parameters.iter().filter(|parameter| parameter.is_trainable());
    let flat = |parameter: &&Param| parameter.value().to_dtype(parameter.dtype().accumulator())?.reshape([-1]);
    let parts: Vec<Tensor> = trainable.map(flat).collect::<Result<_>>()?;
    Tensor::concat(&parts, 0)
}

fn set_flat(parameters: &mut [&mut Param], values: &Tensor) -> Result<()> {
    let mut start = 0;
    for parameter in parameters.iter_mut().filter(|parameter| parameter.is_trainable()) {
        let (Meta { shape, dtype }, count) = (parameter.meta(), parameter.count());
        parameter.set_value(values.narrow(0, start, count)?.reshape(shape.dims())?.to_dtype(dtype)?)?;
        start += count;
    }
    Ok(())
}

/// The step that parameters took from `start`: with half types not quite the `step` that was meant.
fn taken(parameters: &[&Param], start: &Tensor, step: Tensor) -> Result<Tensor> {
    let rounded = parameters.iter().any(|parameter| parameter.dtype() != parameter.dtype().accumulator());
    if rounded { flat_values(parameters)? - start } else { Ok(step) }
}

/// An error unless the loss and its gradient are finite.
fn finite(loss: f64, gradient: &Tensor, when: &str, advice: &str) -> Result<()> {
    let problem = if !loss.is_finite() {
        format!("the loss is {loss} {when}")
    } else if !largest(gradient)?.is_finite() {
        format!("the gradient is not finite {when}")
    } else {
        return Ok(());
    };
    Err(Error::argument(NAME, problem, advice))
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    (a * b)?.sum(.., false)?.item()
}

/// The largest absolute value, 0 of nothing.
fn largest(tensor: &Tensor) -> Result<f64> {
    tensor.abs()?.max(.., false)?.maximum(0.0)?.item()
}
