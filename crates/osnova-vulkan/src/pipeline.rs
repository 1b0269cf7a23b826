//! Compute pipelines: one for each shader and choice of constants, made when first needed.
//!
//! Every shader has the same interface, so that nothing is reflected: [`BINDINGS`] storage buffers in set 0, of which the
//! last holds metadata too long for the 128 bytes of push constants, and specialisation constants 0 to 9 that the
//! device decides; the kernel's own begin at [`FIRST_CONSTANT`].

use crate::gpu::{FloatControls, Gpu};
use crate::hash::Table;
use crate::shaders;
use ash::vk;
use osnova_tensor::{Error, Result};
use smallvec::SmallVec;
use std::ffi::CStr;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vulkano::VulkanObject;

/// Storage buffers a shader can see.
pub(crate) const BINDINGS: u32 = 8;
/// The binding of metadata that does not fit the push constants.
pub(crate) const SPILL_BINDING: u32 = BINDINGS - 1;
/// Words of push constants: what every device offers.
pub(crate) const PUSH_WORDS: usize = 32;
/// The id of a kernel's first specialisation constant.
pub(crate) const FIRST_CONSTANT: u32 = 10;

/// What a pipeline is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The name of a shader in [`shaders`].
    pub(crate) shader: &'static str,
    /// Whether the metadata stand in the spill buffer.
    pub(crate) spilled: bool,
    /// The kernel's own specialisation constants.
    pub(crate) constants: SmallVec<[u32; 12]>,
    /// The subgroup size that is required, all subgroups full; 0 for any.
    pub(crate) subgroup: u32,
}

/// The pipelines of a device.
pub(crate) struct Pipelines {
    gpu: &'static Gpu,
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    cache: vk::PipelineCache,
    known: Mutex<Table<Key, vk::Pipeline>>,
}

impl std::fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipelines")
    }
}

fn failed(gpu: &Gpu, what: &str, error: vk::Result) -> Box<Error> {
    Error::device(gpu.name(), format!("{what} failed: {error}"), "Update the GPU's driver, or free device memory")
}

