//! Splitting a data set into training, validation and a sealed test part.
//!
//! A split consumes the data set, and what it returns does not lead back to the whole: see [`SealedTest`].

use crate::dataset::classes_of;
use crate::random::{Purpose, permutation, shuffle};
use crate::{DataError, Dataset, Result, SealedTest, Subset, memory};
use std::sync::Arc;

/// How large a part is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PartSize {
    /// A fraction of all samples, between 0 and 1; a part that is split off is rounded up, as in scikit-learn.
    Fraction(f64),
    /// A number of samples.
    Count(usize),
}

impl From<f64> for PartSize {
    fn from(fraction: f64) -> Self {
        Self::Fraction(fraction)
    }
}

impl From<usize> for PartSize {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl PartSize {
    fn count(self, operation: &'static str, samples: usize) -> Result<usize> {
        let count = match self {
            Self::Count(count) => count,
            Self::Fraction(fraction) if fraction > 0.0 && fraction < 1.0 => {
                // 0.28 · 100 is 28.000000000000004 in binary: not a reason to round up to 29.
                let exact = fraction * samples as f64;
                (exact - exact * 4.0 * f64::EPSILON).ceil() as usize
            }
            Self::Fraction(fraction) => {
                return Err(DataError::argument(
                    operation,
                    format!("the fraction is {fraction}"),
                    "A fraction lies between 0 and 1, both excluded; give a whole number for a count",
                ));
            }
        };
        if count == 0 || count >= samples {
            return Err(DataError::argument(
                operation,
                format!("a part of {count} out of {samples} samples would leave a part empty"),
                "Each part needs at least one sample",
            ));
        }
        Ok(count)
    }
}

/// Which samples go together into a part.
#[derive(Clone, Debug)]
enum Strategy {
    Shuffled,
    Stratified,
    InOrder,
    Grouped(Arc<[u64]>),
    ByTime(Arc<[f64]>),
}

/// How samples are assigned to the parts of a split.
#[derive(Clone, Debug)]
pub struct SplitOptions {
    seed: Option<u64>,
    strategy: Strategy,
}

impl SplitOptions {
    /// At random.
    pub fn shuffled(seed: u64) -> Self {
        Self { seed: Some(seed), strategy: Strategy::Shuffled }
    }

    /// At random, with every class in each part in the same proportion as in the whole, to within a sample.
    pub fn stratified(seed: u64) -> Self {
        Self { seed: Some(seed), strategy: Strategy::Stratified }
    }

    /// As they come: the first samples train, the last ones test.
    pub fn in_order() -> Self {
        Self { seed: None, strategy: Strategy::InOrder }
    }

    /// At random, but samples with the same number in `groups` (one a sample: a patient, a writer, a session) stay in one
    /// part. Part sizes come as close to the wanted as whole groups allow.
    pub fn grouped(seed: u64, groups: impl Into<Arc<[u64]>>) -> Self {
        Self { seed: Some(seed), strategy: Strategy::Grouped(groups.into()) }
    }

    /// By `times` (one a sample): the earliest train, the latest test. Equal times keep their order.
    pub fn by_time(times: impl Into<Arc<[f64]>>) -> Self {
        Self { seed: None, strategy: Strategy::ByTime(times.into()) }
    }

