//! Stochastic gradient descent.

use crate::core::{Core, Rule, optimizer};
use osnova_tensor::{Error, Optimize, Real, Result};
use smallvec::{SmallVec, smallvec};

/// Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's look ahead (1983) if asked for.
///
/// g ← g + weight_decay·p; v ← momentum·v + (1 − dampening)·g, where the first step has v = g;
/// p ← p − learning_rate·v, or p ← p − learning_rate·(g + momentum·v) with Nesterov. As PyTorch's `SGD`.
#[derive(Clone, Debug)]
pub struct Sgd(Core<Descent>);

#[derive(Clone, Debug)]
struct Descent {
    momentum: f64,
    dampening: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain descent.
    pub fn new(learning_rate: f64) -> Self {
        Self(Core::new(Descent { momentum: 0.0, dampening: 0.0, nesterov: false }, learning_rate, 0.0))
    }

    /// The share of the velocity that stays from step to step: 0.9 is usual.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.0.rule.momentum = momentum;
        self
    }

    /// How much less than whole the gradient enters the velocity.
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.0.rule.dampening = dampening;
        self
    }

    /// Steps along the velocity of the next step; needs momentum, and no dampening.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.0.rule.nesterov = nesterov;
        self
    }

    /// The L2 penalty, added to the gradient.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.0.weight_decay = weight_decay;
        self
    }
}

impl Rule for Descent {
    const NAME: &'static str = "sgd";

    fn states(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["velocity"] }
    }

    fn operation(&self, weight_decay: f64) -> Optimize {
        Optimize::Sgd {
            momentum: Real::new(self.momentum),
            nesterov: self.nesterov,
            weight_decay: Real::new(weight_decay),
        }
    }

    fn scalars(&self, learning_rate: f64, step: u64) -> SmallVec<[f64; 3]> {
        smallvec![learning_rate, if step == 1 { 1.0 } else { 1.0 - self.dampening }]
    }

    fn check(&self) -> Result<()> {
        for (what, value) in [("momentum", self.momentum), ("dampening", self.dampening)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(Self::NAME, format!("{what} is {value}"), "Give a number from 0 to 1"));
            }
        }
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::argument(
                Self::NAME,
                "Nesterov's look ahead needs momentum and no dampening",
                "Set `momentum(0.9)` and leave `dampening` at 0",
            ));
        }
        Ok(())
    }
}

optimizer!(Sgd);
