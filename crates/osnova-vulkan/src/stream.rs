//! Recording and submission: dispatches gather in a batch, and batches run in order on one queue.
//!
//! A batch is submitted when it holds [`MAX_DISPATCHES`], when it touches many bytes, when the device has nothing else to
//! do, or when the host wants a result. A timeline semaphore counts the batches that are done.
//!
//! A barrier stands where a dispatch touches what was written since the last barrier, or writes what was read. Nothing is
//! assumed about earlier batches: each begins with a barrier.

use crate::commands::Commands;
use crate::faults::Slot;
use crate::gpu::Gpu;
use crate::hazards;
use crate::instance;
use crate::memory::{Memory, Placement, Pool, Shortage};
use crate::pipeline::{BINDINGS, PUSH_WORDS, SPILL_BINDING};
use ash::vk;
use osnova_tensor::{Error, Result};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::fmt;
use std::ptr;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vulkano::VulkanObject;
use vulkano::sync::semaphore::{Semaphore, SemaphoreCreateInfo, SemaphoreType};

/// Dispatches a batch holds at most.
const MAX_DISPATCHES: usize = 64;
/// Bytes a batch touches at most, roughly: so that the device starts early on long work.
const MAX_BYTES: u64 = 1 << 30;
/// Batches in flight before the host waits for the oldest: some two thousand dispatches, more than a training step has.
const MAX_FLIGHTS: usize = 32;
/// Bytes of a buffer for metadata.
const SPILL_BYTES: u64 = 1 << 16;

// The table of buffers must not fill up. A download's copy may come on top of a full batch.
const _: () = assert!((MAX_DISPATCHES + 1) * BINDINGS as usize <= hazards::SLOTS / 4 * 3);

/// What a dispatch does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// Perhaps reading too.
    Write,
    /// Atomically, in places that no dispatch depends on: needs no barrier. The host may read it when the batch is done.
    Report,
}

/// A range of a buffer, as a shader sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) buffer: vk::Buffer,
    /// In bytes, a multiple of the device's alignment.
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) access: Access,
}

/// A dispatch, ready to be recorded.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// The shader's name.
    pub(crate) shader: &'static str,
    pub(crate) pipeline: vk::Pipeline,
    pub(crate) layout: vk::PipelineLayout,
    pub(crate) bound: &'a [Bound],
    pub(crate) words: &'a [u32],
    pub(crate) groups: u32,
}

/// A batch that is being recorded or runs.
struct Batch {
    commands: Commands,
    /// Dispatches and copies.
    length: usize,
    bytes: u64,
    /// Barriers but the first one.
    barriers: u64,
    /// The pipeline that the last dispatch used.
    pipeline: vk::Pipeline,
    /// Whether the pushed descriptors have something at the binding of metadata that nothing will read.
    filled: bool,
    spill: Option<(Memory, u64)>,
    /// Where kernels report what they find wrong: looked at when the batch is done.
    watched: Vec<Slot>,
    /// Whether the host will look at what was written: reports, or what was copied.
    shown: bool,
    /// The timeline's value when it is done.
    value: u64,
}

#[derive(Default)]
struct State {
    batch: Option<Batch>,
    flights: VecDeque<Batch>,
    spare: Vec<Commands>,
    submitted: u64,
    /// Why the device can no longer be used.
    lost: Option<String>,
    done: Counts,
}

/// What was submitted since the program began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) dispatches: u64,
    pub(crate) copies: u64,
    pub(crate) barriers: u64,
    pub(crate) submissions: u64,
    pub(crate) waits: u64,
    pub(crate) throttles: u64,
}

