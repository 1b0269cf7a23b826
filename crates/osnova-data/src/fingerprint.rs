//! What tells one data set from another.

use crate::dataset::{feature_rows, value_rows};
use crate::source::hexadecimal;
use crate::{DataError, Dataset, Result, TargetKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// A hash that tells data sets apart, so that a run is not resumed on other data than it began with: on another split,
/// whose test set would have been trained on.
///
/// It covers the sizes, the names of the classes, the hashes of the [sources](Dataset::sources), and what the samples
/// hold, in their order. Of a set of more than 65,536 samples or 16 million numbers only samples at even distances are
/// read, so that a single other sample may go unnoticed there; another order or another split does not.
///
/// ```
/// use osnova_data::{Dataset, SplitOptions, digits, train_test_split};
///
/// let part = |seed| train_test_split(digits()?, 0.2, &SplitOptions::stratified(seed)).map(|parts| parts.train);
/// assert_eq!(part(0)?.fingerprint()?, part(0)?.fingerprint()?);
/// assert_ne!(part(0)?.fingerprint()?, part(1)?.fingerprint()?);
/// # Ok::<(), osnova_data::DataError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

/// At most so many samples are read …
const MOST_SAMPLES: usize = 1 << 16;
/// … and about so many numbers, but never fewer samples than the next.
const MOST_NUMBERS: usize = 1 << 24;
const FEWEST_SAMPLES: usize = 16;

const NAME: &str = "fingerprint";

impl Fingerprint {
    /// The fingerprint of anything, for a data set that can tell its identity without being read.
    ///
    /// ```
    /// use osnova_data::Fingerprint;
    /// assert_ne!(Fingerprint::of_bytes(b"version 1, seed 0"), Fingerprint::of_bytes(b"version 1, seed 1"));
    /// ```
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_hash(Sha256::digest(bytes).as_slice())
    }

    fn of_hash(hash: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(bytes)
    }

    /// What [`Dataset::fingerprint`] gives unless a data set says otherwise.
    pub(crate) fn of_contents(data: &(impl Dataset + ?Sized)) -> Result<Self> {
        let mut hash = Sha256::new();
        describe(data, &mut hash);
        let samples = places(data.len(), numbers_a_sample(data));
        let probe = &samples[..samples.len().min(FEWEST_SAMPLES)];
        // Samples that are drawn anew at each reading say nothing.
        if contents(data, probe)? == contents(data, probe)? {
            for some in samples.chunks(64) {
                hash.update(contents(data, some)?);
            }
        }
        Ok(Self::of_hash(&hash.finalize()))
    }
}

/// Hashes everything but the samples.
fn describe(data: &(impl Dataset + ?Sized), hash: &mut Sha256) {
    let mut number = |value: usize| hash.update((value as u64).to_le_bytes());
    number(data.len());
    number(data.feature_shape().len());
    data.feature_shape().iter().for_each(|&size| number(size));
    match data.target_kind() {
        TargetKind::None => number(0),
        TargetKind::Class { count } => [1, count].into_iter().for_each(number),
        TargetKind::Values { width } => [2, width].into_iter().for_each(number),
    }
    let names = data.class_names().unwrap_or_default().iter().map(String::as_str);
    let sources = data.sources().iter().map(|source| source.sha256.as_str());
    for text in names.chain(["sources"]).chain(sources) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
}

fn numbers_a_sample(data: &(impl Dataset + ?Sized)) -> usize {
    let targets = match data.target_kind() {
        TargetKind::Values { width } => width,
        _ => 1,
    };
    data.feature_shape().iter().fold(1usize, |product, &size| product.saturating_mul(size)).saturating_add(targets)
}

/// Which of `len` samples are read: all, or some at even distances.
fn places(len: usize, numbers: usize) -> Vec<usize> {
    let count = len.min(MOST_SAMPLES).min((MOST_NUMBERS / numbers.max(1)).max(FEWEST_SAMPLES));
    (0..count).map(|place| (place as u128 * len as u128 / count as u128) as usize).collect()
}

