//! The cells of a CSV text as RFC 4180 has them, one after the other, through a buffer that need only hold one cell.
//!
//! More strict than the standard where a mistake would swallow or glue cells in silence: a quote that is never closed
//! and text behind a closing quote are faults. More lenient where that is harmless: lines may end in LF, CR LF or CR,
//! empty lines are skipped, blanks may surround a quoted cell, and a quote inside an unquoted cell is itself.

use std::io::{self, ErrorKind, Read};

/// A cell longer than this cannot be used: no number and no name is, but the rest of a file behind a stray quote.
pub(super) const LONGEST_CELL: usize = 1 << 20;

/// What makes a text no CSV.
pub(super) enum Fault {
    Io(io::Error),
    /// The text ends inside quotes.
    UnclosedQuote {
        /// The line on which they were opened.
        line: u64,
    },
    /// Something else than a delimiter or the end of a line follows a closing quote.
    BehindQuote {
        /// The line on which it stands.
        line: u64,
    },
    /// A cell of more than [`LONGEST_CELL`] bytes.
    TooLong {
        /// The line on which its quotes were opened, if it has them.
        quote: Option<u64>,
    },
}

pub(super) struct Cells<R> {
    input: R,
    delimiter: u8,
    /// The bytes at which a scan of an unquoted cell stops: delimiter, line ends, quote.
    stops: [bool; 256],
    buffer: Vec<u8>,
    /// What has been read and not yet consumed is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// The line of the first byte not consumed, counted from 1.
    line: u64,
    after_carriage_return: bool,
    row: u64,
    in_row: bool,
}

