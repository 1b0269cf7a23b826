//! Adam's relatives: NAdam and RAdam.

use crate::core::{Core, Rule, Scalars, Step, Update, not_negative, optimizer, positive, share};
use osnova_tensor::{Meta, Optimize, Real, Result};
use smallvec::smallvec;

/// NAdam (Dozat 2016): [`Adam`](crate::Adam) with Nesterov's look ahead.
///
/// m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²;
/// p ← p − η·(m·μₜ₊₁/(1 − ∏ᵗ⁺¹μ) + g·(1 − μₜ)/(1 − ∏ᵗμ)) / (√(v / (1 − β₂ᵗ)) + ε), with the momentum
/// μₜ = β₁·(1 − ½·0.96^(t·momentum_decay)), which starts at about half of β₁. As PyTorch's `NAdam`.
///
/// ```
/// use osnova_optim::{NAdam, Optimizer};
/// let optimizer = NAdam::new(2e-3).weight_decay(0.01).decoupled(true);
/// assert_eq!(optimizer.name(), "nadam");
/// ```
#[derive(Clone, Debug)]
pub struct NAdam(Core<Nesterov>);

/// RAdam (Liu et al. 2020): [`Adam`](crate::Adam) that knows how little its first steps know of the gradients' spread,
/// and so needs no warm-up.
///
/// With ρ∞ = 2/(1 − β₂) − 1 and ρₜ = ρ∞ − 2t·β₂ᵗ/(1 − β₂ᵗ): as long as ρₜ ≤ 5, p ← p − η·m/(1 − β₁ᵗ); after that
/// p ← p − η·r·m/(1 − β₁ᵗ)·√(1 − β₂ᵗ)/(√v + ε), r² = (ρₜ−4)(ρₜ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρₜ). As PyTorch's `RAdam`.
///
/// ```
/// use osnova_optim::{Optimizer, RAdam};
/// let optimizer = RAdam::new(1e-3).betas(0.9, 0.99);
/// assert_eq!(optimizer.name(), "radam");
/// ```
#[derive(Clone, Debug)]
pub struct RAdam(Core<Rectified>);

/// What both have.
#[derive(Clone, Debug)]
struct Settings {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decoupled: bool,
}

impl Settings {
    const USUAL: Self = Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decoupled: false };
    const STATES: &'static [&'static str] = &["first_moment", "second_moment"];

    /// The operation, which both share: a step is (a·g + b·m) / (c·√v + d).
    fn update(&self, step: Step, direction: [f64; 2], size: [f64; 2]) -> Update<'static> {
        let operation = Optimize::Moments {
            beta1: Real::new(self.beta1),
            beta2: Real::new(self.beta2),
            weight_decay: Real::new(step.weight_decay),
            decoupled: self.decoupled,
        };
        let scalars: Scalars = smallvec![step.learning_rate, direction[0], direction[1], size[0], size[1]];
        Update::Operation(operation, scalars)
    }

    fn check(&self, name: &'static str) -> Result<()> {
        share(name, "β₁", self.beta1)?;
        share(name, "β₂", self.beta2)?;
        not_negative(name, "ε", self.epsilon)
    }
}

#[derive(Clone, Debug)]
struct Nesterov {
    settings: Settings,
    momentum_decay: f64,
}

#[derive(Clone, Debug)]
struct Rectified {
    settings: Settings,
}

macro_rules! settings {
    ($optimizer:ty) => {
        impl $optimizer {
            /// How much of the first and of the second moment stays from step to step.
            pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
                (self.0.rule.settings.beta1, self.0.rule.settings.beta2) = (beta1, beta2);
                self
            }

            /// Added to the denominator.
            pub fn epsilon(mut self, epsilon: f64) -> Self {
                self.0.rule.settings.epsilon = epsilon;
                self
            }

            /// The weight decay: added to the gradient, unless [`decoupled`](Self::decoupled).
            pub fn weight_decay(mut self, weight_decay: f64) -> Self {
                self.0.weight_decay = weight_decay;
                self
            }

            /// Whether weight decay acts on the parameters and not through the gradient, as in AdamW.
            pub fn decoupled(mut self, decoupled: bool) -> Self {
                self.0.rule.settings.decoupled = decoupled;
                self
            }
        }

        optimizer!($optimizer);
    };
}

