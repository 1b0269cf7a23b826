//! Images side by side.

use super::png::{Rgb, data_uri, encode};
use super::svg::{Anchor, FAINT, Svg, Text, fit, number, text_width};
use crate::files;
use osnova_tensor::{Error, Result, Tensor};
use std::path::Path;

const TITLE_SIZE: f64 = 17.0;
const NOTE_SIZE: f64 = 12.0;
const LABEL_SIZE: f64 = 13.0;
const MARGIN: f64 = 16.0;
/// The widest a label may be.
const WIDEST_LABEL: f64 = 170.0;
/// White between the images, in pixels.
const GAP: usize = 2;
/// The side that images get if nobody says how far to enlarge them.
const SIDE: usize = 64;
/// More pixels than this take more memory than a picture is worth: 400 MB.
const MOST_PIXELS: usize = 1 << 27;
const BACKGROUND: Rgb = [255; 3];
/// What a NaN is shown as: magenta, which no grey can be mistaken for.
const NOT_A_NUMBER: Rgb = [255, 0, 255];

/// How the values of an image lie in it: channel by channel, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// 1 for greys, 3 for red, green and blue.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl ImageShape {
    /// The shape of images whose samples have this shape without the batch: `[height, width]` or `[channels, height, width]`.
    ///
    /// ```
    /// use osnova_train::plot::ImageShape;
    ///
    /// assert_eq!(ImageShape::of(&[28, 28])?, ImageShape { channels: 1, height: 28, width: 28 });
    /// assert_eq!(ImageShape::of(&[3, 32, 32])?.values(), 3072);
    /// assert_eq!(ImageShape::square(784)?, ImageShape::of(&[28, 28])?);
    /// # Ok::<(), Box<osnova_tensor::Error>>(())
    /// ```
    ///
    /// # Errors
    /// One axis (which may be anything; see [`square`](Self::square)), more than three, no pixels, channels other than 1 and 3.
    pub fn of(feature_shape: &[usize]) -> Result<Self> {
        let shape = match *feature_shape {
            [height, width] => Self { channels: 1, height, width },
            [channels, height, width] => Self { channels, height, width },
            _ => {
                return Err(refused(
                    format!("{feature_shape:?} is not the shape of an image"),
                    "Give [height, width] or [channels, height, width]; for square grey images that lie flat \
                     `ImageShape::square`",
                ));
            }
        };
        shape.checked()
    }

    /// Square grey images of so many pixels: 784 are 28 × 28.
    ///
    /// # Errors
    /// No square number, or 0.
    pub fn square(pixels: usize) -> Result<Self> {
        let side = pixels.isqrt();
        if side * side != pixels {
            let problem = format!("{pixels} pixels make no square");
            return Err(refused(problem, "Say height and width by `ImageShape::of`"));
        }
        Self { channels: 1, height: side, width: side }.checked()
    }

    /// How many values an image has; 0 also where they are too many to count.
    pub fn values(self) -> usize {
        let pixels = self.height.checked_mul(self.width);
        pixels.and_then(|pixels| pixels.checked_mul(self.channels)).unwrap_or(0)
    }

    /// The shape itself, if images can have it.
    fn checked(self) -> Result<Self> {
        if self.values() == 0 || !matches!(self.channels, 1 | 3) {
            let Self { channels, height, width } = self;
            return Err(refused(
                format!("{channels} channels of {height} × {width} pixels are no image"),
                "Give 1 or 3 channels and at least one pixel",
            ));
        }
        Ok(self)
    }
}

