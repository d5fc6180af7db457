//! Messages in, packets out: the state of one session's incoming side.
use std::borrow::Cow;
use std::sync::Arc;

use super::{Dialect, Limits, Packet, Protocol, Violation};

/// Which dialect the sessions of a server speak.
#[derive(Debug, Clone, Default)]
pub enum Choice {
    /// JSON, or msgpack if a session's very first message is binary (nothing else on the wire names the dialect).
    #[default]
    Detect,
    /// JSON only: a session that starts with a binary message is refused.
    Json,
    /// msgpack only.
    Msgpack,
    /// A parser of the application.
    Custom(Arc<dyn super::Parser>),
}

/// Decodes what one session sends. 24 bytes while idle; the attachments of at most one packet otherwise.
#[derive(Debug)]
pub struct Decoder {}

impl Decoder {
    /// A decoder for a session that speaks `dialect`.
    pub fn new(dialect: Dialect, limits: Arc<Limits>) -> Decoder {
        todo!("{dialect:?}{limits:?}")
    }

    /// A decoder for a session of a server that is configured with `choice`.
    pub fn choose(choice: &Choice, protocol: Protocol, limits: Arc<Limits>) -> Decoder {
        todo!("{choice:?}{protocol:?}{limits:?}")
    }

    /// A text message arrived.
    ///
    /// # Errors
    /// When the peer broke the protocol. Close the session; the decoder has dropped what it held.
    pub fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation> {
        todo!("{text}")
    }

    /// A binary message arrived: a whole packet (msgpack), or the next attachment of a JSON packet, which is
    /// handed out with its last one. An owned vector is kept without a copy.
    ///
    /// # Errors
    /// When the peer broke the protocol. Close the session; the decoder has dropped what it held.
    pub fn binary(&mut self, data: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation> {
        todo!("{data:?}")
    }

    /// True while a packet waits for attachments: no text may come, and the driver gives it 30 seconds.
    pub fn is_pending(&self) -> bool {
        todo!()
    }

    /// What to answer in. While nothing has arrived and the dialect is to be detected: JSON.
    pub fn dialect(&self) -> &Dialect {
        todo!()
    }
}
