//! AdaGrad and RMSprop: each coordinate by the size of its own gradients.

use crate::core::{Core, Rule, Step, Update, not_negative, optimizer, positive, share};
use osnova_tensor::{Meta, Optimize, Real, Result};
use smallvec::smallvec;

/// AdaGrad (Duchi, Hazan & Singer 2011): divides by the root of the sum of all squared gradients, so that rare features
/// learn fast and steps only ever get shorter.
///
/// g ← g + weight_decay·p; v ← v + g²; p ← p − η/(1 + (t − 1)·learning_rate_decay) · g / (√v + ε). As PyTorch's
/// `Adagrad`.
///
/// ```
/// use osnova_optim::{AdaGrad, Optimizer};
/// let optimizer = AdaGrad::new(1e-2).initial_accumulator(0.1);
/// assert_eq!(optimizer.name(), "adagrad");
/// ```
#[derive(Clone, Debug)]
pub struct AdaGrad(Core<Sum>);

/// RMSprop (Tieleman & Hinton 2012): divides by the root of a moving average of the squared gradients; centred (Graves
/// 2013), by their deviation.
///
/// g ← g + weight_decay·p; v ← decay·v + (1 − decay)g²; s ← g / (√v + ε), or g / (√(v − ḡ²) + ε) if centred, with ḡ the
/// moving average of g; velocity ← momentum·velocity + s; p ← p − η·velocity, or η·s without momentum. As PyTorch's
/// `RMSprop`.
///
/// ```
/// use osnova_optim::{Optimizer, RmsProp};
/// let optimizer = RmsProp::new(1e-2).momentum(0.9).centred(true);
/// assert_eq!(optimizer.name(), "rmsprop");
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp(Core<Average>);

#[derive(Clone, Debug)]
struct Sum {
    learning_rate_decay: f64,
    initial: f64,
    epsilon: f64,
}

#[derive(Clone, Debug)]
struct Average {
    decay: f64,
    epsilon: f64,
    momentum: f64,
    centred: bool,
}

impl AdaGrad {
    /// With ε = 1e-10; a learning rate of 1e-2 is usual.
    pub fn new(learning_rate: f64) -> Self {
        Self(Core::new(Sum { learning_rate_decay: 0.0, initial: 0.0, epsilon: 1e-10 }, learning_rate, 0.0))
    }

    /// Divides the learning rate of step t, counted from 1, by 1 + (t − 1)·decay.
    pub fn learning_rate_decay(mut self, decay: f64) -> Self {
        self.0.rule.learning_rate_decay = decay;
        self
    }

    /// What the sums of squares start from: above 0 it shortens the first steps.
    pub fn initial_accumulator(mut self, value: f64) -> Self {
        self.0.rule.initial = value;
        self
    }

    /// Added to the denominator.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.0.rule.epsilon = epsilon;
        self
    }

    /// The L2 penalty, added to the gradient.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.0.weight_decay = weight_decay;
        self
    }
}

impl RmsProp {
    /// With decay 0.99, ε = 1e-8, no momentum; a learning rate of 1e-2 is usual.
    pub fn new(learning_rate: f64) -> Self {
        Self(Core::new(Average { decay: 0.99, epsilon: 1e-8, momentum: 0.0, centred: false }, learning_rate, 0.0))
    }

    /// The share of the averages that stays from step to step (PyTorch's `alpha`).
    pub fn decay(mut self, decay: f64) -> Self {
        self.0.rule.decay = decay;
        self
    }

    /// Added to the denominator.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.0.rule.epsilon = epsilon;
        self
    }

    /// The share of the velocity that stays from step to step.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.0.rule.momentum = momentum;
        self
    }

    /// Divides by the deviation of the gradients instead of the root of their mean square.
    pub fn centred(mut self, centred: bool) -> Self {
        self.0.rule.centred = centred;
        self
    }

    /// The L2 penalty, added to the gradient.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.0.weight_decay = weight_decay;
        self
    }
}

impl Rule for Sum {
    const NAME: &'static str = "adagrad";

    fn states(&self, _: Meta) -> &'static [&'static str] {
        &["sum_of_squares"]
    }

    fn initial(&self) -> f64 {
        self.initial
    }

    fn update(&self, step: Step) -> Update<'_> {
        let operation = Optimize::AdaGrad {
            epsilon: Real::new(positive(self.epsilon)),
            weight_decay: Real::new(step.weight_decay),
        };
        let past = (step.number - 1) as f64;
        Update::Operation(operation, smallvec![step.learning_rate / (1.0 + past * self.learning_rate_decay)])
    }

    fn check(&self) -> Result<()> {
        not_negative(Self::NAME, "the decay of the learning rate", self.learning_rate_decay)?;
        not_negative(Self::NAME, "the initial accumulator", self.initial)?;
        not_negative(Self::NAME, "ε", self.epsilon)
    }
}

impl Rule for Average {
    const NAME: &'static str = "rmsprop";

    fn states(&self, _: Meta) -> &'static [&'static str] {
        match (self.centred, self.momentum != 0.0) {
            (false, false) => &["second_moment"],
            (false, true) => &["second_moment", "velocity"],
            (true, false) => &["second_moment", "mean_gradient"],
            (true, true) => &["second_moment", "mean_gradient", "velocity"],
        }
    }

    fn update(&self, step: Step) -> Update<'_> {
        let operation = Optimize::RmsProp {
            decay: Real::new(self.decay),
            epsilon: Real::new(positive(self.epsilon)),
            momentum: Real::new(self.momentum),
            centred: self.centred,
            weight_decay: Real::new(step.weight_decay),
        };
        Update::Operation(operation, smallvec![step.learning_rate])
    }

    fn check(&self) -> Result<()> {
        share(Self::NAME, "the decay", self.decay)?;
        not_negative(Self::NAME, "momentum", self.momentum)?;
        not_negative(Self::NAME, "ε", self.epsilon)
    }
}

optimizer!(AdaGrad);
optimizer!(RmsProp);
