//! Memory for tensors: aligned buffers that are kept and used again instead of being given back to the system.
//!
//! The first touch of fresh pages costs the system about 2 µs for every 4 KiB, so a training step that asked it for
//! each of its outputs would wait longer for memory than for arithmetic. Freed buffers therefore go to free lists by
//! size class: a list for every thread, without locks, for blocks up to 1 MiB, and shared lists for
//! larger blocks and for what a thread has too much of. The shared lists are bounded by the bytes that were in use at
//! the peak; what exceeds that goes back to the system.
//!
//! **Bytes are always initialised.** A block comes from the system zeroed, and afterwards only values without padding
//! ([`bytemuck::Pod`]) are written to it. A new buffer may hold stale numbers, never uninitialised memory.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

/// Every buffer starts at a multiple of this: a cache line, and the widest vector register.
pub const ALIGNMENT: usize = 64;

/// The bytes of a tensor: zeroed or stale when new, shared by nobody.
pub struct Buffer {
    start: NonNull<u8>,
    /// Bytes in use.
    length: usize,
    owner: Owner,
}

/// Where a buffer's memory goes when it is dropped.
enum Owner {
    /// No memory at all.
    Nobody,
    /// The free lists.
    Cache(Block),
    /// The global allocator: the memory of an adopted `Vec`.
    Vec(Layout),
}

