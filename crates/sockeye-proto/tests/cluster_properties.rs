//! Laws of what servers tell each other: whatever arrives, nothing breaks; whatever is said is understood.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sockeye_proto::cluster::classic::{self, Generation, Peers};
use sockeye_proto::cluster::streams::{self, Fields, Offset, Session};
use sockeye_proto::cluster::{
    Body, Flags, Handshake, Limits, Message, Options, Refused, SocketDescription, adapter,
};
use sockeye_proto::socket::{Args, Payload, Value, Violation};

// ---- what is said is understood

fn names() -> impl Strategy<Value = Arc<str>> {
    "[ -~é😀#\"\\\\]{0,12}".prop_map(Arc::from)
}

fn rooms() -> impl Strategy<Value = Vec<Arc<str>>> {
    proptest::collection::vec(names(), 0..3)
}

fn options() -> impl Strategy<Value = Options> {
    let flags = (any::<bool>(), any::<Option<bool>>(), any::<bool>(), any::<Option<u32>>());
    (rooms(), rooms(), flags).prop_map(|(rooms, except, (volatile, compress, single, timeout))| Options {
        rooms,
        except,
        flags: Flags {
            volatile,
            compress,
            expect_single_response: single,
            timeout: timeout.map(|millis| Duration::from_millis(millis.into())),
        },
    })
}

fn values() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        any::<String>().prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Binary(bytes.into())),
    ];
    plain.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map("[a-z\\]\\[,{}\"]{0,4}", inner, 0..3).prop_map(Value::Object),
        ]
    })
}

fn events() -> impl Strategy<Value = Payload> {
    ("e[ -~]{0,8}", proptest::collection::vec(values(), 0..3)).prop_map(|(name, args)| {
        match args.as_slice() {
            [] => Payload::event(&name, &()).unwrap(),
            [one] => Payload::event(&name, one).unwrap(),
            [one, two] => Payload::event(&name, &Args((one, two))).unwrap(),
            _ => unreachable!(),
        }
    })
}

fn answers() -> impl Strategy<Value = Payload> {
    proptest::option::of(values()).prop_map(|value| match value {
        Some(value) => Payload::args(&value).unwrap(),
        None => Payload::args(&()).unwrap(),
    })
}

fn sockets() -> impl Strategy<Value = Vec<SocketDescription>> {
    let handshake = proptest::option::of((any::<String>(), any::<u32>(), any::<bool>()));
    let socket = (names(), handshake, rooms(), answers());
    let socket = socket.prop_map(|(id, handshake, rooms, data)| {
        let handshake = handshake.map(|(url, issued, secure)| Handshake {
            url,
            issued: issued.into(),
            secure,
            headers: "{\"a\":[1,\"]\"]}".to_owned(),
            ..Handshake::default()
        });
        SocketDescription { id, handshake, rooms, data }
    });
    proptest::collection::vec(socket, 0..3)
}

/// What every dialect can say.
fn common() -> impl Strategy<Value = Body> {
    let request = || proptest::option::of(names());
    prop_oneof![
        (options(), rooms()).prop_map(|(options, rooms)| Body::Join { options, rooms }),
        (options(), rooms()).prop_map(|(options, rooms)| Body::Leave { options, rooms }),
        (options(), any::<bool>()).prop_map(|(options, close)| Body::Disconnect { options, close }),
        (options(), names()).prop_map(|(options, request)| Body::FetchSockets { options, request }),
        (events(), request()).prop_map(|(payload, request)| Body::ServerEvent { payload, request }),
        (events(), options(), request()).prop_map(|(payload, options, request)| Body::Broadcast {
            payload,
            options,
            request
        }),
    ]
}

fn common_answers() -> impl Strategy<Value = Body> {
    prop_oneof![
        (names(), sockets()).prop_map(|(request, sockets)| Body::Sockets { request, sockets }),
        (names(), answers()).prop_map(|(request, answer)| Body::ServerEventAck { request, answer }),
        (names(), any::<u64>()).prop_map(|(request, count)| Body::ClientCount { request, count }),
        (names(), answers()).prop_map(|(request, answer)| Body::ClientAck { request, answer }),
    ]
}

fn messages(body: impl Strategy<Value = Body>) -> impl Strategy<Value = Message> {
    let from = prop_oneof![Just(Arc::from("emitter")), "[a-z0-9]{6,16}".prop_map(Arc::from)];
    (from, prop_oneof![Just(Arc::from("/")), "/[a-z\"]{1,5}".prop_map(Arc::from)], body)
        .prop_map(|(from, namespace, body)| Message { from: Some(from), namespace, body })
}

