//! A small SVG writer: elements, escaped text, estimated text widths, atomic saving.

use osnova_checkpoint::CheckpointError;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The colour of titles and numbers.
pub(super) const INK: &str = "#222222";
/// The colour of what should stand back: notes, zeros, axis lines.
pub(super) const FAINT: &str = "#777777";
/// The colour of grid lines.
pub(super) const GRID: &str = "#e3e3e3";
/// The colour of a matrix cell that has no finite value.
pub(super) const MISSING: &str = "#cfcfcf";

/// Two ends of a straight piece.
pub(super) type Segment = ((f64, f64), (f64, f64));

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text to draw; the point is on its baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    pub(super) color: &'a str,
    /// Degrees, clockwise, about the point.
    pub(super) rotate: f64,
    pub(super) bold: bool,
    pub(super) content: &'a str,
}

impl<'a> Text<'a> {
    pub(super) fn new(x: f64, y: f64, size: f64, content: &'a str) -> Self {
        Self { x, y, size, anchor: Anchor::Start, color: INK, rotate: 0.0, bold: false, content }
    }

    pub(super) fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(super) fn color(self, color: &'a str) -> Self {
        Self { color, ..self }
    }

    pub(super) fn rotate(self, rotate: f64) -> Self {
        Self { rotate, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// A picture being written.
#[derive(Debug)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// Starts a white picture of `width` by `height` pixels; `title` is what screen readers say.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { body: String::new() };
        svg.raw(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n",
            width = number(width),
            height = number(height),
        ));
        svg.raw(format_args!("<title>{}</title>\n", escape(title)));
        svg.rect(0.0, 0.0, width, height, "#ffffff", None);
        svg
    }

    /// Writes what is already well-formed markup.
    pub(super) fn raw(&mut self, markup: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        let _ = self.body.write_fmt(markup);
    }

    /// A filled rectangle; `tooltip` is what a browser shows over it.
    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str, tooltip: Option<&str>) {
        self.raw(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"",
            number(x),
            number(y),
            number(width),
            number(height),
        ));
        match tooltip {
            Some(text) => self.raw(format_args!("><title>{}</title></rect>\n", escape(text))),
            None => self.raw(format_args!("/>\n")),
        }
    }

    /// A straight line; `dash` is an SVG dash pattern, empty for a solid line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64, dash: &str) {
        self.raw(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{color}\" stroke-width=\"{}\"{}/>\n",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            number(width),
            dash_attribute(dash),
        ));
    }

    /// A line through the points.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], color: &str, dash: &str) {
        self.raw(format_args!("<polyline points=\""));
        for (index, &(x, y)) in points.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            self.raw(format_args!("{separator}{},{}", number(x), number(y)));
        }
        self.raw(format_args!(
            "\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-linejoin=\"round\" \
             stroke-linecap=\"round\"{}/>\n",
            dash_attribute(dash),
        ));
    }

    /// Thin straight pieces, as one element.
    pub(super) fn segments(&mut self, segments: &[Segment], color: &str, width: f64) {
        if segments.is_empty() {
            return;
        }
        self.raw(format_args!("<path d=\""));
        for (from, to) in segments {
            self.raw(format_args!("M{} {}L{} {}", number(from.0), number(from.1), number(to.0), number(to.1)));
        }
        self.raw(format_args!("\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{}\"/>\n", number(width)));
    }

    /// A filled circle.
    pub(super) fn circle(&mut self, x: f64, y: f64, radius: f64, fill: &str, opacity: f64) {
        self.raw(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\" fill-opacity=\"{}\"/>\n",
            number(x),
            number(y),
            number(radius),
            number(opacity),
        ));
    }

    /// A line of text.
    pub(super) fn text(&mut self, text: Text<'_>) {
        let anchor = match text.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.raw(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"",
            number(text.x),
            number(text.y),
            number(text.size),
            text.color,
        ));
        if text.bold {
            self.raw(format_args!(" font-weight=\"bold\""));
        }
        if text.rotate != 0.0 {
            self.raw(format_args!(
                " transform=\"rotate({} {} {})\"",
                number(text.rotate),
                number(text.x),
                number(text.y),
            ));
        }
        self.raw(format_args!(">{}</text>\n", escape(text.content)));
    }

    /// Draws what `draw` draws, cut off at the rectangle.
    pub(super) fn clipped(&mut self, (x, y, width, height): (f64, f64, f64, f64), draw: impl FnOnce(&mut Self)) {
        // A nested picture clips without an id, so several charts may stand inline in one page.
        let [x, y, width, height] = [x, y, width, height].map(number);
        self.raw(format_args!(
            "<svg x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"{x} {y} {width} {height}\" overflow=\"hidden\">\n"
        ));
        draw(self);
        self.raw(format_args!("</svg>\n"));
    }

    /// The whole picture.
    pub(super) fn finish(mut self) -> String {
        self.body.push_str("</svg>\n");
        self.body
    }
}

fn dash_attribute(dash: &str) -> String {
    if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") }
}

/// A coordinate with at most two decimals; what is not finite becomes 0, since SVG has no NaN.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    // A renderer's own numbers are single precision; nothing visible lies beyond a million pixels.
    let text = format!("{:.2}", value.clamp(-1e6, 1e6));
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `text` as XML character data: markup escaped, forbidden characters replaced, one line.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            // XML 1.0 has no place for these, escaped or not.
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The estimated width of `text` in pixels at a font size.
///
/// The reader's font is unknown; the widths are DejaVu Sans's, the widest of the usual ones, so a
/// layout that fits by this estimate fits.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(em_width).sum::<f64>() * size
}

fn em_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' | ' ' | '.' | ',' | ':' | ';' | 'I' => 0.36,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '!' | '-' | '/' => 0.44,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' | '—' => 1.0,
        '+' | '<' | '>' | '=' | '~' | '#' | '&' | 'O' | 'Q' | 'D' | 'G' | 'H' | 'N' | 'U' => 0.84,
        'A'..='Z' => 0.72,
        '\0'..='\x7f' => 0.645,
        '\u{80}'..='\u{10ff}' => 0.8,
        _ => 1.05,
    }
}

/// `text`, shortened with "…" where it is wider than `width` pixels.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut used = em_width('…') * size;
    let mut kept = String::new();
    for character in text.chars() {
        used += em_width(character) * size;
        if used > width {
            break;
        }
        kept.push(character);
    }
    let mut kept = kept.trim_end().to_owned();
    kept.push('…');
    kept
}

/// Writes the picture to `path` in one piece: a reader or a crash meets the old file or the new one and never half of one.
pub(super) fn save(path: &Path, svg: &str) -> io::Result<()> {
    osnova_checkpoint::write_file(path, svg.as_bytes()).map_err(|error| {
        let kind = match &error {
            CheckpointError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::InvalidInput,
        };
        io::Error::new(kind, error)
    })
}
