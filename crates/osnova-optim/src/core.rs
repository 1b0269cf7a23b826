//! What all optimizers but LBFGS share: which parameter has which state, and one operation for all of them.

use crate::OptimizerState;
use osnova_nn::{Module, Param, StateDict, StateDictMismatch};
use osnova_tensor::{DType, Device, Error, Gradients, HostData, Inputs, Meta, Op, Optimize, Outputs, Result, Tensor};
use smallvec::SmallVec;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// What an operation is told that changes from step to step.
pub(crate) type Scalars = SmallVec<[f64; 5]>;

/// The state tensors of a parameter.
pub(crate) type States = SmallVec<[Tensor; 3]>;

/// The formula of an optimizer and its settings.
pub(crate) trait Rule: Clone + Debug + Send {
    const NAME: &'static str;
    /// The names of the state tensors of a parameter.
    fn states(&self, parameter: Meta) -> &'static [&'static str];
    /// The shape and dtype of a state tensor: the parameter's shape, unless written otherwise, and the dtype that is
    /// computed in. States of half types are kept in `f32`: the square of a small gradient is 0 in f16.
    fn state_meta(&self, state: &str, parameter: Meta) -> Meta {
        let _ = state;
        Meta::new(parameter.shape, parameter.dtype.accumulator())
    }
    /// What states hold before the first step.
    fn initial(&self) -> f64 {
        0.0
    }
    /// How the parameters are changed in this step.
    fn update(&self, step: Step) -> Update<'_>;
    /// Finds settings out of range.
    fn check(&self) -> Result<()>;
}

/// A step of parameters that have everything in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    /// Counted from 1.
    pub(crate) number: u64,
}

/// How parameters are changed.
pub(crate) enum Update<'a> {
    /// All in one pass and in place, where the device has a kernel.
    Operation(Optimize, Scalars),
    /// One after another, by operations on tensors.
    Formula(&'a dyn Formula),
}

/// An update written on tensors.
pub(crate) trait Formula {
    /// The parameter and its states after a step.
    fn apply(&self, parameter: &Tensor, gradient: &Tensor, states: &[Tensor], step: Step) -> Result<(Tensor, States)>;
}

/// Settings for some of the parameters, chosen by name.
///
/// ```
/// use osnova_optim::{AdamW, Group};
/// // No decay on biases; the pretrained encoder learns ten times more slowly.
/// let optimizer = AdamW::new(1e-3)
///     .group(Group::new(|name| name.ends_with("bias")).weight_decay(0.0))
///     .group(Group::new(|name| name.starts_with("encoder.")).learning_rate_factor(0.1));
/// ```
#[derive(Clone)]
pub struct Group {
    chooses: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    learning_rate_factor: f64,
    weight_decay: Option<f64>,
}

impl Group {
    /// The parameters whose dotted name fits. Of several groups that fit a parameter the first one counts.
    pub fn new(chooses: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { chooses: Arc::new(chooses), learning_rate_factor: 1.0, weight_decay: None }
    }

    /// Their learning rate as a multiple of the optimizer's, so that a schedule moves both.
    pub fn learning_rate_factor(mut self, factor: f64) -> Self {
        self.learning_rate_factor = factor;
        self
    }

    /// Their own weight decay.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = Some(weight_decay);
        self
    }
}

impl Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("learning_rate_factor", &self.learning_rate_factor)
            .field("weight_decay", &self.weight_decay)
            .finish_non_exhaustive()
    }
}

/// What is kept for a parameter. Slots stand in the order in which the model is visited.
#[derive(Clone, Debug)]
struct Slot {
    name: String,
    meta: Meta,
    /// Which group, if any.
    group: Option<usize>,
    steps: u64,
    /// Empty until the first step.
    states: States,
}

impl Slot {
    /// Counts steps; at the largest number the count stands still, where no formula tells it from the next.
    fn count(&mut self, steps: u64) {
        self.steps = self.steps.saturating_add(steps);
    }
}

