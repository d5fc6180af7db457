//! Engine.IO, revisions 4 and 3: packets, long-polling payloads, the handshake, and the life of a session.
//!
//! Everything here is a function of its arguments. Nothing in this room waits, reads a clock, makes up an id, logs
//! what a peer sent, or knows what Socket.IO is; bytes come in, packets and decisions go out.
//!
//! | noun | file |
//! |---|---|
//! | one packet, in its three outfits (text frame, binary frame, element of a polling body) | `packet.rs` |
//! | many packets in one polling body, both ways | `payload.rs` |
//! | one outbound message, built once for all its recipients | `message.rs` |
//! | the query of a request | `query.rs` |
//! | whether a request may pass, and how it is refused | `admission.rs` |
//! | the handshake JSON | `open.rs` |
//! | JSONP | `jsonp.rs` |
//! | heartbeat, polling slots, upgrade, close | `session.rs` |

mod admission;
pub(crate) mod base64;
pub mod jsonp;
mod message;
mod open;
mod packet;
mod payload;
mod query;
mod session;

pub use admission::{
    BadRequest, Check, ConnectionError, Method, Passed, Rules, SessionFacts, check_request, check_version,
};
pub use message::{Message, MessageBuilder, MessageHead};
pub use open::Open;
pub use packet::{Data, DecodeError, Kind, Packet, decode_binary, decode_text, undouble};
pub use payload::{
    Content, EncodedPayload, Form, Payload, PayloadWriter, Unspeakable, encode_close, encode_payload,
};
pub use query::{Query, pairs};
pub use session::{
    Admission, CLOSE_WAIT, Control, Fault, Lane, Outlet, Output, Owed, PollAnswer, Reason, Received, Session,
    Timing,
};

/// A revision of Engine.IO, chosen by the client with the query key `EIO` and fixed for the life of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Socket.IO 1 and 2. The client pings; payloads are counted.
    V3,
    /// Socket.IO 3 and 4. The server pings; payloads are separated.
    V4,
}

impl Protocol {
    /// The number, as it stands in the query.
    pub fn number(self) -> u8 {
        match self {
            Protocol::V3 => 3,
            Protocol::V4 => 4,
        }
    }
}

/// What carries the packets of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling: one GET waits for what the server has to say, POSTs carry what the client says.
    Polling,
    /// One WebSocket.
    WebSocket,
}

impl Transport {
    /// The name, as it stands in the query and in `upgrades`.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Polling => "polling",
            Transport::WebSocket => "websocket",
        }
    }

    /// Reads a name. Anything but the two known ones is `None`.
    pub fn from_name(name: &str) -> Option<Transport> {
        match name {
            "polling" => Some(Transport::Polling),
            "websocket" => Some(Transport::WebSocket),
            _ => None,
        }
    }
}
