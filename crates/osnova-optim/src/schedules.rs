//! The learning rate as a function of the step.
//!
//! A schedule has no state: what to keep in a checkpoint is the number of the step alone, and any step can be asked for.
//! The definitions are those of PyTorch's classes, in closed form.
//!
//! ```
//! use osnova_optim::{Schedule, schedules};
//! let schedule = schedules::warm_up_cosine(1e-3, 100, 1000);
//! assert!(schedule.learning_rate(0) < 1e-4);
//! assert_eq!(schedule.learning_rate(100), 1e-3);
//! assert!(schedule.learning_rate(1000) < 1e-12);
//! ```

use std::f64::consts::PI;
use std::fmt::{self, Debug};

/// The learning rate as a pure function of the step, which counts from 0.
pub trait Schedule: Debug + Send + Sync {
    /// The learning rate of a step.
    fn learning_rate(&self, step: u64) -> f64;
}

impl<S: Schedule + ?Sized> Schedule for Box<S> {
    fn learning_rate(&self, step: u64) -> f64 {
        (**self).learning_rate(step)
    }
}

/// Always the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// The learning rate.
    pub learning_rate: f64,
}

impl Schedule for Constant {
    fn learning_rate(&self, _: u64) -> f64 {
        self.learning_rate
    }
}

/// `gamma` times less after each `size` steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The learning rate at first.
    pub learning_rate: f64,
    /// How many steps it stays; 0 counts as 1.
    pub size: u64,
    /// The factor from one stair to the next.
    pub gamma: f64,
}

impl Schedule for Step {
    fn learning_rate(&self, step: u64) -> f64 {
        self.learning_rate * power(self.gamma, step / self.size.max(1))
    }
}

/// `gamma` times less at each milestone.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiStep {
    /// The learning rate at first.
    pub learning_rate: f64,
    /// The steps at which it falls, in any order.
    pub milestones: Vec<u64>,
    /// The factor at each.
    pub gamma: f64,
}

impl Schedule for MultiStep {
    fn learning_rate(&self, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= step).count();
        self.learning_rate * power(self.gamma, passed as u64)
    }
}

/// `gamma` times less at each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    /// The learning rate at first.
    pub learning_rate: f64,
    /// The factor from step to step.
    pub gamma: f64,
}

impl Schedule for Exponential {
    fn learning_rate(&self, step: u64) -> f64 {
        self.learning_rate * power(self.gamma, step)
    }
}

/// Along a line from one factor to another, and constant after that: a warm-up, or a decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// What the factors multiply.
    pub learning_rate: f64,
    /// The factor at step 0.
    pub start_factor: f64,
    /// The factor from step `steps` on.
    pub end_factor: f64,
    /// How many steps the line takes.
    pub steps: u64,
}

impl Linear {
    /// A warm-up from nearly 0: `(step + 1) / steps` of the learning rate.
    pub fn warm_up(learning_rate: f64, steps: u64) -> Self {
        let steps = steps.max(1);
        Self { learning_rate, start_factor: 1.0 / steps as f64, end_factor: 1.0, steps: steps - 1 }
    }
}

impl Schedule for Linear {
    fn learning_rate(&self, step: u64) -> f64 {
        self.learning_rate * between(self.start_factor, self.end_factor, share(step, self.steps))
    }
}

/// `(1 − step/steps)^power`, and 0 after that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// The learning rate at first.
    pub learning_rate: f64,
    /// When it reaches 0.
    pub steps: u64,
    /// 1 for a line, 2 for a parabola.
    pub power: f64,
}

impl Schedule for Polynomial {
    fn learning_rate(&self, step: u64) -> f64 {
        self.learning_rate * (1.0 - share(step, self.steps)).powf(self.power)
    }
}

/// Half a cosine from the learning rate down to `minimum`, where it stays. Loshchilov & Hutter 2017.
///
/// PyTorch's class goes up again after `steps`; for that use [`CosineRestarts`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    /// The learning rate at first.
    pub learning_rate: f64,
    /// The learning rate at the end.
    pub minimum: f64,
    /// How many steps it takes.
    pub steps: u64,
}

