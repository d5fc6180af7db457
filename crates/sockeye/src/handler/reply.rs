//! From a handler's result to the ack.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;
use sockeye_proto::socket::Args;

use super::Outcome;
use crate::ack::AckSender;
use crate::refusal::{IntoRefusal, Refusal};

/// What a handler may return.
///
/// | result | answer, where the client awaits one |
/// |---|---|
/// | `()` | no arguments: `callback()` |
/// | [`Ack(value)`](Ack) | `callback(value)`, whatever serde can write; a tuple is one argument, an array |
/// | [`Args((a, b))`](Args) | `callback(a, b)` |
/// | numbers, `bool`, strings, `Bytes`, `Vec<T>`, maps, [`serde_json::Value`] | as if in `Ack` |
/// | `Result<T, E>` | `T` as above; an error is `callback({"error":{"message", "data"}})`, see [`Refusal`], and is logged |
///
/// A handler that takes an [`AckSender`] has taken over the duty to answer; its result then answers nothing (an
/// error is still logged).
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, `Ack<T>` for a serialisable `T`, or `Result` of these with `Refusal` (or any `IntoRefusal`)"
)]
pub trait Reply {
    /// Answers `ack`, if anybody awaits an answer.
    fn reply(self, ack: Option<AckSender>) -> Outcome;
}

/// An answer of any serialisable type: `Ack(value)`.
///
/// Binary anywhere inside ([`Bytes`], `serde_bytes`) travels as attachments. For several arguments return
/// [`Args((a, b))`](Args) instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack<T>(pub T);

impl Reply for () {
    fn reply(self, ack: Option<AckSender>) -> Outcome {
        answer(&self, ack)
    }
}

impl<T: Serialize> Reply for Ack<T> {
    fn reply(self, ack: Option<AckSender>) -> Outcome {
        answer(&self.0, ack)
    }
}

impl<T: Serialize> Reply for Args<T> {
    fn reply(self, ack: Option<AckSender>) -> Outcome {
        answer(&self, ack)
    }
}

impl<T: Reply, E: IntoRefusal> Reply for Result<T, E> {
    fn reply(self, ack: Option<AckSender>) -> Outcome {
        match self {
            Ok(value) => value.reply(ack),
            Err(error) => refuse(&error.into_refusal(), ack),
        }
    }
}

/// Sends the error answer and logs the refusal: as an error where something went wrong inside, quietly where the
/// application only said no.
pub(crate) fn refuse(refusal: &Refusal, ack: Option<AckSender>) -> Outcome {
    match refusal.cause() {
        Some(cause) => tracing::error!(cause, refusal = refusal.message(), "a handler failed"),
        None => tracing::debug!(refusal = refusal.message(), "a handler refused"),
    }
    if let Some(ack) = ack {
        ack.refuse(refusal);
    }
    Outcome::Failed { message: refusal.message().to_owned() }
}

macro_rules! plain {
    ($([$($generics:tt)*] $type:ty)*) => {
        $(impl<$($generics)*> Reply for $type {
            fn reply(self, ack: Option<AckSender>) -> Outcome {
                answer(&self, ack)
            }
        })*
    };
}

plain! {
    [] bool
    [] u8 [] u16 [] u32 [] u64 [] usize
    [] i8 [] i16 [] i32 [] i64 [] isize
    [] f32 [] f64
    [] char [] String [] &'static str [] Cow<'static, str>
    [] Bytes
    [] serde_json::Value
    [T: Serialize] Vec<T>
    [K: Serialize, V: Serialize] BTreeMap<K, V>
    [K: Serialize, V: Serialize, S] HashMap<K, V, S>
}

fn answer<T: Serialize + ?Sized>(value: &T, ack: Option<AckSender>) -> Outcome {
    let Some(ack) = ack else { return Outcome::Done };
    match ack.send_counted(value) {
        Ok(bytes) => Outcome::Answered { bytes },
        Err(error) => {
            tracing::warn!(%error, "an answer could not be sent");
            Outcome::Done
        }
    }
}
