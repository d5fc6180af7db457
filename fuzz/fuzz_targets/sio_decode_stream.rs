//! A sequence of text and binary messages to a decoder that detects its dialect.
//!
//! Whatever comes: no panic, nothing held after a violation, and a relay that is no longer than what was received.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_proto::socket::{Body, Choice, Decoder, Limits, Out, PacketOut, Protocol, Value, encode};

fuzz_target!(|data: &[u8]| {
    let Some((settings, data)) = data.split_first() else { return };
    let protocol = if settings & 1 == 0 { Protocol::V5 } else { Protocol::V4 };
    let mut decoder = Decoder::choose(&Choice::Detect, protocol, Limits::for_messages_of(64).into());
    let (mut received, mut sent) = (0, 0);
    // The first byte of each line says what kind of message it is.
    for line in data.split(|byte| *byte == b'\n') {
        let Some((kind, message)) = line.split_first() else { continue };
        received += message.len() + 80;
        let text;
        let result = if kind & 1 == 0 {
            text = String::from_utf8_lossy(message);
            received += text.len() - message.len();
            decoder.text(&text)
        } else {
            decoder.binary(message.into())
        };
        let Ok(packet) = result else {
            assert!(!decoder.is_pending());
            return;
        };
        let Some(packet) = packet else { continue };
        let (Body::Event { ref args, .. } | Body::Ack { ref args, .. }) = packet.body else { continue };
        let _ = args.args::<Vec<Value>>();
        let payload = args.to_payload();
        let body = match packet.body {
            Body::Event { id, .. } => Out::Event { id, payload: &payload },
            Body::Ack { id, .. } => Out::Ack { id, payload: &payload },
            _ => continue,
        };
        let out = PacketOut { namespace: &packet.namespace, body, compress: true };
        let again = encode(&out, decoder.dialect()).expect("the built-in dialects refuse nothing");
        sent += again.messages().map(|message| message.payload_len()).sum::<usize>();
        // Protocol 4 escapes what is not printable ASCII: one byte, U+007F, becomes six. Dates and floats grow in
        // msgpack, less than threefold.
        assert!(sent <= 6 * received);
    }
});
