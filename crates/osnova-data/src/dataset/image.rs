//! Images of bytes in memory.

use super::targets::{Targets, one_name_each, reshaped, same_count, samples};
use super::{Dataset, TargetKind, check_buffer, check_index, describe};
use crate::{Result, Source};
use std::fmt;
use std::sync::Arc;

/// Labelled images of 8-bit pixels, held as bytes (a quarter of the memory) and delivered as `f32` pixels times
/// `scale`, by default 1/255 so that they lie in 0..1. Cloning shares the arrays.
#[derive(Clone)]
pub struct ImageDataset {
    pixels: Arc<Vec<u8>>,
    len: usize,
    feature_shape: Arc<[usize]>,
    scale: f32,
    targets: Targets,
    class_names: Option<Arc<Vec<String>>>,
    sources: Arc<[Source]>,
}

impl ImageDataset {
    /// Images with a class each. `pixels` is row-major `[samples, …image_shape]`.
    ///
    /// # Errors
    /// The pixels are not whole images, the counts differ, or a class is out of range.
    pub fn new(
        pixels: impl Into<Vec<u8>>,
        image_shape: impl AsRef<[usize]>,
        classes: impl Into<Vec<i64>>,
        class_count: usize,
    ) -> Result<Self> {
        let (operation, shape) = ("ImageDataset::new", image_shape.as_ref());
        let (pixels, classes) = (pixels.into(), classes.into());
        let len = samples(operation, pixels.len(), shape)?;
        same_count(operation, len, classes.len())?;
        Ok(Self {
            pixels: Arc::new(pixels),
            len,
            feature_shape: shape.into(),
            scale: 1.0 / 255.0,
            targets: Targets::classes(operation, classes, class_count)?,
            class_names: None,
            sources: Arc::default(),
        })
    }

    /// The same images in another shape of the same size: `[784]` for a dense network, `[1, 28, 28]` for a convolution.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn with_feature_shape(mut self, feature_shape: impl AsRef<[usize]>) -> Result<Self> {
        self.feature_shape = reshaped("ImageDataset::with_feature_shape", &self.feature_shape, feature_shape.as_ref())?;
        Ok(self)
    }

    /// Delivers pixel × `scale` instead of pixel / 255.
    pub fn with_scale(mut self, scale: f32) -> Self {
        self.scale = scale;
        self
    }

    /// Names the classes, by index.
    ///
    /// # Errors
    /// Not one name a class.
    pub fn with_class_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names = one_name_each("ImageDataset::with_class_names", names, self.class_count().unwrap_or(0), "classes")?;
        self.class_names = Some(names);
        Ok(self)
    }

    /// Adds a source to the record of where the data came from.
    pub fn with_source(mut self, source: Source) -> Self {
        self.sources = self.sources.iter().cloned().chain([source]).collect();
        self
    }

    /// All pixels, row-major: `[samples, …feature_shape]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn feature_shape(&self) -> &[usize] {
        &self.feature_shape
    }

    fn target_kind(&self) -> TargetKind {
        self.targets.kind()
    }

    fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()> {
        check_index("read_features", index, self.len)?;
        let width = self.feature_count();
        check_buffer("read_features", output.len(), width)?;
        for (output, &pixel) in output.iter_mut().zip(&self.pixels[index * width..][..width]) {
            *output = f32::from(pixel) * self.scale;
        }
        Ok(())
    }

    fn read_class(&self, index: usize) -> Result<i64> {
        self.targets.class(index)
    }

    fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref().map(Vec::as_slice)
    }

    fn sources(&self) -> &[Source] {
        &self.sources
    }
}

impl fmt::Debug for ImageDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe("ImageDataset", self, f)
    }
}
