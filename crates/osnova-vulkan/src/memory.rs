//! Device memory: a pool of buffers in sizes that recur.
//!
//! All work of a device runs in the order in which it was recorded, with barriers between what touches the same buffer.
//! So a buffer that a dropped tensor leaves may be handed out at once: whoever gets it records later. Only buffers
//! that the host touches (staging) must wait for the timeline, and [`crate::stream`] sees to that.

use crate::faults::Verdicts;
use crate::hash::Table;
use crate::instance::reason;
use ash::vk;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vulkano::buffer::{AllocateBufferError, Buffer, BufferCreateInfo, BufferMemory, BufferUsage};
use vulkano::device::Device;
use vulkano::memory::DeviceAlignment;
use vulkano::memory::MemoryPropertyFlags;
use vulkano::memory::allocator::{
    AllocationCreateInfo, DeviceLayout, MemoryAllocatorError, MemoryTypeFilter, StandardMemoryAllocator,
};
use vulkano::{DeviceSize, NonZeroDeviceSize, Validated, VulkanError, VulkanObject};

/// Who reads and writes a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    /// Kernels.
    Device,
    /// The host writes, kernels and copies read.
    Upload,
    /// Copies write, the host reads.
    Readback,
}

/// A buffer. The allocation lives as long as this.
pub(crate) struct Memory {
    handle: vk::Buffer,
    size: u64,
    placement: Placement,
    mapped: Option<NonNull<u8>>,
    _owner: Box<dyn Send + Sync>,
}

// SAFETY: the pointer is to mapped memory that lives as long as the owner and belongs to no thread.
unsafe impl Send for Memory {}
// SAFETY: a shared reference gives the handle, the size and the placement, which never change. Whatever goes through the pointer takes
// `&mut self`.
unsafe impl Sync for Memory {}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}[{} bytes, {:?}]", self.handle, self.size, self.placement)
    }
}

impl Memory {
    #[inline]
    pub(crate) fn handle(&self) -> vk::Buffer {
        self.handle
    }

    #[inline]
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of a buffer that the host can see; none for one on the device.
    ///
    /// The device must not be using it. Staging buffers keep to that: they belong to whoever took them from the pool until
    /// they are handed to a batch, and come back only when the timeline has passed it.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        match self.mapped {
            // SAFETY: the mapping covers `size` bytes and lives as long as `self`, which is borrowed exclusively; the device leaves the
            // buffer alone meanwhile, as said above.
            Some(start) => unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.size as usize) },
            None => &mut [],
        }
    }

    fn word(&mut self, index: usize) -> Option<NonNull<u32>> {
        let start = self.mapped.filter(|_| index < self.size as usize / size_of::<u32>())?.cast::<u32>();
        // SAFETY: the word lies inside the mapping.
        Some(unsafe { start.add(index) })
    }

    /// A word of a buffer the host can see, 0 elsewhere. Unlike [`bytes`](Self::bytes) for buffers that the device is using, where it
    /// is done with this word.
    pub(crate) fn load_word(&mut self, index: usize) -> u32 {
        // SAFETY: the word lies inside the mapping, which is aligned for it (memory is mapped at 64 bytes at least, and buffers begin at
        // multiples of 8). No reference to the words exists, and the read is volatile: the device writes to others meanwhile.
        self.word(index).map_or(0, |word| unsafe { word.read_volatile() })
    }

    /// Writes a word that the device is not using.
    pub(crate) fn store_word(&mut self, index: usize, value: u32) {
        if let Some(word) = self.word(index) {
            // SAFETY: as for reading.
            unsafe { word.write_volatile(value) };
        }
    }
}

#[cfg(test)]
impl Memory {
    /// A buffer of zeros that no device knows.
    pub(crate) fn of_host(words: usize) -> Self {
        let start: NonNull<u32> = NonNull::from(Box::leak(vec![0u32; words].into_boxed_slice())).cast();
        let size = (words * size_of::<u32>()) as u64;
        let (handle, placement) = (vk::Buffer::null(), Placement::Readback);
        Self { handle, size, placement, mapped: Some(start.cast()), _owner: Box::new(()) }
    }
}

/// Why there is no buffer.
#[derive(Debug)]
pub(crate) enum Shortage {
    /// Memory is used up.
    OutOfMemory,
    /// More bytes than the device ever gives to one buffer.
    TooLarge { limit: u64 },
    /// Anything else.
    Failed(String),
}