impl Schedule for Cosine {
    fn learning_rate(&self, step: u64) -> f64 {
        cosine(self.learning_rate, self.minimum, share(step, self.steps))
    }
}

/// [`Cosine`] again and again, each time `factor` times as long. Loshchilov & Hutter 2017 (SGDR).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineRestarts {
    /// The learning rate at the start of each turn.
    pub learning_rate: f64,
    /// What it falls to.
    pub minimum: f64,
    /// How many steps the first turn takes; 0 counts as 1.
    pub steps: u64,
    /// How many times longer each turn is than the one before; 0 counts as 1.
    pub factor: u64,
}

impl Schedule for CosineRestarts {
    fn learning_rate(&self, step: u64) -> f64 {
        let (mut length, mut position) = (self.steps.max(1), step);
        if self.factor <= 1 {
            position %= length;
        }
        while position >= length {
            position -= length;
            length = length.saturating_mul(self.factor);
        }
        cosine(self.learning_rate, self.minimum, position as f64 / length as f64)
    }
}

/// Up to a maximum and down to nearly nothing. Smith & Topin 2018.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    /// The learning rate at the top.
    pub maximum: f64,
    /// How many steps there are; after the last one the learning rate stays.
    pub steps: u64,
    /// Which share of the steps goes up: 0.3 is usual.
    pub rise: f64,
    /// The maximum over the first learning rate: 25 is usual.
    pub start_divisor: f64,
    /// The first learning rate over the last one: 10,000 is usual.
    pub end_divisor: f64,
    /// Along lines instead of cosines.
    pub linear: bool,
}

impl OneCycle {
    /// With the usual shape.
    pub fn new(maximum: f64, steps: u64) -> Self {
        Self { maximum, steps, rise: 0.3, start_divisor: 25.0, end_divisor: 1e4, linear: false }
    }
}

impl Schedule for OneCycle {
    fn learning_rate(&self, step: u64) -> f64 {
        let start = self.maximum / self.start_divisor;
        let end = start / self.end_divisor;
        // PyTorch's phases end at these steps, fractions included.
        let top = self.rise * self.steps as f64 - 1.0;
        let last = self.steps as f64 - 1.0;
        let step = (step as f64).min(last.max(0.0));
        let along = |from: f64, to: f64, share: f64| {
            if self.linear { between(from, to, share) } else { cosine(from, to, share) }
        };
        if step <= top && top > 0.0 {
            along(start, self.maximum, step / top)
        } else if last > top {
            along(self.maximum, end, (step - top) / (last - top))
        } else {
            end
        }
    }
}

/// How high each turn of [`Cyclic`] goes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cycle {
    /// To the maximum (PyTorch's `triangular`).
    Equal,
    /// Half as high as the one before (`triangular2`).
    Halving,
    /// By this factor lower at each step (`exp_range`).
    Exponential(f64),
}

/// Up and down along lines, again and again. Smith 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cyclic {
    /// The learning rate at the foot.
    pub minimum: f64,
    /// The learning rate at the first top.
    pub maximum: f64,
    /// How many steps it rises.
    pub rise: u64,
    /// How many steps it falls.
    pub fall: u64,
    /// How high the turns go.
    pub cycle: Cycle,
}

impl Schedule for Cyclic {
    fn learning_rate(&self, step: u64) -> f64 {
        let length = self.rise.saturating_add(self.fall).max(1);
        let (turn, position) = (step / length, step % length);
        let height = if position <= self.rise {
            share(position, self.rise)
        } else {
            1.0 - share(position - self.rise, self.fall)
        };
        let scale = match self.cycle {
            Cycle::Equal => 1.0,
            Cycle::Halving => power(0.5, turn),
            Cycle::Exponential(gamma) => power(gamma, step),
        };
        self.minimum + (self.maximum - self.minimum) * height * scale
    }
}

