//! What kernels are written with: tensors as bound buffers, and dispatches.

use crate::faults::{Faults, SLOT_WORDS, SLOTS, Slot, Verdicts, Watch};
use crate::gpu::Gpu;
use crate::kernels::matmul::{Cooperative, Tuned, check_variable};
use crate::memory::{Allocator, Block, Placement, Pool, Source};
use crate::pipeline::{BINDINGS, Key, Pipelines};
use crate::storage::{Storage, block};
use crate::stream::{Access, Bound, Stream, Work};
use osnova_tensor::{DType, Device, Error, HostData, Layout, Meta, Result, Tensor};
use smallvec::SmallVec;
use std::fmt;

/// Threads of a workgroup of the elementwise kernels, as `shaders/include/interface.glsl` says.
pub(crate) const THREADS: u32 = 256;
/// Elements each of those threads handles before it steps on.
pub(crate) const ELEMENTS_PER_THREAD: u32 = 4;

/// Metadata of a dispatch: shapes, strides, offsets, scalars.
pub(crate) type Words = SmallVec<[u32; 32]>;

/// A device with all that runs on it. Made once and kept for the rest of the program.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) gpu: &'static Gpu,
    pub(crate) pool: &'static Pool,
    pub(crate) stream: Stream,
    pipelines: Pipelines,
    faults: &'static Faults,
    /// The tiles of matrix products that measuring chose.
    pub(crate) tuned: Tuned,
    /// Whether products of cooperative matrices are right on this device.
    pub(crate) cooperative: Cooperative,
    pub(crate) name: String,
}

/// What memory is wanted for.
struct Described<'m>(&'static str, &'m Meta);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(what, meta) = self;
        write!(f, "{what} of shape {} and dtype {}", meta.shape, meta.dtype)
    }
}

/// The bytes of a row-major tensor; of one that no memory holds, as many as there are.
fn bytes_of(meta: &Meta) -> u64 {
    (meta.shape.count() as u64).saturating_mul(meta.dtype.size() as u64)
}

/// Where a tensor's elements lie, for a shader: a range of a buffer, and the first element's position in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    bound: Bound,
    /// In elements.
    pub(crate) start: u32,
}

