//! Random numbers that depend on a seed and a position alone: the same on every backend and at any number of threads.
//!
//! The generator is Philox 4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011): a keyed
//! bijection of 128-bit counters. A [`Stream`] is a seed and a counter; block `b` of a stream is
//! `philox(counter + b, seed)`, four 32-bit words.
//!
//! How words become element `i` of a tensor:
//!
//! | distribution | element | value |
//! |---|---|---|
//! | uniform, 32 bits and less | word i | `low + (high − low) · (word >> 8) · 2⁻²⁴`, in f32, kept inside by an [`Interval`] |
//! | uniform, f64 | words 2i, 2i + 1 | `low + (high − low) · ((w₁ << 32 \| w₀) >> 11) · 2⁻⁵³`, kept inside likewise |
//! | normal, 32 bits and less | words 2⌊i/2⌋, 2⌊i/2⌋ + 1 | Box–Muller: `r = √(−2 ln u₀)`, `u₀ = ((w₀ >> 8) + 1) · 2⁻²⁴`, `θ = 2π (w₁ >> 8) · 2⁻²⁴`; `r cos θ` for even i, `r sin θ` for odd |
//! | normal, f64 | words 4⌊i/2⌋ … + 3 | the same with 53 bits |
//! | Bernoulli(p) | word i | `(word >> 8) · 2⁻²⁴ < p` |

use crate::host::collected;
use crate::{DType, HostData, Result};
use half::{bf16, f16};
use std::iter::repeat_n;

mod distribution;
mod generator;
mod replay;

pub use distribution::{Distribution, Interval};
pub use generator::Generator;
pub(crate) use generator::{shuffle, shuffle_blocks};
pub use replay::{noted, replayed};

/// Where random numbers start: a position in the sequence of a seed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stream {
    /// Which sequence.
    pub seed: u64,
    /// Which block of four words is the first. Block `u64::MAX` is followed by block 0.
    pub counter: u64,
}

/// One block: four words from a counter and a key (Philox 4x32-10).
#[inline]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let first = 0xD251_1F53_u64 * counter[0] as u64;
        let second = 0xCD9E_8D57_u64 * counter[2] as u64;
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