    /// Divides the samples into parts of the given sizes, which add up to all samples.
    fn assign(&self, operation: &'static str, data: &dyn Dataset, sizes: &[usize]) -> Result<Vec<Vec<usize>>> {
        let samples = data.len();
        let seed = self.seed.unwrap_or(0);
        let one_each = |what: &str, count: usize| {
            if count == samples {
                return Ok(());
            }
            let problem = format!("{count} {what} for {samples} samples");
            Err(DataError::argument(operation, problem, "Give one a sample"))
        };
        match &self.strategy {
            Strategy::Shuffled => cut(operation, permutation(operation, samples, seed, Purpose::Split, 0)?, sizes),
            Strategy::InOrder => cut(operation, memory::indices(operation, samples)?, sizes),
            Strategy::Stratified => stratify(operation, &classes_of(operation, data)?, sizes, seed),
            Strategy::Grouped(groups) => {
                one_each("groups", groups.len())?;
                group(operation, groups, sizes, seed)
            }
            Strategy::ByTime(times) => {
                one_each("times", times.len())?;
                if let Some(sample) = times.iter().position(|time| time.is_nan()) {
                    let problem = format!("the time of sample {sample} is NaN");
                    return Err(DataError::argument(operation, problem, "Give every sample a time"));
                }
                let mut order = memory::indices(operation, samples)?;
                // Adding zero makes -0 and 0 one time.
                let time = |sample: usize| times[sample] + 0.0;
                order.sort_unstable_by(|&left, &right| time(left).total_cmp(&time(right)).then(left.cmp(&right)));
                cut(operation, order, sizes)
            }
        }
    }
}

/// Consecutive pieces of `order`.
fn cut(operation: &'static str, order: Vec<usize>, sizes: &[usize]) -> Result<Vec<Vec<usize>>> {
    let mut rest = order.into_iter();
    let part = |&size: &usize| {
        let mut part = memory::room(operation, "the indices of a part", Some(size))?;
        part.extend(rest.by_ref().take(size));
        Ok(part)
    };
    sizes.iter().map(part).collect()
}

fn stratify(operation: &'static str, classes: &[i64], sizes: &[usize], seed: u64) -> Result<Vec<Vec<usize>>> {
    let mut order = memory::indices(operation, classes.len())?;
    order.sort_unstable_by_key(|&index| (classes[index], index));
    // The samples of each class, classes in ascending order.
    let runs = order.chunk_by_mut(|&left, &right| classes[left] == classes[right]);
    let mut members: Vec<(i64, &mut [usize])> = runs.map(|run| (classes[run[0]], run)).collect();
    if let Some((class, members)) = members.iter().find(|(_, members)| members.len() < sizes.len()) {
        return Err(DataError::argument(
            operation,
            format!("class {class} has {} samples, too few for {} parts", members.len(), sizes.len()),
            "Collect more of it, leave it out, or split without stratification",
        ));
    }
    if let Some(&size) = sizes.iter().find(|&&size| size < members.len()) {
        return Err(DataError::argument(
            operation,
            format!("a part of {size} samples cannot hold all {} classes", members.len()),
            "Make the part larger, or split without stratification",
        ));
    }
    for (class, members) in &mut members {
        // Each class has a stream of its own, so that the draw does not depend on the other classes.
        shuffle(members, seed, Purpose::Split, (*class as u64).wrapping_add(1));
    }
    let mut rest: Vec<usize> = members.iter().map(|(_, members)| members.len()).collect();
    let totals = rest.clone();
    let mut parts = Vec::with_capacity(sizes.len());
    // The last parts (test, then validation) come closest to their share; the first, the largest, takes what is left.
    for &size in sizes[1..].iter().rev() {
        let counts = proportional(&totals, &rest, size);
        let mut part = memory::room(operation, "the indices of a part", Some(size))?;
        for (((_, members), rest), count) in members.iter().zip(&mut rest).zip(counts) {
            part.extend_from_slice(&members[*rest - count..*rest]);
            *rest -= count;
        }
        parts.push(part);
    }
    let mut first = memory::room(operation, "the indices of a part", Some(rest.iter().sum()))?;
    first.extend(members.iter().zip(&rest).flat_map(|((_, members), &rest)| &members[..rest]));
    parts.push(first);
    parts.reverse();
    for (number, part) in parts.iter_mut().enumerate() {
        shuffle(part, seed, Purpose::Split, u64::MAX - number as u64);
    }
    Ok(parts)
}

/// `size` samples divided among classes in proportion to `totals` (largest remainder), at most `available` of each.
fn proportional(totals: &[usize], available: &[usize], size: usize) -> Vec<usize> {
    let all = totals.iter().sum::<usize>() as u128;
    let product = |total: usize| total as u128 * size as u128;
    let mut counts: Vec<usize> = totals
        .iter()
        .zip(available)
        .map(|(&total, &available)| ((product(total) / all) as usize).min(available))
        .collect();
    let mut order: Vec<usize> = (0..totals.len()).collect();
    // Stable: among equal remainders the first class wins.
    order.sort_by_key(|&class| std::cmp::Reverse(product(totals[class]) % all));
    let mut missing = size - counts.iter().sum::<usize>();
    while missing > 0 {
        let before = missing;
        for &class in &order {
            if missing > 0 && counts[class] < available[class] {
                counts[class] += 1;
                missing -= 1;
            }
        }
        assert!(missing < before, "a part is never larger than what is left");
    }
    counts
}

/// Whole groups into parts: largest first, each to the part that lacks most.
fn group(operation: &'static str, groups: &[u64], sizes: &[usize], seed: u64) -> Result<Vec<Vec<usize>>> {
    let mut order = memory::indices(operation, groups.len())?;
    order.sort_unstable_by_key(|&index| (groups[index], index));
    let mut members: Vec<&[usize]> = order.chunk_by(|&left, &right| groups[left] == groups[right]).collect();
    if members.len() < sizes.len() {
        return Err(DataError::argument(
            operation,
            format!("{} groups cannot fill {} parts", members.len(), sizes.len()),
            "A group stays in one part, so there must be at least as many groups as parts",
        ));
    }
    // Shuffled, then sorted by size with a stable sort: chance decides among groups of one size.
    shuffle(&mut members, seed, Purpose::Split, 0);
    members.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let mut parts = vec![Vec::new(); sizes.len()];
    for (placed, group) in members.iter().enumerate() {
        let empty = parts.iter().filter(|part| part.is_empty()).count();
        let lack = |&part: &usize| sizes[part] as i64 - parts[part].len() as i64;
        // When the groups left are just enough for the parts still empty, only these may have one.
        let only_empty = members.len() - placed <= empty;
        let part = (0..sizes.len())
            .filter(|&part| !only_empty || parts[part].is_empty())
            .max_by_key(|part| (lack(part), std::cmp::Reverse(*part)));
        parts[part.unwrap_or(0)].extend_from_slice(group);
    }
    for (number, part) in parts.iter_mut().enumerate() {
        shuffle(part, seed, Purpose::Split, 1 + number as u64);
    }
    Ok(parts)
}

/// Training and sealed test samples.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrainTest<D> {
    /// The samples to learn from.
    pub train: Subset<D>,
    /// The samples for the one final evaluation.
    pub test: SealedTest<Subset<D>>,
}

