//! One packet for many receivers, encoded once per dialect.
//!
//! Whoever has an [`Arc<Broadcast>`](Broadcast) asks it for [`Broadcast::encoded`] and hands those messages to an
//! outbox. It knows neither the receivers nor how they are reached.
//!
//! Compression has its place here, too: what one `deflate` gives is the same for all peers without context
//! takeover, so a transport that compresses broadcasts keeps the result beside the messages (one more `OnceLock`,
//! per set of deflate parameters) rather than compressing per receiver.

use std::sync::{Arc, OnceLock};

use crate::socket::{Dialect, EncodeError, Encoded, Out, PacketOut, Parser, Payload, Protocol, encode};

/// An event on its way to many sockets.
///
/// Share it in an `Arc`. Each dialect is encoded by whoever asks for it first, and kept; everybody else gets the
/// same bytes, frame header included. Nothing waits for another dialect's encoding.
#[derive(Debug)]
pub struct Broadcast {
    namespace: Arc<str>,
    payload: Payload,
    compress: bool,
    id: Option<u64>,
    json_5: Slot,
    json_4: Slot,
    msgpack_5: Slot,
    msgpack_4: Slot,
    custom: OnceLock<Box<Custom>>,
}

type Slot = OnceLock<Result<Encoded, EncodeError>>;

/// Encoded by an application's parser. A server has one such parser; should there be more, they form a list.
#[derive(Debug)]
struct Custom {
    parser: Arc<dyn Parser>,
    encoded: Result<Encoded, EncodeError>,
    next: OnceLock<Box<Custom>>,
}

impl Broadcast {
    /// A broadcast of an event in a namespace. `compress` is the flag of that name: whether a transport may
    /// compress it.
    pub fn new(namespace: Arc<str>, payload: Payload, compress: bool) -> Broadcast {
        Broadcast {
            namespace,
            payload,
            compress,
            id: None,
            json_5: Slot::new(),
            json_4: Slot::new(),
            msgpack_5: Slot::new(),
            msgpack_4: Slot::new(),
            custom: OnceLock::new(),
        }
    }

    /// The same, and every receiver is asked for an acknowledgement under this id.
    pub fn asking(namespace: Arc<str>, payload: Payload, compress: bool, id: u64) -> Broadcast {
        Broadcast { id: Some(id), ..Broadcast::new(namespace, payload, compress) }
    }

    /// The messages for a receiver.
    ///
    /// # Errors
    /// Only a custom parser refuses a packet. It is asked once, and its answer is kept.
    pub fn encoded(&self, dialect: &Dialect) -> Result<&Encoded, &EncodeError> {
        let slot = match dialect {
            Dialect::Json(Protocol::V5) => &self.json_5,
            Dialect::Json(Protocol::V4) => &self.json_4,
            Dialect::Msgpack(Protocol::V5) => &self.msgpack_5,
            Dialect::Msgpack(Protocol::V4) => &self.msgpack_4,
            Dialect::Custom(parser) => return self.custom(parser, dialect),
        };
        slot.get_or_init(|| self.encode(dialect)).as_ref()
    }

    /// The event.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether a transport may compress it.
    pub fn compress(&self) -> bool {
        self.compress
    }

    fn custom(&self, parser: &Arc<dyn Parser>, dialect: &Dialect) -> Result<&Encoded, &EncodeError> {
        let mut place = &self.custom;
        loop {
            let entry = place.get_or_init(|| {
                let encoded = self.encode(dialect);
                Box::new(Custom { parser: parser.clone(), encoded, next: OnceLock::new() })
            });
            if Arc::ptr_eq(&entry.parser, parser) {
                return entry.encoded.as_ref();
            }
            place = &entry.next;
        }
    }

    fn encode(&self, dialect: &Dialect) -> Result<Encoded, EncodeError> {
        let body = Out::Event { id: self.id, payload: &self.payload };
        encode(&PacketOut { namespace: &self.namespace, body, compress: self.compress }, dialect)
    }
}