impl Shortage {
    fn of(error: Validated<AllocateBufferError>) -> Self {
        let failed = reason(&error);
        let error = match error {
            Validated::Error(AllocateBufferError::AllocateMemory(MemoryAllocatorError::AllocateDeviceMemory(
                Validated::Error(error),
            ))) => error,
            Validated::Error(AllocateBufferError::CreateBuffer(error) | AllocateBufferError::BindMemory(error)) => {
                error
            }
            _ => return Self::Failed(failed),
        };
        match error {
            // Memory that cannot be mapped is there, but not within the address space of this process. Drivers limit the number of
            // allocations too.
            VulkanError::OutOfDeviceMemory
            | VulkanError::OutOfHostMemory
            | VulkanError::MemoryMapFailed
            | VulkanError::TooManyObjects => Self::OutOfMemory,
            _ => Self::Failed(failed),
        }
    }
}

/// Where buffers come from: the allocator, or in tests something that fails.
pub(crate) trait Source: Send + Sync {
    /// A new buffer of `size` bytes.
    fn allocate(&self, size: u64, placement: Placement) -> Result<Memory, Shortage>;
}

/// vulkano's allocator.
pub(crate) struct Allocator {
    allocator: Arc<StandardMemoryAllocator>,
    /// Bytes of the largest buffer.
    limit: u64,
}

impl Allocator {
    pub(crate) fn new(device: Arc<Device>) -> Self {
        let physical = device.physical_device();
        let (properties, heaps) = (physical.properties(), &physical.memory_properties().memory_heaps);
        let limits = [
            properties.max_buffer_size,
            properties.max_memory_allocation_size,
            heaps.iter().map(|heap| heap.size).max(),
        ];
        let limit = limits.into_iter().flatten().min().unwrap_or(u64::MAX);
        Self { allocator: Arc::new(StandardMemoryAllocator::new_default(device)), limit }
    }
}

impl Source for Allocator {
    fn allocate(&self, size: u64, placement: Placement) -> Result<Memory, Shortage> {
        use MemoryPropertyFlags as Flags;
        let visible = Flags::HOST_VISIBLE | Flags::HOST_COHERENT;
        let memory_type_filter = match placement {
            Placement::Device => MemoryTypeFilter::PREFER_DEVICE,
            Placement::Upload => MemoryTypeFilter {
                required_flags: visible,
                preferred_flags: Flags::empty(),
                not_preferred_flags: Flags::HOST_CACHED | Flags::DEVICE_COHERENT,
            },
            Placement::Readback => MemoryTypeFilter {
                required_flags: visible,
                preferred_flags: Flags::HOST_CACHED,
                not_preferred_flags: Flags::DEVICE_COHERENT,
            },
        };
        let too_large = Shortage::TooLarge { limit: self.limit };
        let Some(size) = size.checked_next_multiple_of(16).filter(|&size| size <= self.limit) else {
            return Err(too_large);
        };
        let bytes = NonZeroDeviceSize::new(size).unwrap_or(NonZeroDeviceSize::MIN);
        let Some(layout) = DeviceLayout::new(bytes, DeviceAlignment::of::<u64>()) else { return Err(too_large) };
        let buffer = Buffer::new(
            self.allocator.clone(),
            BufferCreateInfo {
                usage: BufferUsage::STORAGE_BUFFER | BufferUsage::TRANSFER_SRC | BufferUsage::TRANSFER_DST,
                ..Default::default()
            },
            AllocationCreateInfo { memory_type_filter, ..Default::default() },
            layout,
        );
        let buffer = buffer.map_err(Shortage::of)?;
        let mapped = match buffer.memory() {
            BufferMemory::Normal(memory) if placement != Placement::Device => {
                let slice = memory.mapped_slice(..size).and_then(Result::ok);
                let slice = slice.ok_or_else(|| Shortage::Failed("host-visible memory is not mapped".into()))?;
                Some(slice.cast::<u8>())
            }
            _ => None,
        };
        Ok(Memory { handle: buffer.handle(), size: buffer.size(), placement, mapped, _owner: Box::new(buffer) })
    }
}

