//! The UCI optical digits, embedded.

use crate::{ArrayDataset, Column, CsvReader, Result};

static FILE: &[u8] = include_bytes!("../data/digits.csv.gz");

/// The shape of one image of [`digits`]: use it with [`ArrayDataset::with_feature_shape`].
pub const DIGITS_IMAGE_SHAPE: [usize; 2] = [8, 8];

/// The UCI optical digits: 1,797 real images of handwritten digits, 8×8 pixels with whole values 0 to 16, in 10 classes.
///
/// The file (57 KB) is part of this crate, so this needs no path and no network. Samples and order are those of
/// scikit-learn's `load_digits`; features have the shape `[64]`.
///
/// Alpaydin, E. & Kaynak, C. (1998), *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository,
/// <https://doi.org/10.24432/C50P49>, CC BY 4.0.
///
/// # Errors
/// None in practice: the embedded file is valid.
///
/// ```
/// use osnova_data::{digits, Dataset};
///
/// let data = digits()?;
/// assert_eq!((data.len(), data.feature_shape(), data.class_count()), (1797, &[64][..], Some(10)));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
pub fn digits() -> Result<ArrayDataset> {
    CsvReader::new()
        .has_header(false)
        .target_classes(Column::Last)
        .read_from(FILE, "digits.csv.gz")?
        .with_feature_names((0..64).map(|pixel| format!("pixel_{}_{}", pixel / 8, pixel % 8)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    #[test]
    fn digits_are_the_ones_of_scikit_learn() {
        let data = digits().unwrap();
        assert_eq!(data.sources()[0].sha256, "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22");
        assert_eq!(data.sources()[0].bytes, 57_523);
        assert_eq!((data.len(), data.feature_count()), (1797, 64));
        let mut counts = [0; 10];
        for &class in data.class_indices().unwrap() {
            counts[class as usize] += 1;
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // load_digits().data.sum() and the first row of the first image.
        assert_eq!(data.features().iter().map(|&pixel| f64::from(pixel)).sum::<f64>(), 561_718.0);
        assert_eq!(data.features()[..8], [0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]);
        assert!(data.features().iter().all(|pixel| (0.0..=16.0).contains(pixel) && pixel.fract() == 0.0));
        assert_eq!(data.class_names().unwrap()[3], "3");
        assert_eq!(data.with_feature_shape(DIGITS_IMAGE_SHAPE).unwrap().feature_shape(), [8, 8]);
    }
}