impl Engine {
    pub(crate) fn open(index: usize) -> Result<&'static Self> {
        check_variable(&format!("vulkan:{index}"))?;
        let gpu: &'static Gpu = Box::leak(Box::new(Gpu::open(index)?));
        Self::new(gpu, Allocator::new(gpu.device.clone()))
    }

    /// On a device, with buffers from somewhere.
    pub(crate) fn new(gpu: &'static Gpu, source: impl Source + 'static) -> Result<&'static Self> {
        let pool: &'static Pool = Box::leak(Box::new(Pool::new(source)));
        let pipelines = Pipelines::new(gpu)?;
        let stream = Stream::new(gpu, pool, pipelines.set_layout())?;
        let reports = stream.take((SLOTS * SLOT_WORDS * 4) as u64, Placement::Readback, &"what kernels report")?;
        let faults: &'static Faults = Box::leak(Box::new(Faults::new(reports)));
        Ok(Box::leak(Box::new(Self {
            gpu,
            pool,
            stream,
            pipelines,
            faults,
            tuned: Tuned::default(),
            cooperative: Cooperative::default(),
            name: gpu.name(),
        })))
    }

    /// How many pipelines were made.
    pub(crate) fn pipelines(&self) -> usize {
        self.pipelines.count()
    }

    /// A new row-major tensor with any contents.
    pub(crate) fn create(&self, device: Device, meta: &Meta) -> Result<Tensor> {
        let memory = self.stream.take(bytes_of(meta), Placement::Device, &Described("a tensor", meta))?;
        let storage = Storage::Own(Block::new(memory, self.pool));
        Ok(Tensor::from_parts(device, Layout::contiguous(meta.shape), meta.dtype, storage))
    }

    /// Copies bytes into a row-major tensor that was just created, from this byte on. They fit.
    pub(crate) fn write(&self, tensor: &Tensor, start: usize, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (target, meta) = (self.block(tensor)?, Meta::new(*tensor.shape(), tensor.dtype()));
        let what = Described("the copy to the device of a tensor", &meta);
        let mut staging = self.stream.take(bytes.len() as u64, Placement::Upload, &what)?;
        staging.bytes()[..bytes.len()].copy_from_slice(bytes);
        self.stream.upload(staging, target.handle(), start as u64, bytes.len() as u64)
    }

    /// The values of a row-major tensor, which rest on `verdicts`, after everything that was recorded.
    pub(crate) fn read(&self, tensor: &Tensor, verdicts: &Verdicts) -> Result<HostData> {
        let meta = Meta::new(*tensor.shape(), tensor.dtype());
        let size = meta.dtype.size();
        let bytes = tensor.count() * size;
        if bytes == 0 {
            return HostData::from_bytes(meta.dtype, &[]);
        }
        let source = self.block(tensor)?;
        let what = Described("the copy to the host of a tensor", &meta);
        let staging = self.stream.take(bytes as u64, Placement::Readback, &what)?;
        let offset = (tensor.layout().offset() * size) as u64;
        let mut staging = self.stream.read(source.handle(), offset, staging, bytes as u64)?;
        let data = verdicts.check().and_then(|()| HostData::from_bytes(meta.dtype, &staging.bytes()[..bytes]));
        self.pool.give(staging);
        data
    }

    /// Waits until everything is done, and reports what went wrong in it and was not told yet.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.stream.synchronize()?;
        self.faults.tell()
    }

    /// Whether kernels found nothing wrong, as far as any tensor is concerned.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.faults.is_quiet()
    }

    /// A slot in which a kernel, whose inputs rest on `verdicts`, reports an index that is out of range. What the kernel makes rests on what
    /// these become.
    pub(crate) fn watch(&self, watch: Watch, verdicts: &mut Verdicts) -> Result<Slot> {
        loop {
            match self.faults.slot(watch, verdicts) {
                Some(slot) => return Ok(slot),
                // All are waiting for their kernels.
                None => self.stream.settle()?,
            }
        }
    }

    /// The slots, to be bound.
    pub(crate) fn faults(&self) -> Place {
        let (buffer, size) = self.faults.buffer();
        Place { bound: Bound { buffer, offset: 0, size, access: Access::Report }, start: 0 }
    }

    fn block<'t>(&self, tensor: &'t Tensor) -> Result<&'t Block> {
        block(tensor).ok_or_else(|| {
            let problem = format!("a tensor of {} was not made here", tensor.device());
            Error::device(&self.name, problem, "Move it with `tensor.to_device(device)`")
        })
    }

    /// A tensor as an input of a shader.
    pub(crate) fn input(&self, tensor: &Tensor) -> Result<Place> {
        self.place(tensor, tensor.layout(), Access::Read)
    }

    /// A tensor as an output of a shader, which may read it too.
    pub(crate) fn output(&self, tensor: &Tensor) -> Result<Place> {
        self.place(tensor, tensor.layout(), Access::Write)
    }

    fn place(&self, tensor: &Tensor, layout: &Layout, access: Access) -> Result<Place> {
        let block = self.block(tensor)?;
        let limit = self.gpu.info.max_tensor_bytes;
        let size = tensor.dtype().size() as u64;
        let whole = Bound { buffer: block.handle(), offset: 0, size: block.size(), access };
        if block.size() <= limit {
            // At most 2³² bytes, so positions fit 32 bits.
            return Ok(Place { bound: whole, start: layout.offset() as u32 });
        }
        // Only what the layout reaches needs to be seen.
        let (mut low, mut high) = (layout.offset() as i64, layout.offset() as i64);
        for (&dim, &stride) in layout.shape().iter().zip(layout.strides().iter()) {
            let reach = stride as i64 * (dim.max(1) as i64 - 1);
            if reach < 0 { low += reach } else { high += reach }
        }
        let offset = (low as u64 * size) / self.gpu.alignment * self.gpu.alignment;
        // Kernels may fill up the last word, or the last four elements; a block has room for that.
        let bytes = ((high as u64 + 1) * size - offset).next_multiple_of(32).min(block.size() - offset);
        if bytes > limit {
            return Err(self.too_large(bytes));
        }
        let start = (layout.offset() as u64 - offset / size) as u32;
        Ok(Place { bound: Bound { offset, size: bytes, ..whole }, start })
    }

    fn too_large(&self, bytes: u64) -> Box<Error> {
        let problem = format!(
            "a kernel would have to see {bytes} bytes of one tensor, this device shows it {} at most (maxStorageBufferRange)",
            self.gpu.info.max_tensor_bytes
        );
        Error::device(
            &self.name,
            problem,
            "Split the tensor, for example by `narrow` or `chunk`, or use smaller batches",
        )
    }

    /// How many elements a kernel is to handle, if that fits its counters.
    pub(crate) fn count(&self, count: usize) -> Result<u32> {
        // The last step of a loop over the grid must not wrap around.
        const LARGEST: usize = 0xf000_0000;
        if count <= LARGEST {
            return Ok(count as u32);
        }
        let problem = format!("{count} elements are more than a kernel can count ({LARGEST})");
        Err(Error::device(&self.name, problem, "Split the tensor, or use smaller batches"))
    }

    /// Begins a dispatch of a shader, by its name in `shaders/`.
    pub(crate) fn shader(&self, shader: &'static str) -> Dispatch<'_> {
        let key = Key { shader, spilled: false, constants: SmallVec::new(), subgroup: 0 };
        Dispatch { engine: self, key, bound: SmallVec::new(), words: Words::new(), watched: None }
    }

    /// The error of an operation without a kernel.
    pub(crate) fn unsupported(&self, operation: &str, dtype: Option<DType>) -> Box<Error> {
        let dtype = dtype.map(|dtype| format!(" of {dtype}")).unwrap_or_default();
        Error::device(
            &self.name,
            format!("there is no kernel for {operation}{dtype} on Vulkan"),
            "Move the inputs to the CPU for it: `tensor.to_device(Device::cpu())`",
        )
    }
}

