//! Adafactor.

use crate::core::{Core, Formula, Rule, States, Step, Update, not_negative, optimizer, positive};
use osnova_tensor::{Error, Meta, Result, Tensor};

/// Adafactor (Shazeer & Stern 2018): of the second moment of a matrix it keeps the means of the rows and of the columns
/// alone, so that its state is as good as none.
///
/// With G² the squared gradient and β̂ = 1 − t^τ: R ← β̂R + (1 − β̂)·(row means of G²), C ← β̂C + (1 − β̂)·(column
/// means of G²), V = R·C / max(mean R, ε₁) (vectors keep V ← β̂V + (1 − β̂)G²); U = G / max(√V, ε₁), U ← U / max(1,
/// RMS(U)/d); p ← p·(1 − η·weight_decay) − max(ε₂, RMS(p))·min(η, 1/√t)·U. Tensors of more axes are matrices in their
/// last two. As PyTorch's `Adafactor`, which differs from the paper in η and ε₁. The formulas run on tensors, with two
/// numbers (RMS) kept on the device: nothing waits for it.
///
/// ```
/// use osnova_optim::{Adafactor, Optimizer};
/// let optimizer = Adafactor::new(1e-2);
/// assert_eq!(optimizer.name(), "adafactor");
/// ```
#[derive(Clone, Debug)]
pub struct Adafactor(Core<Factored>);

#[derive(Clone, Debug)]
struct Factored {
    decay_exponent: f64,
    gradient_epsilon: Option<f64>,
    parameter_epsilon: f64,
    clipping: f64,
}

impl Adafactor {
    /// With τ = −0.8, ε₁ the dtype's own, ε₂ = 1e-3, d = 1; a learning rate of 1e-2 is usual. It is relative to the
    /// size of the parameters, and 1/√t bounds it.
    pub fn new(learning_rate: f64) -> Self {
        let rule = Factored { decay_exponent: -0.8, gradient_epsilon: None, parameter_epsilon: 1e-3, clipping: 1.0 };
        Self(Core::new(rule, learning_rate, 0.0))
    }

    /// τ, negative: how the averages grow longer with the steps.
    pub fn decay_exponent(mut self, exponent: f64) -> Self {
        self.0.rule.decay_exponent = exponent;
        self
    }

    /// ε₁: the least root mean square to divide by. The difference of 1 and the next number of the dtype unless said
    /// otherwise.
    pub fn gradient_epsilon(mut self, epsilon: f64) -> Self {
        self.0.rule.gradient_epsilon = Some(epsilon);
        self
    }

    /// ε₂: the least size that a parameter is taken to have.
    pub fn parameter_epsilon(mut self, epsilon: f64) -> Self {
        self.0.rule.parameter_epsilon = epsilon;
        self
    }

    /// d: the largest root mean square of an update, before the learning rate; at least 1.
    pub fn clipping(mut self, threshold: f64) -> Self {
        self.0.rule.clipping = threshold;
        self
    }

    /// The weight decay, which acts on the parameters and not through the gradient.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.0.weight_decay = weight_decay;
        self
    }
}

/// The root of the mean square, as a scalar on the device; 0 of nothing.
fn root_mean_square(tensor: &Tensor) -> Result<Tensor> {
    (tensor.square()?.sum(.., false)? / tensor.count().max(1) as f64)?.sqrt()
}

/// `from` a part of the way to `to`.
fn towards(from: &Tensor, to: &Tensor, part: f64) -> Result<Tensor> {
    from + ((to - from)? * part)?
}

impl Rule for Factored {
    const NAME: &'static str = "adafactor";

    fn states(&self, parameter: Meta) -> &'static [&'static str] {
        if parameter.shape.rank() > 1 { &["row_second_moment", "column_second_moment"] } else { &["second_moment"] }
    }

    fn state_meta(&self, state: &str, parameter: Meta) -> Meta {
        let shape = match state {
            "row_second_moment" => parameter.shape.reduced(&[parameter.shape.rank() - 1], true),
            "column_second_moment" => parameter.shape.reduced(&[parameter.shape.rank() - 2], true),
            _ => parameter.shape,
        };
        Meta::new(shape, parameter.dtype.accumulator())
    }

    fn update(&self, _: Step) -> Update<'_> {
        Update::Formula(self)
    }

    fn check(&self) -> Result<()> {
        not_negative(Self::NAME, "ε₁", self.gradient_epsilon.unwrap_or(0.0))?;
        not_negative(Self::NAME, "ε₂", self.parameter_epsilon)?;
        if !(self.decay_exponent <= 0.0 && self.decay_exponent.is_finite()) {
            let problem = format!("the exponent of the decay is {}", self.decay_exponent);
            return Err(Error::argument(Self::NAME, problem, "Give a number that is not positive, such as -0.8"));
        }
        if !(self.clipping >= 1.0 && self.clipping.is_finite()) {
            let problem = format!("the clipping threshold is {}", self.clipping);
            return Err(Error::argument(Self::NAME, problem, "Give a number of at least 1"));
        }
        Ok(())
    }
}

impl Formula for Factored {
    fn apply(&self, parameter: &Tensor, gradient: &Tensor, states: &[Tensor], step: Step) -> Result<(Tensor, States)> {
        let dtype = parameter.dtype();
        // Means of squares and their quotients leave the range of a half type.
        let wide = dtype.accumulator();
        let epsilon = self.gradient_epsilon.unwrap_or(dtype.epsilon());
        let (parameter, gradient) = (parameter.to_dtype(wide)?, gradient.to_dtype(wide)?);
        let number = step.number as f64;
        let fresh = number.powf(self.decay_exponent);

        let length = step.learning_rate.min(number.sqrt().recip());
        let size = (root_mean_square(&parameter)?.maximum(self.parameter_epsilon)? * length)?;
        let shrunk = (&parameter * (1.0 - step.learning_rate * step.weight_decay))?;

        let squares = gradient.square()?;
        let (variance, states) = match states {
            [rows, columns] => {
                let rows = towards(rows, &squares.mean(-1, true)?, fresh)?;
                let columns = towards(columns, &squares.mean(-2, true)?, fresh)?;
                // The quotient first: the product of two mean squares soon leaves the range of f32.
                let variance = ((&rows / rows.mean(-2, true)?.maximum(positive(epsilon))?)? * &columns)?;
                (variance, States::from_iter([rows, columns]))
            }
            [second, ..] => {
                let second = towards(second, &squares, fresh)?;
                (second.clone(), States::from_iter([second]))
            }
            [] => (squares, States::new()),
        };
        let update = (gradient / variance.maximum(positive(epsilon * epsilon))?.sqrt()?)?;
        let clip = (root_mean_square(&update)? / self.clipping)?.maximum(1.0)?;
        let value = (shrunk - (update * (size / clip)?)?)?;
        Ok((value.to_dtype(dtype)?, states))
    }
}

optimizer!(Adafactor);
