//! Cooperative matrices (`VK_KHR_cooperative_matrix`): products of small matrices that a whole subgroup computes together.

use ash::vk;
use std::ptr;
use std::sync::Arc;
use vulkano::VulkanObject;
use vulkano::device::physical::PhysicalDevice;
use vulkano::shader::ShaderStages;

/// Rows and columns of the part of a result that a subgroup computes, and steps along the inner axis, as in `matmul_coop.comp`.
pub(crate) const BLOCK_ROWS: u32 = 32;
pub(crate) const BLOCK_COLUMNS: u32 = 64;
pub(crate) const DEPTH: u32 = 32;

/// Intel's are emulated on many of its GPUs, where they can be far slower than plain code. Measuring which is faster is no way
/// out: the two round differently, and a program must give the same bits on every run.
const INTEL: u32 = 0x8086;

/// The size of the matrices, half precision summed in single, and of the subgroups that compute with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragments {
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) inner: u32,
    pub(crate) subgroup: u32,
}

impl Fragments {
    /// Subgroups of a workgroup, down and across: 256 threads, but no more than 8 subgroups.
    pub(crate) fn subgroups(self) -> (u32, u32) {
        ((256 / self.subgroup).clamp(2, 8) / 2, 2)
    }

    /// Rows and columns of the result that a workgroup computes.
    pub(crate) fn tile(self) -> (u32, u32) {
        let (down, across) = self.subgroups();
        (down * BLOCK_ROWS, across * BLOCK_COLUMNS)
    }

    /// Bytes of shared memory at most, however operands lie: both tiles, each row 16 bytes longer, and a fragment of floats for
    /// each subgroup.
    pub(crate) fn shared_bytes(self) -> u32 {
        let ((rows, columns), (down, across)) = (self.tile(), self.subgroups());
        let tile = |lines: u32| (lines * (DEPTH + 8)).max(DEPTH * (lines + 8)) * 2;
        tile(rows) + tile(columns) + down * across * self.rows * self.columns * 4
    }
}

/// The sizes that the kernel can use, of those that a device lists; 16 × 16 × 16 if it is there, else the largest.
fn choose(offered: &[vk::CooperativeMatrixPropertiesKHR<'_>], subgroup: u32, shared: u32) -> Option<Fragments> {
    let half = vk::ComponentTypeKHR::FLOAT16;
    let single = vk::ComponentTypeKHR::FLOAT32;
    let fit = offered.iter().filter(|offer| {
        [offer.a_type, offer.b_type] == [half; 2]
            && [offer.c_type, offer.result_type] == [single; 2]
            && offer.scope == vk::ScopeKHR::SUBGROUP
            && [offer.m_size, offer.n_size, offer.k_size].iter().all(|&size| size >= 8)
            && BLOCK_ROWS.is_multiple_of(offer.m_size)
            && BLOCK_COLUMNS.is_multiple_of(offer.n_size)
            && DEPTH.is_multiple_of(offer.k_size)
    });
    let sizes = fit.map(|offer| Fragments { rows: offer.m_size, columns: offer.n_size, inner: offer.k_size, subgroup });
    sizes.filter(|fragments| fragments.shared_bytes() <= shared).max_by_key(|size| {
        (size.rows == 16 && size.columns == 16 && size.inner == 16, size.rows * size.columns * size.inner)
    })
}

/// What a device with the extension offers; none if the kernel cannot use it. `subgroup`: the size of its subgroups, which
/// the list holds for, and `required`: the smallest and largest that a kernel may ask for.
pub(crate) fn offered(physical: &Arc<PhysicalDevice>, subgroup: u32, required: (u32, u32)) -> Option<Fragments> {
    let properties = physical.properties();
    let in_kernels =
        |stages: Option<ShaderStages>| stages.is_some_and(|stages| stages.intersects(ShaderStages::COMPUTE));
    let usable = properties.vendor_id != INTEL
        && in_kernels(properties.cooperative_matrix_supported_stages)
        && in_kernels(properties.required_subgroup_size_stages)
        && (required.0..=required.1).contains(&subgroup)
        && (8..=128).contains(&subgroup)
        && properties.max_compute_workgroup_subgroups.is_some_and(|most| most >= 8);
    if !usable {
        return None;
    }
    let list = physical.instance().fns().khr_cooperative_matrix.get_physical_device_cooperative_matrix_properties_khr;
    let mut count = 0;
    // SAFETY: the device has the extension, so the function is there; without a place for the list it gives its length.
    unsafe { list(physical.handle(), &mut count, ptr::null_mut()) }.result().ok()?;
    let mut offers = vec![vk::CooperativeMatrixPropertiesKHR::default(); count as usize];
    // SAFETY: there is room for `count` entries, each with its type set.
    unsafe { list(physical.handle(), &mut count, offers.as_mut_ptr()) }.result().ok()?;
    offers.truncate(count as usize);
    choose(&offers, subgroup, properties.max_compute_shared_memory_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(sizes: [u32; 3], sum: vk::ComponentTypeKHR) -> vk::CooperativeMatrixPropertiesKHR<'static> {
        vk::CooperativeMatrixPropertiesKHR::default()
            .m_size(sizes[0])
            .n_size(sizes[1])
            .k_size(sizes[2])
            .a_type(vk::ComponentTypeKHR::FLOAT16)
            .b_type(vk::ComponentTypeKHR::FLOAT16)
            .c_type(sum)
            .result_type(sum)
            .scope(vk::ScopeKHR::SUBGROUP)
    }

    #[test]
    fn sums_are_single_and_sizes_divide_a_block() {
        let (half, single) = (vk::ComponentTypeKHR::FLOAT16, vk::ComponentTypeKHR::FLOAT32);
        let chosen = |offers: &[_]| choose(offers, 32, 32 << 10).map(|size| [size.rows, size.columns, size.inner]);
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&[offer([16, 16, 16], half)]), None);
        assert_eq!(chosen(&[offer([16, 8, 16], single), offer([16, 16, 16], single)]), Some([16, 16, 16]));
        assert_eq!(chosen(&[offer([16, 8, 8], single), offer([16, 8, 16], single)]), Some([16, 8, 16]));
        assert_eq!(chosen(&[offer([64, 16, 16], single), offer([16, 16, 12], single)]), None);
        let mut whole_workgroup = offer([16, 16, 16], single);
        whole_workgroup.scope = vk::ScopeKHR::WORKGROUP;
        assert_eq!(chosen(&[whole_workgroup]), None);
        assert_eq!(choose(&[offer([16, 16, 16], single)], 32, 16 << 10), None);
    }

    #[test]
    fn workgroups_stay_within_every_device() {
        for subgroup in [8, 16, 32, 64, 128] {
            let fragments = Fragments { rows: 16, columns: 16, inner: 16, subgroup };
            let (down, across) = fragments.subgroups();
            assert!(down * across <= 8 && down * across * subgroup <= 256, "{subgroup}");
            assert!(fragments.shared_bytes() <= 32 << 10, "{subgroup}");
        }
        let of_32 = Fragments { rows: 16, columns: 16, inner: 16, subgroup: 32 };
        assert_eq!((of_32.tile(), of_32.shared_bytes()), ((128, 128), 28_672));
    }
}
