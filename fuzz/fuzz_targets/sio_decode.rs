//! One text message to a JSON decoder, in both protocols.
//!
//! Whatever comes: no panic, arguments that `serde_json` accepts too, and a relay that is no longer than the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_proto::socket::{Body, Decoder, Dialect, Limits, Out, PacketOut, Protocol, Value, encode};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for protocol in [Protocol::V5, Protocol::V4] {
        let dialect = Dialect::Json(protocol);
        let Ok(Some(packet)) = Decoder::new(dialect, Limits::default().into()).text(text) else { continue };
        let (Body::Event { ref args, .. } | Body::Ack { ref args, .. }) = packet.body else { continue };
        serde_json::from_str::<serde::de::IgnoredAny>(args.text()).expect("valid JSON");
        // Numbers too large for a double are refused here; nothing else is.
        let _ = args.args::<Vec<Value>>();
        let payload = args.to_payload();
        let body = match packet.body {
            Body::Event { id, .. } => Out::Event { id, payload: &payload },
            Body::Ack { id, .. } => Out::Ack { id, payload: &payload },
            _ => continue,
        };
        let out = PacketOut { namespace: &packet.namespace, body, compress: true };
        let again = encode(&out, &Dialect::Json(Protocol::V5)).expect("JSON refuses nothing");
        assert!(again.first().payload_len() <= text.len());
        let _ = encode(&out, &Dialect::Msgpack(Protocol::V5)).expect("msgpack refuses nothing");
    }
});