/// Training and validation samples.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrainValidation<D> {
    /// The samples to learn from.
    pub train: Subset<D>,
    /// The samples to choose by.
    pub validation: Subset<D>,
}

/// Training, validation and sealed test samples.
#[derive(Debug)]
#[non_exhaustive]
pub struct TrainValidationTest<D> {
    /// The samples to learn from.
    pub train: Subset<D>,
    /// The samples to choose by: early stopping, hyperparameters.
    pub validation: Subset<D>,
    /// The samples for the one final evaluation.
    pub test: SealedTest<Subset<D>>,
}

/// Splits off a sealed test set. `test_size` is a fraction (`0.25`) or a count (`500_usize`).
///
/// # Errors
/// The size leaves a part empty, or the data do not allow the strategy (no classes, a class or a group too small).
///
/// ```
/// use osnova_data::{digits, train_test_split, Dataset, SplitOptions};
///
/// let split = train_test_split(digits()?, 0.25, &SplitOptions::stratified(0))?;
/// assert_eq!((split.train.len(), split.test.len()), (1347, 450));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
pub fn train_test_split<D: Dataset>(
    data: D,
    test_size: impl Into<PartSize>,
    options: &SplitOptions,
) -> Result<TrainTest<D>> {
    let [train, test] = two_parts("train_test_split", data, test_size.into(), options)?;
    Ok(TrainTest { train, test: SealedTest::seal_subset(test, options.seed) })
}

/// Splits off a validation set, for data whose test set has been sealed before (or lives elsewhere).
///
/// # Errors
/// As [`train_test_split`].
pub fn train_validation_split<D: Dataset>(
    data: D,
    validation_size: impl Into<PartSize>,
    options: &SplitOptions,
) -> Result<TrainValidation<D>> {
    let [train, validation] = two_parts("train_validation_split", data, validation_size.into(), options)?;
    Ok(TrainValidation { train, validation })
}

fn two_parts<D: Dataset>(
    operation: &'static str,
    data: D,
    size: PartSize,
    options: &SplitOptions,
) -> Result<[Subset<D>; 2]> {
    let size = size.count(operation, data.len())?;
    let train = data.len() - size;
    subsets(operation, data, [train, size], options)
}

fn subsets<D: Dataset, const N: usize>(
    operation: &'static str,
    data: D,
    sizes: [usize; N],
    options: &SplitOptions,
) -> Result<[Subset<D>; N]> {
    let parts = options.assign(operation, &data, &sizes)?;
    let data = Arc::new(data);
    let mut subsets = Vec::with_capacity(N);
    for part in parts {
        subsets.push(Subset::shared(data.clone(), part)?);
    }
    Ok(subsets.try_into().unwrap_or_else(|_| unreachable!("one part a size")))
}

