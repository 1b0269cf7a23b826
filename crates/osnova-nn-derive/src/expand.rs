//! The code that the derive writes.

use crate::path::osnova_nn;
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, LitStr, Member, Path, Result, Type};

/// What `#[module(…)]` on the type says.
#[derive(Default)]
struct TypeOptions {
    manual: bool,
    path: Option<Path>,
}

/// What `#[module(…)]` on a field says.
#[derive(Default)]
struct FieldOptions {
    skip: bool,
    flatten: bool,
    rename: Option<LitStr>,
}

pub(crate) fn module(input: &DeriveInput) -> Result<TokenStream> {
    let options = type_options(&input.attrs)?;
    let path = options.path.as_ref().map_or_else(osnova_nn, ToTokens::to_token_stream);
    let name = &input.ident;
    let mut visited = Vec::new();
    let (shared, exclusive) = match &input.data {
        Data::Struct(data) => {
            let arm = arm(&path, &quote!(Self), &data.fields, &mut visited)?;
            (arm.clone().shared, arm.exclusive)
        }
        Data::Enum(data) => {
            let (mut shared, mut exclusive) = (TokenStream::new(), TokenStream::new());
            for variant in &data.variants {
                let variant_name = &variant.ident;
                let arm = arm(&path, &quote!(Self::#variant_name), &variant.fields, &mut visited)?;
                shared.extend(arm.shared);
                exclusive.extend(arm.exclusive);
            }
            (shared, exclusive)
        }
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span(), "a union cannot be a module: use a struct or an enum"));
        }
    };
    // A match on an enum without variants needs the value itself.
    let empty = matches!(&input.data, Data::Enum(data) if data.variants.is_empty());
    let (subject, subject_mut) = if empty { (quote!(*self), quote!(*self)) } else { (quote!(self), quote!(self)) };

    let mut generics = input.generics.clone();
    let parameters: Vec<Ident> = input.generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    if !parameters.is_empty() {
        let clause = generics.make_where_clause();
        for kind in visited.iter().filter(|kind| mentions(kind.to_token_stream(), &parameters)) {
            clause.predicates.push(syn::parse_quote!(#kind: #path::Visit));
        }
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let kind = name.to_string();
    let implementation = (!options.manual).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics #path::Module for #name #type_generics #where_clause {
                fn kind(&self) -> &'static str { #kind }
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #path::Visit for #name #type_generics #where_clause {
            fn visit<'visit>(&'visit self, visitor: &mut dyn #path::Visitor<'visit>) {
                visitor.begin(self);
                match #subject { #shared }
                visitor.end();
            }
            fn visit_mut<'visit>(&'visit mut self, visitor: &mut dyn #path::VisitorMut<'visit>) {
                let _ = &visitor;
                match #subject_mut { #exclusive }
            }
        }
        #implementation
    })
}

#[derive(Clone)]
struct Arm {
    shared: TokenStream,
    exclusive: TokenStream,
}

/// The match arm that visits the fields of a struct or of a variant.
fn arm(path: &TokenStream, constructor: &TokenStream, fields: &Fields, visited: &mut Vec<Type>) -> Result<Arm> {
    let mut bindings = TokenStream::new();
    let (mut shared, mut exclusive) = (TokenStream::new(), TokenStream::new());
    for (index, field) in fields.iter().enumerate() {
        let options = field_options(field)?;
        if options.skip {
            continue;
        }
        visited.push(field.ty.clone());
        let member = field.ident.clone().map_or_else(|| Member::from(index), Member::from);
        let binding = format_ident!("field_{index}", span = field.span());
        bindings.extend(quote!(#member: #binding,));
        let (visit, visit_mut) =
            (quote!(#path::Visit::visit(#binding, visitor);), quote!(#path::Visit::visit_mut(#binding, visitor);));
        if options.flatten {
            shared.extend(visit);
            exclusive.extend(visit_mut);
            continue;
        }
        let name = match (&options.rename, &field.ident) {
            (Some(name), _) => name.value(),
            (None, Some(ident)) => ident.to_string().trim_start_matches("r#").to_owned(),
            (None, None) => index.to_string(),
        };
        shared.extend(quote!(visitor.enter(#path::Segment::Name(#name)); #visit visitor.leave();));
        exclusive.extend(quote!(visitor.enter(#path::Segment::Name(#name)); #visit_mut visitor.leave();));
    }
    Ok(Arm {
        shared: quote!(#constructor { #bindings .. } => { #shared }),
        exclusive: quote!(#constructor { #bindings .. } => { #exclusive }),
    })
}

fn type_options(attributes: &[Attribute]) -> Result<TypeOptions> {
    let mut options = TypeOptions::default();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("module")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("manual") {
                options.manual = true;
                Ok(())
            } else if meta.path.is_ident("crate") {
                options.path = Some(meta.value()?.call(Path::parse_mod_style)?);
                Ok(())
            } else {
                Err(meta.error("expected `manual` or `crate = path`"))
            }
        })?;
    }
    Ok(options)
}

fn field_options(field: &Field) -> Result<FieldOptions> {
    let mut options = FieldOptions::default();
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("module")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                options.skip = true;
                Ok(())
            } else if meta.path.is_ident("flatten") {
                options.flatten = true;
                Ok(())
            } else if meta.path.is_ident("rename") {
                let name: LitStr = meta.value()?.parse()?;
                if name.value().is_empty() || name.value().contains('.') {
                    return Err(Error::new(name.span(), "a name in a state dict is not empty and holds no dot"));
                }
                options.rename = Some(name);
                Ok(())
            } else {
                Err(meta.error("expected `skip`, `flatten` or `rename = \"name\"`"))
            }
        })?;
    }
    let chosen = [options.skip, options.flatten, options.rename.is_some()];
    if chosen.into_iter().filter(|&chosen| chosen).count() > 1 {
        return Err(Error::new(field.span(), "`skip`, `flatten` and `rename` exclude each other"));
    }
    Ok(options)
}

/// Whether tokens name one of the type parameters.
fn mentions(tokens: TokenStream, parameters: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => parameters.contains(&ident),
        TokenTree::Group(group) => mentions(group.stream(), parameters),
        _ => false,
    })
}
