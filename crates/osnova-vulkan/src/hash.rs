//! A fast hash for the small keys of a device's tables, which no adversary chooses.

use std::hash::{BuildHasherDefault, Hasher};

/// A table with that hash.
pub(crate) type Table<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Mix>>;

/// Words are mixed by a multiplication each, as in Firefox's hash; the upper bits, which depend on all of them, decide.
#[derive(Default)]
pub(crate) struct Mix(u64);

/// A number without structure: 2⁶⁴ over the golden ratio.
pub(crate) const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Mix {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.add(bytemuck::pod_read_unaligned(chunk));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.add(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.add(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn similar_keys_differ() {
        let build = BuildHasherDefault::<Mix>::default();
        let keys = (0..1000u32).flat_map(|value| ["unary_f32", "unary_f64"].map(|name| (name, [value, 0], [0, value])));
        let hashes: HashSet<u64> = keys.map(|key| build.hash_one(key)).collect();
        assert_eq!(hashes.len(), 2000);
        // A table looks at the lowest bits first.
        let low: HashSet<u64> = hashes.iter().map(|hash| hash % 4096).collect();
        assert!(low.len() > 1200, "{} of about 1,580", low.len());
    }
}
