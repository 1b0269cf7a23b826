//! The matrix of cells that heatmaps and confusion matrices share.

use super::svg::{Anchor, FAINT, INK, Svg, Text, fit, text_width};

const TITLE_SIZE: f64 = 17.0;
const LABEL_SIZE: f64 = 13.0;
const NOTE_SIZE: f64 = 12.0;
const MARGIN: f64 = 16.0;
/// Below this a number in a cell cannot be read; the tooltip still has it.
const SMALLEST_TEXT: f64 = 6.5;
/// The widest a row or column name may be.
const WIDEST_NAME: f64 = 170.0;

/// A colour by its red, green and blue parts.
pub(super) type Rgb = (u8, u8, u8);

/// The colour key beside a matrix.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) low: String,
    pub(super) high: String,
    /// The colour a part of the way from low (0) to high (1).
    pub(super) color: fn(f64) -> Rgb,
}

/// One cell, ready to be drawn.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) color: Option<Rgb>,
    /// What stands in the cell; empty for nothing.
    pub(super) text: String,
    /// Whether the text should stand back.
    pub(super) muted: bool,
    pub(super) tooltip: String,
}

/// A matrix of cells with names around it.
#[derive(Clone, Debug)]
pub(super) struct Grid<'a> {
    pub(super) title: &'a str,
    pub(super) note: Option<String>,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) row_names: Vec<String>,
    pub(super) column_names: Vec<String>,
    /// Row by row.
    pub(super) cells: Vec<Cell>,
    pub(super) key: Option<Key>,
}

