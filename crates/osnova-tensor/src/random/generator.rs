//! Seeds and how far their sequences have been used.

use super::{Stream, philox, replay};
use crate::Result;
use crate::host::collected;
use std::sync::atomic::{AtomicU64, Ordering};

/// A seed and how far its sequence has been used. Shared use is safe; each draw gets numbers of its own.
///
/// A clone goes on from the same place and so gives the same numbers. After 2⁶⁴ blocks the sequence begins again.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    counter: AtomicU64,
}

impl Generator {
    /// A generator at the start of the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::at(Stream { seed, counter: 0 })
    }

    /// A generator at a position, for example one that a checkpoint kept.
    pub fn at(stream: Stream) -> Self {
        Self { seed: stream.seed, counter: AtomicU64::new(stream.counter) }
    }

    /// Where the next numbers come from.
    pub fn position(&self) -> Stream {
        Stream { seed: self.seed, counter: self.counter.load(Ordering::Relaxed) }
    }

    /// Goes on at another position.
    pub fn set_position(&mut self, stream: Stream) {
        *self = Self::at(stream);
    }

    /// Takes the next `blocks` blocks. Within [`replayed`](super::replayed) they are those of the first run.
    pub fn take(&self, blocks: u64) -> Stream {
        replay::draw(|| self.advance(blocks))
    }

    /// Takes the next `blocks` blocks for `draw`, and puts them back if that fails (and nobody has taken more meanwhile): a refused draw leaves
    /// the generator where it was.
    ///
    /// # Errors
    /// Whatever `draw` reports.
    pub fn try_take<T, E>(&self, blocks: u64, draw: impl FnOnce(Stream) -> Result<T, E>) -> Result<T, E> {
        // What a replay hands out was not taken from here.
        let mut taken = false;
        let stream = replay::draw(|| {
            taken = true;
            self.advance(blocks)
        });
        draw(stream).inspect_err(|_| {
            if taken {
                let after = stream.counter.wrapping_add(blocks);
                let _ = self.counter.compare_exchange(after, stream.counter, Ordering::Relaxed, Ordering::Relaxed);
            }
        })
    }

    /// The position before this many blocks, which are used up. Past the last block the sequence begins again.
    fn advance(&self, blocks: u64) -> Stream {
        Stream { seed: self.seed, counter: self.counter.fetch_add(blocks, Ordering::Relaxed) }
    }

    /// A generator for an independent sequence, told from others by `label`.
    pub fn fork(&self, label: u64) -> Self {
        let words =
            philox([label as u32, (label >> 32) as u32, 0x6f73_6e6f, 1], [self.seed as u32, (self.seed >> 32) as u32]);
        Self::new((words[1] as u64) << 32 | words[0] as u64)
    }

    /// The numbers `0..count` in random order (Fisher and Yates).
    ///
    /// # Errors
    /// Too little memory for them; the generator then stays where it was.
    pub fn permutation(&self, count: usize) -> Result<Vec<usize>> {
        let mut order = collected("permutation", 0..count)?;
        shuffle(&mut order, self.take(shuffle_blocks(count)));
        Ok(order)
    }
}

impl Clone for Generator {
    fn clone(&self) -> Self {
        Self::at(self.position())
    }
}

/// How many blocks [`shuffle`] reads: two words for each place.
pub(crate) fn shuffle_blocks(count: usize) -> u64 {
    (count as u64).div_ceil(2)
}

/// Puts values into random order (Fisher and Yates).
pub(crate) fn shuffle<T>(values: &mut [T], stream: Stream) {
    for last in (1..values.len()).rev() {
        let block = stream.block(last as u64 / 2);
        let half = 2 * (last % 2);
        let bits = (block[half + 1] as u64) << 32 | block[half] as u64;
        // The high half of a product maps 64 random bits evenly to 0..=last.
        values.swap(last, ((bits as u128 * (last as u128 + 1)) >> 64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_each_number_once() {
        let generator = Generator::new(11);
        let first = generator.permutation(1000).unwrap();
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(first, generator.permutation(1000).unwrap());
        assert_eq!(first, Generator::new(11).permutation(1000).unwrap());
        assert!(generator.permutation(0).unwrap().is_empty());
    }

    #[test]
    fn a_permutation_without_room_is_refused_and_takes_nothing() {
        let generator = Generator::new(11);
        for count in [usize::MAX, usize::MAX / 2 + 1, usize::MAX / 8, usize::MAX / 16] {
            let error = generator.permutation(count).unwrap_err().to_string();
            assert!(error.starts_with("permutation: ") && error.contains(&count.to_string()), "{error}");
        }
        assert_eq!(generator.position(), Generator::new(11).position());
    }

    #[test]
    fn the_counter_begins_again_after_its_end() {
        let last = Stream { seed: 5, counter: u64::MAX };
        let generator = Generator::at(last);
        assert_eq!(generator.take(3), last);
        assert_eq!(generator.position().counter, 2);
        assert_eq!(last.block(1), Stream { seed: 5, counter: 0 }.block(0));
        assert_eq!(Generator::at(last).permutation(9).unwrap().len(), 9);
        assert_eq!(generator.try_take(u64::MAX, |_| Err::<(), _>(())), Err(()));
        assert_eq!(generator.position().counter, 2);
    }

    #[test]
    fn a_failed_draw_is_put_back_unless_more_was_taken() {
        let generator = Generator::new(3);
        assert_eq!(generator.try_take(7, |_| Err::<(), _>(())), Err(()));
        assert_eq!(generator.position().counter, 0);
        let meanwhile = generator.try_take(7, |_| Err::<(), _>(generator.take(2)));
        assert_eq!(meanwhile.unwrap_err().counter, 7);
        assert_eq!(generator.position().counter, 9);
        // Of a replay nothing was taken, so nothing comes back.
        let (_, streams) = replay::noted(|| generator.take(4));
        let _ = replay::replayed(&streams, || generator.try_take(4, |_| Err::<(), _>(())));
        assert_eq!(generator.position().counter, 13);
    }
}
