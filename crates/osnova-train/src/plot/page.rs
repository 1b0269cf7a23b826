//! Texts, tables and pictures as one HTML file.

use super::png::data_uri;
use super::svg::escape;
use crate::files;
use std::fmt::Write as _;
use std::path::Path;

/// Readable on a phone, where tables scroll, as do pictures whose labels would get too small; and in the dark, where pictures
/// keep their white.
const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #666; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181c; --faint: #a5a5a5; --line: #3b3f46; } }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, Helvetica, Arial, 'DejaVu Sans', sans-serif; overflow-wrap: break-word; }
h1 { line-height: 1.2; font-size: 1.8rem; }
h2 { margin-top: 2.5rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); line-height: 1.2; }
figure { margin: 1.5rem 0; overflow-x: auto; }
figure img { max-width: max(100%, 34rem); height: auto; background: #fff; }
figcaption { color: var(--faint); font-size: .92rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
";

/// A report that is a single file: style and pictures are in it, it runs no scripts and asks nothing of the net.
///
/// ```
/// use osnova_train::plot::{LineChart, Page};
///
/// let page = Page::new("A run")
///     .text("Trained for three epochs.")
///     .section("Loss")
///     .svg("The loss falls.", &LineChart::new("Loss").values("train", [0.9, 0.5, 0.3]).to_svg())
///     .table(["epoch", "loss"], [["1", "0.9"], ["2", "0.5"], ["3", "0.3"]]);
/// assert!(page.to_html().starts_with("<!DOCTYPE html>"));
/// ```
///
/// Texts are shown as they are: markup in them is escaped.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with a title and nothing else.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), body: String::new() }
    }

    /// Begins a section.
    #[must_use]
    pub fn section(self, heading: impl AsRef<str>) -> Self {
        self.element("h2", heading.as_ref())
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn text(self, paragraph: impl AsRef<str>) -> Self {
        self.element("p", paragraph.as_ref())
    }

    /// Adds a table. Cells that are numbers stand to the right.
    #[must_use]
    pub fn table<Row>(
        mut self,
        header: impl IntoIterator<Item = impl AsRef<str>>,
        rows: impl IntoIterator<Item = Row>,
    ) -> Self
    where
        Row: IntoIterator,
        Row::Item: AsRef<str>,
    {
        self.body.push_str("<div class=\"table\"><table>\n<thead><tr>");
        for cell in header {
            self.write(format_args!("<th scope=\"col\">{}</th>", escape(cell.as_ref())));
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for cell in row {
                let cell = cell.as_ref();
                let class = if cell.trim().parse::<f64>().is_ok() { " class=\"number\"" } else { "" };
                self.write(format_args!("<td{class}>{}</td>", escape(cell)));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody></table></div>\n");
        self
    }

    /// Adds an SVG document, with a text below that also stands for it where pictures cannot be seen.
    #[must_use]
    pub fn svg(self, caption: impl AsRef<str>, svg: &str) -> Self {
        // As an image and not as part of the page: there it could run scripts, and break the page where it is broken itself.
        self.figure(caption.as_ref(), &data_uri("image/svg+xml", svg.as_bytes()))
    }

    /// Adds a PNG file, with a text below as for [`svg`](Self::svg).
    #[must_use]
    pub fn png(self, caption: impl AsRef<str>, bytes: &[u8]) -> Self {
        self.figure(caption.as_ref(), &data_uri("image/png", bytes))
    }

    /// The whole file.
    #[must_use]
    pub fn to_html(&self) -> String {
        let (title, body) = (escape(&self.title), &self.body);
        // Every element is closed, so that readers of XML can read it too.
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
        )
    }

    /// Writes [`to_html`](Self::to_html) to a file, whole or not at all. Missing directories are made.
    ///
    /// # Errors
    /// When the file cannot be written; the message names it.
    pub fn save(&self, path: impl AsRef<Path>) -> crate::Result<()> {
        files::write(path.as_ref(), self.to_html().as_bytes())
    }

    fn element(mut self, name: &str, text: &str) -> Self {
        self.write(format_args!("<{name}>{}</{name}>\n", escape(text)));
        self
    }

    fn figure(mut self, caption: &str, source: &str) -> Self {
        let caption = escape(caption);
        self.write(format_args!(
            "<figure><img alt=\"{caption}\" src=\"{source}\"/><figcaption>{caption}</figcaption></figure>\n"
        ));
        self
    }

    fn write(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.body.write_fmt(markup);
    }
}
