//! How training goes, on the terminal.

use crate::callback::{Callback, Context, Progress};
use crate::{EpochRecord, Result};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the bar moves on a terminal.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a long epoch shows a line where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// Cells of the bar.
const WIDTH: usize = 24;

/// A bar for the running epoch, and a line with the metrics of each epoch that has ended.
///
/// It writes to standard error: on a terminal the bar moves in place, elsewhere (a log file) only whole lines are written,
/// one an epoch and one every ten seconds of a long epoch. What cannot be written is lost without disturbing training.
pub struct ProgressBar {
    output: Box<dyn Write + Send>,
    terminal: bool,
    every: usize,
    drawn: Option<Instant>,
    /// Whether a bar stands on the current line.
    open: bool,
    restarted: bool,
}

impl Default for ProgressBar {
    fn default() -> Self {
        Self::new()
    }
}

impl ProgressBar {
    /// On standard error.
    pub fn new() -> Self {
        Self::to(io::stderr(), io::stderr().is_terminal())
    }

    /// On any output, which is a terminal or not.
    pub fn to(output: impl Write + Send + 'static, terminal: bool) -> Self {
        Self { output: Box::new(output), terminal, every: 1, drawn: None, open: false, restarted: false }
    }

    /// Shows a line every this many epochs (and for the first and the last).
    pub fn every(mut self, epochs: usize) -> Self {
        self.every = epochs.max(1);
        self
    }

    fn write(&mut self, text: &str) {
        // Progress is for the eye: a closed pipe must not end training.
        let _ = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
    }

    /// A whole line, in place of the bar if there is one.
    fn line(&mut self, line: &str) {
        let clear = if std::mem::take(&mut self.open) { "\r\x1b[2K" } else { "" };
        self.write(&format!("{clear}{line}\n"));
    }
}

/// `epoch  3/20`: numbers stand under each other.
fn epoch(progress: Progress) -> String {
    let width = progress.max_epochs.to_string().len();
    format!("epoch {:>width$}/{}", progress.epoch, progress.max_epochs)
}

fn bar(progress: Progress) -> String {
    let share = progress.batch as f64 / progress.batches.max(1) as f64;
    let full = (share * WIDTH as f64) as usize;
    let bar: String = (0..WIDTH).map(|cell| if cell < full { '█' } else { '·' }).collect();
    let batches = progress.batches;
    let width = batches.to_string().len();
    format!("{} {bar} {:>width$}/{batches}  loss {:.4}", epoch(progress), progress.batch, progress.loss)
}

fn summary(progress: Progress, record: &EpochRecord) -> String {
    let mut line = epoch(progress);
    for (name, value) in &record.metrics {
        let percent = name.ends_with("accuracy");
        line.push_str(&if percent {
            format!("  {name} {:6.2} %", 100.0 * value)
        } else {
            format!("  {name} {value:.4}")
        });
    }
    line.push_str(&format!("  {:.1} s", record.seconds));
    line
}

impl Callback for ProgressBar {
    fn reset(&mut self) {
        self.restarted = true;
        self.drawn = None;
        self.open = false;
    }

    fn on_epoch_start(&mut self, _: &mut Context<'_>) -> Result<()> {
        if !self.terminal {
            self.drawn = Some(Instant::now());
        }
        Ok(())
    }

    fn on_step_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let pause = if self.terminal { REDRAW } else { LINE };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < pause) {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        let bar = bar(context.progress);
        if self.terminal {
            self.open = true;
            self.write(&format!("\r\x1b[2K{bar}"));
        } else {
            self.line(&bar);
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        let progress = context.progress;
        let last = progress.epoch == progress.max_epochs || context.is_stopping();
        let due = std::mem::take(&mut self.restarted) || last || progress.epoch.is_multiple_of(self.every);
        if let (true, Some(record)) = (due, context.history.last()) {
            self.line(&summary(progress, record));
        }
        Ok(())
    }

    fn on_fit_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if let Some(reason) = context.stop.clone() {
            self.line(&format!("stopped after epoch {}: {reason}", context.progress.epoch));
        } else if self.open {
            self.line("");
        }
        Ok(())
    }
}

impl fmt::Debug for ProgressBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressBar")
            .field("terminal", &self.terminal)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const PROGRESS: Progress =
        Progress { epoch: 3, max_epochs: 20, batch: 17, batches: 34, step: 85, loss: 0.25, learning_rate: 1e-3 };

    #[test]
    fn the_bar_fills_from_the_left() {
        assert_eq!(bar(PROGRESS), "epoch  3/20 ████████████············ 17/34  loss 0.2500");
        assert!(bar(Progress { batch: 34, ..PROGRESS }).contains(&"█".repeat(WIDTH)));
        assert!(bar(Progress { batch: 0, batches: 0, ..PROGRESS }).contains(&"·".repeat(WIDTH)));
    }

    #[test]
    fn an_epoch_is_a_line_of_its_metrics() {
        let metrics = BTreeMap::from([("train_loss".to_owned(), 0.5), ("validation_accuracy".to_owned(), 0.9875)]);
        let record = EpochRecord { epoch: 3, step: 102, learning_rate: 1e-3, seconds: 1.25, metrics };
        let line = summary(PROGRESS, &record);
        assert_eq!(line, "epoch  3/20  train_loss 0.5000  validation_accuracy  98.75 %  1.2 s");
    }
}
