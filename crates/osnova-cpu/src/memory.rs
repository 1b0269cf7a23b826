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
//!
//! **Allocation can fail.** A request that the system refuses empties the free lists and is tried once more; then it is
//! [`OutOfMemory`], never the end of the program.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

/// Every buffer starts at a multiple of this: a cache line, and the widest vector register.
pub const ALIGNMENT: usize = 64;

/// The system does not have so many bytes, even after the free lists were emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The bytes that were asked for; `usize::MAX` where there were more than that.
    pub bytes: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "out of memory: {} were asked for", Size(self.bytes))
    }
}

impl std::error::Error for OutOfMemory {}

/// A number of bytes as people read it.
pub(crate) struct Size(pub(crate) usize);

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..0x400 => write!(formatter, "{} bytes", self.0),
            0x400..0x10_0000 => write!(formatter, "{:.1} KiB", bytes / 1024.0),
            0x10_0000..0x1000_0000 => write!(formatter, "{:.1} MiB", bytes / (1u64 << 20) as f64),
            _ => write!(formatter, "{:.1} GiB", bytes / (1u64 << 30) as f64),
        }
    }
}

/// Room for `count` elements in a `Vec`, for what does not live in a [`Buffer`].
pub(crate) fn vec_for<T>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut room = Vec::new();
    let refused = |_| OutOfMemory { bytes: count.saturating_mul(size_of::<T>()) };
    if room.try_reserve_exact(count).is_err() {
        // The free lists may hold what is missing.
        release_cached();
        room.try_reserve_exact(count).map_err(refused)?;
    }
    Ok(room)
}

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
    ///
    /// # Errors
    /// The system has too little memory.
    #[inline]
    pub fn new(length: usize) -> Result<Self, OutOfMemory> {
        if length == 0 {
            return Ok(Self::empty());
        }
        let block = acquire(length)?;
        Ok(Self { start: block.start, length, owner: Owner::Cache(block) })
    }

    /// A buffer for `count` elements of type `T`, unspecified as in [`new`](Self::new).
    ///
    /// # Errors
    /// The system has too little memory.
    #[inline]
    pub fn of<T: Pod>(count: usize) -> Result<Self, OutOfMemory> {
        Self::new(count.checked_mul(size_of::<T>()).ok_or(OutOfMemory { bytes: usize::MAX })?)
    }

    /// A buffer of `length` zero bytes.
    ///
    /// # Errors
    /// The system has too little memory.
    pub fn zeroed(length: usize) -> Result<Self, OutOfMemory> {
        let mut buffer = Self::new(length)?;
        buffer.as_mut_slice::<u8>().fill(0);
        Ok(buffer)
    }

    /// A buffer that holds a copy of `elements`.
    ///
    /// # Errors
    /// The system has too little memory.
    pub fn copy_of<T: Pod>(elements: &[T]) -> Result<Self, OutOfMemory> {
        let mut buffer = Self::new(size_of_val(elements))?;
        buffer.as_mut_slice().copy_from_slice(elements);
        Ok(buffer)
    }

    /// A buffer without bytes.
    fn empty() -> Self {
        Self { start: NonNull::<AlignedByte>::dangling().cast(), length: 0, owner: Owner::Nobody }
    }

    /// Takes over the memory of a `Vec` without copying, with whatever capacity it has.
    pub fn from_vec<T: Pod>(elements: Vec<T>) -> Self {
        let length = size_of_val(elements.as_slice());
        if length == 0 {
            return Self::empty();
        }
        let layout = Layout::array::<T>(elements.capacity()).unwrap_or_else(|_| unreachable!("the Vec already exists"));
        let mut elements = ManuallyDrop::new(elements);
        // The `Vec`'s own pointer, which is good for its whole capacity: the memory is freed through it. One from its
        // slice would be good for the elements alone.
        let Some(start) = NonNull::new(elements.as_mut_ptr()) else { unreachable!("a Vec's pointer is never null") };
        count_use(layout.size());
        Self { start: start.cast(), length, owner: Owner::Vec(layout) }
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
/// Whether freed blocks go back at once, so that Miri and AddressSanitizer see what is used afterwards.
const UNCACHED: bool = cfg!(any(miri, osnova_uncached));
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

/// A block that holds `length` bytes (at least one).
#[inline]
fn acquire(length: usize) -> Result<Block, OutOfMemory> {
    let class = class_of(length);
    let bytes = class_bytes(class);
    if bytes < LARGEST_LOCAL {
        let kept = LOCAL.try_with(|lists| lists.borrow_mut().0[class as usize].pop());
        if let Ok(Some(block)) = kept {
            if bytes > UNCOUNTED {
                count_use(bytes);
            }
            return Ok(block);
        }
    }
    acquire_shared(length)
}

/// As [`acquire`], from the shared lists or the system.
#[cold]
fn acquire_shared(length: usize) -> Result<Block, OutOfMemory> {
    // No allocation is larger, and beyond this there would be no size class.
    if length > isize::MAX as usize {
        return Err(OutOfMemory { bytes: length });
    }
    let class = class_of(length);
    let bytes = class_bytes(class);
    let kept = {
        let mut shared = shared();
        let kept = shared.lists[class as usize].pop();
        shared.bytes -= if kept.is_some() { bytes } else { 0 };
        kept
    };
    let block = kept.or_else(|| from_system(class)).ok_or(OutOfMemory { bytes: length })?;
    if bytes > UNCOUNTED {
        count_use(bytes);
    }
    Ok(block)
}

#[inline]
fn release(block: Block) {
    let bytes = class_bytes(block.class);
    if bytes > UNCOUNTED {
        IN_USE.fetch_sub(bytes, Relaxed);
    }
    if UNCACHED {
        return give_back(block);
    }
    if bytes < LARGEST_LOCAL {
        let kept = LOCAL.try_with(|lists| {
            let list = &mut lists.borrow_mut().0[block.class as usize];
            let room = list.len() < LOCAL_BLOCKS && (list.len() + 1) * bytes <= LOCAL_BYTES;
            let room = room && list.try_reserve(1).is_ok();
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
    let wanted = shared.bytes + bytes <= SHARED_BYTES.max(PEAK.load(Relaxed));
    // Where there is no memory even for the list, the block itself is what is missing.
    if wanted && shared.lists[block.class as usize].try_reserve(1).is_ok() {
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

/// A block from the system, or none if it has too little memory even after the free lists were emptied.
#[cold]
fn from_system(class: u8) -> Option<Block> {
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

    fn buffer(length: usize) -> Buffer {
        Buffer::new(length).unwrap()
    }

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
        let buffers: Vec<_> = [1, 64, 100, 9_000, 9_000, 70_000, 2_000_000].map(buffer).into_iter().collect();
        for buffer in &buffers {
            assert_eq!(buffer.start.addr().get() % ALIGNMENT, 0);
        }
        let (a, b) = (buffer(40_000), buffer(40_000));
        let apart = a.start.addr().get().abs_diff(b.start.addr().get()) % PAGE;
        assert!(apart.min(PAGE - apart) >= ALIGNMENT, "{apart} bytes apart in the page");
    }

    #[test]
    #[cfg_attr(any(miri, osnova_uncached), ignore = "nothing is kept")]
    fn a_dropped_buffer_is_used_again() {
        let first = buffer(333_333);
        let start = first.start;
        drop(first);
        assert_eq!(buffer(333_000).start, start, "the same class gives the block just freed");
    }

    #[test]
    fn lengths_that_no_memory_holds_are_refused() {
        for length in [1 << 58, isize::MAX as usize - 1, isize::MAX as usize, 1 << 63, usize::MAX - 63, usize::MAX] {
            let before = memory_statistics();
            assert_eq!(Buffer::new(length).unwrap_err(), OutOfMemory { bytes: length });
            assert!(Buffer::zeroed(length).is_err());
            assert!(memory_statistics().bytes_from_system <= before.bytes_from_system + (1 << 30), "nothing is kept");
        }
        // A product that wraps to a small number.
        for count in [usize::MAX, usize::MAX / 2 + 2, (usize::MAX >> 3) + 2] {
            assert!(Buffer::of::<u64>(count).is_err(), "{count}");
            assert!(vec_for::<u64>(count).is_err(), "{count}");
        }
        assert_eq!(Buffer::of::<u64>(3).unwrap().len(), 24);
    }

    #[test]
    fn sizes_read_well() {
        let texts = [0, 1023, 1536, 3 << 20, 1 << 30, 5 << 40].map(|bytes| Size(bytes).to_string());
        assert_eq!(texts, ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 MiB", "1.0 GiB", "5120.0 GiB"]);
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
        assert_eq!(buffer.as_slice::<f32>(), [1.5, 7.0, 3.0]);
    }

    #[test]
    fn empty_buffers_have_empty_slices() {
        assert!(buffer(0).as_slice::<f64>().is_empty());
        assert!(Buffer::from_vec(Vec::<i64>::with_capacity(5)).as_mut_slice::<i64>().is_empty());
    }

    #[test]
    #[should_panic(expected = "OutputSliceWouldHaveSlop")]
    fn a_ragged_view_is_refused() {
        let _ = buffer(6).as_slice::<f32>();
    }

    #[test]
    #[cfg_attr(any(miri, osnova_uncached), ignore = "nothing is kept")]
    fn blocks_travel_between_threads() {
        let buffers: Vec<_> = (0..600).map(|_| Buffer::zeroed(5_000).unwrap()).collect();
        std::thread::spawn(move || drop(buffers)).join().unwrap();
        let before = memory_statistics().system_allocations;
        let again: Vec<_> = (0..600).map(|_| buffer(5_000)).collect();
        let new = memory_statistics().system_allocations - before;
        assert!(new < 100, "{new} of {} buffers came from the system although as many were free", again.len());
    }
}
