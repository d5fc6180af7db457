//! The body of a POST, a query, a form, a text frame: what reaches Engine.IO before anybody has said who they are.
//!
//! Whatever comes: no panic, no more packets than bytes, one error at most and that one last; and the messages that
//! were read are read again from what is written of them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sockeye_proto::engine::{
    Content, Data, Form, Kind, Message, Payload, Protocol, Query, Unspeakable, decode_binary, decode_text,
    encode_payload, jsonp, undouble,
};

fuzz_target!(|data: &[u8]| {
    for (form, content) in [
        (Form::V4, Content::Text),
        (Form::V3Text, Content::Text),
        (Form::V3Binary, Content::Binary),
    ] {
        let protocol = if form == Form::V4 { Protocol::V4 } else { Protocol::V3 };
        let packets: Vec<_> = Payload::body(data, content, protocol).collect();
        assert!(packets.len() <= data.len() + 1);
        assert!(packets.iter().rev().skip(1).all(Result::is_ok));
        let messages: Vec<Message> = packets
            .iter()
            .flatten()
            .filter(|packet| packet.kind == Kind::Message)
            .map(|packet| match &packet.data {
                Data::Text(text) => Message::text(text),
                Data::Binary(bytes) => Message::binary(Bytes::copy_from_slice(bytes)),
            })
            .collect();
        match encode_payload(form, [], "", messages.iter(), usize::MAX) {
            Ok(payload) => {
                let again = Payload::body(&payload.body, payload.content, protocol);
                assert_eq!(again.filter(|packet| packet.as_ref().unwrap().kind == Kind::Message).count(), messages.len());
            }
            Err(Unspeakable) => panic!("a payload's packet holds no separator"),
        }
    }
    let _ = decode_binary(data, Protocol::V3);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (decode_text(text, Protocol::V4), decode_text(text, Protocol::V3), undouble(text));
        let _ = (Query::parse(text), jsonp::form_payload(text));
        let script = jsonp::response(text, text);
        assert!(!script.contains(['\u{2028}', '\u{2029}']));
    }
});
