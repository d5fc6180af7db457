//! Arbitrary headers to both ends of the handshake. Whatever comes: no panic, and only sane windows are agreed on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_proto::websocket::deflate::{Options, accept_response, negotiate};
use sockeye_proto::websocket::handshake::{check_request, check_response};

const NAMES: [&str; 8] = [
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-accept",
    "host",
];

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let (name, value) = line.split_first()?;
        Some((NAMES[usize::from(*name) % NAMES.len()], value))
    });
    let options = Options::default();
    if let Ok(accept) = check_request("GET", (1, 1), lines.clone()) {
        let _ = accept.deflate(&options);
    }
    let _ = check_response(101, lines, "dGhlIHNhbXBsZSBub25jZQ==", &["chat"], Some(&options));
    if let Ok(header) = std::str::from_utf8(data) {
        if let Some((params, answer)) = negotiate([header], &options) {
            assert!((9..=15).contains(&params.server_max_window_bits));
            assert!((8..=15).contains(&params.client_max_window_bits));
            assert!(answer.starts_with("permessage-deflate"));
        }
        let _ = accept_response([header], Some(&options));
    }
});
