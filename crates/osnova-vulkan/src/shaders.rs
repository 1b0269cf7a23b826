//! The compiled shaders, embedded. `cargo xtask shaders` makes them from `shaders/`.

include!("../spirv/table.rs");

/// The SPIR-V of a shader.
pub(crate) fn find(name: &str) -> Option<&'static [u8]> {
    let index = SHADERS.binary_search_by_key(&name, |&(name, _)| name).ok()?;
    Some(SHADERS[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shaders_are_sorted_and_whole() {
        assert!(SHADERS.is_sorted_by_key(|&(name, _)| name));
        for (name, bytes) in SHADERS {
            assert!(bytes.len() % 4 == 0 && bytes.starts_with(&0x0723_0203u32.to_le_bytes()), "{name}");
        }
        assert!(find("no such shader").is_none());
    }
}
