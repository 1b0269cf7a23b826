//! Adam and AdamW.

use crate::core::{Core, Rule, Step, Update, not_negative, optimizer, positive, share};
use osnova_tensor::{Meta, Optimize, Real, Result};
use smallvec::smallvec;

/// Adam (Kingma & Ba 2015): steps of about the learning rate in each coordinate, whatever the gradient's scale.
///
/// g ← g + weight_decay·p; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²;
/// p ← p − learning_rate · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε). As PyTorch's `Adam`.
#[derive(Clone, Debug)]
pub struct Adam(Core<Moments<false>>);

/// AdamW (Loshchilov & Hutter 2019): [`Adam`] whose weight decay acts on the parameters and not through the gradient:
/// p ← p·(1 − learning_rate·weight_decay) first. As PyTorch's `AdamW`; weight decay 0.01 unless said otherwise.
#[derive(Clone, Debug)]
pub struct AdamW(Core<Moments<true>>);

#[derive(Clone, Debug)]
struct Moments<const DECOUPLED: bool> {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    amsgrad: bool,
}

impl<const DECOUPLED: bool> Moments<DECOUPLED> {
    const USUAL: Self = Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, amsgrad: false };
}

macro_rules! settings {
    ($optimizer:ty, $weight_decay:expr) => {
        impl $optimizer {
            /// With β₁ = 0.9, β₂ = 0.999, ε = 1e-8; a learning rate of 1e-3 is usual.
            pub fn new(learning_rate: f64) -> Self {
                Self(Core::new(Moments::USUAL, learning_rate, $weight_decay))
            }

            /// How much of the first and of the second moment stays from step to step.
            pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
                (self.0.rule.beta1, self.0.rule.beta2) = (beta1, beta2);
                self
            }

            /// Added to the denominator.
            pub fn epsilon(mut self, epsilon: f64) -> Self {
                self.0.rule.epsilon = epsilon;
                self
            }

            /// Divides by the largest second moment so far (Reddi, Kale & Kumar 2018).
            pub fn amsgrad(mut self, amsgrad: bool) -> Self {
                self.0.rule.amsgrad = amsgrad;
                self
            }

            /// The weight decay.
            pub fn weight_decay(mut self, weight_decay: f64) -> Self {
                self.0.weight_decay = weight_decay;
                self
            }
        }
    };
}

settings!(Adam, 0.0);
settings!(AdamW, 0.01);

impl<const DECOUPLED: bool> Rule for Moments<DECOUPLED> {
    const NAME: &'static str = if DECOUPLED { "adamw" } else { "adam" };

    fn states(&self, _: Meta) -> &'static [&'static str] {
        const ALL: [&str; 3] = ["first_moment", "second_moment", "largest_second_moment"];
        if self.amsgrad { &ALL } else { &ALL[..2] }
    }

    fn update(&self, step: Step) -> Update<'_> {
        let operation = Optimize::Adam {
            beta1: Real::new(self.beta1),
            beta2: Real::new(self.beta2),
            epsilon: Real::new(positive(self.epsilon)),
            weight_decay: Real::new(step.weight_decay),
            decoupled: DECOUPLED,
            amsgrad: self.amsgrad,
        };
        let number = step.number as f64;
        let corrections = (1.0 - self.beta1.powf(number), 1.0 - self.beta2.powf(number));
        Update::Operation(operation, smallvec![step.learning_rate, corrections.0, corrections.1])
    }

    fn check(&self) -> Result<()> {
        share(Self::NAME, "β₁", self.beta1)?;
        share(Self::NAME, "β₂", self.beta2)?;
        not_negative(Self::NAME, "ε", self.epsilon)
    }
}

optimizer!(Adam);
optimizer!(AdamW);
