//! From packets to messages.

use std::sync::Arc;

use serde::Serialize;

use super::{Dialect, EncodeError, Payload};
use crate::engine::Message;

/// A packet to send.
#[derive(Debug, Clone, Copy)]
pub struct PacketOut<'a> {
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// Its type, and what that type carries.
    pub body: Out<'a>,
    /// Whether a transport may compress it. The reference's default is true.
    pub compress: bool,
}

/// The types of packet, outward. Binary types follow from the payload's attachments.
#[derive(Debug, Clone, Copy)]
pub enum Out<'a> {
    /// Type 0, with JSON text of an object: a server's `{"sid":…}`, or a client's `auth`. In protocol 4 a CONNECT
    /// carries nothing, and the text is left out.
    Connect(Option<&'a str>),
    /// Type 1.
    Disconnect,
    /// Type 2 or 5.
    Event {
        /// Asks for an acknowledgement; 0 to 2^53−1.
        id: Option<u64>,
        /// Made by [`Payload::event`].
        payload: &'a Payload,
    },
    /// Type 3 or 6.
    Ack {
        /// The id of the event that is answered.
        id: u64,
        /// Made by [`Payload::args`].
        payload: &'a Payload,
    },
    /// Type 4. Protocol 5 sends `{"message":…,"data":…}`; protocol 4 sends `data` alone, or else the message.
    ConnectError {
        /// What a JavaScript client finds in `err.message`.
        message: &'a str,
        /// JSON text for `err.data`.
        data: Option<&'a str>,
    },
}

/// A packet as ready messages: one, and then its attachments. Cloning it copies no payload.
#[derive(Debug, Clone)]
pub struct Encoded {
    first: Message,
    attachments: Option<Arc<[Message]>>,
}

impl Encoded {
    /// A packet that is one message.
    pub fn single(message: Message) -> Encoded {
        Encoded { first: message, attachments: None }
    }

    /// A packet and the messages that follow it.
    pub fn with_attachments(first: Message, attachments: Vec<Message>) -> Encoded {
        Encoded { first, attachments: (!attachments.is_empty()).then(|| attachments.into()) }
    }

    /// The first message.
    pub fn first(&self) -> &Message {
        &self.first
    }

    /// The messages that must follow the first, with nothing in between.
    pub fn attachments(&self) -> &[Message] {
        self.attachments.as_deref().unwrap_or(&[])
    }

    /// All messages, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.first).chain(self.attachments())
    }
}

/// Any packet, in any dialect.
///
/// # Errors
/// Only a [custom parser](Dialect::Custom) refuses a packet.
pub fn encode(packet: &PacketOut<'_>, dialect: &Dialect) -> Result<Encoded, EncodeError> {
    todo!("{packet:?}{dialect:?}")
}

/// An event for one receiver, serialized straight into its message: without a [`Payload`] in between where
/// the dialect is JSON.
///
/// # Errors
/// As [`Payload::event`].
pub fn encode_event(
    namespace: &str,
    id: Option<u64>,
    name: &str,
    args: &(impl Serialize + ?Sized),
    dialect: &Dialect,
    compress: bool,
) -> Result<Encoded, EncodeError> {
    todo!("{namespace}{id:?}{name}{}{dialect:?}{compress}", std::any::type_name_of_val(args))
}

/// An acknowledgement, serialized straight into its message: without a [`Payload`] in between where the
/// dialect is JSON.
///
/// # Errors
/// As [`Payload::args`].
pub fn encode_ack(
    namespace: &str,
    id: u64,
    args: &(impl Serialize + ?Sized),
    dialect: &Dialect,
    compress: bool,
) -> Result<Encoded, EncodeError> {
    todo!("{namespace}{id:?}{}{dialect:?}{compress}", std::any::type_name_of_val(args))
}

/// A server's answer to a CONNECT: `40{"sid":…}`, with `pid` when connection state recovery is on. Protocol 4
/// answers without either.
///
/// # Errors
/// Only a [custom parser](Dialect::Custom) refuses a packet.
pub fn connected(
    namespace: &str,
    sid: &str,
    pid: Option<&str>,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    todo!("{namespace}{sid}{pid:?}{dialect:?}")
}

/// A server's refusal of a CONNECT. `data` is JSON text.
///
/// # Errors
/// Only a [custom parser](Dialect::Custom) refuses a packet.
pub fn connection_refused(
    namespace: &str,
    message: &str,
    data: Option<&str>,
    dialect: &Dialect,
) -> Result<Encoded, EncodeError> {
    todo!("{namespace}{message}{data:?}{dialect:?}")
}

/// A DISCONNECT.
///
/// # Errors
/// Only a [custom parser](Dialect::Custom) refuses a packet.
pub fn disconnected(namespace: &str, dialect: &Dialect) -> Result<Encoded, EncodeError> {
    todo!("{namespace}{dialect:?}")
}
