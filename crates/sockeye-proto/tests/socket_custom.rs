//! A parser of an application: the shape of `socket.io-json-parser`; and broadcasts, which ask each parser once.

mod socket_support;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socket_support::{cases, decode_all, wire_of};
use sockeye_proto::broadcast::Broadcast;
use sockeye_proto::engine::Message;
use sockeye_proto::socket::{
    Args, Body, Choice, Decoder, Dialect, EncodeError, Encoded, Limits, Out, Packet, PacketDecoder,
    PacketOut, Parser, Payload, Protocol, Violation, encode,
};

#[derive(Debug, Default)]
struct Plain {
    asked: AtomicUsize,
}

#[derive(Debug)]
struct PlainDecoder;

#[derive(Serialize, Deserialize)]
struct Shape<'a> {
    r#type: u8,
    nsp: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl Parser for Plain {
    fn decoder(&self, _: Arc<Limits>) -> Box<dyn PacketDecoder> {
        Box::new(PlainDecoder)
    }

    fn encode(&self, packet: &PacketOut<'_>) -> Result<Encoded, EncodeError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let refusal;
        let (r#type, id, data) = match packet.body {
            Out::Connect(data) => (0, None, data),
            Out::Disconnect => (1, None, None),
            Out::Event { payload, .. } | Out::Ack { payload, .. } if !payload.attachments().is_empty() => {
                return Err(EncodeError::Custom("no binary here".into()));
            }
            Out::Event { id, payload } => (2, id, Some(payload.text())),
            Out::Ack { id, payload } => (3, Some(id), Some(payload.text())),
            Out::ConnectError { message, .. } => {
                refusal = serde_json::json!({ "message": message }).to_string();
                (4, None, Some(refusal.as_str()))
            }
        };
        let data = data.map(|data| serde_json::from_str(data).expect("JSON"));
        let shape = Shape { r#type, nsp: packet.namespace.into(), id, data };
        Ok(Encoded::single(Message::text(&serde_json::to_string(&shape).expect("a packet"))))
    }
}

impl PacketDecoder for PlainDecoder {
    fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation> {
        let shape: Shape<'a> = serde_json::from_str(text).map_err(|_| Violation::Json)?;
        let data = shape.data.map(RawValue::get);
        let args = |event| Payload::from_parts(data.unwrap_or("").to_owned(), Vec::new(), event);
        let body = match (shape.r#type, shape.id) {
            (0, None) => Body::Connect { auth: data.map(Cow::Borrowed), query: None },
            (1, None) => Body::Disconnect,
            (2, id) => return Packet::event(shape.nsp, id, args(true)?).map(Some),
            (3, Some(id)) => return Ok(Some(Packet::ack(shape.nsp, id, args(false)?))),
            (4, None) => Body::ConnectError(data.map(Cow::Borrowed)),
            _ => return Err(Violation::PacketType),
        };
        Ok(Some(Packet { namespace: shape.nsp, body }))
    }

    fn binary(&mut self, _: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation> {
        Err(Violation::UnexpectedBinary)
    }
}

#[test]
fn sio_json() {
    let vectors = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/protocol/sio-json.json"));
    let parser: Arc<dyn Parser> = Arc::new(Plain::default());
    for case in &cases(vectors) {
        let (packet, wire) = (case.packet(), case.wire());
        let choice = Choice::Custom(parser.clone());
        let mut decoder = Decoder::choose(&choice, Protocol::V5, Limits::default().into());
        let (packets, violation) = decode_all(&mut decoder, &wire);
        assert_eq!(violation, None);
        packet.assert_is(&packets[0], &case.name);
        let payload;
        let body = match &packets[0].body {
            Body::Connect { auth, .. } => Out::Connect(auth.as_deref()),
            Body::Event { id, args, .. } => {
                payload = args.to_payload();
                Out::Event { id: *id, payload: &payload }
            }
            Body::Ack { id, args } => {
                payload = args.to_payload();
                Out::Ack { id: *id, payload: &payload }
            }
            _ => Out::ConnectError { message: "x", data: None },
        };
        let out = PacketOut { namespace: &packets[0].namespace, body, compress: true };
        assert_eq!(wire_of(&encode(&out, decoder.dialect()).unwrap()), wire);
        assert_eq!(decoder.binary(b"x"[..].into()), Err(Violation::UnexpectedBinary));
    }
}

#[test]
fn a_broadcast_is_encoded_once_per_dialect() {
    let payload = Payload::event("news", &Args(("é", bytes::Bytes::from_static(b"x")))).unwrap();
    let broadcast = Broadcast::new("/n".into(), payload, false);
    for dialect in [
        Dialect::Json(Protocol::V5),
        Dialect::Json(Protocol::V4),
        Dialect::Msgpack(Protocol::V5),
        Dialect::Msgpack(Protocol::V4),
    ] {
        let encoded = broadcast.encoded(&dialect).unwrap();
        let again = broadcast.encoded(&dialect).unwrap();
        assert!(std::ptr::eq(encoded, again));
        assert!(encoded.messages().all(|message| !message.compress()));
        let body = Out::Event { id: None, payload: broadcast.payload() };
        let alone = encode(&PacketOut { namespace: "/n", body, compress: false }, &dialect).unwrap();
        assert_eq!(wire_of(encoded), wire_of(&alone));
        let copied = encoded.clone();
        assert_eq!(
            copied.first().payload().as_ptr(),
            encoded.first().payload().as_ptr(),
            "receivers share the bytes"
        );
    }
}

#[test]
fn a_broadcast_asks_each_parser_once() {
    let (one, two) = (Arc::new(Plain::default()), Arc::new(Plain::default()));
    let broadcast = Broadcast::new("/".into(), Payload::event("news", &1).unwrap(), true);
    let refused = Broadcast::new("/".into(), Payload::event("pic", &bytes::Bytes::new()).unwrap(), true);
    for _ in 0..3 {
        for parser in [&one, &two] {
            let dialect = Dialect::Custom(parser.clone());
            let encoded = broadcast.encoded(&dialect).unwrap();
            assert_eq!(encoded.first().payload(), br#"{"type":2,"nsp":"/","data":["news",1]}"#);
            assert!(refused.encoded(&dialect).is_err());
        }
    }
    assert_eq!(one.asked.load(Ordering::Relaxed), 2);
    assert_eq!(two.asked.load(Ordering::Relaxed), 2);
}
