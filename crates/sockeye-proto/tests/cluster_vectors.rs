//! What Node's adapters and emitters said through Redis: read, compared with what an independent decoder saw in it,
//! and written again byte for byte.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Map, Value, json};
use sockeye_proto::cluster::classic::{self, Asked, Generation, Peers};
use sockeye_proto::cluster::streams::{self, Fields, Offset, Session};
use sockeye_proto::cluster::{Body, EMITTER, Limits, Message, Options, SocketDescription, adapter, sharded};
use sockeye_proto::socket::Payload;

macro_rules! vectors {
    ($name:literal) => {{
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/cluster/", $name));
        let file: Value = serde_json::from_str(text).unwrap();
        file["vectors"].as_array().unwrap().clone()
    }};
}

/// What cannot come out as it went in, and why.
const CHANGED: &[(&str, &str)] = &[
    ("Date", "dates are read as the text that JSON makes of them"),
    ("broadcast/date", "likewise, and undefined is read as null"),
    ("numeric-room", "rooms are strings here"),
];

fn is_changed(name: &str, vector: &Value) -> bool {
    CHANGED.iter().any(|(part, _)| name.contains(part)) || vector.to_string().contains("$date")
}

#[test]
fn classic_8() {
    let seen = check_classic(vectors!("redis-adapter-v8.json"), Generation::Current, true);
    assert_eq!(seen, Seen { broadcasts: 18, requests: 20, responses: 20 });
}

#[test]
fn classic_7_with_its_deprecated_requests() {
    let seen =
        check_classic(vectors!("redis-adapter-v7-deprecated-requests.json"), Generation::Current, true);
    assert_eq!(seen, Seen { broadcasts: 1, requests: 4, responses: 4 });
}

#[test]
fn classic_5_and_its_emitter() {
    let seen = check_classic(vectors!("redis-adapter-v5-legacy.json"), Generation::Five, false);
    assert_eq!(seen, Seen { broadcasts: 9, requests: 7, responses: 10 });
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    broadcasts: usize,
    requests: usize,
    responses: usize,
}

fn check_classic(vectors: Vec<Value>, generation: Generation, exact: bool) -> Seen {
    let limits = Limits::default();
    let mut seen = Seen::default();
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        let Some(channel) = vector["channel"].as_str() else {
            check_subscription(vector);
            continue;
        };
        let bytes = payload(vector);
        let (kind, namespace) = channel.split_once('#').unwrap();
        let namespace = namespace.split('#').next().unwrap();
        let channels = classic::Channels { prefix: "socket.io", namespace };
        let (spelled, again) = match kind {
            "socket.io" => {
                seen.broadcasts += 1;
                let message = classic::decode_broadcast(&bytes, &limits).expect(name);
                let Body::Broadcast { options, request: None, .. } = &message.body else { panic!("{name}") };
                assert_eq!(channels.broadcast(options), channel, "{name}");
                assert_eq!(channels.room(channel), Some(single(options)), "{name}");
                (spell_broadcast(&message), exact.then(|| classic::encode_broadcast(&message).unwrap()))
            }
            "socket.io-request" => {
                seen.requests += 1;
                assert_eq!(channels.request(), channel);
                let asked = classic::decode_request(&bytes, namespace, &limits).expect(name);
                assert_eq!(asked.generation, generation, "{name}");
                let again = exact.then(|| classic::encode_request(&asked.message, Peers::Current).unwrap());
                (spell_request(&asked), again)
            }
            "socket.io-response" => {
                seen.responses += 1;
                let specific = channels.response_to("_qZm3V");
                assert!(channels.response() == channel || specific == channel, "{name}");
                let message = classic::decode_response(&bytes, namespace, &limits).expect(name);
                let again = classic::encode_response(&message, generation, Peers::Current).unwrap();
                (spell_response(&message, generation), Some(again))
            }
            other => panic!("{other}"),
        };
        assert_eq!(spelled, expected(&vector["decoded"], ""), "{name}");
        match again {
            Some(again) if !is_changed(name, vector) => assert_eq!(show(&again), show(&bytes), "{name}"),
            _ => {}
        }
    }
    seen
}

fn check_subscription(vector: &Value) {
    let channels = |namespace| classic::Channels { prefix: "socket.io", namespace };
    for channel in strings(&vector["args"]) {
        if let Some(pattern) = channel.strip_prefix("socket.io#") {
            let namespace = pattern.strip_suffix("#*").unwrap();
            assert_eq!(channels(namespace).pattern(), channel);
        }
    }
}

