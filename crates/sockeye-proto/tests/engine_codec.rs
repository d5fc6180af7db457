//! The codecs of Engine.IO under arbitrary input: what is written is read back, nothing panics, sizes are kept.

use bytes::Bytes;
use proptest::prelude::*;
use sockeye_proto::engine::{
    BadRequest, Check, ConnectionError, Content, Control, Data, DecodeError, Form, Kind, Message,
    MessageBuilder, Method, Open, Packet, Passed, Payload, Protocol, Query, Rules, SessionFacts, Transport,
    Unspeakable, check_request, check_version, decode_binary, decode_text, encode_close, encode_payload,
    jsonp, pairs, undouble,
};

const FORMS: [Form; 3] = [Form::V4, Form::V3Text, Form::V3Binary];

// ---- messages -------------------------------------------------------------------------------------------------------

/// RFC 6455, section 5.2: what an unmasked final frame has to be.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => frame.push(len as u8),
        len @ 126..65536 => frame.extend([126, (len >> 8) as u8, len as u8]),
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

#[test]
fn a_text_message_is_a_frame() {
    for len in [0, 1, 123, 124, 125, 126, 127, 65533, 65534, 65535, 65536, 100_000] {
        let text = "x".repeat(len);
        let message = Message::text(&text);
        let packet = format!("4{text}");
        assert_eq!(message.packet(), packet.as_bytes());
        assert_eq!(message.payload(), text.as_bytes());
        assert_eq!(message.payload_shared(), text.as_bytes());
        assert_eq!(message.payload_len(), len);
        assert_eq!(message.frame(), frame(1, packet.as_bytes()));
        assert_eq!(message.frame_bytes(), message.frame());
        for protocol in [Protocol::V3, Protocol::V4] {
            let parts = [message.head(protocol).as_slice(), message.payload()].concat();
            assert_eq!(parts, message.frame());
            assert_eq!(message.to_base64_frame(protocol), message.frame());
        }
    }
}

#[test]
fn a_binary_message_is_a_head_and_its_own_bytes() {
    for len in [0, 1, 124, 125, 126, 65534, 65535, 65536] {
        let bytes = Bytes::from(vec![7; len]);
        let message = Message::binary(bytes.clone());
        assert!(len == 0 || core::ptr::eq(message.payload().as_ptr(), bytes.as_ptr()), "no copy");
        assert!(message.is_binary() && message.frame().is_empty());
        let parts = |protocol| [message.head(protocol).as_slice(), message.payload()].concat();
        assert_eq!(parts(Protocol::V4), frame(2, &bytes));
        assert_eq!(parts(Protocol::V3), frame(2, &[&[4], &bytes[..]].concat()));
    }
    let message = Message::binary(Bytes::from_static(&[1, 2, 3, 4]));
    assert_eq!(message.to_base64_frame(Protocol::V4), frame(1, b"bAQIDBA=="));
    assert_eq!(message.to_base64_frame(Protocol::V3), frame(1, b"b4AQIDBA=="));
}

#[test]
fn a_message_is_built_in_place() {
    use std::io::Write as _;
    let mut builder = MessageBuilder::new();
    assert!(builder.is_empty());
    builder.push_str("2[");
    builder.write_all("\"grüße\",".as_bytes()).unwrap();
    std::fmt::Write::write_fmt(&mut builder, format_args!("{}]", 1)).unwrap();
    assert_eq!(builder.payload(), "2[\"grüße\",1]".as_bytes());
    let len = builder.len();
    builder.push_bytes(b"junk");
    builder.truncate(len);
    let message = builder.finish();
    assert_eq!(message, Message::text("2[\"grüße\",1]"));
    assert!(message.compress() && !message.clone().with_compress(false).compress());
    assert!(!format!("{message:?}").contains("gr"), "payloads stay out of logs");
}

// ---- payloads -------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
}

