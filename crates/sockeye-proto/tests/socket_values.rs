//! Rust values through both kinds of dialect and back, with binary in every place serde can put it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;
use sockeye_proto::socket::{
    Args, Arguments, Body, Decoder, Dialect, EncodeError, Limits, Out, Packet, PacketOut, Payload, Protocol,
    Value, Violation, encode, encode_ack, encode_event,
};

const DIALECTS: [Dialect; 4] = [
    Dialect::Json(Protocol::V5),
    Dialect::Json(Protocol::V4),
    Dialect::Msgpack(Protocol::V5),
    Dialect::Msgpack(Protocol::V4),
];

/// Sends an event in every dialect, in every way, and gives what arrives to `check`.
fn deliver(args: &impl Serialize, check: impl Fn(&Arguments<'_>)) {
    for dialect in DIALECTS {
        let payload = Payload::event("e", args).unwrap();
        let body = Out::Event { id: Some(3), payload: &payload };
        let packet = PacketOut { namespace: "/n", body, compress: true };
        for encoded in [
            encode(&packet, &dialect).unwrap(),
            encode_event("/n", Some(3), "e", args, &dialect, true).unwrap(),
        ] {
            let mut decoder = Decoder::new(dialect.clone(), Limits::default().into());
            let mut result = None;
            for message in encoded.messages() {
                assert!(result.is_none());
                result = match message.is_binary() {
                    true => decoder.binary(message.payload().into()).unwrap(),
                    false => {
                        let text = std::str::from_utf8(message.payload()).unwrap();
                        decoder.text(text).unwrap().map(Packet::into_owned)
                    }
                };
            }
            let packet = result.expect("a whole packet");
            assert_eq!(packet.namespace, "/n");
            let Body::Event { id: Some(3), name, args } = packet.body else { panic!() };
            assert_eq!(name, "e");
            check(&args);
            check(&args.clone().into_payload().event_arguments());
        }
        check(&payload.event_arguments());
    }
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    deliver(&value, |args| {
        assert_eq!(args.arg::<T>().unwrap(), value);
        assert_eq!(args.args::<(T,)>().unwrap().0, value);
    });
}

fn bytes(content: &'static [u8]) -> Bytes {
    Bytes::from_static(content)
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    pixels: Bytes,
    preview: Option<Bytes>,
    #[serde(with = "serde_bytes")]
    raw: Vec<u8>,
}

fn picture() -> Picture {
    Picture { name: "é\u{1f600}".into(), pixels: bytes(b"\0\xff"), preview: None, raw: vec![1, 2] }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum External {
    Unit,
    New(Bytes),
    Tuple(u8, Bytes),
    Struct { data: ByteBuf, more: Vec<Bytes> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Binary(ByteBuf),
    Text(String),
    Struct { inner: Box<Untagged> },
    Many(Vec<Untagged>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    File { data: Bytes },
    Folder { files: BTreeMap<String, Internal> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Data(Bytes),
    None,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    picture: Picture,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New(Bytes);

#[test]
fn binary_everywhere() {
    round_trip(bytes(b"abc"));
    round_trip(bytes(b""));
    round_trip(New(bytes(b"abc")));
    round_trip(Some(bytes(b"abc")));
    round_trip(None::<Bytes>);
    round_trip(vec![bytes(b"a"), bytes(b"b")]);
    round_trip((bytes(b"a"), 1, "x".to_owned(), [bytes(b"b"), bytes(b"c")]));
    round_trip(picture());
    round_trip(Picture { preview: Some(bytes(b"p")), ..picture() });
    round_trip(vec![picture(), picture()]);
    round_trip(BTreeMap::from([("a".to_owned(), picture()), ("num".to_owned(), picture())]));
    round_trip(HashMap::from([(7_u32, bytes(b"seven")), (8, bytes(b"eight"))]));
    round_trip(BTreeMap::from([(true, bytes(b"yes"))]));
    round_trip(External::Unit);
    round_trip(External::New(bytes(b"n")));
    round_trip(External::Tuple(1, bytes(b"t")));
    round_trip(External::Struct { data: ByteBuf::from(*b"s"), more: vec![bytes(b"m")] });
    round_trip(Untagged::Binary(ByteBuf::from(*b"u")));
    let binary = || Untagged::Binary(ByteBuf::from(*b"u"));
    round_trip(Untagged::Struct { inner: Box::new(binary()) });
    round_trip(Untagged::Many(vec![binary(), Untagged::Number(1), Untagged::Many(vec![binary()])]));
    round_trip(Internal::File { data: bytes(b"i") });
    round_trip(Internal::Folder { files: [("a".to_owned(), Internal::File { data: bytes(b"i") })].into() });
    round_trip(Adjacent::Data(bytes(b"a")));
    round_trip(Adjacent::None);
    let rest = HashMap::from([("x".to_owned(), Value::Array(vec![Value::Binary(bytes(b"r")), Value::Null]))]);
    round_trip(Flat { id: 1, picture: picture(), rest });
}

#[test]
fn values_without_binary() {
    round_trip("a\n\"\\\u{1e}\u{7f}é".to_owned());
    round_trip((u64::MAX, i64::MIN, 1.5, -0.25, 1e300, true, 'x'));
    round_trip(Some(vec![None, Some(1)]));
    round_trip(serde_json::json!({"a": [1, 2.5, null, {"b": "c"}], "": {}}));
    round_trip(BTreeMap::from([(1, "one".to_owned())]));
}

#[test]
fn how_many_arguments() {
    deliver(&(), |args| {
        assert!(args.is_empty());
        assert_eq!(args.text(), r#"["e"]"#);
        args.arg::<()>().unwrap();
        assert_eq!(args.arg::<Option<u8>>().unwrap(), None);
        assert_eq!(args.args::<(Option<u8>, Option<New>)>().unwrap(), (None, None));
        assert_eq!(args.args::<Vec<Value>>().unwrap(), []);
    });
    deliver(&Args(()), |args| assert!(args.is_empty()));
    deliver(&Args(Vec::<u8>::new()), |args| assert!(args.is_empty()));
    deliver(&Value::Null, |args| {
        assert_eq!(args.text(), r#"["e",null]"#);
        args.arg::<()>().unwrap();
    });
    deliver(&Args((1, "two", [3, 4])), |args| {
        assert_eq!(args.text(), r#"["e",1,"two",[3,4]]"#);
        assert_eq!(args.arg::<u8>().unwrap(), 1);
        assert_eq!(args.arg::<Args<(u8, String)>>().unwrap(), Args((1, "two".into())));
        assert_eq!(args.arg::<Args<(u8, Value, Value, Option<u8>)>>().unwrap().0.3, None);
        assert_eq!(args.args::<(u8, String, [u8; 2])>().unwrap(), (1, "two".into(), [3, 4]));
        assert_eq!(args.args::<Vec<Value>>().unwrap().len(), 3);
    });
    deliver(&(1, 2), |args| assert_eq!(args.text(), r#"["e",[1,2]]"#));
    deliver(&Args("one"), |args| assert_eq!(args.text(), r#"["e","one"]"#));
    deliver(&Args((bytes(b"x"), vec![bytes(b"y")])), |args| {
        assert_eq!(args.args::<(Bytes, Vec<Bytes>)>().unwrap(), (bytes(b"x"), vec![bytes(b"y")]));
    });

    #[derive(Deserialize, Debug, PartialEq)]
    struct Both(u8, Option<String>);
    deliver(&Args((1,)), |args| assert_eq!(args.args::<Both>().unwrap(), Both(1, None)));
}

#[test]
fn acknowledgements() {
    let dialect = Dialect::Json(Protocol::V5);
    let ack = |args: &dyn Fn() -> Payload| {
        let payload = args();
        let body = Out::Ack { id: 5, payload: &payload };
        let encoded = encode(&PacketOut { namespace: "/", body, compress: true }, &dialect).unwrap();
        String::from_utf8(encoded.first().payload().to_vec()).unwrap()
    };
    assert_eq!(ack(&|| Payload::args(&()).unwrap()), "35[]");
    assert_eq!(ack(&|| Payload::args(&7).unwrap()), "35[7]");
    assert_eq!(ack(&|| Payload::args(&Args((7, "x"))).unwrap()), r#"35[7,"x"]"#);
    let straight = encode_ack("/a", 5, &Args((7, bytes(b"x"))), &dialect, false).unwrap();
    assert_eq!(straight.first().payload(), br#"61-/a,5[7,{"_placeholder":true,"num":0}]"#);
    assert_eq!(straight.attachments().len(), 1);
    assert!(straight.messages().all(|message| !message.compress()));
    let payload = Payload::args(&Args((7, "x"))).unwrap();
    assert_eq!(payload.ack_arguments().args::<(u8, String)>().unwrap(), (7, "x".into()));
}

#[test]
fn arguments_as_an_answer() {
    let payload = Payload::event("echo", &Args((1, bytes(b"x"), "]"))).unwrap();
    let answer = payload.event_arguments().to_answer();
    assert_eq!(answer.text(), r#"[1,{"_placeholder":true,"num":0},"]"]"#);
    assert_eq!(answer.attachments(), payload.attachments());
    assert_eq!(Payload::event("echo", &()).unwrap().event_arguments().to_answer().text(), "[]");
}

#[test]
fn ascii_for_protocol_4() {
    let dialect = Dialect::Json(Protocol::V4);
    let encoded =
        encode_event("/", None, "é", &RawValue::from_string("\"😀\"".into()).unwrap(), &dialect, true);
    assert_eq!(encoded.unwrap().first().payload(), br#"2["\u00e9","\ud83d\ude00"]"#);
}

#[test]
fn user_data_never_becomes_a_placeholder() {
    let forged = serde_json::json!({"_placeholder": true, "num": 0});
    // Alone it is data, there and back.
    round_trip(forged.clone());
    round_trip(serde_json::json!([{"_placeholder": false, "num": 0}, {"_placeholder": 1}]));
    // Beside binary it is refused.
    let refused = Payload::event("e", &Args((&forged, bytes(b"x")))).unwrap_err();
    assert_eq!(refused, EncodeError::PlaceholderInData);
    let dialect = Dialect::Json(Protocol::V5);
    assert!(encode_event("/", None, "e", &Args((bytes(b"x"), &forged)), &dialect, true).is_err());
    // What is not one stays what it is, even beside binary.
    let harmless = serde_json::json!({"_placeholder": {"_placeholder": [1, "true"]}, "num": 0});
    round_trip(Args((0, 1)).0);
    deliver(&Args((&harmless, bytes(b"x"))), |args| {
        assert_eq!(args.args::<(serde_json::Value, Bytes)>().unwrap(), (harmless.clone(), bytes(b"x")));
        assert_eq!(args.args::<(HashMap<String, Value>, Value)>().unwrap().0.len(), 2);
    });
}

#[test]
fn binary_is_not_read_as_something_else() {
    deliver(&bytes(b"x"), |args| {
        assert!(args.arg::<String>().is_err());
        assert!(args.arg::<HashMap<String, Value>>().is_err());
        assert!(args.arg::<serde_json::Value>().is_err());
        assert!(args.arg::<Picture>().is_err());
        assert!(args.arg::<Vec<u8>>().is_err());
        assert_eq!(args.arg::<Value>().unwrap(), Value::Binary(bytes(b"x")));
    });
}

#[test]
fn placeholders_in_any_order_and_spelling() {
    let mut decoder = Decoder::new(Dialect::Json(Protocol::V5), Limits::default().into());
    let text = r#"52-["e" , { "num" : 1, "_placeholder" : true } ,{"_placeholder":true,"num":0}] "#;
    assert_eq!(decoder.text(text).unwrap(), None);
    decoder.binary(b"zero"[..].into()).unwrap();
    let packet = decoder.binary(b"one".to_vec().into()).unwrap().unwrap();
    let Body::Event { args, .. } = packet.body else { panic!() };
    assert_eq!(args.args::<(Bytes, Bytes)>().unwrap(), (bytes(b"one"), bytes(b"zero")));
    assert_eq!(
        args.text(),
        r#"["e" , {"_placeholder":true,"num":0} ,{"_placeholder":true,"num":1}]"#,
        "in order of appearance, whatever the order on the wire"
    );
}

#[test]
fn lone_surrogates_are_read_as_replacement_characters_and_relayed_as_they_came() {
    let mut decoder = Decoder::new(Dialect::Json(Protocol::V5), Limits::default().into());
    let text = r#"2["\ud800","\udc00\ud83d\ude00",{"\ud800":1}]"#;
    let packet = decoder.text(text).unwrap().unwrap();
    let Body::Event { name, args, .. } = packet.body else { panic!() };
    assert_eq!(name, "\u{fffd}");
    assert_eq!(args.arg::<String>().unwrap(), "\u{fffd}😀");
    let (_, map) = args.args::<(String, HashMap<String, u8>)>().unwrap();
    assert_eq!(map["\u{fffd}"], 1);
    let payload = args.to_payload();
    assert_eq!(payload.text(), &text[1..]);
    assert_eq!(payload.event_arguments().arg::<String>().unwrap(), "\u{fffd}😀");
    let error = args.arg::<u8>().unwrap_err();
    assert_eq!(error.position, r#"["\ud800","\udc00\ud83d\ude00""#.len());
}

#[test]
fn errors_say_which_argument_and_where() {
    let payload = Payload::event("e", &Args((1, "two", 3))).unwrap();
    let error = payload.event_arguments().args::<(u8, u8)>().unwrap_err();
    assert_eq!((error.argument, error.expected, error.position), (1, "u8", r#"["e",1,"two""#.len()));
    assert_eq!(
        error.to_string(),
        r#"argument 1 cannot be read as u8: invalid type: string "two", expected u8 (at byte 12)"#
    );
    let error = payload.event_arguments().arg::<String>().unwrap_err();
    assert_eq!((error.argument, error.position), (0, r#"["e",1"#.len()));
    let error = payload.event_arguments().args::<(u8, String, u8, u8)>().unwrap_err();
    assert_eq!((error.argument, error.message.as_str()), (3, "it is missing"));
    let none = Payload::event("e", &()).unwrap();
    assert_eq!(none.event_arguments().arg::<u8>().unwrap_err().message, "it is missing");
    // Over lines, too.
    let text = "[\n\"e\",\n1,\n  true]".to_owned();
    let payload = Payload::from_parts(text.clone(), vec![], true).unwrap();
    let error = payload.event_arguments().args::<(u8, u8)>().unwrap_err();
    assert_eq!(&text[..error.position], "[\n\"e\",\n1,\n  true");
    let huge = Payload::from_parts("[\"e\",1e400]".into(), vec![], true).unwrap();
    assert!(huge.event_arguments().arg::<f64>().is_err());
}

#[test]
fn what_cannot_be_sent() {
    assert!(matches!(Payload::event("connect", &()), Err(EncodeError::ReservedName(_))));
    assert!(matches!(
        Payload::event("e", &HashMap::from([(bytes(b"x"), 1)])),
        Err(EncodeError::Serialize(_))
    ));
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let refused = encode_event("/", None, "e", &Broken, &Dialect::Json(Protocol::V5), true).unwrap_err();
    assert_eq!(refused.to_string(), "cannot serialize the arguments: broken");
}

#[test]
fn offsets_for_recovery() {
    let text = |payload: Payload| payload.with_offset("Q7.0").text().to_owned();
    assert_eq!(text(Payload::event("e", &()).unwrap()), r#"["e","Q7.0"]"#);
    assert_eq!(text(Payload::event("[", &1).unwrap()), r#"["[",1,"Q7.0"]"#);
    assert_eq!(text(Payload::args(&()).unwrap()), r#"["Q7.0"]"#);
    let payload = Payload::event("e", &bytes(b"x")).unwrap().with_offset("o");
    assert_eq!(payload.event_arguments().args::<(Bytes, String)>().unwrap(), (bytes(b"x"), "o".into()));
}

#[test]
fn payloads_from_elsewhere_are_checked() {
    let parts = |text: &str, attachments: &[&'static [u8]]| {
        let attachments = attachments.iter().map(|content| bytes(content)).collect();
        Payload::from_parts(text.to_owned(), attachments, true)
    };
    let swapped = r#"["e",{"num":1,"_placeholder":true},{"_placeholder":true,"num":0}] "#;
    let payload = parts(swapped, &[b"zero", b"one"]).unwrap();
    assert_eq!(payload.attachments(), [bytes(b"one"), bytes(b"zero")]);
    assert_eq!(payload.name().unwrap(), "e");
    assert_eq!(parts(swapped, &[b"zero"]).unwrap_err(), Violation::Placeholder);
    assert_eq!(parts(swapped, &[]).unwrap().attachments().len(), 0);
    assert_eq!(parts("[]", &[]).unwrap_err(), Violation::EventName);
    assert_eq!(parts("[\"e\"", &[]).unwrap_err(), Violation::Json);
    assert_eq!(parts("[\"connect\"]", &[]).unwrap_err(), Violation::EventName);
}
