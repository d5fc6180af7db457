//! Captured vectors: reading them, and comparing what we make of them with what the reference made.
// Each test file compiles it for itself, and uses its part of it.
#![allow(dead_code, unreachable_pub)]

use base64::Engine as _;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use sockeye_proto::engine::Message;
use sockeye_proto::socket::{Body, Decoder, Encoded, Packet, Value, Violation};

pub struct Case {
    pub name: String,
    pub op: String,
    pub fields: Vec<(String, Box<RawValue>)>,
}

impl Case {
    pub fn field<'a, T: Deserialize<'a>>(&'a self, key: &str) -> Option<T> {
        let raw = self.raw(key)?;
        Some(serde_json::from_str(raw.get()).unwrap_or_else(|error| panic!("{}: {key}: {error}", self.name)))
    }

    pub fn raw(&self, key: &str) -> Option<&RawValue> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, raw)| &**raw)
    }

    pub fn wire(&self) -> Vec<Wire> {
        self.field("wire").expect("a wire")
    }

    pub fn packet(&self) -> Expected {
        Expected::parse(self.raw("packet").expect("a packet"))
    }

    /// What the reference decoded.
    pub fn packets(&self) -> Vec<Expected> {
        self.field::<Vec<&RawValue>>("packets").unwrap_or_default().into_iter().map(Expected::parse).collect()
    }

    pub fn throws(&self) -> bool {
        self.raw("throws").is_some()
    }
}

/// All cases of a file.
pub fn cases(text: &str) -> Vec<Case> {
    #[derive(serde::Deserialize)]
    struct File {
        cases: Vec<Fields>,
    }
    let file: File = serde_json::from_str(text).expect("a vector file");
    assert!(!file.cases.is_empty());
    file.cases
        .into_iter()
        .map(|Fields(fields)| {
            let text = |key: &str| {
                let raw = &fields.iter().find(|(name, _)| name == key).expect("a key").1;
                serde_json::from_str(raw.get()).expect("a string")
            };
            Case { name: text("name"), op: text("op"), fields: fields.clone() }
        })
        .collect()
}

/// One Engine.IO message.
#[derive(Debug, Clone, PartialEq)]
pub enum Wire {
    Text(String),
    Binary(Vec<u8>),
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wire, D::Error> {
        let Fields(fields) = Fields::deserialize(deserializer)?;
        let [(key, raw)] = &fields[..] else { panic!("one key") };
        let text: String = serde_json::from_str(raw.get()).expect("a string");
        Ok(if key == "b64" { Wire::Binary(from_base64(&text)) } else { Wire::Text(text) })
    }
}

pub fn from_base64(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

pub fn wire_of(encoded: &Encoded) -> Vec<Wire> {
    let wire = |message: &Message| match message.is_binary() {
        true => Wire::Binary(message.payload().to_vec()),
        false => Wire::Text(String::from_utf8(message.payload().to_vec()).expect("UTF-8")),
    };
    encoded.messages().map(wire).collect()
}

/// Everything decoded, until something is refused.
pub fn decode_all(decoder: &mut Decoder, wire: &[Wire]) -> (Vec<Packet<'static>>, Option<Violation>) {
    let mut packets = Vec::new();
    for message in wire {
        let result = match message {
            Wire::Text(text) => decoder.text(text).map(|packet| packet.map(Packet::into_owned)),
            Wire::Binary(bytes) => decoder.binary(bytes.into()),
        };
        match result {
            Ok(packet) => packets.extend(packet),
            Err(violation) => return (packets, Some(violation)),
        }
    }
    (packets, None)
}

/// A packet as the vectors describe it, and as ours can be described.
#[derive(Debug, Clone)]
pub struct Expected {
    pub kind: u8,
    pub nsp: String,
    pub id: Option<f64>,
    pub data: Option<Node>,
}

impl Expected {
    fn parse(raw: &RawValue) -> Expected {
        let Fields(fields) = serde_json::from_str(raw.get()).expect("an object");
        let get = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, raw)| &**raw);
        let number = |raw: &RawValue| raw.get().parse::<f64>().expect("a number");
        Expected {
            kind: number(get("type").expect("a type")) as u8,
            nsp: get("nsp").map_or("/".into(), |raw| serde_json::from_str(raw.get()).expect("a string")),
            id: get("id").map(number),
            data: get("data").map(Node::parse),
        }
    }

    /// Name and arguments of an event.
    pub fn event(&self) -> Option<(String, Vec<Node>)> {
        let Some(Node::Array(elements)) = &self.data else { return None };
        let (name, args) = elements.split_first()?;
        let name = match name.value() {
            Value::String(name) => name,
            Value::Number(name) => name.to_string(),
            _ => return None,
        };
        Some((name, args.to_vec()))
    }

    /// Panics if `packet` is something else.
    pub fn assert_is(&self, packet: &Packet<'_>, case: &str) {
        let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let (kind, id, data) = match &packet.body {
            Body::Connect { auth, .. } => (0, None, auth.as_deref().map(json)),
            Body::InvalidNamespace => panic!("{case}: invalid namespace"),
            Body::Disconnect => (1, None, None),
            Body::Event { id, name, args } => {
                let mut data = args.args::<Vec<Value>>().expect("any value can be read");
                data.insert(0, Value::String(name.to_string()));
                (2, *id, Some(Value::Array(data)))
            }
            Body::Ack { id, args } => (3, Some(*id), Some(Value::Array(args.args().expect("any value")))),
            Body::ConnectError(data) => (4, None, data.as_deref().map(json)),
        };
        let expected_kind = if self.kind >= 5 { self.kind - 3 } else { self.kind };
        let mut expected = self.data.as_ref().map(Node::value);
        if let (2, Some(Value::Array(elements))) = (expected_kind, &mut expected)
            && let Some(Value::Number(name)) = elements.first()
        {
            elements[0] = Value::String(name.to_string());
        }
        assert_eq!(kind, expected_kind, "{case}");
        assert_eq!(packet.namespace, self.nsp, "{case}");
        assert_eq!(id.map(|id| id as f64), self.id, "{case}");
        assert_eq!(data, expected, "{case}");
    }
}