/// Buffers by size, those in use and those waiting to be used again.
pub(crate) struct Pool {
    source: Box<dyn Source>,
    free: Mutex<Table<(Placement, u64), Vec<Memory>>>,
    used: AtomicU64,
    pooled: AtomicU64,
    allocations: AtomicU64,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} bytes used, {} free)", self.used(), self.pooled())
    }
}

/// The smallest buffer.
const SMALLEST: u64 = 256;
/// Up to here sizes double; above, eight steps lead to the next power of two.
const COARSE: u64 = 1 << 20;

/// The size of the buffer that serves a request; none if it cannot be counted.
fn class(bytes: u64) -> Option<u64> {
    let bytes = bytes.max(SMALLEST);
    let power = bytes.checked_next_power_of_two()?;
    if bytes <= COARSE { Some(power) } else { bytes.checked_next_multiple_of(power >> 4) }
}

impl Pool {
    pub(crate) fn new(source: impl Source + 'static) -> Self {
        Self {
            source: Box::new(source),
            free: Mutex::default(),
            used: AtomicU64::new(0),
            pooled: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
        }
    }

    fn free(&self) -> MutexGuard<'_, Table<(Placement, u64), Vec<Memory>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes in buffers that are in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes in buffers that wait to be used again.
    pub(crate) fn pooled(&self) -> u64 {
        self.pooled.load(Ordering::Relaxed)
    }

    /// How often the driver was asked for a buffer.
    pub(crate) fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// A buffer of at least `bytes` bytes with any contents.
    pub(crate) fn take(&self, bytes: u64, placement: Placement) -> Result<Memory, Shortage> {
        let size = class(bytes).ok_or(Shortage::TooLarge { limit: isize::MAX as u64 })?;
        let found = self.free().get_mut(&(placement, size)).and_then(Vec::pop);
        let memory = match found {
            Some(memory) => {
                self.pooled.fetch_sub(memory.size, Ordering::Relaxed);
                memory
            }
            None => {
                let memory = self.source.allocate(size, placement)?;
                self.allocations.fetch_add(1, Ordering::Relaxed);
                memory
            }
        };
        self.used.fetch_add(memory.size, Ordering::Relaxed);
        Ok(memory)
    }

    /// Takes a buffer back. One that the host touches must be idle.
    pub(crate) fn give(&self, memory: Memory) {
        self.used.fetch_sub(memory.size, Ordering::Relaxed);
        self.pooled.fetch_add(memory.size, Ordering::Relaxed);
        self.free().entry((memory.placement, memory.size)).or_default().push(memory);
    }

    /// Gives the memory of buffers that nobody uses back to the system. The device must be idle, and nothing may be recorded meanwhile.
    pub(crate) fn trim(&self) {
        let free = std::mem::take(&mut *self.free());
        self.pooled.fetch_sub(free.values().flatten().map(|memory| memory.size).sum(), Ordering::Relaxed);
    }
}

/// A buffer of a tensor; goes back to the pool when dropped.
pub(crate) struct Block {
    memory: Option<Memory>,
    handle: vk::Buffer,
    pool: &'static Pool,
    /// What the values in it rest on.
    pub(crate) verdicts: Verdicts,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.memory)
    }
}

impl Block {
    pub(crate) fn new(memory: Memory, pool: &'static Pool) -> Self {
        Self { handle: memory.handle, memory: Some(memory), pool, verdicts: Verdicts::default() }
    }

    #[inline]
    pub(crate) fn handle(&self) -> vk::Buffer {
        self.handle
    }

