//! Averages of the weights along the way, which often predict better than the last weights.

use crate::core::share;
use osnova_nn::{Module, StateDict, StateDictMismatch};
use osnova_tensor::{DType, Device, Error, HostData, Inputs, Meta, Op, Optimize, Real, Result, Tensor};

/// How a new value enters the average.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Exponential { decay: f64, warm_up: bool },
    Equal,
}

/// An average of a model's weights: moving exponentially (Polyak & Juditsky 1992; EMA) or of equal parts (stochastic
/// weight averaging, Izmailov et al. 2018).
///
/// [`update`](Self::update) it after optimizer steps (or epochs, for equal parts), [swap it in](Self::swap_in) to
/// evaluate. Parameters and float buffers are averaged, other buffers copied. All averages move in one operation, in
/// place; weights of half types are averaged in `f32`, where small changes do not vanish. The first update copies, as
/// in PyTorch.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_nn::{Linear, Module};
/// use osnova_optim::WeightAverage;
/// use osnova_tensor::{Device, Generator, Result};
///
/// # fn main() -> Result<()> {
/// let mut model = Linear::new(2, 1, &Generator::new(0), Device::cpu())?;
/// let mut average = WeightAverage::exponential(0.999).warm_up(true);
/// average.update(&model)?; // after each optimizer step
///
/// let own = average.swap_in(&mut model)?;
/// // … evaluate here …
/// model.load_state_dict(&own)?; // and train on
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WeightAverage {
    kind: Kind,
    updates: u64,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    value: Tensor,
}

impl WeightAverage {
    fn new(kind: Kind) -> Self {
        Self { kind, updates: 0, entries: Vec::new() }
    }

    /// Average ← decay·average + (1 − decay)·weights; 0.999 is usual, for many steps 0.9999.
    pub fn exponential(decay: f64) -> Self {
        Self::new(Kind::Exponential { decay, warm_up: false })
    }

    /// The mean of all weights it has been given.
    pub fn equal() -> Self {
        Self::new(Kind::Equal)
    }

    /// Starts an exponential average with a smaller decay, min(decay, (1 + t)/(10 + t)) after t updates, so that the
    /// first weights, which are bad, are soon forgotten.
    pub fn warm_up(mut self, warm_up: bool) -> Self {
        if let Kind::Exponential { warm_up: setting, .. } = &mut self.kind {
            *setting = warm_up;
        }
        self
    }

    /// How many weights have entered.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// What share of the average the next weights get.
    fn part(&self) -> f64 {
        let updates = self.updates as f64;
        match self.kind {
            Kind::Equal => 1.0 / (updates + 1.0),
            Kind::Exponential { decay, warm_up: true } => 1.0 - decay.min((1.0 + updates) / (10.0 + updates)),
            Kind::Exponential { decay, warm_up: false } => 1.0 - decay,
        }
    }

    /// Takes in the weights as they are now.
    ///
    /// # Errors
    /// A decay that is not from 0 to below 1; another model than before, with all that differs: nothing is changed
    /// then. A device that fails in the middle may lose the averages; the message says so.
    pub fn update(&mut self, model: &(impl Module + ?Sized)) -> Result<()> {
        if let Kind::Exponential { decay, .. } = self.kind {
            share("weight average", "the decay", decay)?;
        }
        let weights = wide(&model.state_dict())?;
        if self.updates == 0 {
            // Shared until the model's next step, which then makes tensors of its own.
            self.entries = weights.into_iter().map(|(name, value)| Entry { name, value }).collect();
            self.updates = 1;
            return Ok(());
        }
        self.compare(&weights)?;
        let part = self.part();
        let mut places: Vec<(usize, Tensor)> = Vec::with_capacity(weights.len());
        for (place, (_, value)) in weights.into_iter().enumerate() {
            match value.dtype().is_float() {
                true => places.push((place, value)),
                false => self.entries[place].value = value,
            }
        }
        // Nearly always all go together.
        while let Some((_, first)) = places.first() {
            let (device, dtype) = (first.device(), first.dtype());
            let (together, rest) =
                places.into_iter().partition(|(_, value)| value.device() == device && value.dtype() == dtype);
            places = rest;
            if let Err(error) = self.approach(device, dtype, together, part) {
                *self = Self::new(self.kind);
                return Err(Error::device(
                    device.name(),
                    format!("averaging the weights failed half-way: {error}"),
                    "The averages are lost: load the last checkpoint, or begin anew",
                ));
            }
        }
        self.updates = self.updates.saturating_add(1);
        Ok(())
    }

