//! A binary message to a msgpack decoder, in both protocols, raw and as the data of an event.
//!
//! Whatever comes: no panic, a bounded translation, and the same packet again after writing it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_proto::socket::{Body, Decoder, Dialect, Limits, Out, PacketOut, Protocol, Value, encode};

fuzz_target!(|data: &[u8]| {
    let event = [b"\x83\xA4type\x02\xA3nsp\xA1/\xA4data", data].concat();
    for message in [data, &event] {
        for protocol in [Protocol::V5, Protocol::V4] {
            check(message, protocol);
        }
    }
});

fn check(message: &[u8], protocol: Protocol) {
    let dialect = Dialect::Msgpack(protocol);
    let mut limits = Limits::default();
    // Typed reading ends a little before the default does.
    limits.depth = 100;
    let decoder = || Decoder::new(dialect.clone(), limits.clone().into());
    let Ok(Some(packet)) = decoder().binary(message.into()) else { return };
    let (Body::Event { ref args, .. } | Body::Ack { ref args, .. }) = packet.body else { return };
    assert!(args.text().len() <= 6 * message.len() + 32 * args.attachments().len());
    let values = args.args::<Vec<Value>>().expect("any value can be read");
    let payload = args.to_payload();
    let body = match packet.body {
        Body::Event { id, .. } => Out::Event { id, payload: &payload },
        Body::Ack { id, .. } => Out::Ack { id, payload: &payload },
        _ => return,
    };
    let out = PacketOut { namespace: &packet.namespace, body, compress: true };
    let again = encode(&out, &dialect).expect("msgpack refuses nothing");
    let again = decoder().binary(again.first().payload().into()).expect("our own is read").expect("whole");
    let (Body::Event { args, .. } | Body::Ack { args, .. }) = again.body else { panic!("another type") };
    assert_eq!(args.args::<Vec<Value>>().expect("any value can be read"), values);
}
