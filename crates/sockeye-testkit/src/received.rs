//! What a client got: an event, or the answer to one.

use std::fmt;
use std::panic::Location;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::socket::Arguments;

use crate::wire::{self, Wire};

/// An event from the server, or its answer to a call.
pub struct Received {
    pub(crate) name: String,
    pub(crate) args: Arguments<'static>,
    pub(crate) answer: Option<Answer>,
}

/// The duty to answer an event.
pub(crate) struct Answer {
    pub(crate) wire: Wire,
    pub(crate) namespace: String,
    pub(crate) id: u64,
}

impl Received {
    /// The event's name; for an answer, that of the event it answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first argument, as a `T`.
    ///
    /// # Panics
    /// When it is not one.
    #[track_caller]
    pub fn data<T: DeserializeOwned>(&self) -> T {
        match self.args.arg() {
            Ok(value) => value,
            Err(error) => self.misfit(&error, Location::caller()),
        }
    }

    /// All arguments, as the tuple `T`.
    ///
    /// # Panics
    /// When they are not one.
    #[track_caller]
    pub fn args<T: DeserializeOwned>(&self) -> T {
        match self.args.args() {
            Ok(value) => value,
            Err(error) => self.misfit(&error, Location::caller()),
        }
    }

    /// The arguments as they came, as JSON text of an array, the event's name included. Binary values are
    /// placeholders, see [`attachments`](Self::attachments).
    pub fn json(&self) -> &str {
        self.args.text()
    }

    /// The binary values, in the order of their placeholders.
    pub fn attachments(&self) -> &[Bytes] {
        self.args.attachments()
    }

    /// Whether there is no argument at all.
    pub fn is_empty(&self) -> bool {
        self.args.is_empty()
    }

    /// The refusal, if this answer is one: `{"error":{"message", "data"}}`. The message and the data (null without).
    pub fn refusal(&self) -> Option<(String, serde_json::Value)> {
        let value: serde_json::Value = self.args.arg().ok()?;
        let error = value.get("error")?;
        let message = error.get("message")?.as_str()?.to_owned();
        Some((message, error.get("data").cloned().unwrap_or_default()))
    }

    /// Whether the server awaits an answer to this event.
    pub fn wants_answer(&self) -> bool {
        self.answer.is_some()
    }

    /// Answers: with one argument, or several in [`sockeye::Args`].
    ///
    /// # Panics
    /// When the server awaits no answer.
    #[track_caller]
    pub fn answer(self, args: impl Serialize) {
        let Some(answer) = self.answer else {
            panic!("the server awaits no answer to `{}` (at {})", self.name, Location::caller());
        };
        answer.wire.send(wire::ack(&answer.namespace, answer.id, &args, answer.wire.dialect()));
    }

    fn misfit(&self, error: &dyn fmt::Display, at: &Location<'_>) -> ! {
        panic!("`{}` came with {}, but {error} (at {at})", self.name, self.json());
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.json())?;
        match self.attachments().len() {
            0 => Ok(()),
            some => write!(f, " and {some} attachments"),
        }
    }
}