/// Splits into training, validation and a sealed test set, by `fractions` that add up to 1: `[0.6, 0.2, 0.2]` makes
/// 6,000, 2,000 and 2,000 of 10,000 samples.
///
/// Sizes are rounded by largest remainder, so they are within one of the exact share. With
/// [`SplitOptions::stratified`] the same holds for each class in the validation and the test set (in the training set:
/// within two).
///
/// # Errors
/// The fractions are not three positive numbers with sum 1, a part would be empty, or the data do not allow the strategy
/// (no classes, a class or a group too small).
///
/// ```
/// use osnova_data::{digits, train_validation_test_split, Dataset, SplitOptions};
///
/// let split = train_validation_test_split(digits()?, [0.6, 0.2, 0.2], &SplitOptions::stratified(0))?;
/// assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (1078, 359, 360));
/// # Ok::<(), osnova_data::DataError>(())
/// ```
pub fn train_validation_test_split<D: Dataset>(
    data: D,
    fractions: [f64; 3],
    options: &SplitOptions,
) -> Result<TrainValidationTest<D>> {
    let operation = "train_validation_test_split";
    let sizes = three_sizes(operation, data.len(), fractions)?;
    let [train, validation, test] = subsets(operation, data, sizes, options)?;
    Ok(TrainValidationTest { train, validation, test: SealedTest::seal_subset(test, options.seed) })
}

fn three_sizes(operation: &'static str, samples: usize, fractions: [f64; 3]) -> Result<[usize; 3]> {
    let valid = fractions.iter().all(|&fraction| fraction > 0.0 && fraction < 1.0);
    if !valid || (fractions.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
        return Err(DataError::argument(
            operation,
            format!("the fractions are {fractions:?}"),
            "Give three positive fractions with sum 1, such as [0.6, 0.2, 0.2]",
        ));
    }
    let exact = fractions.map(|fraction| fraction * samples as f64);
    // The allowance keeps 0.2 · 10,000 from becoming 1,999 through binary rounding.
    let mut sizes = exact.map(|exact| (exact + 1e-6).floor() as usize);
    let mut order = [2, 1, 0];
    order.sort_by(|&left, &right| (exact[right] - sizes[right] as f64).total_cmp(&(exact[left] - sizes[left] as f64)));
    for part in order {
        if sizes.iter().fold(0, |sum: usize, &size| sum.saturating_add(size)) < samples {
            sizes[part] += 1;
        }
    }
    if sizes.contains(&0) {
        return Err(DataError::argument(
            operation,
            format!("{samples} samples by {fractions:?} make parts of {sizes:?}"),
            "Each part needs at least one sample",
        ));
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_textbook_ones() {
        let sizes = |samples, fractions| three_sizes("test", samples, fractions).unwrap();
        assert_eq!(sizes(10_000, [0.6, 0.2, 0.2]), [6000, 2000, 2000]);
        assert_eq!(sizes(10_000, [0.7, 0.15, 0.15]), [7000, 1500, 1500]);
        assert_eq!(sizes(10_000, [0.8, 0.1, 0.1]), [8000, 1000, 1000]);
        assert_eq!(sizes(10, [0.34, 0.33, 0.33]), [4, 3, 3]);
        assert!(three_sizes("test", 2, [0.6, 0.2, 0.2]).is_err());
        assert!(three_sizes("test", 100, [0.6, 0.2, 0.3]).is_err());
        assert!(three_sizes("test", 100, [1.2, -0.1, -0.1]).is_err());
        assert!(three_sizes("test", 100, [f64::NAN, 0.5, 0.5]).is_err());
    }

    #[test]
    fn part_sizes_round_up_as_in_scikit_learn() {
        let count = |fraction: f64, samples| PartSize::from(fraction).count("test", samples).unwrap();
        assert_eq!(count(0.25, 1797), 450);
        assert_eq!(count(0.28, 100), 28);
        assert_eq!(count(0.2, 10_000), 2000);
        assert_eq!(count(0.3, 11), 4);
        assert!(PartSize::from(1.0).count("test", 10).is_err());
        assert!(PartSize::from(f64::NAN).count("test", 10).is_err());
        assert!(PartSize::from(10_usize).count("test", 10).is_err());
        assert!(PartSize::from(0_usize).count("test", 10).is_err());
    }

    #[test]
    fn shares_are_proportional_and_complete() {
        assert_eq!(proportional(&[70, 30], &[70, 30], 20), [14, 6]);
        assert_eq!(proportional(&[7, 3], &[7, 3], 5), [4, 1]);
        assert_eq!(proportional(&[5, 5], &[0, 5], 3), [0, 3]);
    }
}