impl Batch {
    fn counts(&self) -> Counts {
        let dispatches = self.commands.shaders.len();
        Counts {
            dispatches: dispatches as u64,
            copies: (self.length - dispatches) as u64,
            barriers: self.barriers,
            ..Counts::default()
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.dispatches += other.dispatches;
        self.copies += other.copies;
        self.barriers += other.barriers;
    }
}

/// The one queue of a device.
pub(crate) struct Stream {
    gpu: &'static Gpu,
    pool: &'static Pool,
    set_layout: vk::DescriptorSetLayout,
    timeline: Semaphore,
    /// Bound where there are no metadata to spill: a shader that could read them must see some buffer.
    nothing: Memory,
    state: Mutex<State>,
    /// Lets calls fail as they do when the device is lost.
    #[cfg(test)]
    losing: AtomicBool,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Stream {
    pub(crate) fn new(gpu: &'static Gpu, pool: &'static Pool, set_layout: vk::DescriptorSetLayout) -> Result<Self> {
        let info = SemaphoreCreateInfo {
            semaphore_type: SemaphoreType::Timeline,
            initial_value: 0,
            ..SemaphoreCreateInfo::default()
        };
        let timeline = Semaphore::new(gpu.device.clone(), info).map_err(|error| {
            let problem = format!("there is no timeline semaphore: {}", instance::reason(&error));
            Error::device(gpu.name(), problem, "Update the GPU's driver")
        })?;
        let nothing = pool.take(1, Placement::Device);
        let nothing = nothing.map_err(|shortage| shortage_error(gpu, pool, 1, &"the backend itself", &shortage))?;
        Ok(Self {
            gpu,
            pool,
            set_layout,
            timeline,
            nothing,
            state: Mutex::default(),
            #[cfg(test)]
            losing: AtomicBool::new(false),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer from the pool for something; when memory is short, after everything that runs is done and idle buffers are freed.
    pub(crate) fn take(&self, bytes: u64, placement: Placement, what: &dyn fmt::Display) -> Result<Memory> {
        match self.pool.take(bytes, placement) {
            Ok(memory) => return Ok(memory),
            // Waiting would not help.
            Err(shortage @ Shortage::TooLarge { .. }) => return Err(self.shortage(bytes, what, &shortage)),
            Err(_) => {}
        }
        {
            // Under the lock: whatever another thread recorded meanwhile could use a buffer that is then freed.
            let mut state = self.state();
            let value = self.submit(&mut state)?;
            self.reach(&mut state, value)?;
            self.pool.trim();
        }
        self.pool.take(bytes, placement).map_err(|shortage| self.shortage(bytes, what, &shortage))
    }

    /// Waits until the oldest batch is done, so that the slots of its kernels are free again.
    pub(crate) fn settle(&self) -> Result<()> {
        let mut state = self.state();
        self.submit(&mut state)?;
        match state.flights.front().map(|batch| batch.value) {
            Some(oldest) => self.reach(&mut state, oldest),
            None => {
                // The slots are held by threads that are about to record.
                drop(state);
                std::thread::yield_now();
                Ok(())
            }
        }
    }

    /// What was recorded and waited for so far.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.state();
        let mut counts = state.done;
        if let Some(batch) = &state.batch {
            counts.add(batch.counts());
        }
        counts
    }

    /// Records a dispatch, and where its kernel reports what it finds wrong.
    pub(crate) fn dispatch(&self, work: &Work<'_>, watched: Option<Slot>) -> Result<()> {
        let spilled = work.words.len() > PUSH_WORDS;
        let mut state = self.state();
        let batch = self.open(&mut state)?;
        let mut spill_at = 0;
        if spilled {
            let bytes = size_of_val(work.words) as u64;
            let full = batch.spill.as_ref().is_none_or(|(memory, used)| used + bytes > memory.size());
            if full {
                let memory = self.pool.take(SPILL_BYTES.max(bytes), Placement::Upload);
                let memory = memory.map_err(|shortage| self.shortage(bytes, &"a kernel's metadata", &shortage))?;
                batch.commands.staging.extend(batch.spill.replace((memory, 0)).map(|(memory, _)| memory));
            }
            if let Some((memory, used)) = &mut batch.spill {
                spill_at = *used;
                let start = spill_at as usize;
                memory.bytes()[start..start + bytes as usize].copy_from_slice(bytemuck::cast_slice(work.words));
                *used = (spill_at + bytes).next_multiple_of(self.gpu.alignment);
            }
        }
        let hazards = &batch.commands.hazards;
        let conflict = work.bound.iter().any(|bound| match bound.access {
            Access::Read => hazards.conflict(bound.buffer, false),
            Access::Write => hazards.conflict(bound.buffer, true),
            Access::Report => false,
        });
        if conflict {
            batch.barriers += 1;
            batch.commands.barrier(self.gpu);
        }
        for bound in work.bound {
            batch.bytes += bound.size;
            match bound.access {
                Access::Read => batch.commands.hazards.note(bound.buffer, false),
                Access::Write => batch.commands.hazards.note(bound.buffer, true),
                Access::Report => batch.shown = true,
            }
        }
        let (spill, spill_size) = match &batch.spill {
            Some((memory, _)) if spilled => (memory.handle(), memory.size() - spill_at),
            _ => (self.nothing.handle(), self.nothing.size()),
        };
        let mut infos: SmallVec<[vk::DescriptorBufferInfo; BINDINGS as usize]> = work
            .bound
            .iter()
            .map(|bound| vk::DescriptorBufferInfo { buffer: bound.buffer, offset: bound.offset, range: bound.size })
            .collect();
        infos.push(vk::DescriptorBufferInfo { buffer: spill, offset: spill_at, range: spill_size });
        self.encode(batch, work, &infos, spilled)?;
        batch.commands.shaders.push(work.shader);
        batch.watched.extend(watched);
        batch.length += 1;
        self.submit_if_due(&mut state)
    }

    /// Writes the commands of a dispatch.
    fn encode(
        &self,
        batch: &mut Batch,
        work: &Work<'_>,
        infos: &[vk::DescriptorBufferInfo],
        spilled: bool,
    ) -> Result<()> {
        let functions = self.gpu.device.fns();
        let commands = batch.commands.buffer;
        let last = infos.len() - 1;
        let mut writes: SmallVec<[vk::WriteDescriptorSet<'_>; BINDINGS as usize]> = infos
            .iter()
            .enumerate()
            .map(|(index, info)| {
                vk::WriteDescriptorSet::default()
                    .dst_binding(if index == last { SPILL_BINDING } else { index as u32 })
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .buffer_info(std::slice::from_ref(info))
            })
            .collect();
        let point = vk::PipelineBindPoint::COMPUTE;
        if self.gpu.push_descriptors {
            // What was pushed stays: a filler is pushed once, and again after metadata took its place.
            let count = writes.len() - usize::from(!spilled && batch.filled);
            batch.filled = !spilled;
            // SAFETY: the command buffer is recording, under the state's lock; the layout was made for push descriptors.
            unsafe {
                (self.gpu.device.fns().khr_push_descriptor.cmd_push_descriptor_set_khr)(
                    commands,
                    point,
                    work.layout,
                    0,
                    count as u32,
                    writes.as_ptr(),
                );
            }
        } else {
            let layouts = [self.set_layout];
            let info = vk::DescriptorSetAllocateInfo::default()
                .descriptor_pool(batch.commands.descriptors)
                .set_layouts(&layouts);
            let mut set = vk::DescriptorSet::null();
            // SAFETY: the pool has a set for each dispatch of a batch and is reset before it is used again.
            unsafe { (functions.v1_0.allocate_descriptor_sets)(self.gpu.device.handle(), &info, &mut set) }
                .result()
                .map_err(|error| self.failed("allocating a descriptor set", error))?;
            writes.iter_mut().for_each(|write| write.dst_set = set);
            // SAFETY: the set is new, so no command uses it yet; buffers outlive the batch (see `memory`).
            unsafe {
                (functions.v1_0.update_descriptor_sets)(
                    self.gpu.device.handle(),
                    writes.len() as u32,
                    writes.as_ptr(),
                    0,
                    ptr::null(),
                );
                (functions.v1_0.cmd_bind_descriptor_sets)(commands, point, work.layout, 0, 1, &set, 0, ptr::null());
            }
        }
        // SAFETY: the command buffer is recording; pipeline and layout live as long as the device; the push constants
        // fit the range of the layout; the group count was held below the device's limit.
        unsafe {
            if !spilled && !work.words.is_empty() {
                (functions.v1_0.cmd_push_constants)(
                    commands,
                    work.layout,
                    vk::ShaderStageFlags::COMPUTE,
                    0,
                    size_of_val(work.words) as u32,
                    work.words.as_ptr().cast(),
                );
            }
            if batch.pipeline != work.pipeline {
                batch.pipeline = work.pipeline;
                (functions.v1_0.cmd_bind_pipeline)(commands, point, work.pipeline);
            }
            (functions.v1_0.cmd_dispatch)(commands, work.groups, 1, 1);
        }
        Ok(())
    }

    /// Records a copy of bytes from a staging buffer, which goes back to the pool when that is done, to byte `at` of a buffer on.
    pub(crate) fn upload(&self, staging: Memory, target: vk::Buffer, at: u64, size: u64) -> Result<()> {
        let mut state = self.state();
        let source = staging.handle();
        match self.open(&mut state) {
            Ok(batch) => {
                self.copy(batch, source, 0, target, at, size);
                batch.commands.staging.push(staging);
            }
            Err(error) => {
                // Nothing was recorded, so nothing uses it.
                self.pool.give(staging);
                return Err(error);
            }
        }
        self.submit_if_due(&mut state)
    }

    /// Copies a range of a buffer into a staging buffer and waits until it is there.
    pub(crate) fn read(&self, source: vk::Buffer, offset: u64, staging: Memory, size: u64) -> Result<Memory> {
        let mut state = self.state();
        let batch = match self.open(&mut state) {
            Ok(batch) => batch,
            Err(error) => {
                // Nothing was recorded, so nothing uses it.
                self.pool.give(staging);
                return Err(error);
            }
        };
        self.copy(batch, source, offset, staging.handle(), 0, size);
        batch.shown = true;
        let outcome = self.submit(&mut state).and_then(|value| {
            drop(state);
            self.wait(value)
        });
        match outcome {
            Ok(()) => Ok(staging),
            Err(error) => {
                // Nobody knows whether a lost device still writes to it: it is never used again.
                std::mem::forget(staging);
                Err(error)
            }
        }
    }

    fn copy(&self, batch: &mut Batch, source: vk::Buffer, offset: u64, target: vk::Buffer, at: u64, size: u64) {
        let hazards = &batch.commands.hazards;
        if hazards.conflict(source, false) || hazards.conflict(target, true) {
            batch.barriers += 1;
            batch.commands.barrier(self.gpu);
        }
        batch.commands.hazards.note(source, false);
        batch.commands.hazards.note(target, true);
        batch.bytes += 2 * size;
        batch.length += 1;
        let region = vk::BufferCopy { src_offset: offset, dst_offset: at, size };
        // SAFETY: the command buffer is recording and both buffers hold the range.
        unsafe { (self.gpu.device.fns().v1_0.cmd_copy_buffer)(batch.commands.buffer, source, target, 1, &region) };
    }

    /// The batch that is being recorded, begun if there is none.
    fn open<'a>(&self, state: &'a mut State) -> Result<&'a mut Batch> {
        if let Some(reason) = &state.lost {
            return Err(self.lost(reason));
        }
        if state.batch.is_none() {
            self.collect(state)?;
            while state.flights.len() >= MAX_FLIGHTS {
                let oldest = state.flights.front().map_or(0, |batch| batch.value);
                state.done.throttles += 1;
                self.reach(state, oldest)?;
            }
            let mut commands = match state.spare.pop() {
                Some(commands) => commands,
                None => Commands::new(self.gpu, MAX_DISPATCHES)
                    .map_err(|error| self.failed("making a command buffer", error))?,
            };
            commands.begin(self.gpu).map_err(|error| self.failed("beginning a command buffer", error))?;
            commands.barrier(self.gpu);
            state.batch = Some(Batch {
                commands,
                length: 0,
                bytes: 0,
                barriers: 0,
                pipeline: vk::Pipeline::null(),
                filled: false,
                spill: None,
                watched: Vec::new(),
                shown: false,
                value: state.submitted + 1,
            });
        }
        state.batch.as_mut().ok_or_else(|| self.lost("no batch"))
    }

    fn submit_if_due(&self, state: &mut State) -> Result<()> {
        let Some(batch) = &state.batch else { return Ok(()) };
        let due = batch.length >= MAX_DISPATCHES || batch.bytes >= MAX_BYTES;
        // Where the device has nothing to do, waiting for more would only make it wait too. Asked rarely: it costs a call.
        let idle = || {
            batch.length >= 4
                && batch.length.is_power_of_two()
                && self.completed().is_ok_and(|value| value == state.submitted)
        };
        if due || idle() {
            self.submit(state)?;
        }
        Ok(())
    }

    /// Submits what was recorded; gives the value that the timeline has when it is done.
    fn submit(&self, state: &mut State) -> Result<u64> {
        if let Some(reason) = &state.lost {
            return Err(self.lost(reason));
        }
        let Some(batch) = state.batch.take() else { return Ok(state.submitted) };
        let functions = self.gpu.device.fns();
        if batch.shown {
            batch.commands.show_host(self.gpu);
        }
        // SAFETY: the command buffer is recording.
        let ended = unsafe { (functions.v1_0.end_command_buffer)(batch.commands.buffer) };
        let values = [batch.value];
        let semaphores = [self.timeline.handle()];
        let buffers = [batch.commands.buffer];
        let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let info =
            vk::SubmitInfo::default().command_buffers(&buffers).signal_semaphores(&semaphores).push_next(&mut timeline);
        let outcome = ended.result().and_then(|()| {
            self.gpu.queue.with(|_| {
                // SAFETY: the queue is locked; the command buffer is ended and submitted once; what it uses lives until
                // the timeline has passed its value, or longer.
                let submitted =
                    unsafe { (functions.v1_0.queue_submit)(self.gpu.queue.handle(), 1, &info, vk::Fence::null()) };
                self.outcome(submitted)
            })
        });
        state.done.add(batch.counts());
        let value = batch.value;
        state.flights.push_back(batch);
        if let Err(error) = outcome {
            // What the batch should have computed is missing: nothing after it can be right.
            return Err(self.fail(state, error));
        }
        state.done.submissions += 1;
        state.submitted = value;
        Ok(value)
    }

    /// The timeline's value.
    fn completed(&self) -> std::result::Result<u64, vk::Result> {
        let mut value = 0;
        // SAFETY: the semaphore is a timeline semaphore of this device.
        unsafe {
            (self.gpu.device.fns().v1_2.get_semaphore_counter_value)(
                self.gpu.device.handle(),
                self.timeline.handle(),
                &mut value,
            )
        }
        .result()
        .map(|()| value)
    }

    /// The outcome of a call that fails where the device is lost.
    fn outcome(&self, result: vk::Result) -> std::result::Result<(), vk::Result> {
        #[cfg(test)]
        if self.losing.load(Ordering::Relaxed) {
            return Err(vk::Result::ERROR_DEVICE_LOST);
        }
        result.result()
    }

    /// Takes back what finished batches held.
    fn collect(&self, state: &mut State) -> Result<()> {
        let completed = self.completed().map_err(|error| self.fail(state, error))?;
        while state.flights.front().is_some_and(|batch| batch.value <= completed) {
            let Some(batch) = state.flights.pop_front() else { break };
            batch.watched.into_iter().for_each(Slot::settle);
            let mut commands = batch.commands;
            let staging = commands.staging.drain(..);
            staging.chain(batch.spill.map(|(memory, _)| memory)).for_each(|memory| self.pool.give(memory));
            commands.reset(self.gpu).map_err(|error| self.failed("making a command buffer ready again", error))?;
            state.spare.push(commands);
        }
        Ok(())
    }

    /// Waits until the timeline has reached `value`, for somebody who wants a result. Others may record meanwhile.
    fn wait(&self, value: u64) -> Result<()> {
        let outcome = self.block(value);
        let mut state = self.state();
        state.done.waits += 1;
        outcome.map_err(|error| self.fail(&mut state, error))?;
        self.collect(&mut state)?;
        drop(state);
        self.complaints()
    }

    /// Waits until the timeline has reached `value`, while nobody records.
    fn reach(&self, state: &mut State, value: u64) -> Result<()> {
        self.block(value).map_err(|error| self.fail(state, error))?;
        self.collect(state)
    }

    fn block(&self, value: u64) -> std::result::Result<(), vk::Result> {
        let values = [value];
        let semaphores = [self.timeline.handle()];
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore belongs to this device, and a submission that signals the value was made.
        let waited = unsafe { (self.gpu.device.fns().v1_2.wait_semaphores)(self.gpu.device.handle(), &info, u64::MAX) };
        self.outcome(waited)
    }

    /// Waits until everything that was recorded is done.
    pub(crate) fn synchronize(&self) -> Result<()> {
        let value = self.submit(&mut self.state())?;
        self.wait(value)
    }

    fn complaints(&self) -> Result<()> {
        if instance::validating() { instance::check_validation(&self.gpu.name()) } else { Ok(()) }
    }

    /// Remembers that the device failed, and what it had not finished.
    fn fail(&self, state: &mut State, error: vk::Result) -> Box<Error> {
        let reason = state.lost.take().unwrap_or_else(|| format!("{error:?}, {}", state.unfinished()));
        let failure = self.lost(&reason);
        state.lost = Some(reason);
        failure
    }

    fn lost(&self, reason: &str) -> Box<Error> {
        let problem = format!("the device stopped working ({reason}); every tensor on it is lost");
        Error::device(
            self.gpu.name(),
            problem,
            "Restart the program from its last checkpoint; if it happens again, use smaller batches or update the driver",
        )
    }

    fn shortage(&self, bytes: u64, what: &dyn fmt::Display, shortage: &Shortage) -> Box<Error> {
        shortage_error(self.gpu, self.pool, bytes, what, shortage)
    }

    fn failed(&self, what: &str, error: vk::Result) -> Box<Error> {
        Error::device(self.gpu.name(), format!("{what} failed: {error}"), "Free memory, or update the GPU's driver")
    }
}

impl State {
    /// What was given to the device and not seen to be done, in words.
    fn unfinished(&self) -> String {
        let shaders = || self.flights.iter().chain(&self.batch).flat_map(|batch| &batch.commands.shaders).copied();
        let mut first: SmallVec<[&str; 5]> = SmallVec::new();
        for shader in shaders() {
            if first.len() < first.inline_size() && !first.contains(&shader) {
                first.push(shader);
            }
        }
        match shaders().count() {
            0 => "with no kernel unfinished".to_owned(),
            count => format!("with {count} kernels unfinished, first {}", first.join(", ")),
        }
    }
}

/// A number of bytes, in large units too.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match bytes {
            ..1_048_576 => write!(f, "{bytes} bytes"),
            1_048_576..1_073_741_824 => write!(f, "{bytes} bytes ({:.1} MiB)", bytes as f64 / 1_048_576.0),
            _ => write!(f, "{bytes} bytes ({:.1} GiB)", bytes as f64 / 1_073_741_824.0),
        }
    }
}

