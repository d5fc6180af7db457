//! Captured from npm `ws`: frames both ways, verdicts, compression, negotiation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sockeye_proto::websocket::deflate::{Deflater, Direction, Options, Params, Window, negotiate};
use sockeye_proto::websocket::{CloseCode, OpCode, Reader, ReaderConfig, Role, frame, handshake};

use super::{Seen, feed, masked};

fn cases(name: &str) -> Vec<Value> {
    let path = format!("{}/../../vectors/protocol/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the vector is there");
    let mut file: Value = serde_json::from_str(&text).expect("the vector is JSON");
    match file["cases"].take() {
        Value::Array(cases) => cases,
        _ => panic!("no cases in {name}"),
    }
}

fn base64(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("base64")).expect("base64")
}

#[test]
fn frames() {
    let mut count = 0;
    for case in cases("ws-frames").iter().filter(|case| case["op"] == "frame") {
        count += 1;
        let payload = match &case["payload_repeat"] {
            Value::Null => base64(&case["payload"]["b64"]),
            repeat => {
                let byte = repeat["byte"].as_u64().unwrap() as u8;
                vec![byte; repeat["count"].as_u64().unwrap() as usize]
            }
        };
        let mask = case.get("mask_key_b64").map(|key| <[u8; 4]>::try_from(base64(key)).unwrap());
        let opcode = OpCode::new(case["opcode"].as_u64().unwrap() as u8).unwrap();
        let (fin, rsv1) = (case["fin"] == true, case["rsv1"] == true);
        let header = frame::header(opcode, fin, rsv1, payload.len() as u64, mask);
        let mut wire = header.as_slice().to_vec();
        wire.extend_from_slice(&payload);
        if let Some(key) = mask {
            sockeye_proto::websocket::apply_mask(&mut wire[header.as_slice().len()..], key);
        }
        if case["wire"].is_null() {
            assert_eq!(header.as_slice(), base64(&case["header_b64"]), "{case}");
            assert_eq!(wire.len() as u64, case["total"].as_u64().unwrap(), "{case}");
        } else {
            assert_eq!(wire, base64(&case["wire"]["b64"]), "{case}");
        }
        if fin && !rsv1 && opcode != OpCode::Continuation {
            let mut whole = Vec::new();
            frame::encode(opcode, false, &payload, mask, &mut whole);
            assert_eq!(whole, wire, "{case}");
        }
        if mask.is_none() {
            assert_eq!(frame::header_len(payload.len() as u64), header.as_slice().len(), "{case}");
        }

        // And back. A lone piece of a fragmented message is begun or refused elsewhere.
        if fin && opcode != OpCode::Continuation {
            let role = if mask.is_some() { Role::Server } else { Role::Client };
            let seen = feed(&mut Reader::new(role, ReaderConfig::default()), &wire);
            let expected = match opcode {
                OpCode::Text => Seen::Text(String::from_utf8(payload).unwrap()),
                OpCode::Binary => Seen::Binary(payload),
                OpCode::Ping => Seen::Ping(payload),
                OpCode::Pong => Seen::Pong(payload),
                OpCode::Close => Seen::Close(payload.split_first_chunk().map(|(code, reason)| {
                    (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
                })),
                OpCode::Continuation => unreachable!("filtered above"),
            };
            assert_eq!(seen, [expected], "{case}");
        }
    }
    assert_eq!(count, 24);
}

#[test]
fn close_frames() {
    // The close frames among the vectors, built the convenient way.
    let close = |code, reason, mask| frame::Control::close(code, reason, mask).as_slice().to_vec();
    let mut count = 0;
    for case in cases("ws-frames") {
        let mask = case.get("mask_key_b64").map(|key| <[u8; 4]>::try_from(base64(key)).unwrap());
        let (code, reason) = match case["name"].as_str() {
            _ if case["op"] != "frame" => continue,
            Some("close empty") => (None, ""),
            Some("close 1000") => (Some(CloseCode::NORMAL), ""),
            Some("close 1001 masked with reason") => (Some(CloseCode::GOING_AWAY), "bye"),
            _ => continue,
        };
        assert_eq!(close(code, reason, mask), base64(&case["wire"]["b64"]), "{case}");
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn received() {
    let mut count = 0;
    for case in cases("ws-frames").iter().filter(|case| case["op"] == "receive") {
        count += 1;
        let role = if case["role"] == "client" { Role::Client } else { Role::Server };
        let max_message = case["max_payload"].as_u64().map_or(1_000_000, |limit| limit as usize);
        let wire = base64(&case["wire"]["b64"]);
        let sizes: Vec<usize> = match case["chunks"].as_array() {
            Some(chunks) => chunks.iter().map(|size| size.as_u64().unwrap() as usize).collect(),
            None => vec![wire.len()],
        };
        assert_eq!(sizes.iter().sum::<usize>(), wire.len());

        let mut reader = Reader::new(role, ReaderConfig { max_message, ..ReaderConfig::default() });
        let wire = mask_again(wire, &sizes);
        let mut rest = &wire[..];
        let mut seen = Vec::new();
        for size in sizes {
            let (piece, after) = rest.split_at(size);
            seen.extend(feed(&mut reader, piece));
            rest = after;
        }
        let mut expected: Vec<Seen> = case["events"].as_array().unwrap().iter().map(event).collect();
        if let Some(code) = case["error"]["close_code"].as_u64() {
            let Some(Seen::Failed(violation)) = seen.pop() else { panic!("accepted: {case}") };
            assert_eq!(u64::from(violation.close_code().get()), code, "{case}");
        }
        if expected == [Seen::Close(Some((1005, String::new())))] {
            expected = vec![Seen::Close(None)];
        }
        assert_eq!(seen, expected, "{case}");
    }
    assert_eq!(count, 50);
}

/// `ws` unmasks in place, and the bytes were written down afterwards: a payload that lay in one chunk is recorded
/// unmasked (its frame's header says that it is masked). This masks it again. Where a payload was cut, `ws`
/// copied it, and the record is as it was sent; and of frames refused for their header the payload is moot.
fn mask_again(mut wire: Vec<u8>, sizes: &[usize]) -> Vec<u8> {
    let ends: Vec<usize> = sizes
        .iter()
        .scan(0, |end, size| {
            *end += size;
            Some(*end)
        })
        .collect();
    let mut at = 0;
    while let Some(&[_, second]) = wire.get(at..at + 2) {
        let short = usize::from(second & 0x7F);
        let begin = at + 6;
        if second < 0x80 || short > 125 || begin + short > wire.len() {
            break;
        }
        let key = <[u8; 4]>::try_from(&wire[at + 2..begin]).unwrap();
        at = begin + short;
        if !ends.iter().any(|end| (begin + 1..at).contains(end)) {
            sockeye_proto::websocket::apply_mask(&mut wire[begin..at], key);
        }
    }
    wire
}

fn event(value: &Value) -> Seen {
    let bytes = |value: &Value| match &value["text"] {
        Value::String(text) => text.clone().into_bytes(),
        _ => base64(&value["b64"]),
    };
    if let Some(message) = value.get("message") {
        return match value["binary"] == true {
            true => Seen::Binary(bytes(message)),
            false => Seen::Text(String::from_utf8(bytes(message)).unwrap()),
        };
    }
    if let Some(ping) = value.get("ping") {
        return Seen::Ping(bytes(ping));
    }
    let code = value["close"].as_u64().expect("message, ping or close") as u16;
    Seen::Close(Some((code, value["reason"].as_str().unwrap().to_owned())))
}

#[test]
fn accept_keys() {
    for case in cases("ws-frames").iter().filter(|case| case["op"] == "accept") {
        assert_eq!(handshake::accept_key(case["key"].as_str().unwrap()), case["accept"], "{case}");
    }
}

#[test]
fn compressed() {
    let mut count = 0;
    for case in cases("ws-permessage-deflate").iter().filter(|case| case["op"] == "compress") {
        count += 1;
        let direction = Direction {
            window_bits: case["window_bits"].as_u64().unwrap() as u8,
            takeover: case["context_takeover"] == true,
        };
        let mut deflater = Deflater::new(direction, 6);
        let mut reader = deflating_reader(direction, 1_000_000);
        let messages = case["messages"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        for (message, payload) in messages.zip(case["payloads_b64"].as_array().unwrap()) {
            let mut out = Vec::new();
            deflater.deflate(message.as_bytes(), &mut out);
            // RFC 7692 leaves the choice of blocks free and zlib-rs need not choose like zlib; for these short
            // messages it does.
            assert_eq!(out, base64(payload), "{message:?} in {case}");
            assert_eq!(
                feed(&mut reader, &masked(OpCode::Text, true, true, &out)),
                [Seen::Text(message.to_owned())],
                "{case}"
            );
        }
    }
    assert_eq!(count, 4);
}

#[test]
fn decompressed() {
    let mut count = 0;
    for case in cases("ws-permessage-deflate").iter().filter(|case| case["op"] == "decompress") {
        count += 1;
        let direction = Direction { window_bits: 15, takeover: case["context_takeover"] == true };
        let max_message = case["max_payload"].as_u64().map_or(1_000_000, |limit| limit as usize);
        let mut reader = deflating_reader(direction, max_message);
        let payloads = case["payloads_b64"].as_array().unwrap();
        let mut seen: Vec<Seen> = payloads
            .iter()
            .flat_map(|payload| feed(&mut reader, &masked(OpCode::Text, true, true, &base64(payload))))
            .collect();
        if !case["error"].is_null() {
            let Some(Seen::Failed(violation)) = seen.pop() else { panic!("accepted: {case}") };
            let expected = if case["max_payload"].is_null() { 1007 } else { 1009 };
            assert_eq!(violation.close_code().get(), expected, "{case}");
        }
        let expected: Vec<Seen> = case["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| Seen::Text(text.as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(seen, expected, "{case}");
    }
    assert_eq!(count, 9);
}

fn deflating_reader(direction: Direction, max_message: usize) -> Reader {
    let params = Params {
        server_no_context_takeover: false,
        client_no_context_takeover: !direction.takeover,
        server_max_window_bits: 15,
        client_max_window_bits: direction.window_bits,
    };
    let config = ReaderConfig { max_message, deflate: Some(params), ..ReaderConfig::default() };
    Reader::new(Role::Server, config)
}

/// Where we differ from `ws`, each time on the strict side, and why.
const DIVERGENCES: [(&str, &str); 2] = [
    ("window leading zero", "RFC 7692 §7.1.2: no leading zeros; threats.md C3 declines illegal offers"),
    ("server window 8", "protocols.md §7.4: zlib cannot deflate raw with 8 bits; such offers are declined"),
];

#[test]
fn negotiated() {
    let mut count = 0;
    for case in cases("ws-permessage-deflate").iter().filter(|case| case["op"] == "negotiate") {
        count += 1;
        let given = &case["server_options"];
        let window = |name: &str| match &given[name] {
            Value::Bool(false) => Window::Refuse,
            Value::Number(bits) => Window::Bits(bits.as_u64().unwrap() as u8),
            _ => Window::Any,
        };
        let options = Options {
            server_no_context_takeover: given["serverNoContextTakeover"] == true,
            client_no_context_takeover: given["clientNoContextTakeover"] == true,
            server_max_window_bits: window("serverMaxWindowBits"),
            client_max_window_bits: window("clientMaxWindowBits"),
            ..Options::default()
        };
        let answer = negotiate([case["offer"].as_str().unwrap()], &options).map(|(_, answer)| answer);
        if DIVERGENCES.iter().any(|(name, _)| case["name"] == *name) {
            assert_eq!(answer, None, "{case}");
            continue;
        }
        // Refused by failing the handshake there, by going on uncompressed here (threats.md C3).
        let sorted = |value: &str| {
            let mut parts: Vec<String> = value.split(';').map(|part| part.trim().to_owned()).collect();
            parts.sort();
            parts
        };
        assert_eq!(answer.as_deref().map(sorted), case["response"].as_str().map(sorted), "{case}");
    }
    assert_eq!(count, 19);
}
