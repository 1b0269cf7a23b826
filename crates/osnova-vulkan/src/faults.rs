//! What kernels find wrong with their inputs: an index out of range.
//!
//! A kernel cannot return an error; it writes into a slot of a buffer that the host can read. The batch in which the kernel stands holds the slot
//! until it is done: then the slot is looked at and free for another kernel.
//!
//! What was found belongs to the work and not to a thread. A watched kernel has a [`Verdict`], which its outputs carry, and so does whatever is computed from
//! them. Once it is known to be good nobody carries it further, so that nearly always there is nothing to carry; one that is bad stays, and whoever reads
//! such a tensor is told, on whatever thread. What nobody has read `synchronize` tells, once.

use crate::memory::Memory;
use ash::vk;
use osnova_tensor::Error;
use smallvec::SmallVec;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// How many kernels may be watched at a time.
pub(crate) const SLOTS: usize = 1024;
/// Words of a slot: whether something is wrong, then the index that is (its lower and upper half).
pub(crate) const SLOT_WORDS: usize = 4;
/// Faults that wait for somebody to be told of them; of more only the number is kept.
const MOST_UNTOLD: usize = 4096;
/// Faults that one message describes.
const DESCRIBED: usize = 3;

/// What a kernel looks out for, to be named if it is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) operation: &'static str,
    pub(crate) axis: usize,
    pub(crate) size: usize,
}

/// An index that a kernel found out of range.
#[derive(Debug)]
struct Fault {
    watch: Watch,
    index: i64,
    told: AtomicBool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { watch: Watch { axis, size, .. }, index, .. } = self;
        write!(f, "index {index} is out of range for axis {axis} of size {size}")
    }
}

impl Fault {
    fn error(&self, problem: String) -> Box<Error> {
        Error::argument(self.watch.operation, problem, "Keep indices from 0 to the size, exclusive")
    }

    /// The error for somebody who reads what came of it.
    fn tell(&self) -> Box<Error> {
        self.told.store(true, Ordering::Relaxed);
        self.error(self.to_string())
    }
}

/// What was found by a watched kernel, or before it by those that its inputs came from. Known once the kernel's batch is done.
#[derive(Debug)]
pub(crate) struct Verdict {
    faults: &'static Faults,
    watch: Watch,
    /// What its inputs rest on, until it is known.
    before: Mutex<Verdicts>,
    found: OnceLock<Option<Arc<Fault>>>,
}

impl Verdict {
    fn before(&self) -> MutexGuard<'_, Verdicts> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_good(&self) -> bool {
        matches!(self.found.get(), Some(None))
    }

    /// Whether the other one is among what this one's inputs rest on.
    fn covers(&self, other: &Arc<Self>) -> bool {
        self.before().0.iter().any(|known| Arc::ptr_eq(known, other))
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if !self.is_good() {
            self.faults.doubts.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The verdicts that the values of a tensor rest on: none, nearly always.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts(SmallVec<[Arc<Verdict>; 1]>);

impl Verdicts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds others. Those known to be good go, and those that another one covers: a chain of watched kernels is carried as its last one.
    pub(crate) fn join(&mut self, others: &Self) {
        self.0.retain(|known| !known.is_good());
        for other in &others.0 {
            if other.is_good() || self.0.iter().any(|known| Arc::ptr_eq(known, other) || known.covers(other)) {
                continue;
            }
            self.0.retain(|known| !other.covers(known));
            self.0.push(other.clone());
        }
    }

    fn fault(&self) -> Option<Arc<Fault>> {
        self.0.iter().find_map(|verdict| verdict.found.get()?.clone())
    }

    /// Fails if one of them is bad. What they are about must be done.
    pub(crate) fn check(&self) -> Result<(), Box<Error>> {
        debug_assert!(self.0.iter().all(|verdict| verdict.found.get().is_some()), "the batch was collected");
        self.fault().map_or(Ok(()), |fault| Err(fault.tell()))
    }
}

/// A slot for one dispatch, held by the batch in which that stands; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    index: usize,
    verdict: Arc<Verdict>,
}

impl Slot {
    /// The slot's number, for the shader.
    pub(crate) fn number(&self) -> u32 {
        self.index as u32
    }

