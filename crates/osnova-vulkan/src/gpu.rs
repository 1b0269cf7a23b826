//! Physical devices, what they can do, and the logical device with its one queue.

use crate::engine::THREADS;
use crate::fragments::{self, Fragments};
use crate::instance::{instance, reason};
use crate::without::{Offer, without};
use osnova_tensor::{DType, DTypeSet, Error, Result};
use std::fmt;
use std::sync::Arc;
use vulkano::device::physical::{PhysicalDevice, PhysicalDeviceType, SubgroupFeatures};
use vulkano::device::{Device, DeviceCreateInfo, DeviceExtensions, DeviceFeatures, Queue, QueueCreateInfo, QueueFlags};
use vulkano::shader::ShaderStages;
use vulkano::{DeviceSize, Version};

/// What kind of hardware a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A card with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU passed to a virtual machine.
    Virtual,
    /// A driver that computes on the processor, such as lavapipe or SwiftShader.
    Software,
    /// Something else.
    Other,
}

/// A Vulkan device of this machine, and what it can do. See [`VulkanDevice::available`](crate::VulkanDevice::available).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The number that [`VulkanDevice::vulkan`](crate::VulkanDevice::vulkan) takes.
    pub index: usize,
    /// What the hardware is called.
    pub name: String,
    /// What kind of hardware it is.
    pub kind: Kind,
    /// The driver and its version.
    pub driver: String,
    /// The version of Vulkan.
    pub api_version: (u32, u32),
    /// The dtypes it can hold and compute with.
    pub dtypes: DTypeSet,
    /// Bytes of the largest memory heap on the device.
    pub memory: u64,
    /// The largest tensor in bytes that one kernel can see.
    pub max_tensor_bytes: u64,
    /// Threads that run in lockstep.
    pub subgroup_size: u32,
    /// Bytes of memory that a workgroup shares.
    pub shared_memory: u32,
    /// Whether it offers matrix products of whole subgroups (`VK_KHR_cooperative_matrix`).
    pub cooperative_matrix: bool,
    /// Whether it computes with subnormal numbers (else they count as 0 where arithmetic meets them).
    pub subnormals: bool,
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtypes: Vec<&str> =
            DType::ALL.into_iter().filter(|&dtype| self.dtypes.contains(dtype)).map(DType::name).collect();
        write!(
            f,
            "vulkan:{} {} ({:?}, {}, Vulkan {}.{}), {} MiB, tensors up to {} MiB, subgroups of {}, {} KiB shared, {}{}",
            self.index,
            self.name,
            self.kind,
            self.driver,
            self.api_version.0,
            self.api_version.1,
            self.memory >> 20,
            self.max_tensor_bytes >> 20,
            self.subgroup_size,
            self.shared_memory >> 10,
            dtypes.join(" "),
            if self.cooperative_matrix { ", cooperative matrices" } else { "" }
        )
    }
}

/// The Vulkan devices of this machine, as [`VulkanDevice::available`](crate::VulkanDevice::available) tells them.
pub(crate) fn available() -> Result<Vec<Info>> {
    candidates()?.iter().enumerate().map(|(index, device)| Ok(info(index, device, &offer(device)?))).collect()
}

/// The devices that can run the backend, in the order of their numbers.
fn candidates() -> Result<Vec<Arc<PhysicalDevice>>> {
    let devices = instance()?.enumerate_physical_devices().map_err(|error| {
        let problem = format!("the devices cannot be listed: {}", reason(&error));
        Error::device("vulkan", problem, "Install or update the GPU's driver")
    })?;
    let mut devices: Vec<_> = devices.filter(|device| fit(device)).collect();
    // The sort is stable: among equals the loader's order stays.
    devices.sort_by_key(|device| kind(device));
    Ok(devices)
}

/// What the backend cannot do without.
fn fit(device: &PhysicalDevice) -> bool {
    let limits = device.properties();
    device.api_version() >= Version::V1_2
        && device.supported_features().timeline_semaphore
        && compute_family(device).is_some()
        && limits.max_compute_work_group_invocations >= 256
        && limits.max_per_stage_descriptor_storage_buffers >= crate::pipeline::BINDINGS
}

fn compute_family(device: &PhysicalDevice) -> Option<u32> {
    let families = device.queue_family_properties();
    let compute = families.iter().position(|family| family.queue_flags.intersects(QueueFlags::COMPUTE))?;
    u32::try_from(compute).ok()
}

