//! The pictures, each as a file, and the page that shows them all.

use crate::Failure;
use crate::data::{self, Parts};
use crate::evaluation::Evaluation;
use crate::options::Options;
use osnova::data::{Dataset, TensorBatch};
use osnova::generative::GenerativeModel;
use osnova::generative::pictures::{self, ImageGrid, ImageShape, Interpolation, Page};
use osnova::prelude::Generator;
use osnova::tensor::Device;
use osnova::train::{History, Manifest};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The steps from one image to another.
const STEPS: usize = 9;
/// The points of a scatter chart; more hide each other.
const POINTS: usize = 2000;

/// All that a run has come to.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) model: &'a dyn GenerativeModel,
    pub(crate) parts: &'a Parts,
    pub(crate) test: &'a Arc<dyn Dataset>,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) history: &'a History,
    pub(crate) out: &'a Path,
}

/// A page that grows, and the directory of its pictures.
struct Album<'a> {
    page: Page,
    out: &'a Path,
}

impl Album<'_> {
    fn section(mut self, heading: &str) -> Self {
        self.page = self.page.section(heading);
        self
    }

    /// Images: as PNG without words, as SVG with them.
    fn grid(self, name: &str, caption: &str, grid: &ImageGrid) -> Result<Self, Failure> {
        grid.save_png(self.out.join(name).with_extension("png"))?;
        self.svg(name, caption, &grid.to_svg()?)
    }

    fn svg(mut self, name: &str, caption: &str, svg: &str) -> Result<Self, Failure> {
        fs::write(self.out.join(name).with_extension("svg"), svg)?;
        self.page = self.page.svg(caption, svg);
        Ok(self)
    }
}

/// Writes all pictures and `index.html`.
pub(crate) fn write(run: &Run, manifest: &Manifest) -> Result<(), Failure> {
    let Run { options, model, evaluation, .. } = run;
    let page = Page::new(format!("{} on {}", options.model.name(), options.dataset.name()))
        .text(format!(
            "Trained on {} images, tested on {} that it had not seen. Its codes have {} features, {} of them active.",
            manifest.split.train,
            manifest.split.test,
            model.latent_features(),
            evaluation.activity.count(),
        ))
        .section("In numbers")
        .table(["name", "value", "what it is"], evaluation.numbers.rows());
    let album = training(run, Album { page, out: run.out })?;
    let album = images(run, album)?;
    let choices = manifest.hyperparameters.iter().map(|(name, value)| [name.clone(), value.to_string()]);
    let page = album.section("How it was made").page.table(["option", "value"], choices);
    Ok(page.save(run.out.join("index.html"))?)
}

/// How training went.
fn training<'a>(run: &Run, mut album: Album<'a>) -> Result<Album<'a>, Failure> {
    let Run { options, history, .. } = run;
    let mut curves = pictures::training_curves(history);
    if let Some(epoch) = history.restored_epoch {
        curves = curves.marker(format!("best: epoch {epoch}"), epoch as f64);
    }
    album = album.section("Training").svg("training", "The parts of the loss, epoch by epoch.", &curves.to_svg())?;
    if !options.doctor {
        return Ok(album);
    }
    for diagnosis in &history.diagnoses {
        album.page = album.page.text(diagnosis.to_string());
    }
    for (name, caption) in [
        ("gradient-flow", "The norm of the gradient, layer by layer."),
        ("update-ratios", "How far a step moves the weights, layer by layer."),
    ] {
        let svg = fs::read_to_string(album.out.join(name).with_extension("svg"))?;
        album.page = album.page.svg(caption, &svg);
    }
    Ok(album)
}