/// What classic questions do not carry.
fn without_flags(message: &Message) -> Message {
    let mut message = message.clone();
    if let Body::Join { options, .. }
    | Body::Leave { options, .. }
    | Body::Disconnect { options, .. }
    | Body::FetchSockets { options, .. } = &mut message.body
    {
        options.flags = Flags::default();
    }
    message
}

proptest! {
    #[test]
    fn the_adapters_words_are_understood(message in messages(prop_oneof![
        common(), common_answers(), Just(Body::InitialHeartbeat), Just(Body::Heartbeat), Just(Body::Close),
    ])) {
        let limits = Limits::default();
        let bytes = adapter::encode(&message).unwrap();
        prop_assert_eq!(adapter::decode(&bytes, "/x", &limits), Ok(message.clone()));
        let bytes = adapter::encode_msgpack(&message).unwrap();
        prop_assert_eq!(adapter::decode(&bytes, "/x", &limits), Ok(message.clone()));
        let fields = Fields::of(&message, false).unwrap();
        let pairs = fields.pairs().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        prop_assert_eq!(streams::decode(pairs, &limits), Ok(Some(message)));
    }

    #[test]
    fn classic_words_are_understood(message in messages(common()), current in any::<bool>()) {
        let limits = Limits::default();
        let peers = if current { Peers::Current } else { Peers::Any };
        if let Body::Broadcast { request: None, .. } = message.body {
            let bytes = classic::encode_broadcast(&message).unwrap();
            prop_assert_eq!(classic::decode_broadcast(&bytes, &limits), Ok(message.clone()));
            return Ok(());
        }
        let bytes = classic::encode_request(&message, peers).unwrap();
        let asked = classic::decode_request(&bytes, &message.namespace, &limits).unwrap();
        prop_assert_eq!(asked.generation, Generation::Current);
        match &message.body {
            // Spelled out, as Node's servers do.
            Body::ServerEvent { payload, .. } if !payload.attachments().is_empty() => {}
            Body::Join { .. } | Body::Leave { .. } | Body::Disconnect { .. } => {
                prop_assert_eq!(asked.message.body, without_flags(&message).body);
            }
            _ => prop_assert_eq!(asked.message, without_flags(&message)),
        }
    }

    #[test]
    fn classic_answers_are_understood(message in messages(common_answers()), current in any::<bool>()) {
        let peers = if current { Peers::Current } else { Peers::Any };
        let bytes = classic::encode_response(&message, Generation::Current, peers).unwrap();
        let again = classic::decode_response(&bytes, &message.namespace, &Limits::default()).unwrap();
        let spelled_out = match &message.body {
            Body::Sockets { sockets, .. } => sockets.iter().any(|socket| !socket.data.attachments().is_empty()),
            Body::ServerEventAck { answer, .. } => !answer.attachments().is_empty(),
            _ => false,
        };
        if !spelled_out {
            prop_assert_eq!(again.body, message.body);
        }
    }

    #[test]
    fn sessions_are_kept(sid in names(), pid in names(), rooms in rooms(), data in answers()) {
        let session = Session { sid, pid, rooms, data };
        prop_assert_eq!(Session::decode(session.encode().as_bytes(), &Limits::default()), Ok(session));
    }

    // ---- whatever arrives

    #[test]
    fn noise_breaks_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn mutilated_messages_break_nothing(
        message in messages(prop_oneof![common(), common_answers()]),
        msgpack in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = match msgpack {
            true => adapter::encode_msgpack(&message).unwrap(),
            false => adapter::encode(&message).unwrap(),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_everything(&bytes);
        bytes.truncate(end.index(bytes.len()));
        read_everything(&bytes);
    }

    #[test]
    fn whole_messages_only(message in messages(common())) {
        let bytes = adapter::encode_msgpack(&message).unwrap();
        for end in 0..bytes.len() {
            prop_assert!(adapter::decode(&bytes[..end], "/", &Limits::default()).is_err());
        }
        let longer = [&bytes[..], &[0xC0]].concat();
        prop_assert_eq!(adapter::decode(&longer, "/", &Limits::default()), Err(Refused::Malformed));
    }

    #[test]
    fn offsets_are_digits(text in "[0-9-]{0,8}|\\+?[0-9]{1,3}-\\+?[0-9]{1,3}| ?1-1|[0-9]{18,24}-0") {
        if let Ok(offset) = text.parse::<Offset>() {
            let (time, sequence) = text.split_once('-').unwrap();
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(digits(time) && digits(sequence));
            prop_assert!(offset.next().is_none_or(|next| next > offset));
        }
    }

    #[test]
    fn channels_name_their_rooms(namespace in "/[a-z#*]{0,4}", room in "[a-z#*]{0,6}") {
        let channels = classic::Channels { prefix: "p", namespace: &namespace };
        let options = Options { rooms: vec![room.as_str().into()], ..Options::default() };
        let channel = channels.broadcast(&options);
        prop_assert_eq!(channels.room(&channel), Some(&*room));
        let everybody = channels.broadcast(&Options::default());
        prop_assert_eq!(channels.room(&everybody), Some(""));
    }
}

fn read_everything(bytes: &[u8]) {
    let limits = Limits::default();
    let _ = classic::decode_broadcast(bytes, &limits);
    let _ = classic::decode_response(bytes, "/", &limits);
    let _ = Session::decode(bytes, &limits);
    let entry = [(&b"uid"[..], &b"x"[..]), (b"nsp", b"/"), (b"type", b"3"), (b"data", bytes)];
    let _ = streams::decode(entry, &limits);
    // What was understood can be said again, and says the same ever after. (Not the same text at once: JSON has
    // several spellings of a number.)
    if let Ok(message) = adapter::decode(bytes, "/", &limits) {
        let said = adapter::encode_msgpack(&message).unwrap();
        let heard = adapter::decode(&said, "/", &limits).unwrap();
        let said = adapter::encode_msgpack(&heard).unwrap();
        assert_eq!(adapter::decode(&said, "/", &limits), Ok(heard));
    }
    if let Ok(asked) = classic::decode_request(bytes, "/", &limits) {
        let _ = classic::encode_request(&asked.message, Peers::Any);
    }
}

// ---- attacks with a name

#[test]
fn the_messages_that_kill_nodes_servers_are_refused() {
    let limits = Limits::default();
    let broadcasts: [(&[u8], Refused); 8] = [
        (b"", Refused::Malformed),
        (b"garbage", Refused::Malformed),
        (b"{\"a\":1}", Refused::Malformed),
        (b"\x92\xA1x\x80", Refused::Field("message")),
        (b"\x94\xA1x\x80\x80\x80", Refused::TooMany),
        (b"\x80", Refused::Field("message")),
        (b"\x93\xA1x\xC0\x80", Refused::Field("packet")),
        (b"\x93\xA1x\x82\xA4type\x03\xA4data\x91\xA1e\x80", Refused::NotAnEvent),
    ];
    for (bytes, refused) in broadcasts {
        assert_eq!(classic::decode_broadcast(bytes, &limits), Err(refused), "{}", bytes.escape_ascii());
    }
    let requests: [(&[u8], Refused); 8] = [
        (br#"{"uid":"x","requestId":"y","type":5}"#, Refused::Field("opts")),
        (br#"{"uid":"x","requestId":"y","type":7,"opts":{}}"#, Refused::Field("packet")),
        (br#"{"uid":"x","requestId":"y","type":99}"#, Refused::UnknownType),
        (br#"{"uid":"x","type":-1}"#, Refused::Field("type")),
        (br#"{"uid":"x","type":2,"rooms":["r"]}"#, Refused::Field("opts")),
        (br#"{"uid":"x","type":6,"data":["disconnect"]}"#, Refused::Arguments(Violation::EventName)),
        (br#"{"uid":7,"type":6,"data":["e"]}"#, Refused::Field("uid")),
        (br#"{"uid":"x","type":6,"data":["e"]} x"#, Refused::Malformed),
    ];
    for (bytes, refused) in requests {
        assert_eq!(classic::decode_request(bytes, "/", &limits), Err(refused), "{}", bytes.escape_ascii());
    }
}

#[test]
fn pickles_are_never_opened() {
    // python-socketio's, protocol 4, and the text one.
    for pickle in [&b"\x80\x04\x95\x0B\x00\x00\x00\x00\x00\x00\x00}\x94\x8C\x06method\x94s."[..], b"(dp0\n."]
    {
        let limits = Limits::default();
        assert!(adapter::decode(pickle, "/", &limits).is_err());
        assert!(classic::decode_broadcast(pickle, &limits).is_err());
        assert!(classic::decode_request(pickle, "/", &limits).is_err());
    }
}

#[test]
fn what_is_announced_is_compared_with_what_is_there() {
    for bomb in [
        &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF][..],
        &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0xA1, b'x'],
        &[0x93, 0xA1, b'x', 0xC6, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x93, 0xDB, 0xFF, 0xFF, 0xFF, 0xF0, b'x'],
    ] {
        assert_eq!(classic::decode_broadcast(bomb, &Limits::default()), Err(Refused::Malformed));
        assert_eq!(adapter::decode(bomb, "/", &Limits::default()), Err(Refused::Malformed));
    }
}

#[test]
fn limits_hold() {
    let limits = Limits::default();
    let event = |arguments: &str| {
        let packet = format!(r#"{{"type":2,"data":["e",{arguments}]}}"#);
        format!(r#"{{"type":3,"data":{{"packet":{packet},"opts":{{}}}},"uid":"x","nsp":"/"}}"#)
    };
    let nested = |levels| event(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(adapter::decode(nested(127).as_bytes(), "/", &limits).is_ok());
    assert_eq!(adapter::decode(nested(128).as_bytes(), "/", &limits), Err(Refused::Depth));
    assert_eq!(adapter::decode(nested(1_000_000).as_bytes(), "/", &limits), Err(Refused::Depth));
    // The same in MessagePack, where containers are a byte each.
    let deep = |levels| {
        [b"\x93\xA1x\x82\xA4type\x02\xA4data\x92\xA1e", &vec![0x91; levels][..], b"\xC0\x80"].concat()
    };
    assert!(classic::decode_broadcast(&deep(127), &limits).is_ok());
    assert_eq!(classic::decode_broadcast(&deep(128), &limits), Err(Refused::Depth));
    assert_eq!(classic::decode_broadcast(&deep(1_000_000), &limits), Err(Refused::Depth));

    let large = event(&format!("\"{}\"", "x".repeat(limits.message)));
    assert_eq!(adapter::decode(large.as_bytes(), "/", &limits), Err(Refused::TooLarge));

    let binary = |count: u16| {
        let many = [&[0xDC][..], &count.to_be_bytes(), &[0xC4, 0x00].repeat(count.into())].concat();
        [b"\x93\xA1x\x82\xA4type\x02\xA4data\x92\xA1e", &many[..], b"\x80"].concat()
    };
    assert!(classic::decode_broadcast(&binary(1000), &limits).is_ok());
    assert_eq!(classic::decode_broadcast(&binary(1001), &limits), Err(Refused::TooMany));
}

#[test]
fn binary_values_of_all_sockets_count_together() {
    let mut limits = Limits::default();
    limits.attachments = 3;
    let data = |count: u8| Payload::args(&vec![Value::Binary("b".into()); count.into()]).unwrap();
    let socket =
        |count| SocketDescription { id: "s".into(), handshake: None, rooms: vec![], data: data(count) };
    for (counts, good) in [(vec![1, 2], true), (vec![2, 2], false), (vec![4], false)] {
        let sockets = counts.into_iter().map(socket).collect();
        let body = Body::Sockets { request: "r".into(), sockets };
        let message = Message { from: Some("x".into()), namespace: "/".into(), body };
        let bytes = adapter::encode(&message).unwrap();
        assert_eq!(adapter::decode(&bytes, "/", &limits).is_ok(), good);
    }
}

// ---- what is tolerated

#[test]
fn halves_of_surrogate_pairs_are_mended() {
    let bytes =
        b"\x93\xA1x\x82\xA4type\x02\xA4data\x92\xA1e\xA3\xED\xA0\x80\x81\xA5rooms\x91\xA3\xED\xA0\x80";
    let message = classic::decode_broadcast(bytes, &Limits::default()).unwrap();
    let Body::Broadcast { payload, options, .. } = message.body else { panic!() };
    assert_eq!(payload.text(), "[\"e\",\"\u{FFFD}\u{FFFD}\u{FFFD}\"]");
    assert_eq!(&*options.rooms[0], "\u{FFFD}\u{FFFD}\u{FFFD}");
}

#[test]
fn what_looks_like_a_placeholder_is_data_or_refused_but_never_mistaken() {
    let limits = Limits::default();
    let event = |data: &str| format!(r#"{{"uid":"x","nsp":"/","type":9,"data":{{"packet":{data}}}}}"#);
    let text = r#"["e",{"_placeholder":true,"num":0}]"#;
    let message = adapter::decode(event(text).as_bytes(), "/", &limits).unwrap();
    let Body::ServerEvent { payload, .. } = &message.body else { panic!() };
    assert_eq!((payload.text(), payload.attachments().len()), (text, 0));
    // It stays data in MessagePack, and beside a binary value it is refused.
    let bytes = adapter::encode_msgpack(&message).unwrap();
    assert_eq!(adapter::decode(&bytes, "/", &limits), Ok(message));
    let beside =
        b"\x93\xA1x\x82\xA4type\x02\xA4data\x93\xA1e\xC4\x01b\x82\xACplaceholder!\xC3\xA3num\x00\x80";
    assert!(classic::decode_broadcast(beside, &limits).is_ok());
    let beside =
        b"\x93\xA1x\x82\xA4type\x02\xA4data\x93\xA1e\xC4\x01b\x82\xAC_placeholder\xC3\xA3num\x00\x80";
    assert_eq!(classic::decode_broadcast(beside, &limits), Err(Refused::Arguments(Violation::Placeholder)));
}

#[test]
fn the_namespace_of_the_channel_fills_in() {
    let bytes = br#"{"uid":"x","type":2}"#;
    let message = adapter::decode(bytes, "/chat", &Limits::default()).unwrap();
    assert_eq!((&*message.namespace, message.body), ("/chat", Body::Heartbeat));
}

#[test]
fn questions_are_answered_where_the_asker_listens() {
    let channels = classic::Channels { prefix: "socket.io", namespace: "/" };
    for (question, channel) in [
        (r#"{"uid":"U","requestId":"q","type":1}"#, "socket.io-response#/#U#"),
        (r#"{"requestId":"q","type":1}"#, "socket.io-response#/#"),
        (r#"{"uid":"U","requestId":"q","type":6,"data":["e"]}"#, "socket.io-response#/#"),
        (r#"{"uid":"U","requestid":"q","type":2}"#, "socket.io-response#/#"),
    ] {
        let asked = classic::decode_request(question.as_bytes(), "/", &Limits::default()).unwrap();
        assert_eq!(channels.answer(&asked), channel, "{question}");
    }
}

#[test]
fn patterns_match_one_namespace_only() {
    let channels = classic::Channels { prefix: "so?cket", namespace: "/a*[b]\\c" };
    assert_eq!(channels.pattern(), r"so\?cket#/a\*\[b\]\\c#*");
}

#[test]
fn plain_questions_are_json_for_the_oldest() {
    let body = |value: Value| Body::Broadcast {
        payload: Payload::event("q", &value).unwrap(),
        options: Options::default(),
        request: Some("r".into()),
    };
    let message = |value| Message { from: Some("U".into()), namespace: "/".into(), body: body(value) };
    let plain = message(Value::Bool(true));
    assert_eq!(classic::encode_request(&plain, Peers::Any).unwrap()[0], b'{');
    assert_eq!(classic::encode_request(&plain, Peers::Current).unwrap()[0], 0x85);
    let binary = message(Value::Binary("b".into()));
    assert_eq!(classic::encode_request(&binary, Peers::Any).unwrap()[0], 0x85);
}

#[test]
fn namespaces_are_spread_over_streams_as_by_node_but_never_out_of_reach() {
    for (namespace, hash) in
        [("/", 47), ("/chat", 46_457_863), ("/admin", 1_438_238_848), ("/notifications", -1_014_064_871)]
    {
        assert_eq!(streams::hash(namespace), hash);
    }
    assert_eq!(streams::stream_of("neg", 4, "/notifications"), "neg-3");
    assert_eq!(streams::streams("s", 3), ["s-0", "s-1", "s-2", "s--1", "s--2"]);
    assert_eq!(streams::streams("s", 1), ["s"]);
    assert_eq!(streams::stream_of("s", 0, "/"), "s");
}

#[test]
fn entries_without_a_namespace_are_nobodys() {
    let entry = [(&b"a"[..], &b"b"[..])];
    assert_eq!(streams::decode(entry, &Limits::default()), Ok(None));
}

#[test]
fn options_mean_what_rooms_say() {
    let options = |rooms: &[&str], except: &[&str]| Options {
        rooms: rooms.iter().map(|room| Arc::from(*room)).collect(),
        except: except.iter().map(|room| Arc::from(*room)).collect(),
        flags: Flags::default(),
    };
    let mine: Vec<Arc<str>> = vec!["sid".into(), "a".into()];
    assert!(options(&[], &[]).mean(&mine));
    assert!(options(&["b", "a"], &[]).mean(&mine));
    assert!(!options(&["b"], &[]).mean(&mine));
    assert!(!options(&["a"], &["sid"]).mean(&mine));
    assert!(!options(&[], &["a"]).mean(&mine));
}