#[test]
fn sharded_8() {
    let limits = Limits::default();
    let mut seen = 0;
    let mut mode = sharded::Mode::Dynamic;
    for vector in vectors!("redis-sharded-v8.json") {
        let name = vector["name"].as_str().unwrap();
        if name.contains("mode dynamic-private") {
            mode = sharded::Mode::DynamicPrivate;
        } else if name.contains("mode static") {
            mode = sharded::Mode::Static;
        }
        let Some(channel) = vector["channel"].as_str() else { continue };
        seen += 1;
        let bytes = payload(&vector);
        let message = adapter::decode(&bytes, "/", &limits).expect(name);
        assert_eq!(spell(&message), expected(&vector["decoded"], ""), "{name}");
        assert_eq!(show(&adapter::encode(&message).unwrap()), show(&bytes), "{name}");
        let (prefix, _) = channel.split_once('#').unwrap();
        let channels = sharded::Channels { prefix, namespace: &message.namespace };
        let is_answer = matches!(
            message.body,
            Body::Sockets { .. }
                | Body::ServerEventAck { .. }
                | Body::ClientCount { .. }
                | Body::ClientAck { .. }
        );
        if is_answer {
            assert_eq!(channels.server("e6f6ef88c2d18ebb"), channel, "{name}");
        } else {
            assert_eq!(channels.of(&message, mode), channel, "{name}");
        }
    }
    assert_eq!(seen, 31);
}

