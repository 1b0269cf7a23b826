//! Strangers' text in messages: names, dtypes and paths come from files, so they are cut to what a screen holds, and
//! nothing in them can move a cursor or forge a line.

use std::fmt::{self, Write};
use std::path::Path;

/// The longest name that is shown.
const NAME: usize = 80;
/// The longest sentence.
const SENTENCE: usize = 400;
/// The longest path.
const PATH: usize = 500;

/// Text on one line of at most so many characters, with control characters escaped.
struct OneLine<'a>(&'a str, usize);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, character) in self.0.chars().enumerate() {
            if count == self.1 {
                return f.write_char('…');
            }
            match character {
                // What turns the direction of writing, or cannot be seen, forges a line as well as an escape sequence.
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// A name between back ticks.
pub(crate) fn name(name: &str) -> String {
    format!("`{}`", OneLine(name, NAME))
}

/// What another library says of a file, which may quote from it.
pub(crate) fn sentence(text: impl fmt::Display) -> String {
    OneLine(&text.to_string(), SENTENCE).to_string()
}

/// Names between back ticks, the first ones of many.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 16;
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names.by_ref().take(SHOWN).map(name).collect();
    match names.count() {
        0 if shown.is_empty() => return "nothing".to_owned(),
        0 => {}
        more => shown.push(format!("and {more} more")),
    }
    shown.join(", ")
}

/// A path.
pub(crate) fn path(path: &Path) -> String {
    OneLine(&path.to_string_lossy(), PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_is_shown_on_one_short_line() {
        assert_eq!(name("größe \"x\""), "`größe \"x\"`");
        assert_eq!(name("a\u{1b}[2J\r\nb\u{202e}"), "`a\\u{1b}[2J\\r\\nb\\u{202e}`");
        assert_eq!(name(&"x".repeat(1_000_000)).chars().count(), NAME + 3);
        assert_eq!(sentence("y".repeat(1_000_000)).chars().count(), SENTENCE + 1);
        assert_eq!(path(Path::new("a/\u{7f}b")), "a/\\u{7f}b");
        let many: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        assert!(names(many.iter().map(String::as_str)).ends_with("`15`, and 984 more"));
        assert_eq!((names(["a", "b"]), names([])), ("`a`, `b`".to_owned(), "nothing".to_owned()));
    }
}
