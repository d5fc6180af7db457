//! One message of another server, in every dialect.
//!
//! Whatever comes: no panic, bounded work, and what was understood can be said again and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_proto::cluster::classic::{self, Peers};
use sockeye_proto::cluster::streams::{self, Session};
use sockeye_proto::cluster::{Limits, adapter};

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    if let Ok(message) = adapter::decode(data, "/", &limits) {
        // JSON has several spellings of a number; MessagePack has settled on one.
        let said = adapter::encode_msgpack(&message).expect("it was said in this dialect");
        let heard = adapter::decode(&said, "/", &limits).expect("it is what we say");
        let said = adapter::encode_msgpack(&heard).expect("likewise");
        assert_eq!(adapter::decode(&said, "/", &limits), Ok(heard));
    }
    if let Ok(message) = classic::decode_broadcast(data, &limits) {
        let again = classic::encode_broadcast(&message).expect("it was said in this dialect");
        assert_eq!(classic::decode_broadcast(&again, &limits), Ok(message));
    }
    if let Ok(asked) = classic::decode_request(data, "/", &limits) {
        let _ = classic::encode_request(&asked.message, Peers::Any);
    }
    let _ = classic::decode_response(data, "/", &limits);
    let _ = Session::decode(data, &limits);
    let entry = [(&b"uid"[..], &b"x"[..]), (b"nsp", b"/"), (b"type", b"3"), (b"data", data)];
    let _ = streams::decode(entry, &limits);
});