/// The error of an allocation that failed, for something of this many bytes.
fn shortage_error(gpu: &Gpu, pool: &Pool, bytes: u64, what: &dyn fmt::Display, shortage: &Shortage) -> Box<Error> {
    let takes = format!("{what} takes {}", Bytes(bytes));
    let (problem, advice) = match shortage {
        Shortage::OutOfMemory => (
            format!(
                "out of memory: {takes}, while {} are in use of the {} that this device has",
                Bytes(pool.used()),
                Bytes(gpu.info.memory)
            ),
            "Free memory: drop tensors, use smaller batches or a smaller model, or close other programs",
        ),
        Shortage::TooLarge { limit } => (
            format!("out of memory: {takes}, but this device has no more than {} for one tensor", Bytes(*limit)),
            "Split the tensor, use smaller batches or a smaller model, or a device with more memory",
        ),
        Shortage::Failed(reason) => (
            format!("{takes}, and the driver does not provide it: {reason}"),
            "Free memory, or update the GPU's driver",
        ),
    };
    Error::device(gpu.name(), problem, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Vulkan;
    use crate::engine::Engine;
    use osnova_tensor::{Device, Tensor};

    /// A device of this test's own, since it will be lost; none where there is no Vulkan and nobody insists on it.
    fn device() -> Option<(&'static Engine, Device)> {
        match Engine::open(0) {
            Ok(engine) => Some((engine, Device::intern(Vulkan(engine)))),
            Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
            Err(error) => {
                eprintln!("SKIPPED, for want of a Vulkan device: {error}");
                None
            }
        }
    }

    fn assert_lost<T: fmt::Debug>(outcome: Result<T>) {
        let message = outcome.unwrap_err().to_string();
        for part in
            ["stopped working (ERROR_DEVICE_LOST", "binary_f32, unary_f32", "tensor on it is lost", "checkpoint"]
        {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }

    #[test]
    fn a_device_lost_while_the_host_waits() {
        let Some((engine, device)) = device() else { return };
        let x = Tensor::new([1.0f32, 2.0], device).unwrap();
        device.synchronize().unwrap();
        let y = (&x + &x).unwrap().relu().unwrap();
        engine.stream.losing.store(true, Ordering::Relaxed);
        assert_lost(y.to_vec::<f32>());
        // Even if the driver forgets: what is on the device is not what it should be.
        engine.stream.losing.store(false, Ordering::Relaxed);
        assert_lost(y.to_vec::<f32>());
        assert_lost(&x + &x);
        assert_lost(Tensor::new([1.0f32], device));
        assert_lost(device.synchronize());
        // Views and handles do no work; dropping them does no harm.
        drop(y.reshape([2, 1]).unwrap());
    }

    #[test]
    fn a_device_lost_at_a_submission() {
        let Some((engine, device)) = device() else { return };
        let x = Tensor::new([1.0f32, 2.0], device).unwrap();
        device.synchronize().unwrap();
        let mut y = (&x + &x).unwrap().relu().unwrap();
        engine.stream.losing.store(true, Ordering::Relaxed);
        // It is told by the operation that fills the batch.
        let failed = (0..2 * MAX_DISPATCHES).find_map(|_| match &y + &x {
            Ok(sum) => {
                y = sum;
                None
            }
            Err(error) => Some(error),
        });
        assert_lost::<()>(Err(failed.expect("a batch was submitted")));
        assert_lost(device.synchronize());
    }
}
