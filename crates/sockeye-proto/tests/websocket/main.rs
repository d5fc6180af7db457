//! The framing against captured vectors, against its own rules, and against hostile bytes.

mod deflate;
mod handshake;
mod memory;
mod properties;
mod vectors;
mod violations;

use sockeye_proto::websocket::{Event, OpCode, Reader, Violation, frame};

/// What came out of a reader, without the borrow.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(Violation),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.into_owned()),
            Event::Ping(payload) => Self::Ping(payload.into_owned()),
            Event::Pong(payload) => Self::Pong(payload.into_owned()),
            Event::Close(frame) => {
                Self::Close(frame.map(|frame| (frame.code.get(), frame.reason.into_owned())))
            }
        }
    }
}

/// Everything the reader makes of one piece of input.
fn feed(reader: &mut Reader, piece: &[u8]) -> Vec<Seen> {
    let mut piece = piece.to_vec();
    let mut seen = Vec::new();
    let mut at = 0;
    while at < piece.len() {
        let rest = piece.len() - at;
        match reader.read(&mut piece[at..]) {
            Ok((taken, event)) => {
                assert!(event.is_some() || taken == rest, "no event, and input left over");
                assert!(taken > 0, "no progress");
                at += taken;
                seen.extend(event.map(Seen::from));
            }
            Err(violation) => {
                seen.push(Seen::Failed(violation));
                // What follows is swallowed.
                assert!(matches!(reader.read(&mut piece[at..]), Ok((taken, None)) if taken == rest));
                break;
            }
        }
    }
    seen
}

/// The same for input cut at multiples of `size`.
fn feed_cut(reader: &mut Reader, input: &[u8], size: usize) -> Vec<Seen> {
    input.chunks(size).flat_map(|piece| feed(reader, piece)).collect()
}

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// One frame as a client sends it.
fn masked(opcode: OpCode, fin: bool, rsv1: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame::header(opcode, fin, rsv1, payload.len() as u64, Some(KEY)).as_slice().to_vec();
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A client's message in several frames.
fn fragmented(opcode: OpCode, rsv1: bool, pieces: &[&[u8]]) -> Vec<u8> {
    let last = pieces.len() - 1;
    let frames = pieces.iter().enumerate().map(|(i, piece)| {
        masked(if i == 0 { opcode } else { OpCode::Continuation }, i == last, rsv1 && i == 0, piece)
    });
    frames.flatten().collect()
}
