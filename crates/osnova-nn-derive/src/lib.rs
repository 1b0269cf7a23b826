//! The derive macro behind `osnova_nn::Module`; its documentation stands there.
#![forbid(unsafe_code)]

mod expand;
mod path;

use proc_macro::TokenStream;

/// Makes a struct or enum a module: see `osnova_nn::Module`.
///
/// On the type: `#[module(manual)]` leaves `impl Module` to you (to describe output shapes), `#[module(crate = path)]`
/// names where `osnova_nn` is. On a field: `#[module(skip)]` leaves it out, `#[module(rename = "name")]` gives it another
/// name in the state dict, `#[module(flatten)]` puts its children in the place of the field.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::module(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
