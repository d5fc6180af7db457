//! Socket.IO: packets inside Engine.IO messages, in every dialect.
//!
//! A packet arrives as text (JSON dialects) or binary (msgpack), possibly followed by binary attachments; a
//! [`Decoder`] turns those messages into a [`Packet`], checked once and trusted from then on. Outward, a
//! [`PacketOut`] becomes an [`Encoded`]: ready messages in the [`Dialect`] of the receiver, cheap to clone.
//!
//! Whatever the dialect, arguments have one form inside: the JSON text of the whole array, in which every binary
//! value is a placeholder, and the binary values beside it ([`Payload`] when owned for sending, [`Arguments`]
//! when received). msgpack is translated from and to that form at the door.
//!
//! ```
//! use sockeye_proto::socket::{Args, Body, Decoder, Dialect, Limits, Protocol, encode_event};
//!
//! let out = encode_event("/", Some(7), "say", &Args(("hi", 2)), &Dialect::Json(Protocol::V5), true)?;
//! let mut decoder = Decoder::new(Dialect::Json(Protocol::V5), Limits::default().into());
//! let packet = decoder.text(r#"27["say","hi",2]"#)?.expect("nothing is attached");
//! let Body::Event { id: Some(7), name, args } = packet.body else { panic!() };
//! assert_eq!(name, "say");
//! assert_eq!(args.args::<(String, u8)>()?, ("hi".to_owned(), 2));
//! # let _ = out;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This module never decides what a packet *means*: whether a namespace exists, whether an acknowledgement was
//! asked for and what closes a session is for the layers above. It never keeps more than the attachments of one
//! unfinished packet, and it never re-encodes what it relays.

mod arguments;
mod assembly;
mod decoder;
mod encode;
mod error;
pub(crate) mod json;
mod limits;
pub(crate) mod msgpack;
mod packet;
mod parser;
mod payload;
mod read;
mod resolve;
mod value;
mod write;

pub use arguments::Arguments;
pub use decoder::{Choice, Decoder};
pub use encode::{
    Encoded, Out, PacketOut, connected, connection_refused, disconnected, encode, encode_ack, encode_event,
};
pub use error::{EncodeError, ReadError, Violation};
pub use limits::Limits;
pub use packet::{Body, Packet, RESERVED};
pub use parser::{Dialect, Json, Msgpack, PacketDecoder, Parser, Protocol};
pub use payload::Payload;
pub use value::Value;
pub use write::Args;