// SAFETY: a buffer owns its memory alone and hands it out under the usual rules of `&` and `&mut`.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing is changed through `&Buffer`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer of `length` bytes whose contents are unspecified (but initialised).
    #[inline]
    pub fn new(length: usize) -> Self {
        if length == 0 {
            return Self { start: NonNull::<AlignedByte>::dangling().cast(), length, owner: Owner::Nobody };
        }
        let block = acquire(class_of(length));
        Self { start: block.start, length, owner: Owner::Cache(block) }
    }

    /// A buffer of `length` zero bytes.
    pub fn zeroed(length: usize) -> Self {
        let mut buffer = Self::new(length);
        buffer.as_mut_slice::<u8>().fill(0);
        buffer
    }

    /// A buffer that holds a copy of `elements`.
    pub fn copy_of<T: Pod>(elements: &[T]) -> Self {
        let mut buffer = Self::new(size_of_val(elements));
        buffer.as_mut_slice().copy_from_slice(elements);
        buffer
    }

    /// Takes over the memory of a `Vec` without copying.
    pub fn from_vec<T: Pod>(elements: Vec<T>) -> Self {
        let length = size_of_val(elements.as_slice());
        let layout = Layout::array::<T>(elements.capacity()).unwrap_or_else(|_| unreachable!("the Vec already exists"));
        if length == 0 {
            return Self::new(0);
        }
        let mut elements = ManuallyDrop::new(elements);
        let start = NonNull::from(elements.as_mut_slice()).cast();
        count_use(layout.size());
        Self { start, length, owner: Owner::Vec(layout) }
    }

    /// The number of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The number of bytes that the buffer occupies.
    pub fn capacity(&self) -> usize {
        match &self.owner {
            Owner::Nobody => 0,
            Owner::Cache(block) => class_bytes(block.class),
            Owner::Vec(layout) => layout.size(),
        }
    }

    /// The bytes as numbers.
    ///
    /// # Panics
    /// If the length is no multiple of the number's size, or an adopted `Vec` is not aligned for it.
    #[inline]
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        // SAFETY: the memory is owned, initialised, `length` bytes long, and lent as long as the buffer is.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) };
        bytemuck::cast_slice(bytes)
    }

    /// The bytes as numbers to write to.
    ///
    /// # Panics
    /// As [`as_slice`](Self::as_slice).
    #[inline]
    pub fn as_mut_slice<T: Pod>(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`; `&mut self` makes the access exclusive.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) };
        bytemuck::cast_slice_mut(bytes)
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        match self.owner {
            Owner::Nobody => {}
            Owner::Cache(block) => release(block),
            Owner::Vec(layout) => {
                IN_USE.fetch_sub(layout.size(), Relaxed);
                // SAFETY: start and layout are those of the adopted `Vec`, which was never dropped.
                unsafe { dealloc(self.start.as_ptr(), layout) }
            }
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self::copy_of(self.as_slice::<u8>())
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Buffer").field("length", &self.length).field("capacity", &self.capacity()).finish()
    }
}

/// What the allocator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStatistics {
    /// Bytes of the buffers that are alive, rounded up to their size classes. Blocks up to 1 KiB are left out: counting
    /// one would take as long as handing it out.
    pub bytes_in_use: usize,
    /// The most that `bytes_in_use` has been since the start or the last [`reset_peak`].
    pub peak_bytes_in_use: usize,
    /// Bytes got from the system and not given back, whether in use or kept for later.
    pub bytes_from_system: usize,
    /// How often the system was asked for memory.
    pub system_allocations: usize,
}

/// What the allocator holds at this moment.
pub fn memory_statistics() -> MemoryStatistics {
    MemoryStatistics {
        bytes_in_use: IN_USE.load(Relaxed),
        peak_bytes_in_use: PEAK.load(Relaxed),
        bytes_from_system: FROM_SYSTEM.load(Relaxed),
        system_allocations: SYSTEM_ALLOCATIONS.load(Relaxed),
    }
}

/// Starts the measurement of the peak anew.
pub fn reset_peak() {
    PEAK.store(IN_USE.load(Relaxed), Relaxed);
}

/// Gives what this thread's and the shared free lists hold back to the system.
pub fn release_cached() {
    let _ = LOCAL.try_with(|lists| lists.borrow_mut().give_away());
    let mut shared = shared();
    for list in &mut shared.lists {
        list.drain(..).for_each(give_back);
    }
    shared.bytes = 0;
}

/// Buffers from this size on are [provided](provide) for before a kernel asks for them.
const LARGE: usize = 1 << 30;

/// Whether a buffer of `length` bytes can be had. [`Buffer::new`] cannot fail but by ending the program, as a `Vec`
/// cannot; so whoever is about to need a large buffer asks first, while an error can still be told.
pub(crate) fn provide(length: usize) -> bool {
    if length < LARGE {
        return true;
    }
    // No allocation is larger, and beyond this there would be no size class.
    if length > usize::MAX >> 1 {
        return false;
    }
    let class = class_of(length);
    if !shared().lists[class as usize].is_empty() {
        return true;
    }
    let Some(block) = try_from_system(class) else { return false };
    let mut shared = shared();
    shared.bytes += class_bytes(class);
    shared.lists[class as usize].push(block);
    true
}

/// A dangling pointer to this is aligned as every buffer is.
#[repr(align(64))]
struct AlignedByte(#[allow(dead_code)] u8);

/// Memory from the system, of a size class.
#[derive(Clone, Copy)]
struct Block {
    start: NonNull<u8>,
    /// How far behind the allocation's start the block begins.
    offset: u16,
    class: u8,
}

// SAFETY: a block is owned memory; who holds it holds it alone.
unsafe impl Send for Block {}

/// Size classes: powers of two and the middle between two, 64, 128, 192, 256, 384, 512, ….
const CLASSES: usize = 116;
/// Blocks beyond this go to the shared lists at once: a lock is nothing beside the work on so many bytes.
const LARGEST_LOCAL: usize = 1 << 20;
/// A thread keeps at most so many bytes of a class, and …
const LOCAL_BYTES: usize = 4 << 20;
/// … so many blocks.
const LOCAL_BLOCKS: usize = 256;
/// What the shared lists may always hold.
const SHARED_BYTES: usize = 256 << 20;
/// From this size on, the starts of blocks are spread over a page.
const STAGGERED: usize = 8 << 10;
const PAGE: usize = 4096;

/// The smallest class that holds `length` bytes (at least one).
#[inline]
fn class_of(length: usize) -> u8 {
    if length <= 64 {
        return 0;
    }
    // 2^power < length <= 2^(power + 1), power at least 6.
    let power = usize::BITS - 1 - (length - 1).leading_zeros();
    // Between 64 and 128 there is no middle that keeps the alignment.
    let middle = power > 6 && length <= 3 << (power - 1);
    (2 * (power - 6) + 1 - u32::from(middle)) as u8
}

#[inline]
fn class_bytes(class: u8) -> usize {
    match class {
        0 => 64,
        _ if class % 2 == 1 => 128 << (class / 2),
        _ => 96 << (class / 2),
    }
}

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static FROM_SYSTEM: AtomicUsize = AtomicUsize::new(0);
static SYSTEM_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[inline]
fn count_use(bytes: usize) {
    let now = IN_USE.fetch_add(bytes, Relaxed) + bytes;
    if now > PEAK.load(Relaxed) {
        PEAK.fetch_max(now, Relaxed);
    }
}

/// The free lists of one thread; given away when it ends.
struct LocalLists([Vec<Block>; CLASSES]);

impl LocalLists {
    fn give_away(&mut self) {
        for list in &mut self.0 {
            list.drain(..).for_each(release_shared);
        }
    }
}

impl Drop for LocalLists {
    fn drop(&mut self) {
        self.give_away();
    }
}

thread_local! {
    static LOCAL: RefCell<LocalLists> = const { RefCell::new(LocalLists([const { Vec::new() }; CLASSES])) };
}

struct SharedLists {
    lists: [Vec<Block>; CLASSES],
    bytes: usize,
}

static SHARED: Mutex<SharedLists> = Mutex::new(SharedLists { lists: [const { Vec::new() }; CLASSES], bytes: 0 });

fn shared() -> std::sync::MutexGuard<'static, SharedLists> {
    // The lists are whole after every statement: a panic elsewhere cannot have left them half changed.
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocks up to this size do not enter the statistics.
const UNCOUNTED: usize = 1 << 10;

#[inline]
fn acquire(class: u8) -> Block {
    let bytes = class_bytes(class);
    if bytes > UNCOUNTED {
        count_use(bytes);
    }
    if bytes < LARGEST_LOCAL {
        let kept = LOCAL.try_with(|lists| lists.borrow_mut().0[class as usize].pop());
        if let Ok(Some(block)) = kept {
            return block;
        }
    }
    acquire_shared(class, bytes)
}

#[cold]
fn acquire_shared(class: u8, bytes: usize) -> Block {
    let mut shared = shared();
    match shared.lists[class as usize].pop() {
        Some(block) => {
            shared.bytes -= bytes;
            block
        }
        None => {
            drop(shared);
            from_system(class)
        }
    }
}

#[inline]
fn release(block: Block) {
    let bytes = class_bytes(block.class);
    if bytes > UNCOUNTED {
        IN_USE.fetch_sub(bytes, Relaxed);
    }
    if bytes < LARGEST_LOCAL {
        let kept = LOCAL.try_with(|lists| {
            let list = &mut lists.borrow_mut().0[block.class as usize];
            let room = list.len() < LOCAL_BLOCKS && (list.len() + 1) * bytes <= LOCAL_BYTES;
            if room {
                list.push(block);
            }
            room
        });
        if kept == Ok(true) {
            return;
        }
    }
    release_shared(block);
}

#[cold]
fn release_shared(block: Block) {
    let bytes = class_bytes(block.class);
    let mut shared = shared();
    if shared.bytes + bytes <= SHARED_BYTES.max(PEAK.load(Relaxed)) {
        shared.bytes += bytes;
        shared.lists[block.class as usize].push(block);
    } else {
        drop(shared);
        give_back(block);
    }
}

/// The allocation behind a block of this class, with room to move the start; none if it cannot exist.
fn system_layout(class: u8) -> Option<Layout> {
    let bytes = class_bytes(class);
    let room = if bytes >= STAGGERED { PAGE } else { ALIGNMENT };
    // A small alignment lets the system hand out pages that are zero already, without writing to them.
    Layout::from_size_align(bytes.checked_add(room)?, 16).ok()
}

#[cold]
fn from_system(class: u8) -> Block {
    try_from_system(class).unwrap_or_else(|| match system_layout(class) {
        Some(layout) => handle_alloc_error(layout),
        None => panic!("a tensor of {} bytes cannot exist", class_bytes(class)),
    })
}

/// A block from the system, or none if it has too little memory even after the free lists were emptied.
#[cold]
fn try_from_system(class: u8) -> Option<Block> {
    static ORDINAL: AtomicUsize = AtomicUsize::new(0);
    let layout = system_layout(class)?;
    // SAFETY: the layout's size is not zero.
    let mut base = unsafe { alloc_zeroed(layout) };
    if base.is_null() {
        release_cached();
        // SAFETY: as above.
        base = unsafe { alloc_zeroed(layout) };
    }
    let base = NonNull::new(base)?;
    SYSTEM_ALLOCATIONS.fetch_add(1, Relaxed);
    FROM_SYSTEM.fetch_add(layout.size(), Relaxed);
    let offset = if class_bytes(class) >= STAGGERED {
        // Two streams a few bytes apart modulo the page size disturb each other (a load waits for a store to "the
        // same" address; measured: a copy 25 times slower), so the starts lie at multiples of the golden section.
        let wanted = ORDINAL.fetch_add(1, Relaxed) * 25 % (PAGE / ALIGNMENT) * ALIGNMENT;
        wanted.wrapping_sub(base.addr().get()) % PAGE
    } else {
        base.addr().get().wrapping_neg() % ALIGNMENT
    };
    // SAFETY: the offset is less than the room that the layout adds.
    Some(Block { start: unsafe { base.add(offset) }, offset: offset as u16, class })
}

fn give_back(block: Block) {
    let Some(layout) = system_layout(block.class) else { unreachable!("the block was allocated with it") };
    FROM_SYSTEM.fetch_sub(layout.size(), Relaxed);
    // SAFETY: `from_system` moved the start by this offset, within the allocation of this layout.
    unsafe { dealloc(block.start.as_ptr().sub(block.offset as usize), layout) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_lengths_tightly() {
        for length in (1..5000).chain([1 << 20, (1 << 20) + 1, (1 << 33) + 7]) {
            let class = class_of(length);
            assert!(class_bytes(class) >= length, "{length}");
            assert!(class == 0 || class_bytes(class - 1) < length, "{length} would fit a smaller class");
            assert_eq!(class_bytes(class) % ALIGNMENT, 0);
        }
        assert!((class_of(usize::MAX >> 1) as usize) < CLASSES, "every possible length has a list");
    }

    #[test]
    fn buffers_are_aligned_and_staggered() {
        let buffers: Vec<_> = [1, 64, 100, 9_000, 9_000, 70_000, 2_000_000].map(Buffer::new).into_iter().collect();
        for buffer in &buffers {
            assert_eq!(buffer.start.addr().get() % ALIGNMENT, 0);
        }
        let (a, b) = (Buffer::new(40_000), Buffer::new(40_000));
        let apart = a.start.addr().get().abs_diff(b.start.addr().get()) % PAGE;
        assert!(apart.min(PAGE - apart) >= ALIGNMENT, "{apart} bytes apart in the page");
    }

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let first = Buffer::new(333_333);
        let start = first.start;
        drop(first);
        assert_eq!(Buffer::new(333_000).start, start, "the same class gives the block just freed");
    }

    #[test]
    fn what_cannot_be_had_is_told_before() {
        assert!(provide(1));
        assert!(provide(LARGE), "untouched pages cost nothing");
        drop(Buffer::new(LARGE));
        for length in [1 << 60, usize::MAX >> 1, usize::MAX] {
            assert!(!provide(length), "{length}");
        }
        release_cached();
    }

    #[test]
    fn a_vec_is_adopted_without_copying() {
        let mut elements = Vec::with_capacity(10);
        elements.extend([1.5f32, -2.0, 3.0]);
        let start = elements.as_ptr().addr();
        let mut buffer = Buffer::from_vec(elements);
        assert_eq!(buffer.as_slice::<f32>().as_ptr().addr(), start);
        assert_eq!((buffer.len(), buffer.capacity()), (12, 40));
        buffer.as_mut_slice::<f32>()[1] = 7.0;
        assert_eq!(buffer.clone().as_slice::<f32>(), [1.5, 7.0, 3.0]);
    }

    #[test]
    fn empty_buffers_have_empty_slices() {
        assert!(Buffer::new(0).as_slice::<f64>().is_empty());
        assert!(Buffer::from_vec(Vec::<i64>::with_capacity(5)).as_mut_slice::<i64>().is_empty());
    }

    #[test]
    #[should_panic(expected = "OutputSliceWouldHaveSlop")]
    fn a_ragged_view_is_refused() {
        let _ = Buffer::new(6).as_slice::<f32>();
    }

    #[test]
    fn blocks_travel_between_threads() {
        let buffers: Vec<_> = (0..600).map(|_| Buffer::zeroed(5_000)).collect();
        std::thread::spawn(move || drop(buffers)).join().unwrap();
        let before = memory_statistics().system_allocations;
        let again: Vec<_> = (0..600).map(|_| Buffer::new(5_000)).collect();
        let new = memory_statistics().system_allocations - before;
        assert!(new < 100, "{new} of {} buffers came from the system although as many were free", again.len());
    }
}