impl Pipelines {
    pub(crate) fn new(gpu: &'static Gpu) -> Result<Self> {
        let functions = gpu.device.fns();
        let device = gpu.device.handle();
        let bindings: Vec<_> = (0..BINDINGS)
            .map(|binding| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let mut info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        if gpu.push_descriptors {
            info.flags |= vk::DescriptorSetLayoutCreateFlags::PUSH_DESCRIPTOR_KHR;
        }
        let mut set_layout = vk::DescriptorSetLayout::null();
        // SAFETY: the device is alive and the structure is complete; the extension of the flag is enabled if it is set.
        unsafe { (functions.v1_0.create_descriptor_set_layout)(device, &info, ptr::null(), &mut set_layout) }
            .result()
            .map_err(|error| failed(gpu, "making a descriptor layout", error))?;
        let layouts = [set_layout];
        let ranges = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size((PUSH_WORDS * size_of::<u32>()) as u32)];
        let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts).push_constant_ranges(&ranges);
        let mut layout = vk::PipelineLayout::null();
        // SAFETY: the set layout was made from this device.
        unsafe { (functions.v1_0.create_pipeline_layout)(device, &info, ptr::null(), &mut layout) }
            .result()
            .map_err(|error| failed(gpu, "making a pipeline layout", error))?;
        let info = vk::PipelineCacheCreateInfo::default();
        let mut cache = vk::PipelineCache::null();
        // SAFETY: an empty cache has no data to be wrong.
        unsafe { (functions.v1_0.create_pipeline_cache)(device, &info, ptr::null(), &mut cache) }
            .result()
            .map_err(|error| failed(gpu, "making a pipeline cache", error))?;
        Ok(Self { gpu, set_layout, layout, cache, known: Mutex::default() })
    }

    pub(crate) fn layout(&self) -> vk::PipelineLayout {
        self.layout
    }

    pub(crate) fn set_layout(&self) -> vk::DescriptorSetLayout {
        self.set_layout
    }

    /// The pipeline for a key, made now if this is the first time.
    pub(crate) fn get(&self, key: &Key) -> Result<vk::Pipeline> {
        let mut known = self.known();
        if let Some(&pipeline) = known.get(key) {
            return Ok(pipeline);
        }
        let pipeline = self.create(key)?;
        known.insert(key.clone(), pipeline);
        Ok(pipeline)
    }

    /// How many pipelines were made.
    pub(crate) fn count(&self) -> usize {
        self.known().len()
    }

    fn known(&self) -> MutexGuard<'_, Table<Key, vk::Pipeline>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, key: &Key) -> Result<vk::Pipeline> {
        const ENTRY: &CStr = c"main";
        let gpu = self.gpu;
        let functions = gpu.device.fns();
        let device = gpu.device.handle();
        let bytes = shaders::find(key.shader).ok_or_else(|| {
            let problem = format!("there is no shader {}", key.shader);
            Error::device(gpu.name(), problem, "This is a defect: run `cargo xtask shaders` and report it")
        })?;
        let mut words = with_float_controls(bytes, &gpu.float_controls);
        if gpu.shuffles.is_none() {
            words = without_shuffles(&words);
        }
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        let mut module = vk::ShaderModule::null();
        // SAFETY: the words are SPIR-V that was validated when it was committed.
        unsafe { (functions.v1_0.create_shader_module)(device, &info, ptr::null(), &mut module) }
            .result()
            .map_err(|error| failed(gpu, "loading a shader", error))?;

        // The device's constants, by their ids; see `shaders/include/interface.glsl`.
        let mut values: SmallVec<[u32; 16]> = SmallVec::new();
        values.push(u32::from(key.spilled));
        values.push(u32::from(!gpu.float_controls.preserve_subnormal[1]));
        values.push(u32::from(gpu.float_controls.round_half));
        values.push(if key.subgroup > 0 { key.subgroup } else { gpu.info.subgroup_size });
        values.push(u32::from(key.subgroup > 0 && gpu.shuffles == Some(key.subgroup)));
        let own = values.len() as u32;
        values.extend_from_slice(&key.constants);
        let entries: SmallVec<[vk::SpecializationMapEntry; 16]> = (0..values.len() as u32)
            .map(|index| vk::SpecializationMapEntry {
                constant_id: if index < own { index } else { index - own + FIRST_CONSTANT },
                offset: index * 4,
                size: 4,
            })
            .collect();
        let specialization =
            vk::SpecializationInfo::default().map_entries(&entries).data(bytemuck::cast_slice(&values));
        let mut required =
            vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default().required_subgroup_size(key.subgroup);
        let mut stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(ENTRY)
            .specialization_info(&specialization);
        if key.subgroup > 0 {
            stage.flags |= vk::PipelineShaderStageCreateFlags::REQUIRE_FULL_SUBGROUPS;
            stage = stage.push_next(&mut required);
        }
        let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout);
        let mut pipeline = vk::Pipeline::null();
        // SAFETY: module and layout were made from this device, and the layout has all that shaders may use.
        let created = unsafe {
            (functions.v1_0.create_compute_pipelines)(device, self.cache, 1, &info, ptr::null(), &mut pipeline)
        };
        // SAFETY: a module is not needed once its pipelines are made.
        unsafe { (functions.v1_0.destroy_shader_module)(device, module, ptr::null()) };
        created.result().map_err(|error| failed(gpu, &format!("making a pipeline of {}", key.shader), error))?;
        Ok(pipeline)
    }
}

