//! Where the deriving crate finds `osnova_nn`.

use proc_macro2::TokenStream;
use quote::quote;
use std::{env, fs, path::PathBuf};

/// `::osnova_nn` for crates that depend on it, `::osnova::nn` for those that depend on the facade alone.
///
/// A derive macro has no `$crate`, so the deriving crate's manifest is read for the names of its dependencies.
pub(crate) fn osnova_nn() -> TokenStream {
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|folder| fs::read_to_string(PathBuf::from(folder).join("Cargo.toml")).ok())
        .unwrap_or_default();
    if env::var("CARGO_PKG_NAME").as_deref() == Ok("osnova-nn") || !only_facade(&manifest) {
        quote!(::osnova_nn)
    } else {
        quote!(::osnova::nn)
    }
}

fn only_facade(manifest: &str) -> bool {
    let mut facade = false;
    for line in manifest.lines() {
        let line = line.trim();
        // `osnova = …`, `osnova.workspace = …` and `[dependencies.osnova]` alike.
        let key = match line.strip_prefix('[') {
            Some(table) => table.trim_end_matches(']').rsplit_once("dependencies.").map_or("", |(_, name)| name),
            None => line.split(['=', '.', ' ']).next().unwrap_or_default(),
        };
        match key.trim_matches('"') {
            "osnova-nn" => return false,
            "osnova" => facade = true,
            _ => {}
        }
    }
    facade
}

#[cfg(test)]
mod tests {
    use super::only_facade;

    #[test]
    fn the_manifest_tells_which_crate_is_there() {
        assert!(only_facade("[dependencies]\nosnova = \"0.1\"\n"));
        assert!(only_facade("[dependencies.osnova]\nversion = \"0.1\"\n"));
        assert!(!only_facade("[dependencies]\nosnova.workspace = true\nosnova-nn.workspace = true\n"));
        assert!(!only_facade("[package]\nname = \"osnova-user\"\n[dependencies]\nserde = \"1\"\n"));
    }
}
