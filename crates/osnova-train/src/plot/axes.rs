//! The frame of a chart with two axes: title, legend, axis labels, ticks, grid, markers.

use super::scale::{Range, Scale, Spacing, Tick, ticks, ticks_along, widest_label};
use super::svg::{Anchor, FAINT, GRID, INK, Svg, Text, fit, text_width};

const TITLE_SIZE: f64 = 17.0;
const LABEL_SIZE: f64 = 13.0;
const TICK_SIZE: f64 = 12.0;
const MARGIN: f64 = 16.0;
const LEGEND_ROW: f64 = 20.0;
const LEGEND_SYMBOL: f64 = 26.0;
const MARKER_ROW: f64 = 16.0;
/// The smallest picture whose texts still find a place.
const SMALLEST: (f64, f64) = (280.0, 220.0);
const LARGEST: f64 = 10_000.0;

/// What every chart with axes lets its user say.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axes {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x_spacing: Spacing,
    pub(super) y_spacing: Spacing,
    pub(super) y_range: Option<(f64, f64)>,
    pub(super) markers: Vec<(String, f64)>,
}

impl Axes {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            x_label: String::new(),
            y_label: String::new(),
            width: 720.0,
            height: 440.0,
            x_spacing: Spacing::Linear,
            y_spacing: Spacing::Linear,
            y_range: None,
            markers: Vec::new(),
        }
    }

    pub(super) fn resize(&mut self, width: u32, height: u32) {
        self.width = f64::from(width).clamp(SMALLEST.0, LARGEST);
        self.height = f64::from(height).clamp(SMALLEST.1, LARGEST);
    }
}

/// How the legend shows a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    Line(&'static str),
    Dot,
}

/// One line of the legend.
#[derive(Clone, Debug)]
pub(super) struct LegendEntry<'a> {
    pub(super) name: &'a str,
    pub(super) color: &'static str,
    pub(super) symbol: Symbol,
}

/// What the frame must know of the data.
#[derive(Clone, Debug)]
pub(super) struct Data<'a> {
    /// The range of x, padded; `None` without data.
    pub(super) x: Option<Range>,
    /// The range of y, padded; `None` without data.
    pub(super) y: Option<Range>,
    /// Whether every x is a whole number.
    pub(super) whole_x: bool,
    /// Whether every y is a whole number.
    pub(super) whole_y: bool,
    pub(super) legend: Vec<LegendEntry<'a>>,
    /// A line under the title.
    pub(super) note: Option<String>,
}

