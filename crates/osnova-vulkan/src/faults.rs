//! What kernels find wrong with their inputs: an index out of range.
//!
//! A kernel cannot return an error; it writes into a slot of a buffer that the host can read. The slot is looked at when the host has waited
//! for the kernel: at the next download by the thread that recorded the operation, or at any `synchronize`.

use crate::memory::Memory;
use osnova_tensor::Error;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// How many kernels may be watched at a time.
pub(crate) const SLOTS: usize = 1024;
/// Words of a slot: whether something is wrong, then the index that is (its lower and upper half).
pub(crate) const SLOT_WORDS: usize = 4;

/// What is said when a slot has been written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) operation: &'static str,
    pub(crate) axis: usize,
    pub(crate) size: usize,
}

#[derive(Debug)]
struct State {
    free: Vec<usize>,
    watched: VecDeque<(usize, ThreadId, Watch)>,
}

/// The slots of a device.
#[derive(Debug)]
pub(crate) struct Faults {
    memory: Memory,
    state: Mutex<State>,
}

/// A slot for one dispatch, free again when dropped unless it is [watched](Self::watch).
#[derive(Debug)]
pub(crate) struct Slot<'f> {
    faults: &'f Faults,
    index: Option<usize>,
}

impl Slot<'_> {
    /// The slot's number, for the shader.
    pub(crate) fn number(&self) -> u32 {
        self.index.unwrap_or(0) as u32
    }

    /// Looks at the slot from now on. To be called once the dispatch is recorded.
    pub(crate) fn watch(mut self, watch: Watch) {
        if let Some(index) = self.index.take() {
            self.faults.state().watched.push_back((index, thread::current().id(), watch));
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.faults.state().free.extend(self.index);
    }
}

impl Faults {
    /// `memory` holds [`SLOTS`] slots and can be read by the host.
    pub(crate) fn new(memory: Memory) -> Self {
        (0..SLOTS * SLOT_WORDS).for_each(|index| memory.store_word(index, 0));
        Self { memory, state: Mutex::new(State { free: (0..SLOTS).collect(), watched: VecDeque::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// A slot, if one is free.
    pub(crate) fn slot(&self) -> Option<Slot<'_>> {
        let index = self.state().free.pop()?;
        Some(Slot { faults: self, index: Some(index) })
    }

    /// What the kernels that this thread recorded (`all`: any thread) found wrong, the first of it. They must be done.
    pub(crate) fn check(&self, all: bool) -> Result<(), Box<Error>> {
        let mut state = self.state();
        let State { free, watched } = &mut *state;
        let mut first = Ok(());
        let this = thread::current().id();
        watched.retain(|&(slot, thread, watch)| {
            if !all && thread != this {
                return true;
            }
            let start = slot * SLOT_WORDS;
            if self.memory.load_word(start) != 0 {
                let [low, high] = [1, 2].map(|word| u64::from(self.memory.load_word(start + word)));
                let index = (high << 32 | low) as i64;
                (start..start + SLOT_WORDS).for_each(|word| self.memory.store_word(word, 0));
                if first.is_ok() {
                    let Watch { operation, axis, size } = watch;
                    let problem = format!("index {index} is out of range for axis {axis} of size {size}");
                    first = Err(Error::argument(operation, problem, "Keep indices from 0 to the size, exclusive"));
                }
            }
            free.push(slot);
            false
        });
        first
    }
}
