//! The learning rate of every step.

use crate::Result;
use crate::callback::{Callback, Context};

/// Remembers the learning rate wherever it changes. The history has that of each epoch's last step anyway.
#[derive(Clone, Debug, Default)]
pub struct LearningRateMonitor {
    changes: Vec<(u64, f64)>,
}

impl LearningRateMonitor {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps, counted from 1, from which on another learning rate held, each with that rate.
    pub fn changes(&self) -> &[(u64, f64)] {
        &self.changes
    }
}

impl Callback for LearningRateMonitor {
    fn reset(&mut self) {
        self.changes.clear();
    }

    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let (step, learning_rate) = (context.progress.step, context.progress.learning_rate);
        if self.changes.last().is_none_or(|(_, last)| *last != learning_rate) {
            self.changes.push((step, learning_rate));
        }
        Ok(())
    }
}