/// The plot area and its scales, after the frame is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plot {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Plot {
    pub(super) fn area(&self) -> (f64, f64, f64, f64) {
        (self.left, self.top, self.width, self.height)
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// Draws everything but the data, then the data by `draw`, cut off at the plot area.
pub(super) fn render(axes: &Axes, data: &Data<'_>, draw: impl FnOnce(&mut Svg, &Plot)) -> String {
    let mut svg = Svg::new(axes.width, axes.height, &axes.title);
    let mut top = draw_head(&mut svg, axes, data);

    let spacing = axes.y_spacing;
    let without_data = |spacing| match spacing {
        Spacing::Linear => Range { low: 0.0, high: 1.0 },
        Spacing::Logarithmic => Range { low: 0.1, high: 10.0 },
    };
    let y_range = y_range(axes).or(data.y).unwrap_or(without_data(spacing));
    let x_range = data.x.unwrap_or(without_data(axes.x_spacing));

    let y_ticks = ticks(y_range, spacing, (axes.height / 48.0) as usize, data.whole_y);
    let y_label_room = if axes.y_label.is_empty() { 0.0 } else { 20.0 };
    let left = MARGIN + y_label_room + widest_label(&y_ticks, TICK_SIZE) + 8.0;
    let right = axes.width - MARGIN - 10.0;
    let x_ticks = ticks_along(x_range, axes.x_spacing, right - left, TICK_SIZE, data.whole_x);
    // The last label is centred under its tick and may stand half its width beyond the plot.
    let right = right.min(axes.width - 6.0 - widest_label(&x_ticks, TICK_SIZE) / 2.0);
    let x_label_room = if axes.x_label.is_empty() { 0.0 } else { 22.0 };
    let bottom = axes.height - MARGIN - 20.0 - x_label_room;

    let x = Scale::new(x_range, axes.x_spacing, left, right);
    let markers = place_markers(axes, x_range, &x, left, right);
    let marker_rows = markers.iter().map(|marker| marker.row + 1).max();
    top += marker_rows.unwrap_or(0) as f64 * MARKER_ROW;
    // A picture that is too low for its legend keeps a sliver of plot rather than a negative one.
    let top = top.min(bottom - 20.0);

    let plot =
        Plot { x, y: Scale::new(y_range, spacing, bottom, top), left, top, width: right - left, height: bottom - top };
    let empty = data.x.is_none() || data.y.is_none();
    draw_grid(&mut svg, axes, &plot, if empty { &[] } else { &x_ticks }, if empty { &[] } else { &y_ticks });
    draw_markers(&mut svg, &markers, top, bottom);
    if empty {
        let (middle_x, middle_y) = (left + plot.width / 2.0, top + plot.height / 2.0);
        let text = Text::new(middle_x, middle_y, LABEL_SIZE, "no data");
        svg.text(text.anchor(Anchor::Middle).color(FAINT));
    } else {
        svg.clipped(plot.area(), |svg| draw(svg, &plot));
    }
    svg.finish()
}

/// The range the user asked for, where it is one.
fn y_range(axes: &Axes) -> Option<Range> {
    let (low, high) = axes.y_range?;
    let sound = axes.y_spacing.shows(low) && axes.y_spacing.shows(high) && low < high;
    let range = Range::of([low, high], axes.y_spacing)?;
    sound.then_some(range)
}

/// Draws title, note and legend; returns where the next thing below may start.
fn draw_head(svg: &mut Svg, axes: &Axes, data: &Data<'_>) -> f64 {
    let room = axes.width - 2.0 * MARGIN;
    let mut y = 12.0;
    if !axes.title.is_empty() {
        y += TITLE_SIZE;
        // Bold letters are a little wider than the estimate.
        let title = fit(&axes.title, TITLE_SIZE * 1.1, room);
        let text = Text::new(axes.width / 2.0, y, TITLE_SIZE, &title);
        svg.text(text.anchor(Anchor::Middle).bold());
        y += 5.0;
    }
    if let Some(note) = &data.note {
        y += TICK_SIZE + 2.0;
        let note = fit(note, TICK_SIZE, room);
        let text = Text::new(axes.width / 2.0, y, TICK_SIZE, &note);
        svg.text(text.anchor(Anchor::Middle).color(FAINT));
        y += 3.0;
    }
    y + draw_legend(svg, axes, &data.legend, y) + 8.0
}

/// A row of the legend: its entries with their shortened names and widths, and its own width.
struct LegendRow<'a> {
    entries: Vec<(&'a LegendEntry<'a>, String, f64)>,
    width: f64,
}

