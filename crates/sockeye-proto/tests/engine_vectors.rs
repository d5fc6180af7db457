//! The captured vectors of Engine.IO's parsers, every case of them: decoded, and encoded where the vector encodes.
//!
//! Where we differ on purpose, the case stands in a list here with its reason. A case in a list that does not differ
//! fails the test, so the lists cannot rot.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use sockeye_proto::engine::{
    Content, Data, DecodeError, Form, Kind, Message, Packet, Payload, PayloadWriter, Protocol, decode_binary,
    decode_text, jsonp,
};

const LENIENT_BASE64: &str = "base64 is the standard alphabet and nothing else";
const SURROGATE: &str = "a lone surrogate is no text in Rust, and no UTF-8 on the wire";
const FALSY: &str = "JavaScript's falsy data is dropped; ours is text or bytes";
const TYPELESS: &str = "the reference makes a packet without a type of it; no type, no packet";
const DIGITS: &str = "a length is digits and nothing else";
const TRUNCATED: &str = "a length beyond the body is an error, not a shorter packet";
const NOT_WRITTEN: &str = "an empty list is never sent: the encoder writes a noop";
const DOUBLE: &str = "double UTF-8: never written (JSON goes out in ASCII), read by undouble";
const ALWAYS_BINARY: &str = "binary payloads for text alone: a text payload is read by these clients as well";
const WIDE: &str = "dialects A and B read characters above U+00FF as garbage or throw; here they are text";

#[test]
fn eio4_packet() {
    File::load("eio4-packet.json").run(
        Protocol::V4,
        &[
            ("message zero (falsy data is dropped)", FALSY),
            ("message lone surrogate", SURROGATE),
            ("decode \"b!!!!\"", LENIENT_BASE64),
            ("decode \"b_-8=\"", LENIENT_BASE64),
            ("decode \"bAQ ID\\nBA==\"", LENIENT_BASE64),
        ],
    );
}

#[test]
fn eio4_payload() {
    File::load("eio4-payload.json").run(Protocol::V4, &[]);
}

#[test]
fn eio3_parser2() {
    File::load("eio3-parser2.json").run(
        Protocol::V3,
        &[
            ("utf8encode euro", DOUBLE),
            ("utf8encode emoji", DOUBLE),
            ("decode \"b\"", TYPELESS),
            ("decode \"b9AQ==\"", TYPELESS),
            ("decode binary 7,1", TYPELESS),
            ("decode binary ", TYPELESS),
            ("empty list (text)", NOT_WRITTEN),
            ("empty list (binary capable)", NOT_WRITTEN),
            ("decode payload \"2:4\u{1f600}\"", SURROGATE),
            ("decode payload \" 2:4x\"", DIGITS),
            ("decode payload \"2.0:4x\"", DIGITS),
            ("decode payload \"1e0:4\"", DIGITS),
            ("decode binary payload 0009ff34", TRUNCATED),
        ],
    );
}

#[test]
fn eio3_parser13() {
    let file = File::load("eio3-parser13.json");
    let mut expected = vec![
        ("decode \"b\"", TYPELESS),
        ("decode \"b9AQ==\"", TYPELESS),
        ("decode binary 7,1", TYPELESS),
        ("decode binary ", TYPELESS),
        ("empty list (text)", NOT_WRITTEN),
        ("decode payload \"2:4€\"", WIDE),
        ("decode payload \"3:4\u{1f600}\"", WIDE),
        ("decode payload \"2:4\u{1f600}\"", SURROGATE),
        ("decode payload \" 2:4x\"", DIGITS),
        ("decode payload \"2.0:4x\"", DIGITS),
        ("decode payload \"1e0:4\"", DIGITS),
        ("decode binary payload 0009ff34", TRUNCATED),
    ];
    expected.extend(file.older_dialect());
    file.run(Protocol::V3, &expected);
}

#[test]
fn eio3_parser10() {
    let file = File::load("eio3-parser10.json");
    let mut expected =
        vec![("empty list (text)", NOT_WRITTEN), ("decode \"4€\"", WIDE), ("decode payload \"2:4€\"", WIDE)];
    expected.extend(file.older_dialect());
    file.run(Protocol::V3, &expected);
}

#[test]
fn eio2_parser_reads_as_3() {
    File::load("eio2-parser.json").run(Protocol::V3, &[("payload 0", NOT_WRITTEN)]);
}

#[test]
fn eio_jsonp() {
    for case in File::load("eio-jsonp.json").cases {
        let name = &case.name;
        let text = |key: &str| case.json[key].as_str().map(str::to_owned);
        match case.op() {
            "post" | "read" => {
                let body = text("form_body").unwrap();
                assert_eq!(jsonp::form_payload(&body), text("server_reads"), "{name}");
            }
            "response" => {
                let body = jsonp::response(&text("j").unwrap(), &text("payload").unwrap());
                assert_eq!(Some(body), text("body"), "{name}");
            }
            other => panic!("{name}: {other}?"),
        }
    }
}