pub(super) fn hex((red, green, blue): Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Black or white, whichever has more contrast on the colour (WCAG's relative luminance).
pub(super) fn readable_on(color: Rgb) -> &'static str {
    let luminance = luminance(color);
    // (1.05)/(L + .05) > (L + .05)/(.05) exactly below this.
    if luminance < 0.179 { "#ffffff" } else { "#111111" }
}

pub(super) fn luminance((red, green, blue): Rgb) -> f64 {
    let linear = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

/// The colour `part` of the way through `stops`, evenly spaced.
pub(super) fn blend(stops: &[Rgb], part: f64) -> Rgb {
    let place = part.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let index = (place as usize).min(stops.len() - 2);
    let part = place - index as f64;
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
    let (from, to) = (stops[index], stops[index + 1]);
    (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

impl Grid<'_> {
    pub(super) fn render(&self) -> String {
        let (rows, columns) = (self.row_names.len(), self.column_names.len());
        let cell_height = cell_size(rows);
        let cell_width = self.cell_width();
        let (width, height) = (cell_width * columns as f64, cell_height * rows as f64);

        let names_size = LABEL_SIZE.min(cell_height * 0.8).min(cell_width * 0.8).max(8.0);
        let shorten = |names: &[String]| -> Vec<String> {
            let short = |name: &String| fit(name, names_size, WIDEST_NAME);
            names.iter().map(short).collect()
        };
        let widest = |names: &[String]| {
            let widths = names.iter().map(|name| text_width(name, names_size));
            widths.fold(0.0, f64::max)
        };
        let row_names = shorten(&self.row_names);
        let column_names = shorten(&self.column_names);
        // Names wider than their column are turned; names denser than their letters are thinned.
        let turned = widest(&column_names) > cell_width - 6.0;
        let row_stride = (names_size * 1.1 / cell_height).ceil().max(1.0) as usize;
        let column_stride = if turned { (names_size * 1.25 / cell_width).ceil().max(1.0) as usize } else { 1 };
        let names_height = if turned { widest(&column_names) + 6.0 } else { names_size + 4.0 };

        let y_label_room = if self.y_label.is_empty() { 0.0 } else { 24.0 };
        let left = MARGIN + y_label_room + widest(&row_names) + 8.0;
        let key_room = self
            .key
            .as_ref()
            .map_or(0.0, |key| 34.0 + text_width(&key.low, NOTE_SIZE).max(text_width(&key.high, NOTE_SIZE)));
        // A small matrix still needs room for its title; it stands in the middle then.
        let head_size = (TITLE_SIZE * 1.1, NOTE_SIZE);
        let head = text_width(self.title, head_size.0)
            .max(text_width(self.note.as_deref().unwrap_or(""), head_size.1))
            .max(text_width(self.x_label, LABEL_SIZE))
            .min(640.0);
        let body = left + width + key_room + MARGIN;
        let total_width = body.max(head + 2.0 * MARGIN).max(200.0);
        let left = left + (total_width - body) / 2.0;

        let mut top = 12.0;
        let title_y = top + TITLE_SIZE;
        if !self.title.is_empty() {
            top = title_y + 6.0;
        }
        let note_y = top + NOTE_SIZE + 2.0;
        if self.note.is_some() {
            top = note_y + 4.0;
        }
        top += 10.0;
        // A low matrix still needs room for the name of its y axis.
        let y_label_width = text_width(self.y_label, LABEL_SIZE).min(300.0);
        top += ((y_label_width - height) / 2.0).max(0.0);
        let bottom = top + height;
        let x_label_room = if self.x_label.is_empty() { 0.0 } else { 24.0 };
        let below = (names_height + 6.0 + x_label_room).max((y_label_width - height) / 2.0);
        let total_height = bottom + below + 12.0;

        let mut svg = Svg::new(total_width, total_height, self.title);
        let room = total_width - 2.0 * MARGIN;
        if !self.title.is_empty() {
            let title = fit(self.title, head_size.0, room);
            let text = Text::new(total_width / 2.0, title_y, TITLE_SIZE, &title);
            svg.text(text.anchor(Anchor::Middle).bold());
        }
        if let Some(note) = &self.note {
            let note = fit(note, NOTE_SIZE, room);
            let text = Text::new(total_width / 2.0, note_y, NOTE_SIZE, &note);
            svg.text(text.anchor(Anchor::Middle).color(FAINT));
        }
        if rows == 0 || columns == 0 {
            let text = Text::new(total_width / 2.0, bottom + 4.0, LABEL_SIZE, "no data");
            svg.text(text.anchor(Anchor::Middle).color(FAINT));
            return svg.finish();
        }

        self.draw_cells(&mut svg, (left, top), (cell_width, cell_height));

        for (index, name) in row_names.iter().enumerate().step_by(row_stride) {
            let middle = top + (index as f64 + 0.5) * cell_height;
            let text = Text::new(left - 7.0, middle + names_size * 0.35, names_size, name);
            svg.text(text.anchor(Anchor::End));
        }
        for (index, name) in column_names.iter().enumerate().step_by(column_stride) {
            let middle = left + (index as f64 + 0.5) * cell_width;
            if turned {
                let text = Text::new(middle + names_size * 0.35, bottom + 7.0, names_size, name);
                svg.text(text.anchor(Anchor::End).rotate(-90.0));
            } else {
                let text = Text::new(middle, bottom + names_size + 5.0, names_size, name);
                svg.text(text.anchor(Anchor::Middle));
            }
        }
        if !self.x_label.is_empty() {
            let label = fit(self.x_label, LABEL_SIZE, room);
            // Kept inside the picture where the name is wider than the matrix.
            let half = text_width(&label, LABEL_SIZE) / 2.0;
            let middle = (left + width / 2.0).max(half + 4.0).min(total_width - half - 4.0);
            let text = Text::new(middle, bottom + names_height + 22.0, LABEL_SIZE, &label);
            svg.text(text.anchor(Anchor::Middle));
        }
        if !self.y_label.is_empty() {
            let label = fit(self.y_label, LABEL_SIZE, height.max(300.0));
            let x = left - widest(&row_names) - 20.0;
            let text = Text::new(x, top + height / 2.0, LABEL_SIZE, &label);
            svg.text(text.anchor(Anchor::Middle).rotate(-90.0));
        }
        self.draw_key(&mut svg, left + width + 14.0, top, height);
        svg.finish()
    }

    /// The width of a cell: in a matrix of few columns wide enough to write their names level.
    fn cell_width(&self) -> f64 {
        let columns = self.column_names.len();
        let widths = self.column_names.iter().map(|name| text_width(name, LABEL_SIZE));
        let level = widths.fold(0.0, f64::max) + 10.0;
        let narrow = cell_size(columns);
        if level <= (560.0 / columns.max(1) as f64).min(120.0) { level.max(narrow) } else { narrow }
    }

    fn draw_cells(&self, svg: &mut Svg, origin: (f64, f64), (width, height): (f64, f64)) {
        let widest = self.cells.iter().map(|cell| text_width(&cell.text, 1.0)).fold(0.0, f64::max);
        // One size for all cells, so that numbers can be compared.
        let size = ((width - 4.0) / widest.max(0.1)).min(height * 0.5).min(14.0);
        let columns = self.column_names.len();
        // A white line between cells, as long as there are pixels to spare.
        let gap = if width.min(height) >= 8.0 { 1.0 } else { 0.0 };
        for (index, cell) in self.cells.iter().enumerate() {
            let x = origin.0 + (index % columns) as f64 * width;
            let y = origin.1 + (index / columns) as f64 * height;
            let fill = cell.color.map_or(super::svg::MISSING.to_owned(), hex);
            svg.rect(x, y, width - gap, height - gap, &fill, Some(&cell.tooltip));
            if cell.text.is_empty() || size < SMALLEST_TEXT {
                continue;
            }
            let color = match cell.color {
                _ if cell.muted => FAINT,
                Some(color) => readable_on(color),
                None => INK,
            };
            let (x, y) = (x + (width - gap) / 2.0, y + (height - gap) / 2.0 + size * 0.35);
            svg.text(Text::new(x, y, size, &cell.text).anchor(Anchor::Middle).color(color));
        }
    }

    fn draw_key(&self, svg: &mut Svg, x: f64, top: f64, height: f64) {
        let Some(Key { low, high, color }) = &self.key else {
            return;
        };
        let steps = 64;
        for step in 0..steps {
            let part = (f64::from(step) + 0.5) / f64::from(steps);
            let y = top + height * (1.0 - f64::from(step + 1) / f64::from(steps));
            // Half a pixel of overlap hides the seams between the steps.
            svg.rect(x, y, 12.0, height / f64::from(steps) + 0.5, &hex(color(part)), None);
        }
        // In a key of one low row the two ends stand side by side with it, not over each other.
        let (high_y, low_y) = if height < 2.5 * NOTE_SIZE {
            (top + height / 2.0 - 3.0, top + height / 2.0 + NOTE_SIZE)
        } else {
            (top + NOTE_SIZE * 0.8, top + height)
        };
        svg.text(Text::new(x + 17.0, high_y, NOTE_SIZE, high));
        svg.text(Text::new(x + 17.0, low_y, NOTE_SIZE, low));
    }
}

/// The side of a cell when there are `count` of them: large enough to read, small enough to see all.
fn cell_size(count: usize) -> f64 {
    (560.0 / count.max(1) as f64).clamp(2.0, 48.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_any_colour_has_the_contrast_wcag_asks_for() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let color = (red, green, blue);
                    let text = match readable_on(color) {
                        "#ffffff" => 1.0,
                        _ => luminance((0x11, 0x11, 0x11)),
                    };
                    let (light, dark) = (luminance(color).max(text), luminance(color).min(text));
                    let contrast = (light + 0.05) / (dark + 0.05);
                    // 4.5 needs pure black; 0x11 gives away a little in the middle.
                    assert!(contrast >= 4.0, "{color:?}: {contrast}");
                }
            }
        }
    }

    #[test]
    fn blending_meets_its_stops() {
        let stops = [(0, 0, 0), (100, 0, 0), (100, 200, 0)];
        assert_eq!(blend(&stops, 0.0), (0, 0, 0));
        assert_eq!(blend(&stops, 0.25), (50, 0, 0));
        assert_eq!(blend(&stops, 0.5), (100, 0, 0));
        assert_eq!(blend(&stops, 1.0), (100, 200, 0));
        assert_eq!(blend(&stops, 7.0), (100, 200, 0));
    }
}
