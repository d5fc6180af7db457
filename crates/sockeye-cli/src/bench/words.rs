//! What a client says, made once: requests and frames that are ready for the wire, masked with one fixed key.
//!
//! RFC 6455 wants an unpredictable key for every frame, to keep a page's script from writing what it likes onto the
//! wire of a proxy. A load generator's payload is its own, so the key may be fixed, and a frame is masked once.
//! Nothing here must ever be used by a client that carries other people's data.

use sockeye_proto::websocket::frame::{self, Control};
use sockeye_proto::websocket::{OpCode, handshake};

use super::target::Target;

/// The masking key of every frame. Not zero: the server has to do its work.
const MASK: [u8; 4] = [0x5e, 0x0c, 0xa7, 0x91];

/// One whole text frame.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(OpCode::Text, false, text.as_bytes(), Some(MASK), &mut out);
    out
}

/// One whole binary frame.
pub(super) fn binary(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(OpCode::Binary, false, bytes, Some(MASK), &mut out);
    out
}

/// A pong of WebSocket's own heartbeat.
pub(super) fn pong(payload: &[u8]) -> Control {
    Control::pong(payload, Some(MASK))
}

/// Bytes with a number of fixed width in them, which is all that differs between two messages.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    bytes: Vec<u8>,
    at: usize,
    digits: usize,
    /// The key the digits are masked with; zeroes on plain text.
    key: [u8; 4],
}

impl Stamp {
    /// `packet`, which has `number` in it at `at`, as a text frame; `more` follows as it is.
    pub(super) fn frame(packet: &str, at: usize, number: &str, more: &[u8]) -> Self {
        let mut bytes = text(packet);
        let header = bytes.len() - packet.len();
        bytes.extend_from_slice(more);
        let mut key = MASK;
        key.rotate_left(at % 4);
        Self { bytes, at: header + at, digits: number.len(), key }
    }

    /// The same for long-polling, where nothing is masked.
    pub(super) fn plain(packet: &str, at: usize, number: &str) -> Self {
        Self { bytes: packet.as_bytes().to_vec(), at, digits: number.len(), key: [0; 4] }
    }

    /// Appends the message with this number. A number that is too long loses its front.
    pub(super) fn write(&self, mut number: u64, out: &mut Vec<u8>) {
        let start = out.len() + self.at;
        out.extend_from_slice(&self.bytes);
        let Some(digits) = out.get_mut(start..start + self.digits) else { return };
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = (b'0' + (number % 10) as u8) ^ self.key[at % 4];
            number /= 10;
        }
    }
}

/// What every connection of one target says.
#[derive(Debug)]
pub(super) struct Words {
    /// The request that asks for a WebSocket.
    pub(super) upgrade: Vec<u8>,
    /// The packet that enters the namespace.
    pub(super) connect: Vec<u8>,
    /// An Engine.IO pong.
    pub(super) pong: Vec<u8>,
    /// Leaves the namespace, then the connection.
    pub(super) leave: Vec<u8>,
}

impl Words {
    pub(super) fn new(target: &Target) -> Self {
        let mut leave = text(&format!("41{}", target.prefix()));
        leave.extend_from_slice(Control::close(None, "", Some(MASK)).as_slice());
        Self {
            upgrade: upgrade(target).into_bytes(),
            connect: text(&target.connect_packet()),
            pong: text("3"),
            leave,
        }
    }
}

/// The key of the upgrade request, and with it the server's answer, are the same for all.
pub(super) fn upgrade_key() -> String {
    handshake::client_key([7; 16])
}

/// The request for a WebSocket.
pub(super) fn upgrade(target: &Target) -> String {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{}\r\n",
        target.request_path("websocket", None),
        target.host_header(),
        upgrade_key(),
        target.headers(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_proto::websocket::{Event, Reader, ReaderConfig, Role};

    #[test]
    fn a_stamped_frame_reads_as_the_packet_with_its_number() {
        for before in 0..9 {
            let packet = format!("{}1000[\"echo\"]", "4".repeat(before));
            let stamp = Stamp::frame(&packet, before, "1000", &[]);
            let mut out = Vec::new();
            stamp.write(4711, &mut out);
            let mut reader = Reader::new(Role::Server, ReaderConfig::default());
            let (taken, event) = reader.read(&mut out).unwrap();
            assert_eq!(taken, stamp.bytes.len());
            assert_eq!(event, Some(Event::Text(packet.replace("1000", "4711").into())));
        }
    }
}
