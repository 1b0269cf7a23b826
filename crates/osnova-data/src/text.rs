//! Strangers' text in messages: names, cells, paths and panics come from files and callers, so they are cut to what a
//! screen holds, and nothing in them can move a cursor or forge a line.

use std::fmt::{self, Write};

/// Shows text on one line, of at most so many characters, with control characters escaped.
pub(crate) struct OneLine<'a>(pub(crate) &'a str, pub(crate) usize);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, character) in self.0.chars().enumerate() {
            if number == self.1 {
                return f.write_char('…');
            }
            match character {
                // What turns the direction of writing can forge a line as well as an escape sequence can.
                '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{2028}'
                | '\u{2029}' => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                _ if character.is_control() => write!(f, "{}", character.escape_debug())?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// The start of a text in quotes, enough of it to find it.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// The first few names of many, and how many there are besides.
pub(crate) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 10;
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names.take(SHOWN).map(|name| OneLine(name, 40).to_string()).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A shape, of whose sizes the first few are shown.
pub(crate) fn shape(sizes: &[usize]) -> String {
    const SHOWN: usize = 8;
    match sizes.len() {
        ..=SHOWN => format!("{sizes:?}"),
        axes => {
            let shown: Vec<String> = sizes[..SHOWN].iter().map(usize::to_string).collect();
            format!("[{}, …] ({axes} sizes)", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_on_one_line_and_short() {
        assert_eq!(OneLine("gr\u{fc}n \"x\"", 20).to_string(), "gr\u{fc}n \"x\"");
        assert_eq!(
            OneLine("a\n\u{1b}[2Jb\u{7f}\u{9b}\u{202e}", 20).to_string(),
            "a\\n\\u{1b}[2Jb\\u{7f}\\u{9b}\\u{202e}"
        );
        assert_eq!(OneLine("abcdef", 3).to_string(), "abc…");
        assert_eq!(OneLine("abc", 3).to_string(), "abc");
        assert_eq!(quoted("a\tb"), "\"a\\tb\"");
        assert_eq!(quoted(&"ü".repeat(1000)), format!("\"{}\"…", "ü".repeat(40)));
    }

    #[test]
    fn lists_are_cut_and_say_so() {
        let names: Vec<String> = (0..1_000_000).map(|index| format!("c{index}")).collect();
        assert_eq!(listed(names[..3].iter().map(String::as_str)), "c0, c1, c2");
        assert!(listed(names.iter().map(String::as_str)).ends_with("c9 and 999990 more"));
        assert_eq!(shape(&[3, 4]), "[3, 4]");
        assert_eq!(shape(&[1; 255]), "[1, 1, 1, 1, 1, 1, 1, 1, …] (255 sizes)");
    }
}
