//! MNIST and Fashion-MNIST from their four IDX files.

use crate::{DataError, Dataset, IdxData, IdxReader, ImageDataset, Result, SealedTest, memory, text};
use std::io;
use std::path::{Path, PathBuf};

/// The names of Fashion-MNIST's classes.
pub const FASHION_MNIST_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// The names of MNIST's classes.
pub const MNIST_CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// A data set that comes with a test part of its own, which is sealed.
#[derive(Debug)]
#[non_exhaustive]
pub struct PresetSplit<D> {
    /// The samples to train (and validate) on.
    pub train: D,
    /// The sealed test samples.
    pub test: SealedTest<D>,
}

/// Fashion-MNIST from `directory`: 60,000 training and 10,000 test images of 28×28 pixels in 10 classes of clothing.
///
/// The directory holds the four IDX files by their usual names, such as `train-images-idx3-ubyte`, with or without
/// `.gz`. Debian's package `dataset-fashion-mnist` puts them in `/usr/share/datasets/fashion-mnist`. Pixels are
/// delivered as 0 to 1, of shape `[28, 28]`; see [`ImageDataset::with_feature_shape`].
///
/// # Errors
/// A file is missing or damaged, or images and labels do not belong together.
pub fn fashion_mnist(directory: impl AsRef<Path>) -> Result<PresetSplit<ImageDataset>> {
    preset(
        directory.as_ref(),
        &FASHION_MNIST_CLASSES,
        "`apt-get install dataset-fashion-mnist` puts the files in /usr/share/datasets/fashion-mnist",
    )
}

/// MNIST from `directory`: 60,000 training and 10,000 test images of handwritten digits, 28×28 pixels.
///
/// Files and delivery are as for [`fashion_mnist`].
///
/// # Errors
/// A file is missing or damaged, or images and labels do not belong together.
pub fn mnist(directory: impl AsRef<Path>) -> Result<PresetSplit<ImageDataset>> {
    preset(directory.as_ref(), &MNIST_CLASSES, "Put MNIST's four IDX files there")
}

fn preset(directory: &Path, classes: &[&str], advice: &str) -> Result<PresetSplit<ImageDataset>> {
    let part = |part: &str| {
        let images = find(directory, part, "images", 3, advice)?;
        let labels = find(directory, part, "labels", 1, advice)?;
        idx_images(images, labels, classes.len())?.with_class_names(classes.iter().copied())
    };
    Ok(PresetSplit { train: part("train")?, test: SealedTest::seal(part("t10k")?) })
}

/// The file of this part, under any of the names in use.
fn find(directory: &Path, part: &str, what: &str, rank: u8, advice: &str) -> Result<PathBuf> {
    for separator in ["-", "."] {
        for ending in ["", ".gz"] {
            let path = directory.join(format!("{part}-{what}{separator}idx{rank}-ubyte{ending}"));
            if path.is_file() {
                return Ok(path);
            }
        }
    }
    Err(DataError::Io {
        file: directory.join(format!("{part}-{what}-idx{rank}-ubyte")),
        source: io::Error::new(io::ErrorKind::NotFound, "there is no such file, nor one with `.gz`"),
        advice: advice.to_owned(),
    })
}

/// Labelled images from a pair of IDX files: bytes of shape `[samples, …]` and bytes of shape `[samples]`.
///
/// # Errors
/// A file is missing or damaged, is not of bytes or not of that shape, the counts disagree
/// ([`DataError::CountsDisagree`]), or a label is not below `class_count`.
pub fn idx_images(images: impl AsRef<Path>, labels: impl AsRef<Path>, class_count: usize) -> Result<ImageDataset> {
    let (images_path, labels_path) = (images.as_ref(), labels.as_ref());
    let wrong = |file: &Path, offset: u64, problem: String, advice: &str| DataError::Format {
        file: file.to_owned(),
        offset,
        problem,
        advice: advice.to_owned(),
    };
    let (labels, labels_source) = IdxReader::new().read(labels_path)?;
    let (images, images_source) = IdxReader::new().read(images_path)?;
    let IdxData::U8(pixels) = images.data else {
        return Err(wrong(images_path, 2, "the elements are not unsigned bytes".into(), "Give a file of 8-bit pixels"));
    };
    let Some((&count, image_shape)) = images.dims.split_first().filter(|(_, shape)| !shape.is_empty()) else {
        let problem = format!("the sizes are {}, but images need [samples, height, width]", text::shape(&images.dims));
        return Err(wrong(images_path, 3, problem, "Give the file of images, not the labels"));
    };
    let (IdxData::U8(classes), [label_count]) = (labels.data, &labels.dims[..]) else {
        let problem =
            format!("the sizes are {}, but labels need [samples] of unsigned bytes", text::shape(&labels.dims));
        return Err(wrong(labels_path, 3, problem, "Give the file of labels, not the images"));
    };
    if count != *label_count {
        return Err(DataError::CountsDisagree {
            file: images_path.to_owned(),
            count,
            other: labels_path.to_owned(),
            other_count: *label_count,
        });
    }
    if let Some(sample) = classes.iter().position(|&class| usize::from(class) >= class_count) {
        let problem = format!("label {} of sample {sample} is not below {class_count}", classes[sample]);
        return Err(wrong(labels_path, 8 + sample as u64, problem, "Check the number of classes"));
    }
    let mut indices: Vec<i64> = memory::room("idx_images", "the classes", Some(count))?;
    indices.extend(classes.iter().map(|&class| i64::from(class)));
    let data = ImageDataset::new(pixels, image_shape, indices, class_count)?;
    debug_assert_eq!(data.len(), count);
    Ok(data.with_source(images_source).with_source(labels_source))
}
