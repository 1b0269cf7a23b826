//! How much may be kept of a table.

use crate::{DataError, Result};
use std::path::Path;

/// Counts what is kept of a table against the reader's limit.
pub(super) struct Budget<'a> {
    path: &'a Path,
    held: u64,
    /// The limit that the caller knows, and the one that is kept: a small one is about the text alone.
    limit: (u64, u64),
}

impl<'a> Budget<'a> {
    pub(super) fn new(path: &'a Path, limit: u64) -> Self {
        Self { path, held: 0, limit: (limit, limit.max(1 << 20)) }
    }

    /// Counts `bytes` more.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        self.held = self.held.saturating_add(bytes as u64);
        if self.held <= self.limit.1 {
            return Ok(());
        }
        Err(DataError::TooLarge { file: self.path.to_owned(), bytes: Some(self.held), limit: self.limit.0 })
    }
}
