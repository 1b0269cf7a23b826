//! What a program prints. Losing that must not lose what the program was run for.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Why standard output can no longer be written to.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes a line on standard output, which may be closed (`… | head`) or full: what cannot be written is lost, and
/// [`finish`] says so.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    if lost.is_none() {
        *lost = writeln!(io::stdout(), "{text}").err();
    }
}

/// As `println!`, but never a panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::print::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Tells an error, and gives the exit code of a program that ends with this result.
pub(crate) fn finish(result: Result<(), Box<dyn Error>>) -> ExitCode {
    // There is no other place to tell that standard error is closed.
    let tell = |error: &dyn fmt::Display| drop(writeln!(io::stderr(), "error: {error}"));
    if let Err(error) = result {
        tell(&error);
        return ExitCode::FAILURE;
    }
    match LOST.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        // Whoever closes a pipe has read enough.
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(&format_args!("not all could be printed: {error}. All else is done"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
