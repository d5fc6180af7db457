//! From a handler's result to the ack.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;
use sockeye_proto::event::{Ack, IntoRefusal, Refusal};
use sockeye_proto::socket::Args;

use super::Outcome;
use crate::ack::AckSender;
use crate::emit::EmitError;

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
    /// Fulfils the duty.
    fn reply(self, duty: Duty) -> Outcome;
}

/// The duty to answer an event with what its handler returned. There may be nobody who awaits an answer.
#[derive(Debug)]
pub struct Duty {
    ack: Option<AckSender>,
    handler: &'static str,
}

impl Duty {
    /// `F` is the future of the handler: its name is the handler's.
    pub(super) fn of<F>(ack: Option<AckSender>) -> Self {
        Self { ack, handler: type_name::<F>() }
    }

    /// Answers, if anybody awaits it: with one argument, several in [`Args`], none with `()`.
    pub fn answer<T: Serialize + ?Sized>(self, value: &T) -> Outcome {
        let Some(ack) = self.ack else { return Outcome::Done };
        match ack.send_counted(value) {
            Ok(bytes) => Outcome::Answered { bytes },
            Err(error @ EmitError::Encode(_)) => {
                tracing::error!(handler = path(self.handler), %error, "an answer cannot be written");
                Outcome::Done
            }
            // The client is gone or does not read: nothing a handler could have done better.
            Err(error) => {
                tracing::debug!(handler = path(self.handler), %error, "an answer was not sent");
                Outcome::Done
            }
        }
    }

    /// Answers with an error, if anybody awaits an answer, and logs it: as an error where something went wrong inside,
    /// quietly where the application only said no.
    pub fn refuse(self, refusal: &Refusal) -> Outcome {
        let handler = path(self.handler);
        match refusal.cause() {
            Some(cause) => tracing::error!(handler, refusal = refusal.message(), cause, "a handler failed"),
            None => tracing::debug!(handler, refusal = refusal.message(), "a handler refused"),
        }
        if let Some(ack) = self.ack {
            ack.refuse(refusal);
        }
        Outcome::Failed { message: refusal.message().to_owned() }
    }
}

/// `chat::say`, from the name of the future of `async fn say`, which is `chat::say::{{closure}}`.
fn path(future: &'static str) -> &'static str {
    future.trim_end_matches("::{{closure}}")
}

impl Reply for () {
    fn reply(self, duty: Duty) -> Outcome {
        duty.answer(&self)
    }
}

impl<T: Serialize> Reply for Ack<T> {
    fn reply(self, duty: Duty) -> Outcome {
        duty.answer(&self.0)
    }
}

impl<T: Serialize> Reply for Args<T> {
    fn reply(self, duty: Duty) -> Outcome {
        duty.answer(&self)
    }
}

impl<T: Reply, E: IntoRefusal> Reply for Result<T, E> {
    fn reply(self, duty: Duty) -> Outcome {
        match self {
            Ok(value) => value.reply(duty),
            Err(error) => duty.refuse(&error.into_refusal()),
        }
    }
}

macro_rules! plain {
    ($([$($generics:tt)*] $type:ty)*) => {
        $(impl<$($generics)*> Reply for $type {
            fn reply(self, duty: Duty) -> Outcome {
                duty.answer(&self)
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
