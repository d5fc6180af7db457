//! Arbitrary bytes as a peer's frames, in both roles, with and without deflate.
//!
//! Whatever comes: no panic, the same events whole and cut anywhere, memory within the limit, nothing held at the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_proto::websocket::deflate::Params;
use sockeye_proto::websocket::{Event, Reader, ReaderConfig, Role};

const LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    // Two bytes of settings in front: what to be, and where to cut.
    let Some((&[settings, cut], wire)) = data.split_first_chunk() else { return };
    let role = if settings & 1 == 0 { Role::Server } else { Role::Client };
    let params = Params {
        server_no_context_takeover: settings & 2 != 0,
        client_no_context_takeover: settings & 2 != 0,
        server_max_window_bits: 15 - (settings >> 5),
        client_max_window_bits: 15 - (settings >> 5),
    };
    let config = ReaderConfig {
        max_message: LIMIT,
        strict_lengths: settings & 4 != 0,
        deflate: (settings & 8 != 0).then_some(params),
    };
    let whole = read(&mut Reader::new(role, config), wire, wire.len().max(1));
    let pieces = read(&mut Reader::new(role, config), wire, usize::from(cut).max(1));
    assert_eq!(whole, pieces);
});

fn read(reader: &mut Reader, wire: &[u8], size: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for piece in wire.chunks(size) {
        let mut piece = piece.to_vec();
        let mut at = 0;
        while at < piece.len() {
            let rest = piece.len() - at;
            match reader.read(&mut piece[at..]) {
                Ok((taken, event)) => {
                    assert!(taken > 0 && (event.is_some() || taken == rest));
                    match &event {
                        Some(Event::Text(text)) => assert!(text.len() <= LIMIT),
                        Some(Event::Binary(bytes)) => assert!(bytes.len() <= LIMIT),
                        _ => {}
                    }
                    seen.extend(event.map(|event| format!("{event:?}")));
                    at += taken;
                }
                Err(violation) => {
                    seen.push(format!("{violation:?}"));
                    assert_eq!(reader.held_bytes(), 0);
                    return seen;
                }
            }
            assert!(reader.held_bytes() <= LIMIT + 4096);
        }
    }
    seen
}
