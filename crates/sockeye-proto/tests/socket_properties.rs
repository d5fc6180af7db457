//! Laws of the codecs, over made-up packets, mutilated ones and noise.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use sockeye_proto::socket::{
    Args, Body, Decoder, Dialect, Encoded, Limits, Out, Packet, PacketOut, Payload, Protocol, Value, encode,
};

#[derive(Debug, Clone)]
enum Sent {
    Connect(Option<BTreeMap<String, Value>>),
    Disconnect,
    Event(Option<u64>, String, Vec<Value>),
    Ack(u64, Vec<Value>),
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let protocol = prop_oneof![Just(Protocol::V5), Just(Protocol::V4)];
    (protocol, any::<bool>()).prop_map(|(protocol, json)| match json {
        true => Dialect::Json(protocol),
        false => Dialect::Msgpack(protocol),
    })
}

/// At most three attachments in an argument.
fn values() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        any::<u64>().prop_map(|number| Value::Number(number.into())),
        (-1e15..1e15).prop_map(|number| Value::Number(serde_json::Number::from_f64(number).unwrap())),
        any::<String>().prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Binary(bytes.into())),
    ];
    plain.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map(keys(), inner, 0..3).prop_map(Value::Object),
        ]
    })
}

fn keys() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("_placeholder".to_owned()),
        Just("num".to_owned()),
        Just("7".to_owned())
    ]
}

fn names() -> impl Strategy<Value = String> {
    let reserved = |name: &String| !sockeye_proto::socket::RESERVED.contains(&name.as_str());
    proptest::string::string_regex("[ -~é😀\"\\\\]{0,20}").unwrap().prop_filter("reserved", reserved)
}

fn namespaces() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[a-zé /]{1,20}"]
}

fn packets() -> impl Strategy<Value = (String, Sent)> {
    let id = || 0..=(1_u64 << 53) - 1;
    let plain = values().prop_filter("no binary", |value| binaries(value) == 0);
    let body = prop_oneof![
        1 => proptest::option::of(proptest::collection::btree_map(any::<String>(), plain, 0..3))
            .prop_map(Sent::Connect),
        1 => Just(Sent::Disconnect),
        4 => (proptest::option::of(id()), names(), proptest::collection::vec(values(), 0..4))
            .prop_map(|(id, name, args)| Sent::Event(id, name, args)),
        4 => (id(), proptest::collection::vec(values(), 0..4)).prop_map(|(id, args)| Sent::Ack(id, args)),
    ];
    (namespaces(), body)
}

fn binaries(value: &Value) -> usize {
    match value {
        Value::Binary(_) => 1,
        Value::Array(values) => values.iter().map(binaries).sum(),
        Value::Object(entries) => entries.values().map(binaries).sum(),
        _ => 0,
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.attachments = 100;
    limits
}

fn write(namespace: &str, sent: &Sent, dialect: &Dialect) -> Encoded {
    let text;
    let payload;
    let body = match sent {
        Sent::Connect(auth) => {
            text = auth.as_ref().map(|auth| serde_json::to_string(auth).unwrap());
            Out::Connect(text.as_deref())
        }
        Sent::Disconnect => Out::Disconnect,
        Sent::Event(id, name, args) => {
            payload = Payload::event(name, &Args(args)).unwrap();
            Out::Event { id: *id, payload: &payload }
        }
        Sent::Ack(id, args) => {
            payload = Payload::args(&Args(args)).unwrap();
            Out::Ack { id: *id, payload: &payload }
        }
    };
    encode(&PacketOut { namespace, body, compress: true }, dialect).unwrap()
}

fn read(decoder: &mut Decoder, encoded: &Encoded) -> Packet<'static> {
    let mut packet = None;
    for message in encoded.messages() {
        assert!(packet.is_none());
        packet = match message.is_binary() {
            true => decoder.binary(message.payload().into()).unwrap(),
            false => {
                let text = std::str::from_utf8(message.payload()).unwrap();
                decoder.text(text).unwrap().map(Packet::into_owned)
            }
        };
    }
    packet.expect("a whole packet")
}

fn relay(packet: &Packet<'_>, dialect: &Dialect) -> Encoded {
    let payload;
    let body = match &packet.body {
        Body::Connect { auth, .. } => Out::Connect(auth.as_deref()),
        Body::Disconnect => Out::Disconnect,
        Body::Event { id, args, .. } => {
            payload = args.to_payload();
            Out::Event { id: *id, payload: &payload }
        }
        Body::Ack { id, args } => {
            payload = args.to_payload();
            Out::Ack { id: *id, payload: &payload }
        }
        Body::ConnectError(data) => Out::ConnectError { message: "", data: data.as_deref() },
        Body::InvalidNamespace => Out::Disconnect,
    };
    encode(&PacketOut { namespace: &packet.namespace, body, compress: true }, dialect).unwrap()
}