/// A hash of what these samples hold.
fn contents(data: &(impl Dataset + ?Sized), samples: &[usize]) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut bytes = |numbers: Vec<f32>| numbers.iter().for_each(|number| hash.update(number.to_bits().to_le_bytes()));
    bytes(feature_rows(NAME, data, samples.iter().copied())?);
    match data.target_kind() {
        TargetKind::None => {}
        TargetKind::Class { .. } => {
            for &sample in samples {
                hash.update(data.read_class(sample)?.to_le_bytes());
            }
        }
        TargetKind::Values { width } => bytes(value_rows(NAME, data, width, samples.iter().copied())?),
    }
    Ok(hash.finalize().into())
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self> {
        let digits = Some(text).filter(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| {
            DataError::argument(
                NAME,
                format!("{text:?} is no fingerprint"),
                "A fingerprint is written as 32 hexadecimal digits",
            )
        })
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayDataset, Subset};

    fn data(change: impl FnOnce(&mut Vec<f32>, &mut Vec<i64>)) -> ArrayDataset {
        let mut features: Vec<f32> = (0..200).map(|value| value as f32).collect();
        let mut classes: Vec<i64> = (0..100).map(|sample| sample % 3).collect();
        change(&mut features, &mut classes);
        ArrayDataset::classification(features, [2], classes, 3).unwrap()
    }

    #[test]
    fn any_other_sample_class_shape_or_order_makes_another_fingerprint() {
        let whole = data(|_, _| {});
        let same = whole.fingerprint().unwrap();
        assert_eq!(data(|_, _| {}).fingerprint().unwrap(), same);
        let others: Vec<Fingerprint> = [
            data(|features, _| features[137] += 0.5),
            data(|_, classes| classes[99] = 1),
            data(|features, classes| {
                features.truncate(198);
                classes.truncate(99);
            }),
            data(|_, _| {}).with_feature_shape([1, 2]).unwrap(),
            data(|_, _| {}).with_class_names(["a", "b", "c"]).unwrap(),
            data(|_, _| {}).with_class_names(["a", "c", "b"]).unwrap(),
        ]
        .iter()
        .map(|other| other.fingerprint().unwrap())
        .collect();
        for (index, other) in others.iter().enumerate() {
            assert!(*other != same && !others[..index].contains(other), "{index}");
        }
        let subset = |indices: &[usize]| Subset::new(whole.clone(), indices.to_vec()).unwrap().fingerprint().unwrap();
        assert_eq!(subset(&(0..100).collect::<Vec<_>>()), same);
        assert_ne!(subset(&[0, 1, 2]), subset(&[0, 2, 1]));
    }

    #[test]
    fn large_sets_are_read_at_even_distances() {
        assert_eq!(places(3, 10), [0, 1, 2]);
        assert_eq!(places(0, 10), [0; 0]);
        assert_eq!(places(60_000, 256).len(), 60_000);
        let few = places(1 << 40, usize::MAX);
        assert_eq!((few.len(), few[1] - few[0]), (16, 1 << 36));
        assert_eq!(places(usize::MAX, 1).len(), 1 << 16);
    }

    #[test]
    fn samples_drawn_anew_at_each_reading_do_not_matter() {
        #[derive(Debug)]
        struct Noise(std::sync::atomic::AtomicU32);
        impl Dataset for Noise {
            fn len(&self) -> usize {
                10
            }
            fn feature_shape(&self) -> &[usize] {
                &[1]
            }
            fn target_kind(&self) -> TargetKind {
                TargetKind::None
            }
            fn read_features(&self, _: usize, output: &mut [f32]) -> Result<()> {
                output[0] = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f32;
                Ok(())
            }
        }
        let noise = Noise(0.into());
        assert_eq!(noise.fingerprint().unwrap(), noise.fingerprint().unwrap());
    }

    #[test]
    fn it_is_written_as_hexadecimal_digits() {
        let fingerprint = Fingerprint::of_bytes(b"abc");
        assert_eq!(fingerprint.to_string(), "ba7816bf8f01cfea414140de5dae2223");
        let json = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
        for wrong in ["", "ba78", "+a7816bf8f01cfea414140de5dae2223", "ga7816bf8f01cfea414140de5dae2223"] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
