//! A command buffer with what belongs to it, to be used again and again.

use crate::gpu::Gpu;
use crate::hazards::Hazards;
use crate::memory::Memory;
use crate::pipeline::BINDINGS;
use ash::vk;
use std::ptr;
use vulkano::VulkanObject;

type Result<T> = std::result::Result<T, vk::Result>;

/// A command buffer of a batch.
pub(crate) struct Commands {
    pool: vk::CommandPool,
    pub(crate) buffer: vk::CommandBuffer,
    /// Where the device has no push descriptors: a set for each dispatch.
    pub(crate) descriptors: vk::DescriptorPool,
    /// What was touched since the last barrier.
    pub(crate) hazards: Hazards,
    /// The shaders dispatched, to name them should the device be lost.
    pub(crate) shaders: Vec<&'static str>,
    /// Host-visible buffers to give back when the batch is done.
    pub(crate) staging: Vec<Memory>,
}

impl Commands {
    /// Room for this many dispatches.
    pub(crate) fn new(gpu: &Gpu, dispatches: usize) -> Result<Self> {
        let functions = gpu.device.fns();
        let device = gpu.device.handle();
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::TRANSIENT)
            .queue_family_index(gpu.queue_family);
        let mut pool = vk::CommandPool::null();
        // SAFETY: the queue family is the one the device was opened with.
        unsafe { (functions.v1_0.create_command_pool)(device, &info, ptr::null(), &mut pool) }.result()?;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        let mut buffer = vk::CommandBuffer::null();
        // SAFETY: the pool is new; there is room for the one buffer asked for.
        unsafe { (functions.v1_0.allocate_command_buffers)(device, &info, &mut buffer) }.result()?;
        let mut descriptors = vk::DescriptorPool::null();
        if !gpu.push_descriptors {
            let sets = dispatches as u32;
            let sizes =
                [vk::DescriptorPoolSize { ty: vk::DescriptorType::STORAGE_BUFFER, descriptor_count: sets * BINDINGS }];
            let info = vk::DescriptorPoolCreateInfo::default().max_sets(sets).pool_sizes(&sizes);
            // SAFETY: the structure is complete.
            unsafe { (functions.v1_0.create_descriptor_pool)(device, &info, ptr::null(), &mut descriptors) }
                .result()?;
        }
        let (hazards, shaders, staging) = (Hazards::new(), Vec::with_capacity(dispatches), Vec::new());
        Ok(Self { pool, buffer, descriptors, hazards, shaders, staging })
    }

    /// Begins recording. What was recorded before must be reset.
    pub(crate) fn begin(&self, gpu: &Gpu) -> Result<()> {
        let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the command buffer is new or was reset after its work was done.
        unsafe { (gpu.device.fns().v1_0.begin_command_buffer)(self.buffer, &info) }.result()
    }

    /// Makes it ready to be begun again. What was recorded must be done.
    pub(crate) fn reset(&mut self, gpu: &Gpu) -> Result<()> {
        self.shaders.clear();
        let functions = gpu.device.fns();
        let device = gpu.device.handle();
        // SAFETY: the work is done, so commands and descriptor sets are not in use.
        unsafe {
            (functions.v1_0.reset_command_pool)(device, self.pool, vk::CommandPoolResetFlags::empty()).result()?;
            if !gpu.push_descriptors {
                let flags = vk::DescriptorPoolResetFlags::empty();
                (functions.v1_0.reset_descriptor_pool)(device, self.descriptors, flags).result()?;
            }
        }
        Ok(())
    }

    /// Everything after waits for everything before.
    pub(crate) fn barrier(&mut self, gpu: &Gpu) {
        self.hazards.clear();
        let stages = vk::PipelineStageFlags::COMPUTE_SHADER | vk::PipelineStageFlags::TRANSFER;
        let barrier = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(
                vk::AccessFlags::SHADER_READ
                    | vk::AccessFlags::SHADER_WRITE
                    | vk::AccessFlags::TRANSFER_READ
                    | vk::AccessFlags::TRANSFER_WRITE,
            );
        // SAFETY: the command buffer is recording.
        unsafe {
            (gpu.device.fns().v1_0.cmd_pipeline_barrier)(
                self.buffer,
                stages,
                stages,
                vk::DependencyFlags::empty(),
                1,
                &barrier,
                0,
                ptr::null(),
                0,
                ptr::null(),
            );
        }
    }

    /// Makes what was written so far visible to the host, once the batch is done.
    pub(crate) fn show_host(&self, gpu: &Gpu) {
        let barrier = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE | vk::AccessFlags::SHADER_WRITE)
            .dst_access_mask(vk::AccessFlags::HOST_READ);
        // SAFETY: the command buffer is recording.
        unsafe {
            (gpu.device.fns().v1_0.cmd_pipeline_barrier)(
                self.buffer,
                vk::PipelineStageFlags::TRANSFER | vk::PipelineStageFlags::COMPUTE_SHADER,
                vk::PipelineStageFlags::HOST,
                vk::DependencyFlags::empty(),
                1,
                &barrier,
                0,
                ptr::null(),
                0,
                ptr::null(),
            );
        }
    }
}
