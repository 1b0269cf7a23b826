//! Whether the documentation's links lead somewhere, without building the book.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::process::{Error, Result};

/// Checks `README.md` and the other pages at the root, `docs/*.md` and `docs/SUMMARY.md`: every
/// relative link names a file or folder, and every chapter is in the summary.
pub(crate) fn check(root: &Path) -> Result<()> {
    let docs = root.join("docs");
    let mut pages = markdown_files(root)?;
    if docs.is_dir() {
        pages.extend(markdown_files(&docs)?);
    }
    let mut complaints = Vec::new();
    let mut chapters = BTreeSet::new();
    let summary = docs.join("SUMMARY.md");
    for page in &pages {
        let text =
            fs::read_to_string(page).map_err(|error| Error(format!("cannot read {}: {error}", page.display())))?;
        for (line, link) in links(&text) {
            let Some(target) = local_target(page, &link) else {
                continue;
            };
            if *page == summary {
                chapters.insert(target.clone());
            }
            if !target.exists() {
                let page = page.strip_prefix(root).unwrap_or(page).display();
                complaints.push(format!("{page}:{line}: there is no {link}"));
            }
        }
    }
    if summary.is_file() {
        for page in pages.iter().filter(|page| page.starts_with(&docs)) {
            if *page != summary && !chapters.contains(&normal(page)) {
                let page = page.strip_prefix(root).unwrap_or(page).display();
                complaints.push(format!("{page} is not in docs/SUMMARY.md"));
            }
        }
    }
    if complaints.is_empty() {
        println!("{} pages, all links lead somewhere", pages.len());
        Ok(())
    } else {
        Err(Error(format!("{} broken:\n  {}", complaints.len(), complaints.join("\n  "))))
    }
}

fn markdown_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error| Error(format!("cannot list {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The file a link names; `None` for other sites and for places on the page itself.
fn local_target(page: &Path, link: &str) -> Option<PathBuf> {
    let path = link.split(['#', '?']).next().unwrap_or("");
    // A scheme such as https: or mailto:.
    let scheme = path
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|letter| letter.is_ascii_alphanumeric()));
    if path.is_empty() || scheme {
        return None;
    }
    let path = path.replace("%20", " ");
    Some(normal(&page.parent()?.join(path)))
}

/// The path without `.` and `..`, by its words alone.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}

/// The targets of a page's inline links, images and link definitions, with their lines. Code is
/// left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| trimmed.starts_with(marker));
        match (fence, marker) {
            (None, Some(_)) => fence = marker,
            (Some(open), Some(close)) if open == close => fence = None,
            (None, None) => {
                let line = without_code(line);
                let targets = inline_targets(&line).into_iter().chain(definition(&line));
                found.extend(targets.map(|target| (index + 1, target)));
            }
            _ => {}
        }
    }
    found
}

/// The line with its `code` taken out.
fn without_code(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].len() - rest[start..].trim_start_matches('`').len();
        let after = &rest[start + ticks..];
        // An opening without an end is an ordinary character.
        let Some(end) = after.find(&"`".repeat(ticks)) else {
            break;
        };
        kept.push_str(&rest[..start]);
        rest = &after[end + ticks..];
    }
    kept + rest
}

fn inline_targets(line: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find("](") {
        rest = &rest[start + 2..];
        // A target may hold balanced brackets itself.
        let mut depth = 1;
        let end = rest.char_indices().find(|&(_, character)| {
            depth += match character {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let Some((end, _)) = end else { break };
        targets.push(target_alone(&rest[..end]));
        rest = &rest[end..];
    }
    targets
}

/// The target of a definition such as `[name]: path "title"`.
fn definition(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix('[')?;
    let (name, target) = rest.split_once("]:")?;
    // `[^1]: …` is a footnote, whose text is no target.
    let plain = !name.is_empty() && !name.starts_with('^') && !name.contains(']');
    let target = target_alone(target);
    (plain && !target.is_empty()).then_some(target)
}

/// A target without its title and angle brackets.
fn target_alone(target: &str) -> String {
    let target = target.trim();
    if let Some(rest) = target.strip_prefix('<') {
        return rest.split('>').next().unwrap_or("").to_owned();
    }
    target.split_whitespace().next().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> Vec<String> {
        links(text).into_iter().map(|(_, target)| target).collect()
    }

    #[test]
    fn links_are_found_and_code_is_not() {
        let text = "see [a](a.md), ![b](img/b.svg \"title\") and [c](<c d.md>)\n\
                    `[no](code.md)` but [d](d_(1).md) ``[`no`](code.md)``\n\
                    ```rust\nx[0](y);\n[no](fenced.md)\n```\n\
                    ~~~\n``` [no](tilde.md)\n~~~\n\
                    [e]: e.md#part\n[^1]: a footnote\n[open](never\n";
        assert_eq!(targets(text), ["a.md", "img/b.svg", "c d.md", "d_(1).md", "e.md#part"]);
        assert_eq!(links("\n\n[a](b)"), [(3, "b".to_owned())]);
    }

    #[test]
    fn only_files_are_checked() {
        let page = Path::new("/book/docs/page.md");
        let target = |link| local_target(page, link);
        assert_eq!(target("https://example.org/x"), None);
        assert_eq!(target("mailto:me@example.org"), None);
        assert_eq!(target("#part"), None);
        assert_eq!(target("other.md#part"), Some("/book/docs/other.md".into()));
        assert_eq!(target("../src/./lib.rs"), Some("/book/src/lib.rs".into()));
        assert_eq!(target("two%20words.md"), Some("/book/docs/two words.md".into()));
    }

    #[test]
    fn each_broken_link_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let write = |name: &str, text: &str| fs::write(root.join(name), text).expect("written");
        fs::create_dir(root.join("docs")).expect("a folder");
        write("README.md", "[guide](docs/guide.md)\n[gone](docs/gone.md)\n");
        write("docs/SUMMARY.md", "- [Guide](guide.md)\n- [Missing](missing.md)\n");
        write("docs/guide.md", "[up](../README.md#top) [self](#here)");
        write("docs/orphan.md", "");
        let Err(Error(message)) = check(root) else {
            panic!("three things are wrong");
        };
        assert!(message.starts_with("3 broken"), "{message}");
        assert!(message.contains("README.md:2: there is no docs/gone.md"), "{message}");
        assert!(message.contains("docs/SUMMARY.md:2: there is no missing.md"), "{message}");
        assert!(message.contains("docs/orphan.md is not in docs/SUMMARY.md"), "{message}");

        write("docs/gone.md", "");
        write("docs/missing.md", "");
        let all = "- [G](guide.md)\n- [M](missing.md)\n- [O](orphan.md)\n- [X](./gone.md)\n";
        write("docs/SUMMARY.md", all);
        assert_eq!(check(root), Ok(()));
    }
}
