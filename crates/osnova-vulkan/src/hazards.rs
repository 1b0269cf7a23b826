//! Which buffers a batch has read and written since its last barrier.

use crate::hash::MULTIPLIER;
use ash::vk::{self, Handle};

/// Places of the table. A power of two, and more than half as many again as a batch can touch: see `stream`.
pub(crate) const SLOTS: usize = 1024;

#[derive(Clone, Copy, Default)]
struct Slot {
    buffer: u64,
    /// The slot is empty unless this is the table's.
    epoch: u32,
    written: bool,
}

/// A hash table that is emptied by counting up.
pub(crate) struct Hazards {
    slots: Box<[Slot; SLOTS]>,
    epoch: u32,
}

impl Hazards {
    pub(crate) fn new() -> Self {
        Self { slots: Box::new([Slot::default(); SLOTS]), epoch: 1 }
    }

    /// Where a buffer stands, or would.
    fn find(&self, buffer: u64) -> usize {
        let mut at = (buffer.wrapping_mul(MULTIPLIER) >> (u64::BITS - SLOTS.ilog2())) as usize;
        // It ends: the table is never full.
        while self.slots[at].epoch == self.epoch && self.slots[at].buffer != buffer {
            at = (at + 1) % SLOTS;
        }
        at
    }

    /// Whether reading (or writing) a buffer must wait for what was recorded: it was written, or is now written after it was read.
    pub(crate) fn conflict(&self, buffer: vk::Buffer, writes: bool) -> bool {
        let slot = &self.slots[self.find(buffer.as_raw())];
        slot.epoch == self.epoch && (writes || slot.written)
    }

    /// A buffer was read or written.
    pub(crate) fn note(&mut self, buffer: vk::Buffer, writes: bool) {
        let at = self.find(buffer.as_raw());
        let slot = &mut self.slots[at];
        let written = writes || (slot.epoch == self.epoch && slot.written);
        *slot = Slot { buffer: buffer.as_raw(), epoch: self.epoch, written };
    }

    /// A barrier was recorded.
    pub(crate) fn clear(&mut self) {
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            self.slots.fill(Slot::default());
            1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(number: u64) -> vk::Buffer {
        vk::Buffer::from_raw(number)
    }

    #[test]
    fn what_was_written_is_neither_read_nor_written() {
        let mut hazards = Hazards::new();
        hazards.note(buffer(1), false);
        hazards.note(buffer(2), true);
        hazards.note(buffer(2), false);
        let conflicts =
            |hazards: &Hazards, number| [false, true].map(|writes| hazards.conflict(buffer(number), writes));
        assert_eq!(conflicts(&hazards, 1), [false, true]);
        assert_eq!(conflicts(&hazards, 2), [true, true]);
        assert_eq!(conflicts(&hazards, 3), [false, false]);
        hazards.clear();
        assert!((1..4).all(|number| conflicts(&hazards, number) == [false, false]));
    }

    #[test]
    fn many_buffers_are_told_apart() {
        let mut hazards = Hazards::new();
        // Handles are often addresses: multiples of a power of two.
        (0..600).for_each(|number| hazards.note(buffer(number * 4096), number % 2 == 0));
        for number in 0..600 {
            assert_eq!(hazards.conflict(buffer(number * 4096), false), number % 2 == 0);
        }
        assert!(!hazards.conflict(buffer(601 * 4096), true));
    }

    #[test]
    fn epochs_run_out_without_harm() {
        let mut hazards = Hazards { epoch: u32::MAX, ..Hazards::new() };
        hazards.note(buffer(1), true);
        hazards.clear();
        assert!(!hazards.conflict(buffer(1), true));
        hazards.note(buffer(1), true);
        assert!(hazards.conflict(buffer(1), true));
    }
}
