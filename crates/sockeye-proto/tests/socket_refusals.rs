//! Hostile packets, row by row of `threats.md` section F, and what decoders say to them.

use std::borrow::Cow;

use sockeye_proto::socket::{Body, Choice, Decoder, Dialect, Limits, Protocol, Violation};

fn decoder() -> Decoder {
    Decoder::choose(&Choice::Detect, Protocol::V5, Limits::default().into())
}

fn refused(text: &str) -> Violation {
    match decoder().text(text) {
        Err(violation) => violation,
        Ok(packet) => panic!("{text} was read as {packet:?}"),
    }
}

fn accepted(text: &str) {
    let packet = decoder().text(text).unwrap_or_else(|violation| panic!("{text}: {violation}"));
    assert!(packet.is_some(), "{text}");
}

const ONE: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn f1_f2_f3_attachment_counts() {
    for count in
        ["5", "5-", "5+2-", "51e1-", "50x3-", "501-", "50-", "500-", "5 1-", "5-1-", "51", "5\u{ff11}-"]
    {
        assert_eq!(refused(&format!("{count}[\"x\",{ONE}]")), Violation::AttachmentCount, "{count}");
    }
    let endless = "9".repeat(400);
    for count in ["11", "999999999", "18446744073709551617", &endless] {
        assert_eq!(refused(&format!("5{count}-[\"x\"]")), Violation::TooManyAttachments);
    }
}

