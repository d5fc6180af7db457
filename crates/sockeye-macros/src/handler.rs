//! `#[handler]`: one assertion per argument, each at the place in the source it is about.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, Result, ReturnType, Type};

/// How many arguments `sockeye::Handler` is implemented for.
const MOST_ARGUMENTS: usize = 10;

/// The item, unchanged, and the assertions beside it. The item stays even where an assertion cannot be written: the
/// rest of the program should not get errors for a missing function on top.
pub(crate) fn check(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let checks = assertions(attribute, item.clone()).unwrap_or_else(Error::into_compile_error);
    quote!(#item #checks)
}

/// The traits a kind of handler is made of.
struct Kind {
    argument: &'static str,
    reply: &'static str,
}

impl Kind {
    fn read(attribute: TokenStream) -> Result<Self> {
        if attribute.is_empty() {
            return Ok(Self { argument: "FromEvent", reply: "Reply" });
        }
        let word: Ident = syn::parse2(attribute)?;
        let argument = match word.to_string().as_str() {
            "event" => return Ok(Self { argument: "FromEvent", reply: "Reply" }),
            "connect" | "middleware" => "FromConnect",
            "disconnect" => "FromDisconnect",
            _ => {
                return Err(Error::new(
                    word.span(),
                    "write `handler`, `handler(connect)` or `handler(disconnect)`",
                ));
            }
        };
        Ok(Self { argument, reply: "ConnectReply" })
    }
}

fn assertions(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let kind = Kind::read(attribute)?;
    let function: ItemFn = syn::parse2(item)?;
    let signature = &function.sig;

    if signature.asyncness.is_none() {
        return Err(Error::new(signature.fn_token.span(), "a handler is an `async fn`"));
    }
    if !signature.generics.params.is_empty() {
        let text = "`#[handler]` cannot check a generic function; take the attribute away or name the types";
        return Err(Error::new(signature.generics.span(), text));
    }
    if let Some(too_many) = signature.inputs.iter().nth(MOST_ARGUMENTS) {
        let text =
            "a handler has at most 10 arguments; combine some in an extractor of your own (`FromEvent`)";
        return Err(Error::new(too_many.span(), text));
    }

    let mut checks = TokenStream::new();
    let mut never = Vec::new();
    for (at, input) in signature.inputs.iter().enumerate() {
        let ty = match input {
            FnArg::Receiver(receiver) => {
                let text = "a handler has no `self`; keep what it needs in `State<T>`, or register a closure";
                return Err(Error::new(receiver.span(), text));
            }
            FnArg::Typed(typed) => &*typed.ty,
        };
        if let Type::Reference(reference) = ty {
            let text = "a handler owns its arguments: it may still run when the event is long gone";
            return Err(Error::new(reference.span(), text));
        }
        if let Type::ImplTrait(anything) = ty {
            return Err(Error::new(anything.span(), "`#[handler]` cannot check `impl Trait`; name the type"));
        }
        let check = format_ident!("__argument_{at}", span = ty.span());
        // Every token is spanned at the type, so that the compiler's arrow points there and not at the attribute.
        let argument = Ident::new(kind.argument, ty.span());
        checks.extend(quote_spanned! {ty.span()=>
            #[allow(warnings)]
            fn #check() {
                fn is_extractor<T: ::sockeye::extract::#argument>() {}
                is_extractor::<#ty>();
            }
        });
        never.push(quote!(::core::panic!()));
    }

    if let ReturnType::Type(_, ty) = &signature.output {
        let reply = Ident::new(kind.reply, ty.span());
        checks.extend(quote_spanned! {ty.span()=>
            #[allow(warnings)]
            fn __result() {
                fn is_reply<T: ::sockeye::handler::#reply>() {}
                is_reply::<#ty>();
            }
        });
    }

    let name = &signature.ident;
    checks.extend(quote_spanned! {name.span()=>
        #[allow(warnings)]
        fn __future() {
            fn is_send(_: impl ::core::marker::Send) {}
            is_send(#name(#(#never),*));
        }
    });
    Ok(quote!(const _: () = { #checks };))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(attribute: &str, item: &str) -> String {
        assertions(attribute.parse().unwrap(), item.parse().unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn says_what_no_trait_bound_could() {
        assert!(error("", "fn a() {}").contains("async fn"));
        assert!(error("", "async fn a<T>(t: T) {}").contains("generic"));
        assert!(error("", "async fn a(&self) {}").contains("`self`"));
        assert!(error("", "async fn a(text: &str) {}").contains("owns"));
        assert!(error("", "async fn a(text: impl Send) {}").contains("impl Trait"));
        assert!(error("nothing", "async fn a() {}").contains("handler(connect)"));
        let eleven = "a: A, ".repeat(11);
        assert!(error("", &format!("async fn a({eleven}) {{}}")).contains("at most 10"));
    }

    #[test]
    fn leaves_the_function_alone() {
        let item: TokenStream = "async fn a(&self) {}".parse().unwrap();
        let out = check(TokenStream::new(), item.clone()).to_string();
        assert!(out.starts_with(&item.to_string()));
    }
}