settings!(NAdam);
settings!(RAdam);

impl NAdam {
    /// With β₁ = 0.9, β₂ = 0.999, ε = 1e-8, momentum decay 0.004; a learning rate of 2e-3 is usual.
    pub fn new(learning_rate: f64) -> Self {
        Self(Core::new(Nesterov { settings: Settings::USUAL, momentum_decay: 4e-3 }, learning_rate, 0.0))
    }

    /// How fast the momentum comes up to β₁.
    pub fn momentum_decay(mut self, momentum_decay: f64) -> Self {
        self.0.rule.momentum_decay = momentum_decay;
        self
    }
}

impl RAdam {
    /// With β₁ = 0.9, β₂ = 0.999, ε = 1e-8; a learning rate of 1e-3 is usual.
    pub fn new(learning_rate: f64) -> Self {
        Self(Core::new(Rectified { settings: Settings::USUAL }, learning_rate, 0.0))
    }
}

impl Nesterov {
    /// The momentum of a step, and of the one after it.
    fn momenta(&self, step: u64) -> (f64, f64) {
        let momentum = |step: f64| self.settings.beta1 * (1.0 - 0.5 * 0.96_f64.powf(step * self.momentum_decay));
        (momentum(step as f64), momentum(step as f64 + 1.0))
    }

    /// ∏μ up to a step. It is a function of the step alone, so that no state needs to hold it; once it no longer shows
    /// beside 1, which at β₁ = 0.9 is after some 300 steps, the rest is left out. Once the momentum has come up to β₁
    /// the rest is a power, so that no β₁ takes more than some thousand factors.
    fn product(&self, step: u64) -> f64 {
        let fade = 0.96_f64.powf(self.momentum_decay);
        let (mut product, mut power) = (1.0, 1.0);
        for taken in 0..step {
            power *= fade;
            if power < 1e-17 {
                return product * self.settings.beta1.powf((step - taken) as f64);
            }
            product *= self.settings.beta1 * (1.0 - 0.5 * power);
            if product < 1e-18 {
                break;
            }
        }
        product
    }
}

impl Rule for Nesterov {
    const NAME: &'static str = "nadam";

    fn states(&self, _: Meta) -> &'static [&'static str] {
        Settings::STATES
    }

    fn update(&self, step: Step) -> Update<'_> {
        let (now, next) = self.momenta(step.number);
        let product = self.product(step.number);
        let direction = [(1.0 - now) / (1.0 - product), next / (1.0 - product * next)];
        let spread = (1.0 - self.settings.beta2.powf(step.number as f64)).sqrt().recip();
        self.settings.update(
            step,
            direction.map(|part| part * step.learning_rate),
            [spread, positive(self.settings.epsilon)],
        )
    }

    fn check(&self) -> Result<()> {
        self.settings.check(Self::NAME)?;
        not_negative(Self::NAME, "the momentum decay", self.momentum_decay)
    }
}

impl Rule for Rectified {
    const NAME: &'static str = "radam";

    fn states(&self, _: Meta) -> &'static [&'static str] {
        Settings::STATES
    }

    fn update(&self, step: Step) -> Update<'_> {
        let Settings { beta1, beta2, epsilon, .. } = self.settings;
        let number = step.number as f64;
        let (first, second) = (1.0 - beta1.powf(number), 1.0 - beta2.powf(number));
        let longest = 2.0 / (1.0 - beta2) - 1.0;
        let length = longest - 2.0 * number * beta2.powf(number) / second;
        let plain = step.learning_rate / first;
        if length <= 5.0 {
            // The spread of so few gradients says nothing: divide by 1.
            return self.settings.update(step, [0.0, plain], [0.0, 1.0]);
        }
        let rectified = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
        self.settings.update(step, [0.0, plain * (rectified * second).sqrt()], [1.0, positive(epsilon)])
    }

    fn check(&self) -> Result<()> {
        self.settings.check(Self::NAME)
    }
}
