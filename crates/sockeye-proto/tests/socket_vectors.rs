//! What the published parsers wrote and read, and what we make of the same.

mod socket_support;

use std::sync::Arc;

use socket_support::{Case, Expected, Wire, cases, decode_all, from_base64, wire_of};
use sockeye_proto::socket::{
    Args, Body, Decoder, Dialect, EncodeError, Encoded, Limits, Out, PacketOut, Payload, Protocol, Value,
    Violation, encode, encode_ack, encode_event,
};

macro_rules! vectors {
    ($name:literal) => {
        cases(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/protocol/", $name)))
    };
}

const JSON_5: Dialect = Dialect::Json(Protocol::V5);
const JSON_4: Dialect = Dialect::Json(Protocol::V4);
const MSGPACK_5: Dialect = Dialect::Msgpack(Protocol::V5);
const MSGPACK_4: Dialect = Dialect::Msgpack(Protocol::V4);

/// Where we are stricter than the reference on purpose: the case, what we say, and why.
type Divergence = (&'static str, Violation, &'static str);

const JSON_5_DIVERGENCES: &[Divergence] = &[
    (r#"decode "01""#, Violation::Id, "F11: a CONNECT has no id"),
    (r#"decode "2""#, Violation::Payload, "F11: an event has a payload"),
    (r#"decode "2 [\"sp\"]""#, Violation::Payload, "F10: a space is no digit"),
    (r#"decode "2 5[\"sp\"]""#, Violation::Payload, "F10: a space is no digit"),
    (r#"decode "299999999999999999999[\"big\"]""#, Violation::Id, "F10: ids end at 2^53-1"),
    (r#"decode "3[]""#, Violation::Id, "F11: an acknowledgement has an id"),
    (r#"decode "3""#, Violation::Id, "F11: an acknowledgement has an id and a payload"),
    (r#"decode "30""#, Violation::Payload, "F11: an acknowledgement has a payload"),
    (r#"decode "51-[\"x\"]""#, Violation::Placeholder, "F5: an attachment has its placeholder"),
    (r#"decode "51-""#, Violation::Payload, "F11: an event has a payload"),
    (r#"decode "51e0-[\"x\"]""#, Violation::AttachmentCount, "F1: counts are digits"),
    (r#"decode "61-15[\"x\"]""#, Violation::Placeholder, "F5: an attachment has its placeholder"),
    (r#"decode """#, Violation::PacketType, "F11: an empty message is no packet"),
    ("attachment used twice", Violation::Placeholder, "F5: each index once"),
    ("attachment never referenced", Violation::Placeholder, "F5: each index once"),
    ("placeholder float index", Violation::Placeholder, "F4: indexes are integers"),
    ("_placeholder not strictly true", Violation::Placeholder, "F5: the attachment has no placeholder"),
    ("10 attachments", Violation::Placeholder, "F5: an attachment has its placeholder"),
    ("11 attachments with maxAttachments 11", Violation::Placeholder, "F5: likewise"),
    ("waiting for attachments emits nothing", Violation::Placeholder, "F5: likewise"),
];

const JSON_4_DIVERGENCES: &[Divergence] = &[
    (r#"decode "0/admin?a=1,2""#, Violation::Id, "F11: a CONNECT has no id"),
    (r#"decode "2[\"connect\"]""#, Violation::EventName, "F8: reserved for every client of ours"),
    (r#"decode "2[\"disconnect\"]""#, Violation::EventName, "F8: reserved for every client of ours"),
    (r#"decode "2""#, Violation::Payload, "F11: an event has a payload"),
    (r#"decode "3[]""#, Violation::Id, "F11: an acknowledgement has an id"),
    (r#"decode "51-[\"x\"]""#, Violation::Placeholder, "F5: an attachment has its placeholder"),
    (r#"decode "7""#, Violation::PacketType, "the reference makes an ERROR packet of it and closes"),
    (r#"decode "8""#, Violation::PacketType, "likewise"),
    (r#"decode "a""#, Violation::PacketType, "likewise"),
    (r#"decode """#, Violation::PacketType, "F11: an empty message is no packet"),
    // The oldest parsers only.
    (r#"decode "2[]""#, Violation::EventName, "an event has a name"),
    (r#"decode "2{}""#, Violation::Payload, "an event is an array"),
    (r#"decode "2bad""#, Violation::Payload, "the reference makes an ERROR packet of it and closes"),
    (r#"decode "50-[\"x\"]""#, Violation::AttachmentCount, "F2"),
    (r#"decode "511-[\"x\"]""#, Violation::TooManyAttachments, "F3"),
    ("bad placeholder", Violation::Placeholder, "F4: the reference reads undefined"),
    ("text while pending", Violation::TextBetweenAttachments, "F6: the reference drops the first packet"),
];

const MSGPACK_DIVERGENCES: &[Divergence] = &[
    ("empty array data", Violation::EventName, "an event has a name, in every dialect"),
    ("type 6", Violation::Id, "F11: an acknowledgement has an id"),
];

#[test]
fn sio5_packet() {
    check_json(vectors!("sio5-packet.json"), &JSON_5, JSON_5_DIVERGENCES);
}

#[test]
fn sio4_parser34() {
    check_json(vectors!("sio4-parser34.json"), &JSON_4, JSON_4_DIVERGENCES);
}

#[test]
fn sio4_parser23() {
    check_json(vectors!("sio4-parser23.json"), &JSON_4, JSON_4_DIVERGENCES);
}

fn check_json(cases: Vec<Case>, dialect: &Dialect, divergences: &[Divergence]) {
    let v5 = matches!(dialect, Dialect::Json(Protocol::V5));
    for case in &cases {
        match case.op.as_str() {
            "encode" => check_json_encoding(case, dialect, v5),
            "decode" => check_decoding(case, dialect, divergences),
            other => panic!("{other}"),
        }
    }
}

fn check_json_encoding(case: &Case, dialect: &Dialect, v5: bool) {
    let (name, packet, wire) = (&case.name, case.packet(), case.wire());
    match name.as_str() {
        "reserved event name is invalid" => {
            let refused = Payload::event("disconnect", &"x").unwrap_err();
            assert_eq!(refused, EncodeError::ReservedName("disconnect".into()));
            return;
        }
        "binary flagged without binary" => return, // Types follow from the data here.
        "empty event is invalid" | "non integer id" => return, // Not expressible.
        _ => {}
    }
    // In protocol 4 we write ASCII.
    let wire = match name.as_str() {
        "event unicode" if !v5 => vec![Wire::Text(r#"2["\u20ac","\ud83d\ude00"]"#.into())],
        _ => wire,
    };
    assert_eq!(wire_of(&write(&packet, dialect)), wire, "{name}");
    // And back, and out again. Attachments may be more than we accept, and a comma cannot be read back.
    if name.contains("ambiguous") {
        return;
    }
    let limits = Arc::new({
        let mut limits = Limits::default();
        limits.attachments = 11;
        limits
    });
    let (packets, violation) = decode_all(&mut Decoder::new(dialect.clone(), limits), &wire);
    assert_eq!(violation, None, "{name}");
    let [decoded] = &packets[..] else { panic!("{name}") };
    if packet.nsp.contains('?') && !v5 {
        assert_eq!(decoded.namespace, "/admin");
        let Body::Connect { query: Some(query), .. } = &decoded.body else { panic!("{name}") };
        assert_eq!(query, "token=abc&x=1");
        return;
    }
    packet.assert_is(decoded, name);
    let body = match &decoded.body {
        Body::Event { id, args, .. } => (Some(*id), args.to_payload()),
        Body::Ack { id, args } => (None, {
            let _ = id;
            args.to_payload()
        }),
        _ => return,
    };
    let out = match &decoded.body {
        Body::Ack { id, .. } => Out::Ack { id: *id, payload: &body.1 },
        _ => Out::Event { id: body.0.flatten(), payload: &body.1 },
    };
    let out = PacketOut { namespace: &decoded.namespace, body: out, compress: true };
    assert_eq!(wire_of(&encode(&out, dialect).unwrap()), wire, "{name}, relayed");
}

/// In all the ways there are.
fn write(packet: &Expected, dialect: &Dialect) -> Encoded {
    let text = packet.data.as_ref().map(|data| serde_json::to_string(data).unwrap());
    let namespace = packet.nsp.as_str();
    let id = packet.id.map(|id| id as u64);
    let one = |body| encode(&PacketOut { namespace, body, compress: true }, dialect).unwrap();
    match packet.kind {
        0 => one(Out::Connect(text.as_deref())),
        1 => one(Out::Disconnect),
        4 => {
            let text = text.unwrap();
            let fields: Value = serde_json::from_str(&text).unwrap();
            let Value::Object(fields) = fields else {
                let message: String = serde_json::from_str(&text).unwrap();
                return one(Out::ConnectError { message: &message, data: None });
            };
            let Some(Value::String(message)) = fields.get("message") else {
                return one(Out::ConnectError { message: "", data: Some(&text) });
            };
            let data = fields.get("data").map(|_| text.split_once("\"data\":").unwrap().1);
            let data = data.map(|data| data.strip_suffix('}').unwrap());
            one(Out::ConnectError { message, data })
        }
        2 | 5 => {
            let (name, args) = packet.event().unwrap();
            let named = format!("[{}", serde_json::to_string(&name).unwrap());
            if !text.unwrap().starts_with(&named) {
                // Names are strings here; a number is only relayed.
                let args: Vec<_> = args.iter().map(|arg| serde_json::to_string(arg).unwrap()).collect();
                let text = format!("[{name},{}]", args.join(","));
                return one(Out::Event { id, payload: &Payload::from_parts(text, vec![], true).unwrap() });
            }
            let payload = Payload::event(&name, &Args(&args)).unwrap();
            let whole = one(Out::Event { id, payload: &payload });
            let straight = encode_event(namespace, id, &name, &Args(&args), dialect, true).unwrap();
            assert_eq!(wire_of(&straight), wire_of(&whole));
            whole
        }
        _ => {
            let Some(socket_support::Node::Array(args)) = &packet.data else { panic!() };
            let payload = Payload::args(&Args(args)).unwrap();
            let whole = one(Out::Ack { id: id.unwrap(), payload: &payload });
            let straight = encode_ack(namespace, id.unwrap(), &Args(args), dialect, true).unwrap();
            assert_eq!(wire_of(&straight), wire_of(&whole));
            whole
        }
    }
}

fn check_decoding(case: &Case, dialect: &Dialect, divergences: &[Divergence]) {
    let name = &case.name;
    let mut limits = Limits::default();
    if name.contains("maxAttachments 11") {
        limits.attachments = 11;
    }
    let (packets, violation) = decode_all(&mut Decoder::new(dialect.clone(), limits.into()), &case.wire());
    let expected = case.packets();
    let equal = violation.is_some() == case.throws() && packets.len() == expected.len();
    if !equal {
        let stance = divergences.iter().find(|(diverges, ..)| diverges == name);
        let Some((_, stance, _)) = stance else {
            panic!("{name}: {packets:?} {violation:?}, but the reference: {expected:?}");
        };
        assert_eq!(violation, Some(*stance), "{name}");
        return;
    }
    for (packet, expected) in packets.iter().zip(expected) {
        let mut expected = expected;
        if let (Dialect::Json(Protocol::V4), Some((namespace, _))) = (dialect, expected.nsp.split_once('?')) {
            expected.nsp = namespace.to_owned();
        }
        expected.assert_is(packet, name);
    }
}

#[test]
fn every_divergence_is_still_one() {
    let names = |cases: Vec<Case>| cases.into_iter().map(|case| case.name).collect::<Vec<_>>();
    let mut known = names(vectors!("sio5-packet.json"));
    for (name, ..) in JSON_5_DIVERGENCES {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
    known = names(vectors!("sio4-parser34.json"));
    for (name, ..) in JSON_4_DIVERGENCES {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
    known = names(vectors!("sio-msgpack.json"));
    for (name, ..) in MSGPACK_DIVERGENCES {
        assert!(known.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn sio_msgpack() {
    for case in &vectors!("sio-msgpack.json") {
        let dialect = if case.field::<u8>("sio_protocol") == Some(5) { MSGPACK_5 } else { MSGPACK_4 };
        if case.op == "decode" {
            check_decoding(case, &dialect, MSGPACK_DIVERGENCES);
            continue;
        }
        let (name, packet, wire) = (&case.name, case.packet(), case.wire());
        let (packets, violation) =
            decode_all(&mut Decoder::new(dialect.clone(), Limits::default().into()), &wire);
        assert_eq!(violation, None, "{name}");
        packet.assert_is(&packets[0], name);
        // The client's own key order and its undefined keys are its own; so are dates, undefined and NaN.
        let own = ["as the JS client sends it", "connect answer", "Date", "undefined", "floats and ints"];
        if !own.iter().any(|own| name.contains(own)) {
            assert_eq!(wire_of(&write(&packet, &dialect)), wire, "{name}");
        }
    }
}

#[test]
fn notepack() {
    for case in &vectors!("notepack.json") {
        let name = &case.name;
        let (bytes, expected) = match case.op.as_str() {
            "encode" => {
                let written: std::collections::BTreeMap<String, String> = case.field("notepack_3").unwrap();
                let old: std::collections::BTreeMap<String, String> = case.field("notepack_2_2").unwrap();
                let value = socket_support::Node::parse(case.raw("value").unwrap());
                let expected = value.value();
                // Typed arrays are cut to a byte per element by version 3.
                if name != "typed" {
                    assert_eq!(read_in_event(&from_base64(&written["b64"])).unwrap(), expected, "{name}");
                }
                assert_eq!(read_in_event(&from_base64(&old["b64"])).unwrap(), expected, "{name}, 2.2");
                let ours =
                    !["undef", "nan", "inf", "ninf", "date", "typed"].iter().any(|own| name.starts_with(own));
                if ours {
                    let payload = Payload::event("n", &value).unwrap();
                    let body = Out::Event { id: None, payload: &payload };
                    let packet = PacketOut { namespace: "/", body, compress: true };
                    let encoded = encode(&packet, &MSGPACK_5).unwrap();
                    let tail = [&[0x92, 0xA1, b'n'][..], &from_base64(&written["b64"])].concat();
                    assert!(encoded.first().payload().ends_with(&tail), "{name}");
                }
                continue;
            }
            _ => {
                let wire: std::collections::BTreeMap<String, String> = case.field("wire").unwrap();
                let new: socket_support::Fields = case.field("notepack_3").unwrap();
                let (key, raw) = new.0.into_iter().next().unwrap();
                (
                    from_base64(&wire["b64"]),
                    (key == "value").then(|| socket_support::Node::parse(&raw).value()),
                )
            }
        };
        match expected {
            // Exact here, where JavaScript has only doubles.
            Some(_) if name == "decode d3ffdfffffffffffff" => {
                assert_eq!(
                    read_in_event(&bytes).unwrap(),
                    Value::Number((-9_007_199_254_740_993_i64).into())
                );
            }
            Some(expected) => assert_eq!(read_in_event(&bytes).unwrap(), expected, "{name}"),
            None => {
                read_in_event(&bytes).unwrap_err();
            }
        }
    }
}

/// A value as the argument of an event, decoded.
fn read_in_event(value: &[u8]) -> Result<Value, Violation> {
    let head = b"\x83\xA4type\x02\xA3nsp\xA1/\xA4data\x92\xA1n";
    let mut decoder = Decoder::new(MSGPACK_5, Limits::default().into());
    let packet = decoder.binary([&head[..], value].concat().into())?.expect("a whole packet");
    let Body::Event { args, .. } = packet.body else { panic!() };
    Ok(args.arg().unwrap())
}