/// Images of one shape in rows: in PNG pixels alone, in SVG with title and labels.
///
/// ```
/// use osnova_cpu::CpuDevice;
/// use osnova_tensor::{DType, Device, Generator, Tensor};
/// use osnova_train::plot::{ImageGrid, ImageShape};
///
/// let images = Tensor::uniform([5, 8, 8], 0.0, 1.0, DType::F32, &Generator::new(0), Device::cpu())?;
/// let grid = ImageGrid::new("Noise", ImageShape::of(&[8, 8])?).row("first", &images)?.row("again", &images)?;
/// assert!(grid.to_svg()?.contains("again"));
/// assert!(grid.to_png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), Box<osnova_tensor::Error>>(())
/// ```
///
/// The values 0 to 1 run from black to white ([`range`](Self::range)); beyond they are cut off, and NaN is magenta. Each pixel
/// is a square of so many pixels that images are about 64 high ([`scale`](Self::scale)), with sharp edges.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageGrid {
    title: String,
    note: String,
    shape: ImageShape,
    rows: Vec<Row>,
    column_labels: Vec<String>,
    scale: Option<usize>,
    range: (f64, f64),
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    label: String,
    /// Image by image.
    values: Vec<f64>,
}

/// Where things are in the PNG.
#[derive(Clone, Copy, Debug)]
struct Layout {
    columns: usize,
    scale: usize,
    cell: (usize, usize),
    size: (usize, usize),
}

impl ImageGrid {
    /// A grid without images.
    pub fn new(title: impl Into<String>, shape: ImageShape) -> Self {
        let (rows, column_labels) = (Vec::new(), Vec::new());
        Self { title: title.into(), note: String::new(), shape, rows, column_labels, scale: None, range: (0.0, 1.0) }
    }

    /// Another title.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A line under the title, in the SVG.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Adds a row of images, `[images, …]` with the values of an image in any shape. They are read from the device at once.
    ///
    /// # Errors
    /// No images, images of another size, a [shape](ImageShape) that no image can have.
    pub fn row(mut self, label: impl Into<String>, images: &Tensor) -> Result<Self> {
        let values = self.values(images)?;
        self.rows.push(Row { label: label.into(), values });
        Ok(self)
    }

    /// Adds images in rows of so many, without labels; the last row may be shorter.
    ///
    /// # Errors
    /// No columns, and as for [`row`](Self::row).
    pub fn rows_of(mut self, columns: usize, images: &Tensor) -> Result<Self> {
        let values = self.values(images)?;
        let length = columns.checked_mul(self.shape.values()).filter(|length| *length > 0);
        let length =
            length.ok_or_else(|| refused(format!("{columns} columns"), "Give about as many as there are rows"))?;
        let rows = values.chunks(length).map(|values| Row { label: String::new(), values: values.to_vec() });
        self.rows.extend(rows);
        Ok(self)
    }

    /// Names the columns, in the SVG.
    #[must_use]
    pub fn column_labels(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.column_labels = labels.into_iter().map(Into::into).collect();
        self
    }

    /// How many pixels of the picture a pixel of an image is wide and high, 1 to 64.
    #[must_use]
    pub fn scale(mut self, pixels: usize) -> Self {
        self.scale = Some(pixels.clamp(1, 64));
        self
    }