impl<R: Read> Cells<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        let mut stops = [false; 256];
        [delimiter, b'\n', b'\r', b'"'].iter().for_each(|&byte| stops[usize::from(byte)] = true);
        let buffer = vec![0; 1 << 16];
        let (start, end, line, row) = (0, 0, 1, 1);
        Self { input, delimiter, stops, buffer, start, end, line, after_carriage_return: false, row, in_row: false }
    }

    /// The start of the text, up to so many bytes (at most what the buffer holds). Only before the first row.
    pub(super) fn beginning(&mut self, bytes: usize) -> Result<&[u8], Fault> {
        while self.end < bytes && self.more(None)? {}
        Ok(&self.buffer[..self.end.min(bytes)])
    }

    /// Passes over UTF-8's byte order mark. Only before the first row.
    pub(super) fn skip_byte_order_mark(&mut self) {
        let mark = "\u{feff}".as_bytes();
        if self.buffer[..self.end].starts_with(mark) {
            self.start += mark.len();
        }
    }

    pub(super) fn into_inner(self) -> R {
        self.input
    }

    /// The line on which the current row starts.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    /// The byte with which the current row starts. Only before its first cell.
    pub(super) fn first_byte(&self) -> u8 {
        self.buffer[self.start]
    }

    /// Goes to the next row that is not empty; `false` at the end of the text. Only after the last cell of the row before.
    pub(super) fn next_row(&mut self) -> Result<bool, Fault> {
        loop {
            if self.start == self.end && !self.more(None)? {
                return Ok(false);
            }
            match self.buffer[self.start] {
                byte @ (b'\n' | b'\r') => {
                    self.count_line(byte);
                    self.start += 1;
                }
                _ => {
                    self.after_carriage_return = false;
                    (self.row, self.in_row) = (self.line, true);
                    return Ok(true);
                }
            }
        }
    }

    /// The next cell of the row, without its quotes; `None` behind the last one. What is not to be kept may be of any
    /// length, and is not given whole.
    pub(super) fn next_cell(&mut self, keep: bool) -> Result<Option<&[u8]>, Fault> {
        if !self.in_row {
            return Ok(None);
        }
        // The cell starts at `start`; so many bytes of it have been seen, before them perhaps some that were dropped.
        let (mut seen, mut blank) = (0, true);
        loop {
            let rest = &self.buffer[self.start + seen..self.end];
            let Some(offset) = rest.iter().position(|&byte| self.stops[usize::from(byte)]) else {
                seen += rest.len();
                if !keep {
                    blank = blank && self.is_blank(seen);
                    self.start += seen;
                    seen = 0;
                }
                if self.more(None)? {
                    continue;
                }
                return Ok(Some(self.end_cell(seen, seen)));
            };
            seen += offset;
            if self.buffer[self.start + seen] != b'"' {
                return Ok(Some(self.end_cell(seen, seen)));
            }
            if blank && self.is_blank(seen) {
                self.start += seen + 1;
                return self.quoted_cell(keep).map(Some);
            }
            // A quote inside an unquoted cell, such as 5" for five inches.
            (seen, blank) = (seen + 1, false);
        }
    }

    /// The rest of a cell whose opening quote was consumed.
    fn quoted_cell(&mut self, keep: bool) -> Result<&[u8], Fault> {
        let opened = self.line;
        // So many bytes from `start` on have been seen; without their quotes they are the first `kept` ones.
        let (mut seen, mut kept) = (0, 0);
        loop {
            let from = self.start + seen;
            let quote = self.buffer[from..self.end].iter().position(|&byte| byte == b'"');
            let length = quote.unwrap_or(self.end - from);
            self.count_lines(from..from + length);
            if keep {
                // A doubled quote stands for one: what follows it moves up.
                self.buffer.copy_within(from..from + length, self.start + kept);
                kept += length;
            }
            seen += length + usize::from(quote.is_some());
            if !keep {
                self.start += seen;
                seen = 0;
            }
            if quote.is_none() {
                if !self.more(Some(opened))? {
                    return Err(Fault::UnclosedQuote { line: opened });
                }
                continue;
            }
            if self.peek(seen, opened)? != Some(b'"') {
                break;
            }
            if keep {
                self.buffer[self.start + kept] = b'"';
                kept += 1;
            }
            seen += 1;
            self.after_carriage_return = false;
        }
        self.after_carriage_return = false;
        loop {
            match self.peek(seen, opened)? {
                None | Some(b'\n' | b'\r') => return Ok(self.end_cell(kept, seen)),
                Some(byte) if byte == self.delimiter => return Ok(self.end_cell(kept, seen)),
                Some(b' ' | b'\t') => seen += 1,
                Some(_) => return Err(Fault::BehindQuote { line: self.line }),
            }
        }
    }

    /// The cell of `length` bytes from `start` on, with everything consumed that was `seen`, and what ends the cell.
    fn end_cell(&mut self, length: usize, seen: usize) -> &[u8] {
        let cell = self.start..self.start + length;
        self.start += seen;
        if self.start == self.end {
            self.in_row = false;
        } else {
            let byte = self.buffer[self.start];
            self.start += 1;
            if byte != self.delimiter {
                self.count_line(byte);
                self.in_row = false;
            }
        }
        &self.buffer[cell]
    }

    /// The byte behind those seen; `None` at the end of the text.
    fn peek(&mut self, seen: usize, quote: u64) -> Result<Option<u8>, Fault> {
        if self.start + seen == self.end && !self.more(Some(quote))? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.start + seen]))
    }

    fn is_blank(&self, seen: usize) -> bool {
        self.buffer[self.start..self.start + seen].iter().all(|byte| matches!(byte, b' ' | b'\t'))
    }

    fn count_lines(&mut self, range: std::ops::Range<usize>) {
        for index in range {
            match self.buffer[index] {
                byte @ (b'\n' | b'\r') => self.count_line(byte),
                _ => self.after_carriage_return = false,
            }
        }
    }

    /// Counts a line end; CR LF is one.
    fn count_line(&mut self, byte: u8) {
        if byte == b'\r' || !self.after_carriage_return {
            self.line += 1;
        }
        self.after_carriage_return = byte == b'\r';
    }

    /// Reads on, behind what is not consumed, which moves to the front of the buffer; `false` at the end of the text.
    /// `quote` is the line on which the current cell's quotes were opened.
    fn more(&mut self, quote: Option<u64>) -> Result<bool, Fault> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            if self.end >= LONGEST_CELL {
                return Err(Fault::TooLong { quote });
            }
            let room = self.buffer.try_reserve_exact(self.end);
            room.map_err(|_| Fault::Io(ErrorKind::OutOfMemory.into()))?;
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
            }
        }
    }
}
