//! What the environment asks for.

use std::env::VarError;

/// What `parse` makes of the variable `name`; nothing where it is not set or empty. Nonsense leaves the choice to the system
/// too, but not silently: `parse` gives the reason, and since no caller has a result to carry it, it goes to the standard
/// error. Callers remember the choice, so that it is told once.
pub(crate) fn choice<T>(name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
    let text = match std::env::var(name) {
        Ok(text) => text,
        Err(VarError::NotPresent) => return None,
        Err(VarError::NotUnicode(text)) => text.to_string_lossy().into_owned(),
    };
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    parse(text).map_err(|reason| eprintln!("osnova: {name}={} is ignored: {reason}.", quoted(text))).ok()
}

/// A value in quotes, shortened and without control characters.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("{start:?}{}", if start.len() < text.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_short_and_plain() {
        assert_eq!(quoted("abc"), "\"abc\"");
        let long = format!("\u{1b}[31m{}", "x".repeat(1_000_000));
        let text = quoted(&long);
        assert!(text.len() < 70 && text.ends_with('…') && !text.contains('\u{1b}'), "{text}");
    }
}
