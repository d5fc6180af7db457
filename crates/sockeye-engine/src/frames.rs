//! Messages as frames: one thing of the outbox, and what is done to it where it does not go out as it is.
//!
//! Text messages are frames already and are shared by everybody who gets them. Only binary for peers that cannot take
//! it, and compression, make new ones; compressed frames are shared as well where the peer's window allows it.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use sockeye_proto::websocket::deflate::{self, Deflater, Direction};
use sockeye_proto::websocket::{OpCode, Role};

use crate::outbox::Shared;
use crate::{Message, Protocol};

/// One thing on its way out.
pub(crate) enum Item {
    Message(Message),
    /// A whole WebSocket frame.
    Frame(Bytes),
}

/// How much room a message takes: its bytes, and something for its place in the queue, so that a flood of empty
/// messages has a bound too.
pub(crate) fn cost(message: &Message) -> usize {
    message.payload_len() + 32
}

impl Item {
    /// See [`cost`].
    pub(crate) fn cost(&self) -> usize {
        match self {
            Item::Message(message) => cost(message),
            Item::Frame(frame) => frame.len(),
        }
    }

    /// Its bytes on a WebSocket, if they lie in one piece.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match self {
            Item::Message(message) if message.is_binary() => None,
            Item::Message(message) => Some(message.frame_bytes()),
            Item::Frame(frame) => Some(frame),
        }
    }

    /// How many bytes it takes on a WebSocket.
    pub(crate) fn length(&self, protocol: Protocol) -> usize {
        match self {
            Item::Message(message) if message.is_binary() => {
                message.head(protocol).as_slice().len() + message.payload().len()
            }
            Item::Message(message) => message.frame_bytes().len(),
            Item::Frame(frame) => frame.len(),
        }
    }
}

/// How messages become frames where they are not written as they are.
pub(crate) struct Encoder {
    /// Binary goes as base64 text.
    b64: bool,
    deflate: Option<Deflate>,
}

struct Deflate {
    /// With context takeover, the window of this connection; otherwise one per thread is used.
    own: Option<Deflater>,
    direction: Direction,
}

impl Encoder {
    /// For a WebSocket with what its handshake agreed on; `None` where messages go out as they are.
    pub(crate) fn new(params: Option<deflate::Params>, b64: bool, level: u8) -> Option<Encoder> {
        let deflate = params.map(|params| {
            let direction = params.outgoing(Role::Server);
            Deflate { own: direction.takeover.then(|| Deflater::new(direction, level)), direction }
        });
        (b64 || deflate.is_some()).then_some(Encoder { b64, deflate })
    }

    pub(crate) fn encode(&mut self, shared: &Shared, message: Message) -> Item {
        if self.b64 && message.is_binary() {
            return Item::Frame(message.to_base64_frame(shared.protocol));
        }
        match (&shared.common.config.deflate, &mut self.deflate) {
            (Some(options), Some(deflate))
                if message.compress() && message.payload_len() >= options.threshold =>
            {
                Item::Frame(deflate.frame(shared, &message, options.level))
            }
            _ => Item::Message(message),
        }
    }
}

impl Deflate {
    fn frame(&mut self, shared: &Shared, message: &Message, level: u8) -> Bytes {
        let opcode = if message.is_binary() { OpCode::Binary } else { OpCode::Text };
        // A revision 3 binary packet has its type in front.
        let typed;
        let packet = if message.is_binary() && shared.protocol == Protocol::V3 {
            typed = [&[4], message.packet()].concat();
            &typed
        } else {
            message.packet()
        };
        let compressed = &shared.common.counters.compressed;
        if let Some(own) = &mut self.own {
            compressed.fetch_add(1, Relaxed);
            return own.frame(opcode, packet);
        }
        // Without context takeover every peer with the same window gets the same bytes. A broadcast comes here once
        // per recipient, on one thread, in a row: the last result is most likely the one that is wanted.
        SQUEEZED.with_borrow_mut(|last| {
            let key = (self.direction, level, shared.protocol);
            match last {
                Some(hit) if hit.key == key && same(&hit.message, message) => hit.frame.clone(),
                _ => {
                    let deflater = match last.take() {
                        Some(other) if other.key == key => Some(other.deflater),
                        _ => None,
                    };
                    let mut deflater = deflater.unwrap_or_else(|| Deflater::new(self.direction, level));
                    let frame = deflater.frame(opcode, packet);
                    compressed.fetch_add(1, Relaxed);
                    *last = Some(Squeezed { key, deflater, message: message.clone(), frame: frame.clone() });
                    frame
                }
            }
        })
    }
}

/// Whether both are handles of one message. The bytes are alive in both, so a place in memory names them.
fn same(one: &Message, other: &Message) -> bool {
    std::ptr::eq(one.payload(), other.payload()) && one.is_binary() == other.is_binary()
}

/// The last message that was compressed on this thread, and the compressor (256 KiB) that did it.
struct Squeezed {
    key: (Direction, u8, Protocol),
    deflater: Deflater,
    message: Message,
    frame: Bytes,
}

thread_local! {
    static SQUEEZED: RefCell<Option<Squeezed>> = const { RefCell::new(None) };
}