/// What the parameters of one operation have in common.
#[derive(Clone, Copy, PartialEq)]
struct Batch {
    group: Option<usize>,
    steps: u64,
    dtype: DType,
    device: Device,
}

/// An optimizer but for its name.
#[derive(Clone)]
pub(crate) struct Core<R> {
    pub(crate) rule: R,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    pub(crate) groups: Vec<Group>,
    slots: Vec<Slot>,
    /// Stands in for a parameter while the device works on it.
    placeholder: Option<Tensor>,
}

impl<R: Debug> Debug for Core<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("rule", &self.rule)
            .field("learning_rate", &self.learning_rate)
            .field("weight_decay", &self.weight_decay)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

impl<R: Rule> Core<R> {
    pub(crate) fn new(rule: R, learning_rate: f64, weight_decay: f64) -> Self {
        Self { rule, learning_rate, weight_decay, groups: Vec::new(), slots: Vec::new(), placeholder: None }
    }

    pub(crate) fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()> {
        self.check()?;
        if self.slots.is_empty() {
            self.slots = self.bind(model);
        }
        let mut parameters = model.parameters_mut();
        self.recognise(&parameters)?;
        let mut waiting = self.match_gradients(&parameters, gradients)?;
        if waiting.is_empty() {
            return Err(Error::gradient(
                R::NAME,
                "no trainable parameter of the model has a gradient here",
                "Take the gradients of a loss that this very model computed on a recording device (`device.autodiff()`), and give them to `step` once",
            ));
        }
        // Nearly always all parameters go together; those unfrozen later have taken fewer steps.
        while let Some(&(first, _)) = waiting.first() {
            let batch = self.batch(first, parameters[first]);
            let rest = waiting.iter().position(|&(index, _)| self.batch(index, parameters[index]) != batch);
            let members = match rest {
                None => std::mem::take(&mut waiting),
                Some(_) => {
                    let (members, rest) =
                        waiting.into_iter().partition(|&(index, _)| self.batch(index, parameters[index]) == batch);
                    waiting = rest;
                    members
                }
            };
            self.update(batch, &members, &mut parameters)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        not_negative(R::NAME, "the learning rate", self.learning_rate)?;
        not_negative(R::NAME, "the weight decay", self.weight_decay)?;
        for group in &self.groups {
            not_negative(R::NAME, "the learning-rate factor of a group", group.learning_rate_factor)?;
            not_negative(R::NAME, "the weight decay of a group", group.weight_decay.unwrap_or(0.0))?;
        }
        self.rule.check()
    }

    /// Fresh slots for a model: the only place that looks at names.
    fn bind(&self, model: &dyn Module) -> Vec<Slot> {
        let slot = |(name, parameter): (String, &Param)| {
            let group = self.groups.iter().position(|group| (group.chooses)(&name));
            Slot { name, meta: parameter.meta(), group, steps: 0, states: States::new() }
        };
        model.named_parameters().into_iter().map(slot).collect()
    }

    fn recognise(&self, parameters: &[&mut Param]) -> Result<()> {
        let known = self.slots.len() == parameters.len()
            && self.slots.iter().zip(parameters).all(|(slot, parameter)| slot.meta == parameter.meta());
        if known {
            return Ok(());
        }
        let first = self.slots.iter().zip(parameters).find(|(slot, parameter)| slot.meta != parameter.meta());
        let problem = match first {
            Some((slot, parameter)) => {
                format!("{} was {} and is {}", slot.name, slot.meta.shape, parameter.shape())
            }
            None => format!("it had {} parameters and has {}", self.slots.len(), parameters.len()),
        };
        Err(Error::argument(
            R::NAME,
            format!("the model is not the one of the step before: {problem}"),
            "Use one optimizer for each model, and a new one when its structure changes",
        ))
    }

    /// The parameters to update with their gradients, which are checked here: later nothing may fail but the device.
    fn match_gradients(&self, parameters: &[&mut Param], gradients: &Gradients) -> Result<Vec<(usize, Tensor)>> {
        let mut matched = Vec::with_capacity(parameters.len());
        for (index, parameter) in parameters.iter().enumerate() {
            if !parameter.is_trainable() {
                continue;
            }
            let Some(gradient) = gradients.get(parameter.tensor()) else { continue };
            let meta = parameter.meta();
            if *gradient.shape() != meta.shape {
                return Err(Error::shape(
                    R::NAME,
                    [meta.shape, *gradient.shape()],
                    format!("the gradient of {} has another shape", self.slots[index].name),
                    "Keep a gradient's shape when you change it",
                ));
            }
            // Gradients of half types may have been added up in more digits.
            if ![meta.dtype, meta.dtype.accumulator()].contains(&gradient.dtype()) {
                return Err(Error::dtype(
                    R::NAME,
                    [meta.dtype, gradient.dtype()],
                    format!("the gradient of {} has another dtype", self.slots[index].name),
                    "Convert it with `to_dtype`",
                ));
            }
            let gradient = gradient.detach();
            let device = parameter.device().without_recording();
            if !device.contains(gradient.device()) {
                let (left, right) = (device.name(), gradient.device().name());
                return Err(Box::new(Error::Devices { operation: R::NAME, left, right }));
            }
            matched.push((index, gradient));
        }
        Ok(matched)
    }

    fn batch(&self, index: usize, parameter: &Param) -> Batch {
        let slot = &self.slots[index];
        Batch {
            group: slot.group,
            steps: slot.steps,
            dtype: slot.meta.dtype,
            device: parameter.device().without_recording(),
        }
    }

    /// Updates parameters that have everything in common.
    fn update(&mut self, batch: Batch, members: &[(usize, Tensor)], parameters: &mut [&mut Param]) -> Result<()> {
        let group = batch.group.map(|group| &self.groups[group]);
        let step = Step {
            learning_rate: self.learning_rate * group.map_or(1.0, |group| group.learning_rate_factor),
            weight_decay: group.and_then(|group| group.weight_decay).unwrap_or(self.weight_decay),
            number: batch.steps.saturating_add(1),
        };
        for &(index, _) in members {
            self.prepare(index, batch.device)?;
        }
        // A formula borrows the rule, an operation changes the slots.
        let rule = self.rule.clone();
        match rule.update(step) {
            Update::Operation(operation, scalars) => self.operate(operation, &scalars, batch, members, parameters),
            Update::Formula(formula) => {
                let mut results = Vec::with_capacity(members.len());
                for (index, gradient) in members {
                    let states = &self.slots[*index].states;
                    results.push(formula.apply(&parameters[*index].value(), gradient, states, step)?);
                }
                for (&(index, _), (value, states)) in members.iter().zip(results) {
                    parameters[index].set_value(value)?;
                    self.slots[index].states = states;
                    self.slots[index].count(1);
                }
                Ok(())
            }
        }
    }

    /// Sees that the states of a parameter are there, on its device.
    fn prepare(&mut self, index: usize, device: Device) -> Result<()> {
        let slot = &mut self.slots[index];
        let names = self.rule.states(slot.meta);
        if slot.states.len() != names.len() {
            let fresh = names.iter().map(|name| {
                let Meta { shape, dtype } = self.rule.state_meta(name, slot.meta);
                Tensor::full(shape, self.rule.initial(), dtype, device)
            });
            slot.states = fresh.collect::<Result<_>>()?;
        } else if slot.states.iter().any(|state| state.device() != device) {
            // The model has moved to another device: its state follows.
            slot.states = slot.states.iter().map(|state| state.to_device(device)).collect::<Result<_>>()?;
        }
        Ok(())
    }

    /// One operation for all members.
    fn operate(
        &mut self,
        operation: Optimize,
        scalars: &[f64],
        Batch { device, dtype, .. }: Batch,
        members: &[(usize, Tensor)],
        parameters: &mut [&mut Param],
    ) -> Result<()> {
        // All that can fail before the parameters are handed over.
        let kept = operation.states();
        let operation = Op::Optimize(operation);
        let count = scalars.len();
        let scalars = match dtype {
            DType::F64 => HostData::F64(scalars.to_vec()),
            _ => HostData::F32(single(R::NAME, scalars)?),
        };
        let scalars = Tensor::from_host(scalars, count, device)?;
        let placeholder = match &self.placeholder {
            Some(tensor) if tensor.device() == device => tensor.clone(),
            _ => self.placeholder.insert(Tensor::zeros(0, DType::F32, device)?).clone(),
        };

        let mut inputs = Inputs::with_capacity(1 + members.len() * (2 + kept));
        inputs.push(scalars);
        for (index, gradient) in members {
            inputs.push(parameters[*index].take_value(placeholder.clone()));
            inputs.push(gradient.clone());
            inputs.extend(self.slots[*index].states.drain(..));
        }
        // A device that runs the update by its parts makes new tensors: there the old ones can be kept meanwhile.
        let backup = (!device.backend().claims(&operation, &inputs)).then(|| inputs.clone());
        match device.apply(&operation, inputs) {
            Ok(outputs) => self.put_back(outputs, kept, members, parameters, 1),
            Err(error) => {
                let Some(mut backup) = backup else {
                    return Err(Error::device(
                        device.name(),
                        format!("the update of the parameters failed half-way: {error}"),
                        "The model's parameters are lost: load the last checkpoint",
                    ));
                };
                // Back to the outputs' order: without the scalars and the gradients.
                backup.remove(0);
                let outputs = backup.into_iter().enumerate().filter(|(place, _)| place % (2 + kept) != 1);
                self.put_back(outputs.map(|(_, tensor)| tensor).collect(), kept, members, parameters, 0)?;
                Err(error)
            }
        }
    }

    /// Gives parameters and slots the tensors `(parameter, states…)…`.
    fn put_back(
        &mut self,
        tensors: Outputs,
        kept: usize,
        members: &[(usize, Tensor)],
        parameters: &mut [&mut Param],
        steps: u64,
    ) -> Result<()> {
        let mut tensors = tensors.into_iter();
        for &(index, _) in members {
            let slot = &mut self.slots[index];
            if let Some(value) = tensors.next() {
                parameters[index].set_value(value)?;
            }
            slot.states.extend(tensors.by_ref().take(kept));
            slot.count(steps);
        }
        Ok(())
    }

    pub(crate) fn state_dict(&self) -> OptimizerState {
        let mut tensors = StateDict::new();
        let mut steps = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.steps > 0) {
            steps.push((slot.name.clone(), slot.steps));
            for (state, tensor) in self.rule.states(slot.meta).iter().zip(&slot.states) {
                tensors.insert(format!("{}.{state}", slot.name), tensor.clone());
            }
        }
        OptimizerState { optimizer: R::NAME.to_owned(), learning_rate: self.learning_rate, steps, tensors }
    }