impl Said {
    fn message(&self) -> Message {
        match self {
            Said::Text(text) => Message::text(text),
            Said::Binary(bytes) => Message::binary(Bytes::from(bytes.clone())),
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        // The separator is the one thing a revision 4 text cannot say by polling.
        "[^\u{1e}]{0,40}".prop_map(Said::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Said::Binary),
    ]
}

fn protocol(form: Form) -> Protocol {
    if form == Form::V4 { Protocol::V4 } else { Protocol::V3 }
}

proptest! {
    #[test]
    fn payloads_are_read_as_they_were_written(
        form in proptest::sample::select(&FORMS[..]),
        said in proptest::collection::vec(said(), 0..12),
        ping: bool,
    ) {
        let messages: Vec<Message> = said.iter().map(Said::message).collect();
        let controls = ping.then_some(Control::Ping);
        let payload = encode_payload(form, controls, "", messages.iter(), usize::MAX).unwrap();
        prop_assert_eq!(payload.taken, messages.len());
        let binary = said.iter().any(|said| matches!(said, Said::Binary(_)));
        prop_assert_eq!(payload.content == Content::Binary, form == Form::V3Binary && binary);
        let mut packets = Payload::body(&payload.body, payload.content, protocol(form));
        if ping {
            prop_assert_eq!(packets.next(), Some(Ok(Packet::text(Kind::Ping, ""))));
        }
        if !ping && said.is_empty() {
            prop_assert_eq!(packets.next(), Some(Ok(Packet::text(Kind::Noop, ""))));
        }
        for said in &said {
            let packet = packets.next().unwrap().unwrap();
            prop_assert_eq!(packet.kind, Kind::Message);
            match (packet.data, said) {
                (Data::Text(got), Said::Text(text)) => prop_assert_eq!(&*got, text),
                (Data::Binary(got), Said::Binary(bytes)) => prop_assert_eq!(&*got, &bytes[..]),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(packets.next(), None);
    }

    #[test]
    fn a_payload_keeps_its_limit_and_takes_all_that_fits(
        form in proptest::sample::select(&FORMS[..]),
        said in proptest::collection::vec(said(), 1..12),
        limit in 0_usize..300,
    ) {
        let messages: Vec<Message> = said.iter().map(Said::message).collect();
        let payload = encode_payload(form, [], "", messages.iter(), limit).unwrap();
        let sizes = |count| messages.iter().take(count).map(|message| form.size_of(message)).sum::<usize>();
        prop_assert!(payload.taken >= 1, "or it would never leave");
        prop_assert!(payload.body.len() <= sizes(payload.taken));
        prop_assert!(payload.taken == 1 || sizes(payload.taken) <= limit);
        prop_assert!(payload.taken == messages.len() || sizes(payload.taken + 1) > limit);
    }

    #[test]
    fn nothing_panics_and_nothing_grows(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (content, protocol) in
            [(Content::Text, Protocol::V4), (Content::Text, Protocol::V3), (Content::Binary, Protocol::V3)]
        {
            let mut payload = Payload::body(&bytes, content, protocol);
            let packets: Vec<_> = payload.by_ref().collect();
            prop_assert!(packets.len() <= bytes.len() + 1);
            let errors = packets.iter().filter(|packet| packet.is_err()).count();
            prop_assert!(errors == 0 || (errors == 1 && packets.last().unwrap().is_err()));
            prop_assert_eq!(payload.next(), None);
        }
        let _ = decode_binary(&bytes, Protocol::V3);
        let text = String::from_utf8_lossy(&bytes);
        let _ = (decode_text(&text, Protocol::V4), decode_text(&text, Protocol::V3), undouble(&text));
        let _ = (Query::parse(&text), jsonp::form_payload(&text), jsonp::response(&text, &text));
    }

    /// A driver may stop after any packet and go on later with what is left.
    #[test]
    fn a_payload_goes_on_where_it_stopped(
        text in "([0-6b9]{0,3}[:\u{1e}]?[a4=€\u{1f600}é]{0,3}){0,12}",
        stops in proptest::collection::vec(1_usize..3, 1..20),
    ) {
        for protocol in [Protocol::V4, Protocol::V3] {
            let whole: Vec<_> = Payload::text(&text, protocol).collect();
            let (mut pieces, mut at) = (Vec::new(), 0);
            for stop in stops.iter().cycle() {
                let mut payload = Payload::text(&text[at..], protocol);
                pieces.extend(payload.by_ref().take(*stop));
                match payload.unread() {
                    Some(unread) => at = text.len() - unread,
                    None => break,
                }
            }
            prop_assert_eq!(&pieces, &whole);
        }
    }

    /// Hostile texts that look right for longer than random bytes do.
    #[test]
    fn nothing_panics_on_what_looks_right(text in "([0-6b9]{0,3}[:\u{1e}]?[a4=€\u{1f600}é]{0,3}){0,12}") {
        for protocol in [Protocol::V4, Protocol::V3] {
            prop_assert!(Payload::text(&text, protocol).count() <= text.len() + 1);
        }
    }

    #[test]
    fn double_utf8_is_undone(text in "\\PC{0,20}") {
        let double: String = text.bytes().map(char::from).collect();
        prop_assert_eq!(undouble(&double), (!text.is_ascii()).then(|| text.clone()));
    }

    #[test]
    fn queries_and_forms_are_read_as_they_were_written(key in "\\PC{1,8}", value in "\\PC{0,20}") {
        let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let raw = format!("{}={}", escape(&key), escape(&value));
        let read: Vec<_> = pairs(&raw).map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(read, vec![(key, value)]);
    }

    #[test]
    fn jsonp_posts_are_read_as_clients_write_them(text in "[a\\\\n\n]{0,12}") {
        // The one thing the client's way of writing cannot carry.
        prop_assume!(!text.contains("\\\n"));
        let field = text.replace("\\n", "\\\n").replace('\n', "\\n");
        let body = format!("d={}", field.replace('%', "%25").replace('+', "%2B"));
        prop_assert_eq!(jsonp::form_payload(&body), Some(text));
    }
}

/// Half a million packets of two bytes: each is made when it is asked for, and asking costs what it is long.
#[test]
fn payloads_are_lazy() {
    let body = "4\u{1e}".repeat(500_000);
    let mut packets = Payload::text(&body, Protocol::V4);
    assert!(packets.by_ref().take(500_000).all(|packet| packet == Ok(Packet::text(Kind::Message, ""))));
    assert_eq!(packets.next(), Some(Err(DecodeError::Empty)));
    let body = "2:4€".repeat(200_000);
    assert_eq!(Payload::text(&body, Protocol::V3).filter(Result::is_ok).count(), 200_000);
    let body = "0:".repeat(500_000);
    assert_eq!(Payload::text(&body, Protocol::V3).count(), 0);
}

#[test]
fn what_cannot_be_said_by_polling_is_not_said() {
    let (good, bad) = (Message::text("a"), Message::text("a\u{1e}b"));
    let taken = |form, messages: &[&Message]| {
        encode_payload(form, [], "", messages.iter().copied(), 1000).map(|payload| payload.taken)
    };
    assert_eq!(taken(Form::V4, &[&good, &bad]), Ok(1));
    assert_eq!(taken(Form::V4, &[&bad, &good]), Err(Unspeakable));
    assert_eq!(taken(Form::V3Text, &[&bad, &good]), Ok(2));
    assert_eq!(taken(Form::V4, &[&Message::binary(Bytes::from_static(b"\x1e"))]), Ok(1));
}

#[test]
fn the_form_follows_the_handshake() {
    assert_eq!(Form::new(Protocol::V4, true, true), Form::V4);
    assert_eq!(Form::new(Protocol::V3, false, false), Form::V3Binary);
    assert_eq!(Form::new(Protocol::V3, true, false), Form::V3Text);
    assert_eq!(
        Form::new(Protocol::V3, false, true),
        Form::V3Text,
        "JSONP cannot take binary, whatever it says"
    );
}

#[test]
fn the_last_words() {
    let text = |form, after_noop| String::from_utf8(encode_close(form, after_noop).body).unwrap();
    assert_eq!(text(Form::V4, false), "1");
    assert_eq!(text(Form::V4, true), "6\u{1e}1");
    assert_eq!(text(Form::V3Text, false), "1:1");
    assert_eq!(text(Form::V3Binary, true), "1:61:1");
}

#[test]
fn compression_is_wished_for_by_one_of_them() {
    let (yes, no) = (Message::text("a"), Message::text("b").with_compress(false));
    let compress = |messages: &[&Message]| {
        encode_payload(Form::V4, [], "", messages.iter().copied(), 99).unwrap().compress
    };
    assert!(compress(&[&no, &yes]) && compress(&[]) && !compress(&[&no, &no]));
}

// ---- handshake and admission ----------------------------------------------------------------------------------------

#[test]
fn the_open_packet() {
    let open = Open {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrades: &[Transport::WebSocket],
        ping_interval: core::time::Duration::from_secs(25),
        ping_timeout: core::time::Duration::from_secs(20),
        max_payload: 1_000_000,
    };
    let json = "{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\
                \"pingTimeout\":20000,\"maxPayload\":1000000}";
    assert_eq!(open.to_json(), json);
    let open = Open { sid: "\"", upgrades: &[], ..open };
    assert!(open.to_json().starts_with("{\"sid\":\"\\\"\",\"upgrades\":[],"));
    let body = encode_payload(Form::V3Binary, [Control::Open], json, [].iter(), 0).unwrap().body;
    assert_eq!(body, format!("118:0{json}").into_bytes());
}

#[test]
fn queries() {
    let query =
        Query::parse("EIO=3&transport=polling&EIO=4&sid=a%2Bb&sid=c+d&b64=1&j=0&t=1290000000000-7&x=y");
    assert_eq!(query.protocol, Protocol::V4);
    assert_eq!(query.transport.as_deref(), Some("polling"));
    assert_eq!(query.sid.as_deref(), Some("c d"));
    assert!(query.b64);
    assert_eq!(query.j.as_deref(), Some("0"));
    assert!(query.has_oldest_timestamp());
    for eio in ["", "EIO", "EIO=", "EIO=04", "EIO=5", "EIO=abc", "EIO=4&EIO=3", "eio=4"] {
        assert_eq!(Query::parse(eio).protocol, Protocol::V3, "{eio}");
    }
    assert_eq!(Query::parse("sid=x&sid=").sid, None);
    assert_eq!(Query::parse("").transport, None);
    for t in ["t=N8hyd6w", "t=129000000000-7", "t=1290000000000-", "t=1290000000000"] {
        assert!(!Query::parse(t).has_oldest_timestamp(), "{t}");
    }
    let odd: Vec<_> =
        pairs("a=%4&b=%zz&c=%&d=%ff&=e&f&&g=1=2").map(|(key, value)| format!("{key}:{value}")).collect();
    assert_eq!(odd, ["a:%4", "b:%zz", "c:%", "d:\u{fffd}", ":e", "f:", "g:1=2"]);
}

/// `query method[ upgrade] → answer`, on a server that has session `P` on polling and `W` on a WebSocket, both of
/// revision 4.
#[test]
fn requests_are_judged_in_the_order_of_the_reference() {
    let find = |sid: &str| match sid {
        "P" => Some(SessionFacts { protocol: Protocol::V4, transport: Transport::Polling }),
        "W" => Some(SessionFacts { protocol: Protocol::V4, transport: Transport::WebSocket }),
        _ => None,
    };
    let table = "
        transport=polling&EIO=4 GET → Handshake(Polling)
        transport=websocket&EIO=4 GET upgrade → Handshake(WebSocket)
        transport=polling&EIO=4&sid=P GET → Poll
        transport=polling&EIO=4&sid=P POST → Post
        transport=websocket&EIO=4&sid=P GET upgrade → Candidate
        transport=websocket&EIO=4&sid=W GET upgrade → Candidate
        EIO=4 GET → 0 400
        transport=&EIO=4 GET → 0 400
        transport=webtransport&EIO=4 GET → 0 400
        transport=__proto__&sid=nobody POST → 0 400
        transport=polling&EIO=4&sid=nobody GET → 1 400
        transport=websocket&EIO=4&sid=nobody GET upgrade → 1 400
        transport=polling&EIO=3&sid=constructor DELETE → 1 400
        transport=polling&EIO=4&sid=W GET → 3 400 TRANSPORT_MISMATCH
        transport=polling&EIO=3&sid=W POST → 3 400 TRANSPORT_MISMATCH
        transport=websocket&EIO=4&sid=P GET → 3 400 TRANSPORT_MISMATCH
        transport=websocket&EIO=4&sid=W GET → 3 400 TRANSPORT_HANDSHAKE_ERROR
        transport=polling&EIO=4&sid=P GET upgrade → 3 400 TRANSPORT_HANDSHAKE_ERROR
        transport=polling&EIO=3&sid=P GET → 3 400 PROTOCOL_MISMATCH
        transport=websocket&EIO=3&sid=P GET upgrade → 3 400 PROTOCOL_MISMATCH
        transport=polling&EIO=4&sid=P PUT → 2 400
        transport=polling&EIO=4 POST → 2 400
        transport=polling&EIO=4 OPTIONS → 2 400
        transport=websocket&EIO=4 POST → 2 400
        transport=websocket&EIO=4 GET → 3 400 TRANSPORT_HANDSHAKE_ERROR
        transport=polling&EIO=4 GET upgrade → 3 400 TRANSPORT_HANDSHAKE_ERROR
        transport=polling&EIO=4&sid= GET → Handshake(Polling)
        transport=polling GET → Handshake(Polling)";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (request, answer) = line.split_once(" → ").unwrap();
        let mut words = request.split(' ');
        let query = Query::parse(words.next().unwrap());
        let method = match words.next().unwrap() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            _ => Method::Other,
        };
        let upgrade = words.next().is_some();
        let check = Check { query: &query, method, upgrade, origin: None };
        let got = match check_request(&Rules::default(), check, find) {
            Ok(passed) => format!("{passed:?}"),
            Err(error @ ConnectionError::BadRequest(kind)) => {
                format!("{} {} {}", error.code(), error.status(upgrade), kind.name())
            }
            Err(error) => format!("{} {}", error.code(), error.status(upgrade)),
        };
        assert_eq!(got, answer, "{request}");
    }
}

#[test]
fn other_checks() {
    let query = Query::parse("transport=polling&sid=nobody");
    let check = Check { query: &query, method: Method::Get, upgrade: false, origin: Some(b"http://a\x01") };
    let rules = Rules::default();
    assert_eq!(check_request(&rules, check, |_| None), Err(BadRequest::InvalidOrigin.into()));
    let check = Check { origin: Some("http://ü\t~".as_bytes()), ..check };
    assert_eq!(check_request(&rules, check, |_| None), Err(ConnectionError::SessionUnknown));
    let only_websocket = Rules { polling: false, ..rules };
    assert_eq!(check_request(&only_websocket, check, |_| None), Err(ConnectionError::TransportUnknown));
    let query = Query::parse("transport=websocket");
    let check = Check { query: &query, upgrade: true, ..check };
    assert_eq!(check_request(&only_websocket, check, |_| None), Ok(Passed::Handshake(Transport::WebSocket)));

    assert_eq!(check_version(&rules, Protocol::V3), Err(ConnectionError::UnsupportedVersion));
    assert_eq!(check_version(&rules, Protocol::V4), Ok(()));
    assert_eq!(check_version(&Rules { allow_v3: true, ..rules }, Protocol::V3), Ok(()));

    let table = [
        (ConnectionError::TransportUnknown, 400, "{\"code\":0,\"message\":\"Transport unknown\"}"),
        (ConnectionError::SessionUnknown, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}"),
        (ConnectionError::BadMethod, 400, "{\"code\":2,\"message\":\"Bad handshake method\"}"),
        (BadRequest::Middleware.into(), 400, "{\"code\":3,\"message\":\"Bad request\"}"),
        (ConnectionError::Forbidden, 403, "{\"code\":4,\"message\":\"Forbidden\"}"),
        (
            ConnectionError::UnsupportedVersion,
            400,
            "{\"code\":5,\"message\":\"Unsupported protocol version\"}",
        ),
    ];
    for (error, status, json) in table {
        assert_eq!((error.status(false), error.to_json(None)), (status, json.to_owned()));
        assert_eq!(error.status(true), 400, "a refused WebSocket gets 400");
    }
    assert_eq!(
        ConnectionError::Forbidden.to_json(Some("no \"way\"")),
        "{\"code\":4,\"message\":\"no \\\"way\\\"\"}"
    );
}