    #[inline]
    pub(crate) fn size(&self) -> DeviceSize {
        self.memory.as_ref().map_or(0, Memory::size)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.give(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_recur_and_waste_little() {
        assert_eq!(class(0), Some(256));
        assert_eq!(class(257), Some(512));
        assert_eq!(class(COARSE), Some(COARSE));
        assert_eq!(class(u64::MAX), None);
        for bytes in [COARSE + 1, 3 << 20, 5_000_001, 1 << 30, (1 << 30) + 1] {
            let size = class(bytes).unwrap();
            assert!(size >= bytes && size <= bytes + bytes / 4, "{bytes} in {size}");
        }
    }

    /// Gives buffers until `left` bytes are used up.
    struct Meagre(AtomicU64);

    impl Source for Meagre {
        fn allocate(&self, size: u64, placement: Placement) -> Result<Memory, Shortage> {
            let enough = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
            enough.map_err(|_| Shortage::OutOfMemory)?;
            Ok(Memory { handle: vk::Buffer::null(), size, placement, mapped: None, _owner: Box::new(()) })
        }
    }

    #[test]
    fn what_is_given_back_is_handed_out_again() {
        let pool = Pool::new(Meagre(AtomicU64::new(1024)));
        let first = pool.take(1000, Placement::Device).unwrap();
        assert!(matches!(pool.take(1000, Placement::Device), Err(Shortage::OutOfMemory)));
        pool.give(first);
        assert_eq!((pool.used(), pool.pooled()), (0, 1024));
        assert!(pool.take(600, Placement::Device).is_ok());
        assert_eq!((pool.used(), pool.pooled()), (1024, 0));
        assert!(pool.take(600, Placement::Upload).is_err());
    }

    #[test]
    fn trimming_empties_the_pool() {
        let pool = Pool::new(Meagre(AtomicU64::new(4096)));
        let memory = pool.take(1000, Placement::Device).unwrap();
        pool.give(memory);
        pool.trim();
        assert_eq!((pool.used(), pool.pooled()), (0, 0));
    }

    /// vulkano's allocator up to a limit: software drivers have no limit that a test could reach in peace.
    struct Limited {
        inner: Allocator,
        left: Arc<AtomicU64>,
    }

    struct Refund(#[expect(dead_code, reason = "is dropped")] Box<dyn Send + Sync>, Arc<AtomicU64>, u64);

    impl Drop for Refund {
        fn drop(&mut self) {
            self.1.fetch_add(self.2, Ordering::Relaxed);
        }
    }

    impl Source for Limited {
        fn allocate(&self, size: u64, placement: Placement) -> Result<Memory, Shortage> {
            let enough = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
            enough.map_err(|_| Shortage::OutOfMemory)?;
            let Memory { handle, size, placement, mapped, _owner } = self.inner.allocate(size, placement)?;
            Ok(Memory { handle, size, placement, mapped, _owner: Box::new(Refund(_owner, self.left.clone(), size)) })
        }
    }

    /// Until memory is used up, then on with what is given back, in other sizes too.
    #[test]
    fn a_full_device_goes_on_once_tensors_are_dropped() {
        use crate::{backend::Vulkan, engine::Engine, gpu::Gpu};
        use osnova_tensor::{DType, Device, Error, Tensor};
        let gpu = match Gpu::open(0) {
            Ok(gpu) => Box::leak(Box::new(gpu)),
            Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
            Err(error) => return eprintln!("SKIPPED, for want of a Vulkan device: {error}"),
        };
        let limited = Limited { inner: Allocator::new(gpu.device.clone()), left: Arc::new(AtomicU64::new(64 << 20)) };
        let engine = Engine::new(gpu, limited).unwrap();
        let device = Device::intern(Vulkan(engine));
        let ones = |mebibytes: usize| Tensor::ones([mebibytes << 18], DType::F32, device);
        let mut tensors = Vec::new();
        let error = loop {
            match ones(4) {
                Ok(tensor) => tensors.push(tensor),
                Err(error) => break error,
            }
        };
        assert!((14..=16).contains(&tensors.len()), "{} tensors of 4 MiB in 64", tensors.len());
        assert!(matches!(*error, Error::Device { .. }) && error.to_string().contains("out of memory"), "{error}");
        for part in
            ["a tensor of shape [1048576] and dtype f32 takes 4194304 bytes (4.0 MiB)", "are in use", "drop tensors"]
        {
            assert!(error.to_string().contains(part), "{error} lacks {part}");
        }
        // What was there still is.
        assert_eq!(tensors[0].narrow(0, 7, 2).unwrap().to_vec::<f32>().unwrap(), [1.0; 2]);
        // The pool holds buffers of 4 MiB: one of 24 takes the memory of several.
        tensors.truncate(4);
        let large = ones(24).unwrap();
        assert_eq!(large.narrow(0, 100, 1).unwrap().to_vec::<f32>().unwrap(), [1.0]);
        assert!(ones(32).is_err());
        drop((large, tensors));
        assert!(ones(32).is_ok());
        device.synchronize().unwrap();
    }
}
