//! Which line of a file a record is on.

use std::collections::VecDeque;
use std::io::{self, Read};

/// A reader that knows on which line each piece of text stands. The `csv` crate's own line numbers do not count empty
/// lines before a record, and lag behind where lines end in CR LF.
pub(super) struct Lines<R> {
    pub(super) inner: R,
    offset: u64,
    line: u64,
    line_is_empty: bool,
    after_carriage_return: bool,
    /// Offset of the first byte and number of every line that is not empty, from the current record on.
    starts: VecDeque<(u64, u64)>,
}

impl<R> Lines<R> {
    pub(super) fn new(inner: R) -> Self {
        let starts = VecDeque::new();
        Self { inner, offset: 0, line: 1, line_is_empty: true, after_carriage_return: false, starts }
    }

    /// The line of the first text at or after `offset`, which never decreases from call to call.
    pub(super) fn row_from(&mut self, offset: u64) -> u64 {
        while self.starts.front().is_some_and(|&(start, _)| start < offset) {
            self.starts.pop_front();
        }
        self.starts.front().map_or(self.line, |&(_, line)| line)
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            match byte {
                b'\n' if self.after_carriage_return => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    self.line_is_empty = true;
                }
                _ if self.line_is_empty => {
                    self.line_is_empty = false;
                    self.starts.push_back((self.offset, self.line));
                }
                _ => {}
            }
            self.after_carriage_return = byte == b'\r';
            self.offset += 1;
        }
        Ok(count)
    }
}
