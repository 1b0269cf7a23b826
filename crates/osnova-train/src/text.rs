//! Names from elsewhere, in one line of bounded length.

/// `text` without control characters, cut to `width` characters.
pub(crate) fn shown(text: &str, width: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == width {
            shown.push('…');
            break;
        }
        match character {
            // Right-to-left marks and their like can turn a line around as escape sequences can.
            _ if character.is_control()
                || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                shown.extend(character.escape_default());
            }
            other => shown.push(other),
        }
    }
    shown
}

/// The names between back ticks, the first ones of many.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    const MOST: usize = 16;
    let names: Vec<&String> = names.into_iter().collect();
    let mut listed: Vec<String> = names.iter().take(MOST).map(|name| format!("`{}`", shown(name, 64))).collect();
    if names.len() > MOST {
        listed.push(format!("and {} more", names.len() - MOST));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_of_bounded_length() {
        assert_eq!(shown("a\u{1b}[2Jb\nc", 64), "a\\u{1b}[2Jb\\nc");
        assert_eq!(shown("größe", 4), "größ…");
        assert_eq!(shown("größe", 5), "größe");
        assert_eq!(shown("\u{202e}abc", 9), "\\u{202e}abc");
        let names: Vec<String> = (0..1_000_000).map(|name| name.to_string()).collect();
        assert!(list(&names).ends_with("`15`, and 999984 more"), "{}", list(&names));
    }
}