/// Draws the legend in centred rows from `top` on; returns its height.
fn draw_legend(svg: &mut Svg, axes: &Axes, entries: &[LegendEntry<'_>], top: f64) -> f64 {
    let room = axes.width - 2.0 * MARGIN;
    let gap = 20.0;
    let mut rows: Vec<LegendRow<'_>> = Vec::new();
    for entry in entries {
        let name = fit(entry.name, TICK_SIZE, room - LEGEND_SYMBOL);
        let width = LEGEND_SYMBOL + text_width(&name, TICK_SIZE);
        match rows.last_mut() {
            Some(row) if row.width + gap + width <= room => {
                row.width += gap + width;
                row.entries.push((entry, name, width));
            }
            _ => rows.push(LegendRow { entries: vec![(entry, name, width)], width }),
        }
    }
    // The plot comes first: many series show as many names as half the picture holds.
    let most = ((axes.height / 2.0 - top) / LEGEND_ROW).max(1.0) as usize;
    let hidden: usize = rows.iter().skip(most).map(|row| row.entries.len()).sum();
    rows.truncate(most);
    let mut y = top;
    for row in &rows {
        y += LEGEND_ROW;
        let mut x = (axes.width - row.width) / 2.0;
        for (entry, name, width) in &row.entries {
            let middle = y - TICK_SIZE * 0.35;
            match entry.symbol {
                Symbol::Line(dash) => svg.line((x, middle), (x + 20.0, middle), entry.color, 2.5, dash),
                Symbol::Dot => svg.circle(x + 12.0, middle, 4.0, entry.color, 1.0),
            }
            svg.text(Text::new(x + LEGEND_SYMBOL, y, TICK_SIZE, name));
            x += width + gap;
        }
    }
    if hidden > 0 {
        y += LEGEND_ROW;
        let more = format!("and {hidden} more");
        let text = Text::new(axes.width / 2.0, y, TICK_SIZE, &more);
        svg.text(text.anchor(Anchor::Middle).color(FAINT));
    }
    y - top
}

/// A marker with its place: the label is moved aside rather than out of the picture.
struct PlacedMarker {
    label: String,
    x: f64,
    label_x: f64,
    row: usize,
}

fn place_markers(axes: &Axes, x_range: Range, scale: &Scale, left: f64, right: f64) -> Vec<PlacedMarker> {
    let mut rows: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut placed = Vec::new();
    for (label, value) in &axes.markers {
        if !(x_range.low..=x_range.high).contains(value) {
            continue;
        }
        let label = fit(label, TICK_SIZE, right - left);
        let half = text_width(&label, TICK_SIZE) / 2.0;
        let x = scale.position(*value);
        let label_x = x.max(left + half).min(right - half);
        let (from, to) = (label_x - half - 6.0, label_x + half + 6.0);
        let free = |row: &Vec<(f64, f64)>| row.iter().all(|&(start, end)| to <= start || end <= from);
        let row = rows.iter().position(free).unwrap_or_else(|| {
            rows.push(Vec::new());
            rows.len() - 1
        });
        rows[row].push((from, to));
        placed.push(PlacedMarker { label, x, label_x, row });
    }
    placed
}

fn draw_markers(svg: &mut Svg, markers: &[PlacedMarker], top: f64, bottom: f64) {
    let line_top = |marker: &PlacedMarker| top - 4.0 - marker.row as f64 * MARKER_ROW;
    for marker in markers {
        let ends = ((marker.x, line_top(marker)), (marker.x, bottom));
        svg.line(ends.0, ends.1, FAINT, 1.2, "4 3");
    }
    // Labels come after all lines, on white, so that the line of a label above does not cross them.
    for marker in markers {
        let half = text_width(&marker.label, TICK_SIZE) / 2.0 + 2.0;
        let y = line_top(marker) - 1.0;
        let (left, top) = (marker.label_x - half, y - TICK_SIZE * 0.8);
        svg.rect(left, top, 2.0 * half, TICK_SIZE, "#ffffff", None);
        let text = Text::new(marker.label_x, y, TICK_SIZE, &marker.label);
        svg.text(text.anchor(Anchor::Middle));
    }
}

fn draw_grid(svg: &mut Svg, axes: &Axes, plot: &Plot, x_ticks: &[Tick], y_ticks: &[Tick]) {
    let (left, top, width, _) = plot.area();
    let (right, bottom) = (left + width, plot.bottom());
    for tick in y_ticks {
        let y = plot.y.position(tick.value);
        svg.line((left, y), (right, y), GRID, 1.0, "");
        let text = Text::new(left - 7.0, y + TICK_SIZE * 0.35, TICK_SIZE, &tick.label);
        svg.text(text.anchor(Anchor::End));
    }
    for tick in x_ticks {
        let x = plot.x.position(tick.value);
        svg.line((x, top), (x, bottom), GRID, 1.0, "");
        svg.line((x, bottom), (x, bottom + 4.0), FAINT, 1.0, "");
        let text = Text::new(x, bottom + 18.0, TICK_SIZE, &tick.label);
        svg.text(text.anchor(Anchor::Middle));
    }
    svg.line((left, top), (left, bottom), FAINT, 1.0, "");
    svg.line((left, bottom), (right, bottom), FAINT, 1.0, "");
    if !axes.x_label.is_empty() {
        let label = fit(&axes.x_label, LABEL_SIZE, width);
        let text = Text::new(left + width / 2.0, bottom + 40.0, LABEL_SIZE, &label);
        svg.text(text.anchor(Anchor::Middle).color(INK));
    }
    if !axes.y_label.is_empty() {
        let label = fit(&axes.y_label, LABEL_SIZE, plot.height);
        let text = Text::new(MARGIN + 6.0, top + plot.height / 2.0, LABEL_SIZE, &label);
        svg.text(text.anchor(Anchor::Middle).rotate(-90.0));
    }
}