#[test]
fn streams_0_3() {
    let limits = Limits::default();
    let (mut entries, mut published, mut sessions) = (0, 0, 0);
    for vector in vectors!("redis-streams-v0.3.json") {
        let name = vector["name"].as_str().unwrap();
        match vector["command"].as_str().unwrap() {
            "XADD" => {
                entries += 1;
                let fields = vector["fields"].as_object().unwrap();
                let field = |name: &str| fields.get(name).map(|value| value.as_str().unwrap().to_owned());
                let theirs = Fields {
                    from: field("uid").unwrap(),
                    namespace: field("nsp").unwrap(),
                    kind: field("type").unwrap(),
                    data: field("data"),
                };
                let pairs = theirs.pairs().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
                let message = streams::decode(pairs, &limits).expect(name).expect(name);
                assert!(streams::is_durable(&message), "{name}");
                let spelled = spell(&message);
                assert_eq!(spelled["data"], expected(&vector["data"]["decoded"], ""), "{name}");
                assert_eq!(spelled["uid"], fields["uid"], "{name}");
                assert_eq!(spelled["nsp"], fields["nsp"], "{name}");
                assert_eq!(spelled["type"].to_string(), theirs.kind, "{name}");
                let stream = vector["stream"].as_str().unwrap();
                if stream == "socket.io" {
                    assert_eq!(streams::stream_of("socket.io", 1, &theirs.namespace), stream);
                } else {
                    assert_eq!(streams::stream_of("s", 4, &theirs.namespace), stream, "{name}");
                }
                if !is_changed(name, &vector["data"]) {
                    assert_eq!(Fields::of(&message, false).unwrap(), theirs, "{name}");
                }
            }
            "PUBLISH" | "SPUBLISH" => {
                published += 1;
                let bytes = payload(&vector);
                let message = adapter::decode(&bytes, "/", &limits).expect(name);
                assert!(!streams::is_durable(&message), "{name}");
                assert_eq!(spell(&message), expected(&vector["decoded"], ""), "{name}");
                if !is_changed(name, &vector) {
                    assert_eq!(show(&adapter::encode_msgpack(&message).unwrap()), show(&bytes), "{name}");
                }
            }
            "SET" => {
                sessions += 1;
                let value = vector["args"][1].as_str().unwrap();
                let session = Session::decode(value.as_bytes(), &limits).unwrap();
                let spelled = json!({
                    "sid": &*session.sid, "pid": &*session.pid, "rooms": names(&session.rooms),
                    "data": first(&session.data),
                });
                assert_eq!(spelled, expected(&vector["value"]["decoded"], ""));
                // A date in it; what we write is the same from then on.
                let again = session.encode();
                assert_eq!(Session::decode(again.as_bytes(), &limits).unwrap(), session);
            }
            "XRANGE" => {
                let offset: Offset = vector["args"][1].as_str().unwrap().parse().unwrap();
                assert_eq!(offset.to_string(), vector["args"][1].as_str().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!((entries, published, sessions), (21, 15, 1));
}

// ---- what was read, in the words of the vectors

fn spell(message: &Message) -> Value {
    let (kind, data) = match &message.body {
        Body::Broadcast { payload, options, request } => {
            // Emitters say it twice.
            let again = (message.from.as_deref() == Some(EMITTER)).then(|| Value::from(&*message.namespace));
            let packet = with(json!({"type": 2, "data": array(payload)}), "nsp", again);
            let data = json!({"packet": packet, "opts": spell_options(options)});
            (3, with(data, "requestId", request.as_deref().map(Value::from)))
        }
        Body::Join { options, rooms } => (4, json!({"opts": spell_options(options), "rooms": names(rooms)})),
        Body::Leave { options, rooms } => (5, json!({"opts": spell_options(options), "rooms": names(rooms)})),
        Body::Disconnect { options, close } => (6, json!({"opts": spell_options(options), "close": close})),
        Body::FetchSockets { options, request } => {
            (7, json!({"opts": spell_options(options), "requestId": &**request}))
        }
        Body::Sockets { request, sockets } => {
            (8, json!({"requestId": &**request, "sockets": spell_sockets(sockets)}))
        }
        Body::ServerEvent { payload, request } => {
            let data = json!({"packet": array(payload)});
            (9, with(data, "requestId", request.as_deref().map(Value::from)))
        }
        Body::ServerEventAck { request, answer } => {
            (10, with(json!({"requestId": &**request}), "packet", first(answer)))
        }
        Body::ClientCount { request, count } => (11, json!({"requestId": &**request, "clientCount": count})),
        Body::ClientAck { request, answer } => {
            (12, with(json!({"requestId": &**request}), "packet", first(answer)))
        }
        other => panic!("{other:?}"),
    };
    json!({"type": kind, "data": data, "uid": message.from.as_deref().unwrap(), "nsp": &*message.namespace})
}

fn spell_broadcast(message: &Message) -> Value {
    let Body::Broadcast { payload, options, .. } = &message.body else { panic!() };
    json!([
        message.from.as_deref(),
        {"type": 2, "data": array(payload), "nsp": &*message.namespace},
        spell_options(options),
    ])
}

fn spell_request(asked: &Asked) -> Value {
    let audience =
        |options: &Options| json!({"rooms": names(&options.rooms), "except": names(&options.except)});
    let five = asked.generation == Generation::Five;
    let codes: [u64; 5] = if five { [3, 4, 6, 2, 0] } else { [2, 3, 4, 1, 0] };
    let (request, body) = match &asked.message.body {
        Body::SocketIds { request, rooms } => {
            (Some(request), json!({"type": codes[4], "rooms": names(rooms)}))
        }
        Body::AllRooms { request } => (Some(request), json!({"type": codes[3]})),
        Body::RoomsOf { request, socket } => (Some(request), json!({"type": 1, "sid": &**socket})),
        Body::Custom { request, data } => (Some(request), json!({"type": 5, "data": first(data)})),
        Body::Join { options, rooms } => {
            (None, json!({"type": 2, "opts": audience(options), "rooms": names(rooms)}))
        }
        Body::Leave { options, rooms } => {
            (None, json!({"type": 3, "opts": audience(options), "rooms": names(rooms)}))
        }
        Body::Disconnect { options, close } => {
            (None, json!({"type": 4, "opts": audience(options), "close": close}))
        }
        Body::JoinOne { request, socket, room } => {
            (Some(request), json!({"type": codes[0], "sid": &**socket, "room": &**room}))
        }
        Body::LeaveOne { request, socket, room } => {
            (Some(request), json!({"type": codes[1], "sid": &**socket, "room": &**room}))
        }
        Body::DisconnectOne { request, socket, close } => {
            (Some(request), json!({"type": codes[2], "sid": &**socket, "close": close}))
        }
        Body::FetchSockets { options, request } => {
            (Some(request), json!({"type": 5, "opts": audience(options)}))
        }
        Body::ServerEvent { payload, request } => {
            (request.as_ref(), json!({"type": 6, "data": array(payload)}))
        }
        Body::Broadcast { payload, options, request } => {
            let packet = json!({"type": 2, "data": array(payload), "nsp": &*asked.message.namespace});
            (request.as_ref(), json!({"type": 7, "packet": packet, "opts": spell_options(options)}))
        }
        other => panic!("{other:?}"),
    };
    let key = if five { "requestid" } else { "requestId" };
    let body = with(body, key, request.map(|request| Value::from(&**request)));
    with(body, "uid", asked.message.from.as_deref().map(Value::from))
}

fn spell_response(message: &Message, generation: Generation) -> Value {
    let five = generation == Generation::Five;
    let (request, body) = match &message.body {
        Body::Ids { request, ids } => {
            (request, json!({if five { "clients" } else { "sockets" }: names(ids)}))
        }
        Body::Sockets { request, sockets } => (request, json!({"sockets": spell_sockets(sockets)})),
        Body::Rooms { request, rooms } => (request, json!({"rooms": names(rooms)})),
        Body::Done { request } => (request, json!({})),
        Body::CustomAnswer { request, data } => (request, json!({"data": first(data)})),
        Body::ServerEventAck { request, answer } => {
            (request, with(json!({"type": 6}), "data", first(answer)))
        }
        Body::ClientCount { request, count } => (request, json!({"type": 8, "clientCount": count})),
        Body::ClientAck { request, answer } => (request, with(json!({"type": 9}), "packet", first(answer))),
        other => panic!("{other:?}"),
    };
    with(body, if five { "requestid" } else { "requestId" }, Some(Value::from(&**request)))
}

fn with(mut object: Value, key: &str, value: Option<Value>) -> Value {
    if let Some(value) = value {
        object[key] = value;
    }
    object
}

fn spell_options(options: &Options) -> Value {
    let mut flags = Map::new();
    if options.flags.volatile {
        flags.insert("volatile".to_owned(), true.into());
    }
    if let Some(compress) = options.flags.compress {
        flags.insert("compress".to_owned(), compress.into());
    }
    if options.flags.expect_single_response {
        flags.insert("expectSingleResponse".to_owned(), true.into());
    }
    if let Some(timeout) = options.flags.timeout {
        flags.insert("timeout".to_owned(), u64::try_from(timeout.as_millis()).unwrap().into());
    }
    json!({"rooms": names(&options.rooms), "except": names(&options.except), "flags": flags})
}

fn spell_sockets(sockets: &[SocketDescription]) -> Value {
    let text = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let spell = |socket: &SocketDescription| {
        let handshake = socket.handshake.as_ref().unwrap();
        json!({
            "id": &*socket.id, "rooms": names(&socket.rooms), "data": first(&socket.data),
            "handshake": {
                "headers": text(&handshake.headers), "time": handshake.time, "address": handshake.address,
                "xdomain": handshake.xdomain, "secure": handshake.secure, "issued": handshake.issued,
                "url": handshake.url, "query": text(&handshake.query), "auth": text(&handshake.auth),
            },
        })
    };
    sockets.iter().map(spell).collect()
}

fn names(names: &[std::sync::Arc<str>]) -> Value {
    names.iter().map(|name| Value::from(&**name)).collect()
}

fn single(options: &Options) -> &str {
    match options.rooms.as_slice() {
        [room] => room,
        _ => "",
    }
}

fn array(payload: &Payload) -> Value {
    fn binary(value: Value, payload: &Payload) -> Value {
        match value {
            Value::Array(values) => values.into_iter().map(|value| binary(value, payload)).collect(),
            Value::Object(members) if members.contains_key("_placeholder") => {
                let num = usize::try_from(members["num"].as_u64().unwrap()).unwrap();
                let hex = payload.attachments()[num].iter().map(|byte| format!("{byte:02x}"));
                json!({"$bin": hex.collect::<String>()})
            }
            Value::Object(members) => {
                members.into_iter().map(|(key, value)| (key, binary(value, payload))).collect()
            }
            other => other,
        }
    }
    binary(serde_json::from_str(payload.text()).unwrap(), payload)
}

fn first(payload: &Payload) -> Option<Value> {
    array(payload).as_array_mut().unwrap().drain(..).next()
}

// ---- what is expected, in our words

/// The vectors' `decoded`, with what older servers leave out, and without what says nothing.
fn expected(value: &Value, key: &str) -> Value {
    match value {
        Value::Array(values) => {
            let room = |value: &Value| match value {
                Value::Number(number) if matches!(key, "rooms" | "except") => number.to_string().into(),
                other => expected(other, ""),
            };
            values.iter().map(room).collect()
        }
        Value::Object(members) if members.contains_key("$date") => members["$date"].clone(),
        Value::Object(members) if members.contains_key("$undefined") => Value::Null,
        Value::Object(members) => {
            let mut object: Map<String, Value> = members
                .iter()
                .filter(|(_, value)| value.get("$undefined").is_none())
                .map(|(key, value)| (key.clone(), expected(value, key)))
                .collect();
            if object.contains_key("flags") {
                object.entry("except").or_insert_with(|| json!([]));
            }
            if key == "flags" {
                object.retain(|key, _| !matches!(&**key, "broadcast" | "json"));
            }
            if object.get("type") == Some(&json!(5)) && object.get("data").is_some_and(Value::is_array) {
                object.insert("type".to_owned(), json!(2));
            }
            Value::Object(object)
        }
        other => other.clone(),
    }
}

fn payload(vector: &Value) -> Vec<u8> {
    BASE64.decode(vector["payload"].as_str().unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
