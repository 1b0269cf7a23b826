//! Counter-based randomness: a shuffle is a pure function of (seed, purpose, epoch), so it is the same everywhere.

use crate::{Result, memory};
use osnova_tensor::random::philox;

/// What a random stream is for: the same seed gives unrelated streams to different purposes.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Loader = 1,
    Split = 2,
    Folds = 3,
}

/// The `index`-th 64-bit draw of a stream.
fn draw(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> u64 {
    // No data set has 2^56 samples, so the purpose fits above the index.
    let counter = index | (purpose as u64) << 56;
    let block = philox(
        [counter as u32, (counter >> 32) as u32, epoch as u32, (epoch >> 32) as u32],
        [seed as u32, (seed >> 32) as u32],
    );
    u64::from(block[0]) | u64::from(block[1]) << 32
}

/// Shuffles `values` (Fisher–Yates; the draw for position `i` depends on `i` alone).
pub(crate) fn shuffle<T>(values: &mut [T], seed: u64, purpose: Purpose, epoch: u64) {
    for position in (1..values.len()).rev() {
        let bits = draw(seed, purpose, epoch, position as u64);
        // Multiply-shift instead of a remainder; its bias is below 2^-32 for any real size.
        let other = (u128::from(bits) * (position as u128 + 1)) >> 64;
        values.swap(position, other as usize);
    }
}

/// A random order of `0..count`, for `operation`. Fails if there is no memory for it.
pub(crate) fn permutation(
    operation: &'static str,
    count: usize,
    seed: u64,
    purpose: Purpose,
    epoch: u64,
) -> Result<Vec<usize>> {
    let mut order = memory::indices(operation, count)?;
    shuffle(&mut order, seed, purpose, epoch);
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permutation(count: usize, seed: u64, purpose: Purpose, epoch: u64) -> Vec<usize> {
        super::permutation("test", count, seed, purpose, epoch).unwrap()
    }

    #[test]
    fn orders_never_change() {
        // Written down once: another order would make saved runs irreproducible and resumed epochs repeat samples.
        assert_eq!(permutation(10, 42, Purpose::Loader, 0), [9, 8, 2, 4, 6, 1, 5, 3, 7, 0]);
        assert_eq!(permutation(10, 42, Purpose::Loader, 1), [9, 8, 4, 7, 1, 2, 0, 5, 6, 3]);
        assert_eq!(permutation(10, u64::MAX, Purpose::Split, u64::MAX), [2, 1, 7, 0, 4, 5, 9, 3, 8, 6]);
    }

    #[test]
    fn permutations_are_permutations_and_differ() {
        let first = permutation(1000, 1, Purpose::Loader, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, permutation(1000, 1, Purpose::Loader, 0));
        assert_ne!(first, permutation(1000, 2, Purpose::Loader, 0));
        assert_ne!(first, permutation(1000, 1, Purpose::Loader, 1));
        assert_ne!(first, permutation(1000, 1, Purpose::Split, 0));
    }

    #[test]
    fn every_place_is_equally_likely() {
        // 6000 shuffles of 6: each value in each place 1000 times, standard deviation 29.
        let mut seen = [[0u32; 6]; 6];
        for seed in 0..6000 {
            for (place, value) in permutation(6, seed, Purpose::Loader, 0).into_iter().enumerate() {
                seen[place][value] += 1;
            }
        }
        assert!(seen.iter().flatten().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
