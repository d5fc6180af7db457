//! Dialects: the built-in ones, and how an application brings its own.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::{Decoder, EncodeError, Encoded, Limits, Packet, PacketOut, Violation, encode};

/// The Socket.IO protocol a session speaks. It follows from the Engine.IO protocol: 4 over EIO 3, 5 over EIO 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Socket.IO 1.0.3 to 2.x. The main namespace is joined implicitly, a CONNECT carries no payload, refusals
    /// are bare values, and everything is written in ASCII (`protocols.md` §1.3 tells why).
    V4,
    /// Socket.IO 3 and 4.
    V5,
}

/// How a session's packets are written: protocol generation and parser.
#[derive(Debug, Clone)]
pub enum Dialect {
    /// The default parser: JSON text, binary values as attachments.
    Json(Protocol),
    /// `socket.io-msgpack-parser`: each packet one binary message.
    Msgpack(Protocol),
    /// A parser of the application.
    Custom(Arc<dyn Parser>),
}

/// A packet parser. The built-in ones are [`Json`] and [`Msgpack`]; an application may bring its own.
///
/// Both sides of a connection must use the same one: nothing on the wire names it. What a parser decodes has to
/// keep the promises of [`Packet`]; [`Payload::from_parts`](super::Payload::from_parts) checks arguments, and
/// [`Packet::event`] and [`Packet::ack`] make packets from them.
///
/// ```
/// use std::borrow::Cow;
/// use std::sync::Arc;
///
/// use serde::{Deserialize, Serialize};
/// use serde_json::value::RawValue;
/// use sockeye_proto::engine::Message;
/// use sockeye_proto::socket::{
///     Body, EncodeError, Encoded, Limits, Out, Packet, PacketDecoder, PacketOut, Parser, Payload, Violation,
/// };
///
/// /// Each packet one text message: the packet as a JSON object. No binary.
/// #[derive(Debug)]
/// struct Plain;
///
/// #[derive(Serialize, Deserialize)]
/// struct Shape<'a> {
///     r#type: u8,
///     nsp: Cow<'a, str>,
///     #[serde(skip_serializing_if = "Option::is_none")]
///     id: Option<u64>,
///     #[serde(borrow, skip_serializing_if = "Option::is_none")]
///     data: Option<&'a RawValue>,
/// }
///
/// impl Parser for Plain {
///     fn decoder(&self, _: Arc<Limits>) -> Box<dyn PacketDecoder> {
///         Box::new(Plain)
///     }
///
///     fn encode(&self, packet: &PacketOut<'_>) -> Result<Encoded, EncodeError> {
///         let refusal;
///         let (r#type, id, data) = match packet.body {
///             Out::Connect(data) => (0, None, data),
///             Out::Disconnect => (1, None, None),
///             Out::Event { payload, .. } | Out::Ack { payload, .. } if !payload.attachments().is_empty() => {
///                 return Err(EncodeError::Custom("no binary here".into()));
///             }
///             Out::Event { id, payload } => (2, id, Some(payload.text())),
///             Out::Ack { id, payload } => (3, Some(id), Some(payload.text())),
///             Out::ConnectError { message, .. } => {
///                 refusal = serde_json::json!({ "message": message }).to_string();
///                 (4, None, Some(refusal.as_str()))
///             }
///         };
///         let data = data.map(serde_json::from_str).transpose().map_err(|_| EncodeError::Json("data"))?;
///         let shape = Shape { r#type, nsp: packet.namespace.into(), id, data };
///         let text = serde_json::to_string(&shape).map_err(|error| EncodeError::Serialize(error.to_string()))?;
///         Ok(Encoded::single(Message::text(&text).with_compress(packet.compress)))
///     }
/// }
///
/// impl PacketDecoder for Plain {
///     fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation> {
///         let shape: Shape<'a> = serde_json::from_str(text).map_err(|_| Violation::Json)?;
///         let data = shape.data.map_or("", RawValue::get);
///         let args = |event| Payload::from_parts(data.to_owned(), Vec::new(), event);
///         let body = match (shape.r#type, shape.id) {
///             (0, None) => Body::Connect { auth: shape.data.map(|data| data.get().into()), query: None },
///             (1, None) => Body::Disconnect,
///             (2, id) => return Packet::event(shape.nsp, id, args(true)?).map(Some),
///             (3, Some(id)) => return Ok(Some(Packet::ack(shape.nsp, id, args(false)?))),
///             _ => return Err(Violation::PacketType),
///         };
///         Ok(Some(Packet { namespace: shape.nsp, body }))
///     }
///
///     fn binary(&mut self, _: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation> {
///         Err(Violation::UnexpectedBinary)
///     }
/// }
///
/// let payload = Payload::event("a", &1)?;
/// let out = PacketOut { namespace: "/admin", body: Out::Event { id: Some(1), payload: &payload }, compress: true };
/// let sent = Plain.encode(&out)?;
/// assert_eq!(sent.first().payload(), br#"{"type":2,"nsp":"/admin","id":1,"data":["a",1]}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Parser: Debug + Send + Sync + 'static {
    /// The decoding side of one session. It may keep state between messages.
    fn decoder(&self, limits: Arc<Limits>) -> Box<dyn PacketDecoder>;

    /// One packet as messages.
    ///
    /// # Errors
    /// When the packet cannot be said in this dialect; the emit that asked for it gets the error.
    fn encode(&self, packet: &PacketOut<'_>) -> Result<Encoded, EncodeError>;
}

/// The decoding side of a [`Parser`], for one session.
pub trait PacketDecoder: Debug + Send {
    /// A text message. `None` if the packet goes on in the next message.
    ///
    /// # Errors
    /// A violation closes the session.
    fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation>;

    /// A binary message.
    ///
    /// # Errors
    /// A violation closes the session.
    fn binary(&mut self, data: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation>;

    /// True while a packet is unfinished.
    fn is_pending(&self) -> bool {
        false
    }
}

/// The default parser, as a [`Parser`] to build on. A session that simply speaks it is better served by
/// [`Dialect::Json`].
#[derive(Debug, Clone, Copy)]
pub struct Json(pub Protocol);

/// The msgpack parser, as a [`Parser`] to build on. A session that simply speaks it is better served by
/// [`Dialect::Msgpack`].
#[derive(Debug, Clone, Copy)]
pub struct Msgpack(pub Protocol);

impl Parser for Json {
    fn decoder(&self, limits: Arc<Limits>) -> Box<dyn PacketDecoder> {
        Box::new(Decoder::new(Dialect::Json(self.0), limits))
    }

    fn encode(&self, packet: &PacketOut<'_>) -> Result<Encoded, EncodeError> {
        encode(packet, &Dialect::Json(self.0))
    }
}

impl Parser for Msgpack {
    fn decoder(&self, limits: Arc<Limits>) -> Box<dyn PacketDecoder> {
        Box::new(Decoder::new(Dialect::Msgpack(self.0), limits))
    }

    fn encode(&self, packet: &PacketOut<'_>) -> Result<Encoded, EncodeError> {
        encode(packet, &Dialect::Msgpack(self.0))
    }
}

impl PacketDecoder for Decoder {
    fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation> {
        Decoder::text(self, text)
    }

    fn binary(&mut self, data: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation> {
        Decoder::binary(self, data)
    }

    fn is_pending(&self) -> bool {
        Decoder::is_pending(self)
    }
}