fn kind(device: &PhysicalDevice) -> Kind {
    match device.properties().device_type {
        PhysicalDeviceType::DiscreteGpu => Kind::Discrete,
        PhysicalDeviceType::IntegratedGpu => Kind::Integrated,
        PhysicalDeviceType::VirtualGpu => Kind::Virtual,
        PhysicalDeviceType::Cpu => Kind::Software,
        _ => Kind::Other,
    }
}

/// All that the backend has a use for.
pub(crate) fn wanted() -> Offer {
    Offer {
        extensions: DeviceExtensions {
            khr_push_descriptor: true,
            khr_cooperative_matrix: true,
            ext_subgroup_size_control: true,
            khr_portability_subset: true,
            ..DeviceExtensions::empty()
        },
        features: DeviceFeatures {
            timeline_semaphore: true,
            storage_buffer16_bit_access: true,
            storage_buffer8_bit_access: true,
            shader_float16: true,
            shader_int8: true,
            shader_int16: true,
            shader_int64: true,
            shader_float64: true,
            subgroup_size_control: true,
            compute_full_subgroups: true,
            vulkan_memory_model: true,
            vulkan_memory_model_device_scope: true,
            cooperative_matrix: true,
            ..DeviceFeatures::empty()
        },
    }
}

/// What is enabled on a device: what is wanted, there, and not left out by the environment.
fn offer(device: &PhysicalDevice) -> Result<Offer> {
    let Offer { extensions, features } = wanted();
    let mut extensions = extensions.intersection(device.supported_extensions());
    let mut features = features.intersection(device.supported_features());
    let cooperative = extensions.khr_cooperative_matrix && features.cooperative_matrix && features.vulkan_memory_model;
    extensions.khr_cooperative_matrix = cooperative;
    features.cooperative_matrix = cooperative;
    without(Offer { extensions, features })
}

fn info(index: usize, device: &PhysicalDevice, offer: &Offer) -> Info {
    let properties = device.properties();
    let version = device.api_version();
    let heaps = &device.memory_properties().memory_heaps;
    let driver = [properties.driver_name.as_deref(), properties.driver_info.as_deref()];
    Info {
        index,
        name: properties.device_name.clone(),
        kind: kind(device),
        driver: driver.into_iter().flatten().collect::<Vec<_>>().join(" "),
        api_version: (version.major, version.minor),
        dtypes: dtypes(&offer.features),
        memory: heaps.iter().map(|heap| heap.size).max().unwrap_or(0),
        max_tensor_bytes: u64::from(properties.max_storage_buffer_range),
        subgroup_size: properties.subgroup_size.unwrap_or(1),
        shared_memory: properties.max_compute_shared_memory_size,
        cooperative_matrix: offer.features.cooperative_matrix,
        subnormals: properties.shader_denorm_preserve_float32.unwrap_or(false),
    }
}

fn dtypes(features: &DeviceFeatures) -> DTypeSet {
    let mut dtypes = vec![DType::F32, DType::I32, DType::U32];
    if features.storage_buffer16_bit_access {
        dtypes.extend([DType::F16, DType::BF16]);
    }
    if features.storage_buffer8_bit_access {
        dtypes.extend([DType::U8, DType::Bool]);
    }
    if features.shader_int64 {
        dtypes.push(DType::I64);
    }
    if features.shader_float64 {
        dtypes.push(DType::F64);
    }
    DTypeSet::of(&dtypes)
}

/// What the float arithmetic of a device keeps, for [`crate::pipeline`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FloatControls {
    /// Signed zeros, infinities and NaN survive in 16, 32 and 64 bits.
    pub(crate) preserve_special: [bool; 3],
    /// Subnormal numbers survive in 16, 32 and 64 bits.
    pub(crate) preserve_subnormal: [bool; 3],
    /// Conversions to half precision round to nearest.
    pub(crate) round_half: bool,
}

