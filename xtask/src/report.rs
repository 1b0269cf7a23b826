//! Reports in pages of the documentation, between markers.

use std::fs;
use std::path::Path;

use crate::process::{Error, Result};

/// Puts a report into a page. A page with the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->` gets it between them.
pub(crate) fn write(path: &Path, name: &str, report: &str) -> Result<()> {
    let cannot = |error: std::io::Error| Error(format!("cannot write {}: {error}", path.display()));
    let before = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(cannot(error)),
    };
    fs::write(path, place(before.as_deref(), name, report)).map_err(cannot)?;
    eprintln!("written to {}", path.display());
    Ok(())
}

/// A page with the report between its markers. A page without markers keeps all it has and gets the
/// report at its end; without a page the report makes one.
fn place(page: Option<&str>, name: &str, report: &str) -> String {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let block = format!("{begin}\n{}\n{end}", report.trim_end());
    let Some(page) = page else {
        return format!("# Performance\n\n{block}\n");
    };
    let parts = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{block}{after}"),
        None => format!("{}\n\n{block}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_former_one_and_nothing_else() {
        let first = place(None, "compare", "one\n");
        assert!(first.starts_with("# Performance\n"));
        let page = format!("Prose before.\n{first}Prose after.\n");
        let second = place(Some(&page), "compare", "two\n");
        assert_eq!(second, page.replace("\none\n", "\ntwo\n"));

        let appended = place(Some("No markers.\n"), "compare", "one");
        assert!(appended.starts_with("No markers.\n\n<!-- compare:begin -->\none\n"), "{appended}");
        assert_eq!(place(Some(&appended), "compare", "one"), appended);
        // Reports of two names do not touch each other.
        let both = place(Some(&appended), "device", "three");
        assert!(
            both.contains("\none\n<!-- compare:end -->") && both.contains("<!-- device:begin -->\nthree\n"),
            "{both}"
        );
    }
}