/// A value of a vector, keys in their order, numbers in their spelling.
#[derive(Debug, Clone)]
pub enum Node {
    Binary(Vec<u8>),
    /// What JSON has no word for: undefined, NaN.
    Null,
    /// Milliseconds.
    Date(i64),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
    Plain(Box<RawValue>),
}

impl Node {
    pub fn parse(raw: &RawValue) -> Node {
        match raw.get().as_bytes()[0] {
            b'[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).expect("an array");
                Node::Array(elements.into_iter().map(Node::parse).collect())
            }
            b'{' => {
                let Fields(fields) = serde_json::from_str(raw.get()).expect("an object");
                match &fields[..] {
                    [(key, raw)] if key == "$b64" => {
                        Node::Binary(from_base64(serde_json::from_str(raw.get()).expect("a string")))
                    }
                    [(key, raw)] if key == "$num" && raw.get() == "\"-0\"" => {
                        Node::Plain(RawValue::from_string("0".into()).expect("JSON"))
                    }
                    [(key, _)] if key == "$undefined" || key == "$num" => Node::Null,
                    [(key, raw)] if key == "$date_ms" => Node::Date(raw.get().parse().expect("a number")),
                    [(key, raw)] if key == "$utf16" => {
                        let units: Vec<u16> = serde_json::from_str(raw.get()).expect("numbers");
                        Node::Text(String::from_utf16_lossy(&units))
                    }
                    _ => Node::Object(
                        fields.iter().map(|(key, raw)| (key.clone(), Node::parse(raw))).collect(),
                    ),
                }
            }
            _ => Node::Plain(raw.to_owned()),
        }
    }

    pub fn value(&self) -> Value {
        match self {
            Node::Binary(bytes) => Value::Binary(bytes.clone().into()),
            Node::Null => Value::Null,
            Node::Date(millis) => Value::String(iso(*millis).into()),
            Node::Text(text) => Value::String(text.clone()),
            Node::Array(elements) => Value::Array(elements.iter().map(Node::value).collect()),
            Node::Object(fields) => {
                Value::Object(fields.iter().map(|(key, node)| (key.clone(), node.value())).collect())
            }
            Node::Plain(raw) => serde_json::from_str(raw.get()).expect("JSON"),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Binary(bytes) => serializer.serialize_bytes(bytes),
            Node::Null => serializer.serialize_f64(f64::NAN),
            Node::Date(millis) => serializer.serialize_str(iso(*millis)),
            Node::Text(text) => serializer.serialize_str(text),
            Node::Array(elements) => serializer.collect_seq(elements),
            Node::Object(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (key, node) in fields {
                    map.serialize_entry(key, node)?;
                }
                map.end()
            }
            Node::Plain(raw) => raw.serialize(serializer),
        }
    }
}

/// The dates that occur in the vectors.
fn iso(millis: i64) -> &'static str {
    match millis {
        0 => "1970-01-01T00:00:00.000Z",
        -1000 => "1969-12-31T23:59:59.000Z",
        1_234_567_890_000 => "2009-02-13T23:31:30.000Z",
        1_234_567_890_123 => "2009-02-13T23:31:30.123Z",
        other => panic!("a new date: {other}"),
    }
}

/// An object with its keys in order.
#[derive(Clone)]
pub struct Fields(pub Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Any)
    }
}