/// A dispatch that is being put together.
#[must_use = "nothing is recorded before `run`"]
pub(crate) struct Dispatch<'e> {
    engine: &'e Engine,
    key: Key,
    bound: SmallVec<[Bound; BINDINGS as usize]>,
    words: Words,
    watched: Option<Slot>,
}

impl Dispatch<'_> {
    /// The next of the shader's own specialisation constants, `FIRST_CONSTANT` on.
    #[inline]
    pub(crate) fn constant(mut self, value: impl Into<u32>) -> Self {
        self.key.constants.push(value.into());
        self
    }

    /// The next binding.
    #[inline]
    pub(crate) fn bind(mut self, place: &Place) -> Self {
        self.bound.push(place.bound);
        self
    }

    /// The next words of metadata.
    #[inline]
    pub(crate) fn words(mut self, words: &[u32]) -> Self {
        self.words.extend_from_slice(words);
        self
    }

    /// The kernel reports in this slot, if in any; its number must be among the words.
    pub(crate) fn watched(mut self, slot: impl Into<Option<Slot>>) -> Self {
        self.watched = slot.into();
        self
    }

    /// Asks for full subgroups that exchange values, where the device has them: for shaders with `workgroup.glsl`.
    pub(crate) fn whole_subgroups(self) -> Self {
        let size = self.engine.gpu.shuffles.unwrap_or(0);
        self.subgroup(size)
    }

    /// Asks for a subgroup size, all subgroups full; only where the device lets kernels choose.
    pub(crate) fn subgroup(mut self, size: u32) -> Self {
        self.key.subgroup = size;
        self
    }

    /// Records the dispatch with this many workgroups; the shader loops if the device allows fewer.
    pub(crate) fn groups(mut self, groups: u32) -> Result<()> {
        let engine = self.engine;
        debug_assert!(self.bound.len() < BINDINGS as usize, "the last binding is the spill buffer");
        self.key.spilled = self.words.len() > crate::pipeline::PUSH_WORDS;
        let pipeline = engine.pipelines.get(&self.key)?;
        let groups = groups.clamp(1, engine.gpu.max_groups.min(u32::from(u16::MAX)));
        let work = Work {
            shader: self.key.shader,
            pipeline,
            layout: engine.pipelines.layout(),
            bound: &self.bound,
            words: &self.words,
            groups,
        };
        engine.stream.dispatch(&work, self.watched)
    }

    /// Records the dispatch for `count` elements by threads that handle [`ELEMENTS_PER_THREAD`] each.
    pub(crate) fn elements(self, count: u32) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.groups(count.div_ceil(THREADS * ELEMENTS_PER_THREAD))
    }
}