    /// Moves averages a part of the way to the weights. That is a step of gradient descent: p − η·(g + λp) with p the
    /// average, g the weights, λ = −1 and η = −part is p + part·(g − p).
    fn approach(&mut self, device: Device, dtype: DType, members: Vec<(usize, Tensor)>, part: f64) -> Result<()> {
        let operation =
            Op::Optimize(Optimize::Sgd { momentum: Real::new(0.0), nesterov: false, weight_decay: Real::new(-1.0) });
        let scalars = match dtype {
            DType::F64 => HostData::F64(vec![-part, 1.0]),
            _ => HostData::F32(vec![-part as f32, 1.0]),
        };
        let placeholder = Tensor::zeros(0, DType::F32, device)?;
        let mut inputs = Inputs::with_capacity(1 + 2 * members.len());
        inputs.push(Tensor::from_host(scalars, 2, device)?);
        let places: Vec<usize> = members.iter().map(|(place, _)| *place).collect();
        for (place, weights) in members {
            let average = std::mem::replace(&mut self.entries[place].value, placeholder.clone());
            inputs.push(average.to_device(device)?);
            inputs.push(weights);
        }
        for (place, average) in places.into_iter().zip(device.apply(&operation, inputs)?) {
            self.entries[place].value = average;
        }
        Ok(())
    }

    /// Gives the model the averages, and back the weights it had: load them with
    /// [`load_state_dict`](osnova_nn::Module::load_state_dict) to train on. Before the first update nothing changes.
    ///
    /// # Errors
    /// Another model than before, with all that differs. Nothing is changed then.
    pub fn swap_in(&self, model: &mut (impl Module + ?Sized)) -> Result<StateDict> {
        let own = model.state_dict();
        if self.updates > 0 {
            self.compare(&wide(&own)?)?;
            let cast = self
                .entries
                .iter()
                .zip(own.iter())
                .map(|(Entry { name, value }, (_, own))| Ok((name.clone(), value.to_dtype(own.dtype())?)));
            model.load_state_dict(&cast.collect::<Result<StateDict>>()?)?;
        }
        Ok(own)
    }

    fn compare(&self, weights: &StateDict) -> Result<()> {
        let meta = |Entry { name, value }: &Entry| (name.clone(), Meta::new(*value.shape(), value.dtype()));
        let expected: Vec<(String, Meta)> = self.entries.iter().map(meta).collect();
        match StateDictMismatch::between(&expected, weights) {
            mismatch if mismatch.is_empty() => Ok(()),
            mismatch => Err(mismatch.into()),
        }
    }

    /// The averages by name, for a checkpoint beside [`updates`](Self::updates). Shares the tensors.
    pub fn state_dict(&self) -> StateDict {
        self.entries.iter().map(|Entry { name, value }| (name.clone(), value.clone())).collect()
    }

    /// Takes over what [`state_dict`](Self::state_dict) and [`updates`](Self::updates) gave, for this model.
    ///
    /// # Errors
    /// Averages that do not fit the model, with all that differs. Nothing is changed then.
    pub fn load_state_dict(&mut self, model: &(impl Module + ?Sized), state: &StateDict, updates: u64) -> Result<()> {
        if updates == 0 && state.is_empty() {
            *self = Self::new(self.kind);
            return Ok(());
        }
        let weights = wide(&model.state_dict())?;
        let expected: Vec<(String, Meta)> =
            weights.iter().map(|(name, value)| (name.to_owned(), Meta::new(*value.shape(), value.dtype()))).collect();
        let mismatch = StateDictMismatch::between(&expected, state);
        if !mismatch.is_empty() {
            return Err(mismatch.into());
        }
        let entries = weights.iter().map(|(name, own)| {
            let value = state.get(name).unwrap_or(own).detach().to_device(own.device())?;
            Ok(Entry { name: name.to_owned(), value })
        });
        self.entries = entries.collect::<Result<_>>()?;
        self.updates = updates.max(1);
        Ok(())
    }
}

/// Weights in the dtypes that averages are kept in.
fn wide(weights: &StateDict) -> Result<StateDict> {
    weights.iter().map(|(name, value)| Ok((name.to_owned(), value.to_dtype(value.dtype().accumulator())?))).collect()
}
