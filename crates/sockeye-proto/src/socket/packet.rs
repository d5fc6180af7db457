//! A packet as it was received: checked, typed, and still borrowed from the message it came in.

use std::borrow::Cow;

use super::{Arguments, Payload, Violation};

/// Event names that no peer may send: a JavaScript receiver would mix them up with its own events. `error` and
/// `connection` are ordinary names.
pub const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// One packet, decoded and valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet<'a> {
    /// The namespace, `/` when the packet named none. At most [`Limits::namespace`](super::Limits::namespace)
    /// bytes, without control characters.
    pub namespace: Cow<'a, str>,
    /// Its type, and what that type carries.
    pub body: Body<'a>,
}

/// The types of packet. The binary types 5 and 6 arrive as events and acknowledgements with attachments.
#[derive(Debug, Clone, PartialEq)]
pub enum Body<'a> {
    /// Type 0: a client asks to join the namespace, or a server answers that it has.
    Connect {
        /// JSON text of an object: the client's `auth`, or the server's `{"sid":…}`.
        auth: Option<Cow<'a, str>>,
        /// Protocol 4 only: what followed `?` in the namespace, still percent-encoded.
        query: Option<Cow<'a, str>>,
    },
    /// Type 0 with a namespace name that breaks the limits. Answer with
    /// [`connection_refused`](super::connection_refused) and `Invalid namespace`, and go on. The name in the
    /// packet was cut before its first control character and at the limit, so that it is safe to answer to.
    InvalidNamespace,
    /// Type 1: the peer leaves the namespace.
    Disconnect,
    /// Types 2 and 5.
    Event {
        /// Present when an acknowledgement is asked for; 0 to 2^53−1.
        id: Option<u64>,
        /// The event name. A number used as a name arrives as its text (`2[7]` is the event `7`, as `2["7"]` is).
        name: Cow<'a, str>,
        /// What follows the name.
        args: Arguments<'a>,
    },
    /// Types 3 and 6.
    Ack {
        /// The id of the event that is answered.
        id: u64,
        /// The answer.
        args: Arguments<'a>,
    },
    /// Type 4: JSON text of what the server refused with. An object or a string in protocol 5, anything in
    /// protocol 4. Only servers send it.
    ConnectError(Option<Cow<'a, str>>),
}

impl<'a> Packet<'a> {
    /// An event, from arguments that came some other way than through a [`Decoder`](super::Decoder).
    ///
    /// # Errors
    /// When the payload does not begin with an event name, or with a reserved one.
    pub fn event(
        namespace: impl Into<Cow<'a, str>>,
        id: Option<u64>,
        payload: Payload,
    ) -> Result<Packet<'a>, Violation> {
        let name = payload.name().ok_or(Violation::EventName)?.into_owned().into();
        let args = payload.into_arguments(true);
        Ok(Packet { namespace: namespace.into(), body: Body::Event { id, name, args } })
    }

    /// An acknowledgement, likewise.
    pub fn ack(namespace: impl Into<Cow<'a, str>>, id: u64, payload: Payload) -> Packet<'a> {
        let args = payload.into_arguments(false);
        Packet { namespace: namespace.into(), body: Body::Ack { id, args } }
    }
}

impl Packet<'_> {
    /// The same packet, borrowed from nothing. Copies the text if it was borrowed; attachments are shared.
    pub fn into_owned(self) -> Packet<'static> {
        let body = match self.body {
            Body::Connect { auth, query } => Body::Connect { auth: auth.map(owned), query: query.map(owned) },
            Body::InvalidNamespace => Body::InvalidNamespace,
            Body::Disconnect => Body::Disconnect,
            Body::Event { id, name, args } => Body::Event { id, name: owned(name), args: args.into_owned() },
            Body::Ack { id, args } => Body::Ack { id, args: args.into_owned() },
            Body::ConnectError(data) => Body::ConnectError(data.map(owned)),
        };
        Packet { namespace: owned(self.namespace), body }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
