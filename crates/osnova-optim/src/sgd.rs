//! Stochastic gradient descent.

use crate::core::{Core, Rule, Step, Update, not_negative, optimizer};
use osnova_tensor::{Error, Meta, Optimize, Real, Result};
use smallvec::smallvec;

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

    fn states(&self, _: Meta) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["velocity"] }
    }

    fn update(&self, step: Step) -> Update<'_> {
        let operation = Optimize::Sgd {
            momentum: Real::new(self.momentum),
            nesterov: self.nesterov,
            weight_decay: Real::new(step.weight_decay),
        };
        let factor = if step.number == 1 { 1.0 } else { 1.0 - self.dampening };
        Update::Operation(operation, smallvec![step.learning_rate, factor])
    }

    fn check(&self) -> Result<()> {
        not_negative(Self::NAME, "momentum", self.momentum)?;
        not_negative(Self::NAME, "dampening", self.dampening)?;
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