    pub(crate) fn load_state_dict(&mut self, model: &dyn Module, state: &OptimizerState) -> Result<()> {
        state.check(R::NAME)?;
        let mut slots = self.bind(model);
        let parameters = model.parameters();
        let mut mismatch = StateDictMismatch::default();
        for (name, steps) in &state.steps {
            match slots.iter_mut().find(|slot| slot.name == *name) {
                Some(slot) => slot.steps = *steps,
                None => mismatch.unexpected.push(format!("{name}.step")),
            }
        }
        let mut expected = Vec::new();
        for slot in slots.iter().filter(|slot| slot.steps > 0) {
            let meta = |name: &&str| (format!("{}.{name}", slot.name), self.rule.state_meta(name, slot.meta));
            expected.extend(self.rule.states(slot.meta).iter().map(meta));
        }
        let tensors = StateDictMismatch::between(&expected, &state.tensors);
        mismatch.missing = tensors.missing;
        mismatch.unexpected.extend(tensors.unexpected);
        mismatch.shapes = tensors.shapes;
        mismatch.dtypes = tensors.dtypes;
        if !mismatch.is_empty() {
            return Err(mismatch.into());
        }
        for (slot, parameter) in slots.iter_mut().zip(&parameters).filter(|(slot, _)| slot.steps > 0) {
            let device = parameter.device().without_recording();
            for name in self.rule.states(slot.meta) {
                if let Some(tensor) = state.tensors.get(&format!("{}.{name}", slot.name)) {
                    slot.states.push(tensor.detach().to_device(device)?);
                }
            }
        }
        // A state without steps is that of an optimizer that has not met its model yet.
        self.slots = if state.steps.is_empty() { Vec::new() } else { slots };
        self.learning_rate = state.learning_rate;
        Ok(())
    }
}

