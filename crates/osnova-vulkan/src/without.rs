//! `OSNOVA_VULKAN_WITHOUT`: to pretend that a device lacks what it has, and so try what runs where it is missing.
//!
//! What is left out is never enabled on the device, so nothing can use it by accident: the validation layers would complain.

use osnova_tensor::{Error, Result};
use vulkano::device::{DeviceExtensions, DeviceFeatures};

/// The variable.
const VARIABLE: &str = "OSNOVA_VULKAN_WITHOUT";

/// What the backend may enable on a device.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) extensions: DeviceExtensions,
    pub(crate) features: DeviceFeatures,
}

type Remove = fn(&mut Offer);

/// What can be left out.
const PARTS: &[(&str, Remove)] = &[
    // The dtypes f16 and bf16, which are both stored in 16 bits.
    ("f16", |offer| {
        offer.features.storage_buffer16_bit_access = false;
        offer.features.shader_float16 = false;
    }),
    // Arithmetic in f16 alone: the dtype stays, computed in f32.
    ("f16-arithmetic", |offer| offer.features.shader_float16 = false),
    ("f64", |offer| offer.features.shader_float64 = false),
    // The dtypes u8 and bool.
    ("i8", |offer| {
        offer.features.storage_buffer8_bit_access = false;
        offer.features.shader_int8 = false;
    }),
    // Arithmetic in 16-bit integers.
    ("i16", |offer| offer.features.shader_int16 = false),
    ("i64", |offer| offer.features.shader_int64 = false),
    ("cooperative-matrix", |offer| {
        offer.extensions.khr_cooperative_matrix = false;
        offer.features.cooperative_matrix = false;
    }),
    ("push-descriptors", |offer| offer.extensions.khr_push_descriptor = false),
    // The choice of a subgroup size, and with it the exchange of values by shuffles.
    ("subgroup-sizes", |offer| {
        offer.extensions.ext_subgroup_size_control = false;
        offer.features.subgroup_size_control = false;
        offer.features.compute_full_subgroups = false;
    }),
];

/// An offer without what the environment says.
pub(crate) fn without(offer: Offer) -> Result<Offer> {
    remove(offer, &std::env::var(VARIABLE).unwrap_or_default())
}

fn remove(mut offer: Offer, list: &str) -> Result<Offer> {
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some((_, remove)) = PARTS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = PARTS.iter().map(|&(known, _)| known).collect();
            return Err(Error::device(
                "vulkan",
                format!("{VARIABLE} names `{name}`, which is nothing that can be left out"),
                format!("Known are {}, with commas between them", known.join(", ")),
            ));
        };
        remove(&mut offer);
    }
    Ok(offer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::wanted;

    #[test]
    fn each_part_takes_something_away() {
        let Offer { extensions, features } = wanted();
        for (name, _) in PARTS {
            let left = remove(wanted(), name).unwrap();
            assert!(left.extensions != extensions || left.features != features, "{name}");
        }
    }

    #[test]
    fn a_list_takes_several_away() {
        let Offer { features, .. } = remove(wanted(), " f64, i64 ,").unwrap();
        assert!(!features.shader_float64 && !features.shader_int64 && features.shader_float16);
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_known_ones() {
        let message = remove(wanted(), "f64,f17").unwrap_err().to_string();
        assert!(message.contains("`f17`") && message.contains("f16, f16-arithmetic, f64"), "{message}");
    }
}
