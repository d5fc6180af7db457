//! Close codes, close frames, and the small dance at the end of a connection (RFC 6455 §5.5.1, §7).

use std::borrow::Cow;

use super::Role;
use super::frame::Control;

/// A close code as it appears on the wire (RFC 6455 §7.4, IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down or the page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: this kind of data is not accepted.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: bytes that do not fit the message's type (bad UTF-8, data that does not inflate).
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a rule of ours was broken for which there is no better code.
    pub const POLICY: Self = Self(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client misses an extension it asked for.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the server restarts.
    pub const RESTART: Self = Self(1012);
    /// 1013: overloaded, try again later.
    pub const TRY_AGAIN: Self = Self(1013);

    /// `code` if it may appear on the wire: 1000–1003, 1007–1014, 3000–4999.
    ///
    /// The others are unassigned or, like 1005 and 1006, only ever said about a connection, not on it.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

/// What a close frame carried. A frame with an empty body has none (peers report that as 1005).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// Why, as a number.
    pub code: CloseCode,
    /// Why, in at most 123 bytes of text; often empty.
    pub reason: Cow<'a, str>,
}

impl CloseFrame<'_> {
    /// The same, independent of the input buffer.
    pub fn into_owned(self) -> CloseFrame<'static> {
        CloseFrame { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

/// Each side says goodbye once; whoever is first gets an answer with the same code.
///
/// ```text
///        start()              received()
/// Open ─────────▶ WeClosed ──────────────▶ Done
///   │ received(), gives the answer to send   ▲
///   └────────────────────────────────────────┘
/// ```
/// Nothing may be sent after our close frame, and what arrives after the peer's is ignored (the
/// [`Reader`](super::Reader) does that). When done, the server hangs up first; a client waits for that. Both
/// need a deadline of the driver's: 1 s after `Done`, 5 s in `WeClosed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseHandshake {
    /// Nobody has closed.
    #[default]
    Open,
    /// Our close frame is out, the peer's has not come.
    WeClosed,
    /// Both have closed.
    Done,
}

impl CloseHandshake {
    /// We want to close: gives the frame to send, or `None` when ours is out already.
    ///
    /// `mask` is `Some` fresh key for a client, `None` for a server. Without `code` the body is empty.
    pub fn start(&mut self, code: Option<CloseCode>, reason: &str, mask: Option<[u8; 4]>) -> Option<Control> {
        match self {
            Self::Open => {
                *self = Self::WeClosed;
                Some(Control::close(code, reason, mask))
            }
            Self::WeClosed | Self::Done => None,
        }
    }

    /// The peer's close frame came: gives the answer to send (same code, no reason), or `None` if we were first.
    pub fn received(&mut self, frame: Option<&CloseFrame<'_>>, mask: Option<[u8; 4]>) -> Option<Control> {
        let answer = match self {
            Self::Open => Some(Control::close(frame.map(|frame| frame.code), "", mask)),
            Self::WeClosed | Self::Done => None,
        };
        *self = Self::Done;
        answer
    }

    /// Whether data frames may still be sent.
    pub fn may_send(self) -> bool {
        self == Self::Open
    }

    /// Whether it is ours to end the TCP connection now.
    pub fn hang_up(self, role: Role) -> bool {
        self == Self::Done && role == Role::Server
    }
}
