//! Lion.

use crate::core::{Core, Rule, Step, Update, optimizer, share};
use osnova_tensor::{Meta, Optimize, Real, Result};
use smallvec::smallvec;

/// Lion (Chen et al. 2023): every coordinate moves by the learning rate exactly, in the direction of a momentum. It
/// keeps half the state of Adam.
///
/// p ← p·(1 − η·weight_decay) − η·sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g.
///
/// Take a learning rate 3 to 10 times smaller than for AdamW, and a weight decay as many times larger.
///
/// ```
/// use osnova_optim::{Lion, Optimizer};
/// let optimizer = Lion::new(1e-4).weight_decay(0.1);
/// assert_eq!(optimizer.name(), "lion");
/// ```
#[derive(Clone, Debug)]
pub struct Lion(Core<Sign>);

#[derive(Clone, Debug)]
struct Sign {
    beta1: f64,
    beta2: f64,
}

impl Lion {
    /// With β₁ = 0.9, β₂ = 0.99; a learning rate of 1e-4 is usual.
    pub fn new(learning_rate: f64) -> Self {
        Self(Core::new(Sign { beta1: 0.9, beta2: 0.99 }, learning_rate, 0.0))
    }

    /// The share of the momentum in the step, and the share of it that stays.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.0.rule.beta1, self.0.rule.beta2) = (beta1, beta2);
        self
    }

    /// The weight decay, which acts on the parameters and not through the gradient.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.0.weight_decay = weight_decay;
        self
    }
}

impl Rule for Sign {
    const NAME: &'static str = "lion";

    fn states(&self, _: Meta) -> &'static [&'static str] {
        &["first_moment"]
    }

    fn update(&self, step: Step) -> Update<'_> {
        let operation = Optimize::Lion {
            beta1: Real::new(self.beta1),
            beta2: Real::new(self.beta2),
            weight_decay: Real::new(step.weight_decay),
        };
        Update::Operation(operation, smallvec![step.learning_rate])
    }

    fn check(&self) -> Result<()> {
        share(Self::NAME, "β₁", self.beta1)?;
        share(Self::NAME, "β₂", self.beta2)
    }
}

optimizer!(Lion);