    /// The values that are black and white, 0 and 1 unless said otherwise.
    #[must_use]
    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = (low, high);
        self
    }

    /// The images as a PNG file, with a little white between them.
    ///
    /// # Errors
    /// No images, a range that is none, more than 2²⁷ pixels.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        self.draw(self.layout()?)
    }

    /// The picture, as a complete SVG document.
    ///
    /// # Errors
    /// As for [`to_png`](Self::to_png).
    pub fn to_svg(&self) -> Result<String> {
        let layout = self.layout()?;
        let png = self.draw(layout)?;
        Ok(self.render(layout, &png))
    }

    /// Writes [`to_png`](Self::to_png) to a file, whole or not at all. Missing directories are made.
    ///
    /// # Errors
    /// As for [`to_png`](Self::to_png), and when the file cannot be written.
    pub fn save_png(&self, path: impl AsRef<Path>) -> crate::Result<()> {
        files::write(path.as_ref(), &self.to_png()?)
    }

    /// Writes [`to_svg`](Self::to_svg) to a file, whole or not at all. Missing directories are made.
    ///
    /// # Errors
    /// As for [`to_svg`](Self::to_svg), and when the file cannot be written.
    pub fn save_svg(&self, path: impl AsRef<Path>) -> crate::Result<()> {
        files::write(path.as_ref(), self.to_svg()?.as_bytes())
    }

    /// The values of images of this shape.
    fn values(&self, images: &Tensor) -> Result<Vec<f64>> {
        let length = self.shape.checked()?.values();
        let count = images.dims().first().copied().unwrap_or(0);
        if count == 0 || Some(images.count()) != count.checked_mul(length) {
            let ImageShape { channels, height, width } = self.shape;
            return Err(Error::shape(
                "image_grid",
                [*images.shape()],
                format!("images of {channels} × {height} × {width} are {length} values each"),
                "Give at least one, as [images, …]",
            ));
        }
        Ok(images.detach().to_host()?.to_f64())
    }

    fn layout(&self) -> Result<Layout> {
        let (low, high) = self.range;
        if !(low < high && (high - low).is_finite()) {
            return Err(refused(format!("the range is {low} to {high}"), "Give two finite numbers, the lower first"));
        }
        let ImageShape { height, width, .. } = self.shape;
        let length = self.shape.values().max(1);
        let columns = self.rows.iter().map(|row| row.values.len() / length).max();
        let columns = columns.ok_or_else(|| refused("there are no images", "Add some by `row` or `rows_of`"))?;
        let scale = self.scale.unwrap_or_else(|| (SIDE / height.max(width).max(1)).max(1));
        let side = |count: usize, pixels: usize| {
            let cell = pixels.checked_mul(scale)?;
            Some((cell, cell.checked_add(GAP)?.checked_mul(count)?.checked_sub(GAP)?))
        };
        let sides = side(columns, width).zip(side(self.rows.len(), height));
        let fits = |sides: &((usize, usize), (usize, usize))| {
            sides.0.1.checked_mul(sides.1.1).is_some_and(|pixels| pixels <= MOST_PIXELS)
        };
        let ((cell_width, width), (cell_height, height)) = sides.filter(fits).ok_or_else(|| {
            refused(
                format!("the picture would have more than {MOST_PIXELS} pixels"),
                "Give fewer images or a lower scale",
            )
        })?;
        Ok(Layout { columns, scale, cell: (cell_width, cell_height), size: (width, height) })
    }

    fn draw(&self, layout: Layout) -> Result<Vec<u8>> {
        let Layout { scale, cell, size, .. } = layout;
        let ImageShape { channels, width, height } = self.shape;
        let mut picture = vec![BACKGROUND; size.0 * size.1];
        // Each row of pixels of each image is enlarged sideways once, then copied down.
        let mut line = Vec::with_capacity(cell.0);
        for (row, images) in self.rows.iter().enumerate() {
            for (column, image) in images.values.chunks(channels * height * width).enumerate() {
                let left = column * (cell.0 + GAP);
                for y in 0..height {
                    line.clear();
                    for x in 0..width {
                        let value = |channel: usize| image.get((channel * height + y) * width + x).copied();
                        let color = self.color([0, 1, 2].map(|part| value(part % channels).unwrap_or(f64::NAN)));
                        line.extend(std::iter::repeat_n(color, scale));
                    }
                    let top = row * (cell.1 + GAP) + y * scale;
                    for down in top..top + scale {
                        let start = down * size.0 + left;
                        if let Some(place) = picture.get_mut(start..start + line.len()) {
                            place.copy_from_slice(&line);
                        }
                    }
                }
            }
        }
        encode(size.0, &picture).map_err(|error| refused(error.to_string(), "Give fewer images or a lower scale"))
    }

    fn color(&self, values: [f64; 3]) -> Rgb {
        if values.iter().any(|value| value.is_nan()) {
            return NOT_A_NUMBER;
        }
        let (low, high) = self.range;
        values.map(|value| (((value - low) / (high - low)).clamp(0.0, 1.0) * 255.0).round() as u8)
    }

    fn render(&self, layout: Layout, png: &[u8]) -> String {
        let (cell_width, cell_height) = (layout.cell.0 as f64, layout.cell.1 as f64);
        let (width, height) = (layout.size.0 as f64, layout.size.1 as f64);
        let gap = GAP as f64;

        // Labels denser than their letters are thinned, and those wider than their column turned.
        let size = LABEL_SIZE.min(cell_height * 0.8).max(9.0);
        let row_stride = (size * 1.1 / (cell_height + gap)).ceil().max(1.0) as usize;
        let row_labels: Vec<String> = self.rows.iter().map(|row| fit(&row.label, size, WIDEST_LABEL)).collect();
        let labels = self.column_labels.iter().take(layout.columns);
        let column_labels: Vec<String> = labels.map(|label| fit(label, LABEL_SIZE, WIDEST_LABEL)).collect();
        let widest = |labels: &[String], size| labels.iter().map(|label| text_width(label, size)).fold(0.0, f64::max);
        let turned = widest(&column_labels, LABEL_SIZE) > cell_width + gap - 4.0;
        let column_stride = if turned { (LABEL_SIZE * 1.25 / (cell_width + gap)).ceil().max(1.0) as usize } else { 1 };
        let above = match (column_labels.is_empty(), turned) {
            (true, _) => 0.0,
            (_, true) => widest(&column_labels, LABEL_SIZE) + 8.0,
            (_, false) => LABEL_SIZE + 7.0,
        };
        let beside = widest(&row_labels, size);
        let beside = if beside > 0.0 { beside + 9.0 } else { 0.0 };

        // A small grid still needs room for its title; it stands in the middle then.
        let title_width = text_width(&self.title, TITLE_SIZE * 1.1);
        let head = title_width.max(text_width(&self.note, NOTE_SIZE)).min(640.0);
        let body = beside + width;
        let total_width = body.max(head).max(168.0) + 2.0 * MARGIN;
        let left = (total_width - body) / 2.0 + beside;
        let mut top = MARGIN - 4.0;
        let title_y = top + TITLE_SIZE;
        if !self.title.is_empty() {
            top = title_y + 6.0;
        }
        let note_y = top + NOTE_SIZE + 2.0;
        if !self.note.is_empty() {
            top = note_y + 4.0;
        }
        let top = top + 8.0 + above;

        let mut svg = Svg::new(total_width, top + height + MARGIN, &self.title);
        let (room, middle) = (total_width - 2.0 * MARGIN, total_width / 2.0);
        if !self.title.is_empty() {
            // Bold letters are a little wider than the estimate.
            let title = fit(&self.title, TITLE_SIZE * 1.1, room);
            svg.text(Text::new(middle, title_y, TITLE_SIZE, &title).anchor(Anchor::Middle).bold());
        }
        if !self.note.is_empty() {
            let note = fit(&self.note, NOTE_SIZE, room);
            svg.text(Text::new(middle, note_y, NOTE_SIZE, &note).anchor(Anchor::Middle).color(FAINT));
        }
        for (index, label) in row_labels.iter().enumerate().step_by(row_stride) {
            let y = top + index as f64 * (cell_height + gap) + cell_height / 2.0 + size * 0.35;
            if !label.is_empty() {
                svg.text(Text::new(left - 9.0, y, size, label).anchor(Anchor::End));
            }
        }
        for (index, label) in column_labels.iter().enumerate().step_by(column_stride) {
            let x = left + index as f64 * (cell_width + gap) + cell_width / 2.0;
            if turned {
                svg.text(Text::new(x + LABEL_SIZE * 0.35, top - 6.0, LABEL_SIZE, label).rotate(-90.0));
            } else {
                svg.text(Text::new(x, top - 7.0, LABEL_SIZE, label).anchor(Anchor::Middle));
            }
        }
        svg.raw(format_args!(
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" style=\"image-rendering:pixelated\" href=\"{}\"/>\n",
            number(left),
            number(top),
            number(width),
            number(height),
            data_uri("image/png", png),
        ));
        svg.finish()
    }
}

#[cold]
fn refused(problem: impl Into<String>, advice: &'static str) -> Box<Error> {
    Error::argument("image_grid", problem, advice)
}