    /// Finds out what the kernel reported. Its batch must be done, and the verdicts of all earlier batches be known.
    pub(crate) fn settle(self) {
        let Verdict { faults, watch, found, .. } = &*self.verdict;
        let earlier = std::mem::take(&mut *self.verdict.before()).fault();
        let mut state = faults.state();
        let own = state.report(self.index).map(|index| {
            let fault = Arc::new(Fault { watch: *watch, index, told: AtomicBool::new(false) });
            state.keep(fault.clone());
            fault
        });
        drop(state);
        // Set once, here: a slot is settled by being consumed.
        let _ = found.set(earlier.or(own));
        if self.verdict.is_good() {
            faults.doubts.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.verdict.faults.state().free.push(self.index);
    }
}

#[derive(Debug)]
struct State {
    memory: Memory,
    free: Vec<usize>,
    /// What nobody was told of yet, or somebody meanwhile.
    untold: Vec<Arc<Fault>>,
    /// More of them.
    uncounted: usize,
}

impl State {
    /// The index that a kernel reported in a slot, which is then ready for the next one.
    fn report(&mut self, slot: usize) -> Option<i64> {
        let start = slot * SLOT_WORDS;
        if self.memory.load_word(start) == 0 {
            return None;
        }
        let [low, high] = [1, 2].map(|word| u64::from(self.memory.load_word(start + word)));
        (start..start + SLOT_WORDS).for_each(|word| self.memory.store_word(word, 0));
        Some((high << 32 | low) as i64)
    }

