//! `#[derive(Event)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Result, Type};

/// For programs with the server: the type is also an argument of the server's handlers.
pub(crate) fn derive(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let event = event(&input, &quote!(::sockeye))?;
    let read = match arguments(&input.data) {
        Arguments::None => quote!({
            let _ = call;
            ::core::result::Result::Ok(Self)
        }),
        Arguments::Several => quote!(::sockeye::extract::all::<Self>(call)),
        Arguments::One => quote!(::sockeye::extract::first::<Self>(call)),
    };
    let ident = &input.ident;
    let (generics, parameters, bounds) = input.generics.split_for_impl();
    let more = bounds.iter().flat_map(|bounds| &bounds.predicates);
    Ok(quote! {
        #event

        // The bound with a lifetime of its own is only looked at when the type is used as an argument: an event
        // that is only sent needs no `Deserialize`.
        #[automatically_derived]
        impl #generics ::sockeye::extract::FromEvent for #ident #parameters
        where
            #(#more,)*
            Self: for<'de> ::sockeye::extract::Deserialize<'de> + ::core::marker::Send + 'static,
        {
            const EVENT: ::core::option::Option<&'static str> =
                ::core::option::Option::Some(<Self as ::sockeye::Event>::NAME);

            fn from_event(
                call: &mut ::sockeye::handler::Call<'_>,
            ) -> ::core::result::Result<Self, ::sockeye::extract::Mismatch> {
                #read
            }
        }
    })
}

/// For programs with the client alone, whose handlers take every event.
pub(crate) fn derive_client(input: TokenStream) -> Result<TokenStream> {
    event(&syn::parse2(input)?, &quote!(::sockeye_client))
}

/// What both have in common: `home` re-exports the trait.
fn event(input: &DeriveInput, home: &TokenStream) -> Result<TokenStream> {
    let options = Options::read(input)?;
    if let Data::Union(union) = &input.data {
        return Err(Error::new(union.union_token.span(), "a union cannot be an event"));
    }
    let name = options.name.map_or_else(|| snake_case(&input.ident.to_string()), |name| name.value());
    let ack = options.ack.map_or_else(|| quote!(()), |ack| quote!(#ack));
    let arguments = match arguments(&input.data) {
        Arguments::None => quote!(None),
        Arguments::One => quote!(One),
        Arguments::Several => quote!(Several),
    };
    let ident = &input.ident;
    let (generics, parameters, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics #home::Event for #ident #parameters #bounds {
            const NAME: &'static str = #name;
            type Ack = #ack;
            const ARGUMENTS: #home::EventArguments = #home::EventArguments::#arguments;
        }
    })
}

/// How the type travels.
enum Arguments {
    None,
    One,
    Several,
}

fn arguments(data: &Data) -> Arguments {
    match data {
        Data::Struct(data) if matches!(data.fields, Fields::Unit) => Arguments::None,
        Data::Struct(data) if matches!(data.fields, Fields::Unnamed(_)) && data.fields.len() > 1 => {
            Arguments::Several
        }
        _ => Arguments::One,
    }
}

#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    ack: Option<Type>,
}

impl Options {
    fn read(input: &DeriveInput) -> Result<Self> {
        let mut options = Self::default();
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("event")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    check_name(&name)?;
                    once(&mut options.name, name, &meta)
                } else if meta.path.is_ident("ack") {
                    let ack = meta.value()?.parse()?;
                    once(&mut options.ack, ack, &meta)
                } else {
                    Err(meta.error("an event has `name = \"…\"` and `ack = Type`"))
                }
            })?;
        }
        if options.name.is_none() && is_reserved(&snake_case(&input.ident.to_string())) {
            let name = snake_case(&input.ident.to_string());
            let text =
                format!("`{name}` is a reserved event name: give another with `#[event(name = \"…\")]`");
            return Err(Error::new(input.ident.span(), text));
        }
        Ok(options)
    }
}

fn once<T>(slot: &mut Option<T>, value: T, meta: &syn::meta::ParseNestedMeta<'_>) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("given twice")),
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text.is_empty() {
        return Err(Error::new(name.span(), "an event's name cannot be empty"));
    }
    if is_reserved(&text) {
        return Err(Error::new(name.span(), format!("`{text}` is a reserved event name")));
    }
    Ok(())
}

/// The names clients and servers of Socket.IO keep for themselves.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}

/// `UserJoined` → `user_joined`, `HTTPError` → `http_error`, `V2Ready` → `v2_ready`.
fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.trim_start_matches("r#").chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, &here) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        let starts_word = here.is_uppercase()
            && before.is_some_and(|&before| before != '_')
            && (!before.is_some_and(|before| before.is_uppercase())
                || after.is_some_and(|after| after.is_lowercase()));
        if starts_word {
            snake.push('_');
        }
        snake.extend(here.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_a_reader_would() {
        for (name, snake) in [
            ("Say", "say"),
            ("UserJoined", "user_joined"),
            ("HTTPError", "http_error"),
            ("V2Ready", "v2_ready"),
            ("A", "a"),
            ("Already_snake", "already_snake"),
            ("ÄrgerVorbei", "ärger_vorbei"),
            ("r#Type", "type"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }

    fn error(input: &str) -> String {
        derive(input.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_could_never_work() {
        assert!(error("#[event(name = \"disconnect\")] struct A;").contains("reserved"));
        assert!(error("struct Connect;").contains("give another"));
        assert!(error("#[event(name = \"\")] struct A;").contains("empty"));
        assert!(error("#[event(nane = \"a\")] struct A;").contains("`name"));
        assert!(error("#[event(name = \"a\", name = \"b\")] struct A;").contains("twice"));
        assert!(error("union A { a: u8 }").contains("union"));
        assert!(derive("#[event(name = \"connect \")] struct Connect;".parse().unwrap()).is_ok());
    }
}