/// What the model makes of codes and images.
fn images<'a>(run: &Run, album: Album<'a>) -> Result<Album<'a>, Failure> {
    let Run { options, model, parts, test, .. } = *run;
    let device = model.device().ok_or("the model has no parameters")?.without_recording();
    let (shape, names) = (ImageShape::of(&parts.image)?, &parts.class_names);
    let generator = || Generator::new(options.seed);
    let shown = Shown::of(test, names.len(), model.class_count().is_some(), device)?;
    let classes = model.class_count().and(shown.each.targets.as_ref());

    let (samples, caption) = match model.class_count() {
        Some(_) => (
            pictures::class_samples(model, names, 10, &generator(), shape)?,
            "New samples: in a row the class is the same, in a column the code.",
        ),
        None => (pictures::samples(model, 64, None, &generator(), shape)?, "New samples."),
    };
    let mut album = album.section("Samples").grid("samples", caption, &samples)?;

    let again = pictures::reconstructions(model, &shown.each.features, classes, shape)?.column_labels(names);
    album =
        album.section("Reconstructions").grid("reconstructions", "Test images, and what came back of them.", &again)?;
    if model.corrupt(&shown.each.features, &generator())?.is_some() {
        let restored = pictures::restorations(model, &shown.each.features, &generator(), shape)?.column_labels(names);
        album = album.grid("restorations", "Clean, spoiled and restored.", &restored)?;
    }

    album = album.section("From one image to another");
    for (name, kind, caption) in [
        ("interpolation-linear", Interpolation::Linear, "Codes on the straight line between those of two test images."),
        ("interpolation-spherical", Interpolation::Spherical, "Codes on the great circle between the same ones."),
    ] {
        let (from, to) = (&shown.from.features, &shown.to.features);
        let told = model.class_count().and(shown.from.targets.as_ref());
        let grid = pictures::interpolation(model, from, to, STEPS, kind, told, shape)?;
        album = album.grid(name, caption, &grid)?;
    }
    codes(run, &shown.one, shape, album.section("The codes"))
}

/// What the features of a code mean.
fn codes<'a>(run: &Run, image: &TensorBatch, shape: ImageShape, mut album: Album<'a>) -> Result<Album<'a>, Failure> {
    let Run { model, parts, evaluation, .. } = *run;
    let (codes, by_activity) = (&evaluation.codes, evaluation.activity.by_activity());
    let most: Vec<usize> = by_activity.iter().copied().take(evaluation.activity.count().clamp(1, 10)).collect();
    let class = model.class_count().and(image.targets.as_ref());
    let variational = model.as_variational().is_some();
    let range = if variational { (-3.0, 3.0) } else { extent(evaluation, &most)? };
    let traversal = pictures::traversal(model, &image.features, &most, range, STEPS, class, shape)?;
    album = album.grid(
        "traversal",
        "A test image, as one feature of its code changes: the most active ones.",
        &traversal,
    )?;
    let &[first, second, ..] = &by_activity[..] else { return Ok(album) };
    if variational {
        let manifold = pictures::manifold(model, (first, second), 15, class, shape)?;
        let caption = "What the two most active features mean together, over the quantiles of N(0, 1).";
        album = album.grid("manifold", caption, &manifold)?;
    }
    let count = codes.codes.dims()[0].min(POINTS);
    let classes = codes.classes.as_deref().map(|classes| &classes[..count]);
    let points = codes.codes.narrow(0, 0, count)?;
    let scatter = pictures::latent_scatter(&points, classes, &parts.class_names, (first, second))?;
    album.svg("codes", "The codes of test images in the two most active features.", &scatter.to_svg())
}

/// From the least to the greatest value that these features have.
fn extent(evaluation: &Evaluation, features: &[usize]) -> Result<(f64, f64), Failure> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &feature in features {
        let values = evaluation.codes.codes.select(1, feature as isize)?.to_host()?.to_f64();
        low = values.iter().copied().fold(low, f64::min);
        high = values.iter().copied().fold(high, f64::max);
    }
    Ok(if low < high { (low, high) } else { (low - 1.0, low + 1.0) })
}

/// The test images in the pictures.
struct Shown {
    /// One of each class.
    each: TensorBatch,
    /// Pairs.
    from: TensorBatch,
    to: TensorBatch,
    /// A single one.
    one: TensorBatch,
}

impl Shown {
    /// Pairs are of one class for a model that is told one, else of different classes.
    fn of(test: &Arc<dyn Dataset>, classes: usize, told: bool, device: Device) -> Result<Self, Failure> {
        let labels = test.classes()?;
        let nth = |class: usize, n: usize| {
            let of_class = labels.iter().enumerate().filter(|(_, label)| usize::try_from(**label) == Ok(class));
            of_class.map(|(index, _)| index).nth(n)
        };
        let first: Vec<usize> = (0..classes).filter_map(|class| nth(class, 0)).collect();
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for class in (0..classes).step_by(2) {
            let other = if told { nth(class, 1) } else { nth(class + 1, 0) };
            if let (Some(one), Some(other)) = (nth(class, 0), other) {
                from.push(one);
                to.push(other);
            }
        }
        let batch = |indices: Vec<usize>| data::pick(test, indices, device);
        Ok(Self { each: batch(first)?, from: batch(from)?, to: batch(to)?, one: batch(vec![0])? })
    }
}