    fn keep(&mut self, fault: Arc<Fault>) {
        if self.untold.len() >= MOST_UNTOLD {
            self.untold.retain(|fault| !fault.told.load(Ordering::Relaxed));
        }
        if self.untold.len() < MOST_UNTOLD { self.untold.push(fault) } else { self.uncounted += 1 }
    }
}

/// The slots of a device.
#[derive(Debug)]
pub(crate) struct Faults {
    buffer: vk::Buffer,
    size: u64,
    state: Mutex<State>,
    /// Verdicts that are not known to be good.
    doubts: AtomicUsize,
}

impl Faults {
    /// `memory` holds [`SLOTS`] slots and can be read by the host.
    pub(crate) fn new(mut memory: Memory) -> Self {
        (0..SLOTS * SLOT_WORDS).for_each(|index| memory.store_word(index, 0));
        let (buffer, size) = (memory.handle(), memory.size());
        let state = State { memory, free: (0..SLOTS).collect(), untold: Vec::new(), uncounted: 0 };
        Self { buffer, size, state: Mutex::new(state), doubts: AtomicUsize::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The buffer of the slots, to be bound, and its bytes.
    pub(crate) fn buffer(&self) -> (vk::Buffer, u64) {
        (self.buffer, self.size)
    }

    /// Whether no tensor can carry a verdict that matters.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        // Whoever got a tensor from another thread got this count with it.
        self.doubts.load(Ordering::Relaxed) == 0
    }

    /// A slot, if one is free, for a kernel whose inputs rest on `verdicts`. Its outputs rest on what these become.
    pub(crate) fn slot(&'static self, watch: Watch, verdicts: &mut Verdicts) -> Option<Slot> {
        let index = self.state().free.pop()?;
        self.doubts.fetch_add(1, Ordering::Relaxed);
        let before = Mutex::new(std::mem::take(verdicts));
        let verdict = Arc::new(Verdict { faults: self, watch, before, found: OnceLock::new() });
        verdicts.0.push(verdict.clone());
        Some(Slot { index, verdict })
    }

    /// Tells what was found and nobody has been told of.
    pub(crate) fn tell(&self) -> Result<(), Box<Error>> {
        let (mut untold, uncounted) = {
            let mut state = self.state();
            (std::mem::take(&mut state.untold), std::mem::take(&mut state.uncounted))
        };
        untold.retain(|fault| !fault.told.swap(true, Ordering::Relaxed));
        let Some((first, others)) = untold.split_first() else { return Ok(()) };
        let mut problem = first.to_string();
        let more = others.len() + uncounted;
        if more > 0 {
            let some: Vec<String> = (others.iter().take(DESCRIBED))
                .map(|fault| {
                    format!("{} (index {} for a size of {})", fault.watch.operation, fault.index, fault.watch.size)
                })
                .collect();
            let rest = if more > some.len() { ", …" } else { "" };
            problem += &format!("; {more} more operations met such an index: {}{rest}", some.join(", "));
        }
        Err(first.error(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    const WATCH: Watch = Watch { operation: "gather", axis: 2, size: 5 };

    fn faults() -> &'static Faults {
        Box::leak(Box::new(Faults::new(Memory::of_host(SLOTS * SLOT_WORDS))))
    }

    /// What a kernel does that meets a wrong index.
    fn report(slot: &Slot, index: i64) {
        let mut state = slot.verdict.faults.state();
        let words = [1, index as u32, (index >> 32) as u32];
        for (at, word) in words.into_iter().enumerate() {
            state.memory.store_word(slot.index * SLOT_WORDS + at, word);
        }
    }

    fn watched(faults: &'static Faults, inputs: &Verdicts) -> (Slot, Verdicts) {
        let mut verdicts = inputs.clone();
        let slot = faults.slot(WATCH, &mut verdicts).expect("a slot is free");
        (slot, verdicts)
    }

    #[test]
    fn a_slot_belongs_to_its_batch() {
        let faults = faults();
        let slots: Vec<Slot> = (0..SLOTS).map(|_| watched(faults, &Verdicts::default()).0).collect();
        assert!(faults.slot(WATCH, &mut Verdicts::default()).is_none());
        // Neither reading nor telling frees one.
        faults.tell().unwrap();
        assert!(faults.slot(WATCH, &mut Verdicts::default()).is_none());
        slots.into_iter().for_each(Slot::settle);
        assert!(faults.is_quiet() && faults.slot(WATCH, &mut Verdicts::default()).is_some());
        // It was given back unused.
        assert!(faults.is_quiet());
        assert_eq!(faults.state().free.len(), SLOTS);
    }

    #[test]
    fn a_slot_begins_clean() {
        let faults = faults();
        let (slot, wrong) = watched(faults, &Verdicts::default());
        let number = slot.number();
        report(&slot, -3);
        slot.settle();
        let (slot, right) = watched(faults, &Verdicts::default());
        assert_eq!(slot.number(), number);
        slot.settle();
        right.check().unwrap();
        let message = wrong.check().unwrap_err().to_string();
        assert!(message.contains("gather: index -3 is out of range for axis 2 of size 5"), "{message}");
    }

    #[test]
    fn a_chain_is_carried_as_its_last_link() {
        let faults = faults();
        let (first, one) = watched(faults, &Verdicts::default());
        let (second, two) = watched(faults, &one);
        let mut both = one.clone();
        both.join(&two);
        assert_eq!((two.0.len(), both.0.len()), (1, 1));
        let mut turned = two.clone();
        turned.join(&one);
        assert_eq!(turned.0.len(), 1);
        report(&first, i64::MIN);
        first.settle();
        second.settle();
        assert!(two.check().unwrap_err().to_string().contains(&i64::MIN.to_string()));
        // Told to a reader: nothing is left for `synchronize`.
        faults.tell().unwrap();
        assert!(!faults.is_quiet());
        drop((one, two, both, turned));
        assert!(faults.is_quiet());
    }

    #[test]
    fn what_is_good_is_carried_no_further() {
        let faults = faults();
        let (slot, mut all) = watched(faults, &Verdicts::default());
        let (other, more) = watched(faults, &Verdicts::default());
        all.join(&more);
        assert_eq!(all.0.len(), 2);
        slot.settle();
        let mut later = Verdicts::default();
        later.join(&all);
        assert_eq!(later.0.len(), 1);
        other.settle();
        later.join(&all);
        assert!(later.is_empty() && faults.is_quiet());
    }

    /// Whoever finds no slot waits for one and blames nobody.
    #[test]
    fn waiting_for_a_slot() {
        let engine = match Engine::open(0) {
            Ok(engine) => engine,
            Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
            Err(error) => return eprintln!("SKIPPED, for want of a Vulkan device: {error}"),
        };
        let watch = || engine.watch(WATCH, &mut Verdicts::default());
        let wrong = watch().unwrap();
        report(&wrong, 9);
        let held: Vec<Slot> = (1..SLOTS).map(|_| watch().unwrap()).collect();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(watch);
            wrong.settle();
            assert!(waiting.join().unwrap().is_ok());
        });
        drop(held);
        assert!(engine.synchronize().is_err());
        engine.synchronize().unwrap();
    }
}