/// What changes from step to step, for parameters that are computed in `f32`.
fn single(name: &'static str, scalars: &[f64]) -> Result<Vec<f32>> {
    let single: Vec<f32> = scalars.iter().map(|&scalar| scalar as f32).collect();
    if single.iter().all(|scalar| scalar.is_finite()) {
        return Ok(single);
    }
    Err(Error::argument(
        name,
        format!("the step's numbers {scalars:?} leave the range of f32"),
        "Lower the learning rate",
    ))
}

/// The methods that all optimizers have, from their [`Core`].
macro_rules! optimizer {
    ($optimizer:ty) => {
        impl $optimizer {
            /// Adds settings for some of the parameters. Give groups before the first step.
            pub fn group(mut self, group: $crate::Group) -> Self {
                self.0.groups.push(group);
                self
            }
        }

        impl $crate::Optimizer for $optimizer {
            fn name(&self) -> &'static str {
                fn name<R: $crate::core::Rule>(_: &$crate::core::Core<R>) -> &'static str {
                    R::NAME
                }
                name(&self.0)
            }
            fn step(
                &mut self,
                model: &mut dyn osnova_nn::Module,
                gradients: &osnova_tensor::Gradients,
            ) -> osnova_tensor::Result<()> {
                self.0.step(model, gradients)
            }
            fn learning_rate(&self) -> f64 {
                self.0.learning_rate
            }
            fn set_learning_rate(&mut self, learning_rate: f64) {
                self.0.learning_rate = learning_rate;
            }
            fn state_dict(&self) -> $crate::OptimizerState {
                self.0.state_dict()
            }
            fn load_state_dict(
                &mut self,
                model: &dyn osnova_nn::Module,
                state: &$crate::OptimizerState,
            ) -> osnova_tensor::Result<()> {
                self.0.load_state_dict(model, state)
            }
        }
    };
}
pub(crate) use optimizer;

/// An error unless `value` is finite and not negative, in `f32` too, which most steps are computed in.
pub(crate) fn not_negative(operation: &'static str, what: &str, value: f64) -> Result<()> {
    if (0.0..=f64::from(f32::MAX)).contains(&value) {
        return Ok(());
    }
    Err(Error::argument(operation, format!("{what} is {value}"), "Give a finite number that is not negative"))
}

/// The ε that a denominator gets: at least the smallest normal `f32`, so that where a gradient has always been 0 a step
/// is 0/ε and not 0/0. Beside anything that is not 0 so small a number does not show.
pub(crate) fn positive(epsilon: f64) -> f64 {
    epsilon.max(f64::from(f32::MIN_POSITIVE))
}

/// An error unless `value` lies in `0..1`.
pub(crate) fn share(operation: &'static str, what: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::argument(operation, format!("{what} is {value}"), "Give a number from 0 to below 1"))
}