/// The subgroup size for kernels whose threads exchange values by shuffles.
///
/// A workgroup must consist of full subgroups of a known size, and only a driver that takes a size for a requirement has them:
/// others may run half-empty subgroups.
fn shuffles(device: &PhysicalDevice, features: &DeviceFeatures) -> Option<u32> {
    let properties = device.properties();
    let compute = |stages: Option<ShaderStages>| stages.is_some_and(|stages| stages.intersects(ShaderStages::COMPUTE));
    let size = properties.subgroup_size?;
    let offered = features.subgroup_size_control
        && features.compute_full_subgroups
        && compute(properties.required_subgroup_size_stages)
        && compute(properties.subgroup_supported_stages)
        && properties.subgroup_supported_operations?.intersects(SubgroupFeatures::SHUFFLE);
    let allowed = size.is_power_of_two()
        && (properties.min_subgroup_size?..=properties.max_subgroup_size?).contains(&size)
        && size <= THREADS
        && THREADS / size <= properties.max_compute_workgroup_subgroups?;
    (offered && allowed).then_some(size)
}

/// A logical device with one compute queue.
pub(crate) struct Gpu {
    pub(crate) info: Info,
    pub(crate) device: Arc<Device>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) queue_family: u32,
    pub(crate) push_descriptors: bool,
    pub(crate) float_controls: FloatControls,
    /// What every storage buffer's offset is a multiple of; at least 16.
    pub(crate) alignment: DeviceSize,
    /// The largest number of workgroups along x.
    pub(crate) max_groups: u32,
    /// The size of subgroups that are full and exchange values by shuffles; none where the device cannot promise them.
    pub(crate) shuffles: Option<u32>,
    /// The cooperative matrices of half precision that kernels use; none without the extension, or if none of its sizes fits.
    pub(crate) fragments: Option<Fragments>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.info).field(&self.fragments).finish()
    }
}

impl Gpu {
    pub(crate) fn open(index: usize) -> Result<Self> {
        let name = format!("vulkan:{index}");
        let mut devices = candidates()?;
        if index >= devices.len() {
            let problem = match devices.len() {
                0 => "this machine has no Vulkan 1.2 device".to_owned(),
                count => format!("there are {count} Vulkan devices, counted from 0"),
            };
            return Err(Error::device(
                name,
                problem,
                "Install the GPU's driver (package mesa-vulkan-drivers holds a software one); `Device::available()` lists what there is",
            ));
        }
        let physical = devices.swap_remove(index);
        let offer = offer(&physical)?;
        let info = info(index, &physical, &offer);
        let Offer { extensions, features } = offer;
        let queue_family = compute_family(&physical).unwrap_or(0);
        let created = Device::new(
            physical.clone(),
            DeviceCreateInfo {
                queue_create_infos: vec![QueueCreateInfo { queue_family_index: queue_family, ..Default::default() }],
                enabled_extensions: extensions,
                enabled_features: features,
                ..Default::default()
            },
        );
        let (device, mut queues) = created.map_err(|error| {
            let problem = format!("the device cannot be opened: {}", reason(&error));
            Error::device(&name, problem, "Update the GPU's driver, or close other programs that use the GPU")
        })?;
        let queue = queues.next().ok_or_else(|| Error::device(&name, "it has no queue", "Update the GPU's driver"))?;
        let properties = physical.properties();
        let yes = |property: Option<bool>| property.unwrap_or(false);
        let float_controls = FloatControls {
            preserve_special: [
                yes(properties.shader_signed_zero_inf_nan_preserve_float16),
                yes(properties.shader_signed_zero_inf_nan_preserve_float32),
                yes(properties.shader_signed_zero_inf_nan_preserve_float64),
            ],
            preserve_subnormal: [
                yes(properties.shader_denorm_preserve_float16),
                yes(properties.shader_denorm_preserve_float32),
                yes(properties.shader_denorm_preserve_float64),
            ],
            round_half: yes(properties.shader_rounding_mode_rte_float16),
        };
        let subgroup_sizes = (features.subgroup_size_control && features.compute_full_subgroups)
            .then(|| properties.min_subgroup_size.zip(properties.max_subgroup_size))
            .flatten();
        let fragments = subgroup_sizes
            .filter(|_| features.cooperative_matrix && features.shader_float16 && features.storage_buffer16_bit_access)
            .and_then(|sizes| fragments::offered(&physical, info.subgroup_size, sizes));
        Ok(Self {
            info,
            queue,
            queue_family,
            push_descriptors: extensions.khr_push_descriptor,
            float_controls,
            alignment: properties.min_storage_buffer_offset_alignment.as_devicesize().max(16),
            max_groups: properties.max_compute_work_group_count[0],
            shuffles: shuffles(&physical, &features),
            fragments,
            device,
        })
    }

    /// The device's name in messages.
    pub(crate) fn name(&self) -> String {
        format!("vulkan:{}", self.info.index)
    }
}