/// A module with the execution modes that keep infinities, NaN, signed zeros and subnormal numbers, as far as the device has them.
///
/// They are inserted here and not when the shader is compiled because devices differ: a module must not ask for what its device lacks.
fn with_float_controls(bytes: &[u8], controls: &FloatControls) -> Vec<u32> {
    const CAPABILITY: u32 = 17;
    const ENTRY_POINT: u32 = 15;
    const EXECUTION_MODE: u32 = 16;
    const TYPE_FLOAT: u32 = 22;
    /// Capability and execution mode.
    const DENORM_PRESERVE: (u32, u32) = (4464, 4459);
    const SIGNED_ZERO_INF_NAN_PRESERVE: (u32, u32) = (4466, 4461);
    const ROUNDING_MODE_RTE: (u32, u32) = (4467, 4462);

    let words: Vec<u32> = bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
    let instructions = || {
        let mut at = 5;
        let words = &words;
        std::iter::from_fn(move || {
            let start = at;
            let word = *words.get(start)?;
            at += (word >> 16).max(1) as usize;
            Some((start, word & 0xffff))
        })
    };
    let declares =
        |width: u32| instructions().any(|(at, code)| code == TYPE_FLOAT && words.get(at + 2) == Some(&width));
    let mut modes: Vec<((u32, u32), u32)> = Vec::new();
    for (index, width) in [16, 32, 64].into_iter().enumerate() {
        if !declares(width) {
            continue;
        }
        if controls.preserve_special[index] {
            modes.push((SIGNED_ZERO_INF_NAN_PRESERVE, width));
        }
        if controls.preserve_subnormal[index] {
            modes.push((DENORM_PRESERVE, width));
        }
        if width == 16 && controls.round_half {
            modes.push((ROUNDING_MODE_RTE, width));
        }
    }
    let Some(entry) = instructions().find(|&(_, code)| code == ENTRY_POINT).and_then(|(at, _)| words.get(at + 2))
    else {
        return words;
    };
    let after = |wanted: u32| {
        let last = instructions().filter(|&(_, code)| code == wanted).last();
        last.map_or(5, |(at, _)| at + (words[at] >> 16) as usize)
    };
    let (capabilities_end, entry_end) = (after(CAPABILITY), after(ENTRY_POINT));
    let mut changed = words[..capabilities_end].to_vec();
    let mut declared: Vec<u32> = Vec::new();
    for &((capability, _), _) in &modes {
        if !declared.contains(&capability) {
            declared.push(capability);
            changed.extend([2 << 16 | CAPABILITY, capability]);
        }
    }
    changed.extend_from_slice(&words[capabilities_end..entry_end]);
    for &((_, mode), width) in &modes {
        changed.extend([4 << 16 | EXECUTION_MODE, *entry, mode, width]);
    }
    changed.extend_from_slice(&words[entry_end..]);
    changed
}

/// A module that does not ask for shuffles, for devices that lack them: each becomes a copy, which `SHUFFLES = false` never reaches.
fn without_shuffles(words: &[u32]) -> Vec<u32> {
    const CAPABILITY: u32 = 17;
    const GROUP_NON_UNIFORM_SHUFFLE: u32 = 65;
    const COPY_OBJECT: u32 = 83;
    const SHUFFLE: u32 = 345;
    const SHUFFLE_XOR: u32 = 346;

    let (header, mut rest) = words.split_at(words.len().min(5));
    let mut changed = header.to_vec();
    while let Some(&first) = rest.first() {
        let (instruction, after) = rest.split_at(((first >> 16).max(1) as usize).min(rest.len()));
        match (first & 0xffff, instruction) {
            (CAPABILITY, [_, GROUP_NON_UNIFORM_SHUFFLE]) => {}
            (SHUFFLE | SHUFFLE_XOR, &[_, kind, result, _, value, _]) => {
                changed.extend([4 << 16 | COPY_OBJECT, kind, result, value]);
            }
            _ => changed.extend_from_slice(instruction),
        }
        rest = after;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_leave_nothing_behind() {
        /// The operation of each instruction, of capabilities with their number.
        fn instructions(words: &[u32]) -> Vec<(u32, u32)> {
            let mut rest = &words[5..];
            let mut found = Vec::new();
            while let Some(&first) = rest.first() {
                let code = first & 0xffff;
                found.push((code, if code == 17 { rest[1] } else { 0 }));
                rest = &rest[(first >> 16) as usize..];
            }
            found
        }
        let bytes = shaders::find("reduce_f32").expect("there are reductions");
        let words: Vec<u32> = bytes.chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        // Capabilities GroupNonUniformShuffle and GroupNonUniformShuffleRelative, and the four instructions they are for.
        let asks = |&(code, number): &(u32, u32)| matches!((code, number), (17, 65 | 66) | (345..=348, _));
        let (before, after) = (instructions(&words), instructions(&without_shuffles(&words)));
        assert!(before.iter().any(asks) && !after.iter().any(asks));
        assert_eq!(after.len() + 1, before.len(), "but for the capability each instruction has its place");
    }
}