/// One schedule after another; each counts its own steps from 0.
#[derive(Debug)]
pub struct Sequence {
    first: Box<dyn Schedule>,
    rest: Vec<(u64, Box<dyn Schedule>)>,
}

impl Sequence {
    /// Begins with a schedule.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Self { first: Box::new(first), rest: Vec::new() }
    }

    /// From this step on follows another one.
    pub fn then(mut self, step: u64, schedule: impl Schedule + 'static) -> Self {
        self.rest.push((step, Box::new(schedule)));
        self.rest.sort_by_key(|(start, _)| *start);
        self
    }
}

impl Schedule for Sequence {
    fn learning_rate(&self, step: u64) -> f64 {
        match self.rest.iter().rev().find(|(start, _)| *start <= step) {
            Some((start, schedule)) => schedule.learning_rate(step - start),
            None => self.first.learning_rate(step),
        }
    }
}

/// Any function of the step.
#[derive(Clone, Copy)]
pub struct FromFunction<F>(pub F);

impl<F: Fn(u64) -> f64 + Send + Sync> Schedule for FromFunction<F> {
    fn learning_rate(&self, step: u64) -> f64 {
        (self.0)(step)
    }
}

impl<F> Debug for FromFunction<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFunction")
    }
}

/// A linear warm-up over `warm_up` steps, then a cosine down to 0 at step `steps`.
pub fn warm_up_cosine(learning_rate: f64, warm_up: u64, steps: u64) -> Sequence {
    let cosine = Cosine { learning_rate, minimum: 0.0, steps: steps.saturating_sub(warm_up) };
    Sequence::new(Linear::warm_up(learning_rate, warm_up)).then(warm_up, cosine)
}

/// How far `step` is on the way of `steps`, from 0 to 1.
fn share(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}

/// Along a line, whose two ends are exact.
fn between(start: f64, end: f64, share: f64) -> f64 {
    if share == 1.0 { end } else { start + (end - start) * share }
}

/// Along half a cosine, whose two ends are exact.
fn cosine(start: f64, end: f64, share: f64) -> f64 {
    if share == 0.0 { start } else { end + (start - end) * (1.0 + (PI * share).cos()) / 2.0 }
}

fn power(base: f64, exponent: u64) -> f64 {
    base.powf(exponent as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose differences are rounded: 0.3 + (0.1 − 0.3) is not 0.1.
    #[test]
    fn ends_are_exact_and_last() {
        for last in [1, 7, 1000, u64::MAX] {
            let line = Linear { learning_rate: 1.0, start_factor: 0.3, end_factor: 0.1, steps: last };
            let curve = Cosine { learning_rate: 0.1, minimum: 0.3, steps: last };
            let again = CosineRestarts { learning_rate: 0.1, minimum: 0.3, steps: 3, factor: 2 };
            for step in [last, u64::MAX] {
                assert_eq!(line.learning_rate(step), 0.1, "{last}");
                assert_eq!(curve.learning_rate(step), 0.3, "{last}");
                assert!((0.1..=0.3).contains(&again.learning_rate(step)));
            }
            assert_eq!((line.learning_rate(0), curve.learning_rate(0), again.learning_rate(0)), (0.3, 0.1, 0.1));
        }
        for schedule in [&warm_up_cosine(0.1, 0, 0) as &dyn Schedule, &warm_up_cosine(0.1, u64::MAX, u64::MAX)] {
            assert!(schedule.learning_rate(u64::MAX).is_finite() && schedule.learning_rate(0).is_finite());
        }
        let cycle = Cyclic { minimum: 0.1, maximum: 0.3, rise: 2, fall: 0, cycle: Cycle::Equal };
        assert_eq!([0, 1, 2].map(|step| cycle.learning_rate(step)), [0.1, 0.2, 0.1]);
        let once = OneCycle::new(0.1, 0);
        assert!([0, 1, u64::MAX].map(|step| once.learning_rate(step)).iter().all(|rate| rate.is_finite()));
    }
}