impl Stream {
    /// Block `index` of the stream.
    #[inline]
    pub fn block(self, index: u64) -> [u32; 4] {
        let counter = self.counter.wrapping_add(index);
        philox([counter as u32, (counter >> 32) as u32, 0, 0], [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// Word `index` of the stream.
    #[inline]
    pub fn word(self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }
}

#[inline]
fn unit32(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[inline]
fn unit64(low: u32, high: u32) -> f64 {
    (((high as u64) << 32 | low as u64) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// Fills `out` with the elements of a tensor of `dtype` (32 bits and less) from element `first` on, before they are rounded to it.
/// `first` is a multiple of 4.
pub fn fill_f32(distribution: Distribution, dtype: DType, stream: Stream, first: usize, out: &mut [f32]) {
    debug_assert!(first.is_multiple_of(4));
    let blocks = out.chunks_mut(4).zip(first as u64 / 4..);
    match distribution {
        Distribution::Uniform { low, high } => {
            let interval = Interval::new(low.get(), high.get(), dtype);
            let [low, width, scale, smallest, largest] = interval.numbers().map(|number| number as f32);
            for (chunk, block) in blocks {
                let words = stream.block(block);
                chunk.iter_mut().zip(words).for_each(|(value, word)| {
                    *value = (scale * (low + width * unit32(word))).clamp(smallest, largest);
                });
            }
        }
        Distribution::Normal { mean, standard_deviation } => {
            let (mean, deviation) = (mean.get() as f32, standard_deviation.get() as f32);
            for (chunk, block) in blocks {
                let words = stream.block(block);
                for (pair, words) in chunk.chunks_mut(2).zip([[words[0], words[1]], [words[2], words[3]]]) {
                    let radius = (-2.0 * (((words[0] >> 8) + 1) as f32 * (1.0 / 16_777_216.0)).ln()).sqrt();
                    let (sine, cosine) = (std::f32::consts::TAU * unit32(words[1])).sin_cos();
                    pair.iter_mut()
                        .zip([cosine, sine])
                        .for_each(|(value, part)| *value = mean + deviation * (radius * part));
                }
            }
        }
        Distribution::Bernoulli { probability } => {
            let probability = probability.get() as f32;
            for (chunk, block) in blocks {
                let words = stream.block(block);
                chunk
                    .iter_mut()
                    .zip(words)
                    .for_each(|(value, word)| *value = (unit32(word) < probability) as u8 as f32);
            }
        }
    }
}

/// Fills `out` with the elements of a tensor of `f64` from element `first` on. `first` is a multiple of 4.
pub fn fill_f64(distribution: Distribution, stream: Stream, first: usize, out: &mut [f64]) {
    debug_assert!(first.is_multiple_of(4));
    match distribution {
        Distribution::Uniform { low, high } => {
            let [low, width, scale, smallest, largest] = Interval::new(low.get(), high.get(), DType::F64).numbers();
            for (chunk, block) in out.chunks_mut(2).zip(first as u64 / 2..) {
                let words = stream.block(block);
                let units = [unit64(words[0], words[1]), unit64(words[2], words[3])];
                chunk.iter_mut().zip(units).for_each(|(value, unit)| {
                    *value = (scale * (low + width * unit)).clamp(smallest, largest);
                });
            }
        }
        Distribution::Normal { mean, standard_deviation } => {
            let (mean, deviation) = (mean.get(), standard_deviation.get());
            for (pair, block) in out.chunks_mut(2).zip(first as u64 / 2..) {
                let words = stream.block(block);
                let radius = (-2.0 * (unit64(words[0], words[1]) + 1.0 / 9_007_199_254_740_992.0).ln()).sqrt();
                let (sine, cosine) = (std::f64::consts::TAU * unit64(words[2], words[3])).sin_cos();
                pair.iter_mut()
                    .zip([cosine, sine])
                    .for_each(|(value, part)| *value = mean + deviation * (radius * part));
            }
        }
        Distribution::Bernoulli { probability } => {
            let probability = probability.get() as f32;
            for (chunk, block) in out.chunks_mut(4).zip(first as u64 / 4..) {
                let words = stream.block(block);
                chunk
                    .iter_mut()
                    .zip(words)
                    .for_each(|(value, word)| *value = (unit32(word) < probability) as u8 as f64);
            }
        }
    }
}

/// All elements of a random tensor in host memory. `dtype` is a float, or `bool` for Bernoulli; others give floats.
///
/// # Errors
/// Too little memory.
pub fn generate(distribution: Distribution, stream: Stream, count: usize, dtype: DType) -> Result<HostData> {
    if dtype == DType::F64 {
        let mut values = collected("random", repeat_n(0.0, count))?;
        fill_f64(distribution, stream, 0, &mut values);
        return Ok(HostData::F64(values));
    }
    let mut values = collected("random", repeat_n(0.0, count))?;
    fill_f32(distribution, dtype, stream, 0, &mut values);
    Ok(match dtype {
        DType::F16 => HostData::F16(collected("random", values.into_iter().map(f16::from_f32))?),
        DType::BF16 => HostData::BF16(collected("random", values.into_iter().map(bf16::from_f32))?),
        DType::Bool => HostData::Bool(collected("random", values.into_iter().map(|value| value != 0.0))?),
        _ => HostData::F32(values),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Real;

    /// The known answers of the Random123 distribution.
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        assert_eq!(
            philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn pieces_equal_the_whole() {
        let stream = Stream { seed: 7, counter: 3 };
        for distribution in [
            Distribution::Uniform { low: Real::new(-1.0), high: Real::new(2.0) },
            Distribution::Normal { mean: Real::new(1.0), standard_deviation: Real::new(2.0) },
            Distribution::Bernoulli { probability: Real::new(0.3) },
        ] {
            let mut whole = [0.0; 22];
            fill_f32(distribution, DType::F32, stream, 0, &mut whole);
            let mut pieces = [0.0; 22];
            let (left, right) = pieces.split_at_mut(8);
            fill_f32(distribution, DType::F32, stream, 0, left);
            fill_f32(distribution, DType::F32, stream, 8, right);
            assert_eq!(whole, pieces);
            let mut whole = [0.0; 22];
            fill_f64(distribution, stream, 0, &mut whole);
            let mut pieces = [0.0; 22];
            let (left, right) = pieces.split_at_mut(8);
            fill_f64(distribution, stream, 0, left);
            fill_f64(distribution, stream, 8, right);
            assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn moments_are_right() {
        let moments = |distribution, dtype| {
            let values = generate(distribution, Stream { seed: 1, counter: 0 }, 200_000, dtype).unwrap().to_f64();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
            (mean, variance)
        };
        for dtype in [DType::F32, DType::F64] {
            let normal = Distribution::Normal { mean: Real::new(0.5), standard_deviation: Real::new(2.0) };
            let (mean, variance) = moments(normal, dtype);
            assert!((mean - 0.5).abs() < 0.02 && (variance - 4.0).abs() < 0.06, "{mean} {variance}");
            let uniform = Distribution::Uniform { low: Real::new(-1.0), high: Real::new(3.0) };
            let (mean, variance) = moments(uniform, dtype);
            assert!((mean - 1.0).abs() < 0.01 && (variance - 16.0 / 12.0).abs() < 0.01, "{mean} {variance}");
        }
        let (mean, _) = moments(Distribution::Bernoulli { probability: Real::new(0.3) }, DType::Bool);
        assert!((mean - 0.3).abs() < 0.005, "{mean}");
    }
}