fn bytes_of(encoded: &Encoded) -> Vec<Bytes> {
    encoded.messages().map(|message| message.payload_shared()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// CODEC: decode after encode is identity, in every dialect, and so is encode after decode.
    #[test]
    fn round_trip((namespace, sent) in packets(), dialect in dialects(), other in dialects()) {
        let forged = |args: &[Value]| Payload::args(&Args(args)).is_err();
        if let Sent::Event(_, _, args) | Sent::Ack(_, args) = &sent {
            prop_assume!(!forged(args));
        }
        let encoded = write(&namespace, &sent, &dialect);
        let mut decoder = Decoder::new(dialect.clone(), limits().into());
        let packet = read(&mut decoder, &encoded);
        prop_assert!(!decoder.is_pending());
        prop_assert_eq!(&packet.namespace, &namespace);
        match (&sent, &packet.body) {
            (Sent::Connect(sent), Body::Connect { auth, query: None }) => {
                let auth = auth.as_ref().map(|auth| serde_json::from_str(auth).unwrap());
                let v4 = matches!(dialect, Dialect::Json(Protocol::V4) | Dialect::Msgpack(Protocol::V4));
                prop_assert_eq!(auth, sent.clone().filter(|_| !v4));
            }
            (Sent::Disconnect, Body::Disconnect) => {}
            (Sent::Event(sent_id, sent_name, sent), Body::Event { id, name, args }) => {
                prop_assert_eq!((id, name.as_ref()), (sent_id, sent_name.as_str()));
                prop_assert_eq!(&args.args::<Vec<Value>>().unwrap(), sent);
                prop_assert_eq!(args.is_empty(), sent.is_empty());
                if let Some(first) = sent.first() {
                    prop_assert_eq!(&args.arg::<Value>().unwrap(), first);
                }
            }
            (Sent::Ack(sent_id, sent), Body::Ack { id, args }) => {
                prop_assert_eq!(id, sent_id);
                prop_assert_eq!(&args.args::<Vec<Value>>().unwrap(), sent);
            }
            (sent, body) => prop_assert!(false, "{:?} became {:?}", sent, body),
        }
        prop_assert_eq!(bytes_of(&relay(&packet, &dialect)), bytes_of(&encoded));
        // Through another dialect nothing changes either.
        let detour = read(&mut Decoder::new(other.clone(), limits().into()), &relay(&packet, &other));
        if let (Body::Event { args, .. } | Body::Ack { args, .. }, Body::Event { args: other, .. } | Body::Ack { args: other, .. }) = (&packet.body, &detour.body) {
            prop_assert_eq!(args.args::<Vec<Value>>().unwrap(), other.args::<Vec<Value>>().unwrap());
        }
    }

    /// Whatever is done to a packet, the decoder refuses it or reads something that a relay does not make larger.
    #[test]
    fn mutilated((namespace, sent) in packets(), dialect in dialects(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..4))
    {
        if let Sent::Event(_, _, args) | Sent::Ack(_, args) = &sent {
            prop_assume!(Payload::args(&Args(args)).is_ok());
        }
        let mut wire: Vec<(bool, Vec<u8>)> = write(&namespace, &sent, &dialect)
            .messages()
            .map(|message| (message.is_binary(), message.payload().to_vec()))
            .collect();
        for (at, byte, edit) in edits {
            let (_, first) = &mut wire[0];
            if first.is_empty() { continue; }
            let at = at.index(first.len());
            match edit {
                0 => first[at] = byte,
                1 => first.truncate(at),
                2 => first.insert(at, byte),
                _ => { first.remove(at); }
            }
        }
        check_no_amplification(&wire, &dialect);
    }

    #[test]
    fn noise(wire in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..4),
        dialect in dialects())
    {
        check_no_amplification(&wire, &dialect);
    }

    /// Noise that looks like JSON: our reader of structure says what `serde_json` says.
    #[test]
    fn json_like(text in "[\\[\\]{},:\"\\\\u0-9eE+.\\- a-ftrulsn]{0,24}") {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let packet = format!("30[{text}]");
        let ours = Decoder::new(Dialect::Json(Protocol::V5), Limits::default().into()).text(&packet).is_ok();
        let whole = serde_json::from_str::<serde::de::IgnoredAny>(&format!("[{text}]")).is_ok();
        prop_assert_eq!(ours, whole, "{}", text);
        if is_json {
            prop_assert!(ours);
        }
    }
}

/// No panic, and: `encoded(decode(x)).len() <= x.len() + attachments + 64 * packets`. In msgpack a date of ten
/// bytes becomes a text of 25, a float of four bytes one of eight and an extension type an array; hence its factor.
fn check_no_amplification(wire: &[(bool, Vec<u8>)], dialect: &Dialect) {
    let mut decoder = Decoder::new(dialect.clone(), limits().into());
    let (mut received, mut sent) = (0, 0);
    for (binary, bytes) in wire {
        received += bytes.len();
        let text;
        let result = match binary {
            true => decoder.binary(bytes.into()),
            false => {
                text = String::from_utf8_lossy(bytes);
                decoder.text(&text)
            }
        };
        let Ok(packet) = result else { return };
        let Some(packet) = packet else { continue };
        if let Body::Event { args, .. } | Body::Ack { args, .. } = &packet.body {
            // Whatever was accepted can be read.
            let _ = args.args::<Vec<Value>>();
            assert!(args.text().len() <= 6 * received + 32 * args.attachments().len());
        }
        received += 64;
        for message in relay(&packet, dialect).messages() {
            sent += message.payload_len();
        }
        // Protocol 4 escapes what is not printable ASCII: one byte, U+007F, becomes six.
        let factor = match dialect {
            Dialect::Json(Protocol::V5) => 1,
            Dialect::Json(Protocol::V4) => 6,
            _ => 3,
        };
        assert!(sent <= factor * received + 16 * wire.len(), "{sent} > {factor} * {received}");
    }
}
