//! The history as a file that grows with every epoch.

use crate::Result;
use crate::callback::{Callback, Context};
use std::path::PathBuf;

/// Writes the history after every epoch, in one piece: whoever looks meets whole rows.
#[derive(Clone, Debug)]
pub struct HistoryWriter {
    path: PathBuf,
    json: bool,
}

impl HistoryWriter {
    /// As comma-separated values, a row an epoch.
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), json: false }
    }

    /// As JSON, for [`History::load_json`](crate::History::load_json).
    pub fn json(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), json: true }
    }
}

impl Callback for HistoryWriter {
    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.json { context.history.save_json(&self.path) } else { context.history.save_csv(&self.path) }
    }
}