#[test]
fn f4_f5_placeholders() {
    for num in
        ["-1", "1", "0.5", "\"splice\"", "\"0\"", "null", "0.0", "0e0", "[]", "99999999999999999999999"]
    {
        let text = format!(r#"51-["x",{{"_placeholder":true,"num":{num}}}]"#);
        assert_eq!(refused(&text), Violation::Placeholder, "{num}");
    }
    let many = vec![ONE; 200].join(",");
    assert_eq!(refused(&format!("51-[\"x\",{many}]")), Violation::Placeholder);
    assert_eq!(refused(&format!("52-[\"x\",{ONE}]")), Violation::Placeholder);
    assert_eq!(refused("51-[\"x\"]"), Violation::Placeholder);
}

#[test]
fn f6_order_of_messages() {
    let header = format!("52-[\"x\",{ONE},{}]", ONE.replace('0', "1"));
    let mut one = decoder();
    assert_eq!(one.text(&header), Ok(None));
    assert!(one.is_pending());
    assert_eq!(one.text("2[\"y\"]"), Err(Violation::TextBetweenAttachments));
    assert!(!one.is_pending());

    let mut two = decoder();
    assert_eq!(two.text(&header), Ok(None));
    assert_eq!(two.binary(Cow::Borrowed(b"0")), Ok(None));
    assert!(two.binary(Cow::Borrowed(b"1")).unwrap().is_some());
    assert!(!two.is_pending());
    assert_eq!(two.binary(Cow::Borrowed(b"2")), Err(Violation::UnexpectedBinary));
}

#[test]
fn total_bytes_of_attachments() {
    assert_eq!(Limits::for_messages_of(1_000_000).attachment_bytes, 10_000_000);
    assert_eq!(Limits::for_messages_of(100).attachment_bytes, 1000);
    assert_eq!(Limits::for_messages_of(usize::MAX).attachment_bytes, 10_000_000);
    let mut decoder = Decoder::new(Dialect::Json(Protocol::V5), Limits::for_messages_of(2).into());
    assert_eq!(decoder.text(&format!("51-[\"x\",{ONE}]")), Ok(None));
    assert_eq!(decoder.binary(vec![0; 21].into()), Err(Violation::AttachmentsTooLarge));
    assert!(!decoder.is_pending());
}

#[test]
fn f8_event_names() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(refused(&format!("2[\"{name}\"]")), Violation::EventName);
    }
    assert_eq!(refused(r#"2["\u0063onnect"]"#), Violation::EventName, "escapes do not hide it");
    for name in ["{\"toString\":\"x\"}", "null", "true", "[]", ""] {
        assert_eq!(refused(&format!("2[{name}]")), Violation::EventName, "{name}");
    }
    assert_eq!(refused(&format!("51-[{ONE}]")), Violation::EventName);
    accepted("2[\"error\"]");
    accepted("2[\"connection\"]");
    accepted(&format!("2[\"{}\"]", "x".repeat(512)));
    assert_eq!(refused(&format!("2[\"{}\"]", "x".repeat(513))), Violation::EventName);
    let packet = decoder().text("2[-1.5e3,1]").map(|packet| packet.unwrap().into_owned());
    let Body::Event { name, .. } = packet.unwrap().body else { panic!() };
    assert_eq!(name, "-1.5e3");
}

#[test]
fn f9_nesting() {
    let nested = |levels: usize| format!("2[\"x\",{}{}]", "[".repeat(levels), "]".repeat(levels));
    accepted(&nested(127));
    // What is accepted can be read, one argument or all of them.
    let packet = decoder().text(&nested(127)).map(|packet| packet.unwrap().into_owned()).unwrap();
    let Body::Event { args, .. } = packet.body else { panic!() };
    assert!(args.arg::<serde_json::Value>().is_ok());
    assert!(args.args::<(serde_json::Value, Option<u8>)>().is_ok());
    assert!(args.args::<Vec<serde_json::Value>>().is_ok());
    let error = args.args::<(serde_json::Value, u8)>().unwrap_err();
    assert_eq!((error.argument, error.expected), (1, "u8"));
    assert_eq!(refused(&nested(128)), Violation::Depth);
    assert_eq!(refused(&nested(100_000)), Violation::Depth);
    assert_eq!(refused(&format!("2[\"x\",{}", "{\"a\":".repeat(100_000))), Violation::Depth);
    assert_eq!(refused(&format!("0{}1{}", "{\"a\":".repeat(129), "}".repeat(129))), Violation::Depth);
}

#[test]
fn f10_ids() {
    accepted("29007199254740991[\"x\"]");
    assert_eq!(refused("29007199254740992[\"x\"]"), Violation::Id);
    assert_eq!(refused(&format!("2{}[\"x\"]", "9".repeat(400))), Violation::Id);
    for text in ["2 [\"x\"]", "21 2[\"x\"]", "2-5[\"x\"]", "21.5[\"x\"]", "21e3[\"x\"]"] {
        assert_eq!(refused(text), Violation::Payload, "{text}");
    }
}

#[test]
fn f11_f12_shapes() {
    for text in ["", "7", "9", "a", "-1", " 2[\"x\"]", "\u{feff}2[\"x\"]", "\u{ff12}[\"x\"]", "[\"x\"]"] {
        assert_eq!(refused(text), Violation::PacketType, "{text:?}");
    }
    for text in ["01", "3[]", "41{}", "5\u{31}-[]", "61-[1]"] {
        assert!(matches!(refused(text), Violation::Id | Violation::EventName), "{text}");
    }
    for text in [
        "2",
        "2null",
        "2\"x\"",
        "2{}",
        "31",
        "31{}",
        "0[]",
        "0\"x\"",
        "00",
        "0false",
        "0null",
        "1{}",
        "1[\"x\"]",
        "11",
        "4[]",
        "4null",
        "42",
        "2/x[\"a\"]",
        "2,[\"x\"]",
        "2/a,b,[\"x\"]",
    ] {
        let violation = refused(text);
        assert!(matches!(violation, Violation::Payload | Violation::Id), "{text}: {violation}");
    }
    for text in [
        "0",
        "0/a",
        "0/a,",
        "0{}",
        "0/,{}",
        "0/a,{\"b\":1} ",
        "1",
        "1/a",
        "1/a,",
        "4",
        "4{}",
        "4\"x\"",
        "30[]",
    ] {
        accepted(text);
    }
}

#[test]
fn f13_f14_odd_but_legal_json() {
    for text in [
        r#"2["x",{"__proto__":{"constructor":1}}]"#,
        r#"2["x",{"a":1,"a":2}]"#,
        r#"2["x","\u0000\uffff\ud800",1e400,12345678901234567890123,-0]"#,
    ] {
        accepted(text);
    }
    let keys: Vec<_> = (0..10_000).map(|n| format!("\"k{n}\":0")).collect();
    accepted(&format!("2[\"x\",{{{}}}]", keys.join(",")));
}

#[test]
fn f15_not_json() {
    for tail in
        ["]", "x", "]]", ",]", ",]x", "] x", ",NaN]", ",'a']", ",\"\u{1}\"]", ",\"\n\"]", ",01]", ",\"\\x\"]"]
    {
        assert_eq!(
            refused(&format!("2[\"x\"{tail}{}", if tail == "]" { "\u{feff}" } else { "" })),
            Violation::Json,
            "{tail}"
        );
    }
}

#[test]
fn g4_namespaces() {
    let long = format!("/{}", "é".repeat(200));
    let connect = |text: &str, protocol| {
        let mut decoder = Decoder::choose(&Choice::Detect, protocol, Limits::default().into());
        decoder.text(text).unwrap().unwrap().into_owned()
    };
    for (sent, answered) in [
        (format!("0{long},"), format!("/{}", "é".repeat(127))),
        ("0/a\u{1e}b,".to_owned(), "/a".to_owned()),
        ("0/a\nb".to_owned(), "/a".to_owned()),
    ] {
        let packet = connect(&sent, Protocol::V5);
        assert_eq!((packet.body, &*packet.namespace), (Body::InvalidNamespace, &*answered));
    }
    assert_eq!(refused(&format!("2{long},[\"x\"]")), Violation::Namespace);
    assert_eq!(refused("2/a\u{7f},[\"x\"]"), Violation::Namespace);
    // The query is part of the name, except in protocol 4.
    let packet = connect("0/a?b=1,{}", Protocol::V5);
    assert_eq!(packet.namespace, "/a?b=1");
    let packet = connect("0/a?b=%2C&c=?,", Protocol::V4);
    assert_eq!(packet.namespace, "/a");
    let Body::Connect { query: Some(query), auth: None } = packet.body else { panic!() };
    assert_eq!(query, "b=%2C&c=?");
}

#[test]
fn f18_msgpack() {
    let event = |data: &[u8]| {
        let bytes = [b"\x83\xA4type\x02\xA3nsp\xA1/\xA4data", data].concat();
        decoder().binary(bytes.into()).map(|packet| packet.expect("whole"))
    };
    event(b"\x92\xA1x\xA1y").unwrap();
    for bomb in [
        &b"\xDD\xFF\xFF\xFF\xFF"[..],
        b"\xDF\xFF\xFF\xFF\xFF",
        b"\xDB\xFF\xFF\xFF\xFF",
        b"\xC6\xFF\xFF\xFF\xFF",
        b"\xC9\xFF\xFF\xFF\xFF\x00",
        b"\x92\xA1x",
        b"\xC1",
        b"\x92\xA1x\xA1\xFF",
        b"\x92\xA1x\x81\xC0\xC0",
        b"\x92\xA1x\x01\x01",
    ] {
        assert_eq!(event(bomb).unwrap_err(), Violation::Msgpack, "{bomb:?}");
    }
    let nested = |levels: usize| [&b"\x92\xA1x"[..], &vec![0x91; levels], b"\xC0"].concat();
    event(&nested(127)).unwrap();
    assert_eq!(event(&nested(128)).unwrap_err(), Violation::Depth);
    assert_eq!(event(&nested(100_000)).unwrap_err(), Violation::Depth);
    let binaries = |count: u8| {
        [&[0x9F][..], b"\xA1x", &b"\xC4\x00".repeat(count.into()), &vec![0xC0; usize::from(14 - count)]]
            .concat()
    };
    event(&binaries(10)).unwrap();
    assert_eq!(event(&binaries(11)).unwrap_err(), Violation::TooManyAttachments);
    assert_eq!(event(b"\x91\xA7connect").unwrap_err(), Violation::EventName);
    assert_eq!(event(b"\x91\xC0").unwrap_err(), Violation::EventName);
    // A placeholder as data and a binary value: in the one form inside, they could not be told apart.
    let forged = b"\x93\xA1x\xC4\x00\x82\xAC_placeholder\xC3\xA3num\x00";
    assert_eq!(event(forged).unwrap_err(), Violation::Placeholder);
    event(b"\x92\xA1x\x82\xAC_placeholder\xC3\xA3num\x00").unwrap();
}

#[test]
fn detection() {
    let connect = b"\x82\xA4type\x00\xA3nsp\xA1/";
    let mut msgpack = decoder();
    assert!(msgpack.binary(connect[..].into()).unwrap().is_some());
    assert!(matches!(msgpack.dialect(), Dialect::Msgpack(Protocol::V5)));
    assert_eq!(msgpack.text("0"), Err(Violation::UnexpectedText));

    let mut json = decoder();
    assert!(json.text("0").unwrap().is_some());
    assert_eq!(json.binary(connect[..].into()), Err(Violation::UnexpectedBinary));

    let mut only_json = Decoder::choose(&Choice::Json, Protocol::V5, Limits::default().into());
    assert_eq!(only_json.binary(connect[..].into()), Err(Violation::UnexpectedBinary));
    let mut only_msgpack = Decoder::choose(&Choice::Msgpack, Protocol::V5, Limits::default().into());
    assert_eq!(only_msgpack.text("0"), Err(Violation::UnexpectedText));

    let mut old = Decoder::choose(&Choice::Detect, Protocol::V4, Limits::default().into());
    let packet = old.text(r#"{"type":0,"nsp":"/admin?a=1"}"#).unwrap().unwrap();
    assert_eq!(packet.namespace, "/admin");
    assert!(matches!(old.dialect(), Dialect::Msgpack(Protocol::V4)));
}

/// A number where the reason stands is no id: servers of socket.io 2 answer with whatever `err.data` is.
#[test]
fn an_error_of_revision_4_may_be_a_bare_number() {
    let mut old = Decoder::new(Dialect::Json(Protocol::V4), Limits::default().into());
    for (text, namespace, data) in
        [("4/ns,7", "/ns", "7"), ("47", "/", "7"), ("4/ns,\"no\"", "/ns", "\"no\"")]
    {
        let packet = old.text(text).unwrap().unwrap();
        assert_eq!(packet.namespace, namespace);
        assert_eq!(packet.body, Body::ConnectError(Some(data.into())));
    }
    assert_eq!(old.text("4/ns,7[]"), Err(Violation::Json));
    let mut new = Decoder::new(Dialect::Json(Protocol::V5), Limits::default().into());
    assert_eq!(new.text("4/ns,7"), Err(Violation::Id));
}

#[test]
fn a_disconnect_in_msgpack_may_carry_nil() {
    let mut python = Decoder::new(Dialect::Msgpack(Protocol::V5), Limits::default().into());
    let packet =
        python.binary(b"\x83\xa4type\x01\xa4data\xc0\xa3nsp\xa7/custom"[..].into()).unwrap().unwrap();
    assert_eq!(packet.body, Body::Disconnect);
    let other = b"\x83\xa4type\x01\xa4data\x01\xa3nsp\xa7/custom";
    assert_eq!(python.binary(other[..].into()), Err(Violation::Payload));
}

#[test]
fn idle_decoders_are_small() {
    assert!(size_of::<Decoder>() <= 48, "{}", size_of::<Decoder>());
}