/// What is ASCII is written alike in all three dialects of revision 3: the ground under "JSON goes out in ASCII".
#[test]
fn ascii_is_the_same_in_every_dialect() {
    let mut seen = 0;
    for file in ["eio3-parser2.json", "eio3-parser13.json", "eio3-parser10.json"] {
        for case in File::load(file).cases {
            let comparable = case.op() == "encode-payload"
                && !case.capable()
                && case.ascii()
                && !case.packets().is_empty();
            if comparable {
                assert_eq!(case.encode_payload(Protocol::V3), case.wire(), "{file}: {}", case.name);
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "{seen}");
}

struct File {
    name: String,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    json: Value,
}

/// What a vector's packet carries.
#[derive(Clone, Debug, PartialEq)]
enum Want {
    Text(String),
    Binary(Vec<u8>),
}

/// Bytes on the wire, in the ways a vector gives them.
#[derive(Clone, Debug, PartialEq)]
enum Wire {
    Text(String),
    Binary(Vec<u8>),
    /// Code units with a lone surrogate among them.
    Impossible,
}

type Got = Result<(Kind, Want), DecodeError>;

impl File {
    fn load(name: &str) -> File {
        let path = format!("{}/../../vectors/protocol/{name}", env!("CARGO_MANIFEST_DIR"));
        let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = json["cases"].as_array().unwrap().iter().map(|case| {
            let mut name = case["name"].as_str().unwrap().to_owned();
            if name == "payload" {
                // Three cases share this name.
                name = format!("payload {}", case["packets"].as_array().unwrap().len());
            }
            Case { name, json: case.clone() }
        });
        File { name: name.to_owned(), cases: cases.collect() }
    }

    fn run(&self, protocol: Protocol, differs: &[(&str, &str)]) {
        let mut differing = BTreeSet::new();
        for case in &self.cases {
            if let Some(difference) = case.difference(protocol) {
                let listed = differs.iter().any(|(name, _)| *name == case.name);
                assert!(listed, "{}: {}: {difference}", self.name, case.name);
                differing.insert(case.name.clone());
            }
        }
        for (name, reason) in differs {
            assert!(differing.contains(*name), "{}: {name} does not differ any more ({reason})", self.name);
        }
    }

    /// The cases of dialects A and B that a server which speaks C cannot meet, by what they show.
    fn older_dialect(&self) -> Vec<(&str, &'static str)> {
        let mut list = Vec::new();
        for case in self.cases.iter().filter(|case| case.op().starts_with("encode")) {
            let text_only = case.packets().iter().all(|packet| !matches!(packet, Some((_, Want::Binary(_)))));
            if case.op() == "encode-payload" && case.capable() && text_only {
                list.push((case.name.as_str(), ALWAYS_BINARY));
            } else if !case.ascii() && case.difference(Protocol::V3).is_some() {
                list.push((case.name.as_str(), DOUBLE));
            }
        }
        list
    }
}

impl Case {
    fn op(&self) -> &str {
        self.json["op"].as_str().unwrap()
    }

    /// How we differ from the vector, if we do.
    fn difference(&self, protocol: Protocol) -> Option<String> {
        let wire = self.wire();
        if let "encode" | "encode-payload" = self.op() {
            let got =
                if self.op() == "encode" { self.encode(protocol) } else { self.encode_payload(protocol) };
            return (got != wire || wire == Wire::Impossible).then(|| format!("wrote {got:?}"));
        }
        let mut want = self.packets();
        if self.json.get("throws").is_some() {
            want = vec![None];
        }
        let got: Vec<Got> = match (self.json["packets"].is_array(), &wire) {
            (false, Wire::Text(text)) => vec![owned(decode_text(text, protocol))],
            (false, Wire::Binary(bytes)) => vec![owned(decode_binary(bytes, protocol))],
            (true, Wire::Text(text)) => Payload::text(text, protocol).map(owned).collect(),
            (true, Wire::Binary(bytes)) => Payload::binary(bytes).map(owned).collect(),
            (_, Wire::Impossible) => panic!("{}", self.name),
        };
        let same = got.len() == want.len()
            && got.iter().zip(&want).all(|(got, want)| match (got, want) {
                // Old clients' double UTF-8 is read through `undoubled`, as a session does it.
                (Ok(got), Some(want)) => got == want || undoubled(got) == *want,
                (Err(_), None) => !self.typeless(),
                _ => false,
            });
        (!same).then(|| format!("read {got:?}, wanted {want:?}"))
    }

    /// Whether the reference made a packet without a type.
    fn typeless(&self) -> bool {
        self.json["packet"]["data"]["$b64"].is_string() && self.json["packet"]["type"].is_null()
    }

    fn packets(&self) -> Vec<Option<(Kind, Want)>> {
        match self.json["packets"].as_array() {
            Some(packets) => packets.iter().map(packet).collect(),
            None => vec![packet(&self.json["packet"])],
        }
    }

    fn ascii(&self) -> bool {
        self.packets().iter().all(|packet| !matches!(packet, Some((_, Want::Text(text))) if !text.is_ascii()))
    }

    fn wire(&self) -> Wire {
        let wire = &self.json["wire"];
        if let Some(text) = wire["text"].as_str() {
            Wire::Text(text.to_owned())
        } else if let Some(bytes) = wire["b64"].as_str() {
            Wire::Binary(STANDARD.decode(bytes).unwrap())
        } else {
            Wire::Impossible
        }
    }

    fn capable(&self) -> bool {
        self.json["supports_binary"].as_bool().unwrap_or(true)
    }

    fn encode(&self, protocol: Protocol) -> Wire {
        if self.json["packets"].is_array() {
            return self.encode_payload(protocol);
        }
        match packet(&self.json["packet"]).unwrap() {
            (Kind::Message, Want::Binary(bytes)) => {
                let message = Message::binary(Bytes::from(bytes));
                if self.capable() {
                    // The frame without its two bytes of header (all vectors are short).
                    let head = message.head(protocol);
                    Wire::Binary([&head.as_slice()[2..], message.payload()].concat())
                } else {
                    let frame = message.to_base64_frame(protocol);
                    let header = if frame[1] == 126 { 4 } else { 2 };
                    Wire::Text(String::from_utf8(frame[header..].to_vec()).unwrap())
                }
            }
            (Kind::Message, Want::Text(text)) => {
                Wire::Text(String::from_utf8(Message::text(&text).packet().to_vec()).unwrap())
            }
            (kind, Want::Text(text)) => Wire::Text(format!("{}{text}", kind.as_char())),
            (_, Want::Binary(_)) => panic!("{}", self.name),
        }
    }

    fn encode_payload(&self, protocol: Protocol) -> Wire {
        let form = Form::new(protocol, !self.capable(), false);
        let packets = self.packets();
        let binary = packets.iter().any(|packet| matches!(packet, Some((_, Want::Binary(_)))));
        let mut writer = PayloadWriter::new(form, binary);
        for packet in packets {
            match packet.unwrap() {
                (Kind::Message, Want::Binary(bytes)) => writer.message(&Message::binary(Bytes::from(bytes))),
                (Kind::Message, Want::Text(text)) => writer.message(&Message::text(&text)),
                (kind, Want::Text(text)) => writer.packet(kind, &text),
                (_, Want::Binary(_)) => panic!("{}", self.name),
            }
        }
        match writer.content() {
            Content::Text => Wire::Text(String::from_utf8(writer.finish()).unwrap()),
            Content::Binary => Wire::Binary(writer.finish()),
        }
    }
}

/// A vector's packet; `None` for an error, or where it has no type.
fn packet(json: &Value) -> Option<(Kind, Want)> {
    let kind = match json["type"].as_str()? {
        "open" => Kind::Open,
        "close" => Kind::Close,
        "ping" => Kind::Ping,
        "pong" => Kind::Pong,
        "message" => Kind::Message,
        "upgrade" => Kind::Upgrade,
        "noop" => Kind::Noop,
        "error" => return None,
        other => panic!("{other}?"),
    };
    let data = match &json["data"] {
        Value::Null => Want::Text(String::new()),
        Value::String(text) => Want::Text(text.clone()),
        Value::Number(number) => Want::Text(number.to_string()),
        object => match object["$b64"].as_str() {
            Some(bytes) => Want::Binary(STANDARD.decode(bytes).unwrap()),
            None => Want::Text("a lone surrogate, which nothing of ours equals".to_owned()),
        },
    };
    Some((kind, data))
}

fn owned(packet: Result<Packet<'_>, DecodeError>) -> Got {
    packet.map(|packet| {
        let data = match packet.data {
            Data::Text(text) => Want::Text(text.into_owned()),
            Data::Binary(bytes) => Want::Binary(bytes.into_owned()),
        };
        (packet.kind, data)
    })
}

fn undoubled((kind, data): &(Kind, Want)) -> (Kind, Want) {
    match data {
        Want::Text(text) => owned(Ok(Packet::text(*kind, text).undoubled())).unwrap(),
        Want::Binary(_) => (*kind, data.clone()),
    }
}
